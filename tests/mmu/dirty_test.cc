// SPDX-License-Identifier: GPL-2.0-or-later
// Dirty logging, splitting, collapsing, aging.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "test_layout.h"

namespace fakes {
namespace {

class DirtyTest : public MmuTest {
 protected:
  std::set<u64> Harvest(u32 slot = 0) {
    std::lock_guard guard(m.slots_lock());
    const vlm_memslot* s = vlm_memslot_by_id(m.mmu(), slot);
    std::vector<unsigned long> words((s->npages + 63) / 64);
    // In pieces, as the ioctl does.
    for (u64 i = 0; i < words.size(); i += 3) {
      const u64 n = std::min<u64>(3, words.size() - i);
      vlm_memslot_harvest(m.mmu(), s, i, n, words.data() + i);
    }
    std::set<u64> pages;
    for (u64 i = 0; i < s->npages; i++)
      if (words[i / 64] >> (i % 64) & 1) pages.insert(i);
    return pages;
  }
  using Pages = std::set<u64>;

  // KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, for logs that begin from now on.
  void Manual(u32 flags = VLM_LOG_MANUAL) { m.mmu()->log_flags = flags; }
  Pages Look(u32 slot = 0) {
    std::lock_guard guard(m.slots_lock());
    const vlm_memslot* s = vlm_memslot_by_id(m.mmu(), slot);
    const std::vector<unsigned long> words(s->dirty, s->dirty + (s->npages + 63) / 64);
    Pages pages;
    for (u64 i = 0; i < words.size() * 64; i++)
      if (words[i / 64] >> (i % 64) & 1) pages.insert(i);
    return pages;
  }
  void Clear(const Pages& pages, u32 slot = 0) {
    const vlm_memslot* s = nullptr;
    SlotsReader reader(&m);
    {
      std::lock_guard guard(m.slots_lock());
      s = vlm_memslot_by_id(m.mmu(), slot);
    }
    std::vector<unsigned long> words((s->npages + 63) / 64);
    for (u64 page : pages) words[page / 64] |= 1ul << (page % 64);
    for (u64 i = 0; i < words.size(); i += 11) {
      const u64 n = std::min<u64>(11, words.size() - i);
      vlm_memslot_clear_log(m.mmu(), s, i, n, words.data() + i);
    }
  }
  static Pages Range(u64 from, u64 to) {
    Pages pages;
    for (u64 i = from; i < to; i++) pages.insert(pages.end(), i);
    return pages;
  }
  // Exits that a write to each page takes.
  int ExitsOfWriting(const Pages& pages) {
    const int before = v.exits();
    for (u64 gfn : pages) EXPECT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    return v.exits() - before;
  }
};

TEST_F(DirtyTest, ReportsEveryWriteOnce) {
  Memory(10, 1000, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  EXPECT_EQ(Harvest(), Pages{});
  v.Write(Gpa(10));
  v.Write(Gpa(10 + 999));
  v.Read(Gpa(10 + 70));
  EXPECT_EQ(Harvest(), (Pages{0, 999}));
  EXPECT_EQ(Harvest(), Pages{});
  v.Write(Gpa(10));
  v.Write(Gpa(10 + 70));
  EXPECT_EQ(Harvest(), (Pages{0, 70}));
  m.CheckTables();
}

TEST_F(DirtyTest, StartOnHugePagesSplitsAndProtects) {
  Memory(0, 4 * kMib2, kHva, 2);
  for (u64 gfn = 0; gfn < 4 * kMib2; gfn += kMib2) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_2M), 4u);
  ASSERT_EQ(m.SetSlot(0, 0, 4 * kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 4 * kMib2);
  EXPECT_EQ(m.Stat(VLM_STAT_SPLITS), 4u);
  const int exits = v.exits();
  ASSERT_EQ(v.Read(Gpa(7)), Outcome::kDone);
  EXPECT_EQ(v.exits(), exits) << "reads go on without a fault";
  ASSERT_EQ(v.Write(Gpa(7)), Outcome::kDone);
  EXPECT_EQ(Harvest(), Pages{7});
  m.CheckTables();
}

TEST_F(DirtyTest, SplitFromOneGigabyte) {
  Memory(0, kGib, kHva, 3);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_1G), 1u);
  m.break_mode = FakeMachine::Break::kAlways;
  ASSERT_EQ(m.SetSlot(0, 0, kGib, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), kGib);
  EXPECT_EQ(m.Stat(VLM_STAT_SPLITS), 513u);
  v.Write(Gpa(kGib - 1));
  EXPECT_EQ(Harvest(), Pages{kGib - 1});
}

