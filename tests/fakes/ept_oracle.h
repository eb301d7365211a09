// SPDX-License-Identifier: GPL-2.0-or-later
// What a CPU would make of EPT tables: written from the SDM alone, knows nothing of the MMU's own
// macros. SDM volume 3, "The Extended Page Table Mechanism (EPT)".
#ifndef TESTS_FAKES_EPT_ORACLE_H_
#define TESTS_FAKES_EPT_ORACLE_H_

#include <cstdint>
#include <vector>

#include <linux/types.h>

namespace fakes {

enum class EptKind { kMapped, kViolation, kMisconfig };

struct EptResult {
  EptKind kind = EptKind::kViolation;
  u64 pfn = 0;  // of the 4-KiB page asked for
  bool r = false, w = false, x = false;
  bool accessed = false, dirty = false;
  int level = 0;  // of the entry that ended the walk
  int memory_type = 0;
  u64* entry = nullptr;
  std::vector<u64> tables;  // physical addresses of the tables walked
};

// Walks for the page of `gpa` from the tables that `eptp` names, without setting flags.
EptResult EptWalk(u64 eptp, u64 gpa);

// As a CPU that accesses `gpa` does: walks, and sets accessed and dirty flags when EPTP bit 6 is
// set. `write` and `exec` choose what must be permitted; otherwise a read.
EptResult EptAccess(u64 eptp, u64 gpa, bool write, bool exec);

}  // namespace fakes

#endif  // TESTS_FAKES_EPT_ORACLE_H_
