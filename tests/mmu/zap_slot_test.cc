// SPDX-License-Identifier: GPL-2.0-or-later
// A slot cut off by itself: what goes, what stays, what it costs.
#include <gtest/gtest.h>

#include "table_arena.h"
#include "test_layout.h"

namespace fakes {
namespace {

class ZapSlotTest : public MmuTest {
 protected:
  explicit ZapSlotTest(const MachineOptions& options = {}) : MmuTest(options) {
    m.slot_zap = VLM_SLOT_ZAP_OWN;
    m.has_reclaimer = true;
  }

  void Touch(u64 first, u64 npages, u64 step = 1) {
    for (u64 gfn = first; gfn < first + npages; gfn += step)
      ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone) << gfn;
  }
  // Exits that it takes to read every page again.
  int ExitsOn(u64 first, u64 npages) {
    const int before = v.exits();
    for (u64 gfn = first; gfn < first + npages; gfn++)
      EXPECT_EQ(v.Read(Gpa(gfn)), Outcome::kDone) << gfn;
    return v.exits() - before;
  }
  // Entries visited by a delete that nobody interrupts.
  u64 VisitedBy(const std::function<void()>& work) {
    atomic64_set(&m.mmu()->stats.v[VLM_STAT_MAX_HOLD], 0);
    work();
    return m.Stat(VLM_STAT_MAX_HOLD);
  }
};

// Three slots that share tables at both of their borders.
constexpr u64 kFirst = 700, kMiddle = 3 * kMib2 + 77, kLast = 900;

class ThreeSlotsTest : public ZapSlotTest {
 protected:
  ThreeSlotsTest() {
    Memory(0, kFirst, kHva, 1, 0, 0);
    Memory(kFirst, kMiddle, kHva + kGib, 1, 0, 1);
    Memory(kFirst + kMiddle, kLast, kHva + 2 * kGib, 1, 0, 2);
    Touch(0, kFirst + kMiddle + kLast);
  }
};

TEST_F(ThreeSlotsTest, NeighboursStayMapped) {
  const u64 eptp = v.eptp();
  ASSERT_EQ(m.DeleteSlot(1), 0);
  for (u64 gfn = kFirst; gfn < kFirst + kMiddle; gfn += 50)
    ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kMmio);
  EXPECT_EQ(v.Read(Gpa(kFirst + kMiddle - 1)), Outcome::kMmio);
  EXPECT_EQ(ExitsOn(0, kFirst), 0);
  EXPECT_EQ(ExitsOn(kFirst + kMiddle, kLast), 0);
  EXPECT_EQ(v.eptp(), eptp) << "the root stands";
  m.CheckTables();
  vlm_mmu_reclaim(m.mmu());
  EXPECT_EQ(m.CountLeaves(), kFirst + kLast);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_SLOT), 1u);
}

TEST_F(ThreeSlotsTest, WhatWasCutOffWaitsForTheReclaimer) {
  const u64 zapped = m.Stat(VLM_STAT_ZAPPED);
  ASSERT_EQ(m.DeleteSlot(1), 0);
  EXPECT_TRUE(m.reclaim_wanted);
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 1u);
  // Only what stands in the two tables that are shared with neighbours.
  EXPECT_LE(m.Stat(VLM_STAT_ZAPPED) - zapped, 2u * VLM_TABLE_ENTRIES);
  const int live = TableArena::Get().live();
  vlm_mmu_reclaim(m.mmu());
  m.Settle();
  // The tables of 4-KiB entries that lay in the slot, and those that led to them.
  EXPECT_GE(live - TableArena::Get().live(), static_cast<int>(kMiddle / kMib2));
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 1u);
}

// The host frees the pages of the slot while its old tables still name them.
TEST_F(ThreeSlotsTest, HostMayFreeWhatCutTablesName) {
  ASSERT_EQ(m.DeleteSlot(1), 0);
  m.host().Drop(kHva + kGib, kMiddle);
  m.CheckTlbs();
  EXPECT_EQ(v.Read(Gpa(kFirst + 5)), Outcome::kMmio);
  vlm_mmu_reclaim(m.mmu());
  EXPECT_EQ(m.CountLeaves(), kFirst + kLast);
}

TEST_F(ThreeSlotsTest, MovedSlotIsFoundAtItsNewPlace) {
  ASSERT_EQ(m.SetSlot(1, kGib, kMiddle, kHva + kGib), 0);
  EXPECT_EQ(v.Read(Gpa(kFirst + 600)), Outcome::kMmio);
  EXPECT_EQ(v.Write(Gpa(kGib + 600)), Outcome::kDone);
  EXPECT_EQ(ExitsOn(0, kFirst), 0);
  m.CheckTables();
}

