// SPDX-License-Identifier: GPL-2.0-or-later
// Host invalidations: which faults must wait, and what slot updates wait for.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "test_layout.h"

namespace fakes {
namespace {

using NotifierTest = MmuTest;

unsigned long Hva(u64 page) { return (kHva + page) << 12; }

TEST_F(NotifierTest, UnrelatedRangesDoNotTouchTheMmuLock) {
  Memory(0, 16, kHva);
  SlotsReader reader(&m);
  vlm_notifier_begin(m.mmu(), Hva(100), Hva(200), VLM_NOTIFIER_MAY_BLOCK);
  EXPECT_EQ(m.mmu()->notifier.in_progress, 0u);
  EXPECT_EQ(m.mmu()->notifier.active, 1u);
  vlm_notifier_end(m.mmu(), Hva(100), Hva(200));
  EXPECT_EQ(m.mmu()->notifier.seq, 0u);
  EXPECT_EQ(m.mmu()->notifier.active, 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_INVALIDATIONS), 0u);
}

TEST_F(NotifierTest, ConcurrentRangesMakeAHull) {
  Memory(0, 100, kHva);
  ASSERT_TRUE(v.Reload());
  SlotsReader reader(&m);
  vlm_notifier_begin(m.mmu(), Hva(10), Hva(12), VLM_NOTIFIER_MAY_BLOCK);
  vlm_notifier_begin(m.mmu(), Hva(50), Hva(52), VLM_NOTIFIER_ATOMIC);
  EXPECT_EQ(v.Fault(Gpa(11), VLM_ACCESS_READ), VLM_FAULT_RETRY);
  EXPECT_EQ(v.Fault(Gpa(30), VLM_ACCESS_READ), VLM_FAULT_RETRY) << "within the hull";
  EXPECT_EQ(v.Fault(Gpa(60), VLM_ACCESS_READ), VLM_FAULT_FIXED);
  vlm_notifier_end(m.mmu(), Hva(10), Hva(12));
  EXPECT_EQ(v.Fault(Gpa(51), VLM_ACCESS_READ), VLM_FAULT_RETRY);
  vlm_notifier_end(m.mmu(), Hva(50), Hva(52));
  EXPECT_EQ(v.Fault(Gpa(51), VLM_ACCESS_READ), VLM_FAULT_FIXED);
}

TEST_F(NotifierTest, PartOfAHugePageTakesAllOfIt) {
  Memory(0, 2 * kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(600)), Outcome::kDone);
  m.host().Drop(kHva + 600, 1);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  ASSERT_EQ(v.Write(Gpa(601)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  m.CheckTables();
}

// A walk does not yield at its first entry; a thousand walks of one page each must all the same.
TEST_F(NotifierTest, ManySmallSlotsDoNotAddUpToOneLongHold) {
  constexpr u32 kSlots = 1000;
  m.host().Map(kHva, kSlots);
  for (u32 i = 0; i < kSlots; i++) ASSERT_EQ(m.SetSlot(i, 2 * i, 1, kHva + i), 0);
  for (u32 i = 0; i < kSlots; i++) ASSERT_EQ(v.Write(Gpa(2 * i)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  m.host().Drop(kHva, kSlots);
  EXPECT_EQ(m.CountLeaves(), 0u);
  EXPECT_GE(m.Stat(VLM_STAT_YIELDS), kSlots * 5 / VLM_HOLD_BUDGET);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
}

TEST_F(NotifierTest, SlotsThatMapNothingDoNotAddUpToOneLongHold) {
  constexpr u32 kSlots = 4 * VLM_HOLD_BUDGET;
  for (u32 i = 0; i < kSlots; i++) ASSERT_EQ(m.SetSlot(i, 2 * i, 1, kHva + i), 0);
  m.break_mode = FakeMachine::Break::kAlways;
  m.host().Drop(kHva, kSlots);
  EXPECT_GE(m.Stat(VLM_STAT_YIELDS), 4u);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
}

class NotifierAgingTest : public MmuTest {
 protected:
  bool ClearYoung(u64 page, u64 npages) {
    SlotsReader reader(&m);
    return vlm_notifier_clear_young(m.mmu(), Hva(page), Hva(page + npages));
  }
  bool TestYoung(u64 page) {
    SlotsReader reader(&m);
    return vlm_notifier_test_young(m.mmu(), Hva(page), Hva(page) + 1);
  }
};

// A huge page of the host behind small entries, in both address spaces: all of it is aged.
TEST_F(NotifierAgingTest, TwoMegabytesInBothAddressSpaces) {
  m.host().Map(kHva, 2 * kMib2);
  for (u32 as_id : {0u, 1u}) {
    ASSERT_EQ(m.SetSlot(as_id << 16, 7, 2 * kMib2, kHva), 0);
    v.SetAddressSpace(static_cast<uint8_t>(as_id));
    for (u64 i = 0; i < kMib2; i++) ASSERT_EQ(v.Read(Gpa(7 + i)), Outcome::kDone);
  }
  EXPECT_TRUE(ClearYoung(0, kMib2));
  EXPECT_FALSE(ClearYoung(0, kMib2)) << "something was left";
}

// The host ages 1 GiB at once, under a lock of its own: the start is looked at, not everything.
TEST_F(NotifierAgingTest, AgingOfAGigabyteIsBounded) {
  Memory(0, kGib, kHva, 1);
  for (u64 gfn = 0; gfn < 8 * kMib2; gfn++) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(v.Read(Gpa(100 * kMib2)), Outcome::kDone);
  EXPECT_TRUE(ClearYoung(0, kGib));
  EXPECT_FALSE(TestYoung(0));
  EXPECT_FALSE(TestYoung(3 * kMib2));
  EXPECT_TRUE(TestYoung(7 * kMib2)) << "behind what one call may look at";
  EXPECT_TRUE(TestYoung(100 * kMib2));
  // What is young stays young until somebody asks for it.
  EXPECT_TRUE(ClearYoung(100 * kMib2, 1));
  EXPECT_FALSE(TestYoung(100 * kMib2));
}

// One page in more slots than a call may look at: they share what there is for one call.
TEST_F(NotifierAgingTest, AgingOfAPageInManySlotsIsBounded) {
  constexpr u32 kSlots = VLM_AGE_BUDGET / 4;
  m.host().Map(kHva, 1);
  for (u32 i = 0; i < kSlots; i++) {
    ASSERT_EQ(m.SetSlot(i, 2 * i, 1, kHva), 0);
    ASSERT_EQ(v.Read(Gpa(2 * i)), Outcome::kDone);
  }
  EXPECT_TRUE(ClearYoung(0, 1));
  u64 young = 0;
  for (u32 i = 0; i < kSlots; i++) young += *EptWalk(v.eptp(), Gpa(2 * i)).entry >> 8 & 1;
  EXPECT_GT(young, 0u);
  EXPECT_LT(young, kSlots / 2);
}

TEST_F(NotifierTest, OnePageBehindTwoSlots) {
  Memory(0, 16, kHva);
  ASSERT_EQ(m.SetSlot(1, 100, 16, kHva), 0);
  ASSERT_EQ(m.SetSlot(2, 200, 4, kHva + 3), 0);
  ASSERT_EQ(v.Write(Gpa(4)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(104)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(201)), Outcome::kDone);
  EXPECT_EQ(m.CountLeaves(), 3u);
  m.host().Drop(kHva + 4, 1);
  EXPECT_EQ(m.CountLeaves(), 0u);
}

TEST_F(NotifierTest, NothingToZapNeedsNoFlush) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  const u64 flushes = m.flushes;
  m.host().Drop(kHva + 5, 3);
  EXPECT_EQ(m.flushes, flushes);
  m.host().Drop(kHva, 16);
  EXPECT_EQ(m.flushes, flushes + 1);
}

TEST_F(NotifierTest, SlotUpdateWaitsForAnActiveInvalidation) {
  Memory(0, 16, kHva);
  m.host().Map(kHva + 100, 16);
  std::atomic<bool> published{false};
  vlm_notifier_begin(m.mmu(), Hva(100), Hva(116), VLM_NOTIFIER_MAY_BLOCK);
  std::thread updater([&] {
    EXPECT_EQ(m.SetSlot(1, 100, 16, kHva + 100), 0);
    published = true;
  });
  for (int i = 0; i < 100; i++) shim_wait();
  EXPECT_FALSE(published) << "begin() and end() would see different slots";
  vlm_notifier_end(m.mmu(), Hva(100), Hva(116));
  updater.join();
  EXPECT_EQ(m.mmu()->notifier.in_progress, 0u);
  EXPECT_EQ(v.Read(Gpa(101)), Outcome::kDone);
}

}  // namespace
}  // namespace fakes
