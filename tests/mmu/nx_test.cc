// SPDX-License-Identifier: GPL-2.0-or-later
// NX huge pages: what execution splits, what is accounted for, and how huge pages come back.
#include <gtest/gtest.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "table_arena.h"
#include "test_layout.h"

namespace fakes {
namespace {

class NxTest : public MmuTest {
 protected:
  using Sizes = std::pair<u64, u64>;

  NxTest() { Set(VLM_NX_ON); }

  void Set(vlm_nx_mitigation what) {
    std::lock_guard guard(m.slots_lock());
    vlm_mmu_set_nx(m.mmu(), what);
  }
  // pages_2m, nx_lpage_splits.
  Sizes Counts() {
    m.CheckTables();
    return {m.Stat(VLM_STAT_PAGES_2M), m.Stat(VLM_STAT_NX_LPAGE_SPLITS)};
  }
  // One run, as the machine's thread does it. Returns the number of calls.
  int Recover(unsigned ratio, vlm_nx_recovery how = VLM_NX_IN_PLACE) {
    int calls = 0;
    for (u64 quota = vlm_mmu_nx_quota(m.mmu(), ratio); quota; calls++) {
      SlotsReader reader(&m);
      quota = vlm_mmu_recover_nx(m.mmu(), quota, how);
    }
    return calls;
  }
  // Tables of the list by the gfn they cover, oldest first.
  std::vector<u64> Listed() {
    std::vector<u64> gfns;
    vlm_mmu_page* sp;
    list_for_each_entry(sp, &m.mmu()->nx_pages, link) gfns.push_back(sp->gfn);
    return gfns;
  }
  EptResult Walk(u64 gfn) { return EptWalk(v.eptp(), Gpa(gfn)); }
  void ExecIn(u64 n) {
    for (u64 i = 0; i < n; i++) ASSERT_EQ(v.Exec(Gpa(i * kMib2 + 3)), Outcome::kDone);
  }
};

TEST_F(NxTest, ReadTwoExecuteOneExecuteAThird) {
  Memory(0, 3 * kMib2, kHva, 2);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  ASSERT_EQ(v.Read(Gpa(kMib2)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{2, 0}));
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 1}));
  ASSERT_EQ(v.Exec(Gpa(2 * kMib2)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 2}));
  // To read again changes nothing.
  for (u64 i = 0; i < 3; i++) ASSERT_EQ(v.Read(Gpa(i * kMib2 + 77)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 2}));
  Recover(1);
  EXPECT_EQ(m.Stat(VLM_STAT_NX_LPAGE_SPLITS), 0u);
  for (u64 i = 0; i < 3; i++) ASSERT_EQ(v.Read(Gpa(i * kMib2 + 77)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{3, 0}));
}

// As KVM recovers: the tables go, but for those of logged slots, and the next access maps huge.
TEST_F(NxTest, RecoveryByFaultLeavesTheHugeLeafToTheNextAccess) {
  Memory(0, 2 * kMib2, kHva, 2);
  Memory(4 * kMib2, kMib2, kHva + 4 * kMib2, 2, 0, 1);
  ExecIn(2);
  ASSERT_EQ(v.Exec(Gpa(4 * kMib2)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(1, 4 * kMib2, kMib2, kHva + 4 * kMib2, VLM_MEMSLOT_LOG_DIRTY), 0);
  EXPECT_EQ(Counts(), (Sizes{0, 3}));
  Recover(1, VLM_NX_BY_FAULT);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_NX_RECOVERIES), 2u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u) << "the logged slot's table stays";
  ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
}

TEST_F(NxTest, HugeLeavesAreNotExecutableSmallOnesAre) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  EXPECT_FALSE(Walk(0).x);
  EXPECT_EQ(Walk(0).level, 2);
  ASSERT_EQ(v.Exec(Gpa(9)), Outcome::kDone);
  // The siblings too, and they keep their other rights: no more faults in this region.
  const int exits = v.exits();
  for (u64 gfn : {0, 1, 9, 511}) {
    EXPECT_EQ(Walk(gfn).level, 1);
    EXPECT_EQ(v.Exec(Gpa(gfn)), Outcome::kDone);
    EXPECT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  }
  EXPECT_EQ(v.exits(), exits);
  EXPECT_EQ(m.Stat(VLM_STAT_SPLITS), 1u);
}

