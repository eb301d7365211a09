// SPDX-License-Identifier: GPL-2.0-or-later
// Unsync tables: marks, the walk with a vector of fixed size, and that nobody gets lost.
#include <random>

#include "shadow_layout.h"

namespace fakes {
namespace {

// A graph of shadow tables without a guest behind it.
class UnsyncGraphTest : public ::testing::Test {
 protected:
  ~UnsyncGraphTest() override { vlm_shadow_cache_drain(s.mmu(), &cache_); }

  vlm_shadow_page* Page(int level) {
    EXPECT_EQ(vlm_shadow_cache_fill(s.mmu(), &cache_), 0);
    vlm_shadow_role role{};
    role.level = static_cast<u32>(level) & 15;
    role.access = VLM_GACC_ALL;
    role.mode = VLM_SHADOW_5LEVEL;
    write_lock(&s.mmu()->lock);
    vlm_shadow_page* sp = vlm_shadow_create(s.sh(), next_gfn_++, role, &cache_);
    write_unlock(&s.mmu()->lock);
    pages_.push_back(sp);
    return sp;
  }
  void Link(vlm_shadow_page* parent, unsigned index, vlm_shadow_page* child) {
    ASSERT_EQ(vlm_shadow_cache_fill(s.mmu(), &cache_), 0);
    write_lock(&s.mmu()->lock);
    vlm_flush flush;
    vlm_flush_init(&flush);
    EXPECT_TRUE(vlm_shadow_link(s.sh(), parent, index, child, &cache_.descs, &flush));
    vlm_flush_commit(s.mmu(), &flush);
    write_unlock(&s.mmu()->lock);
  }
  // The link goes, the bit that led there stays: stale.
  void Unlink(vlm_shadow_page* parent, unsigned index) {
    write_lock(&s.mmu()->lock);
    vlm_flush flush;
    vlm_flush_init(&flush);
    vlm_shadow_drop(s.sh(), parent, index, &flush);
    vlm_flush_commit(s.mmu(), &flush);
    write_unlock(&s.mmu()->lock);
  }
  bool TryUnsync(vlm_shadow_page* sp, vlm_unsync_policy policy = VLM_UNSYNC_ALLOWED) {
    write_lock(&s.mmu()->lock);
    const bool ok = vlm_shadow_try_unsync(s.sh(), sp->page.gfn, policy);
    write_unlock(&s.mmu()->lock);
    return ok;
  }
  // U1 and U2, but for what `handled` holds: the caller took it over.
  ::testing::AssertionResult MarksHold(const std::set<vlm_shadow_page*>& handled = {}) {
    for (vlm_shadow_page* sp : pages_) {
      u32 bits = 0;
      for (unsigned i = 0; i < 512; i++) {
        const bool bit = test_bit(i, sp->unsync_bits);
        bits += bit;
        vlm_shadow_page* child = vlm_shadow_child(sp, i);
        if (!child || bit) continue;
        if (child->unsync && !handled.contains(child))
          return ::testing::AssertionFailure() << "an unsync table is lost";
        if (child->unsync_children)
          return ::testing::AssertionFailure() << "a subtree with unsync tables is lost";
      }
      if (bits != sp->unsync_children)
        return ::testing::AssertionFailure() << "the counter of unsync children is off";
    }
    return ::testing::AssertionSuccess();
  }

