// SPDX-License-Identifier: GPL-2.0-or-later
// Modes and access rules of the local APIC: SDM "Local APIC State Transitions", "x2APIC".
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "chips.h"

namespace vmm {
namespace {

constexpr uint64_t kDisabled = 0xfee00000;
constexpr uint64_t kXapic = kDisabled | VLM_APIC_BASE_ENABLE;
constexpr uint64_t kInvalid = kDisabled | VLM_APIC_BASE_X2APIC;
constexpr uint64_t kX2apic = kXapic | VLM_APIC_BASE_X2APIC;

TEST(LapicBase, Transitions) {
  struct Case {
    uint64_t from, to;
    bool guest, host;
  };
  constexpr Case kCases[] = {
      {kXapic, kX2apic, true, true},       {kXapic, kDisabled, true, true},
      {kXapic, kInvalid, false, false},    {kX2apic, kXapic, false, true},
      {kX2apic, kDisabled, true, true},    {kX2apic, kInvalid, false, false},
      {kDisabled, kXapic, true, true},     {kDisabled, kX2apic, false, true},
      {kDisabled, kInvalid, false, false},
  };
  for (const Case& c : kCases) {
    for (bool host : {false, true}) {
      Lapic apic;
      vlm_lapic_fx fx{};
      ASSERT_EQ(0, vlm_lapic_regs_set_base(apic.regs(), c.from, true, &fx));
      int want = (host ? c.host : c.guest) ? 0 : -EINVAL;
      EXPECT_EQ(want, vlm_lapic_regs_set_base(apic.regs(), c.to, host, &fx))
          << std::hex << c.from << " to " << c.to << " host " << host;
      EXPECT_EQ(want ? c.from : c.to, apic.regs()->base);
    }
  }
}

TEST(LapicBase, ReservedBits) {
  for (uint32_t bit = 0; bit < 64; bit++) {
    bool known = (bit >= 12 && bit < 52) || bit == 8 || bit == 10 || bit == 11;
    Lapic apic;
    vlm_lapic_fx fx{};
    EXPECT_EQ(known ? 0 : -EINVAL,
              vlm_lapic_regs_set_base(apic.regs(), VLM_APIC_BASE_ENABLE | 1ull << bit, true, &fx))
        << bit;
  }
}

TEST(LapicBase, GuestReenableIsLikePowerUp) {
  Lapic apic(4);
  vlm_lapic_fx fx{};
  apic.Enable();
  apic.Write(VLM_LAPIC_ID, 0x55u << 24);
  apic.Write(VLM_LAPIC_TMICT, 1000);
  ASSERT_EQ(0, vlm_lapic_regs_set_base(apic.regs(), kDisabled, false, &fx));
  EXPECT_EQ(0u, apic.regs()->timer_expiry);
  EXPECT_TRUE(fx.flags & VLM_LAPIC_FX_TIMER);
  ASSERT_EQ(0, vlm_lapic_regs_set_base(apic.regs(), kXapic, false, &fx));
  EXPECT_EQ(4u << 24, apic.Read(VLM_LAPIC_ID));
  EXPECT_EQ(0xffu, apic.Read(VLM_LAPIC_SVR));
}

TEST(LapicBase, HostTransitionsKeepRegisters) {
  Lapic apic(4);
  vlm_lapic_fx fx{};
  apic.Enable();
  apic.Write(VLM_LAPIC_TPR, 0x30);
  for (uint64_t base : {kX2apic, kXapic, kDisabled, kX2apic}) {
    ASSERT_EQ(0, vlm_lapic_regs_set_base(apic.regs(), base, true, &fx));
    EXPECT_EQ(0x30u, vlm_lapic_reg(apic.regs(), VLM_LAPIC_TPR));
  }
  EXPECT_EQ(4u, apic.Read(VLM_LAPIC_ID));
}

const std::set<uint32_t> kX2apicReadable = {
    0x02, 0x03, 0x08, 0x0a, 0x0d, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
    0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25,
    0x26, 0x27, 0x28, 0x30, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e,
};
const std::set<uint32_t> kX2apicWritable = {
    0x08, 0x0b, 0x0f, 0x28, 0x30, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x3e, 0x3f,
};

TEST(LapicX2apic, MsrAccessRules) {
  Lapic apic;
  apic.EnterX2apic();
  for (uint32_t index = 0; index < 0x100; index++) {
    u64 value = 0;
    vlm_lapic_fx fx{};
    EXPECT_EQ(kX2apicReadable.count(index) ? 0 : -EINVAL,
              vlm_lapic_regs_msr_read(apic.regs(), index, apic.now, &value))
        << std::hex << index;
    EXPECT_EQ(kX2apicWritable.count(index) ? 0 : -EINVAL,
              vlm_lapic_regs_msr_write(apic.regs(), index, 0, apic.now, &fx))
        << std::hex << index;
    // Bits 63:32 are reserved everywhere but in the ICR.
    EXPECT_EQ(index == 0x30 ? 0 : -EINVAL,
              vlm_lapic_regs_msr_write(apic.regs(), index, 1ull << 32, apic.now, &fx))
        << std::hex << index;
  }
}

TEST(LapicX2apic, MsrsFaultOutsideTheMode) {
  Lapic apic;
  u64 value;
  vlm_lapic_fx fx{};
  EXPECT_EQ(-EINVAL, vlm_lapic_regs_msr_read(apic.regs(), 0x02, apic.now, &value));
  EXPECT_EQ(-EINVAL, vlm_lapic_regs_msr_write(apic.regs(), 0x08, 0, apic.now, &fx));
}

TEST(LapicX2apic, IcrIs64Bits) {
  Lapic apic;
  apic.EnterX2apic();
  vlm_lapic_fx fx{};
  ASSERT_EQ(0, vlm_lapic_regs_msr_write(apic.regs(), 0x30, 0x12345678000044fdull, apic.now, &fx));
  ASSERT_TRUE(fx.flags & VLM_LAPIC_FX_IPI);
  EXPECT_EQ(0x12345678u, fx.ipi.dest);
  EXPECT_EQ(1, fx.ipi.wide);
  u64 value;
  ASSERT_EQ(0, vlm_lapic_regs_msr_read(apic.regs(), 0x30, apic.now, &value));
  EXPECT_EQ(0x12345678000044fdull, value);
  for (uint32_t bit : {13u, 16u, 17u, 20u, 31u}) {
    EXPECT_EQ(-EINVAL,
              vlm_lapic_regs_msr_write(apic.regs(), 0x30, 0x40fd | 1ull << bit, apic.now, &fx))
        << bit;
  }
}

TEST(LapicX2apic, SelfIpi) {
  Lapic apic;
  apic.EnterX2apic();
  vlm_lapic_fx fx{};
  ASSERT_EQ(0, vlm_lapic_regs_msr_write(apic.regs(), 0x3f, 0x77, apic.now, &fx));
  EXPECT_TRUE(fx.flags & VLM_LAPIC_FX_IPI);
  EXPECT_EQ(VLM_APIC_TO_SELF, fx.ipi.shorthand);
  EXPECT_EQ(VLM_APIC_FIXED, fx.ipi.mode);
  EXPECT_EQ(0x77, fx.ipi.vector);
  EXPECT_EQ(-EINVAL, vlm_lapic_regs_msr_write(apic.regs(), 0x3f, 0x177, apic.now, &fx));
}

TEST(LapicX2apic, EsrTakesZeroOnly) {
  Lapic apic;
  apic.EnterX2apic();
  vlm_lapic_fx fx{};
  EXPECT_EQ(-EINVAL, vlm_lapic_regs_msr_write(apic.regs(), 0x28, 1, apic.now, &fx));
}

TEST(LapicXapic, AccessShapes) {
  Lapic apic(0x5a);
  uint8_t data[8];
  struct Case {
    uint32_t offset, len;
    uint32_t want;
  };
  constexpr Case kReads[] = {
      {0x20, 4, 0x5a000000}, {0x23, 1, 0x5a}, {0x22, 2, 0x5a00}, {0x20, 1, 0x00},
      {0x24, 4, 0},          {0x22, 4, 0},    {0x20, 8, 0},
  };
  for (const Case& c : kReads) {
    memset(data, 0xcc, sizeof(data));
    vlm_lapic_regs_mmio_read(apic.regs(), c.offset, c.len, apic.now, data);
    uint32_t got = 0;
    memcpy(&got, data, c.len < 4 ? c.len : 4);
    EXPECT_EQ(c.want, got) << std::hex << c.offset << " " << c.len;
  }
  // Writes are 32 bits at the register's own address or nothing.
  vlm_lapic_fx fx{};
  u64 value = 0x70;
  for (uint32_t len : {1u, 2u, 8u}) {
    vlm_lapic_regs_mmio_write(apic.regs(), VLM_LAPIC_TPR, len, apic.now, &value, &fx);
    EXPECT_EQ(0u, apic.Read(VLM_LAPIC_TPR));
  }
  vlm_lapic_regs_mmio_write(apic.regs(), VLM_LAPIC_TPR + 4, 4, apic.now, &value, &fx);
  EXPECT_EQ(0u, apic.Read(VLM_LAPIC_TPR));
  vlm_lapic_regs_mmio_write(apic.regs(), VLM_LAPIC_TPR, 4, apic.now, &value, &fx);
  EXPECT_EQ(0x70u, apic.Read(VLM_LAPIC_TPR));
}

TEST(LapicXapic, WholePageIsSafe) {
  Lapic apic;
  for (uint32_t offset = 0; offset < VLM_LAPIC_PAGE_BYTES; offset++) {
    u64 value = ~0ull;
    vlm_lapic_fx fx{};
    vlm_lapic_regs_mmio_read(apic.regs(), offset, 4, apic.now, &value);
    value = ~0ull;
    vlm_lapic_regs_mmio_write(apic.regs(), offset, 4, apic.now, &value, &fx);
  }
}

TEST(LapicXapic, SelfIpiRegisterDoesNotExist) {
  Lapic apic;
  vlm_lapic_fx fx{};
  EXPECT_EQ(-EINVAL, vlm_lapic_regs_write(apic.regs(), VLM_LAPIC_SELF_IPI, 0x77, apic.now, &fx));
}

}  // namespace
}  // namespace vmm
