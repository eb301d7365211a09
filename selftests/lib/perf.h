// SPDX-License-Identifier: GPL-2.0-or-later
// What the measuring programs have in common: options, the clock, tables.
//
//   --dev NODE      the node to measure; given twice, both are measured one after the other, and
//                   the ratio of the second to the first is printed. Default $VELLUM_DEV, /dev/kvm
//   --between CMD   what the shell runs between the two, to hand VMX over from one to the other
//   --json FILE     results as JSON in FILE, "-" for a single line on standard output
//
// Time is in ticks of the time-stamp counter. In the emulated machine that is the number of
// executed instructions, so that figures repeat exactly; on silicon it is cycles. The output says
// which.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/kvm.h"

namespace perf {

struct Cost {
  uint64_t ticks = 0;
  uint64_t exits = 0;  // of the vCPUs that were told to the meter
};

// From its construction or the last lap on.
class Meter {
 public:
  // Counts the exits of these vCPUs, too.
  explicit Meter(const std::vector<const kvm::Vcpu*>& vcpus = {});
  Cost Lap();
  void Restart();

 private:
  uint64_t Exits() const;

  struct Counter {
    kvm::Fd file;
    long offset;
  };
  std::vector<Counter> counters_;
  uint64_t exits_ = 0;
  uint64_t ticks_ = 0;
};

struct Row {
  std::string operation;
  Cost cost;
  uint64_t count;    // the cost is that of so many
  std::string unit;  // of what

  double PerUnit() const { return static_cast<double>(cost.ticks) / static_cast<double>(count); }
};

class Report {
 public:
  void Add(const std::string& operation, Cost cost, uint64_t count, const std::string& unit) {
    rows_.push_back({operation, cost, count, unit});
  }
  const std::vector<Row>& rows() const { return rows_; }

 private:
  std::vector<Row> rows_;
};

struct Program {
  const char* name;
  const char* usage;    // of its own options
  const char* letters;  // these, as for getopt()
  // Takes one of them; false if the value is nonsense.
  bool (*option)(int letter, const char* value);
  void (*measure)(Report& report);
};

// "64M", "1G", "4096".
bool ParseBytes(const char* text, uint64_t& bytes);
bool ParseNumber(const char* text, uint64_t& number);

// Exit status: 0, 1 if something failed, 2 for a command line that it does not understand, 4 if
// the node cannot do what was asked.
int Main(int argc, char** argv, const Program& program);

// The calling thread runs on this processor alone, if there is such a one.
void Pin(unsigned cpu);

}  // namespace perf
