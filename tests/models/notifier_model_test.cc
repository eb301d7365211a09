// SPDX-License-Identifier: GPL-2.0-or-later
//
// Host invalidation against a guest page fault: the fault must never install a
// translation to a page that the host has taken back (invariant G1).
#include <gtest/gtest.h>

#include "explorer.h"

namespace {

using model::Block;
using model::Jump;
using model::Next;
using model::Outcome;
using model::Program;

struct State {
  uint8_t host_mapped = 1;  // the host's own page table maps the page
  uint8_t freed = 0;        // the host page went back to the allocator
  uint8_t in_progress = 0;  // running invalidations
  uint8_t seq = 0;          // finished invalidations
  uint8_t spte = 0;         // the guest's translation
  int8_t lock = -1;         // mmu_lock, here a plain mutex
  uint8_t snapshot = 0xff;  // fault: seq before resolving the page
  uint8_t page = 0;         // fault: the page was resolved
};

enum class Seed {
  kNone,
  kSnapshotAfterResolve,
  kCheckBeforeLock,
  kNoCheck,
  kNoSeqTest,
  kNoInProgressTest,
  kSeqAtStart,
};

Outcome Lock(State& s, int tid) {
  if (s.lock != -1) return Block();
  s.lock = static_cast<int8_t>(tid);
  return Next();
}

void Unlock(State& s) { s.lock = -1; }

Program<State> Fault(Seed seed) {
  Program<State> p("fault");
  auto snapshot = [&] { p.Set("snapshot", [](State& s) { s.snapshot = s.seq; }); };
  auto resolve = [&] {
    // A fault that finds no host page would fault one in: a fresh page, not of
    // interest.
    p.Do("resolve", [](State& s, int) {
      if (!s.host_mapped) return Jump("end");
      s.page = 1;
      return Next();
    });
  };
  auto check = [&] {
    p.Do("check", [seed](State& s, int tid) {
      const bool busy = seed != Seed::kNoInProgressTest && s.in_progress > 0;
      const bool moved = seed != Seed::kNoSeqTest && s.seq != s.snapshot;
      if (!busy && !moved) return Next();
      if (s.lock == tid) Unlock(s);
      return Jump("end");
    });
  };
  if (seed == Seed::kSnapshotAfterResolve) {
    resolve();
    snapshot();
  } else {
    snapshot();
    resolve();
  }
  if (seed == Seed::kCheckBeforeLock) check();
  p.Do("lock", Lock);
  if (seed != Seed::kCheckBeforeLock && seed != Seed::kNoCheck) check();
  p.Set("install", [](State& s) { s.spte = 1; });
  p.Set("unlock", Unlock);
  return p;
}

Program<State> Notifier(Seed seed) {
  auto bump = [](State& s) { ++s.seq; };
  Program<State> p("notifier");
  p.Do("lock", Lock);
  if (seed == Seed::kSeqAtStart) p.Set("seq++", bump);
  p.Set("in_progress++", [](State& s) { ++s.in_progress; });
  p.Set("zap", [](State& s) { s.spte = 0; });
  p.Set("unlock", Unlock);
  p.Set("unmap", [](State& s) { s.host_mapped = 0; });
  p.Set("free", [](State& s) { s.freed = 1; });
  p.Do("lock", Lock);
  if (seed != Seed::kSeqAtStart) p.Set("seq++", bump);
  p.Set("in_progress--", [](State& s) { --s.in_progress; });
  p.Set("unlock", Unlock);
  return p;
}

model::Verdict Check(Seed seed) {
  auto stale = [](const State& s) { return s.spte && s.freed ? "STALE" : nullptr; };
  return model::Report(model::Explore<State>({}, {Fault(seed), Notifier(seed)}, stale,
                                             [](const State&) { return nullptr; }));
}

TEST(NotifierModel, ProtocolIsClean) {
  const auto verdict = Check(Seed::kNone);
  EXPECT_TRUE(verdict.Clean()) << verdict;
}

class NotifierMutant : public testing::TestWithParam<Seed> {};

TEST_P(NotifierMutant, InstallsAStaleTranslation) {
  const auto verdict = Check(GetParam());
  EXPECT_TRUE(verdict.Has("STALE")) << verdict;
}

INSTANTIATE_TEST_SUITE_P(All, NotifierMutant,
                         testing::Values(Seed::kSnapshotAfterResolve, Seed::kCheckBeforeLock,
                                         Seed::kNoCheck, Seed::kNoSeqTest, Seed::kNoInProgressTest,
                                         Seed::kSeqAtStart));

}  // namespace
