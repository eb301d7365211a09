// SPDX-License-Identifier: GPL-2.0-or-later
// Table pages: where they are, whether they live, and whether anything could still walk them.
#ifndef TESTS_FAKES_TABLE_ARENA_H_
#define TESTS_FAKES_TABLE_ARENA_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include <linux/types.h>

namespace fakes {

class TableArena {
 public:
  struct Table {
    std::atomic<bool> live{false};
    // A nonleaf entry pointed here, or a vCPU used it as root: others may know the address.
    std::atomic<bool> seen{false};
    // No entry points here any more; readers that began before `unlinked_at` may still be inside.
    std::atomic<bool> unlinked{false};
    std::atomic<u64> unlinked_at{0};
    std::atomic<void*> owner{nullptr};
  };

  static TableArena& Get();

  // nullptr when the allocator is told to fail.
  u64* Alloc();
  // Ends the test if the table may still be walked.
  void Free(u64* table);

  u64 PaOf(const u64* table) const;
  u64* VaOf(u64 pa) const;
  bool Contains(u64 pa) const;
  // True if the address is one of an entry.
  bool Holds(const void* p) const;
  Table& InfoOf(const u64* entry_or_table);
  // The table that holds the entry.
  u64* TableOf(const u64* entry) const;

  int live() const { return live_.load(); }
  // Asked before a table is freed: does the hardware still hold its address? Not thread safe to
  // set.
  std::function<bool(u64 pa)> hardware_holds;

 private:
  TableArena();
  size_t IndexOf(const u64* p) const;

  char* base_;
  std::vector<Table> tables_;
  std::atomic<size_t> next_{0};
  std::atomic<int> live_{0};
  std::vector<size_t> free_;
  std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
};

}  // namespace fakes

#endif  // TESTS_FAKES_TABLE_ARENA_H_
