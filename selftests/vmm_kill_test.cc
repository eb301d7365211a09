// SPDX-License-Identifier: GPL-2.0-or-later
// SIGKILL of vmm at random moments of a guest's boot; afterwards the module holds nothing. Expects
// vmm beside it and the guest's kernel in /guest/kernel.
//   --kills N     how many (default 50)
//   --within MS   latest moment (default 3000), in the machine's own time
//   --seed N      repeats a run
#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "lib/check.h"
#include "lib/counters.h"
#include "lib/kvm.h"

namespace {

[[noreturn]] void RunVmm() {
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  execl("./vmm", "vmm", "run", "--dev", kvm::DevicePath(), "--kernel", "/guest/kernel", "--mem",
        "128M", nullptr);
  _exit(127);
}

CASE(KillVmm) {
  if (access("./vmm", X_OK) != 0 || access("/guest/kernel", R_OK) != 0)
    check::Skip("no vmm or no guest kernel in the machine");
  const unsigned long kills = check::Number("kills", 50);
  const unsigned long within = check::Number("within", 3000);
  const unsigned long seed = check::Number("seed", static_cast<unsigned long>(std::time(nullptr)));
  std::printf("seed %lu\n", seed);
  std::mt19937_64 random(seed);
  for (unsigned long i = 0; i < kills; ++i) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) RunVmm();
    usleep(static_cast<useconds_t>(random() % (within * 1000)));
    CHECK_OK(kill(child, SIGKILL));
    int status = 0;
    CHECK_EQ(child, waitpid(child, &status, 0));
    // It must have lived until then: an early end means that vmm failed by itself.
    if (!WIFSIGNALED(status))
      check::Fail(__FILE__, __LINE__,
                  "vmm ended with status " + std::to_string(WEXITSTATUS(status)));
  }
  counters::ExpectZero();
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
