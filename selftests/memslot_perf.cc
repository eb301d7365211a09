// SPDX-License-Identifier: GPL-2.0-or-later
// What it costs to fill a slot and to delete it, and what the delete costs the use of another
// slot. In ticks of the time-stamp counter: in the emulated machine a tick is an executed
// instruction, so the figures repeat exactly there; on silicon they are cycles.
//
//   memslot_perf [--mib N] [--quirk on|off]
//                 sizes 1/16, 1/4 and all of N MiB (default 256); with the quirk
//                 KVM_X86_QUIRK_SLOT_ZAP_ALL (default) or without it
#include <sys/mman.h>
#include <x86intrin.h>

#include <cstdio>
#include <vector>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;
using kvm::Mapping;

constexpr uint64_t kBase = 0x40000000;
constexpr size_t kPage = 4096;
// The slot that stays.
constexpr uint64_t kOtherBase = 0xc0000000;
constexpr size_t kOtherBytes = 8 << 20;

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
  uint64_t other_before;
  uint64_t other_after;
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

// Pages of 4 KiB that are there: the host's own faults are not the subject.
Mapping Populated(size_t bytes) {
  Mapping memory(bytes, MAP_PRIVATE | MAP_ANONYMOUS);
  madvise(memory.data(), bytes, MADV_NOHUGEPAGE);
  for (size_t at = 0; at < bytes; at += kPage) memory.data()[at] = 1;
  return memory;
}

// One round of the guest over [base, base + bytes).
uint64_t Round(Machine& machine, uint64_t base, size_t bytes) {
  kvm::Vcpu& vcpu = machine.vcpu();
  vcpu.RunUntil(KVM_EXIT_IO);
  kvm_regs regs = vcpu.regs();
  regs.rsi = base;
  regs.rcx = bytes / kPage;
  vcpu.SetRegs(regs);
  Clock clock;
  machine.RunUntilOut(0x10);
  return clock.Lap();
}

// False if the quirk cannot be switched off.
bool DisableQuirk(kvm::Vm& vm) {
  if (!(vm.Capability(KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_SLOT_ZAP_ALL)) return false;
  kvm_enable_cap cap{};
  cap.cap = KVM_CAP_DISABLE_QUIRKS2;
  cap.args[0] = KVM_X86_QUIRK_SLOT_ZAP_ALL;
  CHECK_EQ(0, kvm::Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  return true;
}

Costs Measure(size_t bytes, bool quirk) {
  Mapping memory = Populated(bytes), other = Populated(kOtherBytes);
  Machine machine(fill, Mode::kLong64);
  kvm::Vm& vm = machine.vm();
  if (!quirk && !DisableQuirk(vm))
    check::Skip("this device does not offer to switch the quirk off");
  vm.Map(1, kBase, bytes, memory.data());
  vm.Map(2, kOtherBase, kOtherBytes, other.data());

  Costs costs{};
  costs.fill = Round(machine, kBase, bytes);
  costs.again = Round(machine, kBase, bytes);
  Round(machine, kOtherBase, kOtherBytes);
  costs.other_before = Round(machine, kOtherBase, kOtherBytes);
  Clock clock;
  CHECK_EQ(0, vm.SetRegion(1, kBase, 0, memory.data()));
  costs.remove = clock.Lap();
  costs.other_after = Round(machine, kOtherBase, kOtherBytes);
  clock.Lap();
  CHECK_EQ(0, vm.SetRegion(1, kBase, bytes, memory.data()));
  costs.create = clock.Lap();
  return costs;
}

// The guest's first write to each page after its dirty log was harvested, and the harvest.
void MeasureLog(size_t bytes) {
  Mapping memory = Populated(bytes);
  Machine machine(fill, Mode::kLong64);
  kvm::Vm& vm = machine.vm();
  vm.Map(1, kBase, bytes, memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  Round(machine, kBase, bytes);
  const size_t pages = bytes / kPage;
  std::vector<uint64_t> log(pages / 64);
  kvm_dirty_log request{};
  request.slot = 1;
  request.dirty_bitmap = log.data();
  Clock clock;
  CHECK_EQ(0, kvm::Ioctl(vm.fd(), KVM_GET_DIRTY_LOG, &request));
  const uint64_t harvest = clock.Lap();
  const uint64_t writes = Round(machine, kBase, bytes);
  std::printf("dirty log of %zu MiB: harvest %lu/page, first write after it %lu/page\n",
              bytes >> 20, harvest / pages, writes / pages);
}

}  // namespace

int main(int argc, char** argv) {
  check::Arguments().assign(argv + 1, argv + argc);
  const size_t top = check::Number("mib", 256) << 20;
  const bool quirk = check::Word("quirk", "on") != "off";
  std::printf("node %s, ticks, slot-zap-all quirk %s\n", kvm::IsVellum() ? "vellum" : "kvm",
              quirk ? "on" : "off");
  std::printf("%8s %12s %12s %12s %12s %18s %18s\n", "MiB", "fill/page", "again/page", "delete",
              "create", "other slot/page", "after the delete");
  for (const size_t bytes : {top / 16, top / 4, top}) {
    try {
      const Costs costs = Measure(bytes, quirk);
      const size_t pages = bytes / kPage, others = kOtherBytes / kPage;
      std::printf("%8zu %12lu %12lu %12lu %12lu %18lu %18lu\n", bytes >> 20, costs.fill / pages,
                  costs.again / pages, costs.remove, costs.create, costs.other_before / others,
                  costs.other_after / others);
    } catch (const check::Failed&) {
      return 1;
    } catch (const check::Skipped&) {
      return 4;
    }
  }
  try {
    MeasureLog(kOtherBytes);
  } catch (const check::Failed&) {
    return 1;
  }
  return 0;
}