// A fault in a break finds the slot INVALID and installs nothing, neither here nor there.
TEST_F(ThreeSlotsTest, FaultInTheMiddleInstallsNothing) {
  m.break_mode = FakeMachine::Break::kAlways;
  u64 breaks = 0;
  m.on_resched = [&] {
    breaks++;
    // From both ends, so what was cut already is among it.
    for (u64 i = 0; i < kMiddle; i += 100) {
      EXPECT_EQ(v.Fault(Gpa(kFirst + i), VLM_ACCESS_WRITE), VLM_FAULT_RETRY);
      EXPECT_EQ(v.Fault(Gpa(kFirst + kMiddle - 1 - i), VLM_ACCESS_READ), VLM_FAULT_RETRY);
    }
    EXPECT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  };
  ASSERT_EQ(m.DeleteSlot(1), 0);
  m.on_resched = nullptr;
  EXPECT_GT(breaks, 0u);
  m.CheckTables();
  vlm_mmu_reclaim(m.mmu());
  EXPECT_EQ(m.CountLeaves(), kFirst + kLast);
}

// The host takes back pages while half of the slot is cut off.
TEST_F(ThreeSlotsTest, NotifierInTheMiddle) {
  m.break_mode = FakeMachine::Break::kAlways;
  bool once = true;
  m.on_resched = [&] {
    if (!once) return;
    once = false;
    m.host().Drop(kHva + kGib, kMiddle);
    EXPECT_EQ(m.CountLeaves(), kFirst + kLast);
  };
  ASSERT_EQ(m.DeleteSlot(1), 0);
  m.on_resched = nullptr;
  EXPECT_FALSE(once);
  vlm_mmu_reclaim(m.mmu());
}

// Everything goes while a slot is being cut off: the rest of it goes with that.
TEST_F(ThreeSlotsTest, ZapAllInTheMiddle) {
  m.break_mode = FakeMachine::Break::kAlways;
  bool once = true;
  m.on_resched = [&] {
    if (!once) return;
    once = false;
    vlm_mmu_zap_all(m.mmu());
    EXPECT_EQ(m.CountLeaves(), 0u);
  };
  ASSERT_EQ(m.DeleteSlot(1), 0);
  m.on_resched = nullptr;
  EXPECT_FALSE(once);
  EXPECT_EQ(v.Read(Gpa(kFirst + 5)), Outcome::kMmio);
  EXPECT_EQ(v.Read(Gpa(5)), Outcome::kDone);
  vlm_mmu_reclaim(m.mmu());
  m.CheckTables();
}

TEST_F(ThreeSlotsTest, OutOfMemoryEverythingIsCutOffInstead) {
  bool fell_back = false;
  for (long allocations = 0; allocations < 9; allocations++) {
    shim_alloc_fail_after(allocations);
    const int err = m.DeleteSlot(1);
    shim_alloc_fail_after(-1);
    ASSERT_TRUE(err == 0 || err == -ENOMEM);
    m.CheckTables();
    if (err) continue;
    EXPECT_EQ(v.Read(Gpa(kFirst + 600)), Outcome::kMmio);
    fell_back |= m.Stat(VLM_STAT_ZAP_ALL_FAST) > 0;
    ASSERT_EQ(m.SetSlot(1, kFirst, kMiddle, kHva + kGib), 0);
    Touch(0, kFirst + kMiddle + kLast);
  }
  EXPECT_TRUE(fell_back);
}

// A table of one address space is not looked for in another.
TEST_F(ThreeSlotsTest, OtherAddressSpaceStays) {
  FakeVcpu& smm = m.AddVcpu();
  smm.mv()->as_id = 1;
  Memory(0, 4 * kMib2, kHva + 4 * kGib, 1, 0, 1 << 16);
  for (u64 gfn = 0; gfn < 4 * kMib2; gfn++) ASSERT_EQ(smm.Read(Gpa(gfn)), Outcome::kDone);
  const int exits = smm.exits();
  ASSERT_EQ(m.DeleteSlot(1), 0);
  for (u64 gfn = 0; gfn < 4 * kMib2; gfn++) ASSERT_EQ(smm.Read(Gpa(gfn)), Outcome::kDone);
  EXPECT_EQ(smm.exits(), exits);
  vlm_mmu_reclaim(m.mmu());
}

