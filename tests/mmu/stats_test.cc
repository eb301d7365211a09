// SPDX-License-Identifier: GPL-2.0-or-later
// What the MMU tells about itself: tables of counters, holds of the lock.
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "test_layout.h"

namespace fakes {
namespace {

class StatsTest : public MmuTest {
 protected:
  std::vector<u64> Holds(vlm_lock_mode mode) {
    std::vector<u64> out;
    for (const atomic64_t& bucket : m.mmu()->stats.hold[mode])
      out.push_back(static_cast<u64>(atomic64_read(&bucket)));
    return out;
  }
  static u64 Sum(const std::vector<u64>& values) {
    return std::accumulate(values.begin(), values.end(), u64{0});
  }
  static size_t Highest(const std::vector<u64>& values) {
    size_t top = 0;
    for (size_t i = 0; i < values.size(); i++)
      if (values[i]) top = i;
    return top;
  }
};

// The table is what user space sees: every word has one name, in the order of the words.
void CheckBlock(const vlm_stat_block& block, size_t words) {
  std::set<std::string> names;
  u32 word = 0;
  for (u32 i = 0; i < block.nr_descs; i++) {
    const vlm_stat_desc& desc = block.descs[i];
    EXPECT_EQ(desc.word, word) << desc.name;
    EXPECT_GT(desc.nr, 0) << desc.name;
    EXPECT_LT(std::string(desc.name).size(), 48u) << desc.name;
    EXPECT_TRUE(names.insert(desc.name).second) << desc.name;
    word += desc.nr;
  }
  EXPECT_EQ(word, words);
  EXPECT_EQ(vlm_stat_block_words(&block), words);
}

TEST_F(StatsTest, EveryWordHasOneName) {
  vlm_stat_block block;
  vlm_mmu_stat_block(&m.mmu()->stats, &block);
  CheckBlock(block, sizeof(vlm_mmu_stats) / sizeof(u64));
  EXPECT_EQ(static_cast<const void*>(block.words), &m.mmu()->stats);
  vlm_pf_stat_block(&v.mv()->stats, &block);
  CheckBlock(block, VLM_NR_PF_STATS);
}

TEST_F(StatsTest, Buckets) {
  EXPECT_EQ(vlm_hist_bucket(0, 16), 0u);
  EXPECT_EQ(vlm_hist_bucket(1, 16), 1u);
  EXPECT_EQ(vlm_hist_bucket(2, 16), 2u);
  EXPECT_EQ(vlm_hist_bucket(3, 16), 2u);
  EXPECT_EQ(vlm_hist_bucket(4, 16), 3u);
  EXPECT_EQ(vlm_hist_bucket(1023, 16), 10u);
  EXPECT_EQ(vlm_hist_bucket(1024, 16), 11u);
  EXPECT_EQ(vlm_hist_bucket((1 << 14) - 1, 16), 14u);
  EXPECT_EQ(vlm_hist_bucket(1 << 14, 16), 15u);
  EXPECT_EQ(vlm_hist_bucket(~u64{0}, 16), 15u);
}

TEST_F(StatsTest, AFaultIsOneShortHoldForRead) {
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Write(Gpa(0)), Outcome::kDone);
  const auto reads = Holds(VLM_LOCK_SHARED), writes = Holds(VLM_LOCK_EXCLUSIVE);
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  EXPECT_EQ(Sum(Holds(VLM_LOCK_SHARED)), Sum(reads) + 1);
  EXPECT_EQ(Holds(VLM_LOCK_EXCLUSIVE), writes);
  EXPECT_LE(Highest(Holds(VLM_LOCK_SHARED)), 4u) << "a walk of four levels";
}

// Nobody waits, so the lock is kept, and yet nobody would have had to wait for long.
TEST_F(StatsTest, AHoldEndsWhereNobodyWaits) {
  constexpr u64 kPages = 16384;
  Memory(0, kPages, kHva);
  for (u64 gfn = 0; gfn < kPages; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  const u64 yields = m.Stat(VLM_STAT_YIELDS), before = Sum(Holds(VLM_LOCK_SHARED));
  m.break_mode = FakeMachine::Break::kNever;
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(m.Stat(VLM_STAT_YIELDS), yields);
  EXPECT_GE(Sum(Holds(VLM_LOCK_SHARED)) - before, kPages / 512);
  EXPECT_LE(m.Stat(VLM_STAT_MAX_HOLD), u64{VLM_HOLD_BUDGET});
  EXPECT_EQ(Highest(Holds(VLM_LOCK_SHARED)), 11u) << "a table and the step before: 1024 to 2047";
}

// Who cannot give way although somebody waits goes on with the same hold.
TEST_F(StatsTest, AHoldThatCannotBreakIsCountedInFull) {
  constexpr u64 kPages = 4096;
  Memory(0, kPages, kHva);
  for (u64 gfn = 0; gfn < kPages; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  vlm_tdp_op op;
  vlm_tdp_begin(&op, m.mmu(), VLM_LOCK_EXCLUSIVE, VLM_NEVER_YIELD);
  m.break_mode = FakeMachine::Break::kAlways;
  SlotsReader reader(&m);
  vlm_tdp_zap_leaves(&op, v.mv()->root, 0, kPages);
  vlm_tdp_end(&op);
  EXPECT_GE(m.Stat(VLM_STAT_MAX_HOLD), kPages);
  EXPECT_GE(Highest(Holds(VLM_LOCK_EXCLUSIVE)), 13u);
}

TEST_F(StatsTest, TheModulesMaximumOutlivesTheMachine) {
  const u64 before = vlm_stat_module_max(VLM_STAT_MAX_HOLD);
  vlm_mmu_stats stats{};
  vlm_stat_max(&stats, VLM_STAT_MAX_HOLD, before + 7);
  EXPECT_EQ(vlm_stat_module_max(VLM_STAT_MAX_HOLD), before + 7);
  vlm_mmu_stats other{};
  vlm_stat_max(&other, VLM_STAT_MAX_HOLD, 1);
  EXPECT_EQ(vlm_stat_read(&other, VLM_STAT_MAX_HOLD), 1u);
  EXPECT_EQ(vlm_stat_module_max(VLM_STAT_MAX_HOLD), before + 7);
}

TEST_F(StatsTest, TablesAndEntriesThatGoAreCounted) {
  Memory(0, 2048, kHva);
  for (u64 gfn = 0; gfn < 2048; gfn++) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  const u64 zapped = m.Stat(VLM_STAT_ZAPPED), tables = m.Stat(VLM_STAT_TABLES_ZAPPED);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  // Four tables of 4-KiB entries, one of each level above but the root.
  EXPECT_EQ(m.Stat(VLM_STAT_TABLES_ZAPPED) - tables, 4u + 2);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAPPED) - zapped, 2048u + 4 + 2);
}

// Who follows the traces knows at any time what is there.
TEST_F(StatsTest, TracesBalance) {
  Memory(0, 4096, kHva);
  for (u64 gfn = 0; gfn < 4096; gfn += 3) ASSERT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  ASSERT_EQ(v.Read(Gpa(100'000)), Outcome::kMmio);
  EXPECT_EQ(m.traced.fault, v.Count(VLM_PF_TAKEN));
  EXPECT_EQ(m.traced.slot_update, 1u);
  EXPECT_EQ(m.traced.page_create - m.traced.page_zap + m.Stat(VLM_STAT_ROOTS) + v.mv()->cache.nr,
            m.Stat(VLM_STAT_TABLES));
  EXPECT_EQ(m.traced.root[VLM_ROOT_CREATED], 1u);
  EXPECT_EQ(m.traced.root[VLM_ROOT_TAKEN], 1u);

  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(m.traced.slot_update, 3u) << "invalid, then gone";
  EXPECT_EQ(m.traced.zap_all_fast, m.Stat(VLM_STAT_ZAP_ALL_FAST));
  EXPECT_EQ(m.traced.page_zap, m.Stat(VLM_STAT_TABLES_ZAPPED));
  EXPECT_EQ(m.traced.page_create, m.traced.page_zap);
  EXPECT_EQ(m.traced.root[VLM_ROOT_INVALIDATED], 1u);
  EXPECT_EQ(m.traced.root[VLM_ROOT_FREED], 0u) << "the vCPU has not reloaded";
  ASSERT_EQ(v.Read(Gpa(7)), Outcome::kMmio);
  EXPECT_EQ(m.traced.root[VLM_ROOT_PUT], 1u);
  EXPECT_EQ(m.traced.root[VLM_ROOT_FREED], 1u);
}

}  // namespace
}  // namespace fakes
