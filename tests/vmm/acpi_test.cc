// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/acpi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <numeric>

#include "fake_kernel.h"

namespace vmm {
namespace {

using test::Bytes;
using testing::HasSubstr;
using testing::Not;

uint8_t Sum(const Bytes& bytes, size_t size) {
  return std::accumulate(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size),
                         uint8_t{0},
                         [](uint8_t a, uint8_t b) { return static_cast<uint8_t>(a + b); });
}

uint64_t Load(const Bytes& bytes, size_t at, size_t size) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, size);
  return value;
}

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Runs a shell command, and returns its output; adds a failure unless it succeeds.
std::string Shell(const std::string& command) {
  std::string out;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  char buffer[512];
  while (pipe != nullptr && fgets(buffer, sizeof(buffer), pipe) != nullptr) out += buffer;
  const int status = pipe != nullptr ? pclose(pipe) : -1;
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << command << "\n" << out;
  return out;
}

TEST(AcpiTest, ChecksumsAndPointersHold) {
  const AcpiTables acpi = BuildAcpiTables({4, 0xe0000});
  EXPECT_EQ(acpi.rsdp, 0xe0000u);
  EXPECT_EQ(std::memcmp(acpi.image.data(), "RSD PTR ", 8), 0);
  EXPECT_EQ(Sum(acpi.image, 20), 0);
  EXPECT_EQ(Sum(acpi.image, 36), 0);
  for (const auto& [signature, table] : acpi.tables) {
    EXPECT_EQ(Sum(table, table.size()), 0) << signature;
    EXPECT_EQ(Load(table, 4, 4), table.size()) << signature;
  }
  const auto at = [&](uint64_t address) {
    return std::string(reinterpret_cast<const char*>(acpi.image.data() + (address - 0xe0000)), 4);
  };
  const uint64_t xsdt = Load(acpi.image, 24, 8);
  EXPECT_EQ(at(xsdt), "XSDT");
  const Bytes& table = acpi.tables.at("XSDT");
  EXPECT_EQ(at(Load(table, 36, 8)), "FACP");
  EXPECT_EQ(at(Load(table, 44, 8)), "APIC");
  const Bytes& fadt = acpi.tables.at("FACP");
  EXPECT_EQ(fadt.size(), 276u);
  EXPECT_EQ(at(Load(fadt, 140, 8)), "DSDT");
  EXPECT_EQ(Load(fadt, 140, 8), Load(fadt, 40, 4));
}

TEST(AcpiTest, ListsEveryCpu) {
  const auto count = [](uint32_t cpus) {
    const AcpiTables acpi = BuildAcpiTables({cpus, 0xe0000});
    const Bytes& madt = acpi.tables.at("APIC");
    uint32_t found = 0;
    for (size_t at = 44; at < madt.size(); at += madt[at + 1]) {
      EXPECT_NE(madt[at + 1], 0);
      found += madt[at] == 0 || madt[at] == 9;
    }
    return found;
  };
  EXPECT_EQ(count(1), 1u);
  EXPECT_EQ(count(8), 8u);
  EXPECT_EQ(count(300), 300u);
}

// Intel's compiler is the oracle: it must understand every table, find nothing wrong with it, and
// make the same AML from its own disassembly.
TEST(AcpiTest, IaslAgrees) {
  const AcpiTables acpi = BuildAcpiTables({2, 0xe0000});
  const test::TemporaryFolder folder;
  for (const auto& [signature, table] : acpi.tables) {
    folder.File(signature + ".dat", table);
    const std::string prefix = "cd " + folder.path() + " && iasl ";
    const std::string disassembly = Shell(prefix + "-d " + signature + ".dat");
    EXPECT_THAT(disassembly, Not(HasSubstr("rror"))) << signature;
    const std::string source = Slurp(folder.path() + "/" + signature + ".dsl");
    EXPECT_THAT(source, Not(HasSubstr("Incorrect checksum"))) << signature;
    EXPECT_THAT(source, Not(HasSubstr("**** "))) << signature;
    const std::string compilation =
        Shell(prefix + "-oa -p again-" + signature + " " + signature + ".dsl");
    if (signature == "DSDT") {
      EXPECT_THAT(compilation, HasSubstr("0 Errors, 0 Warnings"));
    } else {
      EXPECT_THAT(compilation, Not(HasSubstr("Error ")));
    }
    const std::string again = Slurp(folder.path() + "/again-" + signature + ".aml");
    ASSERT_EQ(again.size(), table.size()) << signature << compilation;
    // The compiler signs the header with its own name: compare what follows.
    EXPECT_EQ(std::memcmp(again.data() + 36, table.data() + 36, table.size() - 36), 0) << signature;
  }
}

TEST(AcpiTest, DsdtHasTheConsoleAndPowerOff) {
  const AcpiTables acpi = BuildAcpiTables({1, 0xe0000});
  const test::TemporaryFolder folder;
  folder.File("dsdt.dat", acpi.tables.at("DSDT"));
  Shell("cd " + folder.path() + " && iasl -d dsdt.dat");
  const std::string source = Slurp(folder.path() + "/dsdt.dsl");
  EXPECT_THAT(source, HasSubstr("EisaId (\"PNP0501\")"));
  EXPECT_THAT(source, HasSubstr("0x03F8"));
  EXPECT_THAT(source, HasSubstr("Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive"));
  EXPECT_THAT(source, HasSubstr("EisaId (\"PNP0B00\")"));
  EXPECT_THAT(source, HasSubstr("Name (_S5"));
}

}  // namespace
}  // namespace vmm
