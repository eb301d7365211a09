// SPDX-License-Identifier: GPL-2.0-or-later
// The dirty log against writes that the hardware logs.
#include <gtest/gtest.h>

#include "race.h"

namespace fakes {
namespace {

constexpr MachineOptions kPml = {.pml = true};

// A write that is no exit against a harvest: reported now or later, and now if it was over before.
TEST(PmlRace, HarvestAndWrite) {
  const RaceReport report = Explore({.machine = kPml}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& cold = r.Vcpu();
    v.Read(Gpa(0));
    r.WriteLogged(v, 0);
    r.Thread("harvest", [&r] {
      if (!r.Harvest()) shim_violation("DIRTY", "a write from before is missing");
      r.Note(r.Harvest() ? "found it again" : "found it once");
    });
    r.Thread("vcpus", [&r, &v, &cold] {
      r.WriteLogged(cold, 0);
      r.WriteLogged(v, 0);
      r.WriteLogged(cold, 0);
    });
    r.Finally([&r] { r.CheckNoWriteIsLost(); });
  });
  EXPECT_GT(report.Saw("found it again"), 0u);
  EXPECT_GT(report.Saw("found it once"), 0u);
}

// The vCPU leaves the guest, and drains its log itself, while another thread waits for that.
TEST(PmlRace, HarvestAndExit) {
  Explore({.machine = kPml}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    v.Read(Gpa(0));
    r.WriteLogged(v, 0);
    r.Thread("vcpu", [&r, &v] { r.WriteLogged(v, 1); });
    r.Thread("harvest", [&r] {
      if (!(r.Harvest() & 1)) shim_violation("DIRTY", "a write from before is missing");
    });
    r.Finally([&r] { r.CheckNoWriteIsLost(); });
  });
}

TEST(PmlRace, CopyThenClearAndWrite) {
  const RaceReport report = Explore({.machine = kPml}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& cold = r.Vcpu();
    v.Read(Gpa(0));
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

// The first access is a read, which maps the page clean, or a write, which maps it dirty.
TEST(PmlRace, HarvestAndTwoFirstAccesses) {
  Explore({.preemptions = 2, .machine = kPml}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    FakeVcpu& w = r.Vcpu();
    r.Thread("reader", [&r, &v] {
      EXPECT_EQ(v.Read(Gpa(0)), Outcome::kDone);
      r.WriteLogged(v, 0);
    });
    r.Thread("harvest", [&r] { r.Harvest(); });
    r.Thread("writer", [&r, &w] { r.WriteLogged(w, 0); });
    r.Finally([&r] { r.CheckNoWriteIsLost(); });
  });
}

// The host takes the page back: the entry goes, what was logged through it stays.
TEST(PmlRace, WriteAndNotifier) {
  Explore({.preemptions = 2, .machine = kPml}, [](Race& r) {
    r.Memory(0, 4, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
    FakeVcpu& v = r.Vcpu();
    v.Read(Gpa(0));
    r.WriteLogged(v, 0);
    r.Thread("harvest", [&r] {
      if (!r.Harvest()) shim_violation("DIRTY", "a write from before is missing");
    });
    r.Thread("host", [&r] { r.m.host().Drop(kHva, 1); });
    r.Thread("vcpu", [&r, &v] { r.WriteLogged(v, 0); });
    r.Finally([&r] { r.CheckNoWriteIsLost(); });
  });
}

// Logging starts on a huge page in use.
TEST(PmlRace, SplitAndWrite) {
  Explore({.preemptions = 2, .at_most = 1000, .machine = kPml}, [](Race& r) {
    r.Memory(0, kMib2, kHva, 2);
    FakeVcpu& v = r.Vcpu();
    v.Write(Gpa(0));
    r.Thread("ioctl",
             [&r] { EXPECT_EQ(r.m.SetSlot(0, 0, kMib2, kHva, VLM_MEMSLOT_LOG_DIRTY), 0); });
    r.Thread("vcpu", [&v] { EXPECT_EQ(v.Write(Gpa(0)), Outcome::kDone); });
    r.Finally([&r, &v] {
      r.WriteLogged(v, 0);
      r.CheckNoWriteIsLost();
    });
  });
}

}  // namespace
}  // namespace fakes
