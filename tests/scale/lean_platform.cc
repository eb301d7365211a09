// SPDX-License-Identifier: GPL-2.0-or-later
#include "lean_platform.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

namespace scale {
namespace {

LeanMachine* current = nullptr;

// Of the tables, apart from guest memory; 46 bits are what an entry holds.
constexpr u64 kTablePa = u64{1} << 45;
// Room for 32 GiB of tables, of which only what is used takes memory.
constexpr size_t kTables = size_t{1} << 23;
// Of guest memory.
constexpr u64 kFirstPfn = u64{1} << 22;

void* Reserve(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) std::abort();
  return p;
}

}  // namespace

void Holds::Note(u64 entries) {
  count++;
  visited += entries;
  longest = std::max(longest, entries);
  log2[std::min<size_t>(std::bit_width(entries), log2.size() - 1)]++;
}

void Holds::Add(const Holds& other) {
  count += other.count;
  visited += other.visited;
  longest = std::max(longest, other.longest);
  for (size_t i = 0; i < log2.size(); i++) log2[i] += other.log2[i];
}

LeanMachine::LeanMachine(size_t vcpus)
    : vcpus_(vcpus),
      arena_(static_cast<char*>(Reserve(kTables * 4096))),
      owners_(static_cast<void**>(Reserve(kTables * sizeof(void*)))) {
  vlm_mmu_caps caps{};
  caps.ept_ad = caps.ept_2m = caps.ept_1g = true;
  caps.maxphyaddr = 46;
  if (vlm_mmu_module_init(&caps) || vlm_mmu_init(&mmu_)) std::abort();
  current = this;
  shim_on_unlock = OnUnlock;
  for (Vcpu& v : vcpus_) vlm_mmu_vcpu_init(&v.mv, &mmu_);
}

LeanMachine::~LeanMachine() {
  for (Vcpu& v : vcpus_) vlm_mmu_vcpu_destroy(&v.mv);
  vlm_mmu_zap_all(&mmu_);
  vlm_mmu_destroy(&mmu_);
  vlm_mmu_module_exit();
  shim_on_unlock = nullptr;
  current = nullptr;
  if (tables_live_ || vlm_page_live() || shim_alloc_live())
    shim_violation("LEAK", "tables or memory left");
  munmap(arena_, kTables * 4096);
  munmap(owners_, kTables * sizeof(void*));
}

LeanMachine& LeanMachine::Current() { return *current; }

// The MMU notes what was visited just before it drops the lock.
void LeanMachine::OnUnlock(const void* lock) {
  if (lock != &current->mmu_.lock) return;
  atomic64_t* longest = &current->mmu_.stats.v[VLM_STAT_MAX_HOLD];
  current->holds.Note(static_cast<u64>(atomic64_read(longest)));
  atomic64_set(longest, 0);
}

void LeanMachine::Touch(size_t vcpu, u64 gpa, uint32_t access) {
  Vcpu& v = vcpus_[vcpu];
  for (int tries = 0; tries < 100; tries++) {
    if (v.reload) {
      v.reload = false;
      if (vlm_mmu_reload(&v.mv) < 0) shim_violation("SCALE", "no memory for a root");
    }
    const vlm_fault_result res = vlm_mmu_fault(&v.mv, gpa, access);
    if (res == VLM_FAULT_FIXED || res == VLM_FAULT_SPURIOUS) return;
    if (res != VLM_FAULT_RETRY) shim_violation("SCALE", "a fault failed");
  }
  shim_violation("SCALE", "a fault never ends");
}

int LeanMachine::SetSlot(uint32_t slot, u64 gpa, u64 bytes, uint32_t flags, vlm_slot_zap zap) {
  vlm_memslot_request req{};
  req.slot = slot;
  req.flags = flags;
  req.gpa = gpa;
  req.size_bytes = bytes;
  req.hva = kHvaBase + gpa;
  req.zap = zap;
  return vlm_memslot_set(&mmu_, &req);
}

u64* LeanMachine::AllocTable() {
  size_t i;
  u64* table;
  if (free_.empty()) {
    i = next_++;
    if (i == kTables) return nullptr;
    table = reinterpret_cast<u64*>(arena_ + i * 4096);
  } else {
    i = free_.back();
    free_.pop_back();
    table = reinterpret_cast<u64*>(arena_ + i * 4096);
    memset(table, 0, 4096);
  }
  tables_peak_ = std::max(tables_peak_, ++tables_live_);
  return table;
}

