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
    r.Memory(16, 4, kHva + 16, 1, 0, 1);
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

}  // namespace
}  // namespace fakes
