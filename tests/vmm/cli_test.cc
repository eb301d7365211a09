// SPDX-License-Identifier: GPL-2.0-or-later
//
// Runs the vmm binary and looks at its exit status and its three lines of error. No case gets as
// far as a guest.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fake_kernel.h"
#include "machine/outcome.h"

namespace vmm {
namespace {

using test::Bytes;
using testing::HasSubstr;
using testing::StartsWith;

struct Result {
  int status = -1;
  std::string out;
  std::string err;
};

class CliTest : public testing::Test {
 protected:
  Result Vmm(std::vector<std::string> arguments, bool drop_privileges = false) {
    std::string binary = VMM_BINARY;
    if (drop_privileges) {  // the build folder may be private
      binary = folder_.path() + "/vmm";
      std::filesystem::copy_file(VMM_BINARY, binary);
    }
    arguments.insert(arguments.begin(), binary);
    const std::string out_path = folder_.path() + "/stdout", err_path = folder_.path() + "/stderr";
    const pid_t child = fork();
    if (child == 0) {
      dup2(open("/dev/null", O_RDONLY), 0);
      dup2(open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
      dup2(open(err_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
      setenv("XDG_CACHE_HOME", (folder_.path() + "/cache").c_str(), 1);
      if (drop_privileges && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(98);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), Slurp(out_path),
            Slurp(err_path)};
  }
  // Expects the status and exactly three lines: what, why, what to try.
  void ExpectError(const std::vector<std::string>& arguments, int status,
                   const std::string& fragment) {
    const Result result = Vmm(arguments);
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_THAT(result.err, StartsWith("vmm: "));
    EXPECT_THAT(result.err, HasSubstr("\nwhy: "));
    EXPECT_THAT(result.err, HasSubstr("\ntry: "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 3) << result.err;
    EXPECT_THAT(result.err, HasSubstr(fragment));
    EXPECT_EQ(result.out, "");
  }
  static std::string Slurp(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  test::TemporaryFolder folder_;
  std::string kernel_ = folder_.File("kernel", test::MakeElf());
};

TEST_F(CliTest, Usage) {
  ExpectError({}, kExitUsage, "subcommand");
  ExpectError({"run"}, kExitUsage, "--kernel");
  ExpectError({"run", "--kernel", kernel_, "--frob"}, kExitUsage, "--frob");
  ExpectError({"run", "--kernel", kernel_, "--cpus", "many"}, kExitUsage, "cpus");
  ExpectError({"run", "--kernel", kernel_, "--cpus", "0"}, kExitUsage, "CPUs");
  ExpectError({"run", "--kernel", kernel_, "--mem", "lots"}, kExitUsage, "lots");
  ExpectError({"run", "--kernel", kernel_, "--timeout", "soon"}, kExitUsage, "soon");
  ExpectError({"run", "--kernel", kernel_, "--entry", "side"}, kExitUsage, "side");
  ExpectError({"run", "--kernel", kernel_, "--"}, kExitUsage, "no guest command");
  ExpectError({"run", "--kernel", kernel_, "--initrd", kernel_, "--", "true"}, kExitUsage, "both");
  ExpectError({"run", "--kernel", kernel_, "--add", kernel_}, kExitUsage, "guest command");
  ExpectError({"run", "--kernel", kernel_, "--add", "/no/such", "--", "true"}, kExitUsage,
              "/no/such");
  ExpectError({"doctor", "--", "true"}, kExitUsage, "guest command");
}

TEST_F(CliTest, Help) {
  const Result help = Vmm({"run", "--help"});
  EXPECT_EQ(help.status, 0);
  for (const char* text : {"--kernel", "--initrd", "--cmdline", "--mem", "--dev", "--timeout",
                           "Exit status", "124", "234", "Ctrl-a x"})
    EXPECT_THAT(help.out, HasSubstr(text));
  EXPECT_EQ(Vmm({"--version"}).status, 0);
}

TEST_F(CliTest, Memory) {
  ExpectError({"run", "--kernel", kernel_, "--mem", "0"}, kExitMemory, "0 bytes");
  ExpectError({"run", "--kernel", kernel_, "--mem", "1M"}, kExitMemory, "1 MiB");
  const std::string initrd = folder_.File("initrd", Bytes(40u << 20));
  ExpectError({"run", "--kernel", kernel_, "--mem", "32M", "--initrd", initrd}, kExitMemory,
              "initrd");
}

TEST_F(CliTest, Kernels) {
  ExpectError({"run", "--kernel", "/no/such"}, kExitKernel, "no such file");
  ExpectError({"run", "--kernel", "/"}, kExitKernel, "regular file");
  ExpectError({"run", "--kernel", folder_.File("empty", {})}, kExitKernel, "empty");
  ExpectError({"run", "--kernel", folder_.File("garbage", Bytes(10000, 0xa5))}, kExitKernel,
              "neither");
  Bytes image = test::MakeBzImage(test::Xz(test::MakeElf()));
  image.resize(image.size() - 100);
  ExpectError({"run", "--kernel", folder_.File("cut", image)}, kExitKernel, "cut short");
}

TEST_F(CliTest, Initrd) {
  ExpectError({"run", "--kernel", kernel_, "--initrd", "/no/such"}, kExitInitrd, "/no/such");
}

TEST_F(CliTest, Command) {
  ExpectError({"run", "--kernel", kernel_, "--", "no-such-program-here"}, kExitNotFound,
              "no-such-program-here");
  ExpectError({"run", "--kernel", kernel_, "--", "/etc/passwd"}, kExitCannotExecute, "executable");
}

TEST_F(CliTest, Node) {
  ExpectError({"run", "--kernel", kernel_, "--dev", "/no/such/node"}, kExitNoDevice,
              "/no/such/node");
  ExpectError({"run", "--kernel", kernel_, "--dev", "/dev/null"}, kExitNoDevice, "KVM interface");
  ExpectError({"run", "--kernel", kernel_, "--dev", kernel_}, kExitNoDevice, "character device");
}

TEST_F(CliTest, NoPermission) {
  if (getuid() != 0) GTEST_SKIP() << "needs root to make such a node";
  const std::string node = folder_.File("node", {1});
  ASSERT_EQ(chmod(node.c_str(), 0600), 0);
  ASSERT_EQ(chmod(folder_.path().c_str(), 0777), 0);
  const Result result = Vmm({"run", "--kernel", kernel_, "--dev", node}, true);
  EXPECT_EQ(result.status, kExitPermission) << result.err;
  EXPECT_THAT(result.err, HasSubstr("permission denied"));
  EXPECT_THAT(result.err, HasSubstr("group"));
}

TEST_F(CliTest, Unpack) {
  const std::string image = folder_.File("bzImage", test::MakeBzImage(test::Zstd(test::MakeElf())));
  const std::string out = folder_.path() + "/vmlinux";
  EXPECT_EQ(Vmm({"unpack", "--kernel", image, "--out", out}).status, 0);
  EXPECT_EQ(Slurp(out).substr(1, 3), "ELF");
  ExpectError({"unpack", "--kernel", image, "--out", "/no/such/place"}, kExitHost, "/no/such");
  ExpectError({"unpack", "--kernel", folder_.File("x", Bytes(600, 1)), "--out", out}, kExitKernel,
              "neither");
}

TEST_F(CliTest, Doctor) {
  Result result = Vmm({"doctor", "--dev", "/no/such/node"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.out, HasSubstr("fail  /no/such/node does not exist"));
  EXPECT_THAT(result.out, HasSubstr("try: "));
  result = Vmm({"doctor", "--dev", "/no/such/node", "--json"});
  const auto json = nlohmann::json::parse(result.out, nullptr, false);
  ASSERT_FALSE(json.is_discarded()) << result.out;
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["usable"], false);
  EXPECT_GE(json["findings"].size(), 4u);
}

TEST_F(CliTest, FailuresLeaveNothingBehind) {
  Vmm({"run", "--kernel", kernel_, "--dev", "/no/such/node", "--result",
       folder_.path() + "/result"});
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/result"));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/cache"));
}

}  // namespace
}  // namespace vmm
