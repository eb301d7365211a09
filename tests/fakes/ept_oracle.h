// SPDX-License-Identifier: GPL-2.0-or-later
// What a CPU would make of EPT tables: written from the SDM alone, knows nothing of the MMU's own
// macros. SDM volume 3, "The Extended Page Table Mechanism (EPT)".
#ifndef TESTS_FAKES_EPT_ORACLE_H_
#define TESTS_FAKES_EPT_ORACLE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include <linux/types.h>

namespace fakes {

// Physical addresses of the tables of one walk, at most five.
class EptTables {
 public:
  void push_back(u64 pa) { at_[size_++] = pa; }
  size_t size() const { return size_; }
  const u64* begin() const { return at_.data(); }
  const u64* end() const { return at_.data() + size_; }

 private:
  std::array<u64, 5> at_{};
  size_t size_ = 0;
};

enum class EptKind { kMapped, kViolation, kMisconfig };

struct EptResult {
  EptKind kind = EptKind::kViolation;
  u64 pfn = 0;  // of the 4-KiB page asked for
  bool r = false, w = false, x = false;
  bool accessed = false, dirty = false;
  bool made_dirty = false;  // by this access
  int level = 0;            // of the entry that ended the walk
  int memory_type = 0;
  u64* entry = nullptr;
  EptTables tables;
};

// Walks for the page of `gpa` from the tables that `eptp` names, without setting flags.
EptResult EptWalk(u64 eptp, u64 gpa);

// As a CPU that accesses `gpa` does: walks, and sets accessed and dirty flags when EPTP bit 6 is
// set. `write` and `exec` choose what must be permitted; otherwise a read.
EptResult EptAccess(u64 eptp, u64 gpa, bool write, bool exec);

}  // namespace fakes

#endif  // TESTS_FAKES_EPT_ORACLE_H_
