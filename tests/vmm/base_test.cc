// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/parse.h"
#include "fake_kernel.h"

namespace vmm {
namespace {

TEST(ParseSizeTest, Accepts) {
  EXPECT_EQ(ParseSize("256M").value(), 256ull << 20);
  EXPECT_EQ(ParseSize("256").value(), 256ull << 20);
  EXPECT_EQ(ParseSize("2G").value(), 2ull << 30);
  EXPECT_EQ(ParseSize("2g").value(), 2ull << 30);
  EXPECT_EQ(ParseSize("1.5G").value(), 3ull << 29);
  EXPECT_EQ(ParseSize("512MiB").value(), 512ull << 20);
  EXPECT_EQ(ParseSize("4096K").value(), 4ull << 20);
  EXPECT_EQ(ParseSize("100B").value(), 100u);
  EXPECT_EQ(ParseSize("1T").value(), 1ull << 40);
  EXPECT_EQ(ParseSize("0").value(), 0u);
}

TEST(ParseSizeTest, Refuses) {
  for (const char* text : {"", "M", "-1", "-1M", "1X", "1MM", "1 M", "nan", "inf", "0x10", "1e30",
                           "99999999999T", "1BB", "12Mi"}) {
    const auto result = ParseSize(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
    EXPECT_FALSE(result.error().hint.empty());
  }
}

TEST(ParseDurationTest, Accepts) {
  EXPECT_EQ(ParseDuration("30").value().count(), 30000);
  EXPECT_EQ(ParseDuration("30s").value().count(), 30000);
  EXPECT_EQ(ParseDuration("500ms").value().count(), 500);
  EXPECT_EQ(ParseDuration("0.5s").value().count(), 500);
  EXPECT_EQ(ParseDuration("2m").value().count(), 120000);
  EXPECT_EQ(ParseDuration("1h").value().count(), 3600000);
}

TEST(ParseDurationTest, Refuses) {
  for (const char* text : {"", "s", "-5", "5 s", "5d", "1e99", "9999999999h"})
    EXPECT_FALSE(ParseDuration(text)) << text;
}

TEST(FormatSizeTest, UsesTheLargestWholeUnit) {
  EXPECT_EQ(FormatSize(0), "0 bytes");
  EXPECT_EQ(FormatSize(256ull << 20), "256 MiB");
  EXPECT_EQ(FormatSize(3ull << 29), "1536 MiB");
  EXPECT_EQ(FormatSize(1025), "1025 bytes");
}

TEST(FdTest, MovesAndCloses) {
  int number = -1;
  {
    Fd first(open("/dev/null", O_RDONLY | O_CLOEXEC));
    number = first.get();
    ASSERT_TRUE(first.valid());
    Fd second = std::move(first);
    EXPECT_EQ(second.get(), number);
  }
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

TEST(MappedFileTest, SaysWhatIsWrong) {
  const test::TemporaryFolder folder;
  const auto why = [](const std::string& path) {
    auto file = MappedFile::Open(path, ErrorKind::kKernel, "kernel");
    return file ? std::string("none") : file.error().why;
  };
  EXPECT_EQ(why(folder.path() + "/absent"), "no such file or directory");
  EXPECT_EQ(why(folder.path()), "it is not a regular file");
  EXPECT_EQ(why("/dev/null"), "it is not a regular file");
  EXPECT_EQ(why(folder.File("empty", {})), "the file is empty");
  EXPECT_EQ(why(folder.File("one", {1})), "none");
}

TEST(WriteFileTest, ReplacesAtOnceAndLeavesNothingBehind) {
  const test::TemporaryFolder folder;
  const std::string path = folder.File("file", {1, 2, 3});
  const test::Bytes bytes = {4, 5};
  ASSERT_TRUE(WriteFileAtomically(path, bytes));
  EXPECT_EQ(std::filesystem::file_size(path), 2u);
  EXPECT_FALSE(WriteFileAtomically(folder.path() + "/absent/file", bytes));
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path()))
    ++count;
  EXPECT_EQ(count, 1u);
}

}  // namespace
}  // namespace vmm
