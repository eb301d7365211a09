// SPDX-License-Identifier: GPL-2.0-or-later
// Splitting, write protection and the dirty log against writes; huge leaves against tables.
#include <gtest/gtest.h>

#include "race.h"

namespace fakes {
namespace {

// A write against the harvest that takes its permission away: reported now or later.
TEST(DirtyRace, HarvestAndWrite) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& cold = r.Vcpu();
    r.WriteLogged(v, 0);
    r.Thread("harvest", [&r] { r.Note(r.Harvest() ? "found it" : "found nothing"); });
    // One with the translation at hand, one without.
    r.Thread("vcpus", [&r, &v, &cold] {
      r.WriteLogged(cold, 0);
      r.WriteLogged(v, 0);
      r.WriteLogged(cold, 0);
    });
    r.Finally([&r] { r.CheckNoWriteIsLost(); });
  });
  EXPECT_GT(report.Saw("found it"), 0u);
}

// The same with a log that is copied first and cleared later.
TEST(DirtyRace, CopyThenClearAndWrite) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& cold = r.Vcpu();
    r.WriteLogged(v, 0);
    r.Thread("clear", [&r] { r.Note(r.CopyThenClear() ? "found it" : "found nothing"); });
    r.Thread("vcpus", [&r, &v, &cold] {
      r.WriteLogged(cold, 0);
      r.WriteLogged(v, 0);
      r.WriteLogged(cold, 0);
    });
    r.Finally([&r] { r.CheckNoWriteIsLost(); });
  });
  EXPECT_GT(report.Saw("found it"), 0u);
}

// Two threads clear one bit; each relies on protection and flush when it returns, whoever was
// first.
TEST(DirtyRace, TwoClears) {
  Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    for (const char* name : {"first", "second"})
      r.Thread(name, [&r, &v] {
        const unsigned long bits = 1;
        {
          SlotsReader reader(&r.m);
          vlm_memslot_clear_log(r.m.mmu(), vlm_memslot_by_id(r.m.mmu(), 0), 0, 1, &bits);
        }
        int level;
        const u64 spte = vlm_tdp_lookup(v.mv()->root, 0, &level);
        if (vlm_spte_is_writable(&vlm_spte_ept, spte))
          shim_violation("DIRTY", "a page that was cleared is writable");
        r.m.CheckWritesAreSeen();
      });
  });
}

// The first write, against a harvest that comes between its two steps.
TEST(DirtyRace, HarvestAndFirstWrite) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    v.Read(Gpa(0));
    r.Thread("vcpu", [&r, &v] { r.WriteLogged(v, 0); });
    r.Thread("harvest", [&r] { r.Note(r.Harvest() ? "found it" : "found nothing"); });
    r.Finally([&r, &v] {
      r.CheckNoWriteIsLost();
      r.WriteLogged(v, 0);
      r.CheckNoWriteIsLost();
    });
  });
  EXPECT_GT(report.Saw("found it"), 0u);
  EXPECT_GT(report.Saw("found nothing"), 0u);
}

// Two vCPUs write to one page while it is harvested.
TEST(DirtyRace, HarvestAndTwoWriters) {
  Explore({.preemptions = 2}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& w = r.Vcpu();
    v.Read(Gpa(0));
    r.Thread("vcpu0", [&r, &v] { r.WriteLogged(v, 0); });
    r.Thread("harvest", [&r] { r.Harvest(); });
    r.Thread("vcpu1", [&r, &w] { r.WriteLogged(w, 0); });
    r.Finally([&r] { r.CheckNoWriteIsLost(); });
  });
}

// Logging starts on a huge page in use: it is split and protected under the guest's writes.
TEST(DirtyRace, SplitAndFault) {
  const RaceReport report = Explore({.preemptions = 2, .at_most = 1200}, [](Race& r) {
    r.Memory(0, kMib2, kHva, 2);
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& w = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("ioctl",
             [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0); });
    r.Thread("vcpu", [&w] { EXPECT_EQ(w.Write(Gpa(0)), Outcome::kDone); });
    r.Finally([&r, &v] {
      r.Note(r.m.Stat(VLM_STAT_PAGES_4K) == 512 ? "split" : "refaulted");
      EXPECT_EQ(r.m.Stat(VLM_STAT_PAGES_2M), 0u);
      r.WriteLogged(v, 0);
      r.CheckNoWriteIsLost();
    });
  });
  EXPECT_GT(report.Saw("split"), 0u);
}

