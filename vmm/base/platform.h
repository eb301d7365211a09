// SPDX-License-Identifier: GPL-2.0-or-later
//
// The machine's fixed addresses and interrupt lines, in one place. Ports of single devices are
// with the device (devices/*.h).
#pragma once

#include <cstdint>

namespace vmm {

// Guest-physical address space.
inline constexpr uint64_t kHoleStart = 0xc0000000;  // RAM below 4 GiB ends here at the latest
inline constexpr uint64_t kHoleEnd = 0x100000000;   // RAM continues here
inline constexpr uint64_t kIoApicBase = 0xfec00000;
inline constexpr uint64_t kLocalApicBase = 0xfee00000;
inline constexpr uint64_t kIdentityMapAddress = 0xfffbc000;  // one page
inline constexpr uint64_t kTssAddress = 0xfffbd000;          // three pages

// The first MiB.
inline constexpr uint64_t kGdtAddress = 0x500;
inline constexpr uint64_t kPvhInfoAddress = 0x6000;
inline constexpr uint64_t kZeroPageAddress = 0x7000;
inline constexpr uint64_t kPageTableAddress = 0x9000;  // six pages
inline constexpr uint64_t kCmdlineAddress = 0x20000;
inline constexpr uint64_t kCmdlineMax = 0x10000;
inline constexpr uint64_t kLowRamEnd = 0x9fc00;
inline constexpr uint64_t kAcpiAddress = 0xe0000;
inline constexpr uint64_t kHighRamStart = 0x100000;

// Legacy devices.
inline constexpr uint16_t kSerialPort = 0x3f8;
inline constexpr uint32_t kSerialIrq = 4;

}  // namespace vmm
