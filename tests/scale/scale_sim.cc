// SPDX-License-Identifier: GPL-2.0-or-later
// Prints what the MMU's operations cost against the size of the guest: 16 GiB to 12 TiB, 416 vCPUs,
// somebody always waiting for the lock. Then what a table costs, beside KVM.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "scale.h"

namespace {

using scale::kGib;

// As re-declared from KVM's 6.1 layout and measured.
constexpr u64 kKvmHeader = 184;

std::string Size(u64 bytes) {
  const u64 gib = bytes / kGib;
  return gib < 1024 ? std::to_string(gib) + " GiB" : std::to_string(gib / 1024) + " TiB";
}

std::string Time(u64 ns) {
  char text[40];
  if (ns < 100'000)
    snprintf(text, sizeof(text), "%llu ns", ns);
  else if (ns < 100'000'000)
    snprintf(text, sizeof(text), "%llu us", ns / 1000);
  else
    snprintf(text, sizeof(text), "%llu ms", ns / 1'000'000);
  return text;
}

void PrintLife(u64 bytes, u64 dense, const scale::Life& life, scale::Holds* all) {
  printf("\nguest %s, of which %s by 4-KiB pages, 416 vCPUs; at most %llu tables\n",
         Size(bytes).c_str(), Size(dense).c_str(), life.tables_peak);
  printf("  %-26s %10s %12s %10s %12s %10s %8s\n", "operation", "calls", "time", "per call",
         "entries", "holds", "longest");
  for (const scale::Cost& c : life.costs) {
    printf("  %-26s %10llu %12s %10s %12llu %10llu %8llu\n", c.what.c_str(), c.calls,
           Time(c.ns).c_str(), Time(c.ns / c.calls).c_str(), c.holds.visited, c.holds.count,
           c.holds.longest);
    all->Add(c.holds);
  }
}

void PrintHolds(const scale::Holds& holds) {
  printf("\nentries visited per hold of the mmu lock, all sizes and operations; budget %llu\n",
         scale::kHoldBudget);
  for (size_t i = 0; i < holds.log2.size(); i++) {
    if (!holds.log2[i]) continue;
    const u64 from = i ? u64{1} << (i - 1) : 0;
    printf("  %6llu to %6llu: %12llu holds\n", from, i ? 2 * from - 1 : 0, holds.log2[i]);
  }
  printf("  longest: %llu\n", holds.longest);
}

void PrintTables(u64 dense, u64 tables) {
  const u64 gib = dense / kGib, header = sizeof(vlm_mmu_page);
  printf("\nbytes per GiB of guest memory mapped by 4-KiB pages, %llu tables measured for %s\n",
         tables, Size(dense).c_str());
  printf("  %-22s %12s %12s\n", "", "vellum", "KVM 6.1");
  printf("  %-22s %12llu %12llu\n", "header of a table", header, kKvmHeader);
  printf("  %-22s %12llu %12llu\n", "tables", tables * 4096 / gib, tables * 4096 / gib);
  printf("  %-22s %12llu %12llu\n", "headers", tables * header / gib, tables * kKvmHeader / gib);
  printf("  %-22s %12llu %12llu\n", "together", tables * (4096 + header) / gib,
         tables * (4096 + kKvmHeader) / gib);
}

}  // namespace

// scale_sim [GIB]: at most so much mapped by 4-KiB pages, 64 by default; 1 GiB takes 2.1 MB here.
int main(int argc, char** argv) {
  const u64 most = (argc > 1 ? std::strtoull(argv[1], nullptr, 0) : 64) * kGib;
  scale::Holds all;
  u64 tables = 0, dense = 0;

  for (u64 bytes : {16 * kGib, 128 * kGib, 1024 * kGib, 12 * 1024 * kGib}) {
    dense = std::min(bytes, most);
    const scale::Life life = scale::LiveThrough({bytes, dense, 416});
    PrintLife(bytes, dense, life, &all);
    tables = life.dense_tables;
    fflush(stdout);
  }
  PrintHolds(all);
  PrintTables(dense, tables);
  return 0;
}