  ShadowMachine s;
  vlm_shadow_cache cache_{};
  std::vector<vlm_shadow_page*> pages_;
  u64 next_gfn_ = 0x100;
};

TEST_F(UnsyncGraphTest, MarksClimbToAllRoots) {
  auto *root = Page(3), *other = Page(3), *dir = Page(2), *leaf = Page(1);
  Link(root, 5, dir);
  Link(other, 6, dir);
  Link(dir, 7, leaf);
  ASSERT_TRUE(TryUnsync(leaf));
  EXPECT_TRUE(leaf->unsync);
  EXPECT_TRUE(test_bit(7, dir->unsync_bits));
  EXPECT_TRUE(test_bit(5, root->unsync_bits));
  EXPECT_TRUE(test_bit(6, other->unsync_bits));
  EXPECT_TRUE(MarksHold());
}

TEST_F(UnsyncGraphTest, TableThatIsUnsyncMarksWhoLinksIt) {
  auto *root = Page(3), *dir = Page(2), *leaf = Page(1);
  ASSERT_TRUE(TryUnsync(leaf));
  Link(dir, 7, leaf);
  Link(root, 5, dir);
  EXPECT_EQ(root->unsync_children, 1u);
}

TEST_F(UnsyncGraphTest, TablesAboveLevelOneAreNeverUnsync) {
  auto* dir = Page(2);
  EXPECT_FALSE(TryUnsync(dir));
  EXPECT_FALSE(dir->unsync);
}

TEST_F(UnsyncGraphTest, WhoSyncsMakesNothingUnsync) {
  auto* leaf = Page(1);
  EXPECT_FALSE(TryUnsync(leaf, VLM_UNSYNC_REFUSED));
  EXPECT_FALSE(leaf->unsync);
  ASSERT_TRUE(TryUnsync(leaf));
  EXPECT_TRUE(TryUnsync(leaf, VLM_UNSYNC_REFUSED)) << "it is already";
}

// More tables than the vector holds: full is asked before adding, and nothing is forgotten.
TEST_F(UnsyncGraphTest, FullVectorLosesNobody) {
  auto *root = Page(3), *dir = Page(2);
  Link(root, 0, dir);
  std::set<vlm_shadow_page*> left;
  for (unsigned i = 0; i < 20; i++) {
    auto* leaf = Page(1);
    Link(dir, i, leaf);
    ASSERT_TRUE(TryUnsync(leaf));
    left.insert(leaf);
  }
  write_lock(&s.mmu()->lock);
  for (int passes = 1;; passes++) {
    vlm_unsync_vec vec{};
    vec.max = VLM_UNSYNC_VEC_MAX;
    const bool all = vlm_shadow_unsync_walk(root, &vec);
    EXPECT_TRUE(MarksHold({vec.pages, vec.pages + vec.nr}));
    for (u32 i = 0; i < vec.nr; i++) {
      EXPECT_EQ(left.erase(vec.pages[i]), 1u);
      vec.pages[i]->unsync = false;
    }
    ASSERT_LE(passes, 2);
    if (all) break;
    EXPECT_EQ(vec.nr, u32{VLM_UNSYNC_VEC_MAX});
  }
  write_unlock(&s.mmu()->lock);
  EXPECT_TRUE(left.empty());
}

// Random graphs of 2 to 5 levels, vectors of 5 to 16, stale bits: as the model, on the code itself.
TEST_F(UnsyncGraphTest, RandomGraphs) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 rng(seed);
  for (int round = 0; round < 400; round++) {
    pages_.clear();
    const int levels = 2 + static_cast<int>(rng() % 4);
    const size_t width = std::array<size_t, 3>{3, 6, 12}[rng() % 3];
    const unsigned fan = std::array<unsigned, 3>{2, 4, 8}[rng() % 3];
    const u32 max = 5 + static_cast<u32>(rng() % 12);
    std::vector<std::vector<vlm_shadow_page*>> rows;
    for (int level = levels; level > 0; level--) {
      rows.emplace_back();
      for (size_t n = level == levels ? 1 : 1 + rng() % width; n; n--)
        rows.back().push_back(Page(level));
    }
    auto link_some = [&](unsigned percent) {
      for (size_t r = 0; r + 1 < rows.size(); r++)
        for (auto* parent : rows[r])
          for (unsigned i = 0; i < fan; i++)
            if (rng() % 100 < percent && !vlm_shadow_child(parent, i))
              Link(parent, i, rows[r + 1][rng() % rows[r + 1].size()]);
    };
    // Some links before the marks, some after.
    link_some(40);
    for (auto* leaf : rows.back())
      if (rng() % 10 < 7) {
        ASSERT_TRUE(TryUnsync(leaf));
      }
    link_some(40);
    for (auto* sp : pages_)
      for (unsigned i = 0; i < fan; i++)
        if (rng() % 10 == 0) Unlink(sp, i);
    ASSERT_TRUE(MarksHold()) << "round " << round;

    vlm_shadow_page* root = rows[0][0];
    write_lock(&s.mmu()->lock);
    for (size_t passes = 0;; passes++) {
      vlm_unsync_vec vec{};
      vec.max = max;
      const bool all = vlm_shadow_unsync_walk(root, &vec);
      ASSERT_TRUE(MarksHold({vec.pages, vec.pages + vec.nr})) << "round " << round;
      std::set<vlm_shadow_page*> distinct(vec.pages, vec.pages + vec.nr);
      ASSERT_EQ(distinct.size(), vec.nr);
      for (auto* sp : distinct) {
        ASSERT_TRUE(sp->unsync);
        sp->unsync = false;
      }
      ASSERT_TRUE(MarksHold()) << "round " << round;
      if (all) break;
      ASSERT_EQ(vec.nr, max) << "no progress";
      ASSERT_LE(passes, width / max + 1);
    }
    // Nothing that can be reached from the root is unsync.
    std::set<vlm_shadow_page*> seen{root};
    std::vector<vlm_shadow_page*> todo{root};
    while (!todo.empty()) {
      auto* sp = todo.back();
      todo.pop_back();
      ASSERT_FALSE(sp->unsync || sp->unsync_children) << "round " << round;
      for (unsigned i = 0; i < fan; i++)
        if (auto* child = vlm_shadow_child(sp, i); child && seen.insert(child).second)
          todo.push_back(child);
    }
    write_unlock(&s.mmu()->lock);
    vlm_zap_all_fast(s.mmu());
    ASSERT_EQ(s.sh()->nr_pages, 0u);
    s.m().Settle();
  }
}

// --- with a guest ---

constexpr u64 kGva = 0x40201000;

class UnsyncTest : public ShadowTest {
 protected:
  // `n` last-level tables below one directory, each with one page, all written by the guest.
  void ManyUnsync(u64 n, ShadowVcpu& by) {
    for (u64 i = 0; i < n; i++) Map(kGva + (i << 21), 0x9000 | kGAll);
    for (u64 i = 0; i < n; i++) ASSERT_EQ(v.Access(kGva + (i << 21), kR).gfn, 9u);
    for (u64 i = 0; i < n; i++) Edit(by, EntryOf(kGva + (i << 21), 1), 0xa000 | kGAll | kGA);
    for (u64 i = 0; i < n; i++) ASSERT_TRUE(Find(EntryOf(kGva + (i << 21), 1) >> 12, 1)->unsync);
  }
};

// Each of the guest's ways to flush, with the edit made by the other vCPU.
TEST_F(UnsyncTest, FlushOfEverything) {
  ManyUnsync(3, w);
  v.FlushAll();
  for (u64 i = 0; i < 3; i++) EXPECT_EQ(v.Access(kGva + (i << 21), kR).gfn, 10u);
  s.Check();
}

TEST_F(UnsyncTest, LoadOfCr3) {
  ManyUnsync(3, w);
  v.Load(v.paging());
  for (u64 i = 0; i < 3; i++) EXPECT_EQ(v.Access(kGva + (i << 21), kR).gfn, 10u);
}

TEST_F(UnsyncTest, FlushOfOnePage) {
  ManyUnsync(3, w);
  v.Invlpg(kGva + (1 << 21));
  EXPECT_EQ(v.Access(kGva + (1 << 21), kR).gfn, 10u);
  EXPECT_TRUE(Find(EntryOf(kGva + (1 << 21), 1) >> 12, 1)->unsync) << "one entry, not the table";
}

TEST_F(UnsyncTest, RightsThatGoAreGoneAfterTheFlush) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kW | kUser).kind, K::kHit);
  Edit(w, EntryOf(kGva, 1), 0x9000 | kGP | kGU | kGA | kGD);
  v.FlushAll();
  EXPECT_EQ(v.Access(kGva, kW | kUser).pfec, 7u);
  EXPECT_EQ(v.Access(kGva, kR | kUser).kind, K::kHit);
  Edit(w, EntryOf(kGva, 1), 0x9000 | kGP | kGA);
  v.FlushAll();
  EXPECT_EQ(v.Access(kGva, kR | kUser).pfec, 5u);
  Edit(w, EntryOf(kGva, 1), 0);
  v.Invlpg(kGva);
  EXPECT_EQ(v.Access(kGva, kR).pfec, 0u);
}

