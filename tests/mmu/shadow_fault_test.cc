// SPDX-License-Identifier: GPL-2.0-or-later
// Faults of guests whose tables are shadowed: every mode, every permission, tables in the way.
#include "shadow_layout.h"

namespace fakes {
namespace {

constexpr u64 kGva = 0x40201000;  // indices 0, 1, 1, 1
constexpr u64 kWp = u64{1} << 16, kSmep = 1 << 20, kSmap = 1 << 21, kAc = 1 << 18;

using ShadowFaultTest = ShadowTest;

TEST_F(ShadowFaultTest, MapsWhatTheGuestMaps) {
  Map(kGva, 0x9000 | kGAll);
  const auto res = v.Access(kGva, kW | kUser, 0x77, 1);
  EXPECT_EQ(res.kind, K::kHit);
  EXPECT_EQ(res.gfn, 9u);
  EXPECT_EQ(s.Peek(0x9000, 1), 0x77u);
  EXPECT_EQ(s.Peek(EntryOf(kGva, 1)) & (kGA | kGD), kGA | kGD);
  EXPECT_EQ(v.exits(), 1);
}

TEST_F(ShadowFaultTest, FaultsReachTheGuestAsItsTablesSay) {
  EXPECT_EQ(v.Access(kGva, kR).kind, K::kFault);
  Map(kGva, 0x9000 | kGP | kGNx);
  EXPECT_EQ(v.Access(kGva, kW).pfec, 3u);
  EXPECT_EQ(v.Access(kGva, kR | kUser).pfec, 5u);
  EXPECT_EQ(v.Access(kGva, kX).pfec, 17u);
  EXPECT_EQ(v.Access(kGva, kR).kind, K::kHit);
}

TEST_F(ShadowFaultTest, FirstWriteComesBackToSetTheDirtyFlag) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  EXPECT_FALSE(s.Peek(EntryOf(kGva, 1)) & kGD);
  EXPECT_EQ(v.exits(), 1);
  ASSERT_EQ(v.Access(kGva, kW).kind, K::kHit);
  EXPECT_TRUE(s.Peek(EntryOf(kGva, 1)) & kGD);
  EXPECT_EQ(v.exits(), 2);
}

TEST_F(ShadowFaultTest, MemoryThatIsNotThereIsEmulated) {
  Map(kGva, 0x7000'0000 | kGAll);
  EXPECT_EQ(v.Access(kGva, kR).kind, K::kEmulated);
}

// Not present to present needs no flush by the guest.
TEST_F(ShadowFaultTest, NewMappingIsSeenWithoutAFlush) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  ASSERT_EQ(v.Access(kGva + 0x1000, kR).kind, K::kFault);
  Edit(v, EntryOf(kGva + 0x1000, 1), 0xa000 | kGAll);
  EXPECT_EQ(v.Access(kGva + 0x1000, kR).gfn, 10u);
  EXPECT_EQ(w.Access(kGva + 0x1000, kR).gfn, 10u) << "the other vCPU";
}

// The guest's last-level table turns unsync by its first write, and then costs no exit.
TEST_F(ShadowFaultTest, LastLevelTableIsWrittenWithoutExits) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  const u64 entry = EntryOf(kGva, 1);
  ASSERT_EQ(Edit(v, entry + 8, 0xa000 | kGAll).kind, K::kHit);
  ASSERT_TRUE(Find(entry >> 12, 1)->unsync);
  const int exits = v.exits();
  for (u64 i = 2; i < 100; i++) Edit(v, entry + 8 * i, 0xa000 | kGAll);
  EXPECT_EQ(v.exits(), exits);
  s.Check();
}

