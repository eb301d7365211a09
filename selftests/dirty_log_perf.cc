// SPDX-License-Identifier: GPL-2.0-or-later
// Dirty logging step by step, with the options and the steps of the kernel's dirty_log_perf_test:
// vCPUs fill their memory, logging is enabled, they write, the log is fetched and cleared, logging
// is disabled; and what the next pass costs after that. Unlike there the host's pages are in place
// before (-s untouched: they are not), as its own faults are not the subject.
#include <vector>

#include "lib/check.h"
#include "lib/crew.h"

namespace {

using guest::Access;
using guest::Backing;
using guest::Crew;
using perf::Cost;

uint64_t bytes_per_vcpu = 64 << 20;
uint64_t vcpus = 1;
uint64_t iterations = 2;
uint64_t write_percent = 100;
bool manual = true;
Backing backing = Backing::kSmallPages;

// Manual protection, everything dirty at first: what the kernel's test chooses when it can.
void EnableManual(kvm::Vm& vm) {
  kvm_enable_cap cap{};
  cap.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
  cap.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
  CHECK_OK(kvm::Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
}

class Log {
 public:
  explicit Log(Crew& crew) : crew_(crew), bits_((crew.pages() + 63) / 64) {}

  Cost Get() {
    kvm_dirty_log log{};
    log.slot = 1;
    log.dirty_bitmap = bits_.data();
    perf::Meter meter;
    CHECK_OK(kvm::Ioctl(crew_.vm().fd(), KVM_GET_DIRTY_LOG, &log));
    return meter.Lap();
  }
  Cost Clear() {
    kvm_clear_dirty_log log{};
    log.slot = 1;
    log.num_pages = static_cast<uint32_t>(crew_.pages());
    log.dirty_bitmap = bits_.data();
    perf::Meter meter;
    CHECK_OK(kvm::Ioctl(crew_.vm().fd(), KVM_CLEAR_DIRTY_LOG, &log));
    return meter.Lap();
  }
  uint64_t Dirty() const {
    uint64_t pages = 0;
    for (const uint64_t word : bits_) pages += static_cast<uint64_t>(__builtin_popcountll(word));
    return pages;
  }

 private:
  Crew& crew_;
  std::vector<uint64_t> bits_;
};

Cost SetFlags(Crew& crew, uint32_t flags) {
  perf::Meter meter;
  crew.SetFlags(flags);
  return meter.Lap();
}

void Measure(perf::Report& report) {
  Crew crew(vcpus, bytes_per_vcpu, backing);
  if (manual) EnableManual(crew.vm());
  const uint64_t pages = crew.pages(), huge = pages / 512;
  const size_t step = 100 / write_percent;

  report.Add("populate memory", crew.Pass(Access::kWrite), pages, "page");
  if (backing == Backing::kHugePages && crew.HugeMappings() < huge)
    check::Skip("the host gave too few huge pages");
  report.Add("enable dirty logging", SetFlags(crew, KVM_MEM_LOG_DIRTY_PAGES), pages, "page");
  Log log(crew);
  for (uint64_t i = 1; i <= iterations; ++i) {
    const std::string iteration = "iteration " + std::to_string(i) + " ";
    report.Add(iteration + "dirty memory", crew.Pass(Access::kWrite, step),
               pages / vcpus / step * vcpus, "page");
    report.Add(iteration + "get dirty log", log.Get(), pages, "page");
    // Everything is dirty in the beginning, and in a test without manual protection nothing is.
    const bool all = manual && i == 1;
    CHECK_EQ(all ? pages : pages / vcpus / step * vcpus, log.Dirty());
    if (manual) report.Add(iteration + "clear dirty log", log.Clear(), pages, "page");
  }
  report.Add("disable dirty logging", SetFlags(crew, 0), pages, "page");
  report.Add("pass after disabling", crew.Pass(Access::kWrite), pages, "page");
  if (backing == Backing::kHugePages) CHECK(crew.HugeMappings() >= huge);
}

bool Option(int letter, const char* value) {
  switch (letter) {
    case 'b':
      return perf::ParseBytes(value, bytes_per_vcpu) && bytes_per_vcpu > 0 &&
             bytes_per_vcpu % (2 << 20) == 0;
    case 'v':
      return perf::ParseNumber(value, vcpus) && vcpus > 0 && vcpus <= 64;
    case 'i':
      return perf::ParseNumber(value, iterations);
    case 'w':
      return perf::ParseNumber(value, write_percent) && write_percent > 0 && write_percent <= 100;
    case 's':
      return guest::ParseBacking(value, backing);
    default:
      manual = false;
      return true;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return perf::Main(
      argc, argv,
      {"dirty_log_perf",
       "  -b SIZE        memory of each vCPU (64M), a multiple of 2M\n"
       "  -v N           vCPUs (1)\n"
       "  -i N           iterations (2)\n"
       "  -w PERCENT     of the pages are written in an iteration, evenly spread (100)\n"
       "  -g             no manual protection: fetching the log clears it\n"
       "  -s BACKING     anonymous (default), anonymous_thp, untouched\n",
       "b:v:i:w:s:g", Option, Measure});
}