TEST_F(NxTest, OffNothingIsSplit) {
  Set(VLM_NX_OFF);
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  EXPECT_TRUE(Walk(0).x);
}

TEST_F(NxTest, GigabytesStayNxWhereNothingExecutes) {
  Memory(0, kGib, kHva, 3);
  ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_1G), 1u);
  ASSERT_EQ(v.Exec(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_1G), 0u);
  // Both tables are there because of this one access.
  EXPECT_EQ(Counts(), (Sizes{511, 2}));
  EXPECT_EQ(Walk(kMib2).level, 2);
  EXPECT_FALSE(Walk(kMib2).x);
  // The table of 2-MiB entries is older but must wait for the one below.
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{512, 1}));
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_1G), 1u);
  EXPECT_FALSE(Walk(5).x);
}

// Execution and data of one region, from two vCPUs: no huge leaf comes back over the table.
TEST_F(NxTest, DataAccessDoesNotPutAHugeLeafOverCode) {
  Memory(0, kMib2, kHva, 2);
  FakeVcpu& w = m.AddVcpu();
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  // Nothing but the one page is there; a write elsewhere finds room for a huge leaf.
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  ASSERT_EQ(w.Write(Gpa(300)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{0, 1}));
  m.FlushAll();
  const int exits = v.exits();
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(v.exits(), exits);
}

TEST_F(NxTest, OnlyWhatNxAloneKeepsIsListed) {
  // Small pages of the host; a slot too short; a slot that logs.
  Memory(0, kMib2, kHva, 1);
  Memory(kMib2, kMib2 - 1, kHva + 2 * kMib2, 2, 0, 1);
  Memory(4 * kMib2, kMib2, kHva + 4 * kMib2, 2, VLM_MEMSLOT_LOG_DIRTY, 2);
  for (u64 gfn : {u64{1}, kMib2 + 1, 4 * kMib2 + 1}) ASSERT_EQ(v.Exec(Gpa(gfn)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  // The host has a huge page now: the table that was made for another reason gives way.
  m.host().ChangeLevel(kHva, kMib2, 2);
  ASSERT_EQ(v.Read(Gpa(7)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
}

TEST_F(NxTest, DeletedSlotLeavesTheListEmpty) {
  Memory(0, 8 * kMib2, kHva, 2);
  ExecIn(8);
  EXPECT_EQ(Counts(), (Sizes{0, 8}));
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
}

TEST_F(NxTest, DefunctTablesAreLeftToTheReclaimer) {
  m.has_reclaimer = true;
  Memory(0, 8 * kMib2, kHva, 2);
  ExecIn(8);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_NX_LPAGE_SPLITS), 8u) << "still there, and listed as such";
  Recover(2);
  EXPECT_EQ(Counts().second, 4u);
  EXPECT_EQ(m.Stat(VLM_STAT_NX_RECOVERIES), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 8u);
  vlm_mmu_reclaim(m.mmu());
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 0u);
}

TEST_F(NxTest, RatioTakesExactlyTheOldest) {
  for (const auto& [ratio, splits] : {std::pair<unsigned, u64>{60, 61}, {3, 10}, {1, 5}, {7, 7}}) {
    Memory(0, splits * kMib2, kHva, 2);
    ExecIn(splits);
    const u64 gone = (splits + ratio - 1) / ratio;
    std::vector<u64> expected;
    for (u64 i = gone; i < splits; i++) expected.push_back(i * kMib2);
    Recover(ratio);
    EXPECT_EQ(Listed(), expected) << "ratio " << ratio;
    m.CheckTables();
    ASSERT_EQ(m.DeleteSlot(0), 0);
  }
  EXPECT_EQ(vlm_mmu_nx_quota(m.mmu(), 0), 0u);
  EXPECT_EQ(vlm_mmu_nx_quota(m.mmu(), 5), 0u);
}

TEST_F(NxTest, ManyTablesTakeSeveralReadSections) {
  Memory(0, 200 * kMib2, kHva, 2);
  ExecIn(200);
  EXPECT_GE(Recover(1), 3);
  EXPECT_EQ(Counts(), (Sizes{200, 0}));
}

TEST(NxPeriodTest, PeriodFollowsTheRatio) {
  EXPECT_EQ(vlm_nx_period_ms(60, 0), 60000u);
  EXPECT_EQ(vlm_nx_period_ms(1, 0), 3600000u);
  EXPECT_EQ(vlm_nx_period_ms(3600, 0), 1000u);
  EXPECT_EQ(vlm_nx_period_ms(~0u, 0), 1000u) << "not more than once a second";
  EXPECT_EQ(vlm_nx_period_ms(60, 100), 100u);
  EXPECT_EQ(vlm_nx_period_ms(0, 100), 0u) << "off";
}

// No fault is needed afterwards: the huge leaf stands there at once, and the guest sees no hole.
TEST_F(NxTest, RecoversInPlace) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  const u64 pfn = v.last_pfn();
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_NX_RECOVERIES), 1u);
  const int exits = v.exits();
  for (u64 gfn : {0, 100, 511}) {
    ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    EXPECT_EQ(v.last_pfn(), pfn + gfn);
  }
  EXPECT_EQ(v.exits(), exits);
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{0, 1}));
}

