// SPDX-License-Identifier: GPL-2.0-or-later
// Dirty logging where the hardware logs writes to clean pages: "Page-Modification Logging".
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "test_layout.h"

namespace fakes {
namespace {

constexpr u32 kLog = VLM_MEMSLOT_LOG_DIRTY;

class PmlTest : public MmuTest {
 protected:
  using Pages = std::set<u64>;

  PmlTest() : MmuTest(MachineOptions{.pml = true}) {}

  // As KVM_GET_DIRTY_LOG.
  Pages Harvest(u32 id = 0) {
    std::lock_guard guard(m.slots_lock());
    const vlm_memslot* slot = vlm_memslot_by_id(m.mmu(), id);
    std::vector<unsigned long> words((slot->npages + 63) / 64);
    vlm_dirty_log_sync(m.mmu());
    vlm_memslot_harvest(m.mmu(), slot, 0, words.size(), words.data());
    Pages pages;
    for (u64 i = 0; i < slot->npages; i++)
      if (words[i / 64] >> (i % 64) & 1) pages.insert(i);
    return pages;
  }
  int ExitsOfWriting(u64 from, u64 to) {
    const int before = v.exits();
    for (u64 gfn = from; gfn < to; gfn++) EXPECT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    return v.exits() - before;
  }
  static Pages Range(u64 from, u64 to) {
    Pages pages;
    for (u64 i = from; i < to; i++) pages.insert(pages.end(), i);
    return pages;
  }
};

TEST_F(PmlTest, FirstWriteAfterAHarvestIsNoExit) {
  Memory(10, 100, kHva, 1, kLog);
  EXPECT_EQ(ExitsOfWriting(10, 12), 2);
  EXPECT_EQ(Harvest(), (Pages{0, 1}));
  EXPECT_EQ(Harvest(), Pages{});
  EXPECT_EQ(ExitsOfWriting(11, 12), 0);
  EXPECT_EQ(Harvest(), Pages{1});
  EXPECT_EQ(ExitsOfWriting(10, 12), 0);
  EXPECT_EQ(Harvest(), (Pages{0, 1}));
  m.CheckTables();
}

TEST_F(PmlTest, AReadMapsAPageThatIsCleanAndCanBeWritten) {
  Memory(0, 100, kHva, 1, kLog);
  ASSERT_EQ(v.Read(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(Harvest(), Pages{});
  EXPECT_EQ(ExitsOfWriting(5, 6), 0);
  EXPECT_EQ(Harvest(), Pages{5});
  m.CheckTables();
}

TEST_F(PmlTest, ACleanLeafNeedsNoRepair) {
  Memory(0, 100, kHva, 1, kLog);
  ASSERT_EQ(v.Read(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(v.Fault(Gpa(5), VLM_ACCESS_WRITE), VLM_FAULT_SPURIOUS);
  EXPECT_EQ(Harvest(), Pages{}) << "nobody wrote yet";
}

TEST_F(PmlTest, PageThatTheHostProtectsIsLeftToTheHost) {
  Memory(0, 16, kHva, 1, kLog);
  ASSERT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  m.host().Protect(kHva + 3, 1);
  ASSERT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  EXPECT_FALSE(EptWalk(v.eptp(), Gpa(3)).w);
  EXPECT_GT(ExitsOfWriting(3, 4), 0);
  EXPECT_EQ(Harvest(), Pages{3});
}

TEST_F(PmlTest, StartOnHugePagesSplitsAndLeavesThemWritable) {
  Memory(0, 2 * kMib2, kHva, 2);
  for (u64 gfn : {u64{0}, kMib2}) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, 2 * kMib2, kHva, kLog), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 2 * kMib2);
  EXPECT_EQ(Harvest(), Pages{});
  EXPECT_EQ(ExitsOfWriting(7, 9), 0);
  EXPECT_EQ(Harvest(), (Pages{7, 8}));
  m.CheckTables();
}

// One D for 512 pages would tell of one of them.
TEST_F(PmlTest, AHugePageLosesWAndIsSplitByTheFirstWrite) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  shim_alloc_fail_after(2);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, kLog), 0);
  shim_alloc_fail_after(-1);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  EXPECT_FALSE(EptWalk(v.eptp(), Gpa(0)).w);
  EXPECT_EQ(ExitsOfWriting(33, 34), 1);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u);
  EXPECT_EQ(Harvest(), Pages{33});
  EXPECT_EQ(ExitsOfWriting(34, 36), 2) << "the rest has no W yet";
  EXPECT_EQ(Harvest(), (Pages{34, 35}));
  EXPECT_EQ(ExitsOfWriting(33, 36), 0);
  EXPECT_EQ(Harvest(), Range(33, 36));
  m.CheckTables();
}

TEST_F(PmlTest, AFullLogIsOneExit) {
  constexpr u64 kPages = 3 * VLM_HARDWARE_LOG;
  Memory(0, kPages, kHva, 1, kLog);
  for (u64 gfn = 0; gfn < kPages; gfn++) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  EXPECT_EQ(ExitsOfWriting(0, kPages), 2);
  EXPECT_EQ(Harvest(), Range(0, kPages));
  EXPECT_EQ(ExitsOfWriting(0, VLM_HARDWARE_LOG), 0);
  EXPECT_EQ(Harvest(), Range(0, VLM_HARDWARE_LOG));
}

