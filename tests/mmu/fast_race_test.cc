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

constexpr MachineOptions kNoAd = {.ept_ad = false};

// Aging takes all rights away, which is not the same as taking the page: both are repaired at once.
TEST(FastRace, WriteAndAging) {
  const RaceReport report = Explore({.machine = kNoAd}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    r.WriteLogged(v, 0);
    r.Harvest();
    r.Thread("vcpu", [&r, &v] {
      r.WriteLogged(v, 0);
      if (v.Count(VLM_PF_FAST)) r.Note("fast");
      if (v.Count(VLM_PF_FAST) > 1) r.Note("again");
    });
    r.Thread("aging", [&r] {
      SlotsReader reader(&r.m);
      if (vlm_notifier_clear_young(r.m.mmu(), kHva << 12, (kHva + 4) << 12)) r.Note("young");
    });
    r.Finally([&r] {
      r.m.CheckTlbs();
      r.CheckNoWriteIsLost();
    });
  });
  EXPECT_GT(report.Saw("fast"), 0u);
  EXPECT_GT(report.Saw("again"), 0u);
  EXPECT_GT(report.Saw("young"), 0u);
}

// Logging ends: a huge leaf takes the place of the table while one of its pages becomes writable.
TEST(FastRace, WriteAndCollapse) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.Memory(0, kMib2, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    r.WriteLogged(v, 0);
    r.Harvest();
    r.Thread("vcpu", [&r, &v] {
      EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone);
      EXPECT_TRUE(r.m.host().IsDirty(v.last_pfn()));
      r.Note(v.Count(VLM_PF_FAST) ? "fast" : "slow");
    });
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, 0), 0); });
    r.Finally([&r, &v] {
      EXPECT_EQ(r.m.Stat(VLM_STAT_COLLAPSES), 1u);
      EXPECT_EQ(v.Write(Gpa(1)), Outcome::kDone);
      EXPECT_EQ(r.m.Stat(VLM_STAT_PAGES_2M), 1u);
    });
  });
  EXPECT_GT(report.Saw("fast"), 0u);
}

// The slot goes alone: the table in which a right comes back is cut out, and emptied elsewhere.
TEST(FastRace, WriteAndDeleteOfTheSlotAlone) {
  const RaceReport report = Explore({.preemptions = 2}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.m.slot_zap = VLM_SLOT_ZAP_OWN;
    r.Memory(0, kMib2, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    r.WriteLogged(v, 0);
    r.Harvest();
    r.Thread("vcpu", [&r, &v] {
      r.Note(v.Write(Gpa(0)) == Outcome::kMmio ? "mmio" : "memory");
      if (v.Count(VLM_PF_FAST)) r.Note("fast");
    });
    r.Thread("ioctl", [&r] {
      EXPECT_EQ(r.m.DeleteSlot(0), 0);
      r.m.host().Unmap(kHva, 1);
    });
    r.Thread("reclaimer", [&r] { vlm_mmu_reclaim(r.m.mmu()); });
    r.Finally([&v] { EXPECT_EQ(v.Read(Gpa(0)), Outcome::kMmio); });
  });
  EXPECT_GT(report.Saw("fast"), 0u);
  EXPECT_GT(report.Saw("mmio"), 0u);
}

// A table goes by freeze, flush, write, with one vCPU that repairs an aged entry in it and another
// that has no entry there yet.
TEST(FastRace, FreezeAndFaultAndRepair) {
  const RaceReport report = Explore({.preemptions = 2, .machine = kNoAd}, [](Race& r) {
    vlm_mmu_set_nx(r.m.mmu(), VLM_NX_ON);
    r.Memory(0, kMib2, kHva, 2);
    r.Hot({0, 1});
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& w = r.Vcpu();
    EXPECT_EQ(v.Exec(Gpa(0)), Outcome::kDone);
    {
      SlotsReader reader(&r.m);
      EXPECT_TRUE(vlm_notifier_clear_young(r.m.mmu(), kHva << 12, (kHva + 1) << 12));
    }
    r.Thread("recovery", [&r] {
      SlotsReader reader(&r.m);
      vlm_mmu_recover_nx(r.m.mmu(), 1, VLM_NX_BY_FAULT);
    });
    r.Thread("fault", [&r, &w] {
      EXPECT_EQ(w.Read(Gpa(1)), Outcome::kDone);
      r.Note(r.m.Stat(VLM_STAT_PAGES_2M) ? "huge" : "small");
    });
    r.Thread("repair", [&r, &v] {
      EXPECT_EQ(v.Read(Gpa(0)), Outcome::kDone);
      if (v.Count(VLM_PF_FAST)) r.Note("fast");
    });
    r.Finally([&v, &w] { EXPECT_EQ(v.last_pfn() + 1, w.last_pfn()); });
  });
  EXPECT_GT(report.Saw("huge"), 0u);
  EXPECT_GT(report.Saw("small"), 0u);
  EXPECT_GT(report.Saw("fast"), 0u);
}

}  // namespace
}  // namespace fakes
