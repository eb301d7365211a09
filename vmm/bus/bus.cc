// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus/bus.h"

#include <algorithm>

namespace vmm {

bool Bus::Insert(const Entry& entry) {
  if (entry.size == 0 || entry.base + (entry.size - 1) < entry.base) return false;
  const auto next =
      std::upper_bound(entries_.begin(), entries_.end(), entry.base,
                       [](uint64_t base, const Entry& other) { return base < other.base; });
  if (next != entries_.end() && entry.base + (entry.size - 1) >= next->base) return false;
  if (next != entries_.begin()) {
    const Entry& previous = *(next - 1);
    if (entry.base - previous.base < previous.size) return false;
  }
  entries_.insert(next, entry);
  return true;
}

const Bus::Entry* Bus::Find(uint64_t address, uint64_t length) const {
  auto next = std::upper_bound(entries_.begin(), entries_.end(), address,
                               [](uint64_t base, const Entry& other) { return base < other.base; });
  if (next == entries_.begin()) return nullptr;
  const Entry& entry = *(next - 1);
  const uint64_t offset = address - entry.base;
  if (offset >= entry.size || length > entry.size - offset) return nullptr;
  return &entry;
}

bool Bus::Read(uint64_t address, std::span<uint8_t> data) const {
  std::fill(data.begin(), data.end(), uint8_t{0xff});
  const Entry* entry = Find(address, data.size());
  if (entry == nullptr) return false;
  entry->read(entry->device, address - entry->base, data);
  return true;
}

bool Bus::Write(uint64_t address, std::span<const uint8_t> data) const {
  const Entry* entry = Find(address, data.size());
  if (entry == nullptr) return false;
  entry->write(entry->device, address - entry->base, data);
  return true;
}

}  // namespace vmm