TEST_F(DirtyTest, WithoutMemoryForTablesTheFirstWriteSplits) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  // Enough for the new slot and its log, not for tables.
  shim_alloc_fail_after(2);
  const int err = m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY);
  shim_alloc_fail_after(-1);
  ASSERT_EQ(err, 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  ASSERT_EQ(v.Write(Gpa(33)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u);
  EXPECT_EQ(Harvest(), Pages{33});
}

TEST_F(DirtyTest, StopCollapsesSoThatHugePagesComeBack) {
  Memory(0, 4 * kMib2, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 gfn = 0; gfn < 4 * kMib2; gfn += 3) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u);
  ASSERT_EQ(m.SetSlot(0, 0, 4 * kMib2, kHva, 0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_COLLAPSES), 4u);
  // In place: no fault is needed to have them back, nor to write.
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 4u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 0u);
  const int exits = v.exits();
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(6)), Outcome::kDone);
  EXPECT_EQ(v.exits(), exits);
  m.CheckTables();
}

TEST_F(DirtyTest, StopCollapsesWithOneFlush) {
  constexpr u64 kTables = 32;
  Memory(0, kTables * kMib2, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 i = 0; i < kTables; i++) ASSERT_EQ(v.Write(Gpa(i * kMib2)), Outcome::kDone);
  const u64 flushes = m.flushes;
  ASSERT_EQ(m.SetSlot(0, 0, kTables * kMib2, kHva, 0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), kTables);
  EXPECT_EQ(m.flushes - flushes, 1u);
}

TEST_F(DirtyTest, StopYieldsWhateverTheSize) {
  constexpr u64 kTables = 64;
  Memory(0, kTables * kMib2, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 i = 0; i < kTables; i++) ASSERT_EQ(v.Write(Gpa(i * kMib2)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  u64 gaps = 0;
  m.on_resched = [&] { ASSERT_EQ(v.Write(Gpa(gaps++ % kTables * kMib2 + 1)), Outcome::kDone); };
  ASSERT_EQ(m.SetSlot(0, 0, kTables * kMib2, kHva, 0), 0);
  m.on_resched = nullptr;
  EXPECT_GE(gaps, kTables - 2);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), kTables);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX});
}

// What nobody wrote since the last harvest becomes huge without W: the first write gives it.
TEST_F(DirtyTest, StopGivesNoPermissionOfItsOwn) {
  Memory(0, 2 * kMib2, kHva, 2);
  for (u64 gfn : {u64{0}, kMib2}) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, 2 * kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  ASSERT_EQ(v.Write(Gpa(kMib2 + 7)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, 2 * kMib2, kHva, 0), 0);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_2M), 2u);
  EXPECT_FALSE(EptWalk(v.eptp(), Gpa(0)).w);
  EXPECT_TRUE(EptWalk(v.eptp(), Gpa(kMib2)).w) << "one of its pages was written";
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  EXPECT_TRUE(EptWalk(v.eptp(), Gpa(0)).w);
  m.CheckTables();
}

TEST_F(DirtyTest, StopCollapsesGigabytesToo) {
  Memory(0, kGib, kHva, 3);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  ASSERT_EQ(m.SetSlot(0, 0, kGib, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_4K), kGib);
  ASSERT_EQ(m.SetSlot(0, 0, kGib, kHva, 0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_1G), 1u);
  EXPECT_EQ(m.Stat(VLM_STAT_COLLAPSES), 513u);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX});
  m.CheckTables();
}

