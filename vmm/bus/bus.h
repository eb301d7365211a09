// SPDX-License-Identifier: GPL-2.0-or-later
//
// An address space of devices, for I/O ports or memory-mapped registers alike. A device is any
// class with Read(offset, span) and Write(offset, span): the bus keeps a pointer to it and two
// function pointers, no base class is needed. Devices are attached before the first access;
// afterwards accesses may come from any vCPU thread at once and devices lock for themselves.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <vector>

namespace vmm {

template <typename T>
concept BusDevice = requires(T& device, uint64_t offset, std::span<uint8_t> in,
                             std::span<const uint8_t> out) {
  { device.Read(offset, in) } -> std::same_as<void>;
  { device.Write(offset, out) } -> std::same_as<void>;
};

class Bus {
 public:
  // Attaches `device` at [base, base + size). False when the range is empty, wraps around or
  // meets another device. The device must outlive the bus's last access.
  template <BusDevice T>
  [[nodiscard]] bool Attach(uint64_t base, uint64_t size, T* device) {
    return Insert(Entry{base, size, device,
                        [](void* self, uint64_t offset, std::span<uint8_t> data) {
                          static_cast<T*>(self)->Read(offset, data);
                        },
                        [](void* self, uint64_t offset, std::span<const uint8_t> data) {
                          static_cast<T*>(self)->Write(offset, data);
                        }});
  }

  // Reads of addresses that no device claims entirely give all ones, as on a real bus; writes
  // there are lost. The result says whether a device answered.
  bool Read(uint64_t address, std::span<uint8_t> data) const;
  bool Write(uint64_t address, std::span<const uint8_t> data) const;

 private:
  struct Entry {
    uint64_t base;
    uint64_t size;
    void* device;
    void (*read)(void* device, uint64_t offset, std::span<uint8_t> data);
    void (*write)(void* device, uint64_t offset, std::span<const uint8_t> data);
  };

  bool Insert(const Entry& entry);
  const Entry* Find(uint64_t address, uint64_t length) const;

  std::vector<Entry> entries_;  // sorted by base, disjoint
};

}  // namespace vmm
