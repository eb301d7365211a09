// SPDX-License-Identifier: GPL-2.0-or-later
//
// Segments, control registers, interrupts of real mode, and what the owner is told.

#include <gtest/gtest.h>

#include "fake_machine.h"

namespace vmm {
namespace {

constexpr uint8_t kUd = 6, kNp = 11, kSs = 12, kGp = 13;
constexpr uint64_t kGdt = 0x5000;

uint64_t Descriptor(uint32_t base, uint32_t limit, uint16_t ar) {
  return (limit & 0xffffull) | (base & 0xffffffull) << 16 | (ar & 0xffull) << 40 |
         (limit >> 16 & 0xfull) << 48 | (ar >> 12 & 0xfull) << 52 | (base >> 24 & 0xffull) << 56;
}

class SystemTest : public ::testing::Test {
 protected:
  void AddGdt(FakeMachine& machine) {
    machine.Map(kGdt);
    machine.gdt = {kGdt, 0x7f};
    Put(machine, 0x08, Descriptor(0, 0xfffff, 0xc09b));           // code
    Put(machine, 0x10, Descriptor(0x12345678, 0xfffff, 0xc092));  // data, not accessed
    Put(machine, 0x18, Descriptor(0, 0xffff, 0x0012));            // not present
    Put(machine, 0x20, Descriptor(0, 0xfffff, 0xa09b));           // 64-bit code
    Put(machine, 0x28, Descriptor(0x4000, 0x67, 0x0089));         // TSS
    Put(machine, 0x30, 0);
    Put(machine, 0x38, Descriptor(0x100, 0xfff, 0x00f2));  // data for programs
    Put(machine, 0x40, Descriptor(0, 0xfffff, 0xc099));    // execute-only code
  }
  void Put(FakeMachine& machine, uint64_t sel, uint64_t desc) {
    machine.PokeValue(kGdt + sel, desc);
  }
  void ExpectFault(FakeMachine& machine, std::initializer_list<uint8_t> code, uint8_t vector,
                   std::optional<uint32_t> error) {
    machine.MapRange(machine.emul.rip, 16);
    machine.Poke(machine.emul.rip, {code.begin(), code.size()});
    const Snapshot before(machine);
    ASSERT_EQ(machine.Step(), VLM_EMUL_FAULT);
    EXPECT_EQ(machine.emul.fault.vector, vector);
    EXPECT_EQ(machine.emul.fault.has_error, error.has_value());
    if (error) {
      EXPECT_EQ(machine.emul.fault.error, *error);
    }
    EXPECT_TRUE(Snapshot(machine) == before);
  }
};

TEST_F(SystemTest, RealModeSegmentsKeepTheirLimit) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.segs[VLM_EMUL_DS].limit = 0xffffffff;
  machine.reg(kRax) = 0x1234;
  ASSERT_EQ(machine.Run({0x8e, 0xd8}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.segs[VLM_EMUL_DS].sel, 0x1234);
  EXPECT_EQ(machine.segs[VLM_EMUL_DS].base, 0x12340u);
  EXPECT_EQ(machine.segs[VLM_EMUL_DS].limit, 0xffffffffu);
}

TEST_F(SystemTest, StackSegmentLoadsShadowInterrupts) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.Run({0x8e, 0xd0});
  EXPECT_EQ(machine.emul.out.shadow, VLM_EMUL_SHADOW_MOV_SS);
  machine.Run({0x8e, 0xd8});
  EXPECT_EQ(machine.emul.out.shadow, VLM_EMUL_SHADOW_NONE);
  machine.Run({0xfb});
  EXPECT_EQ(machine.emul.out.shadow, VLM_EMUL_SHADOW_STI);
  EXPECT_TRUE(machine.emul.rflags & kIf);
  machine.Run({0xfb});  // already enabled
  EXPECT_EQ(machine.emul.out.shadow, VLM_EMUL_SHADOW_NONE);
  machine.Run({0xfa});
  EXPECT_FALSE(machine.emul.rflags & kIf);
}

TEST_F(SystemTest, RealModeInterruptAndReturn) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.MapRange(0, 0x2000);
  machine.idt = {0, 0x3ff};
  machine.PokeValue<uint32_t>(4 * 0x10, 0x00201234);  // 0020:1234
  machine.reg(kRsp) = 0x800;
  machine.segs[VLM_EMUL_CS] = {0x100, 0xffff, 0x9b, 0x10};
  machine.emul.rflags |= kIf | kTf | kCf;
  const uint64_t flags = machine.emul.rflags;
  ASSERT_EQ(machine.Run({0xcd, 0x10}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.emul.rip, 0x1234u);
  EXPECT_EQ(machine.segs[VLM_EMUL_CS].base, 0x200u);
  EXPECT_EQ(machine.emul.rflags, flags & ~(kIf | kTf));
  EXPECT_EQ(machine.reg(kRsp), 0x7fau);
  EXPECT_EQ(machine.PeekValue<uint16_t>(0x7fa), 0x1002);
  EXPECT_EQ(machine.PeekValue<uint16_t>(0x7fc), 0x10);
  EXPECT_EQ(machine.PeekValue<uint16_t>(0x7fe), flags);
  ASSERT_EQ(machine.Run({0xcf}), VLM_EMUL_DONE);
  EXPECT_TRUE(machine.emul.out.nmi_unblock);
  EXPECT_EQ(machine.emul.rip, 0x1002u);
  EXPECT_EQ(machine.segs[VLM_EMUL_CS].base, 0x100u);
  EXPECT_EQ(machine.emul.rflags, flags);
  EXPECT_EQ(machine.reg(kRsp), 0x800u);
  machine.idt.limit = 0x42;
  machine.segs[VLM_EMUL_CS].base = 0;
  ExpectFault(machine, {0xcd, 0x10}, kGp, std::nullopt);
}

TEST_F(SystemTest, RealModeFarBranches) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.MapRange(0, 0x3000);
  machine.reg(kRsp) = 0x800;
  ASSERT_EQ(machine.Run({0xea, 0x10, 0x00, 0x00, 0x02}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.emul.rip, 0x10u);
  EXPECT_EQ(machine.segs[VLM_EMUL_CS].base, 0x2000u);
  ASSERT_EQ(machine.Run({0x9a, 0x00, 0x01, 0x00, 0x01}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.segs[VLM_EMUL_CS].base, 0x1000u);
  EXPECT_EQ(machine.PeekValue<uint32_t>(0x7fc), 0x02000015u);
  ASSERT_EQ(machine.Run({0xca, 0x04, 0x00}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.emul.rip, 0x15u);
  EXPECT_EQ(machine.segs[VLM_EMUL_CS].sel, 0x200);
  EXPECT_EQ(machine.reg(kRsp), 0x804u);
}

TEST_F(SystemTest, ProtectedModeSegments) {
  FakeMachine machine(VLM_EMUL_PROT32);
  AddGdt(machine);
  machine.reg(kRax) = 0x10;
  ASSERT_EQ(machine.Run({0x8e, 0xd8}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.segs[VLM_EMUL_DS].base, 0x12345678u);
  EXPECT_EQ(machine.segs[VLM_EMUL_DS].limit, 0xffffffffu);
  EXPECT_EQ(machine.segs[VLM_EMUL_DS].ar, 0xc093u);
  EXPECT_EQ(machine.PeekValue<uint8_t>(kGdt + 0x15), 0x93);  // accessed
  machine.reg(kRax) = 0x18;
  ExpectFault(machine, {0x8e, 0xd8}, kNp, 0x18);
  ExpectFault(machine, {0x8e, 0xd0}, kSs, 0x18);
  machine.reg(kRax) = 0x28;
  ExpectFault(machine, {0x8e, 0xd8}, kGp, 0x28);  // not a segment of memory
  machine.reg(kRax) = 0x40;
  ExpectFault(machine, {0x8e, 0xd8}, kGp, 0x40);
  machine.reg(kRax) = 0x80;
  ExpectFault(machine, {0x8e, 0xd8}, kGp, 0x80);  // beyond the limit
  machine.reg(kRax) = 0;
  ExpectFault(machine, {0x8e, 0xd0}, kGp, 0);
  ASSERT_EQ(machine.Run({0x8e, 0xc0}), VLM_EMUL_DONE);
  EXPECT_TRUE(machine.segs[VLM_EMUL_ES].ar & VLM_EMUL_AR_UNUSABLE);
  ExpectFault(machine, {0x8e, 0xc8}, kUd, std::nullopt);  // mov cs
}

TEST_F(SystemTest, AccessedBitMayLoseARace) {
  FakeMachine machine(VLM_EMUL_PROT32);
  AddGdt(machine);
  machine.reg(kRax) = 0x10;
  machine.lose_races = 2;
  ASSERT_EQ(machine.Run({0x8e, 0xd8}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.PeekValue<uint8_t>(kGdt + 0x15), 0x93);
  machine.reg(kRax) = 0x28;
  machine.lose_races = 4;
  EXPECT_EQ(machine.Run({0x0f, 0x00, 0xd8}), VLM_EMUL_UNHANDLED);
}

TEST_F(SystemTest, PrivilegeOfSegments) {
  FakeMachine machine(VLM_EMUL_PROT32);
  AddGdt(machine);
  machine.emul.cpl = 3;
  machine.reg(kRax) = 0x13;
  ExpectFault(machine, {0x8e, 0xd8}, kGp, 0x10);
  machine.reg(kRax) = 0x3b;
  ASSERT_EQ(machine.Run({0x8e, 0xd8}), VLM_EMUL_DONE);
  ASSERT_EQ(machine.Run({0x8e, 0xd0}), VLM_EMUL_DONE);
  machine.reg(kRax) = 0x38;  // RPL differs
  ExpectFault(machine, {0x8e, 0xd0}, kGp, 0x38);
}

TEST_F(SystemTest, FarJumpFromRealModeCodeToProtected) {
  FakeMachine machine(VLM_EMUL_PROT16);  // CR0.PE was just set
  AddGdt(machine);
  ASSERT_EQ(machine.Run({0x66, 0xea, 0x00, 0x20, 0, 0, 0x08, 0}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.emul.rip, 0x2000u);
  EXPECT_EQ(machine.segs[VLM_EMUL_CS].sel, 8);
  EXPECT_EQ(machine.segs[VLM_EMUL_CS].ar, 0xc09bu);
  machine.SetMode(VLM_EMUL_PROT32);
  ExpectFault(machine, {0xea, 0, 0, 0, 0, 0x10, 0}, kGp, 0x10);
  ExpectFault(machine, {0xea, 0, 0, 0, 0, 0x02, 0}, kGp, 0);
  EXPECT_EQ(machine.Run({0xea, 0, 0, 0, 0, 0x28, 0}), VLM_EMUL_UNHANDLED);  // a task
  machine.emul.efer = 1u << 10;
  ASSERT_EQ(machine.Run({0xea, 0, 0x20, 0, 0, 0x20, 0}), VLM_EMUL_DONE);
  EXPECT_EQ(vlm_emul_mode_of(machine.emul.cr0, machine.emul.efer, machine.emul.rflags,
                             machine.segs[VLM_EMUL_CS].ar),
            VLM_EMUL_LONG64);
}

TEST_F(SystemTest, ModesAreTold) {
  EXPECT_EQ(vlm_emul_mode_of(0, 0, 2, 0x9b), VLM_EMUL_REAL);
  EXPECT_EQ(vlm_emul_mode_of(1, 0, 2, 0x9b), VLM_EMUL_PROT16);
  EXPECT_EQ(vlm_emul_mode_of(1, 0, 2, 0x409b), VLM_EMUL_PROT32);
  EXPECT_EQ(vlm_emul_mode_of(1, 0, 0x20002, 0xf3), VLM_EMUL_VM86);
  EXPECT_EQ(vlm_emul_mode_of(1, 1u << 10, 2, 0xa09b), VLM_EMUL_LONG64);
  EXPECT_EQ(vlm_emul_mode_of(1, 1u << 10, 2, 0xc09b), VLM_EMUL_PROT32);
}

TEST_F(SystemTest, ControlRegisters) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.reg(kRbx) = 0x80000011;
  ASSERT_EQ(machine.Run({0x0f, 0x22, 0xc3}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.cr[0], 0x80000011u);
  ASSERT_EQ(machine.Run({0x44, 0x0f, 0x22, 0xc3}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.cr[8], 0x80000011u);
  machine.cr[2] = 0x1122334455667788;
  ASSERT_EQ(machine.Run({0x0f, 0x20, 0xd0}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRax), 0x1122334455667788u);
  ExpectFault(machine, {0x0f, 0x20, 0xc8}, kUd, std::nullopt);  // cr1
  ExpectFault(machine, {0x0f, 0x22, 0xe8}, kUd, std::nullopt);  // cr5
  machine.reg(kRbx) = 1ull << 40;
  machine.emul.cpl = 3;
  ExpectFault(machine, {0x0f, 0x22, 0xc3}, kGp, 0);
}

TEST_F(SystemTest, LmswSetsButDoesNotClearPe) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.reg(kRax) = 0x0b;
  ASSERT_EQ(machine.Run({0x0f, 0x01, 0xf0}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.cr[0], 0x0bu);
  machine.emul.cr0 = 0x8000001b;
  machine.reg(kRax) = 0;
  ASSERT_EQ(machine.Run({0x0f, 0x01, 0xf0}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.cr[0], 0x80000011u);
  ASSERT_EQ(machine.Run({0x0f, 0x06}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.cr[0], 0x80000013u);  // clts
  ASSERT_EQ(machine.Run({0x0f, 0x01, 0xe3}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRbx), 0x001bu);  // smsw bx
}

TEST_F(SystemTest, DebugRegisters) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.reg(kRax) = 0x400;
  ASSERT_EQ(machine.Run({0x0f, 0x23, 0xe8}), VLM_EMUL_DONE);  // dr5 is dr7
  EXPECT_EQ(machine.dr[7], 0x400u);
  machine.emul.cr4 |= 8;
  ExpectFault(machine, {0x0f, 0x23, 0xe8}, kUd, std::nullopt);
  machine.reg(kRax) = 1ull << 32;
  ExpectFault(machine, {0x0f, 0x23, 0xf8}, kGp, 0);
}

TEST_F(SystemTest, DescriptorTables) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.Map(0x4000);
  machine.Poke(0x4000, std::initializer_list<uint8_t>{0xff, 0x03, 0x78, 0x56, 0x34, 0x12});
  ASSERT_EQ(machine.Run({0x0f, 0x01, 0x16, 0x00, 0x40}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.gdt.limit, 0x3ff);
  EXPECT_EQ(machine.gdt.base, 0x345678u);  // 24 bits with 16-bit operands
  ASSERT_EQ(machine.Run({0x66, 0x0f, 0x01, 0x1e, 0x00, 0x40}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.idt.base, 0x12345678u);
  FakeMachine wide(VLM_EMUL_LONG64);
  wide.Map(0x4000);
  wide.reg(kRsi) = 0x4000;
  wide.gdt = {0xffff800012345678, 0x7f};
  ASSERT_EQ(wide.Run({0x0f, 0x01, 0x06}), VLM_EMUL_DONE);
  EXPECT_EQ(wide.PeekValue<uint16_t>(0x4000), 0x7f);
  EXPECT_EQ(wide.PeekValue<uint64_t>(0x4002), 0xffff800012345678u);
  wide.PokeValue<uint64_t>(0x4002, 0x8000000000000000);
  ExpectFault(wide, {0x0f, 0x01, 0x16}, kGp, 0);
}

TEST_F(SystemTest, TaskRegister) {
  FakeMachine machine(VLM_EMUL_PROT32);
  AddGdt(machine);
  machine.reg(kRax) = 0x28;
  ASSERT_EQ(machine.Run({0x0f, 0x00, 0xd8}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.segs[VLM_EMUL_TR].base, 0x4000u);
  EXPECT_EQ(machine.segs[VLM_EMUL_TR].ar, 0x8bu);
  EXPECT_EQ(machine.PeekValue<uint8_t>(kGdt + 0x2d), 0x8b);
  ExpectFault(machine, {0x0f, 0x00, 0xd8}, kGp, 0x28);  // busy
  machine.reg(kRax) = 0x10;
  ExpectFault(machine, {0x0f, 0x00, 0xd0}, kGp, 0x10);
  FakeMachine real(VLM_EMUL_REAL);
  ExpectFault(real, {0x0f, 0x00, 0xd8}, kUd, std::nullopt);
}

TEST_F(SystemTest, PrivilegedInstructions) {
  FakeMachine machine(VLM_EMUL_PROT32);
  machine.emul.cpl = 3;
  machine.Map(0x4000);
  machine.reg(kRsi) = 0x4000;
  ExpectFault(machine, {0xf4}, kGp, 0);
  ExpectFault(machine, {0x0f, 0x06}, kGp, 0);
  ExpectFault(machine, {0x0f, 0x09}, kGp, 0);
  ExpectFault(machine, {0x0f, 0x30}, kGp, 0);
  ExpectFault(machine, {0x0f, 0x32}, kGp, 0);
  ExpectFault(machine, {0x0f, 0x01, 0x3e}, kGp, 0);
  ExpectFault(machine, {0xfa}, kGp, 0);
  machine.emul.cr4 |= 1u << 11;
  ExpectFault(machine, {0x0f, 0x01, 0xe0}, kGp, 0);  // smsw with UMIP
  machine.emul.cpl = 0;
  ASSERT_EQ(machine.Run({0xf4}), VLM_EMUL_DONE);
  EXPECT_TRUE(machine.emul.out.halted);
  ASSERT_EQ(machine.Run({0x0f, 0x01, 0x3e}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.invalidated, std::vector<uint64_t>{0x4000});
}

TEST_F(SystemTest, ModelSpecificRegistersAndCpuid) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.reg(kRcx) = 0xc0000080;
  machine.reg(kRax) = 0xffffffff00000d01;
  machine.reg(kRdx) = 0xffffffff00000002;
  ASSERT_EQ(machine.Run({0x0f, 0x30}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.msr[0xc0000080], 0x200000d01u);
  ASSERT_EQ(machine.Run({0x0f, 0x32}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRax), 0xd01u);
  EXPECT_EQ(machine.reg(kRdx), 2u);
  machine.reg(kRax) = 7;
  machine.reg(kRcx) = 1;
  ASSERT_EQ(machine.Run({0x0f, 0xa2}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRbx), 8u);
  EXPECT_EQ(machine.reg(kRdx), 3u);
}

TEST_F(SystemTest, PopfObeysPrivilege) {
  FakeMachine machine(VLM_EMUL_PROT32);
  machine.Map(0x4000);
  machine.emul.cpl = 3;
  machine.reg(kRsp) = 0x4800;
  machine.PokeValue<uint32_t>(0x4800, 0xffffffff);
  ASSERT_EQ(machine.Run({0x9d}), VLM_EMUL_DONE);
  EXPECT_FALSE(machine.emul.rflags & (kIf | kIopl | kRf | 1u << 17));
  EXPECT_TRUE(machine.emul.rflags & kAc);
  machine.emul.cpl = 0;
  machine.emul.rflags = 2;
  machine.reg(kRsp) = 0x4800;
  ASSERT_EQ(machine.Run({0x9d}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.emul.rflags, 0x247fd7u);
}

TEST_F(SystemTest, Virtual8086NeedsIopl3) {
  FakeMachine machine(VLM_EMUL_VM86);
  machine.Map(0x4000);
  machine.reg(kRsp) = 0x4800;
  ExpectFault(machine, {0x9c}, kGp, 0);
  ExpectFault(machine, {0x9d}, kGp, 0);
  ExpectFault(machine, {0xfa}, kGp, 0);
  machine.emul.rflags |= kIopl;
  EXPECT_EQ(machine.Run({0x9c}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.PeekValue<uint16_t>(0x47fe), 0x3002);
  EXPECT_EQ(machine.Run({0xfa}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.Run({0xcd, 0x10}), VLM_EMUL_UNHANDLED);
}

TEST_F(SystemTest, DivideError) {
  FakeMachine machine(VLM_EMUL_LONG64);
  ExpectFault(machine, {0xf7, 0xf3}, 0, std::nullopt);
}

}  // namespace
}  // namespace vmm