TEST_F(ShadowFaultTest, UpperTableIsWrittenByEmulation) {
  Map(kGva, 0x9000 | kGAll);
  Map(kGva + (1 << 21), 0xa000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).gfn, 9u);
  ASSERT_EQ(w.Access(kGva, kR).gfn, 9u);
  // Point the directory's entry at the other table.
  const u64 other = s.Peek(EntryOf(kGva + (1 << 21), 2));
  EXPECT_EQ(Edit(v, EntryOf(kGva, 2), other).kind, K::kEmulated);
  v.Invlpg(kGva);
  EXPECT_EQ(v.Access(kGva, kR).gfn, 10u);
  w.Invlpg(kGva);
  EXPECT_EQ(w.Access(kGva, kR).gfn, 10u);
}

// A last-level table of one mapping is the directory of another: it must be protected.
TEST_F(ShadowFaultTest, UnsyncTableThatBecomesADirectoryGoes) {
  Map(kGva, 0x9000 | kGAll);
  const u64 pt = EntryOf(kGva, 1) >> 12;
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  ASSERT_EQ(Edit(v, (pt << 12) + 8 * 7, 0xb000 | kGAll).kind, K::kHit);
  ASSERT_TRUE(Find(pt, 1)->unsync);
  // The same frame as a page directory, at the next GiB; what it mapped is a table now.
  s.Poke(0x9000 + 8, 0xb000 | kGAll);
  Edit(v, EntryOf(kGva + (u64{1} << 30), 3), pt << 12 | kGAll);
  v.Access((u64{2} << 30) | (1 << 21) | 0x1000, kR);
  ASSERT_TRUE(Find(pt, 2));
  EXPECT_FALSE(Find(pt, 1) && Find(pt, 1)->unsync);
  EXPECT_EQ(Edit(v, (pt << 12) + 8 * 8, 0).kind, K::kEmulated);
  s.Check();
}

// The page table maps itself.
TEST_F(ShadowFaultTest, TableThatMapsItself) {
  Map(kGva, 0x9000 | kGAll);
  const u64 pt = EntryOf(kGva, 1) >> 12;
  Map(kGva + 0x1000, pt << 12 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).gfn, 9u);
  ASSERT_EQ(v.Access(kGva + 0x1000 + 8 * 1, kW, 0xa000 | kGAll, 8).kind, K::kHit);
  v.Invlpg(kGva);
  EXPECT_EQ(v.Access(kGva, kR).gfn, 10u);
  // And the root maps itself, as some kernels do: then the last level is the root.
  Map(u64{5} << 39, kRootGfn << 12 | kGAll, 4);
  v.Load(v.paging());
  const u64 self = u64{5} << 39 | u64{5} << 30 | u64{5} << 21 | u64{5} << 12;
  EXPECT_EQ(v.Access(self, kR).gfn, kRootGfn);
  EXPECT_EQ(v.Access(self + 8 * 6, kW, 0, 8).kind, K::kEmulated);
}

TEST_F(ShadowFaultTest, FloodedFrameIsNoTableAnyMore) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  const u64 pd = EntryOf(kGva, 2) >> 12;
  for (u64 i = 0; i < VLM_SHADOW_FLOOD; i++) {
    ASSERT_TRUE(Find(pd, 2)) << i;
    ASSERT_EQ(Edit(v, (pd << 12) + 8 * (100 + i), 0).kind, K::kEmulated);
  }
  EXPECT_FALSE(Find(pd, 2));
  EXPECT_EQ(s.sh()->stats.flooded, 1u);
  EXPECT_EQ(Edit(v, (pd << 12) + 8 * 200, 0).kind, K::kHit) << "memory like any other";
}

