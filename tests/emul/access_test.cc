// SPDX-License-Identifier: GPL-2.0-or-later
//
// Operands in memory: page crossings, segments, canonical addresses, and which fault wins.

#include <gtest/gtest.h>

#include "fake_machine.h"

namespace vmm {
namespace {

constexpr uint8_t kSs = 12, kGp = 13, kPageFault = 14, kAlignment = 17;

class AccessTest : public ::testing::Test {
 protected:
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

TEST_F(AccessTest, OperandAcrossPages) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.MapRange(0x4000, 2 * kPageSize);
  machine.PokeValue<uint64_t>(0x4ffd, 0x1122334455667788);
  machine.reg(kRsi) = 0x4ffd;
  ASSERT_EQ(machine.Run({0x48, 0x8b, 0x06}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRax), 0x1122334455667788u);
  machine.reg(kRax) = 0x99;
  ASSERT_EQ(machine.Run({0x48, 0x01, 0x06}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.PeekValue<uint64_t>(0x4ffd), 0x1122334455667821u);
}

TEST_F(AccessTest, SecondPageMissing) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.Map(0x4000);
  machine.reg(kRsi) = 0x4ffd;
  ExpectFault(machine, {0x48, 0x8b, 0x06}, kPageFault, 0);
  EXPECT_EQ(machine.emul.fault.address, 0x5000u);
  ExpectFault(machine, {0x48, 0x89, 0x06}, kPageFault, 2);
  EXPECT_EQ(machine.emul.fault.address, 0x5000u);
}

TEST_F(AccessTest, ReadModifyWriteFaultsAsAWrite) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.Map(0x4000).writable = false;
  machine.reg(kRsi) = 0x4010;
  ExpectFault(machine, {0x01, 0x06}, kPageFault, 3);          // add [rsi], eax
  ExpectFault(machine, {0xf0, 0x01, 0x06}, kPageFault, 3);    // lock add
  ExpectFault(machine, {0x87, 0x06}, kPageFault, 3);          // xchg
  ExpectFault(machine, {0x0f, 0xab, 0x06}, kPageFault, 3);    // bts
  ExpectFault(machine, {0x0f, 0xc7, 0x0e}, kPageFault, 3);    // cmpxchg8b
  ExpectFault(machine, {0xd1, 0x26}, kPageFault, 3);          // shl dword [rsi], 1
  EXPECT_EQ(machine.Run({0x39, 0x06}), VLM_EMUL_DONE);        // cmp only reads
  EXPECT_EQ(machine.Run({0x0f, 0xa3, 0x06}), VLM_EMUL_DONE);  // bt too
}

TEST_F(AccessTest, UserAccessSaysSo) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.emul.cpl = 3;
  machine.Map(0x4000).user = false;
  machine.reg(kRsi) = 0x4000;
  ExpectFault(machine, {0x8b, 0x06}, kPageFault, 5);
}

TEST_F(AccessTest, CodeAcrossPages) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.emul.rip = 0x1ffd;
  ASSERT_EQ(machine.Run({0xb8, 0x11, 0x22, 0x33, 0x44}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRax), 0x44332211u);
  // An instruction that ends with its page does not touch the next one.
  machine.pages.erase(0x2000);
  machine.emul.rip = 0x1ffe;
  machine.Poke(0x1ffe, std::initializer_list<uint8_t>{0xb0, 0x55});
  ASSERT_EQ(machine.Step(), VLM_EMUL_DONE);
  // One that does not end there faults at the start of the next, as a fetch.
  machine.emul.rip = 0x1ffd;
  machine.Poke(0x1ffd, std::initializer_list<uint8_t>{0xb8, 0x11, 0x22});
  ASSERT_EQ(machine.Step(), VLM_EMUL_FAULT);
  EXPECT_EQ(machine.emul.fault.vector, kPageFault);
  EXPECT_EQ(machine.emul.fault.address, 0x2000u);
  EXPECT_EQ(machine.emul.fault.error, 16u);
}

TEST_F(AccessTest, CodeLimit) {
  FakeMachine machine(VLM_EMUL_PROT32);
  machine.segs[VLM_EMUL_CS].limit = 0x1002;
  ExpectFault(machine, {0xb8, 1, 2, 3, 4}, kGp, 0);
  EXPECT_EQ(machine.Run({0x66, 0x89, 0xd8}), VLM_EMUL_DONE);  // ends with the limit
  ExpectFault(machine, {0x90}, kGp, 0);                       // begins after it
}

