// SPDX-License-Identifier: GPL-2.0-or-later
// EPT violations: from empty tables to the right leaf.
#include <gtest/gtest.h>

#include <cerrno>

#include "test_layout.h"

namespace fakes {
namespace {

using FaultTest = MmuTest;

TEST_F(FaultTest, MapsOnePage) {
  Memory(0, 16, kHva);
  EXPECT_EQ(v.Write(Gpa(3, 5)), Outcome::kDone);
  EXPECT_EQ(v.last_pfn(), m.host().PfnAt((kHva + 3) << 12));
  EXPECT_EQ(v.exits(), 1);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  EXPECT_TRUE(m.host().IsDirty(v.last_pfn()));
  EXPECT_TRUE(m.host().IsAccessed(v.last_pfn()));
  m.CheckTables();
}

TEST_F(FaultTest, LeafIsWriteBackAndExecutable) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Exec(Gpa(1)), Outcome::kDone);
  EptResult walk = EptWalk(v.eptp(), Gpa(1));
  EXPECT_EQ(walk.memory_type, 6);
  EXPECT_TRUE(walk.r && walk.w && walk.x);
}

TEST_F(FaultTest, DeviceMemoryIsUncached) {
  m.host().MapDevice(kHva, 512);
  ASSERT_EQ(m.SetSlot(0, 512, 512, kHva), 0);
  ASSERT_EQ(v.Write(Gpa(512)), Outcome::kDone);
  EptResult walk = EptWalk(v.eptp(), Gpa(512));
  EXPECT_EQ(walk.memory_type, 0);
  EXPECT_EQ(walk.level, 1);
}

TEST_F(FaultTest, ReadOfWritablePageNeedsNoSecondFault) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Read(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  EXPECT_EQ(v.exits(), 1);
}

TEST_F(FaultTest, MapsHugePagesWhereTheHostHasThem) {
  Memory(0, 4 * kGib, kHva, 3);
  ASSERT_EQ(v.Write(Gpa(kGib + 12345)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_1G), 1u);
  EXPECT_EQ(v.last_pfn(), m.host().PfnAt((kHva + kGib + 12345) << 12));
  ASSERT_EQ(v.Read(Gpa(kGib + 54321)), Outcome::kDone);
  EXPECT_EQ(v.exits(), 1);
}

