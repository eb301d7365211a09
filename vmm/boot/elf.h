// SPDX-License-Identifier: GPL-2.0-or-later
//
// Reading 64-bit x86 ELF files: kernels (segments, entry, PVH note) and programs (interpreter,
// needed libraries). The input is not trusted: every offset is checked before use.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace vmm {

struct ElfSegment {
  uint64_t physical;
  uint64_t virtual_address;
  uint64_t memory_size;
  uint64_t file_offset;
  uint64_t file_size;
};

struct ElfKernel {
  std::vector<ElfSegment> segments;   // PT_LOAD with memory, in file order
  uint64_t start = 0;                 // lowest physical address
  uint64_t end = 0;                   // behind the highest
  std::optional<uint64_t> entry64;    // physical address of the 64-bit entry, if it is one
  std::optional<uint32_t> pvh_entry;  // from the Xen note
};

struct ElfProgram {
  std::string interpreter;            // empty: static
  std::vector<std::string> needed;    // DT_NEEDED, in order
  std::vector<std::string> run_path;  // DT_RUNPATH, or DT_RPATH without it, split
};

bool IsElf(std::span<const uint8_t> bytes);

// The error's `what` is left empty: the caller knows the name of the file.
Expected<ElfKernel> ParseElfKernel(std::span<const uint8_t> bytes);
Expected<ElfProgram> ParseElfProgram(std::span<const uint8_t> bytes);

// The same kernel without what booting does not need: headers, segments and notes only.
std::vector<uint8_t> StripElfKernel(std::span<const uint8_t> bytes, const ElfKernel& kernel);

}  // namespace vmm
