// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/acpi.h"

#include <cstring>
#include <numeric>
#include <string_view>

#include "base/platform.h"
#include "devices/cmos.h"
#include "devices/power.h"

namespace vmm {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint8_t kSystemIo = 1;
constexpr size_t kHeaderSize = 36;

void Append8(Bytes* out, uint64_t value) { out->push_back(static_cast<uint8_t>(value)); }
void Append16(Bytes* out, uint64_t value) {
  for (int i = 0; i < 2; ++i) Append8(out, value >> 8 * i);
}
void Append32(Bytes* out, uint64_t value) {
  for (int i = 0; i < 4; ++i) Append8(out, value >> 8 * i);
}
void Append64(Bytes* out, uint64_t value) {
  for (int i = 0; i < 8; ++i) Append8(out, value >> 8 * i);
}
void AppendText(Bytes* out, std::string_view text) {
  out->insert(out->end(), text.begin(), text.end());
}
void AppendBytes(Bytes* out, const Bytes& more) {
  out->insert(out->end(), more.begin(), more.end());
}

uint8_t Checksum(const uint8_t* data, size_t size) {
  return static_cast<uint8_t>(-std::accumulate(data, data + size, 0));
}

// A table: header, body, and a checksum over both.
Bytes Table(std::string_view signature, uint8_t revision, const Bytes& body) {
  Bytes out;
  AppendText(&out, signature);
  Append32(&out, kHeaderSize + body.size());
  Append8(&out, revision);
  Append8(&out, 0);  // checksum, below
  AppendText(&out, "VELLUM");
  AppendText(&out, "VMM     ");
  Append32(&out, 1);
  AppendText(&out, "VLLM");
  Append32(&out, 1);
  AppendBytes(&out, body);
  out[9] = Checksum(out.data(), out.size());
  return out;
}

// A generic address structure for one 8-bit I/O port.
void AppendPort(Bytes* out, uint16_t port) {
  Append8(out, kSystemIo);
  Append8(out, 8);  // bits
  Append8(out, 0);
  Append8(out, 1);  // byte access
  Append64(out, port);
}

// --- AML: just the few encodings that the DSDT takes ---

// A package length that counts itself: one to three bytes here.
Bytes Package(std::initializer_list<uint8_t> op, const Bytes& body) {
  Bytes out(op);
  size_t length = body.size() + 1;
  if (length < 0x40) {
    Append8(&out, length);
  } else {
    length = body.size() + 2;
    Append8(&out, 0x40 | (length & 0x0f));
    Append8(&out, length >> 4);
  }
  AppendBytes(&out, body);
  return out;
}

Bytes Integer(uint32_t value) {
  Bytes out;
  if (value == 0) {
    Append8(&out, 0x00);
  } else if (value == 1) {
    Append8(&out, 0x01);
  } else if (value <= 0xff) {
    Append8(&out, 0x0a);
    Append8(&out, value);
  } else {
    Append8(&out, 0x0c);
    Append32(&out, value);
  }
  return out;
}

Bytes Name(std::string_view name, const Bytes& value) {
  Bytes out;
  Append8(&out, 0x08);
  AppendText(&out, name);
  AppendBytes(&out, value);
  return out;
}

// "PNP0501" as a compressed EISA identifier.
Bytes EisaId(std::string_view id) {
  const auto letter = [&](size_t i) { return static_cast<uint32_t>(id[i] - 'A' + 1); };
  const auto digit = [&](size_t i) {
    const char c = id[i];
    return static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10);
  };
  const uint32_t word = letter(0) << 26 | letter(1) << 21 | letter(2) << 16 | digit(3) << 12 |
                        digit(4) << 8 | digit(5) << 4 | digit(6);
  Bytes out;
  Append8(&out, 0x0c);
  for (int shift = 24; shift >= 0; shift -= 8) Append8(&out, word >> shift);
  return out;
}

Bytes Resources(const Bytes& descriptors) {
  Bytes content = descriptors;
  Append16(&content, 0x0079);  // end tag, checksum not computed
  Bytes body = Integer(static_cast<uint32_t>(content.size()));
  AppendBytes(&body, content);
  return Package({0x11}, body);
}

void AppendIo(Bytes* out, uint16_t port, uint8_t count) {
  Append8(out, 0x47);
  Append8(out, 1);  // 16-bit decode
  Append16(out, port);
  Append16(out, port);
  Append8(out, 1);
  Append8(out, count);
}

// An extended interrupt descriptor: consumer, edge, active high, exclusive.
void AppendInterrupt(Bytes* out, uint32_t gsi) {
  Append8(out, 0x89);
  Append16(out, 6);
  Append8(out, 0x03);
  Append8(out, 1);
  Append32(out, gsi);
}

Bytes Device(std::string_view name, std::string_view id, uint32_t unit, const Bytes& resources) {
  Bytes body;
  AppendText(&body, name);
  AppendBytes(&body, Name("_HID", EisaId(id)));
  AppendBytes(&body, Name("_UID", Integer(unit)));
  AppendBytes(&body, Name("_CRS", Resources(resources)));
  return Package({0x5b, 0x82}, body);
}

