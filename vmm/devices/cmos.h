// SPDX-License-Identifier: GPL-2.0-or-later
//
// The CMOS memory with its real-time clock (MC146818), at ports 0x70 and 0x71. The clock shows
// the host's UTC time plus what the guest has set it to; an update is never in progress, so
// readers never wait. Alarms and periodic interrupts do not exist.
#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <functional>
#include <mutex>
#include <span>

namespace vmm {

class Cmos {
 public:
  static constexpr uint64_t kPort = 0x70;
  static constexpr uint64_t kPortCount = 2;
  static constexpr uint8_t kCenturyRegister = 0x32;

  // `low_end` is where RAM below 4 GiB ends, `above_4g` how much follows; firmware-style guests
  // read both here. `clock` gives seconds since 1970.
  Cmos(uint64_t low_end, uint64_t above_4g, std::function<std::time_t()> clock);

  void Read(uint64_t offset, std::span<uint8_t> data);
  void Write(uint64_t offset, std::span<const uint8_t> data);

 private:
  uint8_t ReadRegister(uint8_t index);
  void WriteRegister(uint8_t index, uint8_t value);
  std::tm Now() const;
  void SetTime(const std::tm& fields);
  uint8_t Encode(int value) const;
  int Decode(uint8_t value) const;

  std::function<std::time_t()> clock_;
  std::mutex mutex_;  // guards everything below
  std::array<uint8_t, 128> ram_ = {};
  uint8_t index_ = 0;
  std::time_t offset_ = 0;  // guest time minus host time
};

}  // namespace vmm
