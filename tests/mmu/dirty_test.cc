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
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
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
