// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that walks over its memory on request: a page at a time, reading or writing a word.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/check.h"
#include "lib/guest.h"

namespace guest {

inline constexpr uint64_t kWalkBase = 0x40000000;  // where the tests put their second slot
inline constexpr size_t kPageBytes = 4096;

// Waits (port 0x20), goes over the memory as its Walk says, reports (port 0x10), and again.
extern const Code kWalkCode;

struct Walk {
  uint64_t base = kWalkBase;
  size_t pages = 0;
  uint64_t add = 1;              // to the first word of each page; 0 only reads it
  uint64_t stride = kPageBytes;  // from one page to the next
  bool call = false;             // calls the function at the start of each page instead
};

// Tells a guest that waits where to walk next.
void Tell(kvm::Vcpu& vcpu, const Walk& walk);
// Runs until the guest waits, and tells it.
void Prepare(kvm::Vcpu& vcpu, const Walk& walk);
// The walk itself.
void Go(kvm::Vcpu& vcpu);

// A machine with that guest, whose slot 1 are 4-KiB pages of the host that are there already: the
// zero page would be mapped without write permission.
class SlotWalker {
 public:
  explicit SlotWalker(size_t pages, uint32_t flags = 0);

  // Over the first pages of the slot; afterwards the guest waits.
  void Round(size_t pages, uint64_t add = 1);
  void Delete() { CHECK_EQ(0, machine_.vm().SetRegion(1, kWalkBase, 0, memory_.data())); }
  void Create() { machine_.vm().Map(1, kWalkBase, memory_.size(), memory_.data()); }
  Machine& machine() { return machine_; }

 private:
  kvm::Mapping memory_;
  Machine machine_;
};

// Private memory of 4-KiB pages, all of them there.
kvm::Mapping SmallPages(size_t bytes);

}  // namespace guest
