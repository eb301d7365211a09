// SPDX-License-Identifier: GPL-2.0-or-later
//
// Prefixes: where LOCK is legal, how often prefixes may repeat, and REX in the wrong place.

#include <gtest/gtest.h>

#include "fake_machine.h"

namespace vmm {
namespace {

constexpr uint8_t kUd = 6, kGp = 13;

class PrefixTest : public ::testing::Test {
 protected:
  PrefixTest() : machine_(VLM_EMUL_LONG64) {
    machine_.MapRange(0x4000, kPageSize);
    machine_.reg(kRsi) = 0x4000;
  }

  void ExpectUd(std::initializer_list<uint8_t> code) {
    ASSERT_EQ(machine_.Run(code), VLM_EMUL_FAULT);
    EXPECT_EQ(machine_.emul.fault.vector, kUd);
    EXPECT_FALSE(machine_.emul.fault.has_error);
  }

  FakeMachine machine_;
};

TEST_F(PrefixTest, LockIsLegalOnReadModifyWriteOfMemory) {
  const std::vector<std::vector<uint8_t>> legal = {
      {0x01, 0x06},       {0x08, 0x06},       {0x11, 0x06},          {0x19, 0x06},
      {0x20, 0x06},       {0x29, 0x06},       {0x31, 0x06},          {0x80, 0x06, 1},
      {0x83, 0x2e, 1},    {0x86, 0x06},       {0x87, 0x06},          {0xf6, 0x16},
      {0xf7, 0x1e},       {0xfe, 0x06},       {0xff, 0x0e},          {0x0f, 0xab, 0x06},
      {0x0f, 0xb3, 0x06}, {0x0f, 0xbb, 0x06}, {0x0f, 0xba, 0x2e, 1}, {0x0f, 0xb1, 0x06},
      {0x0f, 0xc1, 0x06}, {0x0f, 0xc7, 0x0e}};
  for (std::vector<uint8_t> code : legal) {
    code.insert(code.begin(), 0xf0);
    machine_.accesses.clear();
    EXPECT_EQ(machine_.Run(std::span<const uint8_t>(code)), VLM_EMUL_DONE) << int{code[1]};
    ASSERT_FALSE(machine_.accesses.empty());
    EXPECT_EQ(machine_.accesses.back().kind, AccessKind::kCmpxchg) << int{code[1]};
  }
}

TEST_F(PrefixTest, LockIsIllegalElsewhere) {
  ExpectUd({0xf0, 0x01, 0xc0});        // register destination
  ExpectUd({0xf0, 0x03, 0x06});        // memory is the source
  ExpectUd({0xf0, 0x39, 0x06});        // cmp
  ExpectUd({0xf0, 0x83, 0x3e, 1});     // cmp, group
  ExpectUd({0xf0, 0x89, 0x06});        // mov
  ExpectUd({0xf0, 0x85, 0x06});        // test
  ExpectUd({0xf0, 0x0f, 0xa3, 0x06});  // bt
  ExpectUd({0xf0, 0xc1, 0x26, 1});     // shl
  ExpectUd({0xf0, 0xa5});              // movs
  ExpectUd({0xf0, 0xec});              // in
  ExpectUd({0xf0, 0x90});              // nop
  ExpectUd({0xf0, 0xf7, 0x26});        // mul
  ExpectUd({0xf0, 0x0f, 0x20, 0xc0});  // mov rax, cr0
}

TEST_F(PrefixTest, ExchangeIsAtomicWithoutLock) {
  ASSERT_EQ(machine_.Run({0x87, 0x06}), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.accesses.back().kind, AccessKind::kCmpxchg);
  ASSERT_EQ(machine_.Run({0x01, 0x06}), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.accesses.back().kind, AccessKind::kWrite);
}

TEST_F(PrefixTest, FifteenBytesAreTheLimit) {
  std::vector<uint8_t> code(15, 0x66);
  code[13] = 0x8b;
  code[14] = 0xc3;
  EXPECT_EQ(machine_.Run(std::span<const uint8_t>(code)), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.emul.len, 15);
  code.insert(code.begin(), 0x66);
  ASSERT_EQ(machine_.Run(std::span<const uint8_t>(code)), VLM_EMUL_FAULT);
  EXPECT_EQ(machine_.emul.fault.vector, kGp);
}

TEST_F(PrefixTest, RexCountsOnlyRightBeforeTheOpcode) {
  machine_.reg(kRbx) = 0x1122334455667788;
  machine_.Run({0x48, 0x66, 0x8b, 0xc3});  // the 66 voids REX.W
  EXPECT_EQ(machine_.reg(kRax), 0x7788u);
  machine_.Run({0x66, 0x48, 0x8b, 0xc3});
  EXPECT_EQ(machine_.reg(kRax), 0x1122334455667788u);
}

TEST_F(PrefixTest, HighByteRegistersVanishWithRex) {
  machine_.reg(kRax) = 0x1234;
  machine_.reg(kRsp) = 0x5678;
  machine_.Run({0x88, 0xe3});  // mov bl, ah
  EXPECT_EQ(machine_.reg(kRbx), 0x12u);
  machine_.Run({0x40, 0x88, 0xe3});  // mov bl, spl
  EXPECT_EQ(machine_.reg(kRbx), 0x78u);
}

TEST_F(PrefixTest, NoneOfTheseIsGuessedAt) {
  const std::vector<std::vector<uint8_t>> unknown = {{0xc5, 0xf8, 0x10, 0x06},
                                                     {0xc4, 0xe2, 0x79, 0x18, 0x06},
                                                     {0x62, 0xf1, 0x7c, 0x48, 0x10, 0x06},
                                                     {0x0f, 0x01, 0xc1},
                                                     {0x0f, 0x01, 0xd0},
                                                     {0xd8, 0x06},
                                                     {0x0f, 0x38, 0xf0, 0x06},
                                                     {0xf3, 0x0f, 0xb8, 0x06},
                                                     {0xf3, 0x0f, 0xbc, 0x06},
                                                     {0x0f, 0x05},
                                                     {0x8f, 0xe8, 0x78},
                                                     {0x0f, 0x6f, 0x06},
                                                     {0x0f, 0xae, 0x06},
                                                     {0x0f, 0xc7, 0xf0}};
  for (const std::vector<uint8_t>& code : unknown) {
    EXPECT_EQ(machine_.Run(std::span<const uint8_t>(code)), VLM_EMUL_UNHANDLED)
        << std::hex << int{code[0]} << " " << int{code[1]};
  }
  FakeMachine machine(VLM_EMUL_PROT32);
  EXPECT_EQ(machine.Run({0xc5, 0xf8, 0x77}), VLM_EMUL_UNHANDLED);
}

TEST_F(PrefixTest, HintsDoNothing) {
  for (const auto& code : std::vector<std::vector<uint8_t>>{{0x90},
                                                            {0xf3, 0x90},
                                                            {0x66, 0x90},
                                                            {0x0f, 0x1f, 0x44, 0x00, 0x00},
                                                            {0xf3, 0x0f, 0x1e, 0xfa},
                                                            {0x0f, 0x18, 0x0e},
                                                            {0x0f, 0x0d, 0x0e},
                                                            {0x0f, 0xae, 0xe8},
                                                            {0x0f, 0xae, 0xf0},
                                                            {0x0f, 0xae, 0xf8}}) {
    machine_.reg(kRax) = ~0ull;
    Snapshot before(machine_);
    ASSERT_EQ(machine_.Run(std::span<const uint8_t>(code)), VLM_EMUL_DONE) << int{code[0]};
    EXPECT_EQ(machine_.emul.rip, before.rip + code.size());
    EXPECT_EQ(machine_.regs, before.regs);
  }
}

TEST_F(PrefixTest, ResumeFlagEndsWithTheInstruction) {
  machine_.emul.rflags |= kRf;
  ASSERT_EQ(machine_.Run({0x90}), VLM_EMUL_DONE);
  EXPECT_FALSE(machine_.emul.rflags & kRf);
}

}  // namespace
}  // namespace vmm
