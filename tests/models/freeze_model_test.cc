// SPDX-License-Identifier: GPL-2.0-or-later
//
// Zap with a replacement under the read lock: freeze the entry, flush, publish
// the non-present value. A racing fault must not install a new page while any
// TLB still holds the old one (invariant G3), and a lockless repair must not
// resurrect it.
#include <gtest/gtest.h>

#include "explorer.h"

namespace {

using model::Jump;
using model::Next;
using model::Program;

enum Entry : uint8_t { kNone, kFrozen, kOldReadOnly, kOldWritable, kNew };

struct State {
  uint8_t entry = kOldReadOnly;
  uint8_t tlb_old = 1;  // another CPU's TLB holds the old page
  uint8_t fault_saw = 0;
  uint8_t fast_saw = 0;
  uint8_t zapped = 0;  // the zapper finished: the old page may be freed
  uint8_t bad = 0;
};

enum class Seed { kNone, kNoFreeze, kFaultIgnoresFreeze, kFastFaultPlainStore };

void Judge(State& s) {
  const bool old = s.entry == kOldReadOnly || s.entry == kOldWritable;
  if (s.zapped && old) s.bad = 1;               // resurrected
  if (s.entry == kNew && s.tlb_old) s.bad = 2;  // two pages behind one address
}

Program<State> Zapper(Seed seed) {
  Program<State> p("zap");
  if (seed == Seed::kNoFreeze) {
    p.Set("entry=none", [](State& s) { s.entry = kNone; });
    p.Set("flush", [](State& s) { s.tlb_old = 0; });
  } else {
    p.Set("xchg_frozen", [](State& s) { s.entry = kFrozen; });
    p.Set("flush", [](State& s) { s.tlb_old = 0; });
    p.Set("entry=none", [](State& s) {
      s.entry = kNone;
      Judge(s);
    });
  }
  p.Set("done", [](State& s) {
    s.zapped = 1;
    Judge(s);
  });
  return p;
}

Program<State> Fault(Seed seed) {
  Program<State> p("fault");
  p.Do("read", [seed](State& s, int) {
    s.fault_saw = s.entry;
    if (s.entry == kOldReadOnly || s.entry == kOldWritable || s.entry == kNew) return Jump("end");
    if (s.entry == kFrozen && seed != Seed::kFaultIgnoresFreeze) return Jump("end");
    return Next();
  });
  p.Set("cmpxchg_new", [](State& s) {
    if (s.entry == s.fault_saw) s.entry = kNew;
    Judge(s);
  });
  return p;
}

Program<State> FastFault(Seed seed) {
  Program<State> p("fast_fault");
  p.Do("read", [](State& s, int) {
    s.fast_saw = s.entry;
    return s.entry == kOldReadOnly ? Next() : Jump("end");
  });
  p.Set("make_writable", [seed](State& s) {
    if (seed == Seed::kFastFaultPlainStore || s.entry == s.fast_saw) s.entry = kOldWritable;
    Judge(s);
  });
  return p;
}

model::Verdict Check(Seed seed) {
  return model::Report(model::Explore<State>(
      {}, {Zapper(seed), Fault(seed), FastFault(seed)},
      [](const State& s) {
        return s.bad == 0 ? nullptr : s.bad == 1 ? "RESURRECTED" : "TWO_PAGES";
      },
      [](const State&) { return nullptr; }));
}

TEST(FreezeModel, ProtocolIsClean) {
  const auto verdict = Check(Seed::kNone);
  EXPECT_TRUE(verdict.Clean()) << verdict;
}

TEST(FreezeModel, WithoutFreezeTheFaultInstallsBeforeTheFlush) {
  const auto verdict = Check(Seed::kNoFreeze);
  EXPECT_TRUE(verdict.Has("TWO_PAGES")) << verdict;
}

TEST(FreezeModel, AFaultThatIgnoresTheFreezeInstallsBeforeTheFlush) {
  const auto verdict = Check(Seed::kFaultIgnoresFreeze);
  EXPECT_TRUE(verdict.Has("TWO_PAGES")) << verdict;
}

TEST(FreezeModel, AFastFaultWithAPlainStoreResurrectsThePage) {
  const auto verdict = Check(Seed::kFastFaultPlainStore);
  EXPECT_TRUE(verdict.Has("RESURRECTED")) << verdict;
}

}  // namespace
