// SPDX-License-Identifier: GPL-2.0-or-later
//
// Splitting a huge page against clearing its dirty bit and against the CPU
// setting it. No write may be lost, no address may become unmapped, and no bit
// of a table pointer may be cleared as if it were a dirty bit.
#include <gtest/gtest.h>

#include "explorer.h"

namespace {

using model::Jump;
using model::Next;
using model::Program;

struct State {
  uint8_t is_table = 0;     // the parent entry points at the new table
  uint8_t leaf_dirty = 0;   // D of the huge leaf
  uint8_t pointer_hit = 0;  // a bit was cleared in a table pointer
  uint8_t filled = 0;       // the new table's entries are there
  uint8_t child_dirty = 0;  // D in the new table
  uint8_t split_saw_dirty = 0;
  uint8_t clear_saw_leaf = 0;
  uint8_t clear_saw_dirty = 0;
  uint8_t writes = 0;    // guest stores
  uint8_t reported = 0;  // stores that harvests reported
  uint8_t hole = 0;      // the CPU walked into an empty table
};

enum class Seed { kNone, kLinkBeforeFill, kPublishPlainStore, kClearWithoutCompare };

Program<State> Splitter(Seed seed) {
  auto fill = [](State& s) {
    s.filled = 1;
    s.child_dirty = s.split_saw_dirty;
  };
  Program<State> p("split");
  p.Label("again");
  p.Set("read_leaf", [](State& s) { s.split_saw_dirty = s.leaf_dirty; });
  if (seed == Seed::kLinkBeforeFill) {
    p.Do("link", [](State& s, int) {
      if (s.leaf_dirty != s.split_saw_dirty) return Jump("again");
      s.is_table = 1;
      return Next();
    });
    p.Set("fill", fill);
    return p;
  }
  p.Set("fill", fill);
  p.Do("link", [seed](State& s, int) {
    if (seed != Seed::kPublishPlainStore && s.leaf_dirty != s.split_saw_dirty) return Jump("again");
    s.is_table = 1;
    return Next();
  });
  return p;
}

// Harvest: clear D where it stands and report what it said.
Program<State> Clearer(Seed seed) {
  Program<State> p("clear");
  p.Label("again");
  p.Do("read", [](State& s, int) {
    s.clear_saw_leaf = !s.is_table;
    s.clear_saw_dirty = s.is_table ? s.child_dirty : s.leaf_dirty;
    return s.clear_saw_dirty ? Next() : Jump("end");
  });
  p.Do("clear", [seed](State& s, int) {
    if (!s.clear_saw_leaf) {
      s.child_dirty = 0;
    } else if (!s.is_table) {
      s.leaf_dirty = 0;
    } else if (seed == Seed::kClearWithoutCompare) {
      s.pointer_hit = 1;
      return Jump("end");
    } else {
      return Jump("again");
    }
    s.reported = s.writes;
    return Next();
  });
  return p;
}

// A guest that stores twice; the CPU sets D in whatever translates the address.
// The TLB is left out: the flush after a harvest is another model's business.
Program<State> Guest() {
  Program<State> p("guest");
  for (int i = 0; i < 2; ++i) {
    p.Set("store", [](State& s) {
      if (s.is_table && !s.filled) s.hole = 1;
      (s.is_table ? s.child_dirty : s.leaf_dirty) = 1;
      ++s.writes;
    });
  }
  return p;
}

const char* Violation(const State& s) {
  if (s.pointer_hit) return "TABLE_POINTER_HIT";
  if (s.hole) return "HOLE";
  return nullptr;
}

const char* AtEnd(const State& s) {
  const bool dirty = s.is_table ? s.child_dirty : s.leaf_dirty;
  return s.reported < s.writes && !dirty ? "LOST_WRITE" : nullptr;
}

model::Verdict Check(Seed seed) {
  return model::Report(
      model::Explore<State>({}, {Splitter(seed), Clearer(seed), Guest()}, Violation, AtEnd));
}

TEST(SplitModel, ProtocolIsClean) {
  const auto verdict = Check(Seed::kNone);
  EXPECT_TRUE(verdict.Clean()) << verdict;
}

TEST(SplitModel, LinkBeforeFillOpensAHole) {
  const auto verdict = Check(Seed::kLinkBeforeFill);
  EXPECT_TRUE(verdict.Has("HOLE")) << verdict;
}

TEST(SplitModel, PublishingWithAPlainStoreLosesAWrite) {
  const auto verdict = Check(Seed::kPublishPlainStore);
  EXPECT_TRUE(verdict.Has("LOST_WRITE")) << verdict;
}

TEST(SplitModel, ClearingWithoutCompareHitsTheTablePointer) {
  const auto verdict = Check(Seed::kClearWithoutCompare);
  EXPECT_TRUE(verdict.Has("TABLE_POINTER_HIT")) << verdict;
}

}  // namespace
