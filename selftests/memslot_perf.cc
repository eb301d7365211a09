// SPDX-License-Identifier: GPL-2.0-or-later
// What it costs to fill a slot and to delete it, in ticks of the time-stamp counter. In the
// emulated machine a tick is an executed instruction, so the figures repeat exactly there; on
// silicon they are cycles.
//
//   memslot_perf [--mib N]     sizes 1/16, 1/4 and all of N MiB (default 256)
#include <sys/mman.h>
#include <x86intrin.h>

#include <cstdio>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;
using kvm::Mapping;

constexpr uint64_t kBase = 0x40000000;
constexpr size_t kPage = 4096;

// Adds to the first word of each of RCX pages from RSI on, once per round.
GUEST_CODE(fill, 64, R"(
0: in $0x20, %al
  mov %rsi, %rbx
  mov %rcx, %rbp
1: incq (%rbx)
  add $0x1000, %rbx
  dec %rbp
  jnz 1b
  out %al, $0x10
  jmp 0b
)");

struct Costs {
  uint64_t fill;
  uint64_t again;
  uint64_t remove;
  uint64_t create;
};

class Clock {
 public:
  uint64_t Lap() {
    const uint64_t now = __rdtsc(), ticks = now - last_;
    last_ = now;
    return ticks;
  }

 private:
  uint64_t last_ = __rdtsc();
};

Costs Measure(size_t bytes) {
  Mapping memory(bytes, MAP_PRIVATE | MAP_ANONYMOUS);
  madvise(memory.data(), bytes, MADV_NOHUGEPAGE);
  // The host's own faults are not the subject.
  for (size_t at = 0; at < bytes; at += kPage) memory.data()[at] = 1;

  Machine machine(fill, Mode::kLong64);
  kvm::Vm& vm = machine.vm();
  kvm::Vcpu& vcpu = machine.vcpu();
  vm.Map(1, kBase, bytes, memory.data());
  vcpu.RunUntil(KVM_EXIT_IO);
  kvm_regs regs = vcpu.regs();
  regs.rsi = kBase;
  regs.rcx = bytes / kPage;
  vcpu.SetRegs(regs);

  Costs costs{};
  Clock clock;
  machine.RunUntilOut(0x10);
  costs.fill = clock.Lap();
  vcpu.RunUntil(KVM_EXIT_IO);
  clock.Lap();
  machine.RunUntilOut(0x10);
  costs.again = clock.Lap();
  CHECK_EQ(0, vm.SetRegion(1, kBase, 0, memory.data()));
  costs.remove = clock.Lap();
  CHECK_EQ(0, vm.SetRegion(1, kBase, bytes, memory.data()));
  costs.create = clock.Lap();
  return costs;
}

}  // namespace

int main(int argc, char** argv) {
  check::Arguments().assign(argv + 1, argv + argc);
  const size_t top = check::Number("mib", 256) << 20;
  std::printf("node %s, ticks\n", kvm::IsVellum() ? "vellum" : "kvm");
  std::printf("%8s %12s %12s %12s %12s\n", "MiB", "fill/page", "again/page", "delete", "create");
  for (const size_t bytes : {top / 16, top / 4, top}) {
    try {
      const Costs costs = Measure(bytes);
      const size_t pages = bytes / kPage;
      std::printf("%8zu %12lu %12lu %12lu %12lu\n", bytes >> 20, costs.fill / pages,
                  costs.again / pages, costs.remove, costs.create);
    } catch (const check::Failed&) {
      return 1;
    }
  }
  return 0;
}
