// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/crew.h"

#include <sys/mman.h>

#include <atomic>
#include <thread>

#include "lib/check.h"
#include "lib/stats.h"

namespace guest {
namespace {

constexpr size_t kHugeBytes = 2 << 20;
constexpr uint8_t kReturn = 0xc3;

uint8_t* Aligned(const kvm::Mapping& area) {
  return area.data() + (-reinterpret_cast<uintptr_t>(area.data()) & (kHugeBytes - 1));
}

}  // namespace

Crew::Crew(size_t vcpus, size_t bytes_per_vcpu, Backing backing)
    : machine_(kWalkCode, Mode::kLong64),
      area_(vcpus * bytes_per_vcpu + kHugeBytes, MAP_PRIVATE | MAP_ANONYMOUS),
      memory_(Aligned(area_)),
      bytes_(vcpus * bytes_per_vcpu) {
  madvise(memory_, bytes_, backing == Backing::kHugePages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  if (backing != Backing::kUntouched) {
    for (size_t at = 0; at < bytes_; at += kPageBytes) memory_[at] = 1;
  }
  vm().Map(1, kWalkBase, bytes_, memory_);
  for (size_t i = 1; i < vcpus; ++i) {
    others_.push_back(std::make_unique<kvm::Vcpu>(vm().fd(), static_cast<unsigned>(i)));
    others_.back()->SetSupportedCpuid();
    Enter(*others_.back(), machine_.low(), Mode::kLong64);
  }
  // The guest's code and tables are mapped before anything is measured.
  for (size_t i = 0; i < vcpus; ++i) {
    vcpu(i).RunUntil(KVM_EXIT_IO);
    Tell(vcpu(i), {.base = kData, .pages = 1, .add = 0});
    Go(vcpu(i));
  }
  own_huge_ = stats::File(vm().fd()).Value("pages_2m");
}

void Crew::SetFlags(uint32_t flags) { vm().Map(1, kWalkBase, bytes_, memory_, flags); }

perf::Cost Crew::Pass(Access access, size_t step) {
  const size_t pages_each = pages() / vcpus();
  std::vector<const kvm::Vcpu*> all;
  for (size_t i = 0; i < vcpus(); ++i) {
    Prepare(vcpu(i), {.base = kWalkBase + i * pages_each * kPageBytes,
                      .pages = pages_each / step,
                      .add = access == Access::kWrite,
                      .stride = step * kPageBytes});
    all.push_back(&vcpu(i));
  }
  perf::Meter meter(all);
  if (vcpus() == 1) {
    Go(vcpu(0));
    return meter.Lap();
  }
  std::atomic<bool> failed = false;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < vcpus(); ++i) {
    threads.emplace_back([&, i] {
      perf::Pin(static_cast<unsigned>(i));
      try {
        Go(vcpu(i));
      } catch (const check::Failed&) {
        failed = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const perf::Cost cost = meter.Lap();
  CHECK(!failed);
  return cost;
}

void Crew::Execute(size_t step) {
  for (size_t page = 0; page < pages(); page += step) memory_[page * kPageBytes] = kReturn;
  Prepare(vcpu(0), {.pages = pages() / step, .stride = step * kPageBytes, .call = true});
  Go(vcpu(0));
}

uint64_t Crew::HugeMappings() {
  return stats::File(machine_.vm().fd()).Value("pages_2m") - own_huge_;
}

bool ParseBacking(const std::string& name, Backing& backing) {
  if (name == "anonymous") {
    backing = Backing::kSmallPages;
  } else if (name == "anonymous_thp") {
    backing = Backing::kHugePages;
  } else if (name == "untouched") {
    backing = Backing::kUntouched;
  } else {
    return false;
  }
  return true;
}

}  // namespace guest