// What cannot be emulated is let through.
TEST_F(ShadowFaultTest, UnprotectedFrameIsMemory) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  const u64 pd = EntryOf(kGva, 2) >> 12;
  ASSERT_TRUE(Find(pd, 2));
  {
    SlotsReader reader(&s.m());
    EXPECT_FALSE(vlm_shadow_unprotect(s.sh(), 0x9));
    EXPECT_TRUE(vlm_shadow_unprotect(s.sh(), pd));
    EXPECT_FALSE(vlm_shadow_unprotect(s.sh(), pd));
  }
  EXPECT_FALSE(Find(pd, 2));
  EXPECT_EQ(Edit(v, (pd << 12) + 8 * 100, 0).kind, K::kHit) << "memory like any other";
  EXPECT_EQ(v.Access(kGva, kR).kind, K::kHit) << "and a table as soon as it is walked";
  EXPECT_TRUE(Find(pd, 2));
  s.Check();
}

// Use in between: an honest table.
TEST_F(ShadowFaultTest, WalksForgiveWrites) {
  Map(kGva, 0x9000 | kGAll);
  const u64 pd = EntryOf(kGva, 2) >> 12;
  for (u64 i = 0; i < 20; i++) {
    Map(kGva + (i << 12), 0x9000 | kGAll);
    v.Access(kGva + (i << 12), kR);
    Edit(v, (pd << 12) + 8 * (100 + i), 0);
  }
  EXPECT_TRUE(Find(pd, 2));
  EXPECT_EQ(s.sh()->stats.flooded, 0u);
}

TEST_F(ShadowFaultTest, OddWritesZapTheTable) {
  for (auto [offset, bytes] : {std::pair<u64, unsigned>{4, 8}, {0, 2}, {7, 1}}) {
    Map(kGva, 0x9000 | kGAll);
    ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
    const u64 pd = EntryOf(kGva, 2) >> 12;
    ASSERT_TRUE(Find(pd, 2));
    EXPECT_EQ(v.Access(Window((pd << 12) + 800 + offset), kW, 0, bytes).kind, K::kEmulated);
    EXPECT_FALSE(Find(pd, 2)) << offset << " " << bytes;
  }
}

TEST_F(ShadowFaultTest, HugeGuestPageOnSmallHostPages) {
  Map(0x40400000, 0x200000 | kGAll | kGPs, 2);
  EXPECT_EQ(v.Access(0x40405000, kW).gfn, 0x205u);
  EXPECT_EQ(v.Access(0x40406000, kR).gfn, 0x206u);
  EXPECT_EQ(s.m().Stat(VLM_STAT_PAGES_2M), 0u);
  s.Check();
  Edit(v, EntryOf(0x40400000, 2), 0);
  v.Invlpg(0x40405000);
  EXPECT_EQ(v.Access(0x40405000, kR).kind, K::kFault);
}

class ShadowHugeTest : public ShadowTest {
 protected:
  ShadowHugeTest() { host_level = 2; }
};

TEST_F(ShadowHugeTest, HugeOnHuge) {
  Map(0x40400000, 0x200000 | kGAll | kGPs, 2);
  EXPECT_EQ(v.Access(0x40405000, kW).gfn, 0x205u);
  EXPECT_EQ(s.m().Stat(VLM_STAT_PAGES_2M), 1u);
  const int exits = v.exits();
  EXPECT_EQ(v.Access(0x405ff000, kW).gfn, 0x3ffu);
  EXPECT_EQ(v.exits(), exits);
}

// The tables lie in the first 2 MiB: no huge leaf may make them writable.
TEST_F(ShadowHugeTest, NoHugeLeafOverAGuestTable) {
  Map(0x40400000, kGAll | kGPs, 2);
  EXPECT_EQ(v.Access(0x40405000, kW).gfn, 5u);
  EXPECT_EQ(s.m().Stat(VLM_STAT_PAGES_2M), 0u);
  s.Check();
  EXPECT_EQ(v.Access(0x40400000 + (kRootGfn << 12) + 8 * 400, kW, 0, 8).kind, K::kEmulated);
}

