// SPDX-License-Identifier: GPL-2.0-or-later
// Shadow tables that go: a whole generation in batches, the oldest for want of room, roots in use.
#include "shadow_layout.h"
#include "table_arena.h"

namespace fakes {
namespace {

constexpr u64 kGva = 0x40201000;

// Pages that nobody but the list knows: no guest, no roots.
class ShadowListTest : public ::testing::Test {
 protected:
  ~ShadowListTest() override {
    s.m().on_resched = nullptr;
    vlm_shadow_cache_drain(s.mmu(), &cache_);
  }

  vlm_shadow_page* Page(int level = 1) {
    EXPECT_EQ(vlm_shadow_cache_fill(s.mmu(), &cache_), 0);
    vlm_shadow_role role{};
    role.level = static_cast<u32>(level) & 15;
    role.mode = VLM_SHADOW_4LEVEL;
    write_lock(&s.mmu()->lock);
    vlm_shadow_page* sp = vlm_shadow_create(s.sh(), next_gfn_++, role, &cache_);
    write_unlock(&s.mmu()->lock);
    return sp;
  }
  void Pages(int n) {
    while (n--) Page();
  }
  void LinkUnsyncChild(vlm_shadow_page* parent) {
    vlm_shadow_page* child = Page();
    ASSERT_EQ(vlm_shadow_cache_fill(s.mmu(), &cache_), 0);
    write_lock(&s.mmu()->lock);
    vlm_flush flush;
    vlm_flush_init(&flush);
    EXPECT_TRUE(vlm_shadow_link(s.sh(), parent, 3, child, &cache_.descs, &flush));
    EXPECT_TRUE(vlm_shadow_try_unsync(s.sh(), child->page.gfn, VLM_UNSYNC_ALLOWED));
    write_unlock(&s.mmu()->lock);
  }
  u64 Yields() { return s.m().Stat(VLM_STAT_YIELDS); }
  void AlwaysBreak() { s.m().break_mode = FakeMachine::Break::kAlways; }

