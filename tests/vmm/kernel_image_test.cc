// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/kernel_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "fake_kernel.h"

namespace vmm {
namespace {

using test::Bytes;
using testing::HasSubstr;

class KernelImageTest : public testing::Test {
 protected:
  Expected<KernelImage> Open(const Bytes& bytes, bool unpack = true) {
    KernelOptions options;
    options.cache_directory = cache_;
    options.unpack = unpack;
    return KernelImage::Open(folder_.File("kernel", bytes), options);
  }
  std::string Why(const Bytes& bytes) {
    auto kernel = Open(bytes);
    if (kernel) return "none";
    EXPECT_EQ(kernel.error().kind, ErrorKind::kKernel);
    EXPECT_FALSE(kernel.error().what.empty());
    EXPECT_FALSE(kernel.error().hint.empty());
    return kernel.error().why;
  }
  size_t CacheEntries() {
    size_t count = 0;
    std::error_code error;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(cache_, error))
      ++count;
    return count;
  }

  test::TemporaryFolder folder_;
  std::string cache_ = folder_.path() + "/cache/deep";
};

Bytes Text(const std::string& text) { return Bytes(text.begin(), text.end()); }

TEST_F(KernelImageTest, Elf) {
  auto kernel = Open(test::MakeElf());
  ASSERT_TRUE(kernel);
  EXPECT_EQ(kernel->format(), KernelImage::Format::kElf);
  EXPECT_EQ(kernel->description(), "ELF");
  EXPECT_EQ(kernel->Release(), "6.1.0-fake");
  EXPECT_EQ(CacheEntries(), 0u);
}

TEST_F(KernelImageTest, EveryCompressionOfABzImage) {
  const Bytes elf = test::MakeElf();
  for (const auto& [name, payload] : {std::pair<std::string, Bytes>{"gzip", test::Gzip(elf)},
                                      {"xz", test::Xz(elf)},
                                      {"zstd", test::Zstd(elf)},
                                      {"lz4", test::Lz4Legacy(elf)}}) {
    const Bytes image = test::MakeBzImage(payload);
    auto kernel = Open(image);
    ASSERT_TRUE(kernel) << name << kernel.error().why;
    EXPECT_EQ(kernel->format(), KernelImage::Format::kElf);
    EXPECT_EQ(kernel->description(), "bzImage (" + name + ")");
    EXPECT_FALSE(kernel->from_cache());
    EXPECT_EQ(kernel->elf().entry64, 0x1000000u);
    EXPECT_EQ(kernel->Release(), "6.1.0-image");
    auto again = Open(image);
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->from_cache()) << name;
    EXPECT_EQ(again->elf().end, kernel->elf().end);
    EXPECT_EQ(again->Release(), "6.1.0-image");
  }
  EXPECT_EQ(CacheEntries(), 4u);
}

TEST_F(KernelImageTest, CompressedElf) {
  auto kernel = Open(test::Zstd(test::MakeElf()));
  ASSERT_TRUE(kernel);
  EXPECT_EQ(kernel->description(), "ELF (zstd)");
  EXPECT_EQ(kernel->Release(), "6.1.0-fake");
}

TEST_F(KernelImageTest, DamagedCacheEntryIsReplaced) {
  const Bytes image = test::MakeBzImage(test::Zstd(test::MakeElf()));
  ASSERT_TRUE(Open(image));
  const auto entry = std::filesystem::directory_iterator(cache_)->path();
  std::filesystem::resize_file(entry, 100);
  auto kernel = Open(image);
  ASSERT_TRUE(kernel);
  EXPECT_FALSE(kernel->from_cache());
  EXPECT_TRUE(Open(image)->from_cache());
}

TEST_F(KernelImageTest, UnwritableCacheIsNoError) {
  cache_ = "/proc/no/such/place";
  EXPECT_TRUE(Open(test::MakeBzImage(test::Gzip(test::MakeElf()))));
  cache_ = "";
  EXPECT_TRUE(Open(test::MakeBzImage(test::Gzip(test::MakeElf()))));
}

TEST_F(KernelImageTest, CacheKeepsTheNewest) {
  for (uint64_t i = 0; i < 12; ++i) {
    test::FakeElf fake;
    fake.content = 0x1000 + i;
    ASSERT_TRUE(Open(test::MakeBzImage(test::Gzip(test::MakeElf(fake)))));
  }
  EXPECT_LE(CacheEntries(), 8u);
}

TEST_F(KernelImageTest, LeavesUnpackingToTheGuest) {
  auto kernel = Open(test::MakeBzImage(test::Xz(test::MakeElf())), false);
  ASSERT_TRUE(kernel);
  EXPECT_EQ(kernel->format(), KernelImage::Format::kBzImage);
  // Also for formats without a library.
  kernel = Open(test::MakeBzImage(Text("BZh9....")));
  ASSERT_TRUE(kernel);
  EXPECT_EQ(kernel->format(), KernelImage::Format::kBzImage);
  EXPECT_EQ(kernel->description(), "bzImage (bzip2)");
}

TEST_F(KernelImageTest, SaysWhatElseItIs) {
  EXPECT_THAT(Why(Text("070701rest")), HasSubstr("initramfs"));
  EXPECT_THAT(Why(Text("#!/bin/sh\n")), HasSubstr("script"));
  EXPECT_THAT(Why(Text("!<arch>\n")), HasSubstr("archive"));
  EXPECT_THAT(Why(Text("garbage")), HasSubstr("neither a bzImage nor an ELF"));
  EXPECT_THAT(Why(test::Gzip(Text("not a kernel"))), HasSubstr("not an ELF"));
  EXPECT_THAT(Why(test::MakeBzImage(test::Gzip(Text("text")))), HasSubstr("not an ELF"));
}

TEST_F(KernelImageTest, Old32BitKernel) {
  Bytes image = test::MakeBzImage(Text("BZh9...."), 0x0206);
  EXPECT_THAT(Why(image), HasSubstr("32-bit"));
}

TEST_F(KernelImageTest, EveryTruncationIsAnError) {
  for (const Bytes& whole : {test::MakeBzImage(test::Xz(test::MakeElf())),
                             test::MakeBzImage(test::Zstd(test::MakeElf())),
                             test::MakeBzImage(test::Gzip(test::MakeElf()))}) {
    for (size_t size = 1; size + 1 < whole.size();
         size += size < 0x480 ? 13 : whole.size() / 40 + 1) {
      const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_NE(Why(part), "none") << size;
    }
  }
}

TEST_F(KernelImageTest, RandomDamageNeverCrashes) {
  cache_ = "";
  const Bytes whole = test::MakeBzImage(test::Zstd(test::MakeElf()));
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    Bytes damaged = whole;
    const size_t base = round % 2 == 0 ? 0x1f1 : 0;
    const size_t range = round % 2 == 0 ? sizeof(setup_header) : damaged.size();
    for (int i = 0; i < 4; ++i) damaged[base + random() % range] = static_cast<uint8_t>(random());
    static_cast<void>(Open(damaged));
  }
}

TEST(KernelCacheTest, FollowsTheEnvironment) {
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(DefaultKernelCache(), "/x/vellum/kernels");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", "/h", 1);
  EXPECT_EQ(DefaultKernelCache(), "/h/.cache/vellum/kernels");
  unsetenv("HOME");
  EXPECT_EQ(DefaultKernelCache(), "");
}

}  // namespace
}  // namespace vmm