// One page of the region is enough to know the rest.
TEST_F(NxTest, RecoversInPlaceFromASinglePage) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Exec(Gpa(300)), Outcome::kDone);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  const u64 pfn = v.last_pfn();
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  ASSERT_EQ(v.Read(Gpa(2)), Outcome::kDone);
  EXPECT_EQ(v.last_pfn(), pfn - 298);
}

// After an invalidation there is nothing to build from: the table goes, a fault does the rest.
TEST_F(NxTest, EmptyTableIsZapped) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  m.host().ChangeLevel(kHva, kMib2, 2);
  ASSERT_EQ(Counts(), (Sizes{0, 1}));
  // The host has its huge page back without the guest's help.
  vlm_host_page page{};
  ASSERT_EQ(m.host().Get(kHva << 12, false, &page), 0);
  m.host().Put(&page, false);
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_NX_RECOVERIES), 1u);
  EXPECT_EQ(m.Stat(VLM_STAT_COLLAPSES), 0u);
  ASSERT_EQ(v.Read(Gpa(1)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
}

TEST_F(NxTest, HostThatSplitItsPageKeepsTheTable) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  m.host().Drop(kHva + 9, 1);
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_NX_RECOVERIES), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u) << "to zap it would only bring it back small";
}

TEST_F(NxTest, InvalidationInProgressPutsRecoveryOff) {
  Memory(0, 2 * kMib2, kHva, 2);
  ExecIn(2);
  m.host().in_invalidation = [&] {
    Recover(1);
    EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u) << "the other one only";
    EXPECT_EQ(Listed(), std::vector<u64>{0});
  };
  m.host().Drop(kHva + 9, 1);
  m.host().in_invalidation = nullptr;
  EXPECT_EQ(Counts(), (Sizes{1, 1}));
}

// W comes from the table, and is given by a fault where the table had none.
TEST_F(NxTest, CollapseGrantsNothingNew) {
  Memory(0, kMib2, kHva, 2, VLM_MEMSLOT_READONLY);
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  Recover(1);
  ASSERT_EQ(Counts(), (Sizes{1, 0}));
  EXPECT_FALSE(Walk(0).w);
  EXPECT_EQ(v.Write(Gpa(0)), Outcome::kMmio);
}

