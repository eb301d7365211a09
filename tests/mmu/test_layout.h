// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers that the tests of the MMU share.
#ifndef TESTS_MMU_TEST_LAYOUT_H_
#define TESTS_MMU_TEST_LAYOUT_H_

#include <gtest/gtest.h>

#include "fake_machine.h"

namespace fakes {

// A host address, in pages, aligned for every page size.
inline constexpr u64 kHva = 0x7f00'0000'0000 >> 12;
// In pages.
inline constexpr u64 kMib2 = 512;
inline constexpr u64 kGib = 512 * 512;

inline u64 Gpa(u64 gfn, u64 offset = 0) { return gfn << 12 | offset; }

// One machine, one vCPU.
class MmuTest : public ::testing::Test {
 protected:
  explicit MmuTest(const MachineOptions& options = {}) : m(options) {}

  // Memory at gfn, backed by hva_page, which the host maps at `level`.
  void Memory(u64 gfn, u64 npages, u64 hva_page, int level = 1, u32 flags = 0, u32 slot = 0) {
    m.host().Map(hva_page, npages, level);
    ASSERT_EQ(m.SetSlot(slot, gfn, npages, hva_page, flags), 0);
  }

  FakeMachine m;
  FakeVcpu& v = m.AddVcpu();
};

}  // namespace fakes

#endif  // TESTS_MMU_TEST_LAYOUT_H_
