// SPDX-License-Identifier: GPL-2.0-or-later
// Slots that come and go under faults and invalidations.
#include <gtest/gtest.h>

#include "race.h"

namespace fakes {
namespace {

// A fault on a slot that is being deleted; afterwards there is no memory.
TEST(SlotRace, DeleteAndFault) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    r.Thread("vcpu", [&r, &v] {
      const Outcome out = v.Write(Gpa(0));
      r.Note(out == Outcome::kMmio ? "mmio" : "memory");
      EXPECT_NE(out, Outcome::kStuck);
    });
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.DeleteSlot(0), 0); });
    r.Finally([&v] { EXPECT_EQ(v.Read(Gpa(0)), Outcome::kMmio) << "the slot is gone"; });
  });
  EXPECT_GT(report.Saw("mmio"), 0u);
  EXPECT_GT(report.Saw("memory"), 0u);
}

// The slot goes alone, with the table that is all its own; its neighbour's pages stay where they
// are.
TEST(SlotRace, DeleteAloneAndFault) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.m.slot_zap = VLM_SLOT_ZAP_OWN;
    r.Memory(0, kMib2, kHva);
    r.Memory(kMib2, 4, kHva + kMib2, 1, 0, 1);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(kMib2));
    v.Write(Gpa(0));
    const u64 root = v.eptp();
    r.Thread("vcpu", [&r, &v] {
      r.Note(v.Write(Gpa(1)) == Outcome::kMmio ? "mmio" : "memory");
      v.Write(Gpa(0));
    });
    r.Thread("ioctl", [&r] {
      EXPECT_EQ(r.m.DeleteSlot(0), 0);
      r.m.host().Unmap(kHva, 2);
    });
    r.Finally([&r, &v, root] {
      EXPECT_EQ(v.Read(Gpa(0)), Outcome::kMmio) << "the slot is gone";
      EXPECT_EQ(v.Read(Gpa(1)), Outcome::kMmio);
      const int exits = v.exits();
      EXPECT_EQ(v.Read(Gpa(kMib2)), Outcome::kDone);
      EXPECT_EQ(v.exits(), exits) << "the neighbour was zapped";
      EXPECT_EQ(v.eptp(), root);
      EXPECT_EQ(r.m.Stat(VLM_STAT_RECLAIM_BACKLOG), 1u);
    });
  });
  EXPECT_GT(report.Saw("mmio"), 0u);
  EXPECT_GT(report.Saw("memory"), 0u);
}

// All that is in the slot's table goes on existing for a while, in a root that is no longer used:
// the host may come, and the reclaimer, in any order.
TEST(SlotRace, DeleteAloneAndNotifierAndReclaimer) {
  const RaceReport report = Explore({.preemptions = 2}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.m.slot_zap = VLM_SLOT_ZAP_OWN;
    r.Memory(0, kMib2, kHva);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.DeleteSlot(0), 0); });
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
    r.Thread("reclaimer", [&r] {
      vlm_mmu_reclaim(r.m.mmu());
      if (r.m.Stat(VLM_STAT_ZAP_SLOT) && !r.m.Stat(VLM_STAT_RECLAIM_BACKLOG)) r.Note("emptied");
    });
    r.Finally([&v] { EXPECT_EQ(v.Read(Gpa(0)), Outcome::kMmio); });
  });
  EXPECT_GT(report.Saw("emptied"), 0u);
}

// The frames of a deleted slot go back to the host while the old tables are still torn down.
TEST(SlotRace, DeleteThenHostTakesTheMemory) {
  Explore({.preemptions = 2}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("ioctl", [&r] {
      EXPECT_EQ(r.m.DeleteSlot(0), 0);
      r.m.host().Unmap(kHva, 4);
    });
    r.Thread("vcpu", [&v] { v.Write(Gpa(0)); });
    r.Thread("reclaimer", [&r] { vlm_mmu_reclaim(r.m.mmu()); });
    r.Finally([&v] { EXPECT_EQ(v.Read(Gpa(0)), Outcome::kMmio); });
  });
}

// Memory appears where a vCPU just saw none: the entry that remembers it must not be believed.
TEST(SlotRace, CreateOverCachedMmio) {
  const RaceReport report = Explore({}, [](Race& r) {
    r.m.host().Map(kHva, 4);
    FakeVcpu& v = r.Vcpu();
    r.Thread("vcpu", [&r, &v] {
      r.Note(v.Read(Gpa(0)) == Outcome::kMmio ? "mmio" : "memory");
      v.Read(Gpa(0));
    });
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, 4, kHva), 0); });
    r.Finally([&v] { EXPECT_EQ(v.Read(Gpa(0)), Outcome::kDone) << "a stale mmio entry hit"; });
  });
  EXPECT_GT(report.Saw("mmio"), 0u);
  EXPECT_GT(report.Saw("memory"), 0u);
}

// A slot moves: what was remembered of both places is wrong now.
TEST(SlotRace, MoveAndMmio) {
  Explore({.preemptions = 2}, [](Race& r) {
    r.Memory(0, 4, kHva);
    r.Hot({0, 8});
    FakeVcpu& v = r.Vcpu();
    v.Read(Gpa(8));
    r.Thread("vcpu", [&v] {
      v.Read(Gpa(8));
      v.Write(Gpa(0));
    });
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.SetSlot(0, 8, 4, kHva), 0); });
    r.Finally([&v] {
      EXPECT_EQ(v.Read(Gpa(0)), Outcome::kMmio);
      EXPECT_EQ(v.Read(Gpa(8)), Outcome::kDone);
    });
  });
}

// An invalidation that began before the slot did not see it: the slot must wait until it ended.
TEST(SlotRace, CreateInTheMiddleOfAnInvalidation) {
  const RaceReport report = Explore({.preemptions = 2}, [](Race& r) {
    r.m.host().Map(kHva, 4);
    r.m.host().Drop(kHva, 1);
    vlm_host_page page{};
    r.m.host().Get(kHva << 12, true, &page);  // something to take back
    r.m.host().Put(&page, false);
    FakeVcpu& v = r.Vcpu();
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, 4, kHva), 0); });
    r.Thread("vcpu", [&r, &v] { r.Note(v.Write(Gpa(0)) == Outcome::kDone ? "memory" : "mmio"); });
  });
  EXPECT_GT(report.Saw("memory"), 0u);
  EXPECT_GT(report.Saw("mmio"), 0u);
}

// Begin and end must see the same slots, whatever is published in between.
TEST(SlotRace, DeleteInTheMiddleOfAnInvalidation) {
  Explore({.preemptions = 2}, [](Race& r) {
    r.m.has_reclaimer = true;
    r.Memory(0, 4, kHva);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
    r.Thread("ioctl", [&r] { EXPECT_EQ(r.m.DeleteSlot(0), 0); });
    r.Thread("vcpu", [&v] { v.Write(Gpa(0)); });
    r.Finally([&r] { EXPECT_EQ(r.m.mmu()->notifier.in_progress, 0u); });
  });
}

}  // namespace
}  // namespace fakes
