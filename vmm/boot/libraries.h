// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which files a program needs besides itself: script interpreters, the dynamic loader, and shared
// libraries, searched for in the way of the dynamic loader.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace vmm {

// The directories of ld.so.conf and its includes, then the built-in ones.
std::vector<std::string> LibraryDirectories(const std::string& conf = "/etc/ld.so.conf");

// All files that `program` needs, itself included, as absolute paths on the host.
Expected<std::vector<std::string>> ProgramFiles(const std::string& program);

// Where PATH finds the command; names with a slash stand for themselves.
Expected<std::string> FindProgram(const std::string& command);

}  // namespace vmm
