// SPDX-License-Identifier: GPL-2.0-or-later
#include "devices/cmos.h"

#include <algorithm>

namespace vmm {
namespace {

enum Index : uint8_t {
  kSeconds = 0x00,
  kMinutes = 0x02,
  kHours = 0x04,
  kWeekday = 0x06,
  kDay = 0x07,
  kMonth = 0x08,
  kYear = 0x09,
  kStatusA = 0x0a,
  kStatusB = 0x0b,
  kStatusC = 0x0c,
  kStatusD = 0x0d,
  kCentury = Cmos::kCenturyRegister,
};

constexpr uint8_t kStatusBinary = 0x04;
constexpr uint8_t kStatus24Hours = 0x02;
constexpr uint8_t kHourPm = 0x80;

}  // namespace

Cmos::Cmos(uint64_t low_end, uint64_t above_4g, std::function<std::time_t()> clock)
    : clock_(std::move(clock)) {
  ram_[kStatusA] = 0x26;  // 32.768 kHz, 1024 Hz, no update in progress
  ram_[kStatusB] = kStatus24Hours;
  ram_[kStatusD] = 0x80;  // the battery is good
  const auto store16 = [this](size_t at, uint64_t value) {
    ram_[at] = static_cast<uint8_t>(value);
    ram_[at + 1] = static_cast<uint8_t>(value >> 8);
  };
  store16(0x15, 640);
  const uint64_t extended_kib = low_end > (1 << 20) ? (low_end - (1 << 20)) >> 10 : 0;
  store16(0x17, std::min<uint64_t>(extended_kib, 0xffff));
  store16(0x30, std::min<uint64_t>(extended_kib, 0xffff));
  const uint64_t above_16m = low_end > (16 << 20) ? (low_end - (16 << 20)) >> 16 : 0;
  store16(0x34, std::min<uint64_t>(above_16m, 0xffff));
  const uint64_t above_4g_units = above_4g >> 16;
  ram_[0x5b] = static_cast<uint8_t>(above_4g_units);
  ram_[0x5c] = static_cast<uint8_t>(above_4g_units >> 8);
  ram_[0x5d] = static_cast<uint8_t>(above_4g_units >> 16);
}

void Cmos::Read(uint64_t offset, std::span<uint8_t> data) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = offset + i == 1 ? ReadRegister(index_) : uint8_t{0xff};
}

void Cmos::Write(uint64_t offset, std::span<const uint8_t> data) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < data.size(); ++i) {
    if (offset + i == 0) index_ = data[i] & 0x7f;  // bit 7 masks NMI: nothing to mask here
    if (offset + i == 1) WriteRegister(index_, data[i]);
  }
}

uint8_t Cmos::Encode(int value) const {
  if (ram_[kStatusB] & kStatusBinary) return static_cast<uint8_t>(value);
  return static_cast<uint8_t>((value / 10) << 4 | value % 10);
}

int Cmos::Decode(uint8_t value) const {
  if (ram_[kStatusB] & kStatusBinary) return value;
  return (value >> 4) * 10 + (value & 0x0f);
}

std::tm Cmos::Now() const {
  const std::time_t now = clock_() + offset_;
  std::tm fields = {};
  gmtime_r(&now, &fields);
  return fields;
}

void Cmos::SetTime(const std::tm& fields) {
  std::tm copy = fields;
  const std::time_t wanted = timegm(&copy);  // out-of-range fields are normalized
  offset_ = wanted - clock_();
}

uint8_t Cmos::ReadRegister(uint8_t index) {
  switch (index) {
    case kSeconds:
      return Encode(Now().tm_sec);
    case kMinutes:
      return Encode(Now().tm_min);
    case kHours: {
      const int hour = Now().tm_hour;
      if (ram_[kStatusB] & kStatus24Hours) return Encode(hour);
      const int twelve = hour % 12 == 0 ? 12 : hour % 12;
      return static_cast<uint8_t>(Encode(twelve) | (hour >= 12 ? kHourPm : 0));
    }
    case kWeekday:
      return Encode(Now().tm_wday + 1);
    case kDay:
      return Encode(Now().tm_mday);
    case kMonth:
      return Encode(Now().tm_mon + 1);
    case kYear:
      return Encode(Now().tm_year % 100);
    case kCentury:
      return Encode((Now().tm_year + 1900) / 100);
    case kStatusC:
      return 0;  // no interrupt ever happened
    default:
      return ram_[index];
  }
}

void Cmos::WriteRegister(uint8_t index, uint8_t value) {
  std::tm fields = Now();
  switch (index) {
    case kSeconds:
      fields.tm_sec = Decode(value);
      break;
    case kMinutes:
      fields.tm_min = Decode(value);
      break;
    case kHours:
      if (ram_[kStatusB] & kStatus24Hours) {
        fields.tm_hour = Decode(value);
      } else {
        fields.tm_hour = Decode(value & 0x7f) % 12 + ((value & kHourPm) ? 12 : 0);
      }
      break;
    case kWeekday:
      return;  // follows from the date
    case kDay:
      fields.tm_mday = Decode(value);
      break;
    case kMonth:
      fields.tm_mon = Decode(value) - 1;
      break;
    case kYear:
      fields.tm_year = fields.tm_year / 100 * 100 + Decode(value);
      break;
    case kCentury:
      fields.tm_year = Decode(value) * 100 - 1900 + fields.tm_year % 100;
      break;
    case kStatusA:
      ram_[index] = value & 0x7f;
      return;
    case kStatusC:
    case kStatusD:
      return;  // read-only
    default:
      ram_[index] = value;
      return;
  }
  SetTime(fields);
}

}  // namespace vmm
