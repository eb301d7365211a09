// SPDX-License-Identifier: GPL-2.0-or-later
//
// Fast invalidation against VM entry. The deleter cuts the old root off in one
// write section and waits until no vCPU can run on it; a reclaimer tears the
// tables down later. After the cut-off the host may free the page, and the
// reclaimer may free the tables, without any guest access through either.
#include <gtest/gtest.h>

#include "explorer.h"

namespace {

using model::Block;
using model::Jump;
using model::Next;
using model::Program;

struct State {
  model::RwLock mmu_lock;
  uint8_t old_invalid = 0;   // the old root's flag
  uint8_t on_old = 1;        // the vCPU has the old root loaded
  uint8_t reload = 0;        // VLM_REQ_MMU_RELOAD pending
  uint8_t in_guest = 0;      // vCPU mode as other CPUs see it
  uint8_t in_guest_own = 0;  // vCPU mode as the vCPU wrote it (store buffer of depth one)
  uint8_t running = 0;       // the vCPU executes guest instructions
  uint8_t page_freed = 0;
  uint8_t tables_freed = 0;
  uint8_t rounds = 0;
  uint8_t cut = 0;  // the deleter returned
  uint8_t bad = 0;  // 1 page, 2 tables
};

enum class Seed {
  kNone,
  kCheckBeforeMode,    // the vCPU tests requests, then sets its mode
  kModeStoreBuffered,  // no full barrier between setting the mode and testing
                       // requests
  kNoWait,             // the deleter does not wait for the running vCPU
  kRequestBeforeFlag,  // request raised before the root is invalid, in two
                       // sections
};

Program<State> Vcpu(Seed seed) {
  Program<State> p("vcpu");
  auto set_mode = [&] {
    p.Set("mode=IN_GUEST", [seed](State& s) {
      s.in_guest_own = 1;
      if (seed != Seed::kModeStoreBuffered) s.in_guest = 1;
    });
  };
  auto test_requests = [&] {
    p.Do("test_requests", [](State& s, int) { return s.reload ? Jump("serve") : Next(); });
  };
  p.Label("again");
  if (seed == Seed::kCheckBeforeMode) {
    test_requests();
    set_mode();
  } else {
    set_mode();
    test_requests();
  }
  p.Set("enter", [](State& s) { s.running = 1; });
  p.Set("access", [](State& s) {
    if (!s.on_old) return;
    if (s.page_freed) s.bad = 1;
    if (s.tables_freed) s.bad = 2;
  });
  p.Do("exit", [](State& s, int) {
    s.running = 0;
    s.in_guest = s.in_guest_own = 0;  // an exit drains the store buffer
    return ++s.rounds < 2 ? Jump("again") : Jump("end");
  });
  p.Label("serve");
  p.Set("mode=OUTSIDE", [](State& s) { s.in_guest = s.in_guest_own = 0; });
  p.Set("take_request", [](State& s) { s.reload = 0; });
  p.Do("read_lock", [](State& s, int t) { return model::ReadLock(s.mmu_lock, t); });
  p.Set("load_root", [](State& s) {
    if (s.old_invalid) s.on_old = 0;  // else the old root is still the right one
  });
  p.Do("unlock", [](State& s, int t) { return model::Unlock(s.mmu_lock, t); });
  p.Do("loop", [](State&, int) { return Jump("again"); });
  return p;
}

// The store buffer drains at any time.
Program<State> StoreBuffer() {
  Program<State> p("store_buffer");
  p.Do("drain", [](State& s, int) {
    s.in_guest = s.in_guest_own;
    return Next();
  });
  return p;
}

Program<State> Deleter(Seed seed) {
  Program<State> p("deleter");
  auto lock = [&] {
    p.Do("write_lock", [](State& s, int t) { return model::WriteLock(s.mmu_lock, t); });
  };
  auto unlock = [&] {
    p.Do("unlock", [](State& s, int t) { return model::Unlock(s.mmu_lock, t); });
  };
  if (seed == Seed::kRequestBeforeFlag) {
    p.Set("request", [](State& s) { s.reload = 1; });
    lock();
    p.Set("invalidate", [](State& s) { s.old_invalid = 1; });
    unlock();
  } else {
    lock();
    p.Set("invalidate", [](State& s) { s.old_invalid = 1; });
    p.Set("request", [](State& s) { s.reload = 1; });
    unlock();
  }
  if (seed != Seed::kNoWait) {
    // The IPI makes the vCPU exit; the wait ends once it is seen outside.
    p.Do("wait_outside", [](State& s, int) { return s.in_guest ? Block() : Next(); });
  }
  p.Set("return", [](State& s) { s.cut = 1; });
  p.Set("free_page", [](State& s) { s.page_freed = 1; });
  return p;
}

Program<State> Reclaimer() {
  Program<State> p("reclaimer");
  p.Do("wait_work", [](State& s, int) { return s.cut ? Next() : Block(); });
  p.Set("free_tables", [](State& s) { s.tables_freed = 1; });
  return p;
}

model::Verdict Check(Seed seed) {
  std::vector<Program<State>> threads = {Vcpu(seed), Deleter(seed), Reclaimer()};
  if (seed == Seed::kModeStoreBuffered) threads.push_back(StoreBuffer());
  return model::Report(model::Explore<State>(
      {}, threads,
      [](const State& s) { return s.bad == 0   ? nullptr
                                  : s.bad == 1 ? "PAGE_UAF"
                                               : "TABLE_UAF"; },
      [](const State&) { return nullptr; }));
}

TEST(CutoffModel, ProtocolIsClean) {
  const auto verdict = Check(Seed::kNone);
  EXPECT_TRUE(verdict.Clean()) << verdict;
}

class CutoffMutant : public testing::TestWithParam<Seed> {};

TEST_P(CutoffMutant, LetsTheGuestRunOnTheOldRoot) {
  const auto verdict = Check(GetParam());
  EXPECT_TRUE(verdict.Has("PAGE_UAF") && verdict.Has("TABLE_UAF")) << verdict;
}

INSTANTIATE_TEST_SUITE_P(All, CutoffMutant,
                         testing::Values(Seed::kCheckBeforeMode, Seed::kModeStoreBuffered,
                                         Seed::kNoWait, Seed::kRequestBeforeFlag));

}  // namespace