  ShadowMachine s;
  vlm_shadow_cache cache_{};
  u64 next_gfn_ = 0x100;
};

constexpr u32 kTenPages = 10 * VLM_TABLE_ENTRIES;

// No page has children: what is counted must not depend on that. With a budget of ten pages the
// lock is dropped before the 11th and before the 21st.
TEST_F(ShadowListTest, TwentyFiveFlatPagesYieldTwice) {
  s.sh()->zap_budget = kTenPages;
  Pages(25);
  AlwaysBreak();
  vlm_zap_all_fast(s.mmu());
  EXPECT_EQ(Yields(), 2u);
  EXPECT_EQ(s.sh()->nr_pages, 0u);
}

// With the budget in use a page is enough: one break less than pages.
TEST_F(ShadowListTest, DefaultBudgetIsOnePage) {
  Pages(25);
  AlwaysBreak();
  vlm_zap_all_fast(s.mmu());
  EXPECT_EQ(Yields(), 24u);
  EXPECT_LE(s.m().Stat(VLM_STAT_MAX_HOLD), u64{VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX});
}

TEST_F(ShadowListTest, NobodyWaitsNobodyYields) {
  Pages(25);
  vlm_zap_all_fast(s.mmu());
  EXPECT_EQ(Yields(), 0u);
}

// A lower limit is met at once, the oldest first; none of its own means a part of the slots.
TEST_F(ShadowListTest, LowerLimitTakesTheOldest) {
  ASSERT_TRUE(vlm_mmu_limit_pages(s.mmu(), 200));
  vlm_shadow_page* oldest = Page();
  const u64 gfn = oldest->page.gfn;
  Pages(99);
  vlm_shadow_page* newest = Page();
  ASSERT_TRUE(vlm_mmu_limit_pages(s.mmu(), 80));
  EXPECT_EQ(s.sh()->nr_pages, 80u);
  write_lock(&s.mmu()->lock);
  EXPECT_FALSE(vlm_shadow_find(s.sh(), gfn, vlm_shadow_role{.word = newest->role.word}));
  EXPECT_TRUE(vlm_shadow_find(s.sh(), newest->page.gfn, newest->role));
  write_unlock(&s.mmu()->lock);
  ASSERT_TRUE(vlm_mmu_limit_pages(s.mmu(), 1));
  EXPECT_EQ(s.sh()->max_pages, u64{VLM_SHADOW_PAGES_MIN});
}

// Every third page takes an unsync child with it, which stands elsewhere in the list.
TEST_F(ShadowListTest, EveryThirdPageZapsAChild) {
  s.sh()->zap_budget = kTenPages;
  for (int i = 0; i < 24; i++) {
    vlm_shadow_page* sp = Page(2);
    if (i % 3 == 0) LinkUnsyncChild(sp);
  }
  ASSERT_EQ(s.sh()->nr_pages, 32u);
  AlwaysBreak();
  vlm_zap_all_fast(s.mmu());
  // 32 pages, and eight parents that children knew: (32 * 512 + 8) / 5120.
  EXPECT_EQ(Yields(), 3u);
  EXPECT_EQ(s.sh()->nr_pages, 0u);
}

// A root that somebody has loaded counts as the work that it is.
TEST_F(ShadowListTest, PagesInUseCountToo) {
  s.sh()->zap_budget = kTenPages;
  std::vector<vlm_shadow_page*> roots;
  for (int i = 0; i < 25; i++) roots.push_back(Page(4));
  write_lock(&s.mmu()->lock);
  for (auto* root : roots) vlm_shadow_root_get(root);
  write_unlock(&s.mmu()->lock);
  AlwaysBreak();
  vlm_zap_all_fast(s.mmu());
  EXPECT_EQ(Yields(), 2u);
  write_lock(&s.mmu()->lock);
  for (auto* root : roots) vlm_shadow_root_put(s.sh(), root);
  write_unlock(&s.mmu()->lock);
}

// Whatever is added in the breaks, the breaks are bounded by what was there at first.
TEST_F(ShadowListTest, BreaksAreBoundedWhileOthersFill) {
  constexpr u64 kPages = 60;
  Pages(kPages);
  AlwaysBreak();
  int added = 0;
  s.m().on_resched = [&] {
    if (added < 400) Pages(4), added += 4;
  };
  vlm_zap_all_fast(s.mmu());
  s.m().on_resched = nullptr;
  EXPECT_LE(Yields(), kPages);
  EXPECT_EQ(s.sh()->nr_pages, static_cast<u64>(added)) << "live pages stay";
}

// Pages zapped before a break wait for the end; who needs memory in the break takes those first.
TEST_F(ShadowListTest, ReclaimTakesWhatIsParkedFirst) {
  Pages(25);
  AlwaysBreak();
  int breaks = 0;
  s.m().on_resched = [&] {
    if (breaks++ != 10) return;
    EXPECT_EQ(s.sh()->nr_parked, 11u);
    Pages(5);
    s.m().break_mode = FakeMachine::Break::kNever;
    vlm_shadow_shrink(s.sh(), 100);
    EXPECT_EQ(s.sh()->nr_parked, 0u);
    EXPECT_EQ(s.sh()->nr_pages, 25u - 11 + 5) << "no live page was touched";
    s.m().break_mode = FakeMachine::Break::kAlways;
  };
  vlm_zap_all_fast(s.mmu());
  s.m().on_resched = nullptr;
  EXPECT_EQ(s.sh()->nr_pages, 5u);
  EXPECT_EQ(s.sh()->stats.recycled, 0u);
}

TEST_F(ShadowListTest, ShrinkTakesTheOldestWithOneFlush) {
  auto *first = Page(), *second = Page();
  (void)first;
  (void)second;
  Pages(10);
  const u64 newest = next_gfn_ - 1, flushes = s.m().flushes;
  vlm_shadow_shrink(s.sh(), 11);
  EXPECT_EQ(s.sh()->nr_pages, 1u);
  EXPECT_EQ(list_first_entry(&s.sh()->active, vlm_shadow_page, page.link)->page.gfn, newest);
  EXPECT_LE(s.m().flushes - flushes, 1u);
}

// --- the eleven parts of the fast cut-off, each by what it is for ---

class CutOffTest : public ShadowTest {
 protected:
  void Fill(u64 n) {
    for (u64 i = 0; i < n; i++) {
      Map(kGva + (i << 21), 0x9000 | kGAll);
      ASSERT_EQ(v.Access(kGva + (i << 21), kR).gfn, 9u);
    }
  }
  u64 Obsolete() {
    u64 n = 0;
    vlm_shadow_page* sp;
    list_for_each_entry(sp, &s.sh()->active, page.link) n += vlm_shadow_is_obsolete(s.sh(), sp);
    return n;
  }
  void OtherSlot() {
    s.m().host().Map(kHva + 0x10000, 64);
    ASSERT_EQ(s.m().SetSlot(1, 0x10000, 64, kHva + 0x10000), 0);
  }
};

// 1: a slot that goes cuts everything off, and vCPUs go on with new tables.
TEST_F(CutOffTest, SlotDeleteInvalidatesAndReturns) {
  OtherSlot();
  Fill(10);
  ASSERT_EQ(s.m().DeleteSlot(1), 0);
  EXPECT_EQ(s.sh()->nr_pages, 0u);
  EXPECT_EQ(v.Access(kGva, kR).gfn, 9u);
}

// 2: an invalid page is obsolete, also within its own generation.
TEST_F(CutOffTest, InvalidPageIsObsolete) {
  Fill(1);
  vlm_shadow_page* root = v.sv()->roots[0];
  write_lock(&s.mmu()->lock);
  vlm_flush flush;
  vlm_flush_init(&flush);
  vlm_shadow_zap(s.sh(), root, &flush);
  EXPECT_TRUE(vlm_shadow_is_obsolete(s.sh(), root));
  EXPECT_EQ(root->gen, s.sh()->gen);
  EXPECT_EQ(vlm_shadow_find(s.sh(), root->page.gfn, root->role), nullptr) << "hidden";
  vlm_flush_commit(s.mmu(), &flush);
  write_unlock(&s.mmu()->lock);
  EXPECT_TRUE(v.reload_pending());
  EXPECT_EQ(v.Access(kGva, kR).gfn, 9u);
  EXPECT_NE(v.sv()->roots[0], root);
}

// 3: the wrap of the mmio generation takes the same way.
TEST_F(CutOffTest, MmioGenerationWrapCutsOff) {
  OtherSlot();
  Fill(3);
  vlm_memslots* slots = vlm_memslots_get(s.mmu(), 0);
  const u64 gen = s.sh()->gen;
  slots->generation = (slots->generation | VLM_MMIO_GEN_MASK) & ~u64{VLM_AS_NUM - 1};
  s.m().host().Map(kHva + 0x20000, 4);
  ASSERT_EQ(s.m().SetSlot(2, 0x20000, 4, kHva + 0x20000), 0);
  EXPECT_EQ(s.mmu()->mmio_gen_zaps, 1u);
  EXPECT_EQ(s.sh()->gen, gen + 1);
  EXPECT_EQ(v.Access(kGva, kR).gfn, 9u);
}

// 4: each page tells the generation that it was made in.
TEST_F(CutOffTest, PagesTellTheirGeneration) {
  Fill(1);
  EXPECT_EQ(v.sv()->roots[0]->gen, s.sh()->gen);
  const u64 gen = s.sh()->gen;
  vlm_zap_all_fast(s.mmu());
  Fill(1);
  EXPECT_EQ(v.sv()->roots[0]->gen, gen + 1);
}

// 5: a cut-off can be seen from outside.
TEST_F(CutOffTest, CutOffsAreCounted) {
  OtherSlot();
  const u64 before = s.m().Stat(VLM_STAT_ZAP_ALL_FAST);
  ASSERT_EQ(s.m().DeleteSlot(1), 0);
  EXPECT_EQ(s.m().Stat(VLM_STAT_ZAP_ALL_FAST), before + 1);
}

// The switch of the NX mitigation is a cut-off like any other: when vCPUs are told to reload, all
// of it has happened.
TEST_F(CutOffTest, SwitchOfTheNxMitigationIsOne) {
  Fill(3);
  const u64 gen = s.sh()->gen;
  int told = 0;
  const auto on_reload = s.m().on_reload;
  s.m().on_reload = [&] {
    on_reload();
    told++;
    EXPECT_TRUE(shim_is_held(&s.mmu()->lock, SHIM_HELD_WRITE));
    EXPECT_TRUE(s.mmu()->nx);
    EXPECT_EQ(Obsolete(), s.sh()->nr_pages);
  };
  vlm_mmu_set_nx(s.mmu(), VLM_NX_ON);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(s.sh()->gen, gen + 1);
  EXPECT_EQ(s.sh()->nr_pages, 0u);
  vlm_mmu_set_nx(s.mmu(), VLM_NX_ON);
  EXPECT_EQ(told, 1) << "nothing changed";
  s.m().on_reload = on_reload;
}

// 6: in batches; the guest runs in the gaps.
TEST_F(CutOffTest, GuestRunsBetweenBatches) {
  Fill(40);
  s.m().break_mode = FakeMachine::Break::kAlways;
  int runs = 0;
  s.m().on_resched = [&] {
    runs++;
    EXPECT_EQ(w.Access(kGva + ((static_cast<u64>(runs) % 40) << 21), kR).gfn, 9u);
  };
  vlm_zap_all_fast(s.mmu());
  s.m().on_resched = nullptr;
  EXPECT_GE(runs, 30);
  EXPECT_EQ(Obsolete(), 0u);
  s.Check();
}

// 7: flushes do not grow with the pages: here there is none at all, the reload has done it.
TEST_F(CutOffTest, FlushesAreCollapsed) {
  Fill(40);
  const u64 flushes = s.m().flushes, reloads = s.m().reloads;
  vlm_zap_all_fast(s.mmu());
  EXPECT_LE(s.m().flushes - flushes, 1u);
  EXPECT_EQ(s.m().reloads - reloads, 1u);
}

// 8: what waits for the end of the zap is the first that reclaim takes.
TEST_F(CutOffTest, ReclaimCommitsBeforeItEvicts) {
  Fill(40);
  s.m().break_mode = FakeMachine::Break::kAlways;
  bool done = false;
  s.m().on_resched = [&] {
    if (s.sh()->nr_parked < 20 || done) return;
    done = true;
    const u64 pages = s.sh()->nr_pages;
    vlm_shadow_shrink(s.sh(), 10);
    EXPECT_EQ(s.sh()->nr_parked, 0u);
    EXPECT_EQ(s.sh()->nr_pages, pages);
  };
  vlm_zap_all_fast(s.mmu());
  s.m().on_resched = nullptr;
  EXPECT_TRUE(done);
}

// 9: lookups pass over obsolete pages while those still stand in the hash.
TEST_F(CutOffTest, LookupsSkipObsoletePages) {
  Fill(40);
  const u64 pt = EntryOf(kGva, 1) >> 12;
  s.m().break_mode = FakeMachine::Break::kAlways;
  bool looked = false;
  s.m().on_resched = [&] {
    if (looked) return;
    looked = true;
    ASSERT_GT(Obsolete(), 20u);
    EXPECT_EQ(Find(pt, 1), nullptr);
    EXPECT_EQ(v.Access(kGva, kR).gfn, 9u);
    ASSERT_TRUE(Find(pt, 1));
    EXPECT_EQ(Find(pt, 1)->gen, s.sh()->gen);
    s.Check();
  };
  vlm_zap_all_fast(s.mmu());
  s.m().on_resched = nullptr;
  EXPECT_TRUE(looked);
  EXPECT_TRUE(Find(pt, 1)) << "made during the zap: lives";
}

// 10: never more than one obsolete generation: a cut-off ends with none.
TEST_F(CutOffTest, OneObsoleteGenerationAtMost) {
  s.m().break_mode = FakeMachine::Break::kRandom;
  for (int round = 0; round < 20; round++) {
    Fill(10);
    s.m().on_resched = [&] {
      vlm_shadow_page* sp;
      list_for_each_entry(sp, &s.sh()->active, page.link) ASSERT_GE(sp->gen + 1, s.sh()->gen);
    };
    vlm_zap_all_fast(s.mmu());
    s.m().on_resched = nullptr;
    ASSERT_EQ(Obsolete(), 0u);
  }
}

// 11: a page in use leaves the list for good, so that no loop meets it again; the last put frees
// it.
TEST_F(CutOffTest, RootInUseIsOffTheListAndFreedByTheLastPut) {
  Fill(2);
  vlm_shadow_page* root = v.sv()->roots[0];
  ASSERT_EQ(root, w.sv()->roots[0]);
  ASSERT_EQ(root->root_count, 2u);
  vlm_zap_all_fast(s.mmu());
  EXPECT_EQ(s.sh()->nr_pages, 0u);
  EXPECT_TRUE(root->page.invalid);
  EXPECT_TRUE(list_empty(&root->page.link));
  EXPECT_EQ(vlm_ptr_chain_count(&root->parents), 0u);
  for (u64 i = 0; i < 512; i++) ASSERT_EQ(root->page.table[i], 0u);
  s.m().Settle();
  const int live = TableArena::Get().live();
  v.Load(v.paging());
  s.m().Settle();
  EXPECT_TRUE(TableArena::Get().InfoOf(root->page.table).live) << "w has it still";
  u64* table = root->page.table;
  w.Load(w.paging());
  s.m().Settle();
  EXPECT_FALSE(TableArena::Get().InfoOf(table).live);
  EXPECT_LE(TableArena::Get().live(), live + 10);
  s.Check();
}

// --- provocation: vCPUs fault on fresh addresses while slots come and go ---

TEST_F(CutOffTest, DeletesEndWhileTheGuestFaults) {
  s.m().break_mode = FakeMachine::Break::kAlways;
  u64 next = 0;
  s.m().on_resched = [&] {
    for (int i = 0; i < 4; i++, next++) (next % 2 ? v : w).Access(Window((next % 500) << 12), kR);
  };
  for (int round = 0; round < 30; round++) {
    Fill(10);
    OtherSlot();
    const u64 pages = s.sh()->nr_pages, yields = s.m().Stat(VLM_STAT_YIELDS);
    ASSERT_EQ(s.m().DeleteSlot(1), 0);
    ASSERT_LE(s.m().Stat(VLM_STAT_YIELDS) - yields, pages);
  }
  s.m().on_resched = nullptr;
  s.Check();
}

// --- the page cap ---

class CapTest : public ShadowTest {
 protected:
  CapTest() : ShadowTest({.max_pages = 40, .huge = true}) {}
};

TEST_F(CapTest, OldestPagesMakeRoom) {
  for (u64 i = 0; i < 200; i++) {
    Map(kGva + (i << 21), 0x9000 | kGAll);
    ASSERT_EQ(v.Access(kGva + (i << 21), kR).gfn, 9u);
    ASSERT_LE(s.sh()->nr_pages, 40u);
  }
  EXPECT_GE(s.sh()->stats.recycled, 100u);
  s.Check();
  for (u64 i = 0; i < 200; i++) ASSERT_EQ(v.Access(kGva + (i << 21), kR).gfn, 9u);
}

TEST_F(CapTest, RootsAreNotRecycled) {
  for (u64 i = 0; i < 100; i++) {
    Map(kGva + (i << 21), 0x9000 | kGAll);
    ASSERT_EQ(v.Access(kGva + (i << 21), kR).gfn, 9u);
    ASSERT_FALSE(v.sv()->roots[0]->page.invalid);
  }
}

}  // namespace
}  // namespace fakes
