// SPDX-License-Identifier: GPL-2.0-or-later
// A long-mode guest with 4 MiB of memory, a window on all of it, and an address space to play in.
#ifndef TESTS_MMU_SHADOW_LAYOUT_H_
#define TESTS_MMU_SHADOW_LAYOUT_H_

#include <gtest/gtest.h>

#include "shadow_machine.h"
#include "test_layout.h"

namespace fakes {

// Bits of a guest entry.
inline constexpr u64 kGP = 1, kGW = 2, kGU = 4, kGA = 0x20, kGD = 0x40, kGPs = 0x80;
inline constexpr u64 kGNx = u64{1} << 63;
inline constexpr u64 kGAll = kGP | kGW | kGU;

inline constexpr u64 kGuestFrames = 1024;
inline constexpr u64 kRootGfn = 0x100;     // CR3
inline constexpr u64 kFirstTable = 0x101;  // further tables, handed out in order
inline constexpr u64 kWindow = u64{1} << 39;

class ShadowTest : public ::testing::Test {
 protected:
  explicit ShadowTest(const ShadowOptions& options = {}) : s(options) {}

  void SetUp() override {
    s.m().host().Map(kHva, kGuestFrames, host_level);
    ASSERT_EQ(s.m().SetSlot(0, 0, kGuestFrames, kHva), 0);
    for (u64 gfn = 0; gfn < kGuestFrames; gfn++) Map(Window(gfn << 12), gfn << 12 | kGP | kGW);
    v.Load(LongMode(kRootGfn << 12));
    w.Load(LongMode(kRootGfn << 12));
  }
  void TearDown() override { s.Check(); }

  static u64 Window(u64 gpa) { return kWindow | gpa; }

  // Address of the guest's entry at `level` for gva; tables above are made.
  u64 EntryOf(u64 gva, int level, u64 root = kRootGfn) {
    u64 table = root << 12;
    for (int l = 4;; l--) {
      const u64 gpa = table + ((gva >> (12 + 9 * (l - 1))) & 511) * 8;
      if (l == level) return gpa;
      u64 e = s.Peek(gpa);
      if (!(e & kGP)) {
        e = next_table++ << 12 | kGAll;
        s.Poke(gpa, e);
      }
      table = e & 0x000f'ffff'ffff'f000;
    }
  }
  // Writes an entry past all MMUs: before the guest runs, or as a device would.
  void Map(u64 gva, u64 entry, int level = 1) { s.Poke(EntryOf(gva, level), entry); }
  // The guest edits its own tables through its window.
  ShadowVcpu::Result Edit(ShadowVcpu& by, u64 gpa, u64 entry) {
    return by.Access(Window(gpa), VLM_ACCESS_WRITE, entry, 8);
  }

  vlm_shadow_page* Find(u64 gfn, int level) {
    vlm_shadow_page* sp;
    list_for_each_entry(sp, &s.sh()->active, page.link) {
      if (sp->page.gfn == gfn && !sp->role.direct && static_cast<int>(sp->role.level) == level &&
          !vlm_shadow_is_obsolete(s.sh(), sp))
        return sp;
    }
    return nullptr;
  }

  using K = ShadowVcpu::Kind;
  static constexpr u32 kR = VLM_ACCESS_READ, kW = VLM_ACCESS_WRITE, kX = VLM_ACCESS_EXEC;
  static constexpr u32 kUser = VLM_ACCESS_USER;

  int host_level = 1;
  u64 next_table = kFirstTable;
  ShadowMachine s;
  ShadowVcpu& v = s.AddVcpu();
  ShadowVcpu& w = s.AddVcpu();
};

}  // namespace fakes

#endif  // TESTS_MMU_SHADOW_LAYOUT_H_
