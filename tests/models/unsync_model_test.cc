// SPDX-License-Identifier: GPL-2.0-or-later
//
// An unsync table between two vCPUs: one edits the guest's table and flushes, the other makes
// tables current at the same time. Whoever has flushed must never use what the table said before.
//
// The shadow has one entry, made from one guest entry, under a directory whose mark says that it
// may be stale. Marks are cleared by the walk, before the entry is made anew.
#include <gtest/gtest.h>

#include "explorer.h"

namespace {

using model::Block;
using model::Jump;
using model::Next;
using model::Program;

struct State {
  uint8_t guest = 1;       // what the guest's entry says
  uint8_t shadow = 1;      // what its shadow says
  uint8_t read = 0;        // read by the sync under way
  uint8_t writable = 0;    // the guest can write to its table without an exit
  uint8_t tlb_writes = 0;  // the editor's TLB lets it write
  uint8_t marked = 0;      // the directory knows of an unsync table
  uint8_t syncing = 0;     // marks are cleared that still stand for work
  uint8_t edited = 0;
  uint8_t stale = 0;  // used after a flush, though older than it
  model::RwLock lock;
};

enum class Seed {
  kNone,
  kWritableBeforeMark,   // the entry that lets the guest write comes before the mark
  kNoSyncingCount,       // whoever looks without the lock believes a cleared mark
  kCountDroppedTooSoon,  // syncing ends before the entry is made anew
  kReadBeforeFlush,      // the guest's table is read while a TLB still writes to it
};

// Handles the first write fault, then edits as often as its TLB lets it, flushes and looks.
Program<State> Editor(Seed seed) {
  Program<State> p("edit");
  auto lock = [](State& s, int tid) { return model::WriteLock(s.lock, tid); };
  auto unlock = [](State& s, int tid) { return model::Unlock(s.lock, tid); };
  p.Label("fault");
  p.Do("lock", lock);
  if (seed == Seed::kWritableBeforeMark) {
    p.Set("writable", [](State& s) { s.writable = 1; });
    p.Do("unlock_too_soon", unlock);
    p.Set("fill_tlb", [](State& s) { s.tlb_writes = s.writable; });
  } else {
    p.Set("mark", [](State& s) { s.marked = 1; });
    p.Set("writable", [](State& s) { s.writable = 1; });
    p.Do("unlock", unlock);
    p.Set("fill_tlb", [](State& s) { s.tlb_writes = s.writable; });
  }
  p.Do("store", [](State& s, int) {
    if (!s.tlb_writes) return Jump("fault");
    s.guest = 2;
    s.edited = 1;
    return Next();
  });
  // The flush: current? Without the lock.
  p.Do("look_at_mark", [](State& s, int) { return s.marked ? Jump("sync") : Next(); });
  p.Do("look_at_count", [seed](State& s, int) {
    return seed != Seed::kNoSyncingCount && s.syncing ? Jump("sync") : Jump("use");
  });
  p.Label("sync");
  p.Do("sync_lock", lock);
  p.Set("sync_it", [](State& s) {
    // In one step: the lock is held, and the other thread is outside.
    if (!s.marked) return;
    s.marked = 0;
    s.writable = s.tlb_writes = 0;
    s.shadow = s.guest;
  });
  p.Do("sync_unlock", unlock);
  p.Label("use");
  p.Set("use", [](State& s) { s.stale = s.shadow != 2; });
  if (seed == Seed::kWritableBeforeMark) p.Set("mark", [](State& s) { s.marked = 1; });
  return p;
}

// Makes the table current for a reason of its own, step by step.
Program<State> Syncer(Seed seed) {
  Program<State> p("sync");
  p.Do("lock", [](State& s, int tid) { return model::WriteLock(s.lock, tid); });
  p.Do("any", [](State& s, int) { return s.marked ? Next() : Jump("unlock"); });
  p.Set("count", [](State& s) { s.syncing = 1; });
  p.Set("clear_mark", [](State& s) { s.marked = 0; });
  if (seed == Seed::kCountDroppedTooSoon) p.Set("uncount", [](State& s) { s.syncing = 0; });
  p.Set("protect", [](State& s) { s.writable = 0; });
  if (seed == Seed::kReadBeforeFlush) p.Set("read", [](State& s) { s.read = s.guest; });
  p.Set("flush", [](State& s) { s.tlb_writes = 0; });
  if (seed != Seed::kReadBeforeFlush) p.Set("read", [](State& s) { s.read = s.guest; });
  p.Set("make_anew", [](State& s) { s.shadow = s.read; });
  p.Set("uncount", [](State& s) { s.syncing = 0; });
  p.Label("unlock");
  p.Do("unlock", [](State& s, int tid) { return model::Unlock(s.lock, tid); });
  return p;
}

const char* Violation(const State& s) { return s.stale ? "STALE" : nullptr; }

const char* AtEnd(const State& s) {
  return s.shadow != s.guest && !s.marked ? "LOST_UNSYNC" : nullptr;
}

model::Verdict Check(Seed seed) {
  return model::Explore<State>({}, {Editor(seed), Syncer(seed), Syncer(seed)}, Violation, AtEnd);
}

TEST(UnsyncModel, ProtocolIsClean) {
  const auto verdict = Check(Seed::kNone);
  EXPECT_TRUE(verdict.Clean()) << verdict;
  EXPECT_GT(verdict.terminal, 0u);
}

TEST(UnsyncModel, WritableBeforeMark) {
  const auto verdict = Check(Seed::kWritableBeforeMark);
  EXPECT_TRUE(verdict.Has("STALE")) << verdict;
}

// Marks that the walk clears say "in good hands", not "done": to look at them alone is not enough.
TEST(UnsyncModel, ClearedMarkTakenForWorkDone) {
  const auto verdict = Check(Seed::kNoSyncingCount);
  EXPECT_TRUE(verdict.Has("STALE")) << verdict;
}

TEST(UnsyncModel, CountDroppedTooSoon) {
  const auto verdict = Check(Seed::kCountDroppedTooSoon);
  EXPECT_TRUE(verdict.Has("STALE")) << verdict;
}

TEST(UnsyncModel, ReadBeforeFlush) {
  const auto verdict = Check(Seed::kReadBeforeFlush);
  EXPECT_FALSE(verdict.Clean()) << verdict;
}

}  // namespace
