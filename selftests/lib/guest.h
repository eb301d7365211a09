// SPDX-License-Identifier: GPL-2.0-or-later
// A small machine around a piece of guest code: memory, one vCPU, and the mode it starts in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/kvm.h"

namespace guest {

// Guest code stands in the test as assembly; GUEST_CODE(name, bits, "text") makes a Code of it.
struct Code {
  const uint8_t* begin;
  const uint8_t* end;
};

// Where things lie in the low megabyte.
inline constexpr uint64_t kTables = 0x1000;  // PML4, PDPT, four page directories
inline constexpr uint64_t kGdt = 0x8000;
inline constexpr uint64_t kIdt = 0x9000;
inline constexpr uint64_t kCode = 0x10000;
inline constexpr uint64_t kData = 0x20000;
inline constexpr uint64_t kStackTop = 0x80000;
inline constexpr size_t kLowSize = 0x200000;

enum class Mode { kReal, kProtected32, kLong64 };

// Puts the vCPU of a machine into a mode, at kCode, with interrupts on. Long mode maps the
// first 4 GiB onto themselves with 2 MiB pages.
void Enter(kvm::Vcpu& vcpu, uint8_t* low_memory, Mode mode);

// Memory [0, 2 MiB) in slot 0, one vCPU, the code at kCode.
class Machine {
 public:
  Machine(const Code& code, Mode mode, bool irqchip = false);

  kvm::Vm& vm() { return vm_; }
  kvm::Vcpu& vcpu() { return vcpu_; }
  uint8_t* low() { return low_.data(); }
  template <typename T>
  volatile T* At(uint64_t gpa) {
    return reinterpret_cast<volatile T*>(low_.data() + gpa);
  }

  // Runs until the guest writes to this port and returns the value (1, 2 or 4 bytes).
  uint32_t RunUntilOut(uint16_t port);
  void RunUntilHlt() { vcpu_.RunUntil(KVM_EXIT_HLT); }
  kvm_run* run() { return vcpu_.run(); }

 private:
  kvm::Vm vm_;
  kvm::Mapping low_;
  kvm::Vcpu vcpu_;
};

}  // namespace guest

// NOLINTBEGIN: the text goes into read-only data between two symbols.
#define GUEST_CODE(name, bits, text)                                             \
  extern "C" const uint8_t name##_begin[], name##_end[];                         \
  asm(".pushsection .rodata\n.code" #bits "\n" #name "_begin:\n" text "\n" #name \
      "_end:\n.code64\n.popsection\n");                                          \
  static const guest::Code name { name##_begin, name##_end }
// NOLINTEND
