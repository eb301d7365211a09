// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory/guest_memory.h"

#include <gtest/gtest.h>

#include <array>

namespace vmm {
namespace {

TEST(LayoutRamTest, LeavesTheHoleBelow4GiB) {
  auto ranges = LayoutRam(256ull << 20);
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].gpa, 0u);
  EXPECT_EQ(ranges[0].size, 256ull << 20);
  ranges = LayoutRam(kHoleStart);
  ASSERT_EQ(ranges.size(), 1u);
  ranges = LayoutRam(kHoleStart + kPageSize);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].size, kHoleStart);
  EXPECT_EQ(ranges[1].gpa, kHoleEnd);
  EXPECT_EQ(ranges[1].size, kPageSize);
}

TEST(LayoutRamTest, FixedThingsLieOutsideOfRam) {
  for (const RamRange& range : LayoutRam(64ull << 30)) {
    for (const uint64_t address :
         {kIoApicBase, kLocalApicBase, kIdentityMapAddress, kTssAddress, kTssAddress + 0x2fff})
      EXPECT_FALSE(address >= range.gpa && address < range.gpa + range.size) << address;
  }
  // The boot data of the first MiB does not overlap.
  EXPECT_LE(kGdtAddress + 6 * 8, kPvhInfoAddress);
  EXPECT_LE(kPvhInfoAddress + kPageSize, kZeroPageAddress);
  EXPECT_LE(kZeroPageAddress + kPageSize, kPageTableAddress);
  EXPECT_LE(kPageTableAddress + 6 * kPageSize, kCmdlineAddress);
  EXPECT_LE(kCmdlineAddress + kCmdlineMax, kLowRamEnd);
}

TEST(CheckMemorySizeTest, RefusesTooLittleAndRoundsDown) {
  EXPECT_EQ(CheckMemorySize(0).error().kind, ErrorKind::kMemory);
  EXPECT_FALSE(CheckMemorySize(kMinMemory - 1));
  EXPECT_EQ(CheckMemorySize(kMinMemory + 123).value(), kMinMemory);
}

TEST(GuestMemoryTest, ChecksBounds) {
  auto memory = GuestMemory::Create(kMinMemory);
  ASSERT_TRUE(memory);
  std::array<uint8_t, 4> data = {1, 2, 3, 4};
  EXPECT_TRUE(memory->Write(0, data));
  EXPECT_TRUE(memory->Write(kMinMemory - 4, data));
  EXPECT_FALSE(memory->Write(kMinMemory - 3, data));
  EXPECT_FALSE(memory->Write(kMinMemory, data));
  EXPECT_FALSE(memory->Write(~0ull, data));
  EXPECT_FALSE(memory->Write(~0ull - 2, data));
  EXPECT_TRUE(memory->At(kMinMemory - 8, 9).empty());
  EXPECT_EQ(memory->At(kMinMemory - 4, 4)[3], 4);
  EXPECT_TRUE(memory->At(0, ~0ull).empty());
}

TEST(GuestMemoryTest, PutsTheRestAbove4GiB) {
  auto memory = GuestMemory::Create(kHoleStart + (64 << 20));  // reserved, hardly touched
  ASSERT_TRUE(memory);
  std::array<uint8_t, 2> data = {8, 9};
  EXPECT_FALSE(memory->Write(kHoleStart, data));
  EXPECT_FALSE(memory->Write(kHoleStart - 1, data));  // no access across the edge
  EXPECT_TRUE(memory->Write(kHoleEnd, data));
  EXPECT_EQ(memory->At(kHoleEnd, 2).data(), memory->At(0, 1).data() + kHoleStart);
  EXPECT_FALSE(memory->Write(kHoleEnd + (64 << 20) - 1, data));
}

TEST(GuestMemoryTest, FailsWithAReason) {
  auto memory = GuestMemory::Create(1ull << 61);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().kind, ErrorKind::kMemory);
  EXPECT_FALSE(memory.error().why.empty());
}

}  // namespace
}  // namespace vmm
