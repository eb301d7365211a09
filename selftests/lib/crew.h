// SPDX-License-Identifier: GPL-2.0-or-later
// Walkers that share a slot: each vCPU goes over its own part of the memory. For measurements.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/perf.h"
#include "lib/walker.h"

namespace guest {

enum class Backing { kSmallPages, kHugePages, kUntouched };
enum class Access { kRead, kWrite };

class Crew {
 public:
  // The parts are multiples of 2 MiB.
  Crew(size_t vcpus, size_t bytes_per_vcpu, Backing backing);

  kvm::Vm& vm() { return machine_.vm(); }
  kvm::Vcpu& vcpu(size_t i) { return i == 0 ? machine_.vcpu() : *others_[i - 1]; }
  size_t vcpus() const { return others_.size() + 1; }
  size_t bytes() const { return bytes_; }
  size_t pages() const { return bytes_ / kPageBytes; }
  uint8_t* memory() const { return memory_; }

  // Slot 1 as it is or with other flags.
  void SetFlags(uint32_t flags);
  // One page in step of all of them, by all vCPUs at the same time.
  perf::Cost Pass(Access access, size_t step = 1);
  // Has the first vCPU execute an instruction in one page in step of all of them. Its first byte
  // is that instruction from then on.
  void Execute(size_t step);
  // Mapped by 2-MiB entries at this moment, but for those of the guest's own code.
  uint64_t HugeMappings();

 private:
  Machine machine_;
  kvm::Mapping area_;
  uint8_t* memory_;
  size_t bytes_;
  std::vector<std::unique_ptr<kvm::Vcpu>> others_;
  uint64_t own_huge_ = 0;
};

// "anonymous" and "anonymous_thp", as the kernel's tests call them, and "untouched".
bool ParseBacking(const std::string& name, Backing& backing);

}  // namespace guest
