// SPDX-License-Identifier: GPL-2.0-or-later
//
// Life of a TDP root: who may find it, who may tear it down, who frees it.
// One root maps one host page. The root is created valid.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "explorer.h"

namespace {

using model::Jump;
using model::Next;
using model::Outcome;

struct Root {
  model::RwLock mmu_lock;
  int8_t ref = 1;
  uint8_t invalid = 0;
  uint8_t listed = 1;       // on the list of roots
  uint8_t mapped = 1;       // the tree maps the host page
  uint8_t freed = 0;        // the root's memory went back
  uint8_t rcu_readers = 0;  // bit per thread inside an RCU section
  uint8_t pending = 0;      // RCU free waits for the readers in `waits`
  uint8_t waits = 0;
  uint8_t page_freed = 0;  // the host freed the page: the notifier returned
  uint8_t scheduled = 0;   // the MMU's reference was given to one zapper
  uint8_t reload = 0;      // a reload request is pending on the vCPU
  uint8_t held = 0;        // bit per thread that took a reference
  uint8_t bad = 0;         // enum Bad
};

enum Bad : uint8_t {
  kFine,
  kUseAfterFree,
  kPageUseAfterFree,
  kNegativeRef,
  kDoubleFree,
  kAdopted,
  kSlotMapped,
  kValidFreed
};

const char* Violation(const Root& r) {
  static constexpr const char* kNames[] = {nullptr,        "ROOT_UAF",        "PAGE_UAF",
                                           "NEGATIVE_REF", "DOUBLE_FREE",     "ADOPTED_INVALID",
                                           "SLOT_MAPPED",  "VALID_ROOT_FREED"};
  return kNames[r.bad];
}

const char* AtEnd(const Root& r) {
  if (!r.listed && !r.freed) return "LEAK";
  if (r.invalid && !r.freed) return "LEAK";
  return nullptr;
}

void Blame(Root& r, Bad bad) {
  if (r.bad == kFine) r.bad = bad;
}
void Touch(Root& r) {
  if (r.freed) Blame(r, kUseAfterFree);
}
// Drop one reference; true when it was the last.
bool DecAndTest(Root& r) {
  Touch(r);
  if (r.ref <= 0) {
    Blame(r, kNegativeRef);
    return false;
  }
  return --r.ref == 0;
}
void Zap(Root& r) {
  Touch(r);
  if (r.mapped && r.page_freed) Blame(r, kPageUseAfterFree);
  r.mapped = 0;
}
void FreeByRcu(Root& r) {
  Touch(r);
  if (r.pending) Blame(r, kDoubleFree);
  if (!r.invalid) Blame(r, kValidFreed);
  r.listed = 0;
  r.pending = 1;
  r.waits = r.rcu_readers;
  if (r.waits == 0) r.freed = 1;
}
void RcuEnter(Root& r, int tid) { r.rcu_readers = static_cast<uint8_t>(r.rcu_readers | 1u << tid); }
void RcuExit(Root& r, int tid) {
  r.rcu_readers = static_cast<uint8_t>(r.rcu_readers & ~(1u << tid));
  r.waits = static_cast<uint8_t>(r.waits & ~(1u << tid));
  if (r.pending && r.waits == 0) r.freed = 1;
}

using Program = model::Program<Root>;
enum class Mode { kRead, kWrite };

void Lock(Program& p, Mode mode) {
  p.Do(mode == Mode::kRead ? "read_lock" : "write_lock", [mode](Root& r, int tid) {
    return mode == Mode::kRead ? model::ReadLock(r.mmu_lock, tid)
                               : model::WriteLock(r.mmu_lock, tid);
  });
}
void Unlock(Program& p) {
  p.Do("unlock", [](Root& r, int tid) { return model::Unlock(r.mmu_lock, tid); });
}
void Yield(Program& p, Mode mode) {
  Unlock(p);
  Lock(p, mode);
}

// How the last reference is put.
enum class Put {
  kZapAtZeroYielding,  // the scheme before the fix: tear down while the count is
                       // zero
  kZapAtZeroUnbroken,  // the same without ever dropping the lock
  kDecUnlessOne,       // the first sketch: decrement unless it is one
  kInvalidateThenZap,  // dec-and-test, xchg on invalid, count back to one, zap,
                       // dec-and-test
  kFlagAfterRef,       // mutant: the count is one again before the flag is visible
  kOwned,              // the MMU owns a reference; put frees and never zaps
};

// Put a reference while holding mmu_lock in `mode`. `n` keeps labels apart.
void PutRoot(Program& p, Put put, Mode mode, const std::string& n) {
  const std::string out = "put_out" + n;
  const std::string free = "put_free" + n;
  auto dec = [out](Root& r, int) { return DecAndTest(r) ? Next() : Jump(out); };
  auto dec_unless_one = [out](Root& r, int) {
    Touch(r);
    if (r.ref == 1) return Next();
    DecAndTest(r);
    return Jump(out);
  };
  auto xchg_invalid = [free](Root& r, int) {
    Touch(r);
    if (r.invalid) return Jump(free);
    r.invalid = 1;
    return Next();
  };
  switch (put) {
    case Put::kZapAtZeroYielding:
    case Put::kZapAtZeroUnbroken:
      p.Do("dec", dec);
      p.Set("invalidate", [](Root& r) { r.invalid = 1; });
      if (put == Put::kZapAtZeroYielding) Yield(p, mode);
      p.Set("zap", Zap);
      break;
    case Put::kDecUnlessOne:
      p.Do("dec_unless_one", dec_unless_one);
      p.Do("xchg_invalid", xchg_invalid);
      Yield(p, mode);
      p.Set("zap", Zap);
      p.Do("dec_unless_one", dec_unless_one);
      p.Label(free);
      p.Set("ref=0", [](Root& r) { r.ref = 0; });
      break;
    case Put::kInvalidateThenZap:
      p.Do("dec", dec);
      p.Do("xchg_invalid", xchg_invalid);
      p.Set("ref=1", [](Root& r) { Touch(r), r.ref = 1; });
      Yield(p, mode);
      p.Set("zap", Zap);
      p.Do("dec", dec);
      break;
    case Put::kFlagAfterRef:
      p.Do("dec", dec);
      p.Do("test_invalid", [free](Root& r, int) { return r.invalid ? Jump(free) : Next(); });
      p.Set("ref=1", [](Root& r) { Touch(r), r.ref = 1; });
      p.Set("invalid=1", [](Root& r) { r.invalid = 1; });
      Yield(p, mode);
      p.Set("zap", Zap);
      p.Do("dec", dec);
      break;
    case Put::kOwned:
      p.Do("dec", dec);
      break;
  }
  if (put != Put::kDecUnlessOne) p.Label(free);
  p.Set("free_rcu", FreeByRcu);
  p.Label(out);
  p.Set("put_done", [](Root&) {});
}

// A vCPU that runs on the root and drops it.
Program Owner(Put put, Mode mode) {
  Program p("owner");
  Lock(p, mode);
  PutRoot(p, put, mode, "");
  Unlock(p);
  return p;
}

// Take a reference to the root if it is on the list; else jump to "none".
void FindRoot(Program& p, bool valid_only) {
  p.Do("rcu_lock", [](Root& r, int tid) { return RcuEnter(r, tid), Next(); });
  p.Do("find", [](Root& r, int) { return r.listed ? Next() : Jump("none"); });
  if (valid_only) {
    p.Do("is_valid", [](Root& r, int) {
      Touch(r);
      return r.invalid ? Jump("none") : Next();
    });
  }
  p.Do("inc_not_zero", [](Root& r, int tid) {
    Touch(r);
    if (r.ref <= 0) return Jump("none");
    ++r.ref;
    r.held = static_cast<uint8_t>(r.held | 1u << tid);
    return Next();
  });
}
void LeaveRcu(Program& p) {
  p.Do("rcu_unlock", [](Root& r, int tid) {
    RcuExit(r, tid);
    return r.held >> tid & 1 ? Next() : Jump("out");
  });
}

// A vCPU that looks for a root to run on, runs, and drops it.
Program Loader(Put put, Mode lookup, Mode drop) {
  Program p("loader");
  Lock(p, lookup);
  FindRoot(p, true);
  p.Do("adopt", [](Root& r, int) {
    if (r.invalid && !r.reload) Blame(r, kAdopted);
    return Next();
  });
  p.Label("none");
  p.Do("rcu_unlock", [](Root& r, int tid) { return RcuExit(r, tid), Next(); });
  Unlock(p);
  p.Do("adopted?", [](Root& r, int tid) { return r.held >> tid & 1 ? Next() : Jump("end"); });
  Lock(p, drop);
  PutRoot(p, put, drop, "");
  Unlock(p);
  return p;
}

enum class Work { kRead, kZapForNotifier };

// Something that iterates over roots: a reader, or the notifier that frees the
// page.
Program Walker(Put put, bool valid_only, Mode mode, Work work) {
  Program p(work == Work::kRead ? "reader" : "notifier");
  Lock(p, mode);
  FindRoot(p, valid_only);
  p.Label("none");
  LeaveRcu(p);
  Yield(p, mode);
  p.Set("work", work == Work::kRead ? Touch : Zap);
  Yield(p, mode);
  PutRoot(p, put, mode, "");
  p.Label("out");
  Unlock(p);
  if (work == Work::kZapForNotifier) p.Set("free_page", [](Root& r) { r.page_freed = 1; });
  return p;
}

enum class ZapSeed { kNone, kNoZapBeforeReturn, kReschedule };

// Slot deletion with an MMU-owned reference: invalidate under the write lock,
// then zap what was scheduled under the read lock and drop the owned reference.
Program FastZap(ZapSeed seed, const std::string& name = "fastzap") {
  Program p(name);
  Lock(p, Mode::kWrite);
  p.Set("invalidate", [seed](Root& r) {
    if (!r.listed) return;
    Touch(r);
    if (seed == ZapSeed::kReschedule || !r.invalid) r.scheduled = 1;
    r.invalid = 1;
    r.reload = 1;
  });
  Unlock(p);
  Lock(p, Mode::kRead);
  FindRoot(p, false);
  p.Label("none");
  LeaveRcu(p);
  p.Do("take_schedule", [](Root& r, int) {
    Touch(r);
    if (!r.scheduled) return Jump("drop");
    r.scheduled = 0;
    return Next();
  });
  if (seed != ZapSeed::kNoZapBeforeReturn) {
    Yield(p, Mode::kRead);
    p.Set("zap", Zap);
  }
  PutRoot(p, Put::kOwned, Mode::kRead, "_owned");
  p.Label("drop");
  PutRoot(p, Put::kOwned, Mode::kRead, "_iter");
  p.Label("out");
  Unlock(p);
  p.Set("return", [](Root& r) {
    if (r.mapped) Blame(r, kSlotMapped);
  });
  return p;
}

model::Verdict Check(const std::vector<Program>& threads, int8_t ref = 1) {
  Root start;
  start.ref = ref;
  std::string names;
  for (const auto& t : threads) names += (names.empty() ? "" : " x ") + t.name();
  return model::Report(model::Explore<Root>(start, threads, Violation, AtEnd), names);
}

constexpr int8_t kOwnedRefs = 2;  // the vCPU's and the MMU's

TEST(TdpRootModel, ZapAtZeroWithYieldHidesTheRootFromTheNotifier) {
  const auto v =
      Check({Owner(Put::kZapAtZeroYielding, Mode::kWrite),
             Walker(Put::kZapAtZeroYielding, false, Mode::kWrite, Work::kZapForNotifier)});
  EXPECT_TRUE(v.Has("PAGE_UAF")) << v;
}

TEST(TdpRootModel, ZapAtZeroWithoutYieldIsClean) {
  const auto v =
      Check({Owner(Put::kZapAtZeroUnbroken, Mode::kWrite),
             Walker(Put::kZapAtZeroUnbroken, false, Mode::kWrite, Work::kZapForNotifier)});
  EXPECT_TRUE(v.Clean()) << v;
}

TEST(TdpRootModel, DecUnlessOneIsCleanWhenLookupsWriteLock) {
  const auto v = Check({Owner(Put::kDecUnlessOne, Mode::kWrite),
                        Walker(Put::kDecUnlessOne, false, Mode::kWrite, Work::kZapForNotifier),
                        Loader(Put::kDecUnlessOne, Mode::kWrite, Mode::kWrite)});
  EXPECT_TRUE(v.Clean()) << v;
}

TEST(TdpRootModel, DecUnlessOneFreesUnderAReadSideWalker) {
  for (const bool valid_only : {false, true}) {
    const auto v = Check({Owner(Put::kDecUnlessOne, Mode::kRead),
                          Walker(Put::kDecUnlessOne, valid_only, Mode::kRead, Work::kRead)});
    EXPECT_TRUE(v.Has("ROOT_UAF") || v.Has("NEGATIVE_REF")) << v;
  }
}

TEST(TdpRootModel, InvalidateThenZapIsCleanWithReadSideWalkers) {
  for (const Mode mode : {Mode::kRead, Mode::kWrite}) {
    const auto v =
        Check({Owner(Put::kInvalidateThenZap, mode),
               Walker(Put::kInvalidateThenZap, false, Mode::kWrite, Work::kZapForNotifier),
               Walker(Put::kInvalidateThenZap, false, Mode::kRead, Work::kRead)});
    EXPECT_TRUE(v.Clean()) << v;
  }
}

TEST(TdpRootModel, InvalidateThenZapNeedsWriteLockedLookups) {
  const auto clean = Check({Owner(Put::kInvalidateThenZap, Mode::kRead),
                            Loader(Put::kInvalidateThenZap, Mode::kWrite, Mode::kRead)});
  EXPECT_TRUE(clean.Clean()) << clean;
  const auto v = Check({Owner(Put::kInvalidateThenZap, Mode::kRead),
                        Loader(Put::kInvalidateThenZap, Mode::kRead, Mode::kRead)});
  EXPECT_TRUE(v.Has("ADOPTED_INVALID")) << v;
}

TEST(TdpRootModel, FlagAfterRefLetsAVcpuAdoptADyingRoot) {
  const auto v = Check({Owner(Put::kFlagAfterRef, Mode::kRead),
                        Loader(Put::kFlagAfterRef, Mode::kRead, Mode::kRead)});
  EXPECT_TRUE(v.Has("ADOPTED_INVALID")) << v;
}

TEST(TdpRootModel, OwnedReferenceIsCleanWithReadSideLookups) {
  const std::vector<Program> third = {
      Walker(Put::kOwned, false, Mode::kWrite, Work::kZapForNotifier),
      Loader(Put::kOwned, Mode::kRead, Mode::kRead),
      Walker(Put::kOwned, true, Mode::kRead, Work::kRead),
  };
  for (const auto& other : third) {
    const auto v =
        Check({FastZap(ZapSeed::kNone), Owner(Put::kOwned, Mode::kRead), other}, kOwnedRefs);
    EXPECT_TRUE(v.Clean()) << v;
  }
}

TEST(TdpRootModel, OwnedReferenceNeedsTheZapBeforeReturn) {
  const auto v =
      Check({FastZap(ZapSeed::kNoZapBeforeReturn), Owner(Put::kOwned, Mode::kRead)}, kOwnedRefs);
  EXPECT_TRUE(v.Has("SLOT_MAPPED")) << v;
}

TEST(TdpRootModel, NotifierMustTakeInvalidRootsToo) {
  const auto v = Check({FastZap(ZapSeed::kNone), Owner(Put::kOwned, Mode::kRead),
                        Walker(Put::kOwned, true, Mode::kWrite, Work::kZapForNotifier)},
                       kOwnedRefs);
  EXPECT_TRUE(v.Has("PAGE_UAF")) << v;
}

TEST(TdpRootModel, TwoFastZapsMustBeSerialised) {
  const auto v = Check({FastZap(ZapSeed::kNone, "fastzap1"), FastZap(ZapSeed::kNone, "fastzap2"),
                        Owner(Put::kOwned, Mode::kRead)},
                       kOwnedRefs);
  EXPECT_TRUE(v.Has("SLOT_MAPPED")) << v;
}

TEST(TdpRootModel, ReschedulingAnInvalidRootPutsTwice) {
  const auto v = Check({FastZap(ZapSeed::kReschedule, "fastzap1"),
                        FastZap(ZapSeed::kReschedule, "fastzap2"), Owner(Put::kOwned, Mode::kRead)},
                       kOwnedRefs);
  EXPECT_TRUE(v.Has("ROOT_UAF") || v.Has("NEGATIVE_REF")) << v;
}

}  // namespace
