// SPDX-License-Identifier: GPL-2.0-or-later
// The dump of the tables says what a CPU would find there.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "test_layout.h"

namespace fakes {
namespace {

class DumpTest : public MmuTest {
 protected:
  std::vector<vlm_dump_run> Dump() {
    std::vector<vlm_dump_run> runs;
    vlm_dump_cursor cursor{};
    vlm_dump_run run{};
    while (vlm_dump_next(m.mmu(), &cursor, &run)) runs.push_back(run);
    return runs;
  }
  // The runs of the root that the vCPU runs on.
  std::vector<vlm_dump_run> Valid() {
    std::vector<vlm_dump_run> runs;
    for (const vlm_dump_run& run : Dump())
      if (!run.invalid) runs.push_back(run);
    return runs;
  }
  static u32 Attrs(const EptResult& e) {
    return (e.r ? VLM_DUMP_R : 0u) | (e.w ? VLM_DUMP_W : 0u) | (e.x ? VLM_DUMP_X : 0u) |
           (e.accessed ? VLM_DUMP_ACCESSED : 0u) | (e.dirty ? VLM_DUMP_DIRTY : 0u) |
           (e.memory_type == 0 ? VLM_DUMP_DEVICE : 0u);
  }
  // Every frame of [0, end) against the oracle.
  void CheckAgainstOracle(u64 end) {
    u64 gfn = 0;
    for (const vlm_dump_run& run : Valid()) {
      ASSERT_LE(gfn, run.start) << "runs overlap";
      ASSERT_LT(run.start, run.end);
      for (; gfn < run.start && gfn < end; gfn++)
        ASSERT_EQ(EptWalk(v.eptp(), Gpa(gfn)).kind, EptKind::kViolation) << gfn << " is missing";
      bool contiguous = true;
      for (; gfn < run.end && gfn < end; gfn++) {
        const EptResult e = EptWalk(v.eptp(), Gpa(gfn));
        if (run.attrs & VLM_DUMP_MMIO) {
          ASSERT_EQ(e.kind, EptKind::kMisconfig) << gfn;
          continue;
        }
        ASSERT_EQ(e.kind, EptKind::kMapped) << gfn;
        ASSERT_EQ(e.level, run.level) << gfn;
        ASSERT_EQ(Attrs(e), run.attrs) << gfn;
        if (gfn == run.start) {
          ASSERT_EQ(e.pfn, run.pfn);
        }
        contiguous &= e.pfn == run.pfn + (gfn - run.start);
      }
      if (run.end <= end) {
        ASSERT_EQ(contiguous, run.contiguous) << run.start;
      }
    }
    for (; gfn < end; gfn++)
      ASSERT_EQ(EptWalk(v.eptp(), Gpa(gfn)).kind, EptKind::kViolation) << gfn << " is missing";
  }
};

TEST_F(DumpTest, NothingMapped) {
  EXPECT_TRUE(Dump().empty());
  Memory(0, 16, kHva);
  EXPECT_TRUE(Dump().empty());
}

TEST_F(DumpTest, OneRunPerKind) {
  Memory(0, 64, kHva);
  for (u64 gfn = 0; gfn < 32; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  Memory(1024, 512, kHva + 1024, 2, 0, 1);
  ASSERT_EQ(v.Write(Gpa(1030)), Outcome::kDone);
  Memory(2048, 16, kHva + 4096, 1, VLM_MEMSLOT_READONLY, 2);
  ASSERT_EQ(v.Read(Gpa(2050)), Outcome::kDone);
  ASSERT_EQ(v.Read(Gpa(5000)), Outcome::kMmio);

  const auto runs = Valid();
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0].start, 0u);
  EXPECT_EQ(runs[0].end, 32u);
  EXPECT_EQ(runs[0].level, 1);
  EXPECT_EQ(runs[1].start, 1024u);
  EXPECT_EQ(runs[1].end, 1536u);
  EXPECT_EQ(runs[1].level, 2);
  EXPECT_EQ(runs[2].start, 2050u);
  EXPECT_FALSE(runs[2].attrs & VLM_DUMP_W);
  EXPECT_TRUE(runs[3].attrs & VLM_DUMP_MMIO);
  EXPECT_EQ(runs[3].generation, m.mmu()->space[0].active->generation & VLM_MMIO_GEN_MASK);
  CheckAgainstOracle(6000);
}

TEST_F(DumpTest, WhatIsMappedAtRandomIsWhatTheOracleFinds) {
  constexpr u64 kPages = 4096;
  std::mt19937 random(1);
  Memory(0, kPages, kHva);
  Memory(kPages, kPages, kHva + kPages, 2, 0, 1);
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 300; i++) {
      const u64 gpa = Gpa(random() % (2 * kPages + 500));
      const auto done = random() % 2 ? v.Write(gpa) : v.Read(gpa);
      ASSERT_TRUE(done == Outcome::kDone || done == Outcome::kMmio);
    }
    if (round % 5 == 4) m.host().Protect(kHva + random() % kPages, 30);
    if (round % 7 == 6) m.host().Drop(kHva + random() % kPages, 200);
    CheckAgainstOracle(2 * kPages + 1000);
  }
}

