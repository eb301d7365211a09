// SPDX-License-Identifier: GPL-2.0-or-later
// Rights that come back without the mmu lock, against those who take them away.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "race.h"

namespace fakes {
namespace {

// A vCPU that writes to a page which a harvest has protected.
void WriteHarvestedPage(Race& r) {
  r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  FakeVcpu& v = r.Vcpu();
  v.Write(Gpa(0));
  r.Harvest();
  r.Thread("vcpu", [&r, &v] {
    EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
    if (v.Count(VLM_PF_FAST)) r.Note("fast");
  });
}

// What the guest wrote after a harvest returned is in a later one, whichever way it got the right.
TEST(FastRace, WriteAndHarvest) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Harvest();
    auto first = std::make_shared<unsigned long>(0);
    auto wrote_after = std::make_shared<bool>(false);
    auto harvested = std::make_shared<std::atomic<bool>>(false);
    r.Thread("vcpu", [&r, &v, wrote_after, harvested] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      if (v.Count(VLM_PF_FAST)) r.Note("fast");
      *wrote_after = *harvested;
      // Again: by the right that the first write got, or by a new one.
      const bool late = *harvested;
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      *wrote_after |= late;
    });
    r.Thread("harvest", [&r, first, harvested] {
      *first = r.Harvest();
      *harvested = true;
    });
    r.Finally([&r, first, wrote_after] {
      const unsigned long second = r.Harvest();
      if (*first & 1) r.Note("first");
      if (second & 1) r.Note("second");
      if (!(*first & 1) && !(second & 1)) shim_violation("DIRTY", "a write is lost");
      if (*wrote_after && !(second & 1)) shim_violation("DIRTY", "a later write is lost");
    });
  });
  EXPECT_GT(report.Saw("fast"), 0u);
  EXPECT_GT(report.Saw("first"), 0u);
  EXPECT_GT(report.Saw("second"), 0u);
}

// The host takes the page while the right to write it comes back.
TEST(FastRace, WriteAndNotifier) {
  const RaceReport report = Explore({}, [](Race& r) {
    WriteHarvestedPage(r);
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
  });
  EXPECT_GT(report.Saw("fast"), 0u);
}

// Everything is cut off meanwhile, and taken apart.
TEST(FastRace, WriteAndCutOff) {
  const RaceReport report = Explore({}, [](Race& r) {
    WriteHarvestedPage(r);
    r.Thread("zapper", [&r] { vlm_zap_all_fast(r.m.mmu()); });
  });
  EXPECT_GT(report.Saw("fast"), 0u);
}

}  // namespace
}  // namespace fakes
