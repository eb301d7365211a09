// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random bytes in every mode, at every privilege, with operands that may or may not be mapped:
// nothing crashes, and what is not done leaves no trace.

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "fake_machine.h"
#include "random_code.h"
#include "seed.h"

namespace vmm {
namespace {

constexpr uint64_t kCode = 0x1000;
constexpr uint64_t kData = 0x4000;
constexpr uint64_t kDevice = 0x6000;

class FuzzTest : public ::testing::TestWithParam<vlm_emul_mode> {
 protected:
  FuzzTest() : machine_(GetParam()) {}

  void Prepare() {
    machine_.SetMode(GetParam());
    machine_.pages.clear();
    machine_.Map(kCode);
    machine_.MapRange(kData, 2 * kPageSize);
    machine_.Map(kDevice, PageKind::kMmio);
    machine_.pages[0xfffffffff000];  // one that no canonical address reaches
    if (random_() % 2 == 0) machine_.Map(kData).writable = false;
    if (GetParam() != VLM_EMUL_REAL && GetParam() != VLM_EMUL_VM86)
      machine_.emul.cpl = static_cast<u8>(random_() % 2 * 3);
    for (u64& reg : machine_.regs) {
      reg = random_();
      if (random_() % 2 == 0) reg = kData + random_() % 0x3000;
      if (random_() % 8 == 0) reg = random_() % 8;
    }
    machine_.emul.rflags |= random_() & (kStatusFlags | kDf | kIopl | kAc | kRf);
    if (random_() % 4 == 0) machine_.emul.cr0 |= 1u << 18;
    machine_.gdt = {kData, 0x7f};
    machine_.idt = {kData, 0x3ff};
    machine_.segs[VLM_EMUL_TR].base = kData;
    machine_.segs[VLM_EMUL_TR].limit = 0x1000;
    if (random_() % 4 == 0) {
      vlm_emul_seg& seg = machine_.segs[random_() % 6];
      seg.limit = static_cast<u32>(random_() % 0x8000);
      seg.ar ^= static_cast<u32>(random_() % 16);
    }
    for (size_t i = 0; i < 0x100; i += 8) machine_.PokeValue(kData + i, random_());
    machine_.port_fill = random_() % 2 ? std::optional<uint8_t>(0x5a) : std::nullopt;
    machine_.accesses.clear();
  }

  std::string Describe(std::span<const uint8_t> code) {
    std::string text =
        "mode " + std::to_string(GetParam()) + ", seed " + std::to_string(TestSeed()) + ":";
    char hex[8];
    for (uint8_t byte : code) {
      snprintf(hex, sizeof(hex), " %02x", byte);
      text += hex;
    }
    return text;
  }

  bool Wrote() const {
    for (const Access& access : machine_.accesses) {
      switch (access.kind) {
        case AccessKind::kWrite:
        case AccessKind::kCmpxchg:
        case AccessKind::kPortOut:
        case AccessKind::kMmioWrite:
          return true;
        default:
          break;
      }
    }
    return false;
  }

  std::mt19937_64 random_{TestSeed()};
  FakeMachine machine_;
};

TEST_P(FuzzTest, NothingButDoneLeavesATrace) {
  int counts[5] = {};
  for (int i = 0; i < 6000 && !HasFailure(); i++) {
    Prepare();
    const auto code = RandomCode(random_);
    SCOPED_TRACE(Describe(code));
    machine_.Poke(kCode, code);
    const Snapshot before(machine_);
    const vlm_emul_result result = machine_.Step();
    counts[result]++;
    EXPECT_LE(machine_.emul.len, VLM_EMUL_INSN_MAX);
    if (result == VLM_EMUL_DONE) continue;
    if (result == VLM_EMUL_FAULT) {
      EXPECT_LT(machine_.emul.fault.vector, 32);
    }
    // A repeated instruction keeps the iterations before the one that failed.
    const bool repeated = machine_.emul.rep && (Wrote() || !machine_.accesses.empty());
    if (repeated) {
      EXPECT_EQ(machine_.emul.rip, before.rip);
      continue;
    }
    EXPECT_TRUE(Snapshot(machine_) == before);
    EXPECT_FALSE(Wrote());
  }
  EXPECT_GT(counts[VLM_EMUL_DONE], 250);
  EXPECT_GT(counts[VLM_EMUL_FAULT], 250);
  EXPECT_GT(counts[VLM_EMUL_UNHANDLED], 250);
  EXPECT_GT(counts[VLM_EMUL_USER], 5);
  EXPECT_EQ(counts[VLM_EMUL_ABORT], 0);
}

TEST_P(FuzzTest, FailingServicesLeaveNoTrace) {
  int failed = 0;
  for (int i = 0; i < 6000 && !HasFailure(); i++) {
    Prepare();
    const auto code = RandomCode(random_);
    SCOPED_TRACE(Describe(code));
    machine_.Poke(kCode, code);
    machine_.failure = random_() % 2 ? VLM_EMUL_IO_ABORT : VLM_EMUL_IO_FAULT;
    machine_.fail_after = 1 + static_cast<int>(random_() % 3);  // after the first fetch
    Snapshot before(machine_);
    const vlm_emul_result result = machine_.Step();
    if (machine_.fail_after) continue;  // needed fewer services
    failed++;
    EXPECT_EQ(result, machine_.failure == VLM_EMUL_IO_ABORT ? VLM_EMUL_ABORT : VLM_EMUL_FAULT);
    if (machine_.emul.rep) continue;  // former iterations stay
    // A segment load marks its descriptor before it goes on.
    if (machine_.accesses.empty() || machine_.accesses.back().flags & VLM_EMUL_ACC_IMPLICIT)
      before.memory = Snapshot(machine_).memory;
    EXPECT_TRUE(Snapshot(machine_) == before);
  }
  EXPECT_GT(failed, 250);
}

TEST_P(FuzzTest, TruncatedPrefetchIsCompletedByFetches) {
  for (int i = 0; i < 2000 && !HasFailure(); i++) {
    Prepare();
    const auto code = RandomCode(random_);
    SCOPED_TRACE(Describe(code));
    machine_.Poke(kCode, code);
    machine_.segs[VLM_EMUL_CS].limit = 0xffffffff;  // bytes given are not checked against it
    vlm_emul_begin(&machine_.emul);
    const vlm_emul_result whole = vlm_emul_decode(&machine_.emul);
    const uint8_t len = machine_.emul.len;
    vlm_emul_begin(&machine_.emul);
    machine_.emul.insn_len = static_cast<u8>(random_() % 16);
    std::copy_n(code.begin(), machine_.emul.insn_len, machine_.emul.insn);
    EXPECT_EQ(vlm_emul_decode(&machine_.emul), whole);
    if (whole == VLM_EMUL_DONE) {
      EXPECT_EQ(machine_.emul.len, len);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, FuzzTest,
                         ::testing::Values(VLM_EMUL_REAL, VLM_EMUL_VM86, VLM_EMUL_PROT16,
                                           VLM_EMUL_PROT32, VLM_EMUL_LONG64));

}  // namespace
}  // namespace vmm
