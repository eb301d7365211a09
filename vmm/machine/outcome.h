// SPDX-License-Identifier: GPL-2.0-or-later
//
// How a run ended, and the exit status that says so. README.md has the table for users.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace vmm {

enum ExitStatus : int {
  kExitOk = 0,
  kExitUsage = 2,
  kExitTimeout = 124,
  kExitHost = 125,
  kExitCannotExecute = 126,
  kExitNotFound = 127,
  kExitSignalBase = 128,
  kExitTripleFault = 220,
  kExitPanic = 221,
  kExitVmFailure = 222,
  kExitReset = 223,
  kExitNoDevice = 230,
  kExitPermission = 231,
  kExitBusy = 232,
  kExitCapability = 233,
  kExitKernel = 234,
  kExitMemory = 235,
  kExitInitrd = 236,
};

enum class OutcomeKind {
  kPowerOff,       // the guest switched the machine off
  kReset,          // the guest reset the machine
  kCommand,        // the guest command ended; value: its status
  kCommandSignal,  // value: the signal
  kCommandNoExec,  // value: the guest's errno
  kInitFailed,     // value: the guest's errno
  kPanic,          // the guest's kernel panicked
  kTripleFault,    // the CPU shut down
  kVmFailure,      // entry failure, emulation error, unknown exit; detail says what
  kTimeout,
  kQuit,    // the person at the terminal
  kSignal,  // value: the signal that ended vmm
};

struct Outcome {
  OutcomeKind kind = OutcomeKind::kPowerOff;
  uint32_t value = 0;
  std::string detail;  // for kVmFailure and kTripleFault: reason and registers, several lines
};

int ExitStatusOf(const Outcome& outcome);
int ExitStatusOf(ErrorKind kind);
// A stable word for JSON: "power-off", "command", ...
const char* OutcomeName(OutcomeKind kind);

}  // namespace vmm
