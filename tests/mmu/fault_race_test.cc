// SPDX-License-Identifier: GPL-2.0-or-later
// Faults against everything that takes translations away.
#include <gtest/gtest.h>

#include "race.h"

namespace fakes {
namespace {

// The page goes while it is being mapped; it may be mapped again, but never the old frame.
TEST(FaultRace, NotifierBeginAndEnd) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    r.Thread("vcpu", [&r, &v] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      if (r.m.Stat(VLM_PF_RETRIED)) r.Note("retried");
      EXPECT_EQ(v.Read(Gpa(0)), Outcome::kDone);
      if (r.m.Stat(VLM_STAT_ZAPPED)) r.Note("zapped");
    });
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
  });
  EXPECT_GT(report.Saw("retried"), 0u);
  EXPECT_GT(report.Saw("zapped"), 0u);
}

// Two vCPUs find the same tables missing.
TEST(FaultRace, SameFrameAndTables) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva);
    for (int i = 0; i < 2; i++) {
      FakeVcpu& v = r.Vcpu();
      r.Thread("vcpu" + std::to_string(i), [&v] { EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone); });
    }
    r.Finally([&r] {
      EXPECT_EQ(r.m.vcpu(0).last_pfn(), r.m.vcpu(1).last_pfn());
      EXPECT_EQ(r.m.Stat(VLM_STAT_PAGES_4K), 1u);
      if (r.m.Stat(VLM_PF_RETRIED)) r.Note("lost the exchange");
      if (r.m.Stat(VLM_PF_SPURIOUS)) r.Note("spurious");
    });
  });
  EXPECT_GT(report.Saw("lost the exchange"), 0u);
  EXPECT_GT(report.Saw("spurious"), 0u);
}

// Everything is cut off under a fault; it starts again on a new root.
TEST(FaultRace, CutOffAndReload) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    r.Thread("vcpu", [&r, &v] {
      const u64 before = v.eptp();
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      if (v.eptp() != before) r.Note("reloaded");
      EXPECT_EQ(v.Read(Gpa(0)), Outcome::kDone);
    });
    r.Thread("zapper", [&r] { vlm_zap_all_fast(r.m.mmu()); });
  });
  EXPECT_GT(report.Saw("reloaded"), 0u);
}

// The same with the teardown in the middle of it: the vCPU frees the last reference, or the zapper.
TEST(FaultRace, CutOffAndTeardown) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("vcpu", [&r, &v] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      EXPECT_EQ(v.Write(Gpa(1)), Outcome::kDone);
      r.Note(r.m.Stat(VLM_STAT_ROOTS) == 1 ? "one root" : "two roots");
    });
    r.Thread("zapper", [&r] { vlm_zap_all_fast(r.m.mmu()); });
  });
  EXPECT_GT(report.Saw("one root"), 0u);
  EXPECT_GT(report.Saw("two roots"), 0u);
}

constexpr MachineOptions kNoAd = {.ept_ad = false};

// Aging takes rights away where the CPU has no accessed flags; the host takes the page.
TEST(FaultRace, AgingAndNotifier) {
  const RaceReport report = Explore({.preemptions = 2, .machine = kNoAd}, [](Race& r) {
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("vcpu", [&v] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      EXPECT_EQ(v.Read(Gpa(0)), Outcome::kDone);
    });
    r.Thread("aging", [&r] {
      SlotsReader reader(&r.m);
      if (vlm_notifier_clear_young(r.m.mmu(), kHva << 12, (kHva + 4) << 12)) r.Note("young");
    });
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
    r.Finally([&r] {
      SlotsReader reader(&r.m);
      r.Note(vlm_notifier_test_young(r.m.mmu(), kHva << 12, (kHva + 4) << 12) ? "used since"
                                                                              : "aged");
    });
  });
  EXPECT_GT(report.Saw("young"), 0u);
  EXPECT_GT(report.Saw("used since"), 0u);
}

// With accessed flags, which the CPU sets in the middle of it; and with the first write to the
// page, whose right must not be lost again.
TEST(FaultRace, AgingAndAccess) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    r.Vcpu().Read(Gpa(0));
    r.Thread("vcpu", [&r, &v] { r.WriteLogged(v, 0); });
    r.Thread("aging", [&r] {
      SlotsReader reader(&r.m);
      const unsigned long start = kHva << 12, end = (kHva + 4) << 12;
      if (vlm_notifier_clear_young(r.m.mmu(), start, end)) r.Note("young");
      if (vlm_notifier_test_young(r.m.mmu(), start, end)) r.Note("used since");
    });
    r.Finally([&r, &v] {
      r.m.CheckTlbs();
      EXPECT_TRUE(EptWalk(v.eptp(), Gpa(0)).w);
      r.CheckNoWriteIsLost();
      r.m.host().Drop(kHva, 1);
      EXPECT_EQ(r.m.vcpu(1).Write(Gpa(0)), Outcome::kDone);
    });
  });
  EXPECT_GT(report.Saw("young"), 0u);
  EXPECT_GT(report.Saw("used since"), 0u);
}

}  // namespace
}  // namespace fakes
