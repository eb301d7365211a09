// SPDX-License-Identifier: GPL-2.0-or-later
//
// Repeated string instructions: how many iterations one call does, and how ports are batched.

#include <gtest/gtest.h>

#include "fake_machine.h"

namespace vmm {
namespace {

constexpr uint64_t kRam = 0x10000;
constexpr uint8_t kGp = 13, kPageFault = 14;

class StringTest : public ::testing::Test {
 protected:
  StringTest() : machine_(VLM_EMUL_LONG64) {
    machine_.MapRange(kRam, 8 * kPageSize);
    machine_.reg(kRdi) = kRam;
    machine_.reg(kRsi) = kRam + 4 * kPageSize;
  }

  FakeMachine machine_;
};

TEST_F(StringTest, IterationsAreBounded) {
  machine_.reg(kRcx) = 5000;
  machine_.reg(kRax) = 0x5a;
  int runs = 0;
  while (machine_.emul.rip == 0x1000) {
    ASSERT_EQ(machine_.Run({0xf3, 0xaa}), VLM_EMUL_DONE);
    EXPECT_EQ(machine_.emul.out.partial, machine_.emul.rip == 0x1000);
    runs++;
  }
  EXPECT_EQ(runs, 5);
  EXPECT_EQ(machine_.reg(kRcx), 0u);
  EXPECT_EQ(machine_.reg(kRdi), kRam + 5000);
  EXPECT_EQ(machine_.PeekValue<uint8_t>(kRam + 4999), 0x5a);
  EXPECT_EQ(machine_.PeekValue<uint8_t>(kRam + 5000), 0);
}

TEST_F(StringTest, PartialKeepsTheResumeFlag) {
  machine_.reg(kRcx) = VLM_EMUL_REP_MAX + 1;
  machine_.emul.rflags |= kRf;
  ASSERT_EQ(machine_.Run({0xf3, 0xaa}), VLM_EMUL_DONE);
  EXPECT_TRUE(machine_.emul.rflags & kRf);
  ASSERT_EQ(machine_.Step(), VLM_EMUL_DONE);
  EXPECT_FALSE(machine_.emul.rflags & kRf);
}

TEST_F(StringTest, FaultKeepsFormerIterations) {
  machine_.reg(kRdi) = kRam + 8 * kPageSize - 6;
  machine_.reg(kRcx) = 10;
  ASSERT_EQ(machine_.Run({0xf3, 0x66, 0xab}), VLM_EMUL_FAULT);
  EXPECT_EQ(machine_.emul.fault.vector, kPageFault);
  EXPECT_EQ(machine_.emul.fault.address, kRam + 8 * kPageSize);
  EXPECT_EQ(machine_.reg(kRcx), 7u);
  EXPECT_EQ(machine_.reg(kRdi), kRam + 8 * kPageSize);
  EXPECT_EQ(machine_.emul.rip, 0x1000u);
}

TEST_F(StringTest, DeviceWriteEndsTheRun) {
  machine_.Map(kRam, PageKind::kMmio);
  machine_.reg(kRcx) = 3;
  for (u64 left = 2;; left--) {
    ASSERT_EQ(machine_.Run({0xf3, 0x48, 0xab}), VLM_EMUL_DONE);
    EXPECT_EQ(machine_.reg(kRcx), left);
    if (left == 0) break;
  }
  EXPECT_EQ(machine_.accesses.size(), 3u);
  EXPECT_NE(machine_.emul.rip, 0x1000u);
}

TEST_F(StringTest, InputComesInBatches) {
  machine_.reg(kRdx) = 0x80;
  machine_.reg(kRcx) = 8192;
  machine_.port_fill = 0xaa;
  std::vector<uint32_t> counts;
  while (machine_.emul.rip == 0x1000) {
    machine_.accesses.clear();
    ASSERT_EQ(machine_.Run({0xf3, 0x6c}), VLM_EMUL_DONE);
    for (const Access& access : machine_.accesses)
      if (access.kind == AccessKind::kPortIn) counts.push_back(access.count);
    ASSERT_LE(counts.size(), 8192u);
  }
  EXPECT_EQ(counts, std::vector<uint32_t>(8, 1024));
  EXPECT_EQ(machine_.PeekValue<uint8_t>(kRam + 8191), 0xaa);
  EXPECT_EQ(machine_.PeekValue<uint8_t>(kRam + 8192), 0);
  EXPECT_EQ(machine_.reg(kRdi), kRam + 8192);
}

TEST_F(StringTest, BatchesEndAtPages) {
  machine_.reg(kRdx) = 0x1f0;
  machine_.reg(kRcx) = 16;
  machine_.reg(kRdi) = kRam + kPageSize - 10;
  ASSERT_EQ(machine_.Run({0xf3, 0x66, 0x6d}), VLM_EMUL_USER);
  EXPECT_EQ(machine_.pending->size, 2u);
  EXPECT_EQ(machine_.pending->count, 5u);
  const std::vector<uint8_t> data(10, 0x11);
  machine_.CompletePort(data);
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.reg(kRcx), 11u);
  ASSERT_EQ(machine_.Step(), VLM_EMUL_USER);
  EXPECT_EQ(machine_.pending->count, 11u);
}

TEST_F(StringTest, ElementAcrossPagesGoesAlone) {
  machine_.reg(kRdx) = 0x1f0;
  machine_.reg(kRcx) = 16;
  machine_.reg(kRdi) = kRam + kPageSize - 3;
  machine_.port_fill = 0x11;
  ASSERT_EQ(machine_.Run({0xf3, 0x6d}), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.reg(kRcx), 15u);
  EXPECT_EQ(machine_.PeekValue<uint32_t>(kRam + kPageSize - 3), 0x11111111u);
}

TEST_F(StringTest, DescendingGoesOneByOne) {
  machine_.reg(kRdx) = 0x1f0;
  machine_.reg(kRcx) = 4;
  machine_.reg(kRdi) = kRam + 0x100;
  machine_.emul.rflags |= kDf;
  machine_.port_fill = 0x11;
  ASSERT_EQ(machine_.Run({0xf3, 0x6c}), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.reg(kRcx), 3u);
  EXPECT_EQ(machine_.reg(kRdi), kRam + 0xff);
}

TEST_F(StringTest, CountChangedWhileWaiting) {
  machine_.reg(kRdx) = 0x80;
  machine_.reg(kRcx) = 3;
  ASSERT_EQ(machine_.Run({0xf3, 0x6c}), VLM_EMUL_USER);
  EXPECT_EQ(machine_.pending->count, 3u);
  machine_.reg(kRcx) = 8192;  // from outside
  machine_.CompletePort(std::vector<uint8_t>(3, 0x77));
  ASSERT_EQ(machine_.Rerun(), VLM_EMUL_DONE);
  EXPECT_EQ(machine_.reg(kRcx), 8189u);
  EXPECT_EQ(machine_.PeekValue<uint8_t>(kRam + 2), 0x77);
  EXPECT_EQ(machine_.PeekValue<uint8_t>(kRam + 3), 0);
}

TEST_F(StringTest, InputChecksItsDestinationFirst) {
  machine_.reg(kRdx) = 0x80;
  machine_.reg(kRcx) = 8;
  machine_.Map(kRam).writable = false;
  ASSERT_EQ(machine_.Run({0xf3, 0x6c}), VLM_EMUL_FAULT);
  EXPECT_EQ(machine_.emul.fault.vector, kPageFault);
  EXPECT_EQ(machine_.emul.fault.error, 3u);
  EXPECT_FALSE(machine_.pending);
}

TEST_F(StringTest, OutputIsOneRequest) {
  machine_.reg(kRdx) = 0x3f8;
  machine_.reg(kRcx) = 5;
  machine_.Poke(kRam + 4 * kPageSize, std::initializer_list<uint8_t>{'h', 'e', 'l', 'l', 'o'});
  ASSERT_EQ(machine_.Run({0xf3, 0x6e}), VLM_EMUL_DONE);
  EXPECT_NE(machine_.emul.rip, 0x1000u);
  EXPECT_EQ(machine_.pending->count, 5u);
  EXPECT_EQ(machine_.pending->data, (std::vector<uint8_t>{'h', 'e', 'l', 'l', 'o'}));
}

TEST_F(StringTest, BatchOverTheSegmentLimit) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.MapRange(0, 0x11000);
  machine.reg(kRdi) = 0xfff8;
  machine.reg(kRcx) = 16;
  machine.port_fill = 1;
  int runs = 0;
  vlm_emul_result result;
  while ((result = machine.Run({0xf3, 0x6d})) == VLM_EMUL_DONE && runs < 16) runs++;
  // The offset wraps instead of faulting; each word fits.
  EXPECT_EQ(machine.reg(kRcx) & 0xffff, 0u);
  machine.SetMode(VLM_EMUL_REAL);
  machine.segs[VLM_EMUL_ES].limit = 0xfffb;
  machine.reg(kRdi) = 0xfff8;
  machine.reg(kRcx) = 16;
  runs = 0;
  while ((result = machine.Run({0xf3, 0x6d})) == VLM_EMUL_DONE && runs < 16) runs++;
  EXPECT_EQ(result, VLM_EMUL_FAULT);
  EXPECT_EQ(machine.emul.fault.vector, kGp);
  EXPECT_EQ(machine.reg(kRcx), 14u);
}

