// SPDX-License-Identifier: GPL-2.0-or-later
// Roots: found, cut off, torn down and freed by several threads at once.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "race.h"

namespace fakes {
namespace {

// Two tables that one step of a zapper cannot both take down.
constexpr u64 kFar = 2 * kGib;

void TwoTables(Race& r) {
  r.Memory(0, 4, kHva);
  r.Memory(kFar, 4, kHva + kGib, 1, 0, 1);
  r.Hot({0, kFar});
}

void OneValidRootAtMost(Race& r) {
  int valid = 0;
  vlm_mmu_page* root;
  list_for_each_entry(root, &r.m.mmu()->roots, link) valid += !root->invalid;
  EXPECT_LE(valid, 1) << "two roots with one role";
}

// The notifier meets a root that is torn down, and finds all that is left in it.
TEST(RootRace, ReclaimerAndNotifier) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.has_reclaimer = true;
    TwoTables(r);
    r.JudgeDefunctRoots();
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    v.Write(Gpa(kFar));
    v.Unload();
    vlm_zap_all_fast(r.m.mmu());
    r.Thread("reclaimer", [&r] { vlm_mmu_reclaim(r.m.mmu()); });
    r.Thread("host", [&r] {
      r.m.host().Drop(kHva + kGib, 1);
      if (r.m.Stat(VLM_STAT_ROOTS)) r.Note("before the end");
    });
    r.Finally([&r] { EXPECT_EQ(r.m.Stat(VLM_STAT_ROOTS), 0u); });
  });
  EXPECT_GT(report.Saw("before the end"), 0u);
}

// Two zappers on one root, and a third party that lets go of it.
TEST(RootRace, ReclaimerAndDestruction) {
  const RaceReport report = Explore({.preemptions = 2}, [](Race& r) {
    r.m.has_reclaimer = true;
    TwoTables(r);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    v.Write(Gpa(kFar));
    vlm_zap_all_fast(r.m.mmu());
    r.Thread("reclaimer", [&r] {
      vlm_mmu_reclaim(r.m.mmu());
      if (r.m.Stat(VLM_STAT_RECLAIM_BACKLOG)) r.Note("left to the other");
    });
    r.Thread("destroy", [&r] {
      vlm_mmu_zap_all(r.m.mmu());
      EXPECT_EQ(r.m.CountLeaves(), 0u) << "zap_all returned too early";
    });
    r.Thread("vcpu", [&v] { v.Unload(); });
    r.Finally([&r] {
      EXPECT_EQ(r.m.Stat(VLM_STAT_ROOTS), 0u);
      EXPECT_EQ(r.m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
    });
  });
  EXPECT_GT(report.schedules, 1000u);
}

// The last reference goes while a walker of the list comes by.
TEST(RootRace, LastPutAndWalker) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    vlm_zap_all_fast(r.m.mmu());
    vlm_mmu_reclaim(r.m.mmu());
    r.Thread("vcpu", [&v] { v.Unload(); });
    r.Thread("destroy", [&r] {
      r.Note(r.m.Stat(VLM_STAT_ROOTS) ? "met it" : "came too late");
      vlm_mmu_zap_all(r.m.mmu());
    });
    r.Finally([&r] { EXPECT_EQ(r.m.Stat(VLM_STAT_ROOTS), 0u); });
  });
  EXPECT_GT(report.Saw("met it"), 0u);
  EXPECT_GT(report.Saw("came too late"), 0u);
}

// Two callers that both outrun the reclaimer: each root has one zapper.
TEST(RootRace, TwoReclaimers) {
  Explore({}, [](Race& r) {
    r.m.has_reclaimer = true;
    TwoTables(r);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    v.Write(Gpa(kFar));
    v.Unload();
    vlm_zap_all_fast(r.m.mmu());
    for (const char* name : {"first", "second"})
      r.Thread(name, [&r] { vlm_mmu_reclaim(r.m.mmu()); });
    r.Finally([&r] {
      EXPECT_EQ(r.m.Stat(VLM_STAT_ROOTS), 0u);
      EXPECT_EQ(r.m.CountLeaves(), 0u);
    });
  });
}

// A vCPU looks for a root while all are cut off and another one lets go of the last.
TEST(RootRace, GetAndInvalidateAndPut) {
  const RaceReport report = Explore({.preemptions = 2}, [](Race& r) {
    r.Memory(0, 4, kHva);
    FakeVcpu& owner = r.Vcpu();
    FakeVcpu& finder = r.m.AddVcpu();
    const u64 old = owner.eptp();
    r.Thread("finder", [&r, &finder, old] {
      EXPECT_EQ(finder.Read(Gpa(0)), Outcome::kDone);
      r.Note(finder.eptp() == old ? "old root" : "new root");
      EXPECT_EQ(finder.Read(Gpa(0)), Outcome::kDone);
    });
    r.Thread("zapper", [&r] { vlm_zap_all_fast(r.m.mmu()); });
    r.Thread("owner", [&owner] { owner.Unload(); });
    r.Finally([&r] { OneValidRootAtMost(r); });
  });
  EXPECT_GT(report.Saw("old root"), 0u);
  EXPECT_GT(report.Saw("new root"), 0u);
}