Bytes Dsdt() {
  Bytes scope;
  AppendText(&scope, "\\_SB_");
  {
    Bytes resources;
    AppendIo(&resources, kSerialPort, 8);
    AppendInterrupt(&resources, kSerialIrq);
    AppendBytes(&scope, Device("COM1", "PNP0501", 0, resources));
  }
  {
    Bytes resources;
    AppendIo(&resources, Cmos::kPort, Cmos::kPortCount);
    AppendBytes(&scope, Device("RTC_", "PNP0B00", 0, resources));
  }
  Bytes body = Package({0x10}, scope);
  Bytes states;
  Append8(&states, 4);
  for (const uint32_t value : {uint32_t{kSleepTypeS5}, uint32_t{kSleepTypeS5}, 0u, 0u})
    AppendBytes(&states, Integer(value));
  AppendBytes(&body, Name("_S5_", Package({0x12}, states)));
  return Table("DSDT", 2, body);
}

Bytes Madt(uint32_t cpus) {
  Bytes body;
  Append32(&body, kLocalApicBase);
  Append32(&body, 0);  // no legacy PICs to be masked
  for (uint32_t cpu = 0; cpu < cpus; ++cpu) {
    if (cpu < 255) {
      Append8(&body, 0);  // local APIC
      Append8(&body, 8);
      Append8(&body, cpu);
      Append8(&body, cpu);
      Append32(&body, 1);
    } else {
      Append8(&body, 9);  // local x2APIC
      Append8(&body, 16);
      Append16(&body, 0);
      Append32(&body, cpu);
      Append32(&body, 1);
      Append32(&body, cpu);
    }
  }
  Append8(&body, 1);  // I/O APIC
  Append8(&body, 12);
  Append8(&body, 0);
  Append8(&body, 0);
  Append32(&body, kIoApicBase);
  Append32(&body, 0);
  Append8(&body, 4);  // NMI on LINT1 of every local APIC
  Append8(&body, 6);
  Append8(&body, 0xff);
  Append16(&body, 0);
  Append8(&body, 1);
  return Table("APIC", 5, body);
}

Bytes Fadt(uint64_t dsdt) {
  constexpr uint32_t kWbinvd = 1u << 0;
  constexpr uint32_t kPowerButtonControlMethod = 1u << 4;
  constexpr uint32_t kSleepButtonControlMethod = 1u << 5;
  constexpr uint32_t kResetRegister = 1u << 10;
  constexpr uint32_t kHardwareReduced = 1u << 20;
  constexpr uint16_t kLegacyDevices = 1u << 0;  // COM1 is on a legacy bus
  constexpr uint16_t kNoVga = 1u << 2;
  constexpr uint16_t kNoAspm = 1u << 4;
  // Absent on purpose: bit 1, a keyboard controller: there is one, but probing it is a waste.

  Bytes body;
  Append32(&body, 0);  // no FACS
  Append32(&body, dsdt);
  Append8(&body, 0);
  Append8(&body, 4);  // preferred profile: enterprise server
  body.resize(109 - kHeaderSize);
  Append16(&body, kLegacyDevices | kNoVga | kNoAspm);
  Append8(&body, 0);
  Append32(&body, kWbinvd | kPowerButtonControlMethod | kSleepButtonControlMethod | kResetRegister |
                      kHardwareReduced);
  AppendPort(&body, kResetPort);
  Append8(&body, kResetValue);
  Append16(&body, 0);
  Append8(&body, 3);   // revision 6.3
  Append64(&body, 0);  // no FACS
  Append64(&body, dsdt);
  body.resize(244 - kHeaderSize);  // the event, control, timer and GPE blocks do not exist
  AppendPort(&body, kSleepControlPort);
  AppendPort(&body, kSleepStatusPort);
  AppendText(&body, "VELLUM  ");
  body[108 - kHeaderSize] = Cmos::kCenturyRegister;
  return Table("FACP", 6, body);
}

}  // namespace

AcpiTables BuildAcpiTables(const AcpiConfig& config) {
  AcpiTables out;
  constexpr size_t kRsdpSize = 36;
  out.rsdp = config.base;
  out.image.resize(64);  // the RSDP, filled in last

  const auto place = [&](const std::string& signature, const Bytes& table) {
    out.image.resize((out.image.size() + 15) / 16 * 16);
    const uint64_t address = config.base + out.image.size();
    AppendBytes(&out.image, table);
    out.tables[signature] = table;
    return address;
  };
  const uint64_t dsdt = place("DSDT", Dsdt());
  const uint64_t fadt = place("FACP", Fadt(dsdt));
  const uint64_t madt = place("APIC", Madt(config.cpus));
  Bytes pointers;
  Append64(&pointers, fadt);
  Append64(&pointers, madt);
  const uint64_t xsdt = place("XSDT", Table("XSDT", 1, pointers));

  Bytes rsdp;
  AppendText(&rsdp, "RSD PTR ");
  Append8(&rsdp, 0);
  AppendText(&rsdp, "VELLUM");
  Append8(&rsdp, 2);
  Append32(&rsdp, 0);  // no RSDT
  Append32(&rsdp, kRsdpSize);
  Append64(&rsdp, xsdt);
  Append32(&rsdp, 0);
  rsdp[8] = Checksum(rsdp.data(), 20);
  rsdp[32] = Checksum(rsdp.data(), kRsdpSize);
  std::memcpy(out.image.data(), rsdp.data(), rsdp.size());
  return out;
}

}  // namespace vmm