TEST_F(AccessTest, CanonicalAddresses) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.reg(kRsi) = 0x800000000000;
  ExpectFault(machine, {0x8b, 0x06}, kGp, 0);
  machine.reg(kRsi) = 0x7ffffffffffe;  // the last byte is not canonical
  ExpectFault(machine, {0x8b, 0x06}, kGp, 0);
  machine.reg(kRbp) = 0x800000000000;
  ExpectFault(machine, {0x8b, 0x45, 0x00}, kSs, 0);
  machine.reg(kRsp) = 0x800000000008;
  ExpectFault(machine, {0x50}, kSs, 0);
  machine.emul.cr4 |= 1u << 12;  // 57-bit addresses
  machine.Map(0x800000000000);
  machine.reg(kRsi) = 0x800000000000;
  EXPECT_EQ(machine.Run({0x8b, 0x06}), VLM_EMUL_DONE);
}

TEST_F(AccessTest, OnlyFsAndGsHaveBasesIn64BitMode) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.MapRange(0x4000, 4 * kPageSize);
  machine.segs[VLM_EMUL_DS].base = 0x1000;
  machine.segs[VLM_EMUL_FS].base = 0x2000;
  machine.segs[VLM_EMUL_GS].base = 0x3000;
  for (uint64_t page = 4; page < 8; page++) machine.PokeValue(page << 12, page);
  machine.reg(kRsi) = 0x4000;
  machine.Run({0x3e, 0x8b, 0x06});
  EXPECT_EQ(machine.reg(kRax), 4u);
  machine.Run({0x64, 0x8b, 0x06});
  EXPECT_EQ(machine.reg(kRax), 6u);
  machine.Run({0x65, 0x8b, 0x06});
  EXPECT_EQ(machine.reg(kRax), 7u);
}

TEST_F(AccessTest, RipRelativeCountsTheImmediate) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.MapRange(0x4000, kPageSize);
  // add dword [rip + d], imm32 at 0x1000 has ten bytes.
  ASSERT_EQ(machine.Run({0x81, 0x05, 0xf6, 0x2f, 0, 0, 0x78, 0x56, 0x34, 0x12}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.PeekValue<uint32_t>(0x4000), 0x12345678u);
  // With 32-bit addresses the sum wraps at 4 GiB.
  machine.emul.rip = 0x1000;
  machine.PokeValue<uint32_t>(0x4000, 0);
  ASSERT_EQ(machine.Run({0x67, 0xc6, 0x05, 0xf8, 0x2f, 0, 0, 0x55}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.PeekValue<uint8_t>(0x4000), 0x55);
}

TEST_F(AccessTest, RealModeLimits) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.MapRange(0, 0x12000);
  machine.reg(kRsi) = 0xffff;
  ExpectFault(machine, {0x8b, 0x04}, kGp, std::nullopt);  // mov ax, [si] without error code
  ExpectFault(machine, {0x36, 0x8b, 0x04}, kSs, std::nullopt);
  EXPECT_EQ(machine.Run({0x8a, 0x04}), VLM_EMUL_DONE);
  machine.segs[VLM_EMUL_DS].limit = 0xffffffff;  // unreal mode
  machine.reg(kRsi) = 0x11000;
  machine.PokeValue<uint32_t>(0x11000, 0xdeadbeef);
  ASSERT_EQ(machine.Run({0x67, 0x66, 0x8b, 0x06}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRax), 0xdeadbeefu);
}

TEST_F(AccessTest, SixteenBitOffsetsWrap) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.MapRange(0, 0x10000);
  machine.PokeValue<uint8_t>(0x10, 0x42);
  machine.reg(kRbx) = 0xfff0;
  machine.reg(kRsi) = 0x10;
  ASSERT_EQ(machine.Run({0x8a, 0x40, 0x10}), VLM_EMUL_DONE);  // mov al, [bx+si+16]
  EXPECT_EQ(machine.reg(kRax), 0x42u);
}

