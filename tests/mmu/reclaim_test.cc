// SPDX-License-Identifier: GPL-2.0-or-later
// Cut-off now, teardown later: what a delete costs, who does the rest, what must hold in between.
#include <gtest/gtest.h>

#include "table_arena.h"
#include "test_layout.h"

namespace fakes {
namespace {

class ReclaimTest : public MmuTest {
 protected:
  ReclaimTest() { m.has_reclaimer = true; }

  void Fill(u64 npages) {
    Memory(0, npages, kHva);
    for (u64 gfn = 0; gfn < npages; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  }
  void Reclaim() {
    m.reclaim_wanted = false;
    vlm_mmu_reclaim(m.mmu());
  }
};

TEST_F(ReclaimTest, DeleteZapsNothingItself) {
  for (u64 npages : {u64{512}, u64{4096}, u64{16384}}) {
    Fill(npages);
    const u64 zapped = m.Stat(VLM_STAT_ZAPPED);
    ASSERT_EQ(m.DeleteSlot(0), 0);
    EXPECT_EQ(m.Stat(VLM_STAT_ZAPPED), zapped) << "the cost of a delete must not grow with memory";
    EXPECT_TRUE(m.reclaim_wanted);
    EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 1u);
    EXPECT_EQ(v.Read(Gpa(5)), Outcome::kMmio) << "cut off all the same";
    Reclaim();
    EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 0u);
    EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
    m.Settle();
    EXPECT_LE(TableArena::Get().live(), 8 + VLM_PAGE_CACHE_MAX);
  }
}

// The host frees the pages of a slot that is gone while its old tables still name them.
TEST_F(ReclaimTest, HostMayFreeWhatDefunctTablesName) {
  Fill(2048);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  m.host().Drop(kHva, 2048);
  EXPECT_EQ(v.Read(Gpa(7)), Outcome::kMmio);
  m.CheckTlbs();
  Reclaim();
  m.CheckTables();
}

TEST_F(ReclaimTest, CallerThatOutrunsTheReclaimerHelps) {
  for (int round = 0; round < 100; round++) {
    Fill(16);
    ASSERT_EQ(m.DeleteSlot(0), 0);
    ASSERT_LE(m.Stat(VLM_STAT_RECLAIM_BACKLOG), u64{VLM_RECLAIM_BACKLOG});
  }
  Reclaim();
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
}

// Each pass over an empty root visits just the budget, and the next begins where no walk yields.
TEST_F(ReclaimTest, EmptyRootsDoNotAddUpToOneLongHold) {
  for (int i = 0; i < VLM_RECLAIM_BACKLOG; i++) {
    ASSERT_TRUE(v.Reload());
    std::lock_guard guard(m.slots_lock());
    vlm_zap_all_fast(m.mmu());
  }
  ASSERT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), u64{VLM_RECLAIM_BACKLOG});
  m.break_mode = FakeMachine::Break::kAlways;
  Reclaim();
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
}

// Destruction does not rely on the reclaimer.
TEST_F(ReclaimTest, ZapAllEmptiesWhatWaits) {
  Fill(1024);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_GT(m.CountLeaves(), 0u);
  vlm_mmu_zap_all(m.mmu());
  EXPECT_EQ(m.CountLeaves(), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
  Reclaim();
}

// A second zapper enters in every gap of the first and finds tables that the first took apart.
TEST_F(ReclaimTest, TwoZappersOnOneRoot) {
  Fill(8192);
  m.break_mode = FakeMachine::Break::kAlways;
  ASSERT_EQ(m.DeleteSlot(0), 0);
  int depth = 0, nested = 0;
  m.on_resched = [&] {
    if (depth) return;
    depth++;
    nested++;
    vlm_mmu_zap_all(m.mmu());
    depth--;
  };
  Reclaim();
  m.on_resched = nullptr;
  EXPECT_GT(nested, 0);
  EXPECT_EQ(m.CountLeaves(), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
  m.CheckStats();
}

}  // namespace
}  // namespace fakes