TEST_F(ZapSlotTest, CostDoesNotGrowWithTheSlot) {
  u64 most = 0;
  for (const u64 gib : {u64{1}, u64{3}, u64{9}}) {
    const u64 npages = gib * kGib;
    Memory(kGib, npages, kHva, 2);
    Touch(kGib, npages, kMib2);
    const u64 zapped = m.Stat(VLM_STAT_ZAPPED);
    const u64 visited = VisitedBy([&] { ASSERT_EQ(m.DeleteSlot(0), 0); });
    EXPECT_EQ(m.Stat(VLM_STAT_ZAPPED), zapped);
    // One entry for each GiB, and the way to them.
    EXPECT_LE(visited, 2 * gib + 8);
    most = std::max(most, visited);
    vlm_mmu_reclaim(m.mmu());
    EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u);
    m.Settle();
  }
  EXPECT_LT(most, 40u);
}

TEST_F(ZapSlotTest, WorstAlignmentIsBoundedToo) {
  for (const u64 gib : {u64{2}, u64{6}}) {
    const u64 first = 1, npages = gib * kGib - 2;
    Memory(first, npages, kHva + 1, 2);
    Touch(first, kMib2);
    Touch(gib * kGib - kMib2, kMib2 - 1);
    Touch(kMib2, npages - 2 * kMib2, kMib2);
    const u64 visited = VisitedBy([&] { ASSERT_EQ(m.DeleteSlot(0), 0); });
    // Two tables of 4-KiB entries, two of 2-MiB entries: visited once, changed once.
    EXPECT_LE(visited, 8u * VLM_TABLE_ENTRIES + 2 * gib + 8);
    vlm_mmu_reclaim(m.mmu());
    EXPECT_EQ(m.CountLeaves(), 0u);
    m.Settle();
  }
}

TEST_F(ZapSlotTest, HoldIsBounded) {
  m.break_mode = FakeMachine::Break::kAlways;
  constexpr u64 kPages = 4 * kGib - 2;
  Memory(1, kPages, kHva + 1, 2);
  Touch(1, kMib2);
  Touch(kMib2, kPages - 2 * kMib2, kMib2);
  const u64 visited = VisitedBy([&] {
    ASSERT_EQ(m.DeleteSlot(0), 0);
    vlm_mmu_reclaim(m.mmu());
  });
  EXPECT_LE(visited, u64{VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX});
  EXPECT_EQ(m.CountLeaves(), 0u);
}

TEST_F(ZapSlotTest, CallerThatOutrunsTheReclaimerHelps) {
  Memory(4 * kGib, 16, kHva + kGib, 1, 0, 1);
  Touch(4 * kGib, 16);
  for (int round = 0; round < 50; round++) {
    Memory(0, 2 * kMib2, kHva);
    Touch(0, 2 * kMib2, 64);
    ASSERT_EQ(m.DeleteSlot(0), 0);
    ASSERT_LE(m.Stat(VLM_STAT_RECLAIM_BACKLOG), u64{VLM_RECLAIM_BACKLOG});
  }
  EXPECT_EQ(ExitsOn(4 * kGib, 16), 0);
  vlm_mmu_reclaim(m.mmu());
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
}

// A slot that nobody touched, and one on a machine that never ran.
TEST_F(ZapSlotTest, NothingToCut) {
  Memory(0, 4 * kMib2, kHva);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  ASSERT_TRUE(v.Reload());
  Memory(0, 4 * kMib2, kHva);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 1u);
}

class FiveLevelZapSlotTest : public ZapSlotTest {
 protected:
  FiveLevelZapSlotTest() : ZapSlotTest(MachineOptions{.five_level = true}) {}
};

// Two tables at every level between the root and the leaves: all that a defunct root can need.
TEST_F(FiveLevelZapSlotTest, AcrossTheBorderOfEveryLevel) {
  constexpr u64 kBorder = u64{1} << 36, kHalf = 3 * kMib2 + 5;
  Memory(kBorder - kHalf, 2 * kHalf, kHva + kMib2 - 5);
  Touch(kBorder - kHalf, 2 * kHalf);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), 0u);
  EXPECT_EQ(v.Read(Gpa(kBorder)), Outcome::kMmio);
  vlm_mmu_reclaim(m.mmu());
  EXPECT_EQ(m.CountLeaves(), 0u);
}

}  // namespace
}  // namespace fakes
