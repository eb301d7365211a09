// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus/bus.h"

#include <gtest/gtest.h>

#include <array>

namespace vmm {
namespace {

struct Recorder {
  uint64_t last_offset = ~0ull;
  size_t last_size = 0;
  uint8_t value = 0x5a;
  void Read(uint64_t offset, std::span<uint8_t> data) {
    last_offset = offset;
    last_size = data.size();
    for (uint8_t& byte : data) byte = value;
  }
  void Write(uint64_t offset, std::span<const uint8_t> data) {
    last_offset = offset;
    last_size = data.size();
    value = data[0];
  }
};
static_assert(BusDevice<Recorder>);
static_assert(!BusDevice<int>);

TEST(BusTest, RoutesByAddress) {
  Bus bus;
  Recorder low, high;
  ASSERT_TRUE(bus.Attach(0x3f8, 8, &low));
  ASSERT_TRUE(bus.Attach(0x400, 1, &high));
  std::array<uint8_t, 1> byte = {7};
  EXPECT_TRUE(bus.Write(0x3fb, byte));
  EXPECT_EQ(low.last_offset, 3u);
  EXPECT_EQ(low.value, 7);
  EXPECT_TRUE(bus.Read(0x400, byte));
  EXPECT_EQ(high.last_offset, 0u);
  EXPECT_EQ(byte[0], 0x5a);
}

TEST(BusTest, UnclaimedReadsAreAllOnes) {
  Bus bus;
  Recorder device;
  ASSERT_TRUE(bus.Attach(0x100, 4, &device));
  for (const uint64_t address : {0xffull, 0x104ull, 0ull, ~0ull}) {
    std::array<uint8_t, 1> byte = {0};
    EXPECT_FALSE(bus.Read(address, byte)) << address;
    EXPECT_EQ(byte[0], 0xff);
    EXPECT_FALSE(bus.Write(address, byte));
  }
  // An access that hangs over the end belongs to nobody.
  std::array<uint8_t, 4> wide = {};
  EXPECT_FALSE(bus.Read(0x102, wide));
  EXPECT_EQ(wide, (std::array<uint8_t, 4>{0xff, 0xff, 0xff, 0xff}));
  EXPECT_EQ(device.last_offset, ~0ull);
}

TEST(BusTest, RefusesOverlapEmptinessAndWrap) {
  Bus bus;
  Recorder device;
  ASSERT_TRUE(bus.Attach(0x100, 0x10, &device));
  EXPECT_FALSE(bus.Attach(0x10f, 1, &device));
  EXPECT_FALSE(bus.Attach(0xf8, 9, &device));
  EXPECT_FALSE(bus.Attach(0x0, 0x1000, &device));
  EXPECT_FALSE(bus.Attach(0x200, 0, &device));
  EXPECT_FALSE(bus.Attach(~0ull, 2, &device));
  EXPECT_TRUE(bus.Attach(0x110, 1, &device));
  EXPECT_TRUE(bus.Attach(0xff, 1, &device));
  EXPECT_TRUE(bus.Attach(~0ull, 1, &device));
  std::array<uint8_t, 1> byte = {};
  EXPECT_TRUE(bus.Read(~0ull, byte));
}

}  // namespace
}  // namespace vmm
