// SPDX-License-Identifier: GPL-2.0-or-later
// What faults cost by kind, and how huge pages that execution has split come back.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "lib/check.h"
#include "lib/crew.h"
#include "lib/parameter.h"
#include "lib/stats.h"

namespace {

using guest::Access;
using guest::Backing;
using guest::Crew;
using kvm::Parameter;
using perf::Cost;

constexpr size_t kHugeBytes = 2 << 20;

uint64_t bytes_per_vcpu = 16 << 20;
uint64_t vcpus = 1;

void MeasureFaults(perf::Report& report) {
  const std::string by = vcpus == 1 ? "" : ", " + std::to_string(vcpus) + " vCPUs";
  {
    Crew crew(vcpus, bytes_per_vcpu, Backing::kSmallPages);
    report.Add("4K write" + by, crew.Pass(Access::kWrite), crew.pages(), "page");
    report.Add("4K without a fault" + by, crew.Pass(Access::kWrite), crew.pages(), "page");
  }
  {
    Crew crew(vcpus, bytes_per_vcpu, Backing::kSmallPages);
    report.Add("4K read" + by, crew.Pass(Access::kRead), crew.pages(), "page");
  }
  {
    Crew crew(vcpus, bytes_per_vcpu, Backing::kUntouched);
    report.Add("4K write, the host's page missing" + by, crew.Pass(Access::kWrite), crew.pages(),
               "page");
  }
  {
    Crew crew(vcpus, bytes_per_vcpu, Backing::kHugePages);
    const size_t huge = crew.bytes() / kHugeBytes;
    report.Add("2M write" + by, crew.Pass(Access::kWrite, kHugeBytes / guest::kPageBytes), huge,
               "2 MiB");
    if (crew.HugeMappings() < huge) check::Skip("the host gave too few huge pages");
  }
}

// A kernel thread's time on a processor, by the name it begins with; it belongs to the machine
// that was created last.
class KernelThread {
 public:
  KernelThread() {
    int newest = 0;
    // A thread of this process in newer kernels.
    for (const char* folder : {"/proc", "/proc/self/task"}) {
      for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const int pid = std::atoi(entry.path().filename().c_str());
        std::ifstream file(entry.path() / "comm");
        std::string name;
        if (pid <= newest || !(file >> name)) continue;
        if (!name.starts_with("kvm-nx-lpage") && !name.starts_with("vellum-reclaim")) continue;
        newest = pid;
        path_ = entry.path() / "schedstat";
      }
    }
    CHECK(newest != 0);
  }
  uint64_t Nanoseconds() const {
    std::ifstream file(path_);
    uint64_t ns = 0;
    CHECK(static_cast<bool>(file >> ns));
    return ns;
  }

 private:
  std::filesystem::path path_;
};

double TicksPerNanosecond() {
  const auto now = [] {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC_RAW, &t);
    return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
  };
  const double start = now();
  const uint64_t ticks = __rdtsc();
  usleep(100000);
  return static_cast<double>(__rdtsc() - ticks) / (now() - start);
}

// Every 2 MiB was executed in and is in use by 4-KiB pages; then recovery, and the next access to
// each. The thread's time is what the scheduler counted.
void MeasureRecovery(perf::Report& report) {
  const Parameter mitigation("nx_huge_pages", "force");
  const Parameter ratio("nx_huge_pages_recovery_ratio", "0");
  const Parameter period("nx_huge_pages_recovery_period_ms", "100");
  Crew crew(1, bytes_per_vcpu, Backing::kHugePages);
  const size_t huge = crew.bytes() / kHugeBytes, step = kHugeBytes / guest::kPageBytes;
  const stats::File counters(crew.vm().fd());
  crew.Execute(step);
  if (counters.Value("nx_lpage_splits") < huge) check::Skip("the host gave too few huge pages");
  crew.Pass(Access::kWrite);
  const KernelThread thread;
  const uint64_t before = thread.Nanoseconds();
  ratio.Write("1");
  for (int i = 0; counters.Value("nx_lpage_splits") && i < 100; i++) usleep(50000);
  ratio.Write("0");
  CHECK_EQ(0u, counters.Value("nx_lpage_splits"));
  usleep(200000);
  const auto nanoseconds = static_cast<double>(thread.Nanoseconds() - before);
  Cost recovery{static_cast<uint64_t>(nanoseconds * TicksPerNanosecond()), 0};
  const Cost next = crew.Pass(Access::kWrite, step);
  CHECK(crew.HugeMappings() >= huge);
  report.Add("NX recovery", recovery, huge, "2 MiB");
  report.Add("access after NX recovery", next, huge, "2 MiB");
  report.Add("NX recovery and next access",
             {recovery.ticks + next.ticks, recovery.exits + next.exits}, huge, "2 MiB");
}

void Measure(perf::Report& report) {
  MeasureFaults(report);
  MeasureRecovery(report);
}

bool Option(int letter, const char* value) {
  if (letter == 'b')
    return perf::ParseBytes(value, bytes_per_vcpu) && bytes_per_vcpu > 0 &&
           bytes_per_vcpu % kHugeBytes == 0;
  return perf::ParseNumber(value, vcpus) && vcpus > 0 && vcpus <= 64;
}

}  // namespace

int main(int argc, char** argv) {
  return perf::Main(argc, argv,
                    {"fault_perf",
                     "  -b SIZE        memory of each vCPU (16M), a multiple of 2M\n"
                     "  -v N           vCPUs (1)\n",
                     "b:v:", Option, Measure});
}
