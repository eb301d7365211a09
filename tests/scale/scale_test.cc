// SPDX-License-Identifier: GPL-2.0-or-later
// The simulation of scale_sim in small, under sanitizers, and what must hold at every size.
#include <gtest/gtest.h>

#include "scale.h"

namespace scale {
namespace {

const Cost& Find(const Life& life, const std::string& what) {
  for (const Cost& c : life.costs)
    if (c.what == what) return c;
  ADD_FAILURE() << "no " << what;
  return life.costs.front();
}

TEST(ScaleTest, CutOffIsFlatAndNoHoldExceedsTheBudget) {
  u64 last_reclaim = 0;
  for (u64 gib : {1, 4, 16}) {
    // LiveThrough() itself judges the holds.
    const Life life = LiveThrough({64 * gib * kGib, gib * kGib, 16});
    for (const char* what : {"invalidate all", "delete a slot"}) {
      EXPECT_EQ(Find(life, what).holds.visited, 0u) << "at " << gib;
      EXPECT_LE(Find(life, what).holds.count, 4u) << "at " << gib;
    }
    const u64 reclaim = Find(life, "invalidate all: reclaim").holds.visited;
    EXPECT_GT(reclaim, 2 * last_reclaim) << "the work is in the background, not gone";
    last_reclaim = reclaim;
  }
}

TEST(ScaleTest, TableBytesPerGib) {
  const Life life = LiveThrough({4 * kGib, 4 * kGib, 4});
  EXPECT_EQ(life.dense_tables * 4096, 4 * u64{2'101'248});
  EXPECT_LE(sizeof(vlm_mmu_page), 64u);
}

}  // namespace
}  // namespace scale
