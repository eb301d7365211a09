// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>

#include "boot/elf.h"
#include "boot/modules.h"
#include "fake_kernel.h"
#include "guest/report.h"

namespace vmm {
namespace {

using test::Bytes;
using testing::Contains;
using testing::HasSubstr;
using testing::Key;

struct Item {
  mode_t mode;
  std::string content;  // or where the link points
};

// Reads the archive back with libarchive, checking that parents come before children.
std::map<std::string, Item> ReadBack(const Bytes& bytes) {
  std::map<std::string, Item> out;
  archive* reader = archive_read_new();
  archive_read_support_format_cpio(reader);
  EXPECT_EQ(archive_read_open_memory(reader, bytes.data(), bytes.size()), ARCHIVE_OK);
  archive_entry* entry = nullptr;
  while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
    EXPECT_EQ(archive_format(reader), ARCHIVE_FORMAT_CPIO_SVR4_NOCRC);
    const std::string path = archive_entry_pathname(entry);
    EXPECT_NE(path[0], '/');
    const size_t slash = path.rfind('/');
    if (slash != path.npos) {
      EXPECT_TRUE(out.count(path.substr(0, slash))) << path;
    }
    EXPECT_FALSE(out.count(path)) << path;
    Item item{archive_entry_mode(entry), {}};
    if (S_ISLNK(item.mode)) {
      item.content = archive_entry_symlink(entry);
    } else {
      item.content.resize(static_cast<size_t>(archive_entry_size(entry)));
      EXPECT_EQ(archive_read_data(reader, item.content.data(), item.content.size()),
                static_cast<la_ssize_t>(item.content.size()));
    }
    out[path] = item;
  }
  archive_read_free(reader);
  return out;
}

Bytes Text(const std::string& text) { return Bytes(text.begin(), text.end()); }

TEST(InitramfsTest, RoundTrip) {
  Initramfs builder;
  builder.AddBytes("/a/b/c", Text("content"), 0755);
  builder.AddDirectory("/tmp", 01777);
  builder.AddBytes("/empty", {}, 0600);
  const auto bytes = builder.Finish();
  ASSERT_TRUE(bytes);
  const auto items = ReadBack(*bytes);
  EXPECT_EQ(items.at("a/b/c").content, "content");
  EXPECT_EQ(items.at("a/b/c").mode, static_cast<mode_t>(S_IFREG | 0755));
  EXPECT_EQ(items.at("a/b").mode, static_cast<mode_t>(S_IFDIR | 0755));
  EXPECT_EQ(items.at("tmp").mode, static_cast<mode_t>(S_IFDIR | 01777));
  EXPECT_EQ(items.at("empty").content, "");
  EXPECT_EQ(items.size(), 5u);
}

TEST(InitramfsTest, FollowsItsOwnLinks) {
  Initramfs builder;
  builder.AddDirectory("/usr/lib");
  builder.AddLink("/lib", "usr/lib");
  builder.AddBytes("/lib/x/libz.so", Text("z"), 0644);
  builder.AddLink("/abs", "/usr/lib");
  builder.AddBytes("/abs/y", Text("y"), 0644);
  builder.AddLink("/loop", "loop");
  builder.AddBytes("/loop/file", Text("?"), 0644);
  const auto items = ReadBack(builder.Finish().value());
  EXPECT_EQ(items.at("lib").content, "usr/lib");
  EXPECT_EQ(items.at("usr/lib/x/libz.so").content, "z");
  EXPECT_EQ(items.at("usr/lib/y").content, "y");
}

TEST(InitramfsTest, SameInputSameBytes) {
  JobConfig job;
  job.command = {"sh", "-c", "exit 3"};
  EXPECT_EQ(BuildJobInitramfs(job).value(), BuildJobInitramfs(job).value());
}

TEST(InitramfsTest, JobHasTheProgramAndItsLibraries) {
  const test::TemporaryFolder folder;
  folder.File("note", Text("hello"));
  std::filesystem::create_directories(folder.path() + "/tree/deep");
  folder.File("tree/deep/leaf", Text("leaf"));
  JobConfig job;
  job.command = {"sh", "-c", "cat /etc/note"};
  job.files = {{folder.path() + "/note", "/etc/note"}, {folder.path() + "/tree", "/data"}};
  const auto bytes = BuildJobInitramfs(job);
  ASSERT_TRUE(bytes) << bytes.error().why;
  const auto items = ReadBack(*bytes);
  EXPECT_EQ(items.at("init").content.size(), EmbeddedInit().size());
  EXPECT_EQ(items.at("etc/note").content, "hello");
  EXPECT_EQ(items.at("data/deep/leaf").content, "leaf");
  EXPECT_THAT(items, Contains(Key(HasSubstr("bin/sh"))));
  EXPECT_THAT(items, Contains(Key(HasSubstr("libc.so.6"))));
  EXPECT_THAT(items, Contains(Key("usr/lib64/ld-linux-x86-64.so.2")));
  EXPECT_EQ(items.at(".vmm/job").mode, static_cast<mode_t>(S_IFREG | 0600));
}

TEST(InitramfsTest, UnpacksModules) {
  const test::TemporaryFolder folder;
  const std::string packed = folder.File("a.ko.xz", test::Xz(Text("module a")));
  const std::string plain = folder.File("b.ko", Text("module b"));
  JobConfig job;
  job.command = {"sh"};
  job.modules = {packed, plain};
  const auto items = ReadBack(BuildJobInitramfs(job).value());
  EXPECT_EQ(items.at(".vmm/0.ko").content, "module a");
  EXPECT_EQ(items.at(".vmm/1.ko").content, "module b");
  EXPECT_THAT(items.at(".vmm/job").content,
              HasSubstr(std::string("2\0/.vmm/0.ko\0/.vmm/1.ko\0", 24)));
  job.modules = {folder.File("c.ko.xz", Text(std::string("\xfd"
                                                         "7zXZ\0bad",
                                                         9)))};
  EXPECT_EQ(BuildJobInitramfs(job).error().kind, ErrorKind::kInitrd);
}

TEST(InitramfsTest, JobEncoding) {
  JobConfig job;
  job.command = {"echo", "", "two words"};
  job.environment = {"A=1"};
  job.terminal = true;
  const Bytes bytes = EncodeJob(job, "/bin/echo", {});
  const std::string expected(
      "t\0"
      "0\0"
      "/\0"
      "/bin/echo\0"
      "3\0echo\0\0two words\0"
      "1\0A=1\0",
      40);
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()), expected);
}

TEST(InitramfsTest, MissingCommand) {
  JobConfig job;
  job.command = {"no-such-program-here"};
  EXPECT_EQ(BuildJobInitramfs(job).error().kind, ErrorKind::kNotFound);
}

TEST(InitramfsTest, InitIsAStaticProgram) {
  auto init = ParseElfProgram(EmbeddedInit());
  ASSERT_TRUE(init);
  EXPECT_EQ(init->interpreter, "");
  EXPECT_LT(EmbeddedInit().size(), 16384u);
}

TEST(ModulesTest, Errors) {
  EXPECT_TRUE(ResolveModules({"/path/of.ko"}, "", "").value() ==
              std::vector<std::string>{"/path/of.ko"});
  EXPECT_THAT(ResolveModules({"loop"}, "", "").error().why, HasSubstr("release"));
  EXPECT_THAT(ResolveModules({"loop"}, "", "0.0-none").error().why, HasSubstr("modules.dep"));
}

}  // namespace
}  // namespace vmm
