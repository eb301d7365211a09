// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random instruction bytes that are more often meaningful than plain noise.

#pragma once

#include <array>
#include <cstdint>
#include <random>

namespace vmm {

inline std::array<uint8_t, 15> RandomCode(std::mt19937_64& random) {
  static constexpr uint8_t kPrefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26,
                                          0x2e, 0x36, 0x3e, 0x64, 0x65};
  std::array<uint8_t, 15> code;
  uint64_t noise = random();
  for (size_t i = 0; i < code.size(); i++) {
    if (i % 8 == 0) noise = random();
    code[i] = static_cast<uint8_t>(noise >> (i % 8 * 8));
  }
  const uint64_t choice = random();
  size_t at = 0;
  for (uint64_t n = choice % 4; n > 1; n--) code[at++] = kPrefixes[(choice >> (8 * n)) % 11];
  if (choice >> 40 & 1) code[at++] = static_cast<uint8_t>(0x40 | (choice >> 41 & 15));
  if ((choice >> 48) % 3 == 0) code[at] = 0x0f;
  return code;
}

}  // namespace vmm
