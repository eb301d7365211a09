// SPDX-License-Identifier: GPL-2.0-or-later
// A machine around one MMU: the platform services, vCPUs with TLBs, and the judges.
//
// Rules that end the test when broken, by the names of the MMU's invariants:
//   G1  a vCPU uses a frame that the host took back
//   G2  a table is freed while somebody may walk it
//   G3  the frame of a present leaf changes in place
//   G6  the mmu lock is dropped while a TLB holds what the tables no longer say
#ifndef TESTS_FAKES_FAKE_MACHINE_H_
#define TESTS_FAKES_FAKE_MACHINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include "ept_oracle.h"
#include "fake_host.h"
#include "kmod_mmu.h"
#include "mutex.h"

namespace fakes {

class FakeMachine;

// The read section of memslots: a sleepable RCU with two counters.
class SlotsGate {
 public:
  int Enter();
  void Leave(int index);
  void Sync();

 private:
  std::atomic<int> index_{0};
  std::atomic<int> readers_[2] = {0, 0};
  Mutex sync_;
};

class SlotsReader {
 public:
  explicit SlotsReader(FakeMachine* machine);
  ~SlotsReader();
  SlotsReader(const SlotsReader&) = delete;
  SlotsReader& operator=(const SlotsReader&) = delete;

 private:
  SlotsGate* gate_;
  int index_;
};

enum class Outcome { kDone, kMmio, kError, kStuck };

class FakeVcpu {
 public:
  explicit FakeVcpu(FakeMachine* machine);
  ~FakeVcpu();

  // The guest accesses the byte at `gpa`, with as many exits as it takes, but no more than `tries`.
  Outcome Access(u64 gpa, uint32_t access, int tries = 1000);
  Outcome Read(u64 gpa) { return Access(gpa, VLM_ACCESS_READ); }
  Outcome Write(u64 gpa) { return Access(gpa, VLM_ACCESS_WRITE); }
  Outcome Exec(u64 gpa) { return Access(gpa, VLM_ACCESS_EXEC); }
  // One exit of an access that does not hit: what the MMU answered. Does not retry.
  vlm_fault_result Fault(u64 gpa, uint32_t access);
  // What the vCPU does before entry. False when out of memory.
  bool Reload();
  // Drops the root; the guest cannot run before the next Reload().
  void Unload();
  // Enters (1) or leaves (0) system-management mode.
  void SetAddressSpace(uint8_t as_id);

  // Frame of the last access that was done.
  u64 last_pfn() const { return last_pfn_; }
  u64 eptp() const { return vlm_mmu_vcpu_eptp(&mv_); }
  vlm_mmu_vcpu* mv() { return &mv_; }
  vlm_dirty_ring* ring() { return &ring_; }
  // What the hardware logged goes to the dirty logs, as whenever the guest is left.
  void DrainLog();
  // The ring of the vCPU whose exit this thread handles.
  static vlm_dirty_ring* CurrentRing();
  u64 Count(vlm_pf_stat stat) const { return mv_.stats.v[stat]; }
  size_t tlb_entries();
  int exits() const { return exits_; }

 private:
  friend class FakeMachine;
  struct TlbEntry {
    u64 page;
    u64 pfn;
    bool r, w, x, dirty;
    EptTables tables;
  };
  enum class Entry { kHit, kViolation, kMisconfig, kReload, kLogFull };

  Entry TryInGuest(u64 gpa, uint32_t access);
  void FlushLocked();

  FakeMachine* machine_;
  vlm_mmu_vcpu mv_{};
  vlm_dirty_ring ring_{};
  // Held while the vCPU runs guest code: whoever takes it has waited for the vCPU to leave.
  std::mutex guest_;
  std::vector<TlbEntry> tlb_;
  // "Page-Modification Logging", the oldest first.
  std::vector<u64> log_;
  // Held from when the log is taken to when its pages are marked: whoever drains it then has to
  // wait.
  Mutex drain_;
  size_t tlb_victim_ = 0;
  bool reload_ = true;      // requested: drops all translations before the guest runs again
  bool reloading_ = false;  // the request was taken and is being served
  u64 loaded_eptp_ = 0;
  u64 last_pfn_ = 0;
  int exits_ = 0;
};

struct MachineOptions {
  bool ept_ad = true;
  bool ept_2m = true;
  bool ept_1g = true;
  bool five_level = false;
  bool pml = false;
  // One thread only: then TLBs are checked whenever the mmu lock is dropped, and splits in full.
  bool single_threaded = true;
};

class FakeMachine {
 public:
  explicit FakeMachine(const MachineOptions& options = {});
  ~FakeMachine();

  static FakeMachine* Of(vlm_mmu* mmu);
  // The one machine that exists.
  static FakeMachine* Current();