TEST_F(FaultTest, MapsTwoMegabytes) {
  Memory(0, kGib, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(1000)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  m.CheckTables();
}

TEST_F(FaultTest, HugePageMustFitTheSlot) {
  Memory(0, 1024 + 100, kHva, 2);
  // The slot ends inside of the third huge page.
  ASSERT_EQ(v.Write(Gpa(1030)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  ASSERT_EQ(v.Write(Gpa(600)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
}

TEST_F(FaultTest, HugePageMustBeCongruent) {
  Memory(1, 2048, kHva, 2);
  ASSERT_EQ(v.Write(Gpa(600)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 0u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
}

TEST(FaultCapsTest, HugePagesNeedHardware) {
  MachineOptions options;
  options.ept_1g = false;
  FakeMachine m(options);
  FakeVcpu& v = m.AddVcpu();
  m.host().Map(kHva, 2 * kGib, 3);
  ASSERT_EQ(m.SetSlot(0, 0, 2 * kGib, kHva), 0);
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
}

TEST(FaultCapsTest, FiveLevels) {
  MachineOptions options;
  options.five_level = true;
  FakeMachine m(options);
  FakeVcpu& v = m.AddVcpu();
  const u64 gfn = u64{1} << 38;  // beyond what four levels reach
  m.host().Map(kHva, 64);
  ASSERT_EQ(m.SetSlot(0, gfn, 64, kHva), 0);
  EXPECT_EQ(v.Write(Gpa(gfn + 7)), Outcome::kDone);
  EXPECT_EQ(EptWalk(v.eptp(), Gpa(gfn + 7)).tables.size(), 5u);
}

TEST_F(FaultTest, ReadOnlySlotIsReadAndNotWritten) {
  Memory(0, 16, kHva, 1, VLM_MEMSLOT_READONLY);
  EXPECT_EQ(v.Read(Gpa(2)), Outcome::kDone);
  EXPECT_EQ(v.Write(Gpa(2)), Outcome::kMmio);
  EXPECT_EQ(v.Exec(Gpa(2)), Outcome::kDone);
  EXPECT_FALSE(m.host().IsDirty(v.last_pfn()));
  m.CheckTables();
}

TEST_F(FaultTest, WriteBreaksCopyOnWrite) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Write(Gpa(2)), Outcome::kDone);
  m.host().Protect(kHva, 16);
  ASSERT_EQ(v.Read(Gpa(2)), Outcome::kDone);
  const u64 before = v.last_pfn();
  ASSERT_EQ(v.Write(Gpa(2)), Outcome::kDone);
  EXPECT_NE(v.last_pfn(), before);
  m.CheckTables();
}

TEST_F(FaultTest, HoleIsMmio) {
  Memory(0, 16, kHva);
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  EXPECT_EQ(v.Write(Gpa(100)), Outcome::kMmio);
  // The second access exits as a misconfiguration.
  EXPECT_EQ(EptWalk(v.eptp(), Gpa(100)).kind, EptKind::kMisconfig);
  EXPECT_EQ(v.Count(VLM_PF_TAKEN), 1u);
  EXPECT_EQ(v.Count(VLM_PF_EMULATED), 1u);
  EXPECT_EQ(v.Count(VLM_PF_MMIO_CREATED), 1u);
  EXPECT_EQ(v.Count(VLM_PF_MMIO_HIT), 1u);
}

TEST_F(FaultTest, SlotOverCachedMmioReachesMemory) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Read(Gpa(600)), Outcome::kMmio);
  ASSERT_EQ(v.Read(Gpa(600)), Outcome::kMmio);
  Memory(512, 512, kHva + 1024, 2, 0, 1);
  EXPECT_EQ(v.Read(Gpa(600)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
}

TEST_F(FaultTest, MmioEntryOfAnotherGenerationIsReplaced) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  Memory(1000, 16, kHva + 1000, 1, 0, 1);
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  EXPECT_EQ(v.Count(VLM_PF_TAKEN), 2u) << "the stale entry was believed";
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  EXPECT_EQ(v.Count(VLM_PF_TAKEN), 2u);
}

TEST_F(FaultTest, ErrorsOfTheHostAreReported) {
  Memory(0, 16, kHva);
  ASSERT_EQ(m.SetSlot(1, 100, 16, kHva + 0x10000), 0);  // nothing mapped there
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kError);
  EXPECT_EQ(v.mv()->fault_errno, -EFAULT);
  m.host().Poison(kHva + 3, -EHWPOISON);
  EXPECT_EQ(v.Read(Gpa(3)), Outcome::kError);
  EXPECT_EQ(v.mv()->fault_errno, -EHWPOISON);
  m.host().Poison(kHva + 4, -EINTR);
  EXPECT_EQ(v.Read(Gpa(4)), Outcome::kError);
  EXPECT_EQ(v.mv()->fault_errno, -EINTR);
}

TEST_F(FaultTest, SecondVcpuFindsThePageThere) {
  Memory(0, 16, kHva);
  FakeVcpu& w = m.AddVcpu();
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(w.Write(Gpa(1)), Outcome::kDone);
  EXPECT_EQ(w.exits(), 0);
  EXPECT_EQ(v.eptp(), w.eptp());
  EXPECT_EQ(w.Fault(Gpa(1), VLM_ACCESS_WRITE), VLM_FAULT_SPURIOUS);
}

TEST_F(FaultTest, FaultDuringInvalidationRetries) {
  Memory(0, 16, kHva);
  ASSERT_TRUE(v.Reload());
  m.host().in_invalidation = [&] { EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_READ), VLM_FAULT_RETRY); };
  ASSERT_EQ(v.Fault(Gpa(3), VLM_ACCESS_READ), VLM_FAULT_FIXED);
  m.host().Drop(kHva + 3, 1);
  EXPECT_EQ(EptWalk(v.eptp(), Gpa(3)).kind, EptKind::kViolation);
}

TEST_F(FaultTest, FaultElsewhereDuringInvalidationGoesOn) {
  Memory(0, 16, kHva);
  ASSERT_TRUE(v.Reload());
  vlm_fault_result res = VLM_FAULT_ERROR;
  m.host().in_invalidation = [&] { res = v.Fault(Gpa(7), VLM_ACCESS_READ); };
  m.host().Drop(kHva + 3, 1);
  EXPECT_EQ(res, VLM_FAULT_FIXED);
}

// The frame was looked up, then the host took it back, all of it: the sequence tells.
TEST_F(FaultTest, InvalidationBetweenLookupAndInstallRetries) {
  Memory(0, 16, kHva);
  ASSERT_TRUE(v.Reload());
  bool once = true;
  m.host().after_lookup = [&] {
    if (once) once = false, m.host().Drop(kHva + 3, 1);
  };
  EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_READ), VLM_FAULT_RETRY);
  EXPECT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  m.CheckTables();
}

