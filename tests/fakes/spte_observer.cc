// SPDX-License-Identifier: GPL-2.0-or-later
// Judges every single store to an SPTE.
#include <cstdio>
#include <string>

#include "fake_machine.h"
#include "kmod_mmu.h"
#include "table_arena.h"

namespace fakes {
namespace {

// The format in the SDM's and the README's words, independent of spte.h.
constexpr u64 kR = 1, kW = 2, kX = 4, kHuge = 0x80;
constexpr u64 kDirty = 0x200;
constexpr u64 kPresent = 0x800;
constexpr u64 kHostW = u64{1} << 52, kMmuW = u64{1} << 53, kSavedX = u64{1} << 55;
// Of tables that the CPU walks without EPT.
constexpr u64 kShadowHostW = u64{1} << 9, kShadowMmuW = u64{1} << 10;
constexpr u64 kFrozen = u64{1} << 60 | u64{1} << 9;
constexpr u64 kAddress = 0x000f'ffff'ffff'f000;

bool Present(u64 e) { return e & kPresent; }
bool Leaf(u64 e, int level) { return Present(e) && (level == 1 || (e & kHuge)); }
bool Nonleaf(u64 e, int level) { return Present(e) && !Leaf(e, level); }

struct Store {
  u64* entry;
  u64 old, val;
  int level;
  vlm_mmu_page* page;
};

[[noreturn]] void Bad(const char* rule, const Store& s, const char* what) {
  char text[200];
  snprintf(text, sizeof(text), "%s: level %d, entry %u of gfn 0x%llx, 0x%llx -> 0x%llx", what,
           s.level, static_cast<unsigned>(reinterpret_cast<uintptr_t>(s.entry) % 4096 / 8),
           s.page->gfn, s.old, s.val);
  shim_violation(rule, text);
}

// The root above the entry, following the parents.
vlm_mmu_page* RootOf(vlm_mmu_page* page) {
  TableArena& arena = TableArena::Get();
  while (page->parent) {
    auto* table = arena.TableOf(page->parent);
    page = static_cast<vlm_mmu_page*>(arena.InfoOf(table).owner.load());
  }
  return page;
}

void CheckValue(const Store& s) {
  const u64 v = s.val;
  if (!Present(v)) return;
  if (!Leaf(v, s.level)) {
    if ((v & (kR | kW | kX)) != (kR | kW | kX)) Bad("BITS", s, "nonleaf without full rights");
    return;
  }
  if ((v & kW) && !(v & kMmuW)) Bad("BITS", s, "W without MMU_W");
  if ((v & kMmuW) && !(v & kHostW)) Bad("BITS", s, "MMU_W without HOST_W");
  if ((v & kW) && !(v & kR)) Bad("BITS", s, "W without R");
  if (s.level > 1 && (v & kW) && !(v & kDirty) && FakeMachine::Current()->hardware_logs())
    Bad("BITS", s, "a huge leaf by which one write is logged for all pages");
  const u64 pages = u64{1} << (9 * (s.level - 1));
  if ((v & kAddress) >> 12 & (pages - 1)) Bad("BITS", s, "huge leaf out of alignment");
  if (s.level > 1 && (v & kX) && FakeMachine::Current()->mmu()->nx)
    Bad("NX1", s, "an executable huge leaf");
}

// The table that a split links must translate exactly as the leaf did.
void CheckSplit(const Store& s) {
  TableArena& arena = TableArena::Get();
  u64* table = arena.VaOf(s.val & kAddress);
  const u64 step = u64{4096} << (9 * (s.level - 2));
  for (u64 i = 0; i < 512; i++) {
    const u64 e = __atomic_load_n(table + i, __ATOMIC_RELAXED);
    // What becomes small may become executable.
    const u64 gains = s.level - 1 == 1 ? kX | kSavedX : 0;
    const u64 flags = ~(kAddress | kHuge | gains);
    const bool huge_ok = s.level - 1 == 1 ? !(e & kHuge) : !!(e & kHuge);
    if ((e & kAddress) != (s.old & kAddress) + i * step || (e & flags) != (s.old & flags) ||
        !huge_ok)
      Bad("G3", s, "a split leaves a hole or another translation");
  }
}

// The huge leaf that a collapse puts over a table must lead to the same frames, and allow what the
// table allowed but for execution.
void CheckCollapse(const Store& s) {
  if (!Nonleaf(s.old, s.level) || !Leaf(s.val, s.level)) Bad("G3", s, "not a collapse");
  u64* table = TableArena::Get().VaOf(s.old & kAddress);
  const u64 step = u64{4096} << (9 * (s.level - 2));
  u64 rights = 0;
  for (u64 i = 0; i < 512; i++) {
    const u64 e = __atomic_load_n(table + i, __ATOMIC_RELAXED);
    if (!Present(e)) continue;
    if (!Leaf(e, s.level - 1)) Bad("G3", s, "a collapse takes down more than one table");
    if ((e & kAddress) != (s.val & kAddress) + i * step) Bad("G3", s, "a collapse changes a frame");
    rights |= e;
  }
  if (!rights) Bad("G3", s, "a collapse of nothing");
  if (~rights & s.val & (kW | kMmuW | kHostW)) Bad("G3", s, "a collapse adds a right");
}

// Stores that change what vCPUs see, in a table that is linked.
void CheckTransition(const Store& s, vlm_store_kind kind) {
  const bool was = Present(s.old), is = Present(s.val);
  if (Leaf(s.val, s.level) && FakeMachine::Current()->host().IsFree((s.val & kAddress) >> 12) &&
      !__atomic_load_n(&RootOf(s.page)->invalid, __ATOMIC_RELAXED))
    Bad("G1", s, "a leaf is written for a frame that the host took back");
  if (Leaf(s.old, s.level) && Leaf(s.val, s.level)) {
    if ((s.old ^ s.val) & kAddress) Bad("G3", s, "the frame of a present leaf changes");
  } else if (Leaf(s.old, s.level) && is) {
    if (FakeMachine::Current()->single_threaded()) CheckSplit(s);
  } else if (Nonleaf(s.old, s.level) && is) {
    Bad("G3", s, "a table is replaced without a freeze");
  }
  if (Leaf(s.val, s.level) && !was && __atomic_load_n(&RootOf(s.page)->invalid, __ATOMIC_RELAXED))
    Bad("R5", s, "a leaf is installed on an invalid root");
  if (kind == VLM_STORE_SHARED) {
    if (s.old == kFrozen) Bad("FREEZE", s, "an entry frozen by another thread is written");
    if (was && !s.val && !__atomic_load_n(&RootOf(s.page)->invalid, __ATOMIC_RELAXED))
      Bad("FREEZE", s, "a live entry is cleared without a freeze");
  }
  if (kind == VLM_STORE_OWNED && s.old != kFrozen) Bad("FREEZE", s, "unfreeze of a free entry");
}

// A table that was cut out of a root in use may go on under one that is not.
bool IsMove(const Store& s, vlm_store_kind kind, bool unlinked) {
  return kind == VLM_STORE_EXCLUSIVE && unlinked && READ_ONCE(RootOf(s.page)->invalid);
}

void TrackLinks(const Store& s, vlm_store_kind kind) {
  TableArena& arena = TableArena::Get();
  if (Nonleaf(s.old, s.level)) {
    auto& info = arena.InfoOf(arena.VaOf(s.old & kAddress));
    info.unlinked_at = shim_rcu_now();
    info.unlinked = true;
  }
  if (Nonleaf(s.val, s.level)) {
    auto& info = arena.InfoOf(arena.VaOf(s.val & kAddress));
    if (!info.live) Bad("G2", s, "a freed table is linked");
    if (static_cast<vlm_mmu_page*>(info.owner.load())->parent != s.entry)
      Bad("G2", s, "a table does not know the entry that points to it");
    if (info.seen.exchange(true) && !IsMove(s, kind, info.unlinked))
      Bad("G2", s, "a table is linked twice");
    info.unlinked = false;
  }
}

// True if a translation read before the store may be more than the tables grant after it.
bool LosesTranslation(const Store& s) {
  constexpr u64 kRights = kR | kW | kX;
  // With hardware logs D is a right: to write unseen.
  const u64 dirty = FakeMachine::Current()->hardware_logs() ? kDirty : 0;
  return (s.old & (kRights | dirty) & ~s.val) ||
         ((s.old & kRights) && ((s.old ^ s.val) & kAddress));
}

// Tables of the shadow MMU: several parents, one writer, never a hole where a frame changes.
void CheckShadowStore(const Store& s, vlm_store_kind kind) {
  if (kind != VLM_STORE_EXCLUSIVE) Bad("LOCK", s, "a shadow entry is not written exclusively");
  if (Present(s.val)) {
    if (!(s.val & kR)) Bad("BITS", s, "present for the MMU but not for the CPU");
    if (Leaf(s.val, s.level)) {
      if ((s.val & kW) && !(s.val & kShadowMmuW)) Bad("BITS", s, "W without MMU_W");
      if ((s.val & kShadowMmuW) && !(s.val & kShadowHostW)) Bad("BITS", s, "MMU_W without HOST_W");
      const u64 pages = u64{1} << (9 * (s.level - 1));
      if ((s.val & kAddress) >> 12 & (pages - 1)) Bad("BITS", s, "huge leaf out of alignment");
    } else {
      TableArena& arena = TableArena::Get();
      auto& info = arena.InfoOf(arena.VaOf(s.val & kAddress));
      if (!info.live) Bad("G2", s, "a freed table is linked");
      info.seen = true;
    }
  }
  if (Present(s.old) && Present(s.val) &&
      ((s.old ^ s.val) & kAddress || Leaf(s.old, s.level) != Leaf(s.val, s.level)))
    Bad("G3", s, "a present entry changes its frame");
}

// All that may happen to an entry without the mmu lock: rights and flags of a leaf.
void CheckLockless(const Store& s) {
  constexpr u64 kMay = kR | kW | kX | u64{1} << 8 | u64{1} << 9 | u64{3} << 54;
  shim_rcu_assert_read();
  if (!Leaf(s.old, s.level) || ((s.old ^ s.val) & ~kMay))
    Bad("LOCK", s, "more than rights and flags changes without the mmu lock");
}

bool HoldsMmuLock(shim_held mode) {
  return shim_is_held(&FakeMachine::Current()->mmu()->lock, mode);
}

}  // namespace
}  // namespace fakes

