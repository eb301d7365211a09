// SPDX-License-Identifier: GPL-2.0-or-later
// What a round trip out of the guest costs, in ticks of the time-stamp counter. In the emulated
// machine a tick is an executed instruction, so the figures repeat exactly there; on silicon they
// are cycles.
//
//   exit_perf [--rounds N]     round trips per kind (default 2000)
#include <x86intrin.h>

#include <cstdio>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::kCode;
using guest::Machine;
using guest::Mode;

constexpr uint64_t kNoMemory = 0x40000000;

// The guest goes round RCX times after each start, and says so on port 0x10.
#define ROUNDS(name, body) \
  GUEST_CODE(name, 64, "0: out %al, $0x10\n1:\n" body "\n dec %r8\n jnz 1b\n jmp 0b\n")

ROUNDS(nothing, "nop");
ROUNDS(cpuid, "xor %eax, %eax\n xor %ecx, %ecx\n cpuid");
ROUNDS(pio, "out %al, $0x20");
ROUNDS(mmio_read, "mov (%rsi), %eax");
ROUNDS(mmio_write, "mov %eax, (%rsi)");
ROUNDS(halt, "hlt");

uint64_t TicksPerRound(const guest::Code& code, uint32_t exit_reason, uint64_t rounds) {
  Machine machine(code, Mode::kLong64);
  kvm::Vcpu& vcpu = machine.vcpu();
  machine.RunUntilOut(0x10);
  kvm_regs regs = vcpu.regs();
  regs.rsi = kNoMemory;
  // The first rounds fill caches and tables.
  for (const uint64_t n : {uint64_t{16}, rounds}) {
    regs = vcpu.regs();
    regs.rsi = kNoMemory;
    regs.r8 = n;
    vcpu.SetRegs(regs);
    const uint64_t start = __rdtsc();
    for (uint64_t i = 0; exit_reason && i < n; i++) vcpu.RunUntil(exit_reason);
    machine.RunUntilOut(0x10);
    if (n == rounds) return (__rdtsc() - start) / rounds;
  }
  return 0;
}

struct Kind {
  const char* name;
  const guest::Code& code;
  uint32_t exit_reason;  // of each round trip to user space; 0: it stays in the kernel
};

}  // namespace

int main(int argc, char** argv) {
  check::Arguments().assign(argv + 1, argv + argc);
  const uint64_t rounds = check::Number("rounds", 2000);
  const Kind kinds[] = {
      {"loop without exit", nothing, 0},
      {"CPUID, in the kernel", cpuid, 0},
      {"PIO write, to user space", pio, KVM_EXIT_IO},
      {"MMIO read, to user space", mmio_read, KVM_EXIT_MMIO},
      {"MMIO write, to user space", mmio_write, KVM_EXIT_MMIO},
      {"HLT, to user space", halt, KVM_EXIT_HLT},
  };
  std::printf("node %s, ticks\n", kvm::IsVellum() ? "vellum" : "kvm");
  for (const Kind& kind : kinds) {
    try {
      std::printf("%-28s %8lu\n", kind.name, TicksPerRound(kind.code, kind.exit_reason, rounds));
    } catch (const check::Failed&) {
      return 1;
    }
  }
  return 0;
}
