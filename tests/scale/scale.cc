// SPDX-License-Identifier: GPL-2.0-or-later
#include "scale.h"

#include <algorithm>
#include <chrono>
#include <random>

namespace scale {
namespace {

// The slots: two halves of the dense part, and the rest in pieces.
constexpr uint32_t kDenseA = 0, kDenseB = 1, kRest = 2;
constexpr u64 kLargestSlot = 4096 * kGib;
// Entries that a cut-off may look at: none for the whole machine; for one slot, by its alignment,
// two tables a level.
constexpr u64 kCutOffMost = u64{2} * VLM_TABLE_ENTRIES * VLM_LEVEL_MAX;
// Huge pages that code is in.
constexpr u64 kExecuted = 256;
// Pages that the guest writes between two harvests.
constexpr int kDirtied = 8192;

class Guest {
 public:
  explicit Guest(const GuestOptions& options) : o_(options), m(options.vcpus) {}

  Life Run() {
    CreateSlots();
    vlm_mmu_set_nx(m.mmu(), VLM_NX_ON);
    Measure("populate", [&] { return Populate(); });
    Measure("execute in huge pages", [&] { return Execute(); });
    Measure("recover NX huge pages", [&] { return RecoverNx(); });
    CutOff("invalidate all", [&] { vlm_zap_all_fast(m.mmu()); });

    vlm_mmu_set_nx(m.mmu(), VLM_NX_OFF);
    m.reclaim_wanted = false;
    Measure("populate again", [&] { return Populate(); });
    const u64 before = m.tables_live();
    Measure("dirty log on", [&] {
      LogDense(VLM_MEMSLOT_LOG_DIRTY);
      return 1;
    });
    life_.dense_tables = m.tables_live() - before + o_.dense_bytes / kGib;
    Measure("write to logged pages", [&] { return Dirty(); });
    Measure("harvest", [&] { return Harvest(kDenseA); });
    Measure("age 2 MiB", [&] { return Age(0, kMib2); });
    Measure("host takes 4 KiB", [&] { return Invalidate(0, 4096); });
    Measure("host takes 1 GiB", [&] { return Invalidate(o_.dense_bytes / 4, kGib); });
    Measure("dirty log off, half", [&] {
      m.SetSlot(kDenseB, o_.dense_bytes / 2, o_.dense_bytes / 2, 0);
      return 1;
    });
    CutOff("delete a slot alone", [&] { m.SetSlot(kDenseA, 0, 0, 0, VLM_SLOT_ZAP_OWN); });
    CutOff("delete a slot", [&] { m.SetSlot(kDenseB, 0, 0, 0); });
    life_.tables_peak = m.tables_peak();
    return std::move(life_);
  }

 private:
  template <typename Do>
  void Measure(const char* what, const Do& run) {
    m.holds = {};
    const auto begin = std::chrono::steady_clock::now();
    Cost cost;
    cost.what = what;
    cost.calls = run();
    cost.ns = static_cast<u64>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
    cost.holds = m.holds;
    if (cost.holds.longest > kHoldBudget)
      shim_violation("G7",
                     (cost.what + ": held for " + std::to_string(cost.holds.longest)).c_str());
    shim_rcu_barrier();
    life_.costs.push_back(std::move(cost));
  }

  // What the caller pays, and what is left to the reclaimer.
  template <typename Do>
  void CutOff(const char* what, const Do& run) {
    Measure(what, [&] {
      run();
      return 1;
    });
    if (life_.costs.back().holds.visited > kCutOffMost || !m.reclaim_wanted)
      shim_violation("SCALE", "the cost of a cut-off grows");
    m.reclaim_wanted = false;
    const std::string rest = std::string(what) + ": reclaim";
    Measure(rest.c_str(), [&] {
      vlm_mmu_reclaim(m.mmu());
      return 1;
    });
  }

  void Create(uint32_t slot, u64 gpa, u64 bytes) {
    if (m.SetSlot(slot, gpa, bytes, 0)) shim_violation("SCALE", "a slot was refused");
  }

  void CreateSlots() {
    Create(kDenseA, 0, o_.dense_bytes / 2);
    Create(kDenseB, o_.dense_bytes / 2, o_.dense_bytes / 2);
    uint32_t slot = kRest;
    for (u64 at = o_.dense_bytes; at < o_.bytes; at += kLargestSlot)
      Create(slot++, at, std::min(kLargestSlot, o_.bytes - at));
  }

  // One fault per 2-MiB page, by all vCPUs in turn.
  u64 Populate() {
    u64 n = 0;
    for (u64 gpa = 0; gpa < o_.bytes; gpa += kMib2) m.Touch(n++ % m.vcpus(), gpa, VLM_ACCESS_WRITE);
    return n;
  }

  // Under the NX mitigation a page of code splits the huge page it is in.
  u64 Execute() {
    const u64 step = o_.bytes / kExecuted / kMib2 * kMib2;
    for (u64 i = 0; i < kExecuted; i++) m.Touch(i % m.vcpus(), i * step, VLM_ACCESS_EXEC);
    return kExecuted;
  }

  // All that there are, in place; the number of huge pages that are back.
  u64 RecoverNx() {
    u64 quota = vlm_mmu_nx_quota(m.mmu(), 1);
    const u64 all = quota;
    while (quota) quota = vlm_mmu_recover_nx(m.mmu(), quota, VLM_NX_IN_PLACE);
    if (all != kExecuted || vlm_mmu_nx_quota(m.mmu(), 1))
      shim_violation("SCALE", "huge pages were not recovered");
    return all;
  }

  void LogDense(uint32_t flags) {
    m.SetSlot(kDenseA, 0, o_.dense_bytes / 2, flags);
    m.SetSlot(kDenseB, o_.dense_bytes / 2, o_.dense_bytes / 2, flags);
  }

  u64 Dirty() {
    const u64 pages = o_.dense_bytes / 2 / 4096;
    for (size_t i = 0; i < kDirtied; i++)
      m.Touch(i % m.vcpus(), rng_() % pages * 4096, VLM_ACCESS_WRITE);
    return kDirtied;
  }

  u64 Harvest(uint32_t id) {
    const vlm_memslot* slot = vlm_memslot_by_id(m.mmu(), id);
    const u64 words = (slot->npages + 63) / 64;
    constexpr u64 kChunk = 512;
    unsigned long out[kChunk];
    for (u64 at = 0; at < words; at += kChunk)
      vlm_memslot_harvest(m.mmu(), slot, at, std::min(kChunk, words - at), out);
    return words;
  }

  u64 Age(u64 gpa, u64 bytes) {
    vlm_notifier_clear_young(m.mmu(), kHvaBase + gpa, kHvaBase + gpa + bytes);
    return 1;
  }

  u64 Invalidate(u64 gpa, u64 bytes) {
    vlm_notifier_begin(m.mmu(), kHvaBase + gpa, kHvaBase + gpa + bytes, VLM_NOTIFIER_MAY_BLOCK);
    vlm_notifier_end(m.mmu(), kHvaBase + gpa, kHvaBase + gpa + bytes);
    return 1;
  }

  GuestOptions o_;
  LeanMachine m;
  Life life_;
  std::mt19937_64 rng_{1};
};

}  // namespace

Life LiveThrough(const GuestOptions& options) { return Guest(options).Run(); }

}  // namespace scale
