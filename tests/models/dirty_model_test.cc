// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reading a dirty log against the fault that makes a page writable, both with the mmu lock held for
// read. A write that is not in the copy of the page that the reader of the log takes must be in the
// log afterwards.
#include <gtest/gtest.h>

#include "explorer.h"

namespace {

using model::Block;
using model::Jump;
using model::Next;
using model::Program;
using model::RwLock;

constexpr int kClearers = 2;

struct State {
  RwLock lock;
  uint8_t bit = 1;               // the page's, in the log
  uint8_t writable = 0;          // the entry
  uint8_t cached = 0;            // the TLB has a writable translation
  uint8_t version = 0;           // of the page: counts writes
  uint8_t copied = 0;            // the version that a reader of the log copied
  uint8_t took[kClearers] = {};  // the clearer found the bit set
  // It found a protected page that another clearer had not flushed yet, and nobody has since.
  uint8_t stale[kClearers] = {};
  uint8_t returned[kClearers] = {};  // its caller relies on what was asked for
  uint8_t unseen = 0;                // a write that this caller will never be told of
};

struct Options {
  bool mark_first = false;     // the fault marks the page, then installs the entry
  bool exclusive = false;      // the clearer holds the lock for write
  bool protect_first = false;  // the clearer protects, then fetches the bit
  bool no_flush = false;
  bool flush_only_if_took = false;
  bool second = false;  // two clearers
};

Program<State> Guest(const Options& options) {
  Program<State> p("guest");
  const auto install = [](State& s) { s.writable = 1; };
  const auto mark = [](State& s) { s.bit = 1; };
  for (int i = 0; i < 2; i++) {
    const std::string again = "again" + std::to_string(i), store = "store" + std::to_string(i);
    p.Label(again);
    p.Do("look", [store](State& s, int) {
      if (s.cached) return Jump(store);
      if (!s.writable) return Next();
      s.cached = 1;
      return Jump(store);
    });
    p.Do("lock", [](State& s, int tid) { return ReadLock(s.lock, tid); });
    p.Set("first", options.mark_first ? mark : install);
    if (options.mark_first)
      p.Set("install", install);
    else
      p.Set("mark", mark);
    p.Do("unlock", [again](State& s, int tid) {
      Unlock(s.lock, tid);
      return Jump(again);
    });
    p.Label(store);
    p.Do("store", [again](State& s, int) {
      if (!s.cached) return Jump(again);
      s.version++;
      for (int c = 0; c < kClearers; c++)
        if (s.returned[c] && s.stale[c]) s.unseen = 1;
      return Next();
    });
  }
  return p;
}

Program<State> Clearer(int id, const Options& options) {
  Program<State> p("clear" + std::to_string(id));
  const auto fetch = [id](State& s) {
    s.took[id] = s.bit;
    s.stale[id] = s.cached && !s.writable;
    s.bit = 0;
  };
  p.Do("lock", [options](State& s, int tid) {
    return options.exclusive ? WriteLock(s.lock, tid) : ReadLock(s.lock, tid);
  });
  if (options.protect_first) {
    p.Set("protect", [](State& s) { s.writable = 0; });
    p.Set("fetch", fetch);
  } else {
    p.Set("fetch", fetch);
    p.Set("protect", [id](State& s) {
      if (s.took[id]) s.writable = 0;
    });
  }
  p.Set("flush", [id, options](State& s) {
    if (options.no_flush || (options.flush_only_if_took && !s.took[id])) return;
    s.cached = 0;
    for (auto& stale : s.stale) stale = 0;
  });
  p.Do("unlock", [](State& s, int tid) { return Unlock(s.lock, tid); });
  p.Set("copy", [id](State& s) {
    s.returned[id] = 1;
    if (s.took[id]) s.copied = s.version;
  });
  return p;
}

const char* Violation(const State& s) { return s.unseen ? "UNSEEN" : nullptr; }

const char* AtEnd(const State& s) { return s.version > s.copied && !s.bit ? "LOST" : nullptr; }

model::Verdict Check(const Options& options) {
  std::vector<Program<State>> threads{Guest(options), Clearer(0, options)};
  if (options.second) threads.push_back(Clearer(1, options));
  return model::Explore<State>({}, threads, Violation, AtEnd);
}

TEST(DirtyModel, InstallThenMarkIsCleanUnderTheSharedLock) {
  const auto verdict = Check({});
  EXPECT_TRUE(verdict.Clean()) << verdict;
}

TEST(DirtyModel, TwoClearersAreClean) {
  const auto verdict = Check({.second = true});
  EXPECT_TRUE(verdict.Clean()) << verdict;
}

TEST(DirtyModel, MarkThenInstallNeedsTheExclusiveLock) {
  EXPECT_TRUE(Check({.mark_first = true, .exclusive = true}).Clean());
  const auto verdict = Check({.mark_first = true});
  EXPECT_TRUE(verdict.Has("LOST")) << verdict;
}

TEST(DirtyModel, ProtectingBeforeTheBitIsFetchedLosesAWrite) {
  const auto verdict = Check({.protect_first = true});
  EXPECT_TRUE(verdict.Has("LOST")) << verdict;
}

TEST(DirtyModel, ClearingWithoutFlushLosesAWrite) {
  const auto verdict = Check({.no_flush = true});
  EXPECT_TRUE(verdict.Has("LOST")) << verdict;
}

TEST(DirtyModel, AClearerThatFoundNothingMustFlushToo) {
  const auto verdict = Check({.flush_only_if_took = true, .second = true});
  EXPECT_TRUE(verdict.Has("UNSEEN")) << verdict;
}

}  // namespace