// A huge leaf that is write-protected as a whole is split by two writers at once.
TEST(DirtyRace, TwoFaultsSplitOneLeaf) {
  const RaceReport report = Explore({.preemptions = 2, .at_most = 1000}, [](Race& r) {
    r.Memory(0, kMib2, kHva, 2);
    r.Hot({0, 1});
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& w = r.Vcpu();
    v.Write(Gpa(0));
    // As after a start of logging that found no memory to split with.
    shim_alloc_fail_after(2);
    r.m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY);
    shim_alloc_fail_after(-1);
    if (r.m.Stat(VLM_STAT_PAGES_2M) != 1) shim_violation("SETUP", "the leaf was split");
    r.Thread("vcpu0", [&r, &v] { r.WriteLogged(v, 0); });
    r.Thread("vcpu1", [&r, &w] { r.WriteLogged(w, 1); });
    r.Finally([&r] {
      EXPECT_EQ(r.m.Stat(VLM_STAT_PAGES_4K), 512u);
      if (r.m.Stat(VLM_PF_RETRIED)) r.Note("lost the exchange");
      r.CheckNoWriteIsLost();
    });
  });
  EXPECT_GT(report.Saw("lost the exchange"), 0u);
}

// A clear that has no memory for a table protects the huge leaf as it stands, while another one
// makes a table of it: what was read as a leaf must not be written as one.
TEST(DirtyRace, SplitAndClear) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.mmu()->log_flags = VLM_LOG_MANUAL | VLM_LOG_ALL_SET;
    r.Memory(0, kMib2, kHva, 2);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0);
    const auto clear = [&r](unsigned long bits) {
      SlotsReader reader(&r.m);
      vlm_memslot_clear_log(r.m.mmu(), vlm_memslot_by_id(r.m.mmu(), 0), 0, 1, &bits);
      r.m.CheckWritesAreSeen();
    };
    r.Thread("poor", [clear] {
      shim_alloc_fail_after(0);
      clear(1);
    });
    r.Thread("rich", [&r, clear] {
      shim_alloc_fail_after(-1);
      clear(2);
      r.Note(r.m.Stat(VLM_STAT_SPLITS) ? "split" : "whole");
    });
    r.Finally([&r, &v] {
      shim_alloc_fail_after(-1);
      r.WriteLogged(v, 0);
      r.WriteLogged(v, 1);
      r.CheckNoWriteIsLost();
    });
  });
  EXPECT_GT(report.Saw("split"), 0u);
  EXPECT_GT(report.Saw("whole"), 0u);
}

// A huge page is split under an invalidation of a part of it.
TEST(DirtyRace, SplitAndNotifier) {
  Explore({.preemptions = 2, .at_most = 1000}, [](Race& r) {
    r.Memory(0, kMib2, kHva, 2);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("ioctl",
             [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0); });
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
    r.Finally([&r, &v] {
      r.WriteLogged(v, 0);
      r.CheckNoWriteIsLost();
    });
  });
}

// Logging stops: one vCPU puts a huge leaf over the table in which another, with the old flags
// still, installs a small one.
TEST(DirtyRace, HugeLeafOverATableInUse) {
  const RaceReport report = Explore({.preemptions = 2, .at_most = 2000}, [](Race& r) {
    r.Memory(0, kMib2, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
    r.Hot({0, 1, 2});
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& w = r.Vcpu();
    v.Write(Gpa(0));
    w.Read(Gpa(0));
    r.Thread("vcpu0", [&r, &v] {
      EXPECT_EQ(v.Write(Gpa(1)), Outcome::kDone);
      if (r.m.Stat(VLM_STAT_PAGES_2M)) r.Note("huge");
    });
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, 0), 0); });
    r.Thread("vcpu1", [&w] { EXPECT_EQ(w.Write(Gpa(2)), Outcome::kDone); });
    r.Finally([&r, &v, &w] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      EXPECT_EQ(w.Write(Gpa(1)), Outcome::kDone);
      if (r.m.Stat(VLM_STAT_COLLAPSES)) r.Note("collapsed");
    });
  });
  EXPECT_GT(report.Saw("huge"), 0u);
  EXPECT_GT(report.Saw("collapsed"), 0u);
}

// The same against an invalidation: the leaf that comes must not bring back what goes.
TEST(DirtyRace, HugeLeafAndNotifier) {
  Explore({.preemptions = 2, .at_most = 1500}, [](Race& r) {
    r.Memory(0, kMib2, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, 0), 0); });
    r.Thread("vcpu", [&v] { EXPECT_EQ(v.Write(Gpa(1)), Outcome::kDone); });
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
  });
}

}  // namespace
}  // namespace fakes
