// SPDX-License-Identifier: GPL-2.0-or-later
// Requests of user space, the sets of slots, and generations.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <random>
#include <set>

#include "test_layout.h"

namespace fakes {
namespace {

using MemslotTest = MmuTest;

vlm_memslots* Slots(FakeMachine& m, unsigned as_id = 0) { return vlm_memslots_get(m.mmu(), as_id); }
u64 Generation(FakeMachine& m, unsigned as_id = 0) { return Slots(m, as_id)->generation; }

int Set(FakeMachine& m, u32 slot, u32 flags, u64 gpa, u64 size, u64 hva) {
  const vlm_memslot_request req{slot, flags, gpa, size, hva, VLM_SLOT_ZAP_ALL};
  return vlm_memslot_set(m.mmu(), &req);
}

constexpr u64 kHvaBytes = kHva << 12;

TEST_F(MemslotTest, RefusesWhatKvmRefuses) {
  EXPECT_EQ(Set(m, 0, 4, 0, 0x1000, kHvaBytes), -EINVAL) << "unknown flag";
  EXPECT_EQ(Set(m, 0, VLM_MEMSLOT_INVALID, 0, 0x1000, kHvaBytes), -EINVAL);
  EXPECT_EQ(Set(m, 0, 0, 0x800, 0x1000, kHvaBytes), -EINVAL) << "gpa alignment";
  EXPECT_EQ(Set(m, 0, 0, 0, 0x1800, kHvaBytes), -EINVAL) << "size alignment";
  EXPECT_EQ(Set(m, 0, 0, 0, 0x1000, kHvaBytes + 0x800), -EINVAL) << "hva alignment";
  EXPECT_EQ(Set(m, 32764, 0, 0, 0x1000, kHvaBytes), -EINVAL) << "slot number";
  EXPECT_EQ(Set(m, 2 << 16, 0, 0, 0x1000, kHvaBytes), -EINVAL) << "address space";
  EXPECT_EQ(Set(m, 0, 0, ~u64{0xfff}, 0x2000, kHvaBytes), -EINVAL) << "gpa wraps";
  EXPECT_EQ(Set(m, 0, 0, 0, 0x2000, ~u64{0xfff}), -EINVAL) << "hva wraps";
  EXPECT_EQ(Set(m, 0, 0, 0, u64{1} << 43, 0), -EINVAL) << "too many pages";
  EXPECT_EQ(Set(m, 0, 0, u64{1} << 46, 0x1000, kHvaBytes), -EINVAL) << "beyond MAXPHYADDR";
  EXPECT_EQ(Set(m, 0, 0, 0, 0, 0), -EINVAL) << "delete of nothing";
  EXPECT_EQ(Slots(m)->nr, 0u);
}

TEST_F(MemslotTest, OverlapIsRefusedWhereverItIs) {
  ASSERT_EQ(m.SetSlot(0, 100, 10, kHva), 0);
  ASSERT_EQ(m.SetSlot(1, 120, 10, kHva), 0);
  EXPECT_EQ(m.SetSlot(2, 95, 6, kHva), -EEXIST);
  EXPECT_EQ(m.SetSlot(2, 109, 1, kHva), -EEXIST);
  EXPECT_EQ(m.SetSlot(2, 105, 2, kHva), -EEXIST);
  EXPECT_EQ(m.SetSlot(2, 90, 100, kHva), -EEXIST);
  EXPECT_EQ(m.SetSlot(2, 110, 11, kHva), -EEXIST);
  EXPECT_EQ(m.SetSlot(2, 110, 10, kHva), 0);
  EXPECT_EQ(m.SetSlot(1 << 16, 100, 10, kHva), 0) << "another address space";
}

TEST_F(MemslotTest, ChangesThatAreNotAllowed) {
  ASSERT_EQ(m.SetSlot(0, 100, 10, kHva), 0);
  EXPECT_EQ(m.SetSlot(0, 100, 11, kHva), -EINVAL) << "size";
  EXPECT_EQ(m.SetSlot(0, 100, 10, kHva + 1), -EINVAL) << "hva";
  EXPECT_EQ(m.SetSlot(0, 100, 10, kHva, VLM_MEMSLOT_READONLY), -EINVAL) << "read-only";
  const u64 gen = Generation(m);
  EXPECT_EQ(m.SetSlot(0, 100, 10, kHva), 0) << "nothing changes";
  EXPECT_EQ(Generation(m), gen);
}

TEST_F(MemslotTest, AMoveMayNotOverlapTheOneBelow) {
  ASSERT_EQ(m.SetSlot(0, 100, 10, kHva), 0);
  ASSERT_EQ(m.SetSlot(1, 120, 10, kHva), 0);
  EXPECT_EQ(m.SetSlot(1, 105, 10, kHva), -EEXIST);
  ASSERT_EQ(m.SetSlot(1, 112, 10, kHva), 0);
  EXPECT_EQ(m.SetSlot(1, 109, 10, kHva), -EEXIST) << "the last below the end is itself";
  EXPECT_EQ(m.SetSlot(1, 110, 10, kHva), 0);
}

TEST_F(MemslotTest, MoveKeepsTheMemory) {
  Memory(100, 10, kHva);
  ASSERT_EQ(v.Write(Gpa(103)), Outcome::kDone);
  const u64 pfn = v.last_pfn();
  ASSERT_EQ(m.SetSlot(0, 205, 10, kHva), 0);
  EXPECT_EQ(v.Read(Gpa(103)), Outcome::kMmio);
  EXPECT_EQ(v.Read(Gpa(208)), Outcome::kDone);
  EXPECT_EQ(v.last_pfn(), pfn);
  ASSERT_EQ(m.SetSlot(0, 208, 10, kHva), 0) << "over itself";
  EXPECT_EQ(v.Read(Gpa(211)), Outcome::kDone);
  EXPECT_EQ(v.last_pfn(), pfn);
  ASSERT_EQ(m.SetSlot(1, 400, 10, kHva + 10), 0);
  EXPECT_EQ(m.SetSlot(0, 395, 10, kHva), -EEXIST);
}

// Slots that meet the pages [first, end) of the host: as the search by host address has them, and
// among all.
std::set<u32> FoundByHva(FakeMachine& m, u64 first, u64 end) {
  std::set<u32> ids;
  for (vlm_memslot* slot = vlm_memslot_first_hva(Slots(m), first << 12, end << 12); slot;
       slot = vlm_memslot_next_hva(Slots(m), slot, first << 12, end << 12))
    EXPECT_TRUE(ids.insert(slot->id).second) << "twice";
  return ids;
}
std::set<u32> InOrderOfFrames(FakeMachine& m, u64 first, u64 end) {
  std::set<u32> ids;
  u64 next_gfn = 0;
  u32 n = 0;
  for (vlm_memslot* slot = vlm_memslot_first(Slots(m)); slot;
       slot = vlm_memslot_next(Slots(m), slot), n++) {
    EXPECT_GE(slot->base_gfn, next_gfn);
    next_gfn = slot->base_gfn + slot->npages;
    const u64 page = slot->hva >> 12;
    if (page < end && first < page + slot->npages) ids.insert(slot->id);
  }
  EXPECT_EQ(n, Slots(m)->nr);
  return ids;
}

TEST_F(MemslotTest, FindsInBothOrders) {
  // Odd gfns by descending hva, some of which overlap.
  for (u32 i = 0; i < 100; i++) ASSERT_EQ(m.SetSlot(i, 1000 + 20 * i, 10, kHva + (100 - i) * 5), 0);
  vlm_memslots* slots = Slots(m);
  for (u32 i = 0; i < 100; i++) {
    ASSERT_EQ(vlm_memslot_find(slots, 1000 + 20 * i)->id, i);
    ASSERT_EQ(vlm_memslot_find(slots, 1009 + 20 * i)->id, i);
    ASSERT_EQ(vlm_memslot_find(slots, 1010 + 20 * i), nullptr);
  }
  EXPECT_EQ(vlm_memslot_find(slots, 999), nullptr);
  for (u32 round = 0; round < 2; round++) {
    for (u64 page = kHva; page < kHva + 520; page++)
      ASSERT_EQ(FoundByHva(m, page, page + 1), InOrderOfFrames(m, page, page + 1));
    // The other set must be the same.
    for (u32 i = round * 7; i < 100; i += 7) m.DeleteSlot(i);
  }
}

// Slots come and go at random, many over the same host memory.
TEST_F(MemslotTest, BothSearchesSurviveEveryOrder) {
  constexpr u32 kSlots = 60;
  std::mt19937 rng(1);
  std::array<bool, kSlots> present{};
  for (u32 step = 0; step < 3000; step++) {
    const u32 id = static_cast<u32>(rng() % kSlots);
    const u64 size = rng() % 8 ? 1 + rng() % 4 : 1 + rng() % 200;
    if (present[id]) {
      ASSERT_EQ(m.DeleteSlot(id), 0);
    } else {
      ASSERT_EQ(m.SetSlot(id, 1000 * u64{id}, size, kHva + rng() % 40), 0);
    }
    present[id] = !present[id];
    for (u32 i = 0; i < kSlots; i++) {
      const vlm_memslot* slot = vlm_memslot_find(Slots(m), 1000 * u64{i});
      ASSERT_EQ(slot && slot->id == i, present[i]) << "step " << step;
    }
    const u64 first = kHva + rng() % 240;
    for (const u64 end : {first + 1, first + 1 + rng() % 40})
      ASSERT_EQ(FoundByHva(m, first, end), InOrderOfFrames(m, first, end)) << "step " << step;
  }
}

TEST_F(MemslotTest, AllOfThem) {
  for (u32 i = 0; i < VLM_MEMSLOTS_MAX; i++)
    ASSERT_EQ(m.SetSlot(i, 16 * u64{i}, 16, kHva + 16 * u64{i}), 0);
  EXPECT_EQ(m.SetSlot(VLM_MEMSLOTS_MAX, 16 * u64{VLM_MEMSLOTS_MAX}, 16, kHva), -EINVAL);
  EXPECT_EQ(Slots(m)->nr, u32{VLM_MEMSLOTS_MAX});
  EXPECT_EQ(vlm_memslot_find(Slots(m), 16 * 12345 + 3)->id, 12345);
}

TEST_F(MemslotTest, GenerationsTellAgeAndAddressSpace) {
  EXPECT_NE(Generation(m, 0), Generation(m, 1));
  const u64 first = Generation(m);
  ASSERT_EQ(m.SetSlot(0, 0, 16, kHva), 0);
  EXPECT_EQ(Generation(m), first + VLM_AS_NUM);
  ASSERT_EQ(m.DeleteSlot(0), 0);
  EXPECT_EQ(Generation(m), first + 3 * VLM_AS_NUM) << "a delete is two updates";
  EXPECT_EQ(Generation(m, 1), 1u);
}

TEST_F(MemslotTest, UpdateIsVisibleInTheGenerationWhileItRuns) {
  Memory(0, 16, kHva);
  ASSERT_TRUE(v.Reload());
  ASSERT_EQ(v.Write(Gpa(1)), Outcome::kDone);
  Memory(kGib, 16, kHva + 4096, 1, 0, 1);
  ASSERT_EQ(v.Read(Gpa(kGib)), Outcome::kDone);
  int published = 0;
  m.on_publish = [&] {
    const vlm_memslot* slot = vlm_memslot_find(Slots(m), kGib);
    EXPECT_NE(Generation(m) & VLM_GEN_UPDATING, 0u);
    // First the slot gives nothing more, then it is gone; the vCPU has the other all the time.
    if (!published++) {
      EXPECT_EQ(slot->flags & VLM_MEMSLOT_INVALID, VLM_MEMSLOT_INVALID);
      EXPECT_EQ(v.Fault(Gpa(kGib + 1), VLM_ACCESS_READ), VLM_FAULT_RETRY);
    } else {
      EXPECT_EQ(slot, nullptr);
      EXPECT_EQ(v.Fault(Gpa(kGib + 1), VLM_ACCESS_READ), VLM_FAULT_EMULATE);
    }
    EXPECT_EQ(v.Write(Gpa(2)), Outcome::kDone);
  };
  ASSERT_EQ(m.DeleteSlot(1), 0);
  EXPECT_EQ(published, 2);
  m.on_publish = nullptr;
  EXPECT_EQ(v.Read(Gpa(kGib + 1)), Outcome::kMmio);
  m.CheckTables();
}

TEST_F(MemslotTest, MmioGenerationWrapZapsOnceAndNothingStaleHits) {
  Memory(0, 16, kHva);
  // Close to the wrap of the 19 bits.
  for (auto& set : m.mmu()->space[0].sets) set.generation = VLM_MMIO_GEN_MASK + 1 - 2 * VLM_AS_NUM;
  ASSERT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  const u64 zaps = m.Stat(VLM_STAT_ZAP_ALL_FAST);
  Memory(1000, 16, kHva + 1000, 1, 0, 1);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), zaps);
  Memory(2000, 16, kHva + 2000, 1, 0, 2);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), zaps + 1);
  EXPECT_EQ(m.mmu()->mmio_gen_zaps, 1u);
  EXPECT_EQ(m.CountLeaves(), 0u);
  Memory(3000, 16, kHva + 3000, 1, 0, 3);
  EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), zaps + 1);
  const u64 faults = v.Count(VLM_PF_TAKEN);
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  EXPECT_EQ(v.Count(VLM_PF_TAKEN), faults + 1) << "an entry of the last round was believed";
}