TEST_F(NxTest, LoggedSlotIsOnlyUnaccounted) {
  Memory(0, kMib2, kHva, 2);
  Memory(kMib2, kMib2, kHva + kMib2, 2, 0, 1);
  ExecIn(2);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  EXPECT_EQ(Counts(), (Sizes{0, 2}));
  const u64 small = m.Stat(VLM_STAT_PAGES_4K);
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), small - 1) << "nothing of the logged slot was zapped";
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, 0), 0);
  EXPECT_EQ(Counts(), (Sizes{2, 0})) << "the end of logging brings it back";
}

// The slot is looked up in the address space of the table, not in the first one.
TEST_F(NxTest, LoggedSlotOfTheOtherAddressSpace) {
  constexpr u32 kSmm = 1 << 16;
  Memory(0, kMib2, kHva, 2);
  Memory(0, kMib2, kHva + kMib2, 2, 0, kSmm);
  FakeVcpu& smm = m.AddVcpu();
  smm.mv()->as_id = 1;
  // The first address space would allow a huge page at the same frames.
  ASSERT_EQ(v.Read(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(smm.Exec(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(kSmm, 0, kMib2, kHva + kMib2, VLM_MEMSLOT_LOG_DIRTY), 0);
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  EXPECT_EQ(m.Stat(VLM_STAT_NX_RECOVERIES), 0u);
}

// The same memory in both address spaces: neither way leads to an executable huge page.
TEST_F(NxTest, SystemManagementModeIsNoWayAround) {
  Memory(0, 4 * kMib2, kHva, 2);
  ASSERT_EQ(m.SetSlot(1 << 16, 0, 4 * kMib2, kHva), 0);
  FakeVcpu& smm = m.AddVcpu();
  smm.mv()->as_id = 1;
  for (int round = 0; round < 8; round++) {
    for (u64 i = 0; i < 4; i++) {
      ASSERT_EQ(v.Exec(Gpa(i * kMib2)), Outcome::kDone);
      ASSERT_EQ(smm.Write(Gpa(i * kMib2)), Outcome::kDone);
      ASSERT_EQ(smm.Exec(Gpa(i * kMib2 + 1)), Outcome::kDone);
      ASSERT_EQ(v.Write(Gpa(i * kMib2 + 1)), Outcome::kDone);
      m.CheckTables();
    }
    Recover(2);
  }
  EXPECT_LE(Counts().second, 8u);
}

// Somebody always waits for the lock, and a vCPU executes in every gap.
TEST_F(NxTest, YieldsAfterEveryTableWithExecutionInTheGaps) {
  constexpr u64 kTables = 40;
  Memory(0, kTables * kMib2, kHva, 2);
  ExecIn(kTables);
  m.break_mode = FakeMachine::Break::kAlways;
  u64 gaps = 0;
  m.on_resched = [&] {
    gaps++;
    m.Settle();
    // Through whatever the TLB holds: the judges see a freed table or a stale translation.
    for (u64 i = 0; i < 4; i++)
      ASSERT_EQ(v.Exec(Gpa((gaps + i) % kTables * kMib2 + 3)), Outcome::kDone);
  };
  Recover(1);
  m.on_resched = nullptr;
  EXPECT_GE(gaps, kTables - 1);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX});
  EXPECT_EQ(m.Stat(VLM_STAT_NX_RECOVERIES), kTables);
  m.CheckTables();
}

// A flush that is owed stays owed when the next table needs none.
TEST_F(NxTest, FlushIsNotForgottenByTheNextTable) {
  Memory(0, kMib2, kHva, 2);
  Memory(kMib2, kMib2, kHva + kMib2, 2, 0, 1);
  ExecIn(2);
  ASSERT_EQ(m.SetSlot(1, kMib2, kMib2, kHva + kMib2, VLM_MEMSLOT_LOG_DIRTY), 0);
  ASSERT_EQ(v.Exec(Gpa(3)), Outcome::kDone);
  Recover(1);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  EXPECT_EQ(v.tlb_entries(), 0u);
}

TEST_F(NxTest, OneFlushServesManyTables) {
  Memory(0, 32 * kMib2, kHva, 2);
  ExecIn(32);
  const u64 flushes = m.flushes;
  Recover(1);
  EXPECT_EQ(m.flushes - flushes, 1u);
  EXPECT_EQ(Counts(), (Sizes{32, 0}));
}

TEST_F(NxTest, ToggleDuringRecovery) {
  constexpr u64 kTables = 20;
  Memory(0, kTables * kMib2, kHva, 2);
  ExecIn(kTables);
  m.break_mode = FakeMachine::Break::kAlways;
  int gaps = 0;
  m.on_resched = [&] {
    if (++gaps != 3) return;
    m.break_mode = FakeMachine::Break::kNever;
    write_lock(&m.mmu()->lock);
    m.mmu()->nx = false;
    vlm_root_invalidate_all(m.mmu());
    write_unlock(&m.mmu()->lock);
    ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  };
  Recover(1);
  m.on_resched = nullptr;
  vlm_mmu_reclaim(m.mmu());
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
  EXPECT_TRUE(Walk(0).x);
}

TEST_F(NxTest, ToggleZapsAll) {
  Set(VLM_NX_OFF);
  Memory(0, 2 * kMib2, kHva, 2);
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(Counts(), (Sizes{1, 0}));
  const u64 zaps = m.Stat(VLM_STAT_ZAP_ALL_FAST);
  Set(VLM_NX_ON);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), zaps + 1);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{0, 1}));
  Set(VLM_NX_ON);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), zaps + 1) << "no change, no zap";
  Set(VLM_NX_OFF);
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{1, 0}));
}

