// SPDX-License-Identifier: GPL-2.0-or-later
//
// Instructions that wait for user space: no state changes meanwhile, and a restart sees the
// reads that were completed before.

#include <gtest/gtest.h>

#include <algorithm>

#include "fake_machine.h"

namespace vmm {
namespace {

constexpr uint64_t kRam = 0x4000;
constexpr uint64_t kDevice = 0x6000;
constexpr uint64_t kDevice2 = 0x7000;

// Both ways of going on: from the start, and with what was decoded before.
class RestartTest : public ::testing::TestWithParam<GoOn> {
 protected:
  RestartTest() : machine_(VLM_EMUL_LONG64) {
    machine_.go_on = GetParam();
    machine_.MapRange(kRam, 2 * kPageSize);
    machine_.Map(kDevice, PageKind::kMmio);
    machine_.Map(kDevice2, PageKind::kMmio);
    machine_.reg(kRsi) = kDevice;
    machine_.reg(kRdi) = kDevice2;
  }

  // Runs code to its next wait, and checks that nothing moved.
  void ExpectWait(std::initializer_list<uint8_t> code, uint64_t address) {
    machine_.MapRange(machine_.emul.rip, 16);
    machine_.Poke(machine_.emul.rip, {code.begin(), code.size()});
    const Snapshot before(machine_);
    ASSERT_EQ(machine_.Step(), VLM_EMUL_USER);
    EXPECT_TRUE(Snapshot(machine_) == before);
    ASSERT_TRUE(machine_.pending);
    EXPECT_EQ(machine_.pending->address, address);
  }

  void ExpectWaitAgain(uint64_t address) {
    const Snapshot before(machine_);
    ASSERT_EQ(machine_.Rerun(), VLM_EMUL_USER);
    EXPECT_TRUE(Snapshot(machine_) == before);
    ASSERT_TRUE(machine_.pending);
    EXPECT_EQ(machine_.pending->address, address);
  }

  size_t Count(AccessKind kind) const {
    return static_cast<size_t>(
        std::count_if(machine_.accesses.begin(), machine_.accesses.end(),
                      [kind](const Access& access) { return access.kind == kind; }));
  }

  FakeMachine machine_;
};

TEST_P(RestartTest, LoadTakesTheValueOfUserSpace) {
  ExpectWait({0x8b, 0x06}, kDevice);  // mov eax, [rsi]
  machine_.CompleteMmio(0x1122334455667788);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.reg(kRax), 0x55667788u);
  EXPECT_EQ(machine_.emul.rip, 0x1002u);
}

TEST_P(RestartTest, ReadModifyWriteAsksOnce) {
  machine_.reg(kRax) = 0x0f;
  ExpectWait({0x09, 0x06}, kDevice);  // or [rsi], eax
  EXPECT_EQ(machine_.accesses.back().flags, VLM_EMUL_ACC_WRITE);
  machine_.CompleteMmio(0xf0);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(Count(AccessKind::kMmioRead), 1u);
  EXPECT_EQ(Count(AccessKind::kMmioWrite), 1u);
  EXPECT_EQ(machine_.PeekValue<uint32_t>(kDevice), 0xffu);
}

TEST_P(RestartTest, LockedExchangeWithADeviceIsAPlainWrite) {
  machine_.reg(kRax) = 0x77;
  ExpectWait({0x86, 0x06}, kDevice);  // xchg [rsi], al
  machine_.CompleteMmio(0x55);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.reg(kRax), 0x55u);
  EXPECT_EQ(machine_.PeekValue<uint8_t>(kDevice), 0x77);
}

TEST_P(RestartTest, CompareStringsOfTwoDevices) {
  ExpectWait({0xa6}, kDevice);
  machine_.CompleteMmio(7);
  ExpectWaitAgain(kDevice2);
  machine_.CompleteMmio(7);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(Count(AccessKind::kMmioRead), 2u);
  EXPECT_TRUE(machine_.emul.rflags & kZf);
  EXPECT_EQ(machine_.reg(kRsi), kDevice + 1);
}

TEST_P(RestartTest, RepeatedCompareForgetsTheReadsOfFormerIterations) {
  machine_.reg(kRcx) = 3;
  ExpectWait({0xf3, 0xa6}, kDevice);
  for (uint64_t i = 0; i < 3; i++) {
    machine_.CompleteMmio(i);
    ASSERT_EQ(machine_.Rerun(), VLM_EMUL_USER);
    EXPECT_EQ(machine_.pending->address, kDevice2 + i);
    machine_.CompleteMmio(i);
    const vlm_emul_result result = machine_.Rerun();
    if (i == 2) {
      EXPECT_EQ(result, VLM_EMUL_DONE);
      break;
    }
    ASSERT_EQ(result, VLM_EMUL_USER);
    EXPECT_EQ(machine_.pending->address, kDevice + i + 1);
    EXPECT_EQ(machine_.reg(kRcx), 2 - i);
    EXPECT_EQ(machine_.emul.rip, 0x1000u);
  }
  EXPECT_EQ(machine_.reg(kRcx), 0u);
  EXPECT_EQ(Count(AccessKind::kMmioRead), 6u);
}

