// SPDX-License-Identifier: GPL-2.0-or-later
//
// The ACPI tables of the machine: hardware-reduced, so that the guest needs no SCI, PM timer,
// PIC or legacy probing. Power-off and reset go through devices/power.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace vmm {

struct AcpiConfig {
  uint32_t cpus = 1;
  uint64_t base = 0xe0000;  // where the tables will lie; also searched by guests for the RSDP
};

struct AcpiTables {
  std::vector<uint8_t> image;  // to be placed at `base`; begins with the RSDP
  uint64_t rsdp;               // guest-physical address
  // Each table by its signature, for tests.
  std::map<std::string, std::vector<uint8_t>> tables;
};

AcpiTables BuildAcpiTables(const AcpiConfig& config);

}  // namespace vmm
