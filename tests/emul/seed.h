// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random tests repeat by default; VELLUM_TEST_SEED=n explores, and a failure names its seed.

#pragma once

#include <cstdint>
#include <cstdlib>

namespace vmm {

inline uint64_t TestSeed() {
  const char* text = getenv("VELLUM_TEST_SEED");
  return text ? strtoull(text, nullptr, 0) : 20261120;
}

}  // namespace vmm
