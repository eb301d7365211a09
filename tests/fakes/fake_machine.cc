// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_machine.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include "table_arena.h"

namespace fakes {
namespace {

// The machine that judges on unlock, and that the arena asks about TLBs. One at a time.
FakeMachine* current_machine = nullptr;

constexpr size_t kTlbEntries = 16;
constexpr size_t kLogEntries = 512;

[[noreturn]] void Violation(const char* rule, const std::string& detail) {
  shim_violation(rule, detail.c_str());
}

}  // namespace

// --- memslot read sections ---

int SlotsGate::Enter() {
  ++*shim_slots_depth();
  shim_point(SHIM_STEP, this);
  for (;;) {
    const int index = index_.load();
    readers_[index]++;
    // Retry when a writer flipped in between: it may not wait for this counter any more.
    if (index_.load() == index) return index;
    readers_[index]--;
  }
}

void SlotsGate::Leave(int index) {
  --*shim_slots_depth();
  readers_[index]--;
  shim_point(SHIM_STEP, this);
}

void SlotsGate::Sync() {
  shim_assert_may_sleep("slots_sync");
  if (*shim_slots_depth()) shim_violation("SRCU", "waits for its own read section");
  std::lock_guard guard(sync_);
  const int old = index_.load();
  index_ = !old;
  shim_point(SHIM_STEP, this);
  while (readers_[old].load()) shim_wait();
}

SlotsReader::SlotsReader(FakeMachine* machine) : gate_(&machine->gate()), index_(gate_->Enter()) {}
SlotsReader::~SlotsReader() { gate_->Leave(index_); }

// --- vCPU ---

FakeVcpu::FakeVcpu(FakeMachine* machine) : machine_(machine) {
  vlm_mmu_vcpu_init(&mv_, machine->mmu());
}

FakeVcpu::~FakeVcpu() {
  DrainLog();
  vlm_mmu_vcpu_destroy(&mv_);
}

size_t FakeVcpu::tlb_entries() {
  std::lock_guard guard(guest_);
  return tlb_.size();
}

void FakeVcpu::FlushLocked() { tlb_.clear(); }

bool FakeVcpu::Reload() {
  DrainLog();
  {
    // Take the request first: one that comes during the reload must not be lost.
    std::lock_guard guard(guest_);
    reload_ = false;
    reloading_ = true;
  }
  const int res = vlm_mmu_reload(&mv_);
  std::lock_guard guard(guest_);
  reloading_ = false;
  if (res < 0) {
    reload_ = true;
    return false;
  }
  loaded_eptp_ = vlm_mmu_vcpu_eptp(&mv_);
  TableArena& arena = TableArena::Get();
  arena.InfoOf(arena.VaOf(loaded_eptp_ & ~u64{4095})).seen = true;
  if (res == 1) FlushLocked();
  return true;
}

FakeVcpu::Entry FakeVcpu::TryInGuest(u64 gpa, uint32_t access) {
  shim_point(SHIM_STEP, this);
  std::lock_guard guard(guest_);
  if (reload_) return Entry::kReload;

  const bool write = access & VLM_ACCESS_WRITE, exec = access & VLM_ACCESS_EXEC;
  auto it = std::find_if(tlb_.begin(), tlb_.end(),
                         [&](const TlbEntry& e) { return e.page == gpa >> 12; });
  if (it != tlb_.end()) {
    const bool allowed = write ? it->w && it->dirty : exec ? it->x : it->r;
    if (!allowed) tlb_.erase(it), it = tlb_.end();
  }
  if (it == tlb_.end()) {
    const bool logs = machine_->hardware_logs() && write;
    if (logs && log_.size() == kLogEntries) {
      const EptResult clean = EptWalk(loaded_eptp_, gpa);
      if (clean.kind == EptKind::kMapped && clean.w && !clean.dirty) return Entry::kLogFull;
    }
    EptResult walk = EptAccess(loaded_eptp_, gpa, write, exec);
    if (walk.kind == EptKind::kViolation) return Entry::kViolation;
    if (walk.kind == EptKind::kMisconfig) return Entry::kMisconfig;
    if (logs && walk.made_dirty) log_.push_back(gpa & ~u64{4095});
    const bool keeps_dirty = !(loaded_eptp_ & 64);
    // Bounded as a real one is; and the judges look at every entry often.
    if (tlb_.size() < kTlbEntries) {
      it = tlb_.emplace(tlb_.end());
    } else {
      it = tlb_.begin() + static_cast<ptrdiff_t>(tlb_victim_++ % kTlbEntries);
    }
    *it = {gpa >> 12, walk.pfn, walk.r, walk.w, walk.x, keeps_dirty || walk.dirty, walk.tables};
  }
  if (machine_->host().IsFree(it->pfn))
    shim_violation("G1", "a vCPU uses a frame that the host took back");
  last_pfn_ = it->pfn;
  return Entry::kHit;
}

namespace {

thread_local vlm_dirty_ring* current_ring = nullptr;

// Around the handling of an exit.
class RingInUse {
 public:
  explicit RingInUse(vlm_dirty_ring* ring) : before_(current_ring) {
    current_ring = ring->entries ? ring : nullptr;
  }
  ~RingInUse() { current_ring = before_; }
  RingInUse(const RingInUse&) = delete;
  RingInUse& operator=(const RingInUse&) = delete;

