// SPDX-License-Identifier: GPL-2.0-or-later
// The platform of one huge machine: everything in constant time and nothing judged, so that what
// is measured is the MMU. Tables come from an arena; the host maps guest memory by a rule instead
// of by a data structure; somebody always waits for the lock. One thread.
#ifndef TESTS_SCALE_LEAN_PLATFORM_H_
#define TESTS_SCALE_LEAN_PLATFORM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kmod_mmu.h"

namespace scale {

// Host virtual address of the guest's first byte; aligned for every page size.
inline constexpr u64 kHvaBase = 0x1000'0000'0000;

// Holds of the mmu lock by the number of entries that were visited.
struct Holds {
  u64 count = 0;
  u64 visited = 0;
  u64 longest = 0;
  // 0, 1, 2-3, 4-7, ... 16384 and more.
  std::array<u64, 16> log2{};

  void Note(u64 entries);
  void Add(const Holds& other);
};

class LeanMachine {
 public:
  explicit LeanMachine(size_t vcpus);
  ~LeanMachine();
  LeanMachine(const LeanMachine&) = delete;
  LeanMachine& operator=(const LeanMachine&) = delete;

  static LeanMachine& Current();

  vlm_mmu* mmu() { return &mmu_; }
  size_t vcpus() const { return vcpus_.size(); }
  // One access of a vCPU, until it succeeds.
  void Touch(size_t vcpu, u64 gpa, uint32_t access);
  int SetSlot(uint32_t slot, u64 gpa, u64 bytes, uint32_t flags,
              vlm_slot_zap zap = VLM_SLOT_ZAP_ALL);

  // How the host maps hva: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
  int host_level = 2;
  // Holds since it was last cleared.
  Holds holds;
  u64 flushes = 0;
  bool reclaim_wanted = false;

  u64 tables_live() const { return tables_live_; }
  u64 tables_peak() const { return tables_peak_; }

  // The platform services.
  u64* AllocTable();
  void FreeTable(u64* table);
  u64 PaOf(const u64* table) const;
  u64* VaOf(u64 pa) const;
  void*& OwnerOf(const u64* table);
  void RequestReload();
  void FlushTlbs();
  void Resched();

 private:
  struct Vcpu {
    vlm_mmu_vcpu mv{};
    bool reload = true;
    u64 flushes = 0;
  };
  static void OnUnlock(const void* lock);

  vlm_mmu mmu_{};
  std::vector<Vcpu> vcpus_;
  char* arena_;
  void** owners_;
  size_t next_ = 0;
  std::vector<uint32_t> free_;
  u64 tables_live_ = 0;
  u64 tables_peak_ = 0;
};

}  // namespace scale

#endif  // TESTS_SCALE_LEAN_PLATFORM_H_
