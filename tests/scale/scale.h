// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a guest of any size: populated, cut off, logged, deleted; with what each operation
// cost.
#ifndef TESTS_SCALE_SCALE_H_
#define TESTS_SCALE_SCALE_H_

#include <string>
#include <vector>

#include "lean_platform.h"

namespace scale {

inline constexpr u64 kMib2 = u64{1} << 21;
inline constexpr u64 kGib = u64{1} << 30;
// The longest hold of the mmu lock that rule G7 permits, in entries.
inline constexpr u64 kHoldBudget = VLM_HOLD_BUDGET;

struct GuestOptions {
  u64 bytes = 16 * kGib;
  // So much of it, at the beginning, ends up mapped by 4-KiB pages; a multiple of 2 GiB or less
  // than `bytes`. The rest by 2-MiB pages.
  u64 dense_bytes = 16 * kGib;
  size_t vcpus = 416;
};

struct Cost {
  std::string what;
  u64 ns = 0;
  // Calls that it took: faults, words of the log, or 1.
  u64 calls = 1;
  Holds holds;
};

struct Life {
  std::vector<Cost> costs;
  // Of the part mapped by 4-KiB pages.
  u64 dense_tables = 0;
  // At the fullest moment.
  u64 tables_peak = 0;
};

// Runs it. Ends the program if a hold exceeds the budget or anything is left over.
Life LiveThrough(const GuestOptions& options);

}  // namespace scale

#endif  // TESTS_SCALE_SCALE_H_
