// SPDX-License-Identifier: GPL-2.0-or-later
#include "devices/power.h"

#include <algorithm>

namespace vmm {
namespace {

constexpr uint8_t kSleepEnable = 0x20;
constexpr uint8_t kSleepTypeShift = 2;
constexpr uint8_t kSleepTypeMask = 0x1c;
constexpr uint8_t kResetCpu = 0x04;

}  // namespace

void AcpiPower::Read(uint64_t, std::span<uint8_t> data) {
  std::fill(data.begin(), data.end(), uint8_t{0});
}

void AcpiPower::Write(uint64_t offset, std::span<const uint8_t> data) {
  const uint64_t port = kPort + offset;
  if (port == kSleepControlPort && (data[0] & kSleepEnable) &&
      (data[0] & kSleepTypeMask) >> kSleepTypeShift == kSleepTypeS5)
    power_off_();
  if (port == kResetPort && data[0] == kResetValue) reset_();
}

void ChipsetReset::Read(uint64_t, std::span<uint8_t> data) {
  std::fill(data.begin(), data.end(), uint8_t{0});
}

void ChipsetReset::Write(uint64_t, std::span<const uint8_t> data) {
  if (data[0] & kResetCpu) reset_();
}

}  // namespace vmm
