// SPDX-License-Identifier: GPL-2.0-or-later
// Faults and aging without the mmu lock.
#include <gtest/gtest.h>

#include <functional>

#include "test_layout.h"

namespace fakes {
namespace {

class FastFaultTest : public MmuTest {
 protected:
  explicit FastFaultTest(const MachineOptions& options = {}) : MmuTest(options) {}

  // While another thread holds the lock for write, so that nothing that takes it can end.
  void UnderForeignLock(const std::function<void()>& work) {
    write_lock(&m.mmu()->lock);
    work();
    write_unlock(&m.mmu()->lock);
  }
  unsigned long Harvest() {
    unsigned long word = 0;
    std::lock_guard guard(m.slots_lock());
    vlm_memslot_harvest(m.mmu(), vlm_memslot_by_id(m.mmu(), 0), 0, 1, &word);
    return word;
  }
  bool ClearYoung() {
    SlotsReader reader(&m);
    return vlm_notifier_clear_young(m.mmu(), kHva << 12, (kHva + 16) << 12);
  }
  bool TestYoung() {
    SlotsReader reader(&m);
    return vlm_notifier_test_young(m.mmu(), kHva << 12, (kHva + 16) << 12);
  }
};

TEST_F(FastFaultTest, FirstWriteAfterAHarvest) {
  Memory(0, 16, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(Harvest(), 8u);
  UnderForeignLock([&] {
    EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_WRITE), VLM_FAULT_FIXED);
    EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_WRITE), VLM_FAULT_SPURIOUS);
  });
  EXPECT_EQ(v.Count(VLM_PF_FAST), 2u);
  EXPECT_EQ(Harvest(), 8u);
  m.CheckTables();
}

TEST_F(FastFaultTest, PageThatTheHostProtectsIsLeftToTheHost) {
  Memory(0, 16, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  const u64 before = v.last_pfn();
  m.host().Protect(kHva + 3, 1);
  ASSERT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  const u64 fast = v.Count(VLM_PF_FAST);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(v.Count(VLM_PF_FAST), fast);
  EXPECT_NE(v.last_pfn(), before) << "the write goes to a copy";
  m.CheckTables();
}

TEST_F(FastFaultTest, HugePageOfALoggedSlotIsSplitFirst) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  // The new slot and its log, and nothing to split with.
  shim_alloc_fail_after(2);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  shim_alloc_fail_after(-1);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u);
  EXPECT_EQ(Harvest(), 32u);
  m.CheckTables();
}

// A read maps the page; the write that follows has no host page to mark.
TEST_F(FastFaultTest, HostLearnsOfWritesToCome) {
  Memory(0, 16, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  ASSERT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  const u64 fast = v.Count(VLM_PF_FAST);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(v.Count(VLM_PF_FAST), fast + 1);
  EXPECT_TRUE(m.host().IsDirty(v.last_pfn()));
}

TEST_F(FastFaultTest, NothingOnAnInvalidRoot) {
  Memory(0, 16, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  m.has_reclaimer = true;
  Harvest();
  {
    std::lock_guard guard(m.slots_lock());
    vlm_zap_all_fast(m.mmu());
  }
  EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_WRITE), VLM_FAULT_RETRY);
  vlm_mmu_reclaim(m.mmu());
}

TEST_F(FastFaultTest, AgingNeedsNoLock) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  UnderForeignLock([&] {
    EXPECT_TRUE(TestYoung());
    EXPECT_TRUE(ClearYoung());
    EXPECT_FALSE(TestYoung());
  });
}

class NoAdFastFaultTest : public FastFaultTest {
 protected:
  NoAdFastFaultTest() : FastFaultTest(MachineOptions{.ept_ad = false}) {}
};

TEST_F(NoAdFastFaultTest, AgedPageIsRestored) {
  Memory(0, 16, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(Harvest(), 8u);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(Harvest(), 8u);
  EXPECT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  UnderForeignLock([&] {
    EXPECT_TRUE(ClearYoung());
    EXPECT_FALSE(TestYoung());
    EXPECT_EQ(v.tlb_entries(), 0u) << "Expected a flush: the next access must be seen";
    EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_READ), VLM_FAULT_FIXED);
    EXPECT_TRUE(TestYoung());
  });
  EXPECT_EQ(Harvest(), 0u) << "a read marks nothing";
  EXPECT_TRUE(ClearYoung());
  UnderForeignLock([&] { EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_WRITE), VLM_FAULT_FIXED); });
  EXPECT_EQ(Harvest(), 8u);
  m.CheckTables();
}

}  // namespace
}  // namespace fakes
