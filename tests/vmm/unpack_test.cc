// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/unpack.h"

#include <gtest/gtest.h>

#include <random>

#include "fake_kernel.h"

namespace vmm {
namespace {

using test::Bytes;

Bytes Sample(size_t size) {
  Bytes out(size);
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<uint8_t>((i * i) >> 9 ^ i >> 3);
  return out;
}

struct Case {
  Compression compression;
  Bytes (*pack)(const Bytes&);
};

class UnpackTest : public testing::TestWithParam<Case> {};

TEST_P(UnpackTest, RoundTrip) {
  // More than one lz4 block.
  const Bytes original = Sample((8 << 20) + 12345);
  const Bytes packed = GetParam().pack(original);
  ASSERT_EQ(DetectCompression(packed), GetParam().compression);
  auto unpacked = Unpack(packed, GetParam().compression, 64 << 20);
  ASSERT_TRUE(unpacked) << unpacked.error().why;
  EXPECT_EQ(*unpacked, original);
}

TEST_P(UnpackTest, IgnoresWhatFollows) {
  if (GetParam().compression == Compression::kLz4Legacy) GTEST_SKIP();  // has no end mark
  const Bytes original = Sample(5000);
  Bytes packed = GetParam().pack(original);
  const Bytes tail = {0x88, 0x13, 0x00, 0x00};
  packed.insert(packed.end(), tail.begin(), tail.end());
  auto unpacked = Unpack(packed, GetParam().compression, 1 << 20);
  ASSERT_TRUE(unpacked) << unpacked.error().why;
  EXPECT_EQ(*unpacked, original);
}

TEST_P(UnpackTest, StopsAtTheLimit) {
  const Bytes packed = GetParam().pack(Bytes(20 << 20, 0));
  EXPECT_FALSE(Unpack(packed, GetParam().compression, 10 << 20));
}

TEST_P(UnpackTest, TruncationIsAnError) {
  const Bytes original = Sample(100000);
  const Bytes packed = GetParam().pack(original);
  for (size_t size = 6; size + 8 < packed.size(); size += packed.size() / 17) {
    const auto result = Unpack(std::span(packed).first(size), GetParam().compression, 1 << 20);
    if (result) {
      EXPECT_NE(*result, original) << size;
    } else {
      EXPECT_FALSE(result.error().why.empty());
    }
  }
}

TEST_P(UnpackTest, DamageNeverCrashes) {
  const Bytes packed = GetParam().pack(Sample(20000));
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    Bytes damaged = packed;
    for (int i = 0; i < 4; ++i) damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
    static_cast<void>(Unpack(damaged, GetParam().compression, 1 << 20));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, UnpackTest,
                         testing::Values(Case{Compression::kGzip, test::Gzip},
                                         Case{Compression::kXz, test::Xz},
                                         Case{Compression::kZstd, test::Zstd},
                                         Case{Compression::kLz4Legacy, test::Lz4Legacy}),
                         [](const auto& instance) {
                           return std::string(CompressionName(instance.param.compression));
                         });

TEST(DetectCompressionTest, NeedsTheWholeMagic) {
  EXPECT_EQ(DetectCompression({}), Compression::kNone);
  const Bytes part = {0xfd, '7', 'z'};
  EXPECT_EQ(DetectCompression(part), Compression::kNone);
  const Bytes bzip = {'B', 'Z', 'h', '9'};
  EXPECT_EQ(DetectCompression(bzip), Compression::kBzip2);
  EXPECT_FALSE(CanUnpack(Compression::kBzip2));
  EXPECT_FALSE(Unpack(bzip, Compression::kBzip2, 100));
}

}  // namespace
}  // namespace vmm
