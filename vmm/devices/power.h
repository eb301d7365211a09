// SPDX-License-Identifier: GPL-2.0-or-later
//
// The registers through which an ACPI guest switches the machine off or resets it (sleep control,
// sleep status and reset register of a hardware-reduced FADT), and the chip set's own reset
// register at port 0xcf9.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

namespace vmm {

inline constexpr uint16_t kSleepControlPort = 0x600;
inline constexpr uint16_t kSleepStatusPort = 0x601;
inline constexpr uint16_t kResetPort = 0x602;
inline constexpr uint8_t kResetValue = 0x06;
inline constexpr uint8_t kSleepTypeS5 = 5;

class AcpiPower {
 public:
  static constexpr uint64_t kPort = kSleepControlPort;
  static constexpr uint64_t kPortCount = 4;

  AcpiPower(std::function<void()> power_off, std::function<void()> reset)
      : power_off_(std::move(power_off)), reset_(std::move(reset)) {}

  void Read(uint64_t offset, std::span<uint8_t> data);
  void Write(uint64_t offset, std::span<const uint8_t> data);

 private:
  std::function<void()> power_off_;
  std::function<void()> reset_;
};

class ChipsetReset {
 public:
  static constexpr uint64_t kPort = 0xcf9;
  static constexpr uint64_t kPortCount = 1;

  explicit ChipsetReset(std::function<void()> reset) : reset_(std::move(reset)) {}

  void Read(uint64_t offset, std::span<uint8_t> data);
  void Write(uint64_t offset, std::span<const uint8_t> data);

 private:
  std::function<void()> reset_;
};

}  // namespace vmm
