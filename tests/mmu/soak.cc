// SPDX-License-Identifier: GPL-2.0-or-later
// Random operations on one machine after another, for a time or a number of operations. Each
// machine has a seed of its own, counted up from the first, and ends with all checks for leaks, so
// a run can be stopped (SIGTERM) and continued at the next seed, or divided among processors.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>

#include "random_run.h"

namespace {

using fakes::RandomCounts;
using fakes::RandomOp;

struct Options {
  u64 seed = 0;
  double seconds = 10;
  u64 operations = 0;  // 0: as many as the time allows
  u64 per_machine = 100000;
};

constexpr char kUsage[] =
    "usage: mmu_soak [--seconds N | --operations N] [--seed N] [--per-machine N]\n";

volatile sig_atomic_t stopped = 0;

Options Parse(int argc, char** argv) {
  Options o;
  o.seed = std::random_device{}();
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) {
      fputs(kUsage, stderr);
      exit(2);
    }
    const u64 value = std::strtoull(argv[i + 1], nullptr, 0);
    if (name == "--seconds") {
      o.seconds = static_cast<double>(value);
    } else if (name == "--operations") {
      o.operations = value;
    } else if (name == "--seed") {
      o.seed = value;
    } else if (name == "--per-machine") {
      o.per_machine = value;
    } else {
      fputs(kUsage, stderr);
      exit(2);
    }
  }
  return o;
}

double Now(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

void Report(const RandomCounts& all, u64 first_seed, u64 machines, double cpu) {
  const u64 total = all.Total();
  printf("%llu operations on %llu machines, seeds %llu to %llu, %.0f CPU seconds, %.0f/s\n", total,
         machines, first_seed, first_seed + machines - 1, cpu, static_cast<double>(total) / cpu);
  for (size_t i = 0; i < fakes::kRandomOps; i++)
    printf("  %-20s %12llu\n", RandomOpName(static_cast<RandomOp>(i)), all.ops[i]);
  printf(
      "  of these inside another operation %llu, exits by guest accesses %llu, out of memory "
      "%llu\n",
      all.in_between, all.exits, all.failed_allocations);
  printf("the MMU's own statistics, summed up:\n");
  vlm_stat_block block;
  vlm_mmu_stat_block(nullptr, &block);
  for (u32 i = 0; i < block.nr_descs; i++) {
    const vlm_stat_desc& desc = block.descs[i];
    // What is there now is nothing any more.
    if (desc.kind == VLM_STAT_INSTANT || desc.unit == VLM_UNIT_TICKS) continue;
    printf("  %-20s", desc.name);
    for (u32 word = desc.word; word < desc.word + u32{desc.nr}; word++)
      printf(" %12llu", all.stats[word]);
    printf("\n");
  }
  fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = Parse(argc, argv);
  signal(SIGTERM, [](int) { stopped = 1; });
  signal(SIGINT, [](int) { stopped = 1; });

  // How to repeat one machine; the seed follows.
  char repeat[200];
  snprintf(repeat, sizeof(repeat), "mmu_soak --operations %llu --per-machine %llu --seed ",
           o.per_machine, o.per_machine);

  RandomCounts all;
  u64 machines = 0;
  const double begin = Now(CLOCK_MONOTONIC);
  double told = begin;
  while (!stopped) {
    const double now = Now(CLOCK_MONOTONIC);
    if (o.operations ? all.Total() >= o.operations : machines && now - begin >= o.seconds) break;
    if (now - told >= 60) {
      told = now;
      printf("%.0f s: %llu operations, next seed %llu\n", now - begin, all.Total(),
             o.seed + machines);
      fflush(stdout);
    }
    all.Add(fakes::RunRandomMachine(o.seed + machines, o.per_machine, repeat));
    machines++;
  }
  Report(all, o.seed, machines, Now(CLOCK_PROCESS_CPUTIME_ID));
  return 0;
}
