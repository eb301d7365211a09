// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/cpuid.h"

#include <gtest/gtest.h>

#include <cmath>

namespace vmm {
namespace {

std::vector<kvm_cpuid_entry2> Supported() {
  std::vector<kvm_cpuid_entry2> table;
  const auto add = [&](uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
                       uint32_t edx) {
    kvm_cpuid_entry2 entry = {};
    entry.function = function;
    entry.index = index;
    entry.eax = eax;
    entry.ebx = ebx;
    entry.ecx = ecx;
    entry.edx = edx;
    table.push_back(entry);
  };
  add(0, 0, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69);
  add(1, 0, 0x50654, 0xff050800, 0x01000000, 0x10000000);
  add(4, 0, 0x1c004121, 0, 0, 0);
  add(4, 3, 0x1c03c163, 0, 0, 0);
  add(0xb, 0, 0, 0, 0, 0);
  add(0x80000008, 0, 0x3028, 0, 0, 0);
  return table;
}

const kvm_cpuid_entry2& Find(const std::vector<kvm_cpuid_entry2>& table, uint32_t function,
                             uint32_t index = 0) {
  for (const auto& entry : table)
    if (entry.function == function && entry.index == index) return entry;
  ADD_FAILURE() << "no leaf " << function;
  return table.front();
}

TEST(CpuidTest, IdentityAndTopology) {
  for (uint32_t cpu = 0; cpu < 6; ++cpu) {
    const auto table = MakeCpuid(Supported(), {cpu, 6, 0, true});
    EXPECT_EQ(Find(table, 1).ebx >> 24, cpu);
    EXPECT_EQ(Find(table, 1).ebx >> 16 & 0xff, 6u);
    EXPECT_EQ(Find(table, 0xb, 0).edx, cpu);
    EXPECT_EQ(Find(table, 0xb, 1).edx, cpu);
    EXPECT_EQ(Find(table, 0xb, 0).ecx >> 8, 1u);
    EXPECT_EQ(Find(table, 0xb, 1).ecx >> 8, 2u);
    EXPECT_EQ(Find(table, 0xb, 1).ebx, 6u);
    EXPECT_EQ(Find(table, 0xb, 1).eax, 3u);
    EXPECT_EQ(Find(table, 4, 0).eax >> 14 & 0xfff, 0u);
    EXPECT_EQ(Find(table, 4, 3).eax >> 14 & 0xfff, 5u);
    EXPECT_EQ(Find(table, 4, 0).eax >> 26, 5u);
  }
}

TEST(CpuidTest, SingleCpu) {
  const auto table = MakeCpuid(Supported(), {0, 1, 0, false});
  EXPECT_EQ(Find(table, 1).edx & (1u << 28), 0u);
  EXPECT_EQ(Find(table, 1).ecx, 1u << 31);  // hypervisor, and no deadline timer
  EXPECT_EQ(Find(table, 0xb, 1).eax, 0u);
  EXPECT_EQ(Find(table, 0).eax, 0xdu);
}

TEST(CpuidTest, ClockLeaves) {
  const auto table = MakeCpuid(Supported(), {0, 1, 2600000, true});
  EXPECT_EQ(Find(table, 0).eax, 0x16u);
  const auto& tsc = Find(table, 0x15);
  EXPECT_EQ(tsc.ecx, 1000000000u);
  EXPECT_NEAR(1e6 * tsc.ebx / tsc.eax, 2600000, 1);
  EXPECT_EQ(Find(table, 0x16).eax, 2600u);
  EXPECT_NE(Find(table, 1).ecx & (1u << 24), 0u);
}

TEST(CpuidTest, ClockLeavesAreForIntelOnly) {
  auto supported = Supported();
  supported[0].ebx = 0x68747541;
  const auto table = MakeCpuid(supported, {0, 1, 2600000, true});
  for (const auto& entry : table) EXPECT_NE(entry.function, 0x15u);
}

TEST(CpuidTest, RatioIsCloseAndFits) {
  for (const uint32_t khz : {1u, 999u, 100000u, 1000000u, 2394374u, 3499912u, 5800001u, 9999999u}) {
    const ClockRatio ratio = TscRatio(khz);
    EXPECT_LT(ratio.numerator, 4295u);
    ASSERT_GT(ratio.denominator, 0u);
    const double got = 1e6 * ratio.numerator / ratio.denominator;
    EXPECT_LT(std::abs(got - khz) / khz, 5e-5) << khz;
  }
}

TEST(CpuidTest, AddressBits) {
  EXPECT_EQ(PhysicalAddressBits(Supported()), 40u);
  EXPECT_EQ(PhysicalAddressBits({}), 36u);
}

}  // namespace
}  // namespace vmm
