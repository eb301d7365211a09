// SPDX-License-Identifier: GPL-2.0-or-later
// The module's own counters of what it holds, in debugfs. Stock KVM has none: there the checks
// of this file hold trivially.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace counters {

// Name and value of each, or nothing when the node is not vellum's. Mounts debugfs if need be.
std::vector<std::pair<std::string, long>> Read();

// Fails the test if a counter is not zero; what ends asynchronously gets a second.
void ExpectZero();

// What one machine counts, by name.
using Stats = std::map<std::string, long>;

// Of the machine that this process created last. Vellum only.
Stats ReadVm();
// Writes to another file of that machine's folder.
void WriteVm(const std::string& file, unsigned long value);

}  // namespace counters
