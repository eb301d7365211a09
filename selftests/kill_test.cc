// SPDX-License-Identifier: GPL-2.0-or-later
// SIGKILL at a random moment of a machine's life; afterwards the module holds nothing.
//   --kills N   how many (default 50)   --seed N   repeats a run
#include <csignal>
#include <ctime>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <thread>

#include "lib/check.h"
#include "lib/counters.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

constexpr uint64_t kBase = 0x40000000;
constexpr size_t kSize = 16 << 20;

// Writes a word to each page of the second slot for ever.
GUEST_CODE(roam, 64, R"(
0: mov $0x40000000, %ebx
1: incq (%rbx)
  add $0x1000, %ebx
  cmp $0x41000000, %ebx
  jb 1b
  out %al, $0x10
  jmp 0b
)");

// A process with two machines: one faults memory in, one thread takes memory away and changes
// slots. It lives until it is killed.
[[noreturn]] void Live() {
  Machine m(roam, Mode::kLong64, true);
  kvm::Mapping memory(kSize, MAP_PRIVATE | MAP_ANONYMOUS);
  m.vm().Map(1, kBase, kSize, memory.data());
  std::thread changer([&] {
    kvm::Mapping other(1 << 20, MAP_PRIVATE | MAP_ANONYMOUS);
    while (true) {
      madvise(memory.data(), kSize / 2, MADV_DONTNEED);
      m.vm().SetRegion(2, 0x80000000, other.size(), other.data());
      usleep(300);
      m.vm().SetRegion(2, 0, 0, nullptr);
      kvm::Vm brief;
      kvm::Vcpu vcpu = brief.AddVcpu();
    }
  });
  while (true) m.vcpu().Run();
}

CASE(KillAtRandom) {
  const unsigned long kills = check::Number("kills", 50);
  const unsigned long seed = check::Number("seed", static_cast<unsigned long>(std::time(nullptr)));
  std::printf("seed %lu\n", seed);
  std::mt19937_64 random(seed);
  for (unsigned long i = 0; i < kills; ++i) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) Live();
    // Mostly early, where things are created; sometimes late.
    const auto delay = static_cast<unsigned>(random() % (i % 4 == 0 ? 30000 : 6000));
    usleep(delay);
    CHECK_OK(kill(child, SIGKILL));
    int status = 0;
    CHECK_EQ(child, waitpid(child, &status, 0));
    CHECK(WIFSIGNALED(status));
  }
  counters::ExpectZero();
}

// The thread that runs the vCPU ends alone; another takes the vCPU over.
CASE(ThreadEnds) {
  Machine m(roam, Mode::kLong64);
  kvm::Mapping memory(kSize, MAP_PRIVATE | MAP_ANONYMOUS);
  m.vm().Map(1, kBase, kSize, memory.data());
  for (int i = 0; i < 5; ++i) {
    std::thread runner([&] { m.vcpu().Run(); });
    runner.join();
    CHECK_EQ(KVM_EXIT_IO, m.run()->exit_reason);
  }
  uint64_t rounds;
  std::memcpy(&rounds, memory.data() + kSize - 4096, 8);
  CHECK_EQ(5ull, rounds);
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
