// SPDX-License-Identifier: GPL-2.0-or-later
//
// The processor that runs the tests, as judge: carries out one instruction in user mode with
// given registers, on a buffer at a fixed address, and reports what became of them.

#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace vmm {

struct CpuState {
  std::array<uint64_t, 16> regs;
  uint64_t rflags;
  alignas(16) std::array<std::array<uint8_t, 16>, 2> xmm;  // xmm0, xmm1
};

// Which code segment the instruction runs in. 16-bit code and its data lie in segments of 64 KiB
// at NativeCpu::kBase, where the others have flat ones.
enum class Width { k16, k32, k64 };

struct NativeResult {
  bool ran;
  int vector;  // exception if !ran: 0 (#DE), 6 (#UD), 13 or 14 (memory), -1 otherwise
};

// One per process: it owns signal handlers and a fixed range of addresses.
class NativeCpu {
 public:
  static constexpr uint64_t kBase = 0x20000000;
  static constexpr uint64_t kCode = kBase;  // the trampoline
  static constexpr uint64_t kState = kBase + 0x1000;
  static constexpr uint64_t kData = kBase + 0x4000;  // the operands
  static constexpr uint64_t kDataBytes = 0x2000;

  static NativeCpu& Get();

  static uint64_t SegmentBase(Width width) { return width == Width::k16 ? kBase : 0; }
  // Where the instruction will stand, as an offset in its segment.
  static uint64_t InsnOffset(Width width);
  // Runs code, which must fall through.
  NativeResult Run(std::span<const uint8_t> code, CpuState* state, Width width = Width::k64);
  std::span<uint8_t> Data() { return {reinterpret_cast<uint8_t*>(kData), kDataBytes}; }
  bool Can(Width width) const { return can_[static_cast<size_t>(width)]; }

 private:
  NativeCpu();
  std::array<bool, 3> can_{};
};

}  // namespace vmm