// A table is made inside memory that is mapped huge and writable already.
TEST_F(ShadowHugeTest, TableInsideAHugeLeafTakesItsWriteAccess) {
  Map(0x40400000, 0x200000 | kGAll | kGPs, 2);
  ASSERT_EQ(v.Access(0x40405000, kW).kind, K::kHit);
  ASSERT_EQ(s.m().Stat(VLM_STAT_PAGES_2M), 1u);
  next_table = 0x300;
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kR).kind, K::kHit);
  s.Check();
  // Its neighbours are written through small pages now.
  EXPECT_EQ(v.Access(0x40406000, kW).gfn, 0x206u);
  EXPECT_EQ(s.m().Stat(VLM_STAT_PAGES_2M), 0u);
  s.Check();
}

TEST_F(ShadowHugeTest, GuestSplitsItsHugePage) {
  Map(0x40400000, 0x200000 | kGAll | kGPs, 2);
  ASSERT_EQ(v.Access(0x40405000, kW).gfn, 0x205u);
  const u64 pt = next_table++;
  for (u64 i = 0; i < 512; i++) s.Poke((pt << 12) + 8 * i, (0x200 + (i ^ 1)) << 12 | kGAll);
  EXPECT_EQ(Edit(v, EntryOf(0x40400000, 2), pt << 12 | kGAll).kind, K::kEmulated);
  v.FlushAll();
  EXPECT_EQ(v.Access(0x40405000, kW).gfn, 0x204u);
}

// CR0.WP = 0: the kernel writes to what is read-only for it, the user still cannot.
TEST_F(ShadowFaultTest, KernelWritesWithoutWp) {
  Map(kGva, 0x9000 | kGP | kGU);
  vlm_guest_paging p = v.paging();
  p.cr0 &= ~kWp;
  v.Load(p);
  EXPECT_EQ(v.Access(kGva, kR | kUser).kind, K::kHit);
  EXPECT_EQ(v.Access(kGva, kW, 1, 8).kind, K::kHit);
  EXPECT_EQ(v.Access(kGva, kW | kUser).pfec, 7u);
  EXPECT_EQ(v.Access(kGva, kR | kUser).kind, K::kHit);
  EXPECT_EQ(v.Access(kGva, kX).kind, K::kHit);
  p.cr0 |= kWp;
  v.Load(p);
  EXPECT_EQ(v.Access(kGva, kW).pfec, 3u);
}

TEST_F(ShadowFaultTest, WithoutWpSmepAndSmapStillHold) {
  Map(kGva, 0x9000 | kGP | kGU);
  vlm_guest_paging p = v.paging();
  p.cr0 &= ~kWp;
  p.cr4 |= kSmep;
  v.Load(p);
  ASSERT_EQ(v.Access(kGva, kW, 1, 8).kind, K::kHit);
  EXPECT_EQ(v.Access(kGva, kX).pfec, 17u) << "the page looks like the kernel's now";
  EXPECT_EQ(v.Access(kGva, kX | kUser).kind, K::kHit);
  p.cr4 |= kSmap;
  v.Load(p);
  EXPECT_EQ(v.Access(kGva, kW).pfec, 3u);
  v.registers()->rflags |= kAc;
  EXPECT_EQ(v.Access(kGva, kW, 1, 8).kind, K::kEmulated);
  v.registers()->rflags &= ~kAc;
  EXPECT_EQ(v.Access(kGva, kR).pfec, 1u) << "must not read past SMAP";
}

TEST_F(ShadowFaultTest, Pae) {
  // PDPTE 1 -> 0x200 (directory) -> 0x201 (table) -> frame 9
  s.Poke(0x200000 + 8 * 2, 0x201000 | kGAll);
  s.Poke(0x201000 + 8 * 3, 0x9000 | kGAll);
  const u64 pdptrs[4] = {0, 0x200000 | kGP, 0, 0x200000 | kGP};
  ASSERT_EQ(v.Load(PaeMode(pdptrs)), 0);
  const u64 gva = u64{1} << 30 | 2 << 21 | 3 << 12;
  EXPECT_EQ(v.Access(gva, kW | kUser).gfn, 9u);
  EXPECT_EQ(v.Access(gva + (u64{2} << 30), kR).gfn, 9u) << "one directory, two PDPTEs";
  EXPECT_EQ(v.Access(gva - (u64{1} << 30), kR).kind, K::kFault);
  EXPECT_EQ(v.sv()->roots[1], v.sv()->roots[3]);
  s.Poke(0x200000 + 8 * 4, 0x200000 | kGAll | kGPs);
  EXPECT_EQ(v.Access(u64{1} << 30 | 4 << 21 | 0x5000, kR).gfn, 0x205u);
}