TEST_F(MemslotTest, SkippedGenerationsLeadToTheWrapAndNeverBack) {
  Memory(0, 16, kHva);
  vlm_mmu* mmu = m.mmu();
  const u64 round = (u64{VLM_MMIO_GEN_MASK} + 1) / VLM_AS_NUM;
  EXPECT_EQ(vlm_generation_updates_left(vlm_generation_first(1)), round);
  EXPECT_EQ(vlm_generation_updates_left(Generation(m)), round - 1);
  EXPECT_EQ(vlm_memslots_skip_generations(mmu, round), -EINVAL) << "back";
  EXPECT_EQ(vlm_memslots_skip_generations(mmu, 0), -EINVAL);
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  ASSERT_EQ(vlm_memslots_skip_generations(mmu, 3), 0);
  EXPECT_EQ(vlm_memslots_skip_generations(mmu, 4), -EINVAL);
  EXPECT_EQ(vlm_generation_updates_left(Generation(m, 0)), 3u);
  EXPECT_EQ(vlm_generation_updates_left(Generation(m, 1)), 3u);
  EXPECT_NE(Generation(m, 0) % VLM_AS_NUM, Generation(m, 1) % VLM_AS_NUM);
  const u64 faults = m.Stat(VLM_PF_TAKEN), zaps = m.Stat(VLM_STAT_ZAP_ALL_FAST);
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  EXPECT_EQ(m.Stat(VLM_PF_TAKEN), faults + 1)
      << "an entry of a generation that passed was believed";
  for (u32 i = 1; i <= 4; i++) {
    Memory(1000 * i, 16, kHva + 1000 * i, 1, 0, i);
    EXPECT_EQ(m.Stat(VLM_STAT_ZAP_ALL_FAST), zaps + (i >= 3)) << i;
  }
  EXPECT_EQ(vlm_memslots_skip_generations(mmu, round), -EINVAL);
  EXPECT_EQ(vlm_memslots_skip_generations(mmu, round - 1), -EINVAL) << "one space has not wrapped";
}