// Another thread unlinks the table after it was published, before it is listed.
TEST_F(NxTest, TableThatGoesBeforeItIsListedStaysOffTheList) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
  vlm_mmu_page* table = nullptr;
  m.on_link = [&](vlm_mmu_page* sp) {
    EXPECT_TRUE(vlm_nx_is_kept(sp)) << "said before others can see the table";
    vlm_nx_forget(m.mmu(), sp);
    table = sp;
  };
  ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  m.on_link = nullptr;
  ASSERT_NE(table, nullptr);
  EXPECT_FALSE(vlm_nx_is_kept(table));
  EXPECT_TRUE(Listed().empty());
  EXPECT_EQ(Counts(), (Sizes{0, 0}));
}

TEST_F(NxTest, NoMemoryForTheSplitIsNoWayAround) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
  for (long n = 0; n < 4; n++) {
    shim_alloc_fail_after(n);
    v.Exec(Gpa(0));
    shim_alloc_fail_after(-1);
    m.CheckTables();
  }
  EXPECT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Counts(), (Sizes{0, 1}));
}

// Aging without hardware flags takes all rights from a leaf and remembers them.
TEST(NxAgeTest, AgedLeavesSplitAndCollapse) {
  MachineOptions options;
  options.ept_ad = false;
  FakeMachine m(options);
  FakeVcpu& v = m.AddVcpu();
  {
    std::lock_guard guard(m.slots_lock());
    vlm_mmu_set_nx(m.mmu(), VLM_NX_ON);
  }
  m.host().Map(kHva, kMib2, 2);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva), 0);
  ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
  const auto age = [&] {
    SlotsReader reader(&m);
    return vlm_notifier_clear_young(m.mmu(), kHva << 12, (kHva + kMib2) << 12);
  };
  EXPECT_TRUE(age());
  ASSERT_EQ(v.Exec(Gpa(7)), Outcome::kDone);
  ASSERT_EQ(v.Exec(Gpa(8)), Outcome::kDone);
  EXPECT_TRUE(age());
  EXPECT_FALSE(age());
  {
    SlotsReader reader(&m);
    vlm_mmu_recover_nx(m.mmu(), 1, VLM_NX_IN_PLACE);
  }
  m.CheckTables();
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  EXPECT_FALSE(age()) << "not younger than what it came from";
  ASSERT_EQ(v.Read(Gpa(9)), Outcome::kDone);
  ASSERT_EQ(v.Exec(Gpa(9)), Outcome::kDone);
  m.CheckTables();
}

}  // namespace
}  // namespace fakes
