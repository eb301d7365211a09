// SPDX-License-Identifier: GPL-2.0-or-later
//
// The VMM's side of guest/report.h.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>

#include "guest/report.h"

namespace vmm {

class ReportPort {
 public:
  static constexpr uint64_t kPort = VMM_REPORT_PORT;
  static constexpr uint64_t kPortCount = VMM_REPORT_PORT_COUNT;

  explicit ReportPort(std::function<void(uint32_t kind, uint32_t value)> report)
      : report_(std::move(report)) {}

  void Read(uint64_t offset, std::span<uint8_t> data) {
    const uint32_t magic = VMM_REPORT_MAGIC;
    if (offset == 0 && data.size() == sizeof(magic))
      std::memcpy(data.data(), &magic, sizeof(magic));
  }

  void Write(uint64_t offset, std::span<const uint8_t> data) {
    uint32_t word = 0;
    if (offset != 4 || data.size() != sizeof(word)) return;
    std::memcpy(&word, data.data(), sizeof(word));
    report_(word >> 24, word & 0xffff);
  }

 private:
  std::function<void(uint32_t kind, uint32_t value)> report_;
};

}  // namespace vmm
