// SPDX-License-Identifier: GPL-2.0-or-later
// Recovery of NX huge pages and collapse, against whoever works on the same table.
#include <gtest/gtest.h>

#include "race.h"

namespace fakes {
namespace {

// Frames 0 to 511 are one huge page of the host.
void HugePage(Race& r, u32 flags = 0) {
  vlm_mmu_set_nx(r.m.mmu(), VLM_NX_ON);
  r.Memory(0, kMib2, kHva, 2, flags);
}

void Recover(Race& r) {
  SlotsReader reader(&r.m);
  vlm_mmu_recover_nx(r.m.mmu(), 1, VLM_NX_IN_PLACE);
}

// The mitigation is switched on under a fetch: what it maps is small, or cut off.
TEST(NxRace, SwitchAndExecution) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.Memory(0, kMib2, kHva, 2);
    FakeVcpu& v = r.Vcpu();
    r.Thread("vcpu", [&r, &v] {
      EXPECT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
      r.Note(r.m.Stat(VLM_STAT_PAGES_2M) ? "huge" : "small");
    });
    r.Thread("parameter", [&r] { vlm_mmu_set_nx(r.m.mmu(), VLM_NX_ON); });
  });
  EXPECT_GT(report.Saw("huge"), 0u);
  EXPECT_GT(report.Saw("small"), 0u);
}

TEST(NxRace, RecoveryAndExecution) {
  const RaceReport report = Explore({}, [](Race& r) {
    HugePage(r);
    FakeVcpu& v = r.Vcpu();
    ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
    r.Thread("vcpu", [&v] {
      EXPECT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
      EXPECT_EQ(v.Exec(Gpa(1)), Outcome::kDone);
    });
    r.Thread("recovery", [&r] { Recover(r); });
    r.Finally([&r] {
      r.Note(r.m.Stat(VLM_STAT_NX_LPAGE_SPLITS) ? "small" : "huge");
      if (r.m.Stat(VLM_STAT_SPLITS)) r.Note("split again");
    });
  });
  EXPECT_GT(report.Saw("small"), 0u);
  EXPECT_GT(report.Saw("huge"), 0u);
  EXPECT_GT(report.Saw("split again"), 0u);
}

TEST(NxRace, RecoveryAndInvalidation) {
  const RaceReport report = Explore({}, [](Race& r) {
    HugePage(r);
    FakeVcpu& v = r.Vcpu();
    ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
    r.Thread("recovery", [&r] { Recover(r); });
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
    r.Thread("vcpu", [&v] { EXPECT_EQ(v.Read(Gpa(0)), Outcome::kDone); });
    r.Finally([&r] {
      if (r.m.Stat(VLM_STAT_COLLAPSES)) r.Note("recovered");
      if (!r.m.Stat(VLM_STAT_NX_RECOVERIES)) r.Note("not recovered");
    });
  });
  EXPECT_GT(report.Saw("recovered"), 0u);
  EXPECT_GT(report.Saw("not recovered"), 0u);
}

// Two find the same table: one of them replaces it, and the list is right.
TEST(NxRace, RecoveryAndTheEndOfLogging) {
  const RaceReport report = Explore({}, [](Race& r) {
    HugePage(r);
    FakeVcpu& v = r.Vcpu();
    ASSERT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
    r.Thread("recovery", [&r] { Recover(r); });
    r.Thread("log", [&r] {
      std::lock_guard guard(r.m.slots_lock());
      vlm_memslot_stop_logging(r.m.mmu(), vlm_memslot_by_id(r.m.mmu(), 0));
    });
    r.Finally([&r] {
      EXPECT_LE(r.m.Stat(VLM_STAT_COLLAPSES), 1u);
      EXPECT_EQ(r.m.Stat(VLM_STAT_NX_LPAGE_SPLITS), 0u);
    });
  });
  EXPECT_GT(report.schedules, 0u);
}

// A write to a page of the table that is being replaced is not lost, nor is its frame.
TEST(NxRace, EndOfLoggingAndAWrite) {
  const RaceReport report = Explore({}, [](Race& r) {
    HugePage(r, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    ASSERT_EQ(v.Read(Gpa(0)), Outcome::kDone);
    r.Thread("vcpu", [&r, &v] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      EXPECT_TRUE(r.m.host().IsDirty(v.last_pfn()));
    });
    r.Thread("log", [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, 0), 0); });
    r.Finally([&r, &v] {
      EXPECT_EQ(v.last_pfn(), r.m.host().PfnAt(kHva << 12));
      r.Note(EptWalk(v.eptp(), Gpa(0)).w ? "W" : "no W");
      if (r.m.Stat(VLM_STAT_COLLAPSES)) r.Note("collapsed");
    });
  });
  EXPECT_GT(report.Saw("collapsed"), 0u);
}

}  // namespace
}  // namespace fakes
