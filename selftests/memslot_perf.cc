// SPDX-License-Identifier: GPL-2.0-or-later
// What it costs to fill a slot and to delete it, and what the delete costs the use of another
// slot.
//
//   memslot_perf [-b SIZE]... [-q] [--dev NODE]... [--json FILE]
#include <sched.h>

#include <cstdio>
#include <vector>

#include "lib/check.h"
#include "lib/perf.h"
#include "lib/stats.h"
#include "lib/walker.h"

namespace {

using guest::Machine;
using guest::Mode;
using kvm::Mapping;
using perf::Cost;

constexpr uint64_t kBase = guest::kWalkBase;
constexpr size_t kPage = guest::kPageBytes;
// The slot that stays.
constexpr uint64_t kOtherBase = 0xc0000000;
constexpr size_t kOtherBytes = 8 << 20;
constexpr size_t kOtherPages = kOtherBytes / kPage;
// The end of the guest's own page tables.
constexpr uint64_t kMostBytes = kOtherBase - kBase;

std::vector<uint64_t> sizes;
bool quirk = true;

Cost Round(Machine& machine, uint64_t base, size_t pages) {
  guest::Prepare(machine.vcpu(), {.base = base, .pages = pages});
  perf::Meter meter({&machine.vcpu()});
  guest::Go(machine.vcpu());
  return meter.Lap();
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

// Until nothing is mapped any more: what the delete has left to the background included.
void AwaitUnmapped(const stats::File& vm) {
  while (vm.Value("pages_4k") != 0) sched_yield();
}

void MeasureSize(perf::Report& report, size_t bytes) {
  const std::string of = std::to_string(bytes >> 20) + " MiB";
  const size_t pages = bytes / kPage;
  Mapping memory = guest::SmallPages(bytes), other = guest::SmallPages(kOtherBytes);
  Machine machine(guest::kWalkCode, Mode::kLong64);
  kvm::Vm& vm = machine.vm();
  if (!quirk && !DisableQuirk(vm))
    check::Skip("this device does not offer to switch the quirk off");
  vm.Map(1, kBase, bytes, memory.data());
  vm.Map(2, kOtherBase, kOtherBytes, other.data());
  const stats::File counters(vm.fd());

  report.Add("fill " + of, Round(machine, kBase, pages), pages, "page");
  report.Add("again " + of, Round(machine, kBase, pages), pages, "page");
  Round(machine, kOtherBase, kOtherPages);
  report.Add("other slot beside " + of, Round(machine, kOtherBase, kOtherPages), kOtherPages,
             "page");
  perf::Meter meter;
  CHECK_EQ(0, vm.SetRegion(1, kBase, 0, memory.data()));
  Cost cost = meter.Lap();
  report.Add("delete " + of, cost, 1, "slot");
  // With the quirk all goes; without, the other slot stays.
  if (quirk) {
    AwaitUnmapped(counters);
    cost.ticks += meter.Lap().ticks;
    report.Add("delete " + of + ", with what follows in the background", cost, 1, "slot");
  }
  report.Add("other slot after delete of " + of, Round(machine, kOtherBase, kOtherPages),
             kOtherPages, "page");
  meter.Restart();
  CHECK_EQ(0, vm.SetRegion(1, kBase, bytes, memory.data()));
  report.Add("create " + of, meter.Lap(), 1, "slot");
}

bool Option(int letter, const char* value) {
  if (letter == 'q') {
    quirk = false;
    return true;
  }
  uint64_t bytes;
  if (!perf::ParseBytes(value, bytes) || bytes == 0 || bytes % kPage != 0 || bytes > kMostBytes)
    return false;
  sizes.push_back(bytes);
  return true;
}

void Measure(perf::Report& report) {
  if (sizes.empty()) sizes = {16 << 20, 64 << 20, 256 << 20};
  for (const uint64_t bytes : sizes) MeasureSize(report, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  return perf::Main(argc, argv,
                    {"memslot_perf",
                     "  -b SIZE        of the slot; several: one after the other (16M, 64M, 256M)\n"
                     "  -q             without the quirk KVM_X86_QUIRK_SLOT_ZAP_ALL\n",
                     "b:q", Option, Measure});
}
