// SPDX-License-Identifier: GPL-2.0-or-later
//
// Which files a kernel module needs, in load order. Uses libkmod, which is loaded only when asked
// for: a kernel with everything built in needs none of it.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace vmm {

// `names` are module names, aliases, or paths of .ko files. `directory` replaces
// /lib/modules/`release`.
Expected<std::vector<std::string>> ResolveModules(const std::vector<std::string>& names,
                                                  const std::string& directory,
                                                  const std::string& release);

}  // namespace vmm