// Attributes alone decide: a run may be of frames from anywhere.
TEST_F(DumpTest, ScatteredFramesAreOneRun) {
  m.host().Map(kHva, 1, 1);
  m.host().Map(kHva + 1000, 1, 1);
  ASSERT_EQ(m.SetSlot(0, 0, 1, kHva), 0);
  ASSERT_EQ(m.SetSlot(1, 1, 1, kHva + 1000), 0);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  const u64 first = v.last_pfn();
  const auto runs = Valid();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].end, 2u);
  EXPECT_EQ(runs[0].pfn, first);
  EXPECT_EQ(runs[0].contiguous, EptWalk(v.eptp(), Gpa(1)).pfn == first + 1);
}

TEST_F(DumpTest, DefunctRootsAreShownAsSuch) {
  m.has_reclaimer = true;
  Memory(0, 64, kHva);
  for (u64 gfn = 0; gfn < 64; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  auto runs = Dump();
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_TRUE(runs[0].invalid);
  EXPECT_EQ(runs[0].end, 64u);
  vlm_mmu_reclaim(m.mmu());
  EXPECT_TRUE(Dump().empty());
}

// One call does a bounded amount of work, and a long run goes on in the next.
TEST_F(DumpTest, ALongRunIsCut) {
  constexpr u64 kPages = kGib + 100;
  Memory(0, kPages, kHva);
  ASSERT_TRUE(v.Reload());
  for (u64 gfn = 0; gfn < kPages; gfn++)
    ASSERT_EQ(v.Fault(Gpa(gfn), VLM_ACCESS_WRITE), VLM_FAULT_FIXED);
  const auto runs = Valid();
  ASSERT_EQ(runs.size(), 2u);
  EXPECT_EQ(runs[0].end, u64{VLM_DUMP_STEP});
  EXPECT_EQ(runs[1].start, u64{VLM_DUMP_STEP});
  EXPECT_EQ(runs[1].end, kPages);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
}

// The tables change in every gap: split, zapped, filled again, cut off.
TEST_F(DumpTest, ChangesInTheGapsDoNoHarm) {
  constexpr u64 kPages = 8192;
  std::mt19937 random(2);
  Memory(0, kPages, kHva);
  Memory(kPages, kPages, kHva + kPages, 2, 0, 1);
  for (u64 gfn = 0; gfn < 2 * kPages; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  m.break_mode = FakeMachine::Break::kAlways;
  int gaps = 0, depth = 0;
  m.on_resched = [&] {
    if (depth) return;
    depth++;
    gaps++;
    switch (random() % 4) {
      case 0:
        m.host().Drop(kHva + random() % kPages, 600);
        break;
      case 1:
        m.host().ChangeLevel(kHva + kPages, kPages, random() % 2 ? 1 : 2);
        break;
      case 2:
        m.DeleteSlot(0);
        m.SetSlot(0, 0, kPages, kHva);
        break;
      default:
        for (int i = 0; i < 100; i++) v.Write(Gpa(kPages + random() % kPages));
    }
    depth--;
  };
  for (int round = 0; round < 30; round++) {
    vlm_dump_cursor cursor{};
    vlm_dump_run run{};
    u32 root = 0;
    u64 gfn = 0;
    while (vlm_dump_next(m.mmu(), &cursor, &run)) {
      if (run.root != root) gfn = 0;
      root = run.root;
      ASSERT_LE(gfn, run.start);
      ASSERT_LT(run.start, run.end);
      gfn = run.end;
    }
    m.on_resched();
  }
  m.on_resched = nullptr;
  EXPECT_GT(gaps, 30);
  m.break_mode = FakeMachine::Break::kNever;
  CheckAgainstOracle(2 * kPages);
}

}  // namespace
}  // namespace fakes
