// SPDX-License-Identifier: GPL-2.0-or-later
// Bags of pointers against a set: contents, counts, memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "kmod_mmu.h"

namespace fakes {
namespace {

class PtrChainTest : public ::testing::Test {
 protected:
  ~PtrChainTest() override {
    vlm_ptr_desc_cache_drain(&cache_);
    EXPECT_EQ(shim_alloc_live(), 0);
  }
  void Add(u64* p) {
    ASSERT_EQ(vlm_ptr_desc_cache_fill(&cache_, 1), 0);
    ASSERT_TRUE(vlm_ptr_chain_add(&chain_, p, &cache_));
  }
  std::multiset<u64*> Contents() {
    std::multiset<u64*> found;
    vlm_ptr_iter iter;
    u64* p;
    vlm_for_each_ptr(p, &chain_, iter) found.insert(p);
    return found;
  }

  std::vector<u64> words_ = std::vector<u64>(200);
  vlm_ptr_desc_cache cache_{};
  vlm_ptr_chain chain_{};
};

TEST_F(PtrChainTest, OnePointerCostsNoDescriptor) {
  EXPECT_EQ(vlm_ptr_chain_count(&chain_), 0u);
  EXPECT_EQ(vlm_ptr_chain_last(&chain_), nullptr);
  ASSERT_TRUE(vlm_ptr_chain_add(&chain_, &words_[0], &cache_));
  EXPECT_EQ(vlm_ptr_chain_count(&chain_), 1u);
  EXPECT_EQ(vlm_ptr_chain_last(&chain_), &words_[0]);
  EXPECT_FALSE(vlm_ptr_chain_add(&chain_, &words_[1], &cache_)) << "the cache is empty";
  EXPECT_FALSE(vlm_ptr_chain_remove(&chain_, &words_[1]));
  EXPECT_TRUE(vlm_ptr_chain_remove(&chain_, &words_[0]));
  EXPECT_EQ(chain_.word, 0u);
}

TEST_F(PtrChainTest, FourteenToADescriptor) {
  for (size_t i = 0; i < 29; i++) Add(&words_[i]);
  EXPECT_EQ(vlm_ptr_chain_count(&chain_), 29u);
  // 14 + 14 + 1, and what waits in the cache.
  EXPECT_EQ(shim_alloc_live(), 3 + cache_.nr);
  while (u64* p = vlm_ptr_chain_last(&chain_)) ASSERT_TRUE(vlm_ptr_chain_remove(&chain_, p));
  EXPECT_EQ(shim_alloc_live(), cache_.nr);
}

// The last pointer moves into the hole: removal from the middle leaves no gap.
TEST_F(PtrChainTest, RemovalSwapsTheLastIn) {
  for (size_t i = 0; i < 20; i++) Add(&words_[i]);
  ASSERT_TRUE(vlm_ptr_chain_remove(&chain_, &words_[3]));
  ASSERT_TRUE(vlm_ptr_chain_remove(&chain_, &words_[19]));
  EXPECT_EQ(vlm_ptr_chain_count(&chain_), 18u);
  EXPECT_EQ(Contents().size(), 18u);
  for (size_t i = 0; i < 19; i++) EXPECT_EQ(vlm_ptr_chain_remove(&chain_, &words_[i]), i != 3);
}

TEST_F(PtrChainTest, RandomAgainstASet) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 rng(seed);
  std::set<u64*> model;
  for (int step = 0; step < 20000; step++) {
    u64* p = &words_[rng() % words_.size()];
    const bool grow = step / 500 % 2 == 0;
    if (rng() % 4 < (grow ? 3 : 1)) {
      if (model.insert(p).second) Add(p);
    } else {
      ASSERT_EQ(vlm_ptr_chain_remove(&chain_, p), model.erase(p) == 1);
    }
    ASSERT_EQ(vlm_ptr_chain_count(&chain_), model.size());
    if (step % 16 == 0) {
      const auto found = Contents();
      ASSERT_TRUE(std::equal(found.begin(), found.end(), model.begin(), model.end()));
    }
  }
  for (u64* p : model) ASSERT_TRUE(vlm_ptr_chain_remove(&chain_, p));
}

}  // namespace
}  // namespace fakes
