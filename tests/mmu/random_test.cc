// SPDX-License-Identifier: GPL-2.0-or-later
// A short run of random operations. VELLUM_SEED repeats a run, VELLUM_OPS makes it longer;
// mmu_soak runs for as long as one likes.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "random_run.h"

namespace fakes {
namespace {

u64 FromEnv(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

// The parameter is bits 0 and 3 of the seed.
class RandomTest : public ::testing::TestWithParam<u64> {};

TEST_P(RandomTest, ManyOperations) {
  const u64 seed = FromEnv("VELLUM_SEED", std::random_device{}()) & ~u64{9};
  const u64 operations = FromEnv("VELLUM_OPS", 100000);
  const RandomCounts counts = RunRandomMachine(
      seed | GetParam(), operations, "mmu_tests --gtest_filter='*RandomTest*' with VELLUM_SEED=");
  EXPECT_GE(counts.Total(), operations);
  EXPECT_GT(counts.exits, operations / 8) << "most accesses must reach the MMU";
  EXPECT_GT(counts.stats[VLM_STAT_YIELDS], 0u);
  EXPECT_GT(counts.stats[VLM_STAT_ZAP_SLOT], 0u);
  EXPECT_GT(counts.failed_allocations, 0u);
}

INSTANTIATE_TEST_SUITE_P(Formats, RandomTest, ::testing::Values(0, 1, 9), [](const auto& format) {
  return format.param == 9 ? "WithPml" : format.param ? "WithAd" : "WithoutAd";
});

}  // namespace
}  // namespace fakes