TEST_F(AccessTest, ProtectedModeTypes) {
  FakeMachine machine(VLM_EMUL_PROT32);
  machine.MapRange(0x4000, kPageSize);
  machine.reg(kRsi) = 0x4000;
  auto& ds = machine.segs[VLM_EMUL_DS];
  const uint32_t data = ds.ar & ~15u;
  ds.ar = data | 1;  // read-only
  EXPECT_EQ(machine.Run({0x8b, 0x06}), VLM_EMUL_DONE);
  ExpectFault(machine, {0x89, 0x06}, kGp, 0);
  ExpectFault(machine, {0x01, 0x06}, kGp, 0);
  ds.ar = data | 9;  // execute-only code
  ExpectFault(machine, {0x8b, 0x06}, kGp, 0);
  ds.ar = data | 11;  // readable code
  EXPECT_EQ(machine.Run({0x8b, 0x06}), VLM_EMUL_DONE);
  ExpectFault(machine, {0x89, 0x06}, kGp, 0);
  ds.ar |= VLM_EMUL_AR_UNUSABLE;
  ExpectFault(machine, {0x8b, 0x06}, kGp, 0);
  // Code may be read through CS if it is readable, and is never written.
  EXPECT_EQ(machine.Run({0x2e, 0x8b, 0x06}), VLM_EMUL_DONE);
  ExpectFault(machine, {0x2e, 0x89, 0x06}, kGp, 0);
}

TEST_F(AccessTest, ExpandDown) {
  FakeMachine machine(VLM_EMUL_PROT32);
  machine.MapRange(0x3000, 2 * kPageSize);
  auto& ds = machine.segs[VLM_EMUL_DS];
  ds.ar = (ds.ar & ~15u) | 7;
  ds.limit = 0x3fff;
  machine.reg(kRsi) = 0x4000;
  EXPECT_EQ(machine.Run({0x8b, 0x06}), VLM_EMUL_DONE);
  machine.reg(kRsi) = 0x3fff;
  ExpectFault(machine, {0x8b, 0x06}, kGp, 0);
  ds.ar &= ~VLM_EMUL_AR_DB;
  machine.reg(kRsi) = 0xfffe;
  ExpectFault(machine, {0x8b, 0x06}, kGp, 0);
}

TEST_F(AccessTest, SegmentFaultComesBeforePageFault) {
  FakeMachine machine(VLM_EMUL_PROT32);
  machine.segs[VLM_EMUL_DS].limit = 0x3fff;
  machine.reg(kRsi) = 0x3ffe;  // not mapped either
  ExpectFault(machine, {0x8b, 0x06}, kGp, 0);
  machine.reg(kRsi) = 0x3ff0;
  ExpectFault(machine, {0x8b, 0x06}, kPageFault, 0);
}

TEST_F(AccessTest, AlignmentCheck) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.MapRange(0x4000, kPageSize);
  machine.emul.cpl = 3;
  machine.emul.cr0 |= 1u << 18;
  machine.emul.rflags |= kAc;
  machine.reg(kRsi) = 0x4002;
  ExpectFault(machine, {0x8b, 0x06}, kAlignment, 0);
  EXPECT_EQ(machine.Run({0x66, 0x8b, 0x06}), VLM_EMUL_DONE);
  machine.emul.cpl = 0;
  EXPECT_EQ(machine.Run({0x8b, 0x06}), VLM_EMUL_DONE);
}

TEST_F(AccessTest, AlignedSseMoves) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.MapRange(0x4000, kPageSize);
  machine.reg(kRsi) = 0x4008;
  ExpectFault(machine, {0x0f, 0x28, 0x06}, kGp, 0);
  ExpectFault(machine, {0x66, 0x0f, 0x7f, 0x06}, kGp, 0);
  EXPECT_EQ(machine.Run({0x0f, 0x10, 0x06}), VLM_EMUL_DONE);
  machine.emul.cr0 |= 8;
  ExpectFault(machine, {0x0f, 0x10, 0x06}, 7, std::nullopt);
  machine.emul.cr4 = 0;
  ExpectFault(machine, {0x0f, 0x10, 0x06}, 6, std::nullopt);
}

TEST_F(AccessTest, AbsoluteOffsets) {
  FakeMachine machine(VLM_EMUL_LONG64);
  machine.MapRange(0x123456789000, kPageSize);
  machine.PokeValue<uint64_t>(0x123456789010, 0x1122334455667788);
  ASSERT_EQ(machine.Run({0x48, 0xa1, 0x10, 0x90, 0x78, 0x56, 0x34, 0x12, 0, 0}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRax), 0x1122334455667788u);
  FakeMachine real(VLM_EMUL_REAL);
  real.MapRange(0x20000, kPageSize);
  real.segs[VLM_EMUL_ES].base = 0x20000;
  real.reg(kRax) = 0xbeef;
  ASSERT_EQ(real.Run({0x26, 0xa3, 0x34, 0x02}), VLM_EMUL_DONE);
  EXPECT_EQ(real.PeekValue<uint16_t>(0x20234), 0xbeef);
}

}  // namespace
}  // namespace vmm