// A cleared accessed flag must be set again by the next access.
TEST_F(UnsyncTest, AgeingByTheGuestIsSeen) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kW).kind, K::kHit);
  Edit(w, EntryOf(kGva, 1), 0x9000 | kGAll);
  v.FlushAll();
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  EXPECT_EQ(s.Peek(EntryOf(kGva, 1)) & (kGA | kGD), kGA);
  ASSERT_EQ(v.Access(kGva, kW).kind, K::kHit);
  EXPECT_EQ(s.Peek(EntryOf(kGva, 1)) & (kGA | kGD), kGA | kGD);
}

// More than one vector's worth under one directory.
TEST_F(UnsyncTest, MoreTablesThanTheVectorHolds) {
  ManyUnsync(50, v);
  s.m().break_mode = FakeMachine::Break::kAlways;
  v.FlushAll();
  EXPECT_EQ(s.sh()->stats.synced, 50u);
  for (u64 i = 0; i < 50; i++) EXPECT_EQ(v.Access(kGva + (i << 21), kR).gfn, 10u);
  s.Check();
}

// A fault may not yield: it makes one vector's worth current per attempt, and gets there.
TEST_F(UnsyncTest, FaultThatMayNotYieldMakesProgress) {
  ManyUnsync(50, v);
  s.m().break_mode = FakeMachine::Break::kAlways;
  // Drop the directory from all tables above, then come back through it.
  const u64 pd = EntryOf(kGva, 2) >> 12;
  ASSERT_EQ(Find(pd, 2)->unsync_children, 50u);
  Edit(v, EntryOf(kGva, 3), pd << 12 | kGAll);
  EXPECT_EQ(v.Access(kGva, kR).gfn, 10u);
  EXPECT_EQ(s.sh()->stats.synced, 50u);
  s.Check();
}

