// SPDX-License-Identifier: GPL-2.0-or-later
#include "random_run.h"

#include <cstdio>

extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace fakes {
namespace {

struct {
  const RandomMachine* machine = nullptr;
  u64 seed = 0;
  u64 operations = 0;
  const char* repeat = nullptr;
} run;

void TellSeed() {
  if (!run.repeat) return;
  fprintf(stderr, "seed %llu, after %llu operations\nrepeat: ", run.seed,
          run.machine ? run.machine->operations() : run.operations);
  fprintf(stderr, "%s%llu\n", run.repeat, run.seed);
  run.repeat = nullptr;
}

}  // namespace

RandomCounts RunRandomMachine(u64 seed, u64 operations, const char* repeat) {
  shim_on_violation = TellSeed;
  if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(TellSeed);
  run = {nullptr, seed, operations, repeat};

  RandomCounts counts;
  {
    RandomMachine machine(seed);
    run.machine = &machine;
    machine.RunTo(operations);
    counts = machine.counts();
    run.machine = nullptr;
  }
  run.repeat = nullptr;
  shim_on_violation = nullptr;
  return counts;
}

}  // namespace fakes
