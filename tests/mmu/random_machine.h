// SPDX-License-Identifier: GPL-2.0-or-later
// Random operations on one machine, each judged: a model of the slots says what a request must
// answer, the oracle and the host say what an access must find, a shadow of the dirty log what a
// harvest must report. The lock breaks, allocations fail and other threads' work comes in between
// anywhere. The same seed repeats the same run.
#ifndef TESTS_MMU_RANDOM_MACHINE_H_
#define TESTS_MMU_RANDOM_MACHINE_H_

#include <array>
#include <bitset>
#include <memory>
#include <random>
#include <vector>

#include "test_layout.h"

namespace fakes {

enum class RandomOp {
  kAccess,
  kFault,
  kDrop,
  kChangeLevel,
  kProtect,
  kAge,
  kSlotCreate,
  kSlotDelete,
  kSlotMove,
  kLogStart,
  kLogStop,
  kHarvest,
  kNxRecover,
  kNxToggle,
  kInvalidateAll,
  kMmioWrap,
  kReclaim,
  kReload,
  kSwitchSpace,
  kReplaceVcpu,
  kGracePeriod,
  kCount,
};
inline constexpr size_t kRandomOps = static_cast<size_t>(RandomOp::kCount);
const char* RandomOpName(RandomOp op);

// What was done. One access of the guest is one operation, as is one call of the host or the VMM;
// those that come in between, while another one has dropped the lock, count as well.
struct RandomCounts {
  std::array<u64, kRandomOps> ops{};
  u64 exits = 0;               // accesses that reached the MMU
  u64 in_between = 0;          // of all operations, those inside another one
  u64 failed_allocations = 0;  // operations that ran out of memory and said so
  // The MMU's own, by word of vlm_mmu_stat_block().
  std::array<u64, sizeof(vlm_mmu_stats) / sizeof(u64)> stats{};

  u64 Total() const;
  void Add(const RandomCounts& other);
};

class RandomMachine {
 public:
  // Bit 0 of the seed chooses EPT with accessed and dirty flags, with it bit 3 logs by the
  // hardware; one in four machines has five levels.
  explicit RandomMachine(u64 seed);
  ~RandomMachine();
  RandomMachine(const RandomMachine&) = delete;
  RandomMachine& operator=(const RandomMachine&) = delete;

  // Goes on until this many operations were done since the beginning.
  void RunTo(u64 operations);
  u64 operations() const { return counts_.Total(); }
  // With the machine's own statistics.
  RandomCounts counts() const;

 private:
  static constexpr size_t kVcpus = 3;
  // The last two are in the address space of system-management mode, backed by the first two.
  static constexpr size_t kSlots = 8;
  static constexpr size_t kSmmSlots = 2;
  static constexpr size_t kAreas = kSlots - kSmmSlots;
  static constexpr u64 kSlotPages = 3 * kMib2 + 77;
  static constexpr u64 kWords = (kSlotPages + 63) / 64;
  static constexpr u64 kStride = 4 * kMib2;
  static constexpr u64 kPlaces = 2 * kAreas;

  struct SlotModel {
    bool present = false;
    u64 gfn = 0;
    u32 flags = 0;
    // Written by the guest while logged, and not harvested since.
    std::bitset<kWords * 64> written;
  };
  struct Kind {
    RandomOp op;
    u32 weight;
    void (RandomMachine::*run)();
  };
  static const Kind kKinds[];

  u64 Below(u64 n) { return rng_() % n; }
  bool OneIn(u64 n) { return Below(n) == 0; }
  void Count(RandomOp op);

  static u32 AsOf(size_t slot) { return slot < kAreas ? 0 : 1; }
  static u32 IdOf(size_t slot) {
    return slot < kAreas ? static_cast<u32>(slot) : 0x10000 | static_cast<u32>(slot - kAreas);
  }
  static u64 HvaOf(size_t slot) { return kHva + slot % kAreas * kStride; }
  // One that no operation further out is running on.
  size_t FreeVcpu();
  u64 RandomHva() { return HvaOf(Below(kAreas)); }
  u64 RandomGfn(size_t vcpu);
  size_t SlotAt(u32 as_id, u64 gfn) const;
  bool Overlaps(size_t slot, u64 gfn) const;

  void Step();
  void InBetween();
  // The operations.
  void Access();
  void Fault();
  void Drop();
  void ChangeLevel();
  void Protect();
  void Age();
  void ChangeSlot();
  void Harvest();
  void NxRecover();
  void NxToggle();
  void InvalidateAll();
  void MmioWrap();
  void Reclaim();
  void Reload();
  void SwitchSpace();
  void ReplaceVcpu();
  void GracePeriod();

  int Set(size_t slot, u64 gfn, u64 npages, u32 flags, int expected);
  void CheckAccess(size_t vcpu, u64 gfn, u32 access, Outcome out);
  void CheckPage(u32 as_id, u64 gfn, u64 pfn, bool write);
  void CheckAll();

  std::mt19937_64 rng_;
  RandomCounts counts_;
  std::vector<u8> lot_;
  std::array<SlotModel, kSlots> slots_;
  std::array<std::array<u64, 8>, kVcpus> recent_{};
  std::array<bool, kVcpus> busy_{};
  size_t changing_ = kSlots;  // slot that an update is about: what it is changes at some moment
  int depth_ = 0;             // operations that this one is inside of
  bool failing_ = false;      // allocations fail sooner or later in this operation
  u64 next_check_ = 0;
  FakeMachine m;
};

}  // namespace fakes

#endif  // TESTS_MMU_RANDOM_MACHINE_H_