TEST_F(DirtyTest, StopLeavesSmallPagesOfTheHostAlone) {
  Memory(0, 2 * kMib2, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, 2 * kMib2, kHva, 0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_COLLAPSES), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
}

TEST_F(DirtyTest, MoveKeepsTheLog) {
  Memory(0, 64, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  v.Write(Gpa(5));
  ASSERT_EQ(m.SetSlot(0, 100, 64, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  v.Write(Gpa(106));
  EXPECT_EQ(Harvest(), (Pages{5, 6}));
}

TEST_F(DirtyTest, AgingSeesAccessesAndForgetsThem) {
  Memory(0, 64, kHva);
  v.Read(Gpa(3));
  SlotsReader reader(&m);
  const unsigned long at = (kHva + 3) << 12;
  EXPECT_TRUE(vlm_notifier_test_young(m.mmu(), at, at + 4096));
  EXPECT_TRUE(vlm_notifier_clear_young(m.mmu(), at, at + 4096));
  EXPECT_FALSE(vlm_notifier_test_young(m.mmu(), at, at + 4096));
  EXPECT_FALSE(vlm_notifier_clear_young(m.mmu(), at - 4096, at));
  EXPECT_FALSE(vlm_notifier_test_young(m.mmu(), 0x1000, 0x2000)) << "no slot there";
  m.FlushAll();
  const int exits = v.exits();
  v.Read(Gpa(3));
  EXPECT_EQ(v.exits(), exits) << "the hardware sets the flag";
  EXPECT_TRUE(vlm_notifier_test_young(m.mmu(), at, at + 4096));
}

// --- manual protection: copy, then clear ---

TEST_F(DirtyTest, CopyLeavesLogAndPermissionsAlone) {
  Manual();
  Memory(10, 1000, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  v.Write(Gpa(10));
  v.Write(Gpa(10 + 999));
  EXPECT_EQ(Look(), (Pages{0, 999}));
  EXPECT_EQ(Look(), (Pages{0, 999}));
  EXPECT_EQ(ExitsOfWriting({10, 10 + 999}), 0);
  EXPECT_EQ(Look(), (Pages{0, 999}));
}

TEST_F(DirtyTest, ClearProtectsWhatItClearsAndNothingElse) {
  Manual();
  // Neither the words of the log nor the tables begin where the slot does.
  Memory(10, 1200, kHva + 10, 1, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 page : {0, 1, 63, 64, 501, 502, 700, 1199}) v.Write(Gpa(10 + page));
  // 5 was not written, 64 is not asked for.
  Clear({0, 5, 63, 501, 502, 1199});
  EXPECT_EQ(Look(), (Pages{1, 64, 700}));
  EXPECT_EQ(ExitsOfWriting({11, 10 + 64, 10 + 700}), 0) << "their bits stayed";
  EXPECT_EQ(Look(), (Pages{1, 64, 700}));
  EXPECT_EQ(ExitsOfWriting({10, 10 + 63, 10 + 501, 10 + 502, 10 + 1199}), 5);
  EXPECT_EQ(Look(), (Pages{0, 1, 63, 64, 501, 502, 700, 1199}));
  m.CheckTables();
}

TEST_F(DirtyTest, ClearFlushesEvenIfAnotherThreadWasFaster) {
  Manual();
  Memory(0, 64, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  v.Write(Gpa(3));
  Clear({3});
  const u64 flushes = m.flushes;
  Clear({3});
  EXPECT_GT(m.flushes, flushes) << "who cleared the bit may not have flushed yet";
  const u64 then = m.flushes;
  Clear({});
  EXPECT_EQ(m.flushes, then) << "nothing was asked for";
}

TEST_F(DirtyTest, InitiallySetTouchesNothingUntilTheFirstClear) {
  Manual(VLM_LOG_MANUAL | VLM_LOG_ALL_SET);
  Memory(0, 4 * kMib2 - 5, kHva, 2);
  for (u64 gfn = 0; gfn < 4 * kMib2 - 5; gfn += 300) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_2M), 3u);
  const u64 flushes = m.flushes;
  ASSERT_EQ(m.SetSlot(0, 0, 4 * kMib2 - 5, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  EXPECT_EQ(m.flushes, flushes);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 3u);
  EXPECT_EQ(Look(), Range(0, 4 * kMib2 - 5)) << "no bit behind the last page";
  EXPECT_EQ(ExitsOfWriting({0, kMib2 + 7}), 0);

  // The second huge page only.
  Clear(Range(kMib2, 2 * kMib2));
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 2u);
  EXPECT_EQ(m.Stat(VLM_STAT_SPLITS), 1u);
  EXPECT_EQ(ExitsOfWriting({5, 2 * kMib2 + 9}), 0) << "still huge and writable";
  EXPECT_EQ(ExitsOfWriting({kMib2 + 7}), 1);
  Pages expected = Range(0, kMib2);
  expected.insert(kMib2 + 7);
  expected.merge(Range(2 * kMib2, 4 * kMib2 - 5));
  EXPECT_EQ(Look(), expected);
  m.CheckTables();
}

TEST_F(DirtyTest, ClearOfSomePagesOfAHugePageWithoutMemoryForATable) {
  Manual(VLM_LOG_MANUAL | VLM_LOG_ALL_SET);
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  shim_alloc_fail_after(0);
  Clear({33});
  shim_alloc_fail_after(-1);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  ASSERT_EQ(v.Write(Gpa(34)), Outcome::kDone);
  Pages expected = Range(0, kMib2);
  expected.erase(33);
  EXPECT_EQ(Look(), expected);
  ASSERT_EQ(v.Write(Gpa(33)), Outcome::kDone);
  EXPECT_EQ(Look(), Range(0, kMib2));
}

TEST_F(DirtyTest, ClearYieldsWhenSomebodyWaits) {
  Manual(VLM_LOG_MANUAL | VLM_LOG_ALL_SET);
  Memory(0, 8 * kMib2, kHva, 2);
  for (u64 gfn = 0; gfn < 8 * kMib2; gfn += kMib2) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, 8 * kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  m.break_mode = FakeMachine::Break::kAlways;
  const vlm_memslot* s = vlm_memslot_by_id(m.mmu(), 0);
  std::vector<unsigned long> words(8 * kMib2 / 64, ~0ul);
  vlm_memslot_clear_log(m.mmu(), s, 0, words.size(), words.data());
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX + 0u);
  EXPECT_EQ(Look(), Pages{});
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 8 * kMib2);
}

class NoAdTest : public DirtyTest {
 protected:
  NoAdTest() {
    // Same machine, other hardware.
    vlm_mmu_caps caps{};
    caps.ept_2m = caps.ept_1g = true;
    caps.maxphyaddr = 46;
    vlm_spte_format_ept(&vlm_spte_ept, &caps);
  }
};

TEST_F(NoAdTest, AgingTakesPermissionsAndAFaultGivesThemBack) {
  Memory(0, 64, kHva);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(v.eptp() & 64, 0u);
  {
    SlotsReader reader(&m);
    const unsigned long at = (kHva + 3) << 12;
    EXPECT_TRUE(vlm_notifier_clear_young(m.mmu(), at, at + 4096));
    EXPECT_FALSE(vlm_notifier_test_young(m.mmu(), at, at + 4096));
  }
  const int exits = v.exits();
  ASSERT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(v.exits(), exits + 1);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  m.host().Drop(kHva + 3, 1);
  EXPECT_EQ(m.CountLeaves(), 0u);
}

TEST_F(NoAdTest, AgedHugePageIsSplitForTheDirtyLog) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  {
    SlotsReader reader(&m);
    EXPECT_TRUE(vlm_notifier_clear_young(m.mmu(), kHva << 12, (kHva + kMib2) << 12));
  }
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), kMib2);
  ASSERT_EQ(v.Read(Gpa(9)), Outcome::kDone);
  EXPECT_EQ(Harvest(), Pages{});
  ASSERT_EQ(v.Write(Gpa(9)), Outcome::kDone);
  EXPECT_EQ(Harvest(), Pages{9});
  m.CheckTables();
}

}  // namespace
}  // namespace fakes
