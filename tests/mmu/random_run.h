// SPDX-License-Identifier: GPL-2.0-or-later
// One run of a RandomMachine that says how to repeat it, however it ends.
#ifndef TESTS_MMU_RANDOM_RUN_H_
#define TESTS_MMU_RANDOM_RUN_H_

#include "random_machine.h"

namespace fakes {

// Runs one machine from beginning to end, leaks included. A violation or a sanitizer's report
// prints "seed S, after N operations", and `repeat` followed by the seed.
RandomCounts RunRandomMachine(u64 seed, u64 operations, const char* repeat);

}  // namespace fakes

#endif  // TESTS_MMU_RANDOM_RUN_H_
