// SPDX-License-Identifier: GPL-2.0-or-later
// Roots and zaps: cut-off, yields, what survives and what must not.
#include <gtest/gtest.h>

#include "table_arena.h"
#include "test_layout.h"

namespace fakes {
namespace {

using ZapTest = MmuTest;

// Entries visited in one hold of the lock when somebody always waits: the budget, one step that
// cannot be broken up, and the way down to it.
constexpr u64 kHoldBound = VLM_HOLD_BUDGET;

TEST_F(ZapTest, DeleteLeavesNothing) {
  Memory(0, 2048, kHva);
  for (u64 gfn = 0; gfn < 2048; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(m.CountLeaves(), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 0u);
  // The sleeping vCPU pins its root page, no more.
  m.Settle();
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 1u);
  EXPECT_LE(TableArena::Get().live(), 1 + VLM_PAGE_CACHE_MAX);
  EXPECT_EQ(v.Read(Gpa(5)), Outcome::kMmio);
}

TEST_F(ZapTest, InvalidRootIsNeverGivenOutAgain) {
  Memory(0, 16, kHva);
  Memory(100, 16, kHva + 100, 1, 0, 1);
  FakeVcpu& sleeper = m.AddVcpu();
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(sleeper.Write(Gpa(2)), Outcome::kDone);
  const u64 old = v.eptp();
  ASSERT_EQ(sleeper.eptp(), old);
  ASSERT_EQ(m.DeleteSlot(1), 0);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  EXPECT_NE(v.eptp(), old) << "the sleeper still holds the old root, so its page cannot be reused";
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 2u);
  ASSERT_EQ(sleeper.Write(Gpa(2)), Outcome::kDone);
  EXPECT_EQ(sleeper.eptp(), v.eptp());
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 1u);
}

TEST_F(ZapTest, FaultOnAnObsoleteRootInstallsNothing) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  {
    std::lock_guard guard(m.slots_lock());
    vlm_zap_all_fast(m.mmu());
  }
  EXPECT_EQ(v.Fault(Gpa(2), VLM_ACCESS_WRITE), VLM_FAULT_RETRY);
  EXPECT_EQ(m.CountLeaves(), 0u);
}

TEST_F(ZapTest, HoldIsBoundedWhateverTheSize) {
  m.break_mode = FakeMachine::Break::kAlways;
  for (u64 npages : {u64{1024}, u64{8192}, u64{32768}}) {
    Memory(0, npages, kHva);
    for (u64 gfn = 0; gfn < npages; gfn++) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
    const u64 yields = m.Stat(VLM_STAT_YIELDS);
    ASSERT_EQ(m.DeleteSlot(0), 0);
    // About one yield per table of 4-KiB entries: not none, and not one per entry.
    EXPECT_GE(m.Stat(VLM_STAT_YIELDS) - yields, npages / 512 / 2);
    EXPECT_LE(m.Stat(VLM_STAT_YIELDS) - yields, npages / 512 + 16);
    EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), kHoldBound) << npages;
  }
}

TEST_F(ZapTest, NotifierRangeYieldsToo) {
  constexpr u64 kPages = 32768;
  m.break_mode = FakeMachine::Break::kAlways;
  Memory(0, kPages, kHva);
  for (u64 gfn = 0; gfn < kPages; gfn++) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  m.host().Drop(kHva, kPages);
  EXPECT_EQ(m.CountLeaves(), 0u);
  EXPECT_GE(m.Stat(VLM_STAT_YIELDS), kPages / 512 - 1);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), kHoldBound);
}

// vCPUs that refill in every gap cannot keep a zap from ending.
TEST_F(ZapTest, RefillingVcpusDoNotStopADelete) {
  constexpr u64 kPages = 16384;
  Memory(0, kPages, kHva);
  Memory(kGib, 16, kHva + kGib, 1, 0, 1);
  for (u64 gfn = 0; gfn < kPages; gfn++) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  u64 next = 0, gaps = 0;
  m.on_resched = [&] {
    gaps++;
    for (int i = 0; i < 600; i++) ASSERT_EQ(v.Read(Gpa(next++ % kPages)), Outcome::kDone);
  };
  ASSERT_EQ(m.DeleteSlot(1), 0);
  EXPECT_GE(gaps, kPages / 512 / 2);
  EXPECT_LE(gaps, kPages / 512 + 16);
  m.on_resched = nullptr;
  // What came after the cut-off stays.
  EXPECT_GE(m.CountLeaves(), std::min(next, kPages));
  m.CheckTables();
}

