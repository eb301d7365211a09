// SPDX-License-Identifier: GPL-2.0-or-later
//
// Decompression on the host, with the libraries that made the archives. Faster by two orders of
// magnitude than a guest that unpacks itself on fresh memory.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace vmm {

enum class Compression { kNone, kGzip, kXz, kLzma, kZstd, kLz4Legacy, kBzip2, kLzop };

// By the magic number at the front.
Compression DetectCompression(std::span<const uint8_t> bytes);
std::string_view CompressionName(Compression compression);

// False for formats without a library here; such kernels unpack themselves in the guest.
bool CanUnpack(Compression compression);

// Unpacks the stream that `bytes` begins with; what follows it is ignored. Output beyond `limit`
// bytes is an error, so that a hostile file cannot eat the host's memory. The error's `what` is
// left empty.
Expected<std::vector<uint8_t>> Unpack(std::span<const uint8_t> bytes, Compression compression,
                                      size_t limit);

}  // namespace vmm
