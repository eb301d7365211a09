// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/counters.h"

#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "lib/check.h"
#include "lib/kvm.h"

namespace counters {
namespace {

constexpr const char* kDebugfs = "/sys/kernel/debug";
constexpr const char* kCounters = "/sys/kernel/debug/vellum/counters";

}  // namespace

std::vector<std::pair<std::string, long>> Read() {
  std::vector<std::pair<std::string, long>> result;
  if (!kvm::IsVellum()) return result;
  if (access(kCounters, R_OK) != 0) mount("debugfs", kDebugfs, "debugfs", 0, nullptr);
  std::ifstream file(kCounters);
  std::string name;
  long value = 0;
  while (file >> name >> value) result.emplace_back(name, value);
  if (result.empty()) check::Fail(__FILE__, __LINE__, std::string("no counters in ") + kCounters);
  return result;
}

void ExpectZero() {
  std::string left;
  for (int attempt = 0; attempt < 100; ++attempt) {
    left.clear();
    for (const auto& [name, value] : Read()) {
      if (value != 0) left += " " + name + "=" + std::to_string(value);
    }
    if (left.empty()) return;
    usleep(10000);
  }
  check::Fail(__FILE__, __LINE__, "the module still holds" + left);
}

}  // namespace counters
