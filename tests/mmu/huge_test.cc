// SPDX-License-Identifier: GPL-2.0-or-later
// Huge pages over their whole life: mapped, split, collapsed and mapped again at each size, and
// what forbids them.
#include <gtest/gtest.h>

#include <vector>

#include "test_layout.h"

namespace fakes {
namespace {

struct Leaves {
  u64 small, two_mib, gib;
  bool operator==(const Leaves&) const = default;
  friend std::ostream& operator<<(std::ostream& os, const Leaves& l) {
    return os << l.small << " of 4 KiB, " << l.two_mib << " of 2 MiB, " << l.gib << " of 1 GiB";
  }
};

class HugeTest : public MmuTest {
 protected:
  explicit HugeTest(const MachineOptions& options = {}) : MmuTest(options) {}

  Leaves Count() {
    m.CheckTables();
    return {m.Stat(VLM_STAT_PAGES_4K), m.Stat(VLM_STAT_PAGES_2M), m.Stat(VLM_STAT_PAGES_1G)};
  }
  int Log(u64 gfn, u64 npages, u32 flags = VLM_MEMSLOT_LOG_DIRTY) {
    return m.SetSlot(0, gfn, npages, kHva + gfn, flags);
  }
  // Memory at gfn, where host and guest frames are congruent.
  void At(u64 gfn, u64 npages, int level, u32 flags = 0) {
    m.host().Map((kHva + gfn) & ~(kGib - 1), (gfn & (kGib - 1)) + npages + kGib, level);
    ASSERT_EQ(Log(gfn, npages, flags), 0);
  }
  // Reads that take no exit, and find the host's frame.
  void ReadsOn(u64 gfn) {
    const int exits = v.exits();
    ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
    EXPECT_EQ(v.exits(), exits) << "a hole at gfn " << gfn;
    EXPECT_EQ(v.last_pfn(), m.host().PfnAt((kHva + gfn) << 12));
  }
};

// From 1 GiB down to 4 KiB and back, by logging: the guest reads in every gap, and never exits.
TEST_F(HugeTest, SplitAndCollapseThroughEverySizeWithoutAHole) {
  At(0, kGib, 3);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(Count(), (Leaves{0, 0, 1}));
  m.break_mode = FakeMachine::Break::kAlways;
  u64 gaps = 0;
  bool mixed = false;
  m.on_resched = [&] {
    gaps++;
    // Behind where the work is, at it, and ahead of it.
    for (u64 gfn : {gaps * 509 % kGib, gaps % kMib2 * kMib2, kGib - 1}) ReadsOn(gfn);
    mixed |= m.Stat(VLM_STAT_PAGES_4K) && m.Stat(VLM_STAT_PAGES_2M);
  };
  ASSERT_EQ(Log(0, kGib), 0);
  EXPECT_TRUE(mixed);
  EXPECT_GE(gaps, 512u);
  EXPECT_EQ(Count(), (Leaves{kGib, 0, 0}));
  EXPECT_EQ(m.Stat(VLM_STAT_SPLITS), 513u);

  gaps = 0, mixed = false;
  ASSERT_EQ(Log(0, kGib, 0), 0);
  EXPECT_TRUE(mixed);
  EXPECT_GE(gaps, 512u);
  EXPECT_EQ(Count(), (Leaves{0, 0, 1}));
  EXPECT_EQ(m.Stat(VLM_STAT_COLLAPSES), 513u);
  m.on_resched = nullptr;
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
}

// The same by the host, which makes its pages larger, and smaller again: by faults.
TEST_F(HugeTest, FaultsFollowTheHostThroughEverySize) {
  At(0, kGib, 1);
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{1, 0, 0}));
  m.host().ChangeLevel(kHva, kGib, 2);
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{0, 1, 0}));
  m.host().ChangeLevel(kHva, kGib, 3);
  ASSERT_EQ(v.Write(Gpa(6)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{0, 0, 1}));
  m.host().ChangeLevel(kHva, kGib, 2);
  ASSERT_EQ(v.Write(Gpa(6)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{0, 1, 0}));
  m.host().ChangeLevel(kHva, kGib, 1);
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{1, 0, 0}));
}

// One page is enough to know them all: 4 KiB becomes 2 MiB becomes 1 GiB.
TEST_F(HugeTest, OnePageOfAGigabyteIsPromotedTwice) {
  At(0, kGib, 3, VLM_MEMSLOT_LOG_DIRTY);
  ASSERT_EQ(v.Write(Gpa(77777)), Outcome::kDone);
  ASSERT_EQ(Count(), (Leaves{1, 0, 0}));
  ASSERT_EQ(Log(0, kGib, 0), 0);
  EXPECT_EQ(Count(), (Leaves{0, 0, 1}));
  EXPECT_EQ(m.Stat(VLM_STAT_COLLAPSES), 2u);
  for (u64 gfn : {u64{0}, u64{77777}, u64{kGib - 1}}) ReadsOn(gfn);
}

