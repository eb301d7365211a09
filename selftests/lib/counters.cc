// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/counters.h"

#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "lib/check.h"
#include "lib/kvm.h"

namespace counters {
namespace {

constexpr const char* kDebugfs = "/sys/kernel/debug";
constexpr const char* kFolder = "/sys/kernel/debug/vellum";
constexpr const char* kCounters = "/sys/kernel/debug/vellum/counters";

void Mount() {
  if (access(kCounters, R_OK) != 0) mount("debugfs", kDebugfs, "debugfs", 0, nullptr);
}

// Folders are named after the process and numbered.
std::filesystem::path VmFolder() {
  Mount();
  const std::string mine = std::to_string(getpid()) + "-";
  std::filesystem::path newest;
  unsigned long highest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    const std::string name = entry.path().filename();
    if (name.compare(0, mine.size(), mine) != 0) continue;
    const unsigned long number = std::stoul(name.substr(mine.size()));
    if (number < highest) continue;
    highest = number;
    newest = entry.path();
  }
  if (newest.empty()) check::Fail(__FILE__, __LINE__, std::string("no machine in ") + kFolder);
  return newest;
}

}  // namespace

std::vector<std::pair<std::string, long>> Read() {
  std::vector<std::pair<std::string, long>> result;
  if (!kvm::IsVellum()) return result;
  Mount();
  std::ifstream file(kCounters);
  std::string name;
  long value = 0;
  while (file >> name >> value) result.emplace_back(name, value);
  if (result.empty()) check::Fail(__FILE__, __LINE__, std::string("no counters in ") + kCounters);
  return result;
}

void ExpectZero() {
  std::string left;
  // Tables are freed after a grace period: more than a second of an emulated machine with two
  // processors was seen.
  for (int attempt = 0; attempt < 1500; ++attempt) {
    left.clear();
    for (const auto& [name, value] : Read()) {
      if (value != 0) left += " " + name + "=" + std::to_string(value);
    }
    if (left.empty()) return;
    usleep(10000);
  }
  check::Fail(__FILE__, __LINE__, "the module still holds" + left);
}

Stats ReadVm() {
  Stats stats;
  std::ifstream file(VmFolder() / "stats");
  for (std::string line, name; std::getline(file, line);) {
    std::istringstream words(line);
    // A histogram has several values; the first stands for it.
    words >> name >> stats[name];
  }
  if (stats.empty()) check::Fail(__FILE__, __LINE__, "no stats of the machine");
  return stats;
}

void WriteVm(const std::string& file, unsigned long value) {
  std::ofstream out(VmFolder() / file);
  out << value << std::flush;
  if (!out) check::Fail(__FILE__, __LINE__, "cannot write to " + file + " of the machine");
}

}  // namespace counters