TEST_F(StringTest, SixteenBitCountersLeaveTheUpperHalves) {
  FakeMachine machine(VLM_EMUL_REAL);
  machine.MapRange(0, 0x10000);
  machine.reg(kRcx) = 0xabcd0003;
  machine.reg(kRsi) = 0x12340100;
  machine.reg(kRdi) = 0x5678fffe;
  ASSERT_EQ(machine.Run({0xf3, 0xa4}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.reg(kRcx), 0xabcd0000u);
  EXPECT_EQ(machine.reg(kRsi), 0x12340103u);
  EXPECT_EQ(machine.reg(kRdi), 0x56780001u);
}

TEST_F(StringTest, PortPermission) {
  FakeMachine machine(VLM_EMUL_PROT32);
  machine.Map(0x4000);
  machine.emul.cpl = 3;
  machine.port_fill = 0x42;
  vlm_emul_seg& tr = machine.segs[VLM_EMUL_TR];
  tr.base = 0x4000;
  tr.limit = 0x68 + 0x100;
  machine.PokeValue<uint16_t>(0x4000 + 102, 0x68);
  EXPECT_EQ(machine.Run({0xe4, 0x60}), VLM_EMUL_DONE);
  machine.PokeValue<uint8_t>(0x4000 + 0x68 + 0x60 / 8, 1);
  EXPECT_EQ(machine.Run({0xe4, 0x60}), VLM_EMUL_FAULT);
  EXPECT_EQ(machine.emul.fault.vector, kGp);
  EXPECT_EQ(machine.Run({0xe4, 0x61}), VLM_EMUL_DONE);
  EXPECT_EQ(machine.Run({0xe5, 0x5e}), VLM_EMUL_FAULT);  // four ports, the third is denied
  machine.reg(kRdx) = 0x900;                             // beyond the bitmap
  EXPECT_EQ(machine.Run({0xec}), VLM_EMUL_FAULT);
  machine.emul.rflags |= kIopl;
  EXPECT_EQ(machine.Run({0xec}), VLM_EMUL_DONE);
  tr.limit = 0x60;  // no bitmap at all
  machine.emul.rflags &= ~kIopl;
  EXPECT_EQ(machine.Run({0xe4, 0x61}), VLM_EMUL_FAULT);
}

}  // namespace
}  // namespace vmm
