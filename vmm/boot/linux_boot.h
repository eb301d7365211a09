// SPDX-License-Identifier: GPL-2.0-or-later
//
// Puts a kernel, its RAM disk, command line and tables into guest memory, and says in which state
// the first CPU has to begin: the 64-bit Linux boot protocol, or PVH.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"
#include "boot/kernel_image.h"
#include "memory/guest_memory.h"

namespace vmm {

enum class EntryMode { kAuto, kLinux64, kPvh };

struct BootInputs {
  const KernelImage* kernel = nullptr;
  std::span<const uint8_t> initrd;
  std::string initrd_name;  // for messages
  std::string cmdline;
  uint32_t cpus = 1;
  EntryMode entry = EntryMode::kAuto;
};

struct BootState {
  EntryMode entry = EntryMode::kLinux64;  // never kAuto
  uint64_t rip = 0;
  uint64_t boot_info = 0;  // RSI of the 64-bit entry, RBX of PVH
};

Expected<BootState> LoadGuest(const GuestMemory& memory, const BootInputs& inputs);

// The registers for a BootState; `sregs` comes from the CPU's reset state.
void SetEntryRegisters(const BootState& state, kvm_regs* regs, kvm_sregs* sregs);

}  // namespace vmm
