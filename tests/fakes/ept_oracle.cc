// SPDX-License-Identifier: GPL-2.0-or-later
#include "ept_oracle.h"

#include "kmod_mmu.h"
#include "table_arena.h"

namespace fakes {
namespace {

constexpr u64 kAddress = 0x000f'ffff'ffff'f000;
constexpr int kPhysicalBits = 46;

u64 Load(u64* entry) { return __atomic_load_n(entry, __ATOMIC_ACQUIRE); }

bool BadMemoryType(u64 e) {
  switch (e >> 3 & 7) {
    case 0:
    case 1:
    case 4:
    case 5:
    case 6:
      return false;
    default:
      return true;
  }
}

// "EPT Misconfigurations".
bool Misconfigured(u64 e, int level, bool leaf) {
  const bool r = e & 1, w = e & 2;
  if (w && !r) return true;
  if ((e & kAddress) >> kPhysicalBits) return true;
  if (!leaf) return (e >> 3 & 0xf) != 0 || (level >= 4 && (e >> 7 & 1));
  if (BadMemoryType(e)) return true;
  const u64 page_bits = (u64{1} << (9 * (level - 1))) - 1;
  return ((e & kAddress) >> 12 & page_bits) != 0;
}

}  // namespace

EptResult EptWalk(u64 eptp, u64 gpa) {
  EptResult result;
  TableArena& arena = TableArena::Get();
  u64 pa = eptp & kAddress;
  result.r = result.w = result.x = true;
  if ((eptp & 7) != 6) shim_violation("ORACLE", "EPTP memory type is not write-back");

  for (int level = static_cast<int>(eptp >> 3 & 7) + 1;; level--) {
    u64* table = arena.VaOf(pa);
    if (!arena.InfoOf(table).live) shim_violation("G2", "the CPU walks a table that was freed");
    result.tables.push_back(pa);
    u64* entry = table + (gpa >> (12 + 9 * (level - 1)) & 511);
    const u64 e = Load(entry);
    result.entry = entry;
    result.level = level;
    if (!(e & 7)) {
      result.kind = EptKind::kViolation;
      result.r = result.w = result.x = false;
      return result;
    }
    const bool leaf = level == 1 || ((level == 2 || level == 3) && (e >> 7 & 1));
    if (Misconfigured(e, level, leaf)) {
      result.kind = EptKind::kMisconfig;
      return result;
    }
    result.r &= (e & 1) != 0;
    result.w &= (e & 2) != 0;
    result.x &= (e & 4) != 0;
    if (leaf) {
      const u64 offset = gpa >> 12 & ((u64{1} << (9 * (level - 1))) - 1);
      result.kind = EptKind::kMapped;
      result.pfn = ((e & kAddress) >> 12) + offset;
      result.accessed = e >> 8 & 1;
      result.dirty = e >> 9 & 1;
      result.memory_type = static_cast<int>(e >> 3 & 7);
      return result;
    }
    pa = e & kAddress;
  }
}

EptResult EptAccess(u64 eptp, u64 gpa, bool write, bool exec) {
  for (;;) {
    EptResult result = EptWalk(eptp, gpa);
    if (result.kind != EptKind::kMapped) return result;
    if ((write && !result.w) || (exec && !result.x) || (!write && !exec && !result.r)) {
      result.kind = EptKind::kViolation;
      return result;
    }
    if (!(eptp & 64)) return result;
    u64 e = Load(result.entry);
    const u64 flags = 0x100 | (write ? 0x200u : 0u);
    if ((e & flags) == flags) return result;
    // The CPU sets flags only in an entry that still permits the access.
    if (!(e & 7) || (write && !(e & 2))) continue;
    if (__atomic_compare_exchange_n(result.entry, &e, e | flags, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED)) {
      result.accessed = true;
      result.dirty |= write;
      result.made_dirty = write && !(e & 0x200);
      return result;
    }
  }
}

}  // namespace fakes