void LeanMachine::FreeTable(u64* table) {
  tables_live_--;
  free_.push_back(static_cast<uint32_t>((PaOf(table) - kTablePa) / 4096));
}

u64 LeanMachine::PaOf(const u64* table) const {
  return kTablePa + static_cast<u64>(reinterpret_cast<const char*>(table) - arena_);
}

u64* LeanMachine::VaOf(u64 pa) const { return reinterpret_cast<u64*>(arena_ + (pa - kTablePa)); }

void*& LeanMachine::OwnerOf(const u64* table) { return owners_[(PaOf(table) - kTablePa) / 4096]; }

void LeanMachine::RequestReload() {
  for (Vcpu& v : vcpus_) v.reload = true;
}

void LeanMachine::FlushTlbs() {
  flushes++;
  for (Vcpu& v : vcpus_) v.flushes++;
}

// A grace period is over soon after.
void LeanMachine::Resched() { shim_rcu_barrier(); }

}  // namespace scale

// --- platform services ---

using scale::LeanMachine;

extern "C" {

u64* vlm_platform_table_alloc(vlm_mmu*) { return LeanMachine::Current().AllocTable(); }
void vlm_platform_table_free(u64* table) { LeanMachine::Current().FreeTable(table); }
u64 vlm_platform_table_pa(const u64* table) { return LeanMachine::Current().PaOf(table); }
u64* vlm_platform_table_va(u64 pa) { return LeanMachine::Current().VaOf(pa); }
void vlm_platform_table_set_owner(u64* table, void* owner) {
  LeanMachine::Current().OwnerOf(table) = owner;
}
void* vlm_platform_table_owner(const u64* table) { return LeanMachine::Current().OwnerOf(table); }

int vlm_platform_host_get(vlm_mmu*, unsigned long hva, bool, vlm_host_page* out) {
  out->pfn = scale::kFirstPfn + ((hva - scale::kHvaBase) >> 12);
  out->writable = true;
  out->device = false;
  out->ref = nullptr;
  return 0;
}
void vlm_platform_host_put(vlm_host_page*, bool) {}
int vlm_platform_host_level(vlm_mmu*, unsigned long) { return LeanMachine::Current().host_level; }

bool vlm_platform_flush_tlbs(vlm_mmu*) {
  LeanMachine::Current().FlushTlbs();
  return true;
}
void vlm_platform_reload_all(vlm_mmu*) { LeanMachine::Current().RequestReload(); }
void vlm_platform_drain_logs(vlm_mmu*) {}
bool vlm_platform_reclaim_later(vlm_mmu*) { return LeanMachine::Current().reclaim_wanted = true; }
vlm_dirty_ring* vlm_platform_dirty_ring(vlm_mmu*) { return nullptr; }
void vlm_platform_kill(vlm_mmu*, const char* why) { shim_violation("KILL", why); }
bool vlm_platform_break_wanted(vlm_mmu*) { return true; }
void vlm_platform_resched(void) { LeanMachine::Current().Resched(); }
u64 vlm_platform_now_ns(void) { return 0; }
u64 vlm_platform_ticks(void) { return 0; }
void vlm_trace_page_create(vlm_mmu*, const vlm_mmu_page*) {}
void vlm_trace_page_zap(vlm_mmu*, const vlm_mmu_page*) {}
void vlm_trace_root(vlm_mmu*, const vlm_mmu_page*, vlm_root_event, unsigned int) {}
void vlm_trace_zap_all_fast(vlm_mmu*) {}
void vlm_trace_fault(vlm_mmu_vcpu*, u64, u32, vlm_fault_result) {}
void vlm_trace_nx_recovery(vlm_mmu*, const vlm_mmu_page*) {}
void vlm_trace_slot_update(vlm_mmu*, const vlm_memslot*, const vlm_memslot*, u64) {}
void vlm_platform_slots_sync(vlm_mmu*) {}

int vlm_platform_guest_read(vlm_mmu*, unsigned int, u64, void*, unsigned int) { return -EFAULT; }
int vlm_platform_guest_peek(vlm_mmu*, unsigned int, u64, void*, unsigned int) { return -EFAULT; }
int vlm_platform_guest_cmpxchg(vlm_mmu*, unsigned int, u64, u64*, u64, unsigned int) {
  return -EFAULT;
}
}