TEST_F(MemslotTest, MmioEntryMadeDuringAnUpdateNeverHits) {
  const u64 gen = 1000 | VLM_GEN_UPDATING;
  const u64 spte = vlm_spte_make_mmio(&vlm_spte_ept, gen);
  EXPECT_FALSE(vlm_generation_matches(gen, spte));
  EXPECT_FALSE(vlm_generation_matches(vlm_generation_next(gen), spte));
  EXPECT_TRUE(vlm_generation_matches(1000, spte));
}

// The zap of a wrap breaks the lock, and a vCPU that comes then still sees the old number.
TEST_F(MemslotTest, MmioAccessDuringTheWrapLeavesNothingBehind) {
  const u64 last = VLM_MMIO_GEN_MASK + 1 - VLM_AS_NUM;
  Memory(0, 16, kHva);
  ASSERT_EQ(v.Read(Gpa(3)), Outcome::kDone);
  for (auto& set : m.mmu()->space[0].sets) set.generation = last;
  int visits = 0;
  m.on_cut_off = [&] {
    visits++;
    EXPECT_EQ(v.Read(Gpa(100)), Outcome::kMmio);
  };
  Memory(1000, 16, kHva + 1000, 1, 0, 1);
  m.on_cut_off = nullptr;
  ASSERT_EQ(visits, 1);
  Memory(100, 16, kHva + 2000, 1, 0, 2);
  // As many updates later the number comes round.
  for (auto& set : m.mmu()->space[0].sets) set.generation = VLM_MMIO_GEN_MASK + 1 + last;
  EXPECT_EQ(v.Read(Gpa(100)), Outcome::kDone) << "an entry made during the wrap was believed";
}

