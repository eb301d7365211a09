// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/cpuid.h"

#include <bit>
#include <cmath>
#include <cstdlib>

namespace vmm {
namespace {

constexpr uint32_t kTscDeadline = 1u << 24;
constexpr uint32_t kHypervisor = 1u << 31;
constexpr uint32_t kHtt = 1u << 28;
constexpr uint32_t kLevelTypeCore = 2;
constexpr uint32_t kLevelTypeThread = 1;
constexpr uint32_t kCrystalHz = 1000000000;  // of KVM's local APIC timer
constexpr uint32_t kVendorIntelEbx = 0x756e6547;

kvm_cpuid_entry2* Find(std::vector<kvm_cpuid_entry2>* table, uint32_t function) {
  for (kvm_cpuid_entry2& entry : *table)
    if (entry.function == function) return &entry;
  return nullptr;
}

kvm_cpuid_entry2* FindOrAdd(std::vector<kvm_cpuid_entry2>* table, uint32_t function) {
  if (kvm_cpuid_entry2* entry = Find(table, function)) return entry;
  kvm_cpuid_entry2 entry = {};
  entry.function = function;
  table->push_back(entry);
  return &table->back();
}

// Leaves 0xb and 0x1f: one thread a core, all cores in one package.
void SetTopology(std::vector<kvm_cpuid_entry2>* table, uint32_t function,
                 const CpuidConfig& config) {
  if (Find(table, function) == nullptr) return;
  std::erase_if(*table, [&](const auto& entry) { return entry.function == function; });
  const auto bits = static_cast<uint32_t>(std::bit_width(config.cpus - 1));
  for (uint32_t index = 0; index < 3; ++index) {
    kvm_cpuid_entry2 entry = {};
    entry.function = function;
    entry.index = index;
    entry.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
    if (index == 0) {
      entry.ebx = 1;
      entry.ecx = kLevelTypeThread << 8 | index;
    } else if (index == 1) {
      entry.eax = bits;
      entry.ebx = config.cpus;
      entry.ecx = kLevelTypeCore << 8 | index;
    } else {
      entry.ecx = index;
    }
    entry.edx = config.cpu;
    table->push_back(entry);
  }
}

}  // namespace

ClockRatio TscRatio(uint32_t tsc_khz) {
  ClockRatio best{1, 1};
  double best_error = INFINITY;
  const double wanted = tsc_khz / 1e6;
  for (uint32_t numerator = 1; numerator < 4295; ++numerator) {
    const double denominator = std::round(numerator / wanted);
    if (denominator < 1 || denominator > 0xffffffff) continue;
    const double error = std::abs(numerator / denominator - wanted);
    if (error < best_error) {
      best_error = error;
      best = {numerator, static_cast<uint32_t>(denominator)};
    }
    if (error == 0) break;
  }
  return best;
}

uint32_t PhysicalAddressBits(const std::vector<kvm_cpuid_entry2>& table) {
  for (const kvm_cpuid_entry2& entry : table)
    if (entry.function == 0x80000008 && (entry.eax & 0xff) != 0) return entry.eax & 0xff;
  return 36;
}

std::vector<kvm_cpuid_entry2> MakeCpuid(std::vector<kvm_cpuid_entry2> table,
                                        const CpuidConfig& config) {
  if (kvm_cpuid_entry2* entry = Find(&table, 1)) {
    entry->ebx = (entry->ebx & 0xff00) | config.cpu << 24;
    if (config.cpus > 1) entry->ebx |= (config.cpus & 0xff) << 16;
    entry->ecx |= kHypervisor;
    entry->ecx = config.tsc_deadline_timer ? entry->ecx | kTscDeadline : entry->ecx & ~kTscDeadline;
    entry->edx = config.cpus > 1 ? entry->edx | kHtt : entry->edx & ~kHtt;
    if (((entry->ebx >> 8) & 0xff) == 0) entry->ebx |= 8 << 8;  // CLFLUSH line: 64 bytes
  }
  for (kvm_cpuid_entry2& entry : table) {
    if (entry.function != 4 || (entry.eax & 0x1f) == 0) continue;
    const uint32_t level = entry.eax >> 5 & 7;
    const uint32_t sharing = level >= 3 ? config.cpus - 1 : 0;  // CPUs on one cache, less one
    entry.eax = (entry.eax & 0x3fff) | (sharing & 0xfff) << 14 | ((config.cpus - 1) & 0x3f) << 26;
  }
  SetTopology(&table, 0xb, config);
  SetTopology(&table, 0x1f, config);

  // Say how fast the clocks are, so that the guest need not measure: Intel only, elsewhere the
  // leaves mean nothing.
  kvm_cpuid_entry2* base = Find(&table, 0);
  if (config.tsc_khz != 0 && base != nullptr && base->ebx == kVendorIntelEbx) {
    if (base->eax < 0x16) base->eax = 0x16;
    const ClockRatio ratio = TscRatio(config.tsc_khz);
    kvm_cpuid_entry2* tsc = FindOrAdd(&table, 0x15);
    tsc->eax = ratio.denominator;
    tsc->ebx = ratio.numerator;
    tsc->ecx = kCrystalHz;
    kvm_cpuid_entry2* frequency = FindOrAdd(&table, 0x16);
    frequency->eax = config.tsc_khz / 1000;
    frequency->ebx = config.tsc_khz / 1000;
    frequency->ecx = 100;
  }
  return table;
}

}  // namespace vmm