TEST_F(FaultTest, SlotDeletedBetweenLookupAndInstall) {
  Memory(0, 16, kHva);
  Memory(100, 16, kHva + 100, 1, 0, 1);
  ASSERT_TRUE(v.Reload());
  // The other slot goes, and with it the root; the update waits for no reader of this thread.
  bool once = true;
  m.host().after_lookup = [&] {
    if (once) once = false, vlm_zap_all_fast(m.mmu());
  };
  EXPECT_EQ(v.Fault(Gpa(3), VLM_ACCESS_READ), VLM_FAULT_RETRY);
  EXPECT_EQ(m.CountLeaves(), 0u);
  EXPECT_EQ(v.Read(Gpa(3)), Outcome::kDone);
}

TEST_F(FaultTest, HugeLeafReplacesTableWhenTheHostCollapsed) {
  Memory(0, kGib, kHva, 1);
  for (u64 gfn = 0; gfn < 512; gfn += 7) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  m.host().ChangeLevel(kHva, 512, 2);
  ASSERT_EQ(v.Write(Gpa(9)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 0u);
  m.CheckTables();
  m.Settle();
}

// The table is in use when the huge leaf takes its place: nobody told the vCPU before.
TEST_F(FaultTest, HugeLeafReplacesTableAsItStands) {
  Memory(0, kMib2, kHva, 2);
  // A small leaf under a table, as dirty logging would have left it.
  ASSERT_EQ(m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(m.Stat(VLM_STAT_PAGES_4K), 1u);
  m.mmu()->space[0].by_id[0]->flags = 0;
  ASSERT_EQ(v.Write(Gpa(2)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_4K), 0u);
  EXPECT_EQ(v.tlb_entries(), 1u) << "flushed before the leaf was written";
  m.Settle();
  m.mmu()->space[0].by_id[0]->flags = VLM_MEMSLOT_LOG_DIRTY;
}

TEST_F(FaultTest, GigabyteLeafDoesNotTakeDownDeepTables) {
  Memory(0, kGib, kHva, 1);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(1000)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  m.host().ChangeLevel(kHva, kGib, 3);
  // A step that took down all tables below would not be bounded: one level smaller instead.
  ASSERT_EQ(v.Write(Gpa(5)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_2M), 1u);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
  ASSERT_EQ(v.Write(Gpa(1001)), Outcome::kDone);
  // Shallow now.
  FakeVcpu& w = m.AddVcpu();
  m.host().Drop(kHva + 2000, 1);
  m.host().ChangeLevel(kHva, kGib, 3);
  ASSERT_EQ(w.Write(Gpa(2000)), Outcome::kDone);
  EXPECT_EQ(m.Stat(VLM_STAT_PAGES_1G), 1u);
  m.CheckTables();
}

TEST_F(FaultTest, OutOfMemoryAnywhereIsCleanAndHealsItself) {
  Memory(0, kGib, kHva, 1);
  for (long n = 0; n < 12; n++) {
    shim_alloc_fail_after(n);
    const Outcome first = v.Write(Gpa(static_cast<u64>(n) * 1000));
    shim_alloc_fail_after(-1);
    if (first == Outcome::kError) {
      EXPECT_EQ(v.Write(Gpa(static_cast<u64>(n) * 1000)), Outcome::kDone);
    }
    m.CheckTables();
  }
}

TEST_F(FaultTest, CorruptEntryKillsTheMachineNotTheHost) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  m.expect_kill = true;
  EptResult walk = EptWalk(v.eptp(), Gpa(1));
  const u64 good = *walk.entry;
  *walk.entry = good & ~u64{1};  // writable but not readable
  EXPECT_EQ(v.Fault(Gpa(1), VLM_ACCESS_READ), VLM_FAULT_FIXED);
  *walk.entry = (good & ~u64{1}) | u64{7} << 3;
  {
    SlotsReader reader(&m);
    EXPECT_EQ(vlm_mmu_misconfig(v.mv(), Gpa(1)), VLM_FAULT_ERROR);
  }
  EXPECT_EQ(v.mv()->fault_errno, -EIO);
  EXPECT_TRUE(m.killed);
  EXPECT_EQ(v.Fault(Gpa(2), VLM_ACCESS_READ), VLM_FAULT_ERROR);
}

TEST_F(FaultTest, BeyondTheTablesIsEmulated) {
  Memory(0, 16, kHva);
  ASSERT_TRUE(v.Reload());
  EXPECT_EQ(v.Fault(u64{1} << 48, VLM_ACCESS_READ), VLM_FAULT_EMULATE);
}

}  // namespace
}  // namespace fakes