// A directory of 1024 entries takes four tables, a table of 1024 two.
TEST_F(ShadowFaultTest, ThirtyTwoBitsInQuadrants) {
  for (u64 quadrant = 0; quadrant < 4; quadrant++) {
    for (u64 half = 0; half < 2; half++) {
      const u64 pde = quadrant * 256 + 5, pte = half * 512 + 6;
      s.Poke(0x200000 + 4 * pde, (0x201000 + quadrant * 0x1000) | kGAll, 4);
      s.Poke(0x201000 + quadrant * 0x1000 + 4 * pte, (0x210 + quadrant * 2 + half) << 12 | kGAll,
             4);
    }
  }
  ASSERT_EQ(v.Load(LegacyMode(0x200000)), 0);
  for (u64 quadrant = 0; quadrant < 4; quadrant++) {
    for (u64 half = 0; half < 2; half++) {
      const u64 gva = (quadrant * 256 + 5) << 22 | (half * 512 + 6) << 12;
      EXPECT_EQ(v.Access(gva, kW | kUser).gfn, 0x210 + quadrant * 2 + half);
    }
  }
  // Both halves of a 4-MiB page, through two entries.
  s.Poke(0x200000 + 4 * 7, kGAll | kGPs, 4);
  EXPECT_EQ(v.Access(7 << 22 | 0x3000, kR).gfn, 3u);
  EXPECT_EQ(v.Access(7 << 22 | 0x203000, kR).gfn, 0x203u);
  s.Check();
  // One write to the directory goes to both.
  s.Poke(0x200000 + 4 * 8, 0x220000 | kGAll, 4);
  s.Poke(0x220000, 0x200000 | kGP | kGW, 4);
  EXPECT_EQ(v.Access(8 << 22 | 4 * 7, kW, 0, 4).kind, K::kEmulated);
  v.FlushAll();
  EXPECT_EQ(v.Access(7 << 22 | 0x3000, kR).kind, K::kFault);
  EXPECT_EQ(v.Access(7 << 22 | 0x203000, kR).kind, K::kFault);
}

