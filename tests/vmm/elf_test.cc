// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/elf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/fd.h"
#include "boot/libraries.h"
#include "fake_kernel.h"

namespace vmm {
namespace {

using test::Bytes;
using test::FakeElf;
using test::MakeElf;
using testing::Contains;
using testing::HasSubstr;

TEST(ElfKernelTest, ReadsSegmentsAndEntry) {
  auto kernel = ParseElfKernel(MakeElf());
  ASSERT_TRUE(kernel) << kernel.error().why;
  ASSERT_EQ(kernel->segments.size(), 1u);
  EXPECT_EQ(kernel->start, 0x1000000u);
  EXPECT_EQ(kernel->end, 0x1005000u);
  EXPECT_EQ(kernel->entry64, 0x1000000u);
  EXPECT_FALSE(kernel->pvh_entry);
}

TEST(ElfKernelTest, FindsThePvhNote) {
  FakeElf fake;
  fake.pvh_entry = 0x1000850;
  auto kernel = ParseElfKernel(MakeElf(fake));
  ASSERT_TRUE(kernel);
  EXPECT_EQ(kernel->pvh_entry, 0x1000850u);
}

TEST(ElfKernelTest, VirtualEntryAloneIsNotEnough) {
  FakeElf fake;
  fake.entry = 0xffffffff81000000;
  EXPECT_THAT(ParseElfKernel(MakeElf(fake)).error().why, HasSubstr("PVH"));
  fake.pvh_entry = 0x1000100;
  auto kernel = ParseElfKernel(MakeElf(fake));
  ASSERT_TRUE(kernel);
  EXPECT_FALSE(kernel->entry64);
}

TEST(ElfKernelTest, RefusesOtherFiles) {
  Bytes other = MakeElf();
  other[EI_CLASS] = ELFCLASS32;
  EXPECT_THAT(ParseElfKernel(other).error().why, HasSubstr("32-bit"));
  other = MakeElf();
  other[18] = EM_AARCH64;
  EXPECT_THAT(ParseElfKernel(other).error().why, HasSubstr("architecture"));
  other = MakeElf();
  other[16] = ET_REL;
  EXPECT_THAT(ParseElfKernel(other).error().why, HasSubstr("object file"));
}

TEST(ElfKernelTest, EveryTruncationIsAnError) {
  FakeElf fake;
  fake.pvh_entry = 0x1000850;
  const Bytes whole = MakeElf(fake);
  for (size_t size = 0; size < whole.size(); size += size < 300 ? 1 : 37) {
    // A copy of exactly that size, so that a read behind its end is seen.
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(ParseElfKernel(part)) << size;
  }
}

TEST(ElfKernelTest, RandomDamageNeverCrashes) {
  FakeElf fake;
  fake.pvh_entry = 0x1000850;
  const Bytes whole = MakeElf(fake);
  std::mt19937 random(7);
  for (int round = 0; round < 5000; ++round) {
    Bytes damaged = whole;
    const size_t range = round % 2 == 0 ? 176 : 0x900;
    for (int i = 0; i < 3; ++i) damaged[random() % range] = static_cast<uint8_t>(random());
    auto kernel = ParseElfKernel(damaged);
    if (!kernel) continue;
    for (const ElfSegment& segment : kernel->segments)
      EXPECT_LE(segment.file_offset + segment.file_size, damaged.size());
    StripElfKernel(damaged, *kernel);
  }
}

TEST(ElfKernelTest, StrippedKernelLoadsTheSame) {
  FakeElf fake;
  fake.pvh_entry = 0x1000850;
  Bytes whole = MakeElf(fake);
  std::fill(whole.end() - 1000, whole.end(), uint8_t{0});
  whole.resize(whole.size() + 100000);  // sections, symbols
  const auto before = ParseElfKernel(whole);
  const Bytes stripped = StripElfKernel(whole, *before);
  const auto after = ParseElfKernel(stripped);
  ASSERT_TRUE(after) << after.error().why;
  EXPECT_LT(stripped.size(), whole.size() - 90000);
  EXPECT_EQ(after->entry64, before->entry64);
  EXPECT_EQ(after->pvh_entry, before->pvh_entry);
  const auto load = [](const Bytes& file, const ElfSegment& segment) {
    Bytes memory(segment.memory_size);
    std::memcpy(memory.data(), file.data() + segment.file_offset, segment.file_size);
    return memory;
  };
  EXPECT_EQ(load(stripped, after->segments[0]), load(whole, before->segments[0]));
}

TEST(ElfProgramTest, ReadsThisTest) {
  auto file = MappedFile::Open("/proc/self/exe", ErrorKind::kCommand, "program");
  ASSERT_TRUE(file);
  auto program = ParseElfProgram(file->bytes());
  ASSERT_TRUE(program);
  EXPECT_EQ(program->interpreter, "/lib64/ld-linux-x86-64.so.2");
  EXPECT_THAT(program->needed, Contains("libc.so.6"));
}

TEST(ElfProgramTest, DamageNeverCrashes) {
  auto file = MappedFile::Open("/bin/true", ErrorKind::kCommand, "program");
  ASSERT_TRUE(file);
  const Bytes whole(file->bytes().begin(), file->bytes().end());
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    Bytes damaged(whole.begin(),
                  whole.begin() + static_cast<std::ptrdiff_t>(64 + random() % (whole.size() - 64)));
    for (int i = 0; i < 8; ++i)
      damaged[random() % std::min<size_t>(damaged.size(), 0x1000)] = static_cast<uint8_t>(random());
    static_cast<void>(ParseElfProgram(damaged));
  }
}

TEST(LibrariesTest, FindsWhatAProgramNeeds) {
  auto files = ProgramFiles("/bin/sh");
  ASSERT_TRUE(files);
  EXPECT_EQ(files->front(), "/bin/sh");
  EXPECT_THAT(*files, Contains(HasSubstr("libc.so.6")));
  EXPECT_THAT(*files, Contains(HasSubstr("ld-linux")));
}

TEST(LibrariesTest, FollowsScripts) {
  const test::TemporaryFolder folder;
  const std::string text = "#! /bin/sh -e\nexit 0\n";
  const std::string path = folder.File("script", Bytes(text.begin(), text.end()));
  auto files = ProgramFiles(path);
  ASSERT_TRUE(files);
  EXPECT_EQ((*files)[0], path);
  EXPECT_EQ((*files)[1], "/bin/sh");
  EXPECT_GE(files->size(), 4u);
}

TEST(LibrariesTest, FindProgramUsesPath) {
  EXPECT_THAT(FindProgram("sh").value(), HasSubstr("/sh"));
  EXPECT_EQ(FindProgram("no-such-program-here").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(FindProgram("/etc/passwd").error().kind, ErrorKind::kCommand);
  EXPECT_EQ(FindProgram("/no/such").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(FindProgram("").error().kind, ErrorKind::kNotFound);
}

TEST(LibrariesTest, ReadsIncludesOfTheConfiguration) {
  const test::TemporaryFolder folder;
  const std::string inner = "/opt/one # comment\n# /opt/no\n";
  folder.File("a.conf", Bytes(inner.begin(), inner.end()));
  const std::string outer = "include " + folder.path() + "/*.conf\n/opt/two\n";
  const std::string conf = folder.File("ld.so", Bytes(outer.begin(), outer.end()));
  const auto directories = LibraryDirectories(conf);
  EXPECT_EQ(directories[0], "/opt/one");
  EXPECT_EQ(directories[1], "/opt/two");
  EXPECT_THAT(directories, Contains("/usr/lib"));
  // A file that includes itself ends.
  const std::string loop = "include " + folder.path() + "/loop\n";
  LibraryDirectories(folder.File("loop", Bytes(loop.begin(), loop.end())));
}

}  // namespace
}  // namespace vmm