TEST_F(ZapTest, NotifierInTheMiddleOfADeleteFindsTheRest) {
  constexpr u64 kPages = 16384;
  Memory(0, kPages, kHva);
  Memory(kGib, 16, kHva + kGib, 1, 0, 1);
  for (u64 gfn = 0; gfn < kPages; gfn++) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  bool once = true;
  m.on_resched = [&] {
    if (!once) return;
    once = false;
    // Half of the old root is left. The host takes all pages back.
    EXPECT_GT(m.CountLeaves(), 0u);
    m.host().Drop(kHva, kPages);
    EXPECT_EQ(m.CountLeaves(), 0u);
  };
  ASSERT_EQ(m.DeleteSlot(1), 0);
  EXPECT_FALSE(once);
}

TEST_F(ZapTest, TablesAreFreedOnlyAfterTheGracePeriod) {
  Memory(0, 512, kHva);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  const int live = TableArena::Get().live();
  shim_rcu_read_lock();
  int level;
  // A software walker stands in the tables.
  EXPECT_NE(vlm_tdp_lookup(v.mv()->root, 1, &level), 0u);
  shim_rcu_read_unlock();
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(TableArena::Get().live(), live) << "nothing is freed before a grace period";
  m.Settle();
  EXPECT_LT(TableArena::Get().live(), live);
}

TEST_F(ZapTest, ZapAllOfADyingMachine) {
  Memory(0, 2048, kHva);
  for (u64 gfn = 0; gfn < 2048; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  vlm_mmu_zap_all(m.mmu());
  EXPECT_EQ(m.CountLeaves(), 0u);
  vlm_mmu_zap_all(m.mmu());
  // The vCPU has the last reference.
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 1u);
  vlm_mmu_unload(v.mv());
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 0u);
}

TEST_F(ZapTest, LastReferenceOfAValidRootIsABug) {
  Memory(0, 16, kHva);
  ASSERT_TRUE(v.Reload());
  m.expect_kill = true;
  vlm_mmu_page* root = v.mv()->root;
  // Steal the MMU's reference.
  vlm_root_put(m.mmu(), root);
  vlm_mmu_unload(v.mv());
  EXPECT_TRUE(m.killed);
  // Leaked rather than freed under somebody: give the references back to end the test.
  refcount_set(&root->refs, 1);
}

TEST_F(ZapTest, RootsOfDifferentRolesLiveSideBySide) {
  Memory(0, 16, kHva);
  Memory(0, 16, kHva + 100, 1, 0, 1 << 16);
  FakeVcpu& smm = m.AddVcpu();
  smm.mv()->as_id = 1;
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(smm.Write(Gpa(1)), Outcome::kDone);
  EXPECT_NE(v.eptp(), smm.eptp());
  EXPECT_NE(v.last_pfn(), smm.last_pfn());
  EXPECT_EQ(m.Stat(VLM_STAT_ROOTS), 2u);
  m.host().Drop(kHva + 100, 16);
  EXPECT_EQ(m.CountLeaves(), 1u);
  // A vCPU that enters system-management mode changes its root.
  v.mv()->as_id = 1;
  EXPECT_EQ(vlm_mmu_reload(v.mv()), 1);
  EXPECT_EQ(v.eptp(), smm.eptp());
  v.mv()->as_id = 0;
  ASSERT_TRUE(v.Reload());
  m.CheckTables();
}

TEST_F(ZapTest, ReloadWithoutMemoryFailsCleanly) {
  shim_alloc_fail_after(0);
  EXPECT_FALSE(v.Reload());
  shim_alloc_fail_after(-1);
  EXPECT_TRUE(v.Reload());
}

}  // namespace
}  // namespace fakes
