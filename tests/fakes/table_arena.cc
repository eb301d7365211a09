// SPDX-License-Identifier: GPL-2.0-or-later
#include "table_arena.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "kmod_mmu.h"

namespace fakes {
namespace {

// Physical addresses of tables: far from those of guest memory in FakeHost.
constexpr u64 kFirstPa = 0x40'0000'0000;
constexpr size_t kTables = size_t{1} << 15;  // 128 MiB of address space
constexpr u64 kPoison = 0x6b6b6b6b6b6b6b6b;

}  // namespace

TableArena& TableArena::Get() {
  static TableArena arena;
  return arena;
}

TableArena::TableArena() : tables_(kTables) {
  void* p = mmap(nullptr, kTables * 4096, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) std::abort();
  base_ = static_cast<char*>(p);
}

size_t TableArena::IndexOf(const u64* p) const {
  size_t offset = static_cast<size_t>(reinterpret_cast<const char*>(p) - base_);
  if (offset >= kTables * 4096) shim_violation("TABLE", "address outside of all tables");
  return offset / 4096;
}

u64* TableArena::Alloc() {
  shim_assert_may_sleep("table_alloc");
  if (shim_alloc_must_fail()) return nullptr;
  size_t i;
  while (lock_.test_and_set(std::memory_order_acquire)) {
  }
  if (!free_.empty()) {
    i = free_.back();
    free_.pop_back();
  } else {
    i = next_++;
  }
  lock_.clear(std::memory_order_release);
  if (i >= kTables) shim_violation("TABLE", "the test uses too many tables");

  auto* table = reinterpret_cast<u64*>(base_ + i * 4096);
  for (int e = 0; e < 512; e++) __atomic_store_n(table + e, 0, __ATOMIC_RELAXED);
  Table& info = tables_[i];
  info.seen = false;
  info.unlinked = false;
  info.unlinked_at = 0;
  info.owner = nullptr;
  if (info.live.exchange(true)) shim_violation("TABLE", "allocated twice");
  live_++;
  return table;
}

void TableArena::Free(u64* table) {
  Table& info = InfoOf(table);
  if (info.seen) {
    // Nothing points to a root but the header; its grace period begins with call_rcu().
    const auto* page = static_cast<const vlm_mmu_page*>(info.owner.load());
    const bool root = !page->parent;
    if (!root && !info.unlinked) shim_violation("G2", "table freed while an entry points to it");
    u64 since = root ? page->rcu.epoch : info.unlinked_at.load();
    if (!since) since = shim_rcu_now();
    if (shim_rcu_reader_since(since))
      shim_violation("G2", "table freed before its grace period was over");
    if (hardware_holds && hardware_holds(PaOf(table)))
      shim_violation("G2", "table freed while a vCPU may walk it");
  }
  if (!info.live.exchange(false)) shim_violation("TABLE", "freed twice");
  // Whoever walks here now finds entries that no oracle accepts.
  for (int e = 0; e < 512; e++) __atomic_store_n(table + e, kPoison, __ATOMIC_RELAXED);
  live_--;
  while (lock_.test_and_set(std::memory_order_acquire)) {
  }
  free_.push_back(IndexOf(table));
  lock_.clear(std::memory_order_release);
}

u64 TableArena::PaOf(const u64* table) const { return kFirstPa + IndexOf(table) * 4096; }

bool TableArena::Contains(u64 pa) const { return pa >= kFirstPa && pa < kFirstPa + kTables * 4096; }

bool TableArena::Holds(const void* p) const {
  return static_cast<size_t>(static_cast<const char*>(p) - base_) < kTables * 4096;
}

u64* TableArena::VaOf(u64 pa) const {
  if (!Contains(pa)) shim_violation("TABLE", "an entry points outside of all tables");
  return reinterpret_cast<u64*>(base_ + (pa - kFirstPa) / 4096 * 4096);
}

TableArena::Table& TableArena::InfoOf(const u64* entry_or_table) {
  return tables_[IndexOf(entry_or_table)];
}

u64* TableArena::TableOf(const u64* entry) const {
  return reinterpret_cast<u64*>(base_ + IndexOf(entry) * 4096);
}

}  // namespace fakes