// Two vCPUs that find no root make one.
TEST(RootRace, TwoVcpusMakeOneRoot) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva);
    for (int i = 0; i < 2; i++) {
      FakeVcpu& v = r.m.AddVcpu();
      r.Thread("vcpu" + std::to_string(i), [&v] { EXPECT_TRUE(v.Reload()); });
    }
    r.Finally([&r] { OneValidRootAtMost(r); });
  });
  EXPECT_GT(report.schedules, 300u);
}

// Two cut-offs, one after the other as the slots lock has it, while the tables of the first still
// wait for the reclaimer: each root is given away once.
TEST(RootRace, TwoCutOffs) {
  const RaceReport report = Explore({.preemptions = 2}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.Memory(0, 4, kHva);
    r.Memory(16, 4, kHva + 16, 1, 0, 1);
    r.Memory(32, 4, kHva + 32, 1, 0, 2);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    for (const u32 slot : {1u, 2u})
      r.Thread("ioctl" + std::to_string(slot), [&r, slot] {
        EXPECT_EQ(r.m.DeleteSlot(slot), 0);
        if (r.m.Stat(VLM_STAT_RECLAIM_BACKLOG) > 1) r.Note("two wait");
      });
    r.Thread("vcpu and reclaimer", [&r, &v] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      vlm_mmu_reclaim(r.m.mmu());
    });
    r.Finally([&r, &v] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      vlm_mmu_reclaim(r.m.mmu());
      EXPECT_EQ(r.m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
      EXPECT_EQ(r.m.Stat(VLM_STAT_ROOTS), 1u);
      OneValidRootAtMost(r);
    });
  });
  EXPECT_GT(report.Saw("two wait"), 0u);
}

// The owner's address space ends while a slot update cuts off: both empty the same tables.
TEST(RootRace, CutOffAndRelease) {
  Explore({.preemptions = 2}, [](Race& r) {
    TwoTables(r);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    v.Write(Gpa(kFar));
    v.Unload();
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.DeleteSlot(1), 0); });
    r.Thread("release", [&r] {
      vlm_mmu_zap_all(r.m.mmu());
      EXPECT_EQ(r.m.CountLeaves(), 0u) << "the host is about to free all of it";
    });
    r.Finally([&r] {
      EXPECT_EQ(r.m.Stat(VLM_STAT_ROOTS), 0u);
      EXPECT_EQ(r.m.Stat(VLM_STAT_RECLAIM_BACKLOG), 0u);
    });
  });
}

// Aging walks tables in RCU alone, and keeps none of them from being cut off, emptied and freed.
TEST(RootRace, ReclaimerAndWalkerInRcu) {
  const RaceReport report = Explore({.preemptions = 2}, [](Race& r) {
    r.m.has_reclaimer = true;
    TwoTables(r);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    v.Write(Gpa(kFar));
    v.Unload();
    r.Thread("aging", [&r] {
      SlotsReader reader(&r.m);
      const unsigned long far = (kHva + kGib) << 12;
      r.Note(vlm_notifier_clear_young(r.m.mmu(), far, far + 4096) ? "young" : "gone");
    });
    r.Thread("cut-off", [&r] {
      vlm_zap_all_fast(r.m.mmu());
      vlm_mmu_reclaim(r.m.mmu());
    });
    r.Finally([&r] { EXPECT_EQ(r.m.Stat(VLM_STAT_ROOTS), 0u); });
  });
  EXPECT_GT(report.Saw("young"), 0u);
  EXPECT_GT(report.Saw("gone"), 0u);
}

// The last machine goes, and with it the module, while tables still wait for a reader elsewhere.
TEST(RootRace, DestructionAndGracePeriods) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    auto gone = std::make_shared<bool>(false);
    r.Thread("reader", [&r, gone] {
      rcu_read_lock();
      const bool before = !*gone;
      shim_point(SHIM_STEP, nullptr);
      if (before && !r.m.Stat(VLM_STAT_TABLES)) r.Note("waits for the reader");
      rcu_read_unlock();
    });
    r.Thread("destroy", [&r, &v, gone] {
      v.Unload();
      vlm_page_cache_drain(r.m.mmu(), &v.mv()->cache);
      vlm_mmu_zap_all(r.m.mmu());
      vlm_page_module_exit();
      *gone = true;
      EXPECT_EQ(vlm_page_live(), 0u);
      EXPECT_EQ(vlm_page_module_init(), 0);
    });
  });
  EXPECT_GT(report.Saw("waits for the reader"), 0u);
}

}  // namespace
}  // namespace fakes