// A table that no root reaches is made current when it is linked again, flushed or not.
TEST_F(UnsyncTest, TableIsCurrentBeforeItIsLinkedAgain) {
  Map(kGva, 0x9000 | kGAll);
  Map(kGva + 0x1000, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).gfn, 9u);
  ASSERT_EQ(v.Access(kGva + 0x1000, kR).gfn, 9u);
  const u64 pde = EntryOf(kGva, 2), old = s.Peek(pde);
  Edit(v, EntryOf(kGva + 0x1000, 1), 0xa000 | kGAll | kGA);
  Edit(v, pde, 0);
  v.FlushAll();
  Edit(v, pde, old);
  // The first access links the table, the other one finds what stands there.
  EXPECT_EQ(v.Access(kGva, kR).gfn, 9u);
  EXPECT_EQ(v.Access(kGva + 0x1000, kR).gfn, 10u);
}

// Nothing changed, and yet the other vCPU must not go on writing through its TLB.
TEST_F(UnsyncTest, ProtectionIsFlushedThoughNothingChanged) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).gfn, 9u);
  const u64 entry = EntryOf(kGva, 1);
  ASSERT_EQ(Edit(w, entry + 8 * 50, 0).kind, K::kHit);
  v.FlushAll();
  EXPECT_FALSE(Find(entry >> 12, 1)->unsync);
  const int exits = w.exits();
  ASSERT_EQ(Edit(w, entry, 0xa000 | kGAll | kGA).kind, K::kHit);
  EXPECT_EQ(w.exits(), exits + 1) << "the write must be seen, to mark the table again";
  EXPECT_TRUE(Find(entry >> 12, 1)->unsync);
}

// Another vCPU flushes while the first is between clearing marks and making tables current.
TEST_F(UnsyncTest, FlushInTheMiddleOfASyncOfAnother) {
  ManyUnsync(40, v);
  s.m().break_mode = FakeMachine::Break::kAlways;
  int nested = 0;
  s.m().on_resched = [&] {
    if (nested++) return;
    w.FlushAll();
    for (u64 i = 0; i < 40; i++) EXPECT_EQ(w.Access(kGva + (i << 21), kR).gfn, 10u);
  };
  v.FlushAll();
  s.m().on_resched = nullptr;
  EXPECT_GT(nested, 0);
}

}  // namespace
}  // namespace fakes