 private:
  vlm_dirty_ring* before_;
};

}  // namespace

vlm_dirty_ring* FakeVcpu::CurrentRing() { return current_ring; }

void FakeVcpu::DrainLog() {
  if (!machine_->hardware_logs()) return;
  std::lock_guard drain(drain_);
  std::vector<u64> log;
  {
    std::lock_guard guard(guest_);
    log.swap(log_);
  }
  if (log.empty()) return;
  std::reverse(log.begin(), log.end());
  SlotsReader reader(machine_);
  RingInUse ring(&ring_);
  vlm_dirty_log_drain(&mv_, log.data(), static_cast<unsigned int>(log.size()));
}

vlm_fault_result FakeVcpu::Fault(u64 gpa, uint32_t access) {
  DrainLog();
  SlotsReader reader(machine_);
  RingInUse ring(&ring_);
  return vlm_mmu_fault(&mv_, gpa, access);
}

void FakeVcpu::Unload() {
  DrainLog();
  {
    std::lock_guard guard(guest_);
    reload_ = true;
  }
  vlm_mmu_unload(&mv_);
}

void FakeVcpu::SetAddressSpace(uint8_t as_id) {
  Unload();
  mv_.as_id = as_id;
}

Outcome FakeVcpu::Access(u64 gpa, uint32_t access, int tries) {
  for (int n = 0; n < tries; n++) {
    vlm_fault_result res = VLM_FAULT_RETRY;
    switch (TryInGuest(gpa, access)) {
      case Entry::kHit:
        return Outcome::kDone;
      case Entry::kReload:
        if (!Reload()) return Outcome::kError;
        continue;
      case Entry::kLogFull:
        exits_++;
        DrainLog();
        continue;
      case Entry::kViolation:
        exits_++;
        res = Fault(gpa, access);
        break;
      case Entry::kMisconfig: {
        exits_++;
        DrainLog();
        SlotsReader reader(machine_);
        RingInUse ring(&ring_);
        res = vlm_mmu_misconfig(&mv_, gpa);
        break;
      }
    }
    if (res == VLM_FAULT_EMULATE) return Outcome::kMmio;
    if (res == VLM_FAULT_ERROR) return Outcome::kError;
    // A scheduler has to be told that it takes another thread's step to get on.
    if (res == VLM_FAULT_RETRY && (shim_scheduler || n > 10)) shim_wait();
  }
  return Outcome::kStuck;
}

// --- machine ---

FakeMachine::FakeMachine(const MachineOptions& options) : options_(options) {
  vlm_mmu_caps caps{};
  caps.ept_ad = options.ept_ad;
  caps.ept_2m = options.ept_2m;
  caps.ept_1g = caps.gbpages = options.ept_1g;
  caps.ept_5level = options.five_level;
  caps.pml = options.pml;
  caps.maxphyaddr = options.five_level ? 52 : 46;
  if (vlm_mmu_module_init(&caps)) shim_violation("SETUP", "module init failed");
  embedded_.machine = this;
  if (vlm_mmu_init(mmu())) shim_violation("SETUP", "mmu init failed");
  host_.Attach(mmu());
  current_machine = this;
  TableArena::Get().hardware_holds = [this](u64 pa) { return TlbUses(pa); };
  if (options.single_threaded) shim_on_unlock = OnUnlock;
}

FakeMachine::~FakeMachine() {
  shim_on_unlock = nullptr;
  TableArena::Get().hardware_holds = nullptr;
  vcpus_.clear();
  vlm_mmu_zap_all(mmu());
  if (CountLeaves()) shim_violation("LEAK", "leaves left after zap_all");
  CheckStats();
  vlm_mmu_destroy(mmu());
  vlm_mmu_module_exit();
  current_machine = nullptr;
  if (host_.references()) shim_violation("LEAK", "references to host pages left");
  if (TableArena::Get().live()) shim_violation("LEAK", "table pages left");
  if (shim_alloc_live()) shim_violation("LEAK", "memory left");
  if (vlm_page_live()) shim_violation("LEAK", "page counter is not zero");
  if (Stat(VLM_STAT_TABLES) || Stat(VLM_STAT_ROOTS)) shim_violation("LEAK", "table counters");
}

FakeMachine* FakeMachine::Of(vlm_mmu* mmu) { return reinterpret_cast<Embedded*>(mmu)->machine; }

FakeMachine* FakeMachine::Current() { return current_machine; }

FakeVcpu& FakeMachine::AddVcpu() {
  vcpus_.push_back(std::make_unique<FakeVcpu>(this));
  return *vcpus_.back();
}

int FakeMachine::SetSlot(uint32_t slot, u64 gfn, u64 npages, u64 hva_page, uint32_t flags) {
  vlm_memslot_request req{};
  req.slot = slot;
  req.flags = flags;
  req.gpa = gfn << 12;
  req.size_bytes = npages << 12;
  req.hva = hva_page << 12;
  req.zap = slot_zap;
  std::lock_guard guard(slots_lock_);
  return vlm_memslot_set(mmu(), &req);
}

void FakeMachine::FlushAll() {
  flushes++;
  for (auto& v : vcpus_) {
    shim_point(SHIM_STEP, v.get());
    {
      std::lock_guard guard(v->guest_);
      v->FlushLocked();
    }
    v->DrainLog();
  }
  if (on_flush) on_flush();
}

void FakeMachine::DrainLogs() {
  for (auto& v : vcpus_) {
    shim_point(SHIM_STEP, v.get());
    v->DrainLog();
  }
}

void FakeMachine::ReloadAll() {
  reloads++;
  if (on_reload) on_reload();
  for (auto& v : vcpus_) {
    shim_point(SHIM_STEP, v.get());
    {
      std::lock_guard guard(v->guest_);
      v->reload_ = true;
    }
    v->DrainLog();
  }
}

bool FakeMachine::BreakWanted() {
  switch (break_mode.load()) {
    case Break::kNever:
      return false;
    case Break::kAlways:
      return true;
    case Break::kRandom: {
      uint32_t x = random_.load(std::memory_order_relaxed);
      x = x * 1664525 + 1013904223;
      random_.store(x, std::memory_order_relaxed);
      return x >> 30 == 0;
    }
  }
  return false;
}

void FakeMachine::OnUnlock(const void* lock) {
  if (!current_machine || lock != &current_machine->mmu()->lock) return;
  // A TLB is filled from the tables as they are: without a loss since, the last verdict stands.
  if (current_machine->translation_lost_.exchange(false, std::memory_order_relaxed))
    current_machine->CheckTlbs();
  if (current_machine->on_unlock) current_machine->on_unlock();
}

bool FakeMachine::TlbUses(u64 table_pa) {
  if (holds_table && holds_table(table_pa)) return true;
  for (auto& v : vcpus_) {
    std::lock_guard guard(v->guest_);
    // A vCPU that was told to reload drops all before it runs again.
    if (v->reload_ || v->reloading_) continue;
    for (auto& e : v->tlb_)
      if (std::find(e.tables.begin(), e.tables.end(), table_pa) != e.tables.end()) return true;
  }
  return false;
}

void FakeMachine::CheckTlbs() {
  for (auto& v : vcpus_) {
    std::lock_guard guard(v->guest_);
    if (v->reload_ || v->reloading_) continue;
    for (auto& e : v->tlb_) {
      EptResult walk = EptWalk(v->loaded_eptp_, e.page << 12);
      if (walk.kind != EptKind::kMapped || walk.pfn != e.pfn)
        Violation("G6",
                  "lock dropped with a stale translation in a TLB, gfn " + std::to_string(e.page));
      if ((e.w && !walk.w) || (e.r && !walk.r) || (e.x && !walk.x))
        Violation("G6",
                  "lock dropped with a stale permission in a TLB, gfn " + std::to_string(e.page));
      // By such an entry a page is written that the hardware would log otherwise.
      if (hardware_logs() && e.w && e.dirty && !walk.dirty)
        Violation("G6", "lock dropped with a stale D in a TLB, gfn " + std::to_string(e.page));
    }
  }
}

namespace {

// Calls `leaf(gfn, level, entry)` for every present leaf below `table`, `at(level)` for tables.
template <typename Leaf>
void ForEachLeaf(u64* table, int level, u64 gfn, const Leaf& leaf) {
  TableArena& arena = TableArena::Get();
  if (!arena.InfoOf(table).live) shim_violation("G2", "an entry leads to a table that was freed");
  for (u64 i = 0; i < 512; i++) {
    const u64 e = __atomic_load_n(table + i, __ATOMIC_ACQUIRE);
    const u64 at = gfn + (i << (9 * (level - 1)));
    if (!(e & 0x800)) continue;  // not present for the MMU
    if (level == 1 || (e & 0x80))
      leaf(at, level, e);
    else
      ForEachLeaf(arena.VaOf(e & 0x000f'ffff'ffff'f000), level - 1, at, leaf);
  }
}

template <typename Leaf>
void ForEachLeafOfMachine(vlm_mmu* mmu, const Leaf& leaf) {
  vlm_mmu_page* root;
  list_for_each_entry(root, &mmu->roots, link) {
    ForEachLeaf(root->table, root->role.level, 0,
                [&](u64 gfn, int level, u64 e) { leaf(root, gfn, level, e); });
  }
}

}  // namespace

u64 FakeMachine::CountLeaves() {
  u64 n = 0;
  ForEachLeafOfMachine(mmu(), [&](vlm_mmu_page*, u64, int, u64) { n++; });
  return n;
}

u64 FakeMachine::Stat(vlm_pf_stat stat) const {
  u64 sum = 0;
  for (const auto& vcpu : vcpus_) sum += READ_ONCE(vcpu->mv_.stats.v[stat]);
  return sum;
}

void FakeMachine::CheckStats() {
  u64 n[4] = {};
  ForEachLeafOfMachine(mmu(), [&](vlm_mmu_page*, u64, int level, u64) { n[level]++; });
  if (n[1] != Stat(VLM_STAT_PAGES_4K) || n[2] != Stat(VLM_STAT_PAGES_2M) ||
      n[3] != Stat(VLM_STAT_PAGES_1G))
    Violation("STATS", "page counters are off: 4k " + std::to_string(Stat(VLM_STAT_PAGES_4K)) +
                           " for " + std::to_string(n[1]) + ", 2m " +
                           std::to_string(Stat(VLM_STAT_PAGES_2M)) + " for " +
                           std::to_string(n[2]));
  u64 listed = 0;
  vlm_mmu_page* sp;
  list_for_each_entry(sp, &mmu()->nx_pages, link) {
    listed++;
    if (sp->nx != VLM_NX_LISTED) Violation("NX2", "a listed table that does not say so");
  }
  if (listed != Stat(VLM_STAT_NX_LPAGE_SPLITS))
    Violation("NX2", "nx_lpage_splits is " + std::to_string(Stat(VLM_STAT_NX_LPAGE_SPLITS)) +
                         " for a list of " + std::to_string(listed));
}

bool FakeMachine::IsInHardwareLog(u32 as_id, u64 gfn) {
  for (auto& v : vcpus_) {
    std::lock_guard guard(v->guest_);
    if (v->mv_.as_id == as_id &&
        std::find(v->log_.begin(), v->log_.end(), gfn << 12) != v->log_.end())
      return true;
  }
  return false;
}

void FakeMachine::CheckWritesAreSeen() {
  DrainLogs();
  for (auto& v : vcpus_) {
    // Threads may be switched in there, and must not be with the guest stopped.
    const vlm_memslots* slots = vlm_memslots_get(mmu(), v->mv_.as_id);
    std::lock_guard guard(v->guest_);
    if (v->reload_ || v->reloading_) continue;
    for (auto& e : v->tlb_) {
      const vlm_memslot* slot = vlm_memslot_find(slots, e.page);
      if (e.w && e.dirty && slot && slot->dirty && !test_bit(e.page - slot->base_gfn, slot->dirty))
        Violation("DIRTY", "a page can be written unseen, gfn " + std::to_string(e.page));
    }
  }
}

void FakeMachine::CheckNobodyRunsOnInvalidRoots() {
  for (auto& v : vcpus_) {
    std::lock_guard guard(v->guest_);
    if (v->reload_ || v->reloading_ || !v->mv_.root) continue;
    if (__atomic_load_n(&v->mv_.root->invalid, __ATOMIC_RELAXED))
      Violation("R2", "a vCPU may run on an invalid root");
  }
}

void FakeMachine::CheckNothingLeadsToFreeFrames(Roots roots) {
  for (auto& v : vcpus_) {
    std::lock_guard guard(v->guest_);
    if (v->reload_ || v->reloading_) continue;
    for (auto& e : v->tlb_)
      if (host_.IsFree(e.pfn))
        Violation("G1",
                  "a TLB leads to a frame that the host took back, gfn " + std::to_string(e.page));
  }
  ForEachLeafOfMachine(mmu(), [&](vlm_mmu_page* root, u64 gfn, int, u64 e) {
    if ((!root->invalid || roots == Roots::kDefunctToo) &&
        host_.IsFree((e & 0x000f'ffff'ffff'f000) >> 12))
      Violation("G1",
                "a leaf leads to a frame that the host took back, gfn " + std::to_string(gfn));
  });
}

void FakeMachine::CheckTables() {
  CheckStats();
  ForEachLeafOfMachine(mmu(), [&](vlm_mmu_page* root, u64 gfn, int level, u64 e) {
    // Cut off: no vCPU may run on it (CheckTlbs() and every access see to that), so
    // what its leaves say is nobody's business any more.
    if (root->invalid) return;
    const u64 count = u64{1} << (9 * (level - 1));
    const u64 pfn = (e & 0x000f'ffff'ffff'f000) >> 12;
    vlm_memslots* slots = vlm_memslots_get(mmu(), root->role.as_id);
    for (u64 i = 0; i < count; i++) {
      const std::string where = " at gfn " + std::to_string(gfn + i);
      vlm_memslot* slot = vlm_memslot_find(slots, gfn + i);
      if (!slot) Violation("TABLES", "a leaf outside of all slots" + where);
      const u64 hva = vlm_memslot_hva_of(slot, gfn + i);
      if (host_.PfnAt(hva) != pfn + i)
        Violation("G1", "a leaf maps a frame the host does not" + where);
      if ((e & 2) && (slot->flags & VLM_MEMSLOT_READONLY))
        Violation("TABLES", "a writable leaf in a read-only slot" + where);
      const u64 hides = hardware_logs() ? 0x202 : 2;
      if ((e & hides) == hides && slot->dirty && !test_bit(gfn + i - slot->base_gfn, slot->dirty) &&
          !IsInHardwareLog(root->role.as_id, gfn + i))
        Violation("DIRTY", "a writable leaf of a logged slot is not marked" + where);
      if (level > 1 && (e & 4) && mmu()->nx) Violation("NX1", "an executable huge leaf" + where);
      if (host_.LevelOf(hva) < level) Violation("TABLES", "a leaf larger than the host's" + where);
    }
  });
}

}  // namespace fakes

// --- platform services ---

using fakes::FakeMachine;
using fakes::TableArena;

extern "C" {

u64* vlm_platform_table_alloc(vlm_mmu*) { return TableArena::Get().Alloc(); }
void vlm_platform_table_free(u64* table) { TableArena::Get().Free(table); }
u64 vlm_platform_table_pa(const u64* table) { return TableArena::Get().PaOf(table); }
u64* vlm_platform_table_va(u64 pa) { return TableArena::Get().VaOf(pa); }
void vlm_platform_table_set_owner(u64* table, void* owner) {
  TableArena::Get().InfoOf(table).owner = owner;
}
void* vlm_platform_table_owner(const u64* table) { return TableArena::Get().InfoOf(table).owner; }

vlm_dirty_ring* vlm_platform_dirty_ring(vlm_mmu*) { return fakes::FakeVcpu::CurrentRing(); }

int vlm_platform_host_get(vlm_mmu* mmu, unsigned long hva, bool write, vlm_host_page* out) {
  shim_assert_may_sleep("host_get");
  shim_point(SHIM_STEP, nullptr);
  return FakeMachine::Of(mmu)->host().Get(hva, write, out);
}
void vlm_platform_host_put(vlm_host_page* host, bool dirty) {
  if (host->ref) static_cast<fakes::FakeHost*>(host->ref)->Put(host, dirty);
}
int vlm_platform_host_level(vlm_mmu* mmu, unsigned long hva) {
  shim_assert_held(&mmu->lock, SHIM_HELD_ANY, __func__);
  return FakeMachine::Of(mmu)->host().LevelOf(hva);
}

bool vlm_platform_flush_tlbs(vlm_mmu* mmu) {
  FakeMachine::Of(mmu)->FlushAll();
  return true;
}
void vlm_platform_reload_all(vlm_mmu* mmu) { FakeMachine::Of(mmu)->ReloadAll(); }
void vlm_platform_drain_logs(vlm_mmu* mmu) {
  shim_assert_may_sleep("drain_logs");
  FakeMachine::Of(mmu)->DrainLogs();
}
bool vlm_platform_reclaim_later(vlm_mmu* mmu) {
  FakeMachine* machine = FakeMachine::Of(mmu);
  shim_assert_may_sleep("reclaim_later");
  machine->reclaim_wanted |= machine->has_reclaimer;
  return machine->has_reclaimer;
}
void vlm_platform_kill(vlm_mmu* mmu, const char* why) {
  FakeMachine* machine = FakeMachine::Of(mmu);
  WRITE_ONCE(mmu->dead, true);
  machine->killed = true;
  if (!machine->expect_kill) shim_violation("KILL", why);
}

void vlm_trace_page_create(vlm_mmu* mmu, const vlm_mmu_page*) {
  FakeMachine::Of(mmu)->traced.page_create++;
}
void vlm_trace_page_zap(vlm_mmu* mmu, const vlm_mmu_page*) {
  FakeMachine::Of(mmu)->traced.page_zap++;
}
void vlm_trace_root(vlm_mmu* mmu, const vlm_mmu_page*, vlm_root_event event, unsigned int) {
  FakeMachine::Of(mmu)->traced.root[event]++;
}
void vlm_trace_zap_all_fast(vlm_mmu* mmu) {
  FakeMachine* machine = FakeMachine::Of(mmu);
  machine->traced.zap_all_fast++;
  if (machine->on_cut_off) machine->on_cut_off();
}
void vlm_trace_fault(vlm_mmu_vcpu* mv, u64, u32, vlm_fault_result) {
  FakeMachine::Of(mv->mmu)->traced.fault++;
}
void vlm_trace_nx_recovery(vlm_mmu* mmu, const vlm_mmu_page*) {
  FakeMachine::Of(mmu)->traced.nx_recovery++;
}
void vlm_trace_slot_update(vlm_mmu* mmu, const vlm_memslot*, const vlm_memslot*, u64) {
  FakeMachine::Of(mmu)->traced.slot_update++;
}

bool vlm_platform_break_wanted(vlm_mmu* mmu) { return FakeMachine::Of(mmu)->BreakWanted(); }
void vlm_platform_resched(void) {
  shim_assert_may_sleep("resched");
  shim_point(SHIM_STEP, nullptr);
  if (fakes::current_machine && fakes::current_machine->on_resched)
    fakes::current_machine->on_resched();
}
u64 vlm_platform_now_ns(void) { return 0; }
// One tick for each time that somebody looks: enough to see that time is taken into account.
u64 vlm_platform_ticks(void) {
  static std::atomic<u64> ticks{0};
  return ticks++;
}
void vlm_platform_slots_sync(vlm_mmu* mmu) {
  FakeMachine* machine = FakeMachine::Of(mmu);
  if (machine->on_publish) machine->on_publish();
  machine->gate().Sync();
}

static uint8_t* GuestByte(vlm_mmu* mmu, unsigned int as_id, u64 gpa, vlm_memslot** slot) {
  *slot = vlm_memslot_find(vlm_memslots_get(mmu, as_id), gpa >> 12);
  if (!*slot || ((*slot)->flags & VLM_MEMSLOT_INVALID)) return nullptr;
  fakes::FakeHost& host = FakeMachine::Of(mmu)->host();
  vlm_host_page page{};
  if (host.Get(vlm_memslot_hva_of(*slot, gpa >> 12), true, &page)) return nullptr;
  uint8_t* data = host.DataOf(page.pfn) + (gpa & 4095);
  host.Put(&page, true);
  return data;
}

int vlm_platform_guest_read(vlm_mmu* mmu, unsigned int as_id, u64 gpa, void* data,
                            unsigned int len) {
  shim_assert_may_sleep("guest_read");
  vlm_memslot* slot;
  const uint8_t* from = GuestByte(mmu, as_id, gpa, &slot);
  if (!from) return -EFAULT;
  memcpy(data, from, len);
  return 0;
}

int vlm_platform_guest_peek(vlm_mmu* mmu, unsigned int as_id, u64 gpa, void* data,
                            unsigned int len) {
  const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(mmu, as_id), gpa >> 12);
  if (!slot || (slot->flags & VLM_MEMSLOT_INVALID)) return -EFAULT;
  fakes::FakeHost& host = FakeMachine::Of(mmu)->host();
  const u64 pfn = host.PfnAt(vlm_memslot_hva_of(slot, gpa >> 12));
  if (!pfn) return -EFAULT;
  memcpy(data, host.DataOf(pfn) + (gpa & 4095), len);
  return 0;
}

int vlm_platform_guest_cmpxchg(vlm_mmu* mmu, unsigned int as_id, u64 gpa, u64* old, u64 val,
                               unsigned int size) {
  shim_assert_may_sleep("guest_cmpxchg");
  vlm_memslot* slot;
  uint8_t* at = GuestByte(mmu, as_id, gpa, &slot);
  if (!at || (slot->flags & VLM_MEMSLOT_READONLY)) return -EFAULT;
  u64 seen = 0;
  memcpy(&seen, at, size);
  if (seen != *old) {
    *old = seen;
    return -EAGAIN;
  }
  memcpy(at, &val, size);
  vlm_memslot_mark_dirty(mmu, slot, gpa >> 12);
  return 0;
}
}