// A slot that begins and ends within huge pages of the host: those stay small, whoever asks.
TEST_F(HugeTest, EndsOfASlotStaySmall) {
  constexpr u64 kFirst = kMib2 / 2, kPages = 4 * kMib2;
  At(kFirst, kPages, 2);
  const auto touch = [&] {
    for (u64 gfn : {kFirst, kMib2, 2 * kMib2, 3 * kMib2, 4 * kMib2})
      ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  };
  touch();
  EXPECT_EQ(Count(), (Leaves{2, 3, 0}));
  ASSERT_EQ(Log(kFirst, kPages), 0);
  touch();
  EXPECT_EQ(Count(), (Leaves{2 + 3 * kMib2, 0, 0}));
  ASSERT_EQ(Log(kFirst, kPages, 0), 0);
  EXPECT_EQ(Count(), (Leaves{2, 3, 0}));
}

// 1 GiB does not fit, but 2 MiB does: the slot's ends cost one size, not all.
TEST_F(HugeTest, EndsOfASlotCostOneSizeOnly) {
  At(kMib2, kGib, 3);
  ASSERT_EQ(v.Write(Gpa(5 * kMib2)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(kGib)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{0, 2, 0}));
  ASSERT_EQ(Log(kMib2, kGib), 0);
  ASSERT_EQ(Count(), (Leaves{2 * kMib2, 0, 0}));
  ASSERT_EQ(Log(kMib2, kGib, 0), 0);
  EXPECT_EQ(Count(), (Leaves{0, 2, 0}));
}

// Frames must be congruent to be mapped as one, and to become one.
TEST_F(HugeTest, IncongruentSlotStaysSmall) {
  m.host().Map(kHva, 4 * kMib2, 2);
  ASSERT_EQ(m.SetSlot(0, 1, 3 * kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  for (u64 gfn = kMib2; gfn < 2 * kMib2; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 1, 3 * kMib2, kHva, 0), 0);
  EXPECT_EQ(Count(), (Leaves{kMib2, 0, 0}));
}

// What is logged is mapped by 4 KiB, so that the log says which page was written.
TEST_F(HugeTest, LoggedSlotIsMappedSmall) {
  At(0, kGib, 3, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 gfn : {u64{0}, u64{1}, kMib2, kGib - 1}) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  for (u64 gfn : {u64{2}, kMib2 + 1}) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{6, 0, 0}));
}

// A read-only slot has huge pages without W, and a collapse does not give it either.
TEST_F(HugeTest, ReadOnlySlotIsMappedHugeWithoutWrites) {
  At(0, kMib2, 2, VLM_MEMSLOT_READONLY);
  ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
  EXPECT_EQ(Count(), (Leaves{0, 1, 0}));
  EXPECT_EQ(v.Write(Gpa(1)), Outcome::kMmio);
  ASSERT_EQ(Log(0, kMib2, VLM_MEMSLOT_READONLY | VLM_MEMSLOT_LOG_DIRTY), 0);
  ASSERT_EQ(Count(), (Leaves{kMib2, 0, 0}));
  EXPECT_EQ(v.Write(Gpa(1)), Outcome::kMmio);
  ASSERT_EQ(Log(0, kMib2, VLM_MEMSLOT_READONLY), 0);
  EXPECT_EQ(Count(), (Leaves{0, 1, 0}));
  EXPECT_EQ(v.Write(Gpa(1)), Outcome::kMmio);
  EXPECT_FALSE(EptWalk(v.eptp(), Gpa(1)).w);
}

// The host has huge pages here and small ones there: each region for itself.
TEST_F(HugeTest, RegionsCollapseEachAsTheHostHasThem) {
  m.host().Map(kHva, kMib2, 2);
  m.host().Map(kHva + kMib2, kMib2, 1);
  m.host().Map(kHva + 2 * kMib2, 2 * kMib2, 2);
  ASSERT_EQ(Log(0, 4 * kMib2), 0);
  for (u64 i = 0; i < 4 * kMib2; i += 100) ASSERT_EQ(v.Write(Gpa(i)), Outcome::kDone);
  ASSERT_EQ(Log(0, 4 * kMib2, 0), 0);
  const Leaves leaves = Count();
  EXPECT_EQ(leaves.two_mib, 3u);
  EXPECT_EQ(leaves.small, 5u);  // every 100th of the 512
}