TEST_F(ShadowFaultTest, NoPagingAtAll) {
  ASSERT_EQ(v.Load(NoPaging()), 0);
  EXPECT_EQ(v.Access(0x5123, kW, 1, 8).gfn, 5u);
  EXPECT_EQ(v.Access(0xc000'0000, kR).kind, K::kEmulated);
  EXPECT_EQ(v.Access(kRootGfn << 12, kW, 0, 8).kind, K::kEmulated) << "it is w's table";
  s.Check();
}

TEST_F(ShadowFaultTest, RootOutsideOfMemory) {
  EXPECT_EQ(v.Load(LongMode(0x7000'0000)), -EFAULT);
  EXPECT_FALSE(v.sv()->roots[0]);
  EXPECT_EQ(v.Load(w.paging()), 0);
}

TEST_F(ShadowFaultTest, HostInvalidationReachesShadowLeaves) {
  Map(kGva, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kW).gfn, 9u);
  ASSERT_EQ(w.Access(Window(0x9000), kR).gfn, 9u);
  s.m().host().Drop(kHva + 9, 1);
  EXPECT_EQ(v.tlb_entries() + w.tlb_entries(), 0u);
  EXPECT_EQ(v.Access(kGva, kW).gfn, 9u);
  s.Check();
}

TEST_F(ShadowFaultTest, InvalidationBetweenLookupAndInstallRetries) {
  // The page goes after the n-th time that the host is asked for one: the walk asks too.
  for (int n = 0; n < 16; n++) {
    const u64 gva = kGva + (static_cast<u64>(n) << 12);
    Map(gva, 0x9000 | kGAll);
    int lookups = 0;
    s.m().host().after_lookup = [&] {
      if (lookups++ == n) s.m().host().Drop(kHva + 9, 1);
    };
    ASSERT_EQ(v.Access(gva, kR).gfn, 9u);
    s.m().host().after_lookup = nullptr;
    s.Check();
  }
  EXPECT_GT(v.sv()->stats.v[VLM_PF_RETRIED], 0u);
}

// One frame at very many addresses: the bag is dropped whole rather than walked.
TEST_F(ShadowFaultTest, ReverseMapHasALimit) {
  for (u64 i = 0; i < 1200; i++) {
    Map(kGva + (i << 12), 0x9000 | kGAll);
    ASSERT_EQ(v.Access(kGva + (i << 12), kR).gfn, 9u);
  }
  EXPECT_EQ(s.sh()->stats.chains_dropped, 1u);
  const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(s.mmu(), 0), 9);
  EXPECT_LE(vlm_ptr_chain_count(vlm_slot_leaves(slot, 9, 1)), u32{VLM_PTR_CHAIN_MAX});
  s.Check();
  EXPECT_EQ(v.Access(kGva, kR).gfn, 9u);
}

// One table below very many entries, likewise.
TEST_F(ShadowFaultTest, ParentsHaveALimit) {
  Map(kGva, 0x9000 | kGAll);
  const u64 pt = s.Peek(EntryOf(kGva, 2));
  for (u64 i = 0; i < 1200; i++) {
    const u64 gva = kGva + (i << 21);
    s.Poke(EntryOf(gva, 2), pt);
    ASSERT_EQ(v.Access(gva, kR).gfn, 9u);
  }
  EXPECT_EQ(s.sh()->stats.chains_dropped, 1u);
  s.Check();
}

TEST_F(ShadowFaultTest, SlotThatGoesTakesItsLeavesAndTables) {
  s.m().host().Map(kHva + 0x10000, 64);
  ASSERT_EQ(s.m().SetSlot(1, 0x10000, 64, kHva + 0x10000), 0);
  Map(kGva, u64{0x10001} << 12 | kGAll);
  Map(kGva + (1 << 21), u64{0x10002} << 12 | kGAll, 2);  // a table inside the slot
  s.Poke(u64{0x10002} << 12 | 8, 0x9000 | kGAll);
  ASSERT_EQ(v.Access(kGva, kW).gfn, 0x10001u);
  ASSERT_EQ(v.Access(kGva + (1 << 21), kR).gfn, 9u);
  ASSERT_EQ(s.m().DeleteSlot(1), 0);
  s.Check();
  EXPECT_TRUE(v.reload_pending());
  EXPECT_EQ(v.Access(kGva, kW).kind, K::kEmulated);
  EXPECT_EQ(v.Access(kGva + (1 << 21), kR).kind, K::kFault);
  s.Check();
}

TEST_F(ShadowFaultTest, OutOfMemoryIsReportedAndHarmless) {
  Map(kGva, 0x9000 | kGAll);
  for (long n = 0; n < 40; n++) {
    shim_alloc_fail_after(n);
    const auto res = v.Access(kGva, kR);
    shim_alloc_fail_after(-1);
    ASSERT_TRUE(res.kind == K::kHit || (res.kind == K::kError && res.pfec == ENOMEM)) << n;
    s.Check();
  }
  EXPECT_EQ(v.Access(kGva, kR).gfn, 9u);
}

}  // namespace
}  // namespace fakes