  vlm_mmu* mmu() { return &embedded_.mmu; }
  const vlm_mmu* mmu() const { return &embedded_.mmu; }
  FakeHost& host() { return host_; }
  SlotsGate& gate() { return gate_; }
  Mutex& slots_lock() { return slots_lock_; }

  FakeVcpu& AddVcpu();
  FakeVcpu& vcpu(size_t i) { return *vcpus_[i]; }
  size_t nr_vcpus() const { return vcpus_.size(); }
  // Destroys a vCPU and makes a new one in its place.
  void ReplaceVcpu(size_t i) { vcpus_[i] = std::make_unique<FakeVcpu>(this); }

  // KVM_SET_USER_MEMORY_REGION; pages and frame numbers, 0 pages delete.
  int SetSlot(uint32_t slot, u64 gfn, u64 npages, u64 hva_page, uint32_t flags = 0);
  // What goes with a slot that is deleted or moved from now on.
  vlm_slot_zap slot_zap = VLM_SLOT_ZAP_ALL;
  int DeleteSlot(uint32_t slot) { return SetSlot(slot, 0, 0, 0); }
  u64 Stat(vlm_mmu_stat stat) const { return vlm_stat_read(&embedded_.mmu.stats, stat); }
  // Of all vCPUs.
  u64 Stat(vlm_pf_stat stat) const;
  // Frees what waits for a grace period.
  void Settle() { shim_rcu_barrier(); }

  // Compares all tables with slots and host: every present leaf must be what the host maps.
  void CheckTables();
  // Compares every TLB with the tables.
  void CheckTlbs();
  // An entry lost its frame or a permission: only then can a TLB have become stale.
  void NoteTranslationLost() { translation_lost_.store(true, std::memory_order_relaxed); }
  // No TLB in use and no valid root may lead to a frame that the host took back; with `defunct`
  // no other root either.
  enum class Roots { kValid, kDefunctToo };
  void CheckNothingLeadsToFreeFrames(Roots roots);
  // A CPU has written to the page, and logged that, while it ran guest code.
  bool IsInHardwareLog(u32 as_id, u64 gfn);
  // No TLB lets a page of a logged slot be written whose bit is not set.
  void CheckWritesAreSeen();
  // A vCPU whose root is invalid must have been told to reload, unless a writer is about to.
  void CheckNobodyRunsOnInvalidRoots();
  // The number of present leaves, counted by walking.
  u64 CountLeaves();
  // True if a vCPU's TLB was filled through the table.
  bool TlbUses(u64 table_pa);
  // Counters must agree with what is there.
  void CheckStats();

  // Behaviour of the services.
  enum class Break { kNever, kAlways, kRandom };
  std::atomic<Break> break_mode{Break::kNever};
  // Whether a thread stands ready to run vlm_mmu_reclaim(), and whether it was asked to.
  bool has_reclaimer = false;
  bool reclaim_wanted = false;
  // Called when a table was linked, with all that is held then.
  std::function<void(vlm_mmu_page*)> on_link;
  // vCPUs that the machine does not know, such as those with shadow tables.
  std::function<void()> on_flush, on_reload, on_unlock;
  std::function<bool(u64 table_pa)> holds_table;
  // What the MMU told about itself, by event.
  struct Traced {
    std::atomic<u64> page_create{0}, page_zap{0}, zap_all_fast{0}, fault{0}, nx_recovery{0};
    std::atomic<u64> slot_update{0}, root[VLM_ROOT_FREED + 1]{};
  } traced;
  // Called while the mmu lock is dropped in a yield.
  std::function<void()> on_resched;
  // A set of slots was published; readers may still be in the old one.
  std::function<void()> on_publish;
  // All was cut off, without a lock.
  std::function<void()> on_cut_off;
  std::atomic<u64> flushes{0};
  std::atomic<u64> reloads{0};
  std::atomic<bool> killed{false};
  bool expect_kill = false;

  bool single_threaded() const { return options_.single_threaded; }
  bool hardware_logs() const { return options_.pml; }
  void DrainLogs();
  void FlushAll();
  void ReloadAll();
  bool BreakWanted();

 private:
  friend class FakeVcpu;
  struct Embedded {
    vlm_mmu mmu;
    FakeMachine* machine;
  };
  static void OnUnlock(const void* lock);

  Embedded embedded_{};
  MachineOptions options_;
  FakeHost host_;
  SlotsGate gate_;
  Mutex slots_lock_;
  std::vector<std::unique_ptr<FakeVcpu>> vcpus_;
  std::atomic<uint32_t> random_{1};
  std::atomic<bool> translation_lost_{true};
};

}  // namespace fakes

#endif  // TESTS_FAKES_FAKE_MACHINE_H_
