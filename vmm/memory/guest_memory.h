// SPDX-License-Identifier: GPL-2.0-or-later
//
// The guest's RAM: one memfd, mapped once, shown to the guest in up to two pieces around the
// hole below 4 GiB where devices live. All accesses from user space are bounds-checked here.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/platform.h"
#include "hyp/kvm.h"

namespace vmm {

inline constexpr uint64_t kPageSize = 4096;
inline constexpr uint64_t kMinMemory = 16ull << 20;  // less holds no kernel worth booting

struct RamRange {
  uint64_t gpa;
  uint64_t size;
};

// The pieces in which `size` bytes of RAM appear to the guest.
std::vector<RamRange> LayoutRam(uint64_t size);

// Rounds down to whole pages; refuses sizes that cannot work.
Expected<uint64_t> CheckMemorySize(uint64_t size);

class GuestMemory {
 public:
  static Expected<GuestMemory> Create(uint64_t size);

  uint64_t size() const { return mapping_.size(); }
  int fd() const { return fd_.get(); }
  const std::vector<RamRange>& ranges() const { return ranges_; }
  uint64_t low_end() const { return ranges_.front().gpa + ranges_.front().size; }

  // Host view of guest-physical [gpa, gpa + length); empty unless all of it is RAM.
  std::span<uint8_t> At(uint64_t gpa, uint64_t length) const;
  // False, with nothing written, unless all of the target is RAM.
  bool Write(uint64_t gpa, std::span<const uint8_t> bytes) const;

  // Tells the module about every range.
  Status Register(const Vm& vm) const;

 private:
  Fd fd_;
  Mapping mapping_;
  std::vector<RamRange> ranges_;
};

}  // namespace vmm
