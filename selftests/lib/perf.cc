// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/perf.h"

#include <getopt.h>
#include <sched.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lib/check.h"
#include "lib/stats.h"

namespace perf {
namespace {

enum { kDev = 0x100, kBetween, kJson, kHelp };
const option kLongOptions[] = {{"dev", required_argument, nullptr, kDev},
                               {"between", required_argument, nullptr, kBetween},
                               {"json", required_argument, nullptr, kJson},
                               {"help", no_argument, nullptr, kHelp},
                               {}};

struct Options {
  std::vector<std::string> devices;
  std::string between;
  std::string json;
};

struct Node {
  std::string device;
  Report report;
};

uint64_t TicksOfLoop(unsigned rounds) {
  const uint64_t start = __rdtsc();
  asm volatile("1: dec %0\n jnz 1b" : "+r"(rounds));
  return __rdtsc() - start;
}

// An emulator's counter goes on by one with each instruction: twice the rounds, two for each more.
bool TicksAreInstructions() {
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (TicksOfLoop(2000) - TicksOfLoop(1000) == 2000) return true;
  }
  return false;
}

const char* Unit() {
  static const bool instructions = TicksAreInstructions();
  return instructions ? "instructions" : "cycles";
}

void Usage(const Program& program) {
  std::printf(
      "%s [OPTION...]\n%s"
      "  --dev NODE     node to measure; twice: both, and the ratio of the second to the first\n"
      "  --between CMD  shell command between the two\n"
      "  --json FILE    the results as JSON; - for standard output\n",
      program.name, program.usage);
}

void PrintOne(const Node& node) {
  std::printf("%-44s %14s %10s %12s  %s\n", "operation", Unit(), "exits", "per unit", "unit");
  for (const Row& row : node.report.rows()) {
    std::printf("%-44s %14lu %10lu %12.1f  %s\n", row.operation.c_str(), row.cost.ticks,
                row.cost.exits, row.PerUnit(), row.unit.c_str());
  }
}

void PrintBoth(const Node& a, const Node& b) {
  std::printf("%-44s %14s %14s %7s  %s\n", "operation", a.device.c_str(), b.device.c_str(), "ratio",
              "unit");
  for (const Row& row : a.report.rows()) {
    const auto& others = b.report.rows();
    const auto other = std::find_if(others.begin(), others.end(),
                                    [&](const Row& r) { return r.operation == row.operation; });
    if (other == others.end()) continue;
    std::printf("%-44s %14.1f %14.1f %7.3f  %s\n", row.operation.c_str(), row.PerUnit(),
                other->PerUnit(), other->PerUnit() / row.PerUnit(), row.unit.c_str());
  }
}

nlohmann::json AsJson(const Program& program, const std::vector<Node>& nodes) {
  nlohmann::json out{{"program", program.name}, {"ticks", Unit()}};
  for (const Node& node : nodes) {
    nlohmann::json rows = nlohmann::json::array();
    for (const Row& row : node.report.rows()) {
      rows.push_back({{"operation", row.operation},
                      {"ticks", row.cost.ticks},
                      {"exits", row.cost.exits},
                      {"count", row.count},
                      {"unit", row.unit}});
    }
    out["nodes"].push_back({{"device", node.device}, {"rows", rows}});
  }
  return out;
}

int Write(const Program& program, const std::vector<Node>& nodes, const std::string& path) {
  const std::string text = AsJson(program, nodes).dump();
  if (path == "-") {
    std::printf("%s\n", text.c_str());
    return 0;
  }
  std::ofstream file(path);
  file << text << std::endl;
  if (file) return 0;
  std::fprintf(stderr, "%s: cannot write %s\n", program.name, path.c_str());
  return 1;
}

int Measure(const Program& program, const Options& options, std::vector<Node>& nodes) {
  for (const std::string& device : options.devices) {
    if (!nodes.empty() && !options.between.empty() &&
        std::system(options.between.c_str()) != 0) {  // NOLINT: the user's own command
      std::fprintf(stderr, "%s: failed: %s\n", program.name, options.between.c_str());
      return 1;
    }
    setenv("VELLUM_DEV", device.c_str(), 1);
    Node node{device, {}};
    try {
      program.measure(node.report);
    } catch (const check::Failed&) {
      return 1;
    } catch (const check::Skipped&) {
      return 4;
    }
    nodes.push_back(node);
  }
  return 0;
}

}  // namespace

Meter::Meter(const std::vector<const kvm::Vcpu*>& vcpus) {
  for (const kvm::Vcpu* vcpu : vcpus) {
    const stats::File file(vcpu->fd());
    counters_.push_back({kvm::Fd(dup(file.fd())), static_cast<long>(file.Offset("exits"))});
  }
  Restart();
}

uint64_t Meter::Exits() const {
  uint64_t sum = 0;
  for (const Counter& counter : counters_) {
    uint64_t value = 0;
    CHECK_EQ(8, pread(counter.file.get(), &value, sizeof(value), counter.offset));
    sum += value;
  }
  return sum;
}

Cost Meter::Lap() {
  const uint64_t ticks = __rdtsc() - ticks_, exits = Exits() - exits_;
  Restart();
  return {ticks, exits};
}

void Meter::Restart() {
  exits_ = Exits();
  ticks_ = __rdtsc();
}

bool ParseNumber(const char* text, uint64_t& number) {
  char* end;
  errno = 0;
  number = std::strtoull(text, &end, 0);
  return errno == 0 && end != text && *end == '\0';
}

bool ParseBytes(const char* text, uint64_t& bytes) {
  std::string digits = text;
  unsigned shift = 0;
  if (!digits.empty()) {
    switch (digits.back()) {
      case 'k':
      case 'K':
        shift = 10;
        break;
      case 'm':
      case 'M':
        shift = 20;
        break;
      case 'g':
      case 'G':
        shift = 30;
        break;
      default:
        break;
    }
  }
  if (shift != 0) digits.pop_back();
  if (!ParseNumber(digits.c_str(), bytes) || bytes > UINT64_MAX >> shift) return false;
  bytes <<= shift;
  return true;
}

void Pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof(set), &set);
}

int Main(int argc, char** argv, const Program& program) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  Options options;
  for (int letter;
       (letter = getopt_long(argc, argv, program.letters, kLongOptions, nullptr)) != -1;) {
    switch (letter) {
      case kDev:
        options.devices.emplace_back(optarg);
        break;
      case kBetween:
        options.between = optarg;
        break;
      case kJson:
        options.json = optarg;
        break;
      case kHelp:
        Usage(program);
        return 0;
      default:
        if (letter == '?' || !program.option(letter, optarg)) {
          Usage(program);
          return 2;
        }
    }
  }
  if (optind != argc || options.devices.size() > 2) {
    Usage(program);
    return 2;
  }
  if (options.devices.empty()) options.devices.emplace_back(kvm::DevicePath());

  std::vector<Node> nodes;
  const int status = Measure(program, options, nodes);
  if (status != 0) return status;
  if (options.json != "-") {
    std::printf("%s, in %s\n", program.name, Unit());
    if (nodes.size() == 2) {
      PrintBoth(nodes[0], nodes[1]);
    } else {
      PrintOne(nodes[0]);
    }
  }
  return options.json.empty() ? 0 : Write(program, nodes, options.json);
}

}  // namespace perf
