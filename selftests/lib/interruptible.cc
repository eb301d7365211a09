// SPDX-License-Identifier: GPL-2.0-or-later
// To be preloaded: guests of the program begin with interrupts enabled.
//
// Bochs masks external interrupts where it should let them end the guest's turn: when the VM entry
// leaves RFLAGS.IF as clear as it was in the host. The kernel's selftests start their guests like
// that, and one that spins could be neither preempted nor kicked, whatever module runs it. A guest
// that is sent no interrupt cannot tell the difference.
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>

#include "uapi/vellum.h"

namespace {
constexpr auto kInterruptFlag = 1u << 9;
}

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  std::va_list list;
  va_start(list, request);
  void* argument = va_arg(list, void*);
  va_end(list);
  kvm_regs regs;
  if (request == KVM_SET_REGS && argument) {
    regs = *static_cast<const kvm_regs*>(argument);
    regs.rflags |= kInterruptFlag;
    argument = &regs;
  }
  return static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
}
