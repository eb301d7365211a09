// SPDX-License-Identifier: GPL-2.0-or-later
// Random operations on one machine, every one followed by the judges; yields and allocation
// failures anywhere. VELLUM_SEED repeats a run, VELLUM_OPS makes it longer.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "test_layout.h"

namespace fakes {
namespace {

u64 FromEnv(const char* name, u64 otherwise) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : otherwise;
}

class RandomMachine {
 public:
  RandomMachine(u64 seed, const MachineOptions& options) : rng_(seed), m(options) {
    for (int i = 0; i < 3; i++) m.AddVcpu();
    for (u32 i = 0; i < kSlots; i++) Rehost(i);
    m.break_mode = FakeMachine::Break::kRandom;
    // What other threads do while a zap or a notifier has dropped the lock.
    m.on_resched = [this] {
      if (depth_ > 1) return;
      depth_++;
      for (int i = 0; i < 3; i++) Touch();
      depth_--;
    };
  }

  void Step() {
    if (Below(16) == 0) shim_alloc_fail_after(static_cast<long>(Below(8)));
    switch (Below(20)) {
      case 0:
        Slot(static_cast<u32>(Below(kSlots)));
        break;
      case 1:
      case 2:
        Drop();
        break;
      case 3:
        ChangeLevel();
        break;
      case 4:
        Protect();
        break;
      case 5:
        Age();
        break;
      case 6:
        Harvest();
        break;
      case 7:
        if (Below(8) == 0) m.Settle();
        break;
      default:
        for (int i = 0; i < 4; i++) Touch();
    }
    shim_alloc_fail_after(-1);
  }

  FakeMachine& machine() { return m; }

 private:
  static constexpr u32 kSlots = 6;
  static constexpr u64 kSlotPages = 3 * kMib2 + 77;
  static constexpr u64 kStride = 4 * kMib2;

  u64 Below(u64 n) { return rng_() % n; }
  u64 HvaOf(u32 slot) const { return kHva + slot * kStride; }
  void Rehost(u32 slot) { m.host().Map(HvaOf(slot), kSlotPages, 1 + static_cast<int>(Below(2))); }

  void Slot(u32 slot) {
    switch (Below(4)) {
      case 0:
        m.DeleteSlot(slot);
        break;
      case 1:  // create or move
        m.SetSlot(slot, Below(2 * kSlots) * kStride + Below(2) * 33, kSlotPages, HvaOf(slot),
                  Below(2) ? VLM_MEMSLOT_LOG_DIRTY : 0);
        break;
      default: {
        const vlm_memslot* s = vlm_memslot_by_id(m.mmu(), slot);
        const u64 gfn = s ? s->base_gfn : Below(2 * kSlots) * kStride;
        m.SetSlot(slot, gfn, kSlotPages, HvaOf(slot), Below(2) ? VLM_MEMSLOT_LOG_DIRTY : 0);
      }
    }
  }

  void Touch() {
    const u64 gfn = Below(2 * kSlots) * kStride + (Below(4) ? Below(40) * 40 : Below(kSlotPages));
    const u32 access[] = {VLM_ACCESS_READ, VLM_ACCESS_WRITE, VLM_ACCESS_EXEC};
    FakeVcpu& v = m.vcpu(Below(3));
    const Outcome out = v.Access(Gpa(gfn), access[Below(3)]);
    if (out == Outcome::kStuck && !depth_) shim_violation("PROGRESS", "an access never ends");
  }

  void Drop() {
    const u64 at = Below(kSlotPages), n = 1 + Below(Below(4) ? 8 : kSlotPages);
    m.host().Drop(HvaOf(static_cast<u32>(Below(kSlots))) + at, std::min(n, kSlotPages - at));
  }
  void ChangeLevel() {
    m.host().ChangeLevel(HvaOf(static_cast<u32>(Below(kSlots))), kSlotPages,
                         1 + static_cast<int>(Below(2)));
  }
  void Protect() {
    const u64 at = Below(kSlotPages);
    m.host().Protect(HvaOf(static_cast<u32>(Below(kSlots))) + at,
                     std::min<u64>(20, kSlotPages - at));
  }
  void Age() {
    SlotsReader reader(&m);
    const unsigned long start = HvaOf(static_cast<u32>(Below(kSlots))) << 12;
    if (Below(2))
      vlm_notifier_clear_young(m.mmu(), start, start + (kSlotPages << 12));
    else
      vlm_notifier_test_young(m.mmu(), start, start + (kSlotPages << 12));
  }
  void Harvest() {
    const vlm_memslot* s = vlm_memslot_by_id(m.mmu(), static_cast<u32>(Below(kSlots)));
    if (!s || !s->dirty) return;
    unsigned long words[(kSlotPages + 63) / 64];
    vlm_memslot_harvest(m.mmu(), s, 0, std::size(words), words);
  }

  std::mt19937_64 rng_;
  FakeMachine m;
  int depth_ = 0;
};

class RandomTest : public ::testing::TestWithParam<bool> {};

TEST_P(RandomTest, ManyOperations) {
  const u64 seed = FromEnv("VELLUM_SEED", std::random_device{}());
  const u64 ops = FromEnv("VELLUM_OPS", 1500);
  printf("VELLUM_SEED=%llu\n", seed);
  fflush(stdout);
  MachineOptions options;
  options.ept_ad = GetParam();
  RandomMachine r(seed, options);
  for (u64 i = 0; i < ops; i++) {
    r.Step();
    if (i % 16 == 0) r.machine().CheckTables();
  }
  r.machine().on_resched = nullptr;
}

INSTANTIATE_TEST_SUITE_P(Formats, RandomTest, ::testing::Bool(),
                         [](const auto& format) { return format.param ? "WithAd" : "WithoutAd"; });

}  // namespace
}  // namespace fakes