TEST_P(RestartTest, MoveBetweenDevicesStopsAfterEachWrite) {
  machine_.reg(kRcx) = 2;
  ExpectWait({0xf3, 0xa5}, kDevice);
  machine_.CompleteMmio(0x1234);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_TRUE(machine_.emul.out.partial);
  EXPECT_EQ(machine_.emul.rip, 0x1000u);
  EXPECT_EQ(machine_.reg(kRcx), 1u);
  EXPECT_EQ(machine_.PeekValue<uint32_t>(kDevice2), 0x1234u);
  ASSERT_EQ(machine_.Step(), VLM_EMUL_USER);
  machine_.CompleteMmio(0x5678);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_FALSE(machine_.emul.out.partial);
  EXPECT_EQ(machine_.emul.rip, 0x1002u);
  EXPECT_EQ(machine_.PeekValue<uint32_t>(kDevice2 + 4), 0x5678u);
}

TEST_P(RestartTest, WaitInTheMiddleKeepsFormerIterations) {
  // The source runs from memory into the device.
  machine_.pages.erase(kRam + kPageSize);
  machine_.Map(kRam + kPageSize, PageKind::kMmio);
  machine_.Map(0x9000);
  machine_.reg(kRsi) = kRam + kPageSize - 8;
  machine_.reg(kRdi) = 0x9000;
  machine_.reg(kRcx) = 4;
  machine_.PokeValue<uint64_t>(kRam + kPageSize - 8, 0x0102030405060708);
  ASSERT_EQ(machine_.Run({0xf3, 0xa5}), VLM_EMUL_USER);
  EXPECT_EQ(machine_.reg(kRcx), 2u);
  EXPECT_EQ(machine_.reg(kRdi), 0x9008u);
  EXPECT_EQ(machine_.PeekValue<uint64_t>(0x9000), 0x0102030405060708u);
  EXPECT_EQ(machine_.emul.rip, 0x1000u);
}

TEST_P(RestartTest, ChangedRegistersVoidTheLog) {
  ExpectWait({0xa6}, kDevice);
  machine_.CompleteMmio(7);
  ExpectWaitAgain(kDevice2);
  machine_.reg(kRsi) = kDevice + 0x100;  // from outside, while waiting
  machine_.go_on = GoOn::kFromTheStart;
  machine_.pending.reset();
  ExpectWaitAgain(kDevice + 0x100);
}

TEST_P(RestartTest, NewInstructionStartsWithAnEmptyLog) {
  ExpectWait({0xa6}, kDevice);
  machine_.CompleteMmio(7);
  ExpectWaitAgain(kDevice2);
  ASSERT_EQ(machine_.Step(), VLM_EMUL_USER);
  EXPECT_EQ(machine_.pending->address, kDevice);
}

TEST_P(RestartTest, WideLoadOfADevice) {
  ExpectWait({0x0f, 0x10, 0x06}, kDevice);  // movups xmm0, [rsi]
  EXPECT_EQ(machine_.pending->size, 16u);
  machine_.CompleteMmio(0x1122334455667788);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.xmm[0][0], 0x88);
  EXPECT_EQ(machine_.xmm[0][15], 0);
}

TEST_P(RestartTest, PortInput) {
  machine_.reg(kRax) = ~0ull;
  machine_.reg(kRdx) = 0x3f8;
  ExpectWait({0xec}, 0x3f8);
  const uint8_t byte = 0x42;
  machine_.CompletePort({&byte, 1});
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.reg(kRax), 0xffffffffffffff42u);
}

TEST_P(RestartTest, LostRaceStartsOver) {
  machine_.reg(kRsi) = kRam;
  machine_.PokeValue<uint32_t>(kRam, 5);
  machine_.reg(kRax) = 3;
  machine_.lose_races = 1;
  const uint64_t flags = machine_.emul.rflags;
  ASSERT_EQ(machine_.Run({0xf0, 0x0f, 0xc1, 0x06}), VLM_EMUL_DONE);  // lock xadd [rsi], eax
  EXPECT_EQ(machine_.emul.rip, 0x1000u);
  EXPECT_EQ(machine_.emul.rflags, flags);
  EXPECT_EQ(machine_.reg(kRax), 3u);
  EXPECT_EQ(machine_.PeekValue<uint32_t>(kRam), 5u);
  ASSERT_EQ(machine_.Step(), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.emul.rip, 0x1004u);
  EXPECT_EQ(machine_.reg(kRax), 5u);
  EXPECT_EQ(machine_.PeekValue<uint32_t>(kRam), 8u);
}

// The handler moves its operand before it reads.
TEST_P(RestartTest, BitOffsetIsAddedOnce) {
  machine_.reg(kRax) = 64;
  ExpectWait({0x0f, 0xa3, 0x06}, kDevice + 8);  // bt [rsi], eax
  machine_.CompleteMmio(1);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(Count(AccessKind::kMmioRead), 1u);
  EXPECT_TRUE(machine_.emul.rflags & 1);
}

INSTANTIATE_TEST_SUITE_P(GoOn, RestartTest, ::testing::Values(GoOn::kFromTheStart, GoOn::kDecoded));

}  // namespace
}  // namespace vmm