extern "C" void vlm_spte_observe(u64* sptep, u64 old, u64 val, vlm_store_kind kind) {
  using namespace fakes;
  TableArena& arena = TableArena::Get();
  auto& info = arena.InfoOf(sptep);
  if (!info.live) shim_violation("G2", "store to a table that was freed");
  auto* page = static_cast<vlm_mmu_page*>(info.owner.load());
  const Store s{sptep, old, val, page->role.level, page};

  if (kind != VLM_STORE_LOCKLESS && !HoldsMmuLock(SHIM_HELD_ANY))
    Bad("LOCK", s, "store without the mmu lock");
  if (page->role.shadow) {
    if (!HoldsMmuLock(SHIM_HELD_WRITE)) Bad("LOCK", s, "shadow store with a shared lock");
    CheckShadowStore(s, kind);
    return;
  }
  CheckValue(s);
  if (LosesTranslation(s)) FakeMachine::Current()->NoteTranslationLost();
  switch (kind) {
    case VLM_STORE_FILL:
      if (info.seen) Bad("G3", s, "a linked table is filled");
      return;
    case VLM_STORE_EXCLUSIVE:
      if (!HoldsMmuLock(SHIM_HELD_WRITE)) Bad("LOCK", s, "exclusive store with a shared lock");
      CheckTransition(s, kind);
      break;
    case VLM_STORE_COLLAPSE:
      // Other threads may still add to the table.
      if (FakeMachine::Current()->single_threaded()) CheckCollapse(s);
      break;
    case VLM_STORE_SHARED:
    case VLM_STORE_OWNED:
      CheckTransition(s, kind);
      break;
    case VLM_STORE_LOCKLESS:
      CheckLockless(s);
      break;
    case VLM_STORE_DETACHED:
      if (!info.unlinked) Bad("G3", s, "a linked table is taken apart");
      break;
  }
  TrackLinks(s, kind);
  FakeMachine* machine = FakeMachine::Current();
  if (Nonleaf(val, s.level) && machine->on_link)
    machine->on_link(
        static_cast<vlm_mmu_page*>(arena.InfoOf(arena.VaOf(val & kAddress)).owner.load()));
}
