// SPDX-License-Identifier: GPL-2.0-or-later
//
// Sizes and durations as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace vmm {

// "256M", "1G", "1.5G", "4096K", "512MiB"; a bare number counts MiB. Powers of two only.
Expected<uint64_t> ParseSize(std::string_view text);

// "30", "30s", "500ms", "2m", "1h"; a bare number counts seconds.
Expected<std::chrono::milliseconds> ParseDuration(std::string_view text);

// "256 MiB", "1536 KiB": the largest unit that divides the size.
std::string FormatSize(uint64_t bytes);

}  // namespace vmm
