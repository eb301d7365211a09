// SPDX-License-Identifier: GPL-2.0-or-later
//
// The CPUID table of one virtual CPU, made from what the module supports.
#pragma once

#include "hyp/kvm.h"

#include <cstdint>
#include <vector>

namespace vmm {

struct CpuidConfig {
  uint32_t cpu = 0;
  uint32_t cpus = 1;
  uint32_t tsc_khz = 0;             // 0: unknown, the guest calibrates
  bool tsc_deadline_timer = false;  // the module has KVM_CAP_TSC_DEADLINE_TIMER
};

std::vector<kvm_cpuid_entry2> MakeCpuid(std::vector<kvm_cpuid_entry2> supported,
                                        const CpuidConfig& config);

// The guest-physical address width that the table announces.
uint32_t PhysicalAddressBits(const std::vector<kvm_cpuid_entry2>& table);

// num / den so that 10^9 * num / den is closest to the TSC's frequency, num < 4295: the guest
// multiplies num with the crystal's kHz in 32 bits.
struct ClockRatio {
  uint32_t numerator;
  uint32_t denominator;
};
ClockRatio TscRatio(uint32_t tsc_khz);

}  // namespace vmm