TEST_F(PmlTest, AWriteOutlivesItsEntry) {
  Memory(0, 100, kHva, 1, kLog);
  ASSERT_EQ(v.Read(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(ExitsOfWriting(5, 6), 0);
  m.host().Drop(kHva + 5, 1);
  EXPECT_EQ(Harvest(), Pages{5});

  ASSERT_EQ(v.Read(Gpa(6)), Outcome::kDone);
  EXPECT_EQ(ExitsOfWriting(6, 7), 0);
  {
    std::lock_guard guard(m.slots_lock());
    vlm_zap_all_fast(m.mmu());
  }
  EXPECT_EQ(Harvest(), Pages{6});
}

TEST_F(PmlTest, AWriteOutlivesItsVcpu) {
  Memory(0, 100, kHva, 1, kLog);
  ASSERT_EQ(v.Read(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(ExitsOfWriting(5, 6), 0);
  m.ReplaceVcpu(0);
  EXPECT_EQ(Harvest(), Pages{5});
}

TEST_F(PmlTest, LogsOfAllVcpusCount) {
  Memory(0, 200, kHva, 1, kLog);
  FakeVcpu& w = m.AddVcpu();
  for (u64 gfn : {u64{1}, u64{2}, u64{130}}) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(w.Write(Gpa(130)), Outcome::kDone);
  ASSERT_EQ(w.Write(Gpa(2)), Outcome::kDone);
  EXPECT_EQ(Harvest(), (Pages{1, 2, 130}));
}

// The log holds addresses of slots with and without a log, and of none any more.
TEST_F(PmlTest, OnlyLoggedSlotsAreToldOf) {
  Memory(0, 64, kHva, 1, kLog, 0);
  Memory(100, 64, kHva + 1000, 1, kLog, 1);
  Memory(200, 64, kHva + 2000, 1, kLog, 2);
  for (u64 gfn : {u64{1}, u64{101}, u64{201}, u64{2}}) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  m.slot_zap = VLM_SLOT_ZAP_OWN;
  ASSERT_EQ(m.SetSlot(1, 100, 64, kHva + 1000, 0), 0);
  for (u64 gfn : {u64{1}, u64{101}, u64{201}, u64{2}}) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.DeleteSlot(2), 0);
  EXPECT_EQ(Harvest(0), (Pages{1, 2}));
}

TEST_F(PmlTest, WritesInSystemManagementModeAreLoggedThere) {
  Memory(0, 64, kHva, 1, kLog, 0);
  ASSERT_EQ(m.SetSlot(0x10000, 0, 64, kHva + 512, kLog), 0);
  m.host().Map(kHva + 512, 64, 1);
  v.SetAddressSpace(1);
  ASSERT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  v.SetAddressSpace(0);
  EXPECT_EQ(Harvest(0), Pages{});
  EXPECT_EQ(Harvest(0x10000), Pages{3});
}

TEST_F(PmlTest, AgingIsNoReasonForAnExit) {
  Memory(0, 64, kHva, 1, kLog);
  ASSERT_EQ(v.Write(Gpa(3)), Outcome::kDone);
  EXPECT_EQ(Harvest(), Pages{3});
  {
    SlotsReader reader(&m);
    EXPECT_TRUE(vlm_notifier_clear_young(m.mmu(), kHva << 12, (kHva + 64) << 12));
  }
  EXPECT_EQ(ExitsOfWriting(3, 4), 0);
  EXPECT_EQ(Harvest(), Pages{3});
}

TEST_F(PmlTest, StopCollapsesCleanLeaves) {
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, kLog), 0);
  ASSERT_EQ(v.Write(Gpa(9)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, 0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  EXPECT_EQ(ExitsOfWriting(0, 20), 0);
  m.CheckTables();
}

TEST_F(PmlTest, ClearTakesWhatItWasAskedFor) {
  m.mmu()->log_flags = VLM_LOG_MANUAL | VLM_LOG_ALL_SET;
  Memory(0, kMib2, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, kLog), 0);
  const unsigned long bits[8] = {~0ul};
  {
    SlotsReader reader(&m);
    vlm_memslot_clear_log(m.mmu(), vlm_memslot_find(vlm_memslots_get(m.mmu(), 0), 0), 0, 8, bits);
  }
  EXPECT_EQ(ExitsOfWriting(3, 5), 0);
  EXPECT_EQ(ExitsOfWriting(70, 71), 0);
  Pages expected = Range(64, kMib2);
  expected.insert({3, 4});
  m.CheckWritesAreSeen();
  m.CheckTables();
  EXPECT_EQ(Harvest(), expected);
}

// Entries stand in the ring in the order of the writes, and 512 more than before have room.
TEST_F(PmlTest, RingsAreToldInOrderAndHaveRoomForAFullLog) {
  constexpr u32 kSize = 1024;
  std::vector<vlm_dirty_entry> entries(kSize);
  m.mmu()->log_flags = VLM_LOG_RINGS;
  vlm_dirty_ring_init(v.ring(), entries.data(), kSize);
  Memory(0, kSize, kHva, 1, kLog);
  for (u64 gfn = 0; gfn < kSize; gfn++) ASSERT_EQ(v.Read(Gpa(gfn)), Outcome::kDone);
  u64 gfn = 0;
  for (; !vlm_dirty_ring_is_full(v.ring()); gfn++) {
    ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
    v.DrainLog();
  }
  // The last entry: a full log more is to come at the most.
  for (u64 end = gfn + VLM_HARDWARE_LOG; gfn < end; gfn++)
    ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  v.DrainLog();
  EXPECT_FALSE(m.killed);
  for (u64 i = 0; i < gfn; i++) EXPECT_EQ(entries[i].offset, i);
  EXPECT_EQ(vlm_dirty_ring_reserve(), VLM_DIRTY_RING_RESERVE + 512u);
}

}  // namespace
}  // namespace fakes
