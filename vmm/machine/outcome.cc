// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/outcome.h"

#include <cerrno>
#include <csignal>

namespace vmm {

int ExitStatusOf(const Outcome& outcome) {
  const int value = static_cast<int>(outcome.value);
  switch (outcome.kind) {
    case OutcomeKind::kPowerOff:
      return kExitOk;
    case OutcomeKind::kReset:
      return kExitReset;
    case OutcomeKind::kCommand:
      return value & 0xff;
    case OutcomeKind::kCommandSignal:
      return kExitSignalBase + (value & 0x7f);
    case OutcomeKind::kCommandNoExec:
      return value == ENOENT ? kExitNotFound : kExitCannotExecute;
    case OutcomeKind::kInitFailed:
      return kExitInitrd;
    case OutcomeKind::kPanic:
      return kExitPanic;
    case OutcomeKind::kTripleFault:
      return kExitTripleFault;
    case OutcomeKind::kVmFailure:
      return kExitVmFailure;
    case OutcomeKind::kTimeout:
      return kExitTimeout;
    case OutcomeKind::kQuit:
      return kExitSignalBase + SIGINT;
    case OutcomeKind::kSignal:
      return kExitSignalBase + (value & 0x7f);
  }
  return kExitHost;
}

int ExitStatusOf(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return kExitUsage;
    case ErrorKind::kHost:
      return kExitHost;
    case ErrorKind::kNoDevice:
      return kExitNoDevice;
    case ErrorKind::kPermission:
      return kExitPermission;
    case ErrorKind::kBusy:
      return kExitBusy;
    case ErrorKind::kCapability:
      return kExitCapability;
    case ErrorKind::kKernel:
      return kExitKernel;
    case ErrorKind::kMemory:
      return kExitMemory;
    case ErrorKind::kInitrd:
      return kExitInitrd;
    case ErrorKind::kCommand:
      return kExitCannotExecute;
    case ErrorKind::kNotFound:
      return kExitNotFound;
  }
  return kExitHost;
}

const char* OutcomeName(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::kPowerOff:
      return "power-off";
    case OutcomeKind::kReset:
      return "reset";
    case OutcomeKind::kCommand:
      return "command";
    case OutcomeKind::kCommandSignal:
      return "command-signal";
    case OutcomeKind::kCommandNoExec:
      return "command-not-executed";
    case OutcomeKind::kInitFailed:
      return "init-failed";
    case OutcomeKind::kPanic:
      return "panic";
    case OutcomeKind::kTripleFault:
      return "triple-fault";
    case OutcomeKind::kVmFailure:
      return "vm-failure";
    case OutcomeKind::kTimeout:
      return "timeout";
    case OutcomeKind::kQuit:
      return "quit";
    case OutcomeKind::kSignal:
      return "signal";
  }
  return "unknown";
}

}  // namespace vmm
