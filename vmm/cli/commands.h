// SPDX-License-Identifier: GPL-2.0-or-later
//
// The verbs of the command line; each returns vmm's exit status.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "hyp/kvm.h"

namespace vmm {

struct RunOptions {
  std::string kernel;
  std::string initrd;
  std::string cmdline;
  bool bare_cmdline = false;
  uint32_t cpus = 1;
  std::string memory = "256M";
  std::string node = kDefaultNode;
  std::string timeout;
  std::vector<std::string> files;
  std::vector<std::string> modules;
  std::string module_directory;
  std::string entry = "auto";
  bool no_unpack = false;
  std::string result;
  bool verbose = false;
  bool has_command = false;
  std::vector<std::string> command;
};

struct UnpackOptions {
  std::string kernel;
  std::string out;
};

struct DoctorOptions {
  std::string node = kDefaultNode;
  bool json = false;
};

Expected<int> RunCommand(const RunOptions& options);
Expected<int> UnpackCommand(const UnpackOptions& options);
Expected<int> DoctorCommand(const DoctorOptions& options);

// Three lines on standard error: what, why, what to try.
void PrintError(const Error& error);

}  // namespace vmm
