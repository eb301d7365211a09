// SPDX-License-Identifier: GPL-2.0-or-later
// Dirty rings: entries, and what a reset does to the tables.
#include <gtest/gtest.h>

#include <vector>

#include "test_layout.h"

namespace fakes {
namespace {

class RingTest : public MmuTest {
 protected:
  static constexpr u32 kSize = 128;

  RingTest() : entries_(kSize) {
    m.mmu()->log_flags = VLM_LOG_RINGS;
    vlm_dirty_ring_init(ring(), entries_.data(), kSize);
  }

  vlm_dirty_ring* ring() { return v.ring(); }
  using Pages = std::vector<u64>;
  // What user space does: collects in order.
  Pages Collect() {
    Pages pages;
    for (;; next_++) {
      vlm_dirty_entry& e = entries_[next_ % kSize];
      if (e.flags != VLM_DIRTY_PUBLISHED) return pages;
      pages.push_back(e.offset);
      e.flags = VLM_DIRTY_COLLECTED;
    }
  }
  u32 Reset() {
    std::lock_guard guard(m.slots_lock());
    return vlm_dirty_ring_reset(m.mmu(), ring());
  }
  int ExitsOfWriting(u64 gfn) {
    const int before = v.exits();
    EXPECT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    return v.exits() - before;
  }

  std::vector<vlm_dirty_entry> entries_;
  u32 next_ = 0;
};

TEST_F(RingTest, TellsOfEachWriteAndOfTheNextAfterAReset) {
  Memory(10, 1000, kHva, 1, VLM_MEMSLOT_LOG_DIRTY, 3);
  v.Write(Gpa(10));
  v.Write(Gpa(10 + 999));
  v.Write(Gpa(10));
  v.Read(Gpa(11));
  EXPECT_EQ(entries_[0].slot, 3u);
  EXPECT_EQ(Collect(), (Pages{0, 999}));
  EXPECT_EQ(ExitsOfWriting(10), 0) << "until a reset nothing more is told";
  EXPECT_EQ(Reset(), 2u);
  EXPECT_EQ(Reset(), 0u);
  EXPECT_EQ(ExitsOfWriting(10), 1);
  EXPECT_EQ(Collect(), Pages{0});
  m.CheckTables();
}

TEST_F(RingTest, OnlyWhatWasCollectedComesBackAndInOrder) {
  Memory(0, 64, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 gfn = 0; gfn < 3; gfn++) v.Write(Gpa(gfn));
  entries_[1].flags = VLM_DIRTY_COLLECTED;
  EXPECT_EQ(Reset(), 0u) << "the oldest was not collected";
  entries_[0].flags = VLM_DIRTY_COLLECTED;
  EXPECT_EQ(Reset(), 2u);
  EXPECT_EQ(ExitsOfWriting(0), 1);
  EXPECT_EQ(ExitsOfWriting(2), 0);
}

TEST_F(RingTest, RunsOfPagesAreOneFlush) {
  Memory(0, 64, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 gfn = 0; gfn < 50; gfn++) v.Write(Gpa(49 - gfn));
  Collect();
  const u64 flushes = m.flushes;
  EXPECT_EQ(Reset(), 50u);
  EXPECT_EQ(m.flushes, flushes + 1);
  for (u64 gfn = 0; gfn < 50; gfn++) EXPECT_EQ(ExitsOfWriting(gfn), 1);
}

TEST_F(RingTest, SoftLimitLeavesRoomForOneExit) {
  Memory(0, 1000, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  u64 gfn = 0;
  while (!vlm_dirty_ring_is_full(ring())) v.Write(Gpa(gfn++));
  EXPECT_EQ(gfn, kSize - VLM_DIRTY_RING_RESERVE + 0u);
  while (gfn < kSize) v.Write(Gpa(gfn++));
  EXPECT_FALSE(vlm_dirty_ring_push(ring(), 0, gfn)) << "nothing is overwritten";
  EXPECT_EQ(Collect().size(), kSize + 0u);
  EXPECT_EQ(Reset(), kSize + 0u);
  EXPECT_FALSE(vlm_dirty_ring_is_full(ring()));
  EXPECT_EQ(ExitsOfWriting(7), 1);
  EXPECT_EQ(Collect(), Pages{7});
}

TEST_F(RingTest, WithoutRoomTheMachineDies) {
  m.expect_kill = true;
  Memory(0, 1000, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  for (u64 gfn = 0; gfn < kSize; gfn++) v.Write(Gpa(gfn));
  v.Fault(Gpa(kSize), VLM_ACCESS_WRITE);
  EXPECT_TRUE(m.killed);
}

TEST_F(RingTest, TheSamePageAgainTakesNoEntryUnlessItWasCollected) {
  EXPECT_TRUE(vlm_dirty_ring_push(ring(), 1, 7));
  EXPECT_TRUE(vlm_dirty_ring_push(ring(), 1, 7));
  EXPECT_EQ(ring()->pushed, 1u);
  EXPECT_EQ(Collect(), Pages{7});
  EXPECT_TRUE(vlm_dirty_ring_push(ring(), 1, 7));
  EXPECT_EQ(ring()->pushed, 2u) << "this write came after the page was read";
  EXPECT_TRUE(vlm_dirty_ring_push(ring(), 2, 7));
  EXPECT_EQ(ring()->pushed, 3u);
}

TEST_F(RingTest, FlagsOfFreeEntriesMeanNothing) {
  Memory(0, 64, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  for (auto& e : entries_) e.flags = ~0u;
  EXPECT_EQ(Reset(), 0u);
  v.Write(Gpa(5));
  EXPECT_EQ(Collect(), Pages{5});
  EXPECT_EQ(Reset(), 1u);
}

TEST_F(RingTest, EntriesAreCheckedWhenTheyComeBack) {
  Memory(0, 70, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  // Behind it lies memory that is not logged.
  Memory(70, 1000, kHva + 0x10000, 1, 0, 1);
  for (u64 gfn = 0; gfn < 8; gfn++) v.Write(Gpa(gfn));
  for (u64 gfn = 70; gfn < 200; gfn++) v.Write(Gpa(gfn));
  Collect();
  entries_[0].slot = 0xffff'ffff;
  entries_[1].slot = 2;
  entries_[2].slot = 1;
  entries_[2].offset = 1;
  entries_[3].offset = 70;
  entries_[4].offset = 128;
  entries_[5].offset = ~u64{0};
  entries_[6].offset = u64{1} << 63;
  EXPECT_EQ(Reset(), 8u);
  for (u64 gfn = 70; gfn < 200; gfn++) EXPECT_EQ(ExitsOfWriting(gfn), 0) << "beyond the slot";
  EXPECT_EQ(ExitsOfWriting(7), 1) << "the one that was left alone";
}

}  // namespace
}  // namespace fakes