TEST_F(MemslotTest, OutOfMemoryLeavesNoTrace) {
  Memory(0, 16, kHva);
  for (u32 i = 1; i < 16; i++) ASSERT_EQ(m.SetSlot(i, 100 * i, 16, kHva), 0);
  const long live = shim_alloc_live();
  for (long n = 0; n < 20; n++) {
    shim_alloc_fail_after(n);
    const int err = m.SetSlot(70, 10000, 160, kHva, VLM_MEMSLOT_LOG_DIRTY);
    shim_alloc_fail_after(-1);
    if (!err) {
      EXPECT_EQ(n, 3) << "slot, log, room for numbers";
      break;
    }
    EXPECT_EQ(err, -ENOMEM);
    EXPECT_EQ(vlm_memslot_find(Slots(m), 10000), nullptr);
    EXPECT_EQ(vlm_memslot_by_id(m.mmu(), 70), nullptr);
    // Room for numbers may have grown; nothing else stays.
    EXPECT_LE(shim_alloc_live(), live + 1);
  }
  EXPECT_EQ(vlm_memslot_find(Slots(m), 10005)->id, 70);
  for (long n = 0; n < 3; n++) {
    shim_alloc_fail_after(n);
    const int err = m.SetSlot(70, 20000, 160, kHva, VLM_MEMSLOT_LOG_DIRTY);
    shim_alloc_fail_after(-1);
    if (!err) break;
    EXPECT_EQ(vlm_memslot_find(Slots(m), 10005)->id, 70);
  }
  shim_alloc_fail_after(0);
  EXPECT_EQ(m.DeleteSlot(70), -ENOMEM);
  shim_alloc_fail_after(-1);
  EXPECT_EQ(m.DeleteSlot(70), 0);
}

TEST_F(MemslotTest, FitLevel) {
  vlm_memslot slot{};
  slot.base_gfn = kGib + kMib2;
  slot.npages = 3 * kGib;
  slot.hva = (kHva + kMib2) << 12;
  EXPECT_EQ(vlm_memslot_fit_level(&slot, kGib + kMib2, 3), 2);
  EXPECT_EQ(vlm_memslot_fit_level(&slot, 2 * kGib, 3), 3);
  EXPECT_EQ(vlm_memslot_fit_level(&slot, 2 * kGib, 2), 2);
  EXPECT_EQ(vlm_memslot_fit_level(&slot, 4 * kGib, 3), 2) << "the end is not covered";
  slot.hva += 4096;
  EXPECT_EQ(vlm_memslot_fit_level(&slot, 2 * kGib, 3), 1);
}

}  // namespace
}  // namespace fakes
