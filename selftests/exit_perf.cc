// SPDX-License-Identifier: GPL-2.0-or-later
// What a round trip out of the guest costs.
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "lib/check.h"
#include "lib/guest.h"
#include "lib/perf.h"

namespace {

using guest::Machine;
using guest::Mode;
using perf::Cost;

constexpr uint64_t kNoMemory = 0x40000000;
uint64_t rounds = 2000;

// The guest goes round R8 times after each start, and says so on port 0x10.
#define ROUNDS(name, body) \
  GUEST_CODE(name, 64, "0: out %al, $0x10\n1:\n" body "\n dec %r8\n jnz 1b\n jmp 0b\n")

ROUNDS(nothing, "nop");
ROUNDS(cpuid, "xor %eax, %eax\n xor %ecx, %ecx\n cpuid");
ROUNDS(pio, "out %al, $0x20");
ROUNDS(mmio_read, "mov (%rsi), %eax");
ROUNDS(mmio_write, "mov %eax, (%rsi)");
ROUNDS(halt, "hlt");

Cost RoundTrips(const guest::Code& code, uint32_t exit_reason) {
  Machine machine(code, Mode::kLong64);
  kvm::Vcpu& vcpu = machine.vcpu();
  machine.RunUntilOut(0x10);
  Cost cost;
  perf::Meter meter({&vcpu});
  // The first rounds fill caches and tables.
  for (const uint64_t n : {uint64_t{16}, rounds}) {
    kvm_regs regs = vcpu.regs();
    regs.rsi = kNoMemory;
    regs.r8 = n;
    vcpu.SetRegs(regs);
    meter.Restart();
    for (uint64_t i = 0; exit_reason && i < n; i++) vcpu.RunUntil(exit_reason);
    machine.RunUntilOut(0x10);
    cost = meter.Lap();
  }
  return cost;
}

// Halts for ever. The handler counts in RBX's word and ends the interrupt at the x2APIC, without
// an access to memory that leaves the guest.
constexpr uint8_t kVector = 0x40;
constexpr uint64_t kCount = guest::kData;
GUEST_CODE(sleeper, 64, R"(
  jmp 1f
  .org sleeper_begin + 16
  incq 0x20000
  mov $0x80b, %ecx
  xor %eax, %eax
  xor %edx, %edx
  wrmsr
  iretq
1: mov $0x1b, %ecx
  rdmsr
  or $0xc00, %eax
  wrmsr
  mov $0x80f, %ecx
  mov $0x1ff, %eax
  xor %edx, %edx
  wrmsr
  incq 0x20000
  sti
2: hlt
  jmp 2b
)");

void PointVectorAt(Machine& machine, uint64_t handler) {
  const uint64_t gate[2] = {
      (handler & 0xffff) | 0x10 << 16 | 0x8e00ull << 32 | (handler >> 16 & 0xffff) << 48,
      handler >> 32};
  std::memcpy(machine.low() + guest::kIdt + kVector * sizeof(gate), gate, sizeof(gate));
  kvm_sregs sregs = machine.vcpu().sregs();
  sregs.idt.base = guest::kIdt;
  sregs.idt.limit = 0xfff;
  machine.vcpu().SetSregs(sregs);
}

// Each round: a message-signalled interrupt from another thread of the same processor, the wake-up,
// the handler, and the way back to sleep.
Cost WakeUps() {
  perf::Pin(0);
  Machine machine(sleeper, Mode::kLong64, true);
  PointVectorAt(machine, guest::kCode + 16);
  const volatile uint64_t* count = machine.At<uint64_t>(kCount);
  std::atomic<bool> stop = false;
  std::thread runner([&] {
    while (!stop) machine.vcpu().Run();
  });
  kvm_msi msi{};
  msi.address_lo = 0xfee00000;
  msi.data = kVector;
  perf::Meter meter({&machine.vcpu()});
  uint64_t expected = 1;
  bool delivered = true;
  const auto await = [&] {
    while (*count != expected) sched_yield();
  };
  await();
  // The first rounds fill caches and tables.
  for (const uint64_t n : {uint64_t{16}, rounds}) {
    meter.Restart();
    for (uint64_t i = 0; i < n; i++) {
      delivered &= kvm::Ioctl(machine.vm().fd(), KVM_SIGNAL_MSI, &msi) == 1;
      ++expected;
      await();
    }
  }
  const Cost cost = meter.Lap();
  stop = true;
  machine.run()->immediate_exit = 1;
  pthread_kill(runner.native_handle(), SIGUSR1);
  runner.join();
  CHECK(delivered);
  return cost;
}

void Measure(perf::Report& report) {
  const struct {
    const char* name;
    const guest::Code& code;
    uint32_t exit_reason;  // of each round trip to user space; 0: it stays in the kernel
  } kinds[] = {
      {"loop without exit", nothing, 0},
      {"CPUID in the kernel", cpuid, 0},
      {"PIO write to user space", pio, KVM_EXIT_IO},
      {"MMIO read to user space", mmio_read, KVM_EXIT_MMIO},
      {"MMIO write to user space", mmio_write, KVM_EXIT_MMIO},
      {"HLT to user space", halt, KVM_EXIT_HLT},
  };
  for (const auto& kind : kinds)
    report.Add(kind.name, RoundTrips(kind.code, kind.exit_reason), rounds, "round trip");
  report.Add("HLT woken by an interrupt", WakeUps(), rounds, "wake-up");
}

bool Option(int, const char* value) { return perf::ParseNumber(value, rounds) && rounds > 0; }

}  // namespace

int main(int argc, char** argv) {
  // Only interrupts KVM_RUN.
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, nullptr);
  return perf::Main(
      argc, argv,
      {"exit_perf", "  -r N           round trips of each kind (2000)\n", "r:", Option, Measure});
}