// Memory for tables ends at each possible moment of a split: logging starts all the same, no write
// is lost, and what was split becomes huge again.
TEST_F(HugeTest, SplitRunsOutOfMemoryAnywhere) {
  constexpr u64 kPages = 8 * kMib2;
  int starts = 0, partly = 0;
  At(0, kPages, 2);
  for (long n = 0; n < 40; n++) {
    for (u64 gfn = 0; gfn < kPages; gfn += kMib2) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    ASSERT_EQ(Count(), (Leaves{0, 8, 0}));
    shim_alloc_fail_after(n);
    const int err = Log(0, kPages);
    shim_alloc_fail_after(-1);
    if (err) {
      EXPECT_EQ(err, -ENOMEM);
      EXPECT_EQ(Count(), (Leaves{0, 8, 0})) << "nothing may change";
      continue;
    }
    starts++;
    partly += m.Stat(VLM_STAT_PAGES_2M) && m.Stat(VLM_STAT_PAGES_4K);
    m.CheckTables();
    m.CheckWritesAreSeen();
    for (u64 gfn = 3; gfn < kPages; gfn += kMib2) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u) << "a write splits what was left";
    m.CheckTables();
    ASSERT_EQ(Log(0, kPages, 0), 0);
  }
  EXPECT_GT(starts, 3);
  EXPECT_GT(partly, 1);
}

// The same of 1 GiB, where a table of 2-MiB leaves may be all that there is memory for.
TEST_F(HugeTest, SplitOfAGigabyteRunsOutOfMemoryHalfWay) {
  At(0, kGib, 3);
  int partly = 0;
  for (long n = 4; n < 40; n += 7) {
    ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
    ASSERT_EQ(Count(), (Leaves{0, 0, 1}));
    shim_alloc_fail_after(n);
    const int err = Log(0, kGib);
    shim_alloc_fail_after(-1);
    if (err) continue;
    partly += m.Stat(VLM_STAT_PAGES_2M) > 0;
    m.CheckTables();
    for (u64 gfn : {u64{3}, 9 * kMib2, kGib - 1}) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    m.CheckTables();
    m.CheckWritesAreSeen();
    ASSERT_EQ(Log(0, kGib, 0), 0);
  }
  EXPECT_GT(partly, 1);
}

// A collapse makes tables superfluous, and takes no memory for that.
TEST_F(HugeTest, CollapseTakesNoMemory) {
  At(0, kGib, 3);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(Log(0, kGib), 0);
  long n = 0;
  for (;; n++) {
    shim_alloc_fail_after(n);
    const int err = Log(0, kGib, 0);
    shim_alloc_fail_after(-1);
    if (!err) break;
    ASSERT_LT(n, 20);
    ASSERT_EQ(Count(), (Leaves{kGib, 0, 0}));
  }
  // What there was memory for is the new slot, and nothing else.
  EXPECT_EQ(Count(), (Leaves{0, 0, 1}));
}

// The guest writes in every gap of a split, behind it and ahead of it: no frame changes, and
// nothing stays writable unseen.
TEST_F(HugeTest, WritesInEveryGapOfASplit) {
  constexpr u64 kPages = 16 * kMib2;
  At(0, kPages, 2);
  for (u64 gfn = 0; gfn < kPages; gfn += kMib2) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  std::vector<u64> written;
  m.on_resched = [&] {
    const u64 gfn = written.size() * 331 % kPages;
    ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    EXPECT_EQ(v.last_pfn(), m.host().PfnAt((kHva + gfn) << 12));
    written.push_back(gfn);
  };
  ASSERT_EQ(Log(0, kPages), 0);
  EXPECT_GE(written.size(), 16u);
  m.on_resched = nullptr;
  m.CheckWritesAreSeen();
  EXPECT_EQ(Count(), (Leaves{kPages, 0, 0}));
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
}

class NoGigabytesTest : public HugeTest {
 protected:
  NoGigabytesTest() : HugeTest({.ept_1g = false}) {}
};

// A CPU without 1-GiB leaves gets none by a collapse.
TEST_F(NoGigabytesTest, CollapseStopsAtTwoMegabytes) {
  At(0, kGib, 3);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(kMib2)), Outcome::kDone);
  ASSERT_EQ(Log(0, kGib), 0);
  ASSERT_EQ(Count(), (Leaves{2 * kMib2, 0, 0}));
  ASSERT_EQ(Log(0, kGib, 0), 0);
  EXPECT_EQ(Count(), (Leaves{0, 2, 0}));
}

}  // namespace
}  // namespace fakes
