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

// --- logs of the hardware: what is taken from the entry is D, and a CPU logs what it makes dirty
// ---

struct PmlState {
  RwLock lock;
  uint8_t bit = 0;       // the page's, in the log
  uint8_t dirty = 0;     // D of the entry
  uint8_t cached = 0;    // the TLB has the translation with D
  uint8_t logged = 0;    // an entry of the CPU's log
  uint8_t in_guest = 1;  // the mode of the vCPU, as others see it
  uint8_t kicked = 0;    // it is waited for
  uint8_t version = 0;   // of the page: counts writes
  uint8_t copied = 0;    // the version that the reader of the log copied
  uint8_t before = 0;    // the version when the reader began
  uint8_t took = 0;
  uint8_t missed = 0;  // a write from before the call was not reported by it
};

struct PmlOptions {
  bool no_sync = false;            // the reader does not have the vCPU leave the guest first
  bool mode_before_drain = false;  // the vCPU says that it left, then drains
  bool no_flush = false;
};

Program<PmlState> PmlGuest(const PmlOptions& options) {
  Program<PmlState> p("guest");
  const auto drain = [](PmlState& s) {
    s.bit |= s.logged;
    s.logged = 0;
  };
  const auto leave = [](PmlState& s) { s.in_guest = s.kicked = 0; };
  for (int i = 0; i < 3; i++) {
    p.Set("enter", [](PmlState& s) { s.in_guest = 1; });
    p.Set("store", [](PmlState& s) {
      if (!s.cached && !s.dirty) s.dirty = s.logged = 1;
      s.cached = 1;
      s.version++;
    });
    p.Set("exit", options.mode_before_drain ? leave : drain);
    p.Set("done", options.mode_before_drain ? drain : leave);
  }
  return p;
}

Program<PmlState> PmlReader(const PmlOptions& options) {
  Program<PmlState> p("harvest");
  const auto fetch = [](PmlState& s) {
    s.took = s.bit;
    s.bit = 0;
  };
  p.Set("begin", [](PmlState& s) { s.before = s.version; });
  if (!options.no_sync) {
    p.Set("kick", [](PmlState& s) { s.kicked = s.in_guest; });
    p.Do("wait", [](PmlState& s, int) { return s.kicked ? model::Block() : Next(); });
  }
  p.Do("lock", [](PmlState& s, int tid) { return ReadLock(s.lock, tid); });
  p.Set("fetch", fetch);
  p.Set("protect", [](PmlState& s) {
    if (s.took) s.dirty = 0;
  });
  if (!options.no_flush) p.Set("flush", [](PmlState& s) { s.cached = 0; });
  p.Do("unlock", [](PmlState& s, int tid) { return Unlock(s.lock, tid); });
  p.Set("copy", [](PmlState& s) {
    s.missed = !s.took && s.before > s.copied;
    if (s.took) s.copied = s.version;
  });
  return p;
}

const char* PmlViolation(const PmlState& s) { return s.missed ? "MISSED" : nullptr; }

const char* PmlAtEnd(const PmlState& s) {
  return s.version > s.copied && !s.bit && !s.logged ? "LOST" : nullptr;
}

model::Verdict CheckPml(const PmlOptions& options) {
  return model::Explore<PmlState>({}, {PmlGuest(options), PmlReader(options)}, PmlViolation,
                                  PmlAtEnd);
}

TEST(PmlModel, DrainBeforeTheGuestCountsAsLeftIsClean) {
  const auto verdict = CheckPml({});
  EXPECT_TRUE(verdict.Clean()) << verdict;
}

TEST(PmlModel, AHarvestThatDoesNotWaitMissesAWrite) {
  const auto verdict = CheckPml({.no_sync = true});
  EXPECT_TRUE(verdict.Has("MISSED")) << verdict;
}

TEST(PmlModel, DrainAfterTheGuestCountsAsLeftMissesAWrite) {
  const auto verdict = CheckPml({.mode_before_drain = true});
  EXPECT_TRUE(verdict.Has("MISSED")) << verdict;
}

TEST(PmlModel, ClearingDWithoutFlushLosesAWrite) {
  const auto verdict = CheckPml({.no_flush = true});
  EXPECT_TRUE(verdict.Has("LOST")) << verdict;
}

}  // namespace
