// SPDX-License-Identifier: GPL-2.0-or-later
// Timer of the local APIC: SDM "APIC Timer". One bus clock is 1 ns.
#include <gtest/gtest.h>

#include "chips.h"

namespace vmm {
namespace {

constexpr uint32_t kVector = 0xec;

// What the host timer does at its expiry.
bool Fire(Lapic& apic) {
  bool posted = false;
  apic.now = apic.regs()->timer_expiry;
  vlm_lapic_timer_fire(apic.regs(), apic.now, &posted);
  return posted;
}

class LapicTimer : public testing::Test {
 protected:
  void SetUp() override { apic_.Enable(); }
  Lapic apic_;
};

TEST_F(LapicTimer, Divisors) {
  constexpr uint32_t kDivisors[] = {2, 4, 8, 16, 32, 64, 128, 1};
  for (uint32_t code = 0; code < 8; code++) {
    apic_.Write(VLM_LAPIC_TDCR, (code & 3) | (code & 4) << 1);
    EXPECT_EQ(kDivisors[code], vlm_lapic_timer_divisor(apic_.regs()));
  }
}

TEST_F(LapicTimer, OneShotCountsDownOnce) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TDCR, 0xb);
  EXPECT_TRUE(apic_.Write(VLM_LAPIC_TMICT, 1000).flags & VLM_LAPIC_FX_TIMER);
  EXPECT_EQ(1000u, apic_.Read(VLM_LAPIC_TMCCT));
  EXPECT_EQ(apic_.now + 1000, apic_.regs()->timer_expiry);
  apic_.now += 400;
  EXPECT_EQ(600u, apic_.Read(VLM_LAPIC_TMCCT));
  EXPECT_TRUE(Fire(apic_));
  EXPECT_EQ(0u, apic_.regs()->timer_expiry);
  EXPECT_EQ(0u, apic_.Read(VLM_LAPIC_TMCCT));
  EXPECT_EQ(1000u, apic_.Read(VLM_LAPIC_TMICT));
  EXPECT_EQ(static_cast<int>(kVector), apic_.Accept());
}

TEST_F(LapicTimer, DividedCount) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TDCR, 0x3);  // by 16
  apic_.Write(VLM_LAPIC_TMICT, 1000);
  EXPECT_EQ(apic_.now + 16000, apic_.regs()->timer_expiry);
  apic_.now += 1600;
  EXPECT_EQ(900u, apic_.Read(VLM_LAPIC_TMCCT));
}

TEST_F(LapicTimer, PeriodicReloads) {
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_PERIODIC);
  apic_.Write(VLM_LAPIC_TDCR, 0xb);
  apic_.Write(VLM_LAPIC_TMICT, 1000000);
  uint64_t start = apic_.now;
  for (uint64_t i = 1; i <= 5; i++) {
    EXPECT_EQ(start + i * 1000000, apic_.regs()->timer_expiry);
    EXPECT_TRUE(Fire(apic_));
    EXPECT_EQ(static_cast<int>(kVector), apic_.Accept());
    apic_.Eoi();
    apic_.now += 250000;
    EXPECT_EQ(750000u, apic_.Read(VLM_LAPIC_TMCCT));
  }
}

TEST_F(LapicTimer, PeriodicSkipsMissedPeriods) {
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_PERIODIC);
  apic_.Write(VLM_LAPIC_TDCR, 0xb);
  apic_.Write(VLM_LAPIC_TMICT, 1000000);
  uint64_t start = apic_.now;
  bool posted;
  apic_.now = start + 7300000;
  // Late: the count is that of a counter that was reloaded seven times.
  EXPECT_EQ(700000u, apic_.Read(VLM_LAPIC_TMCCT));
  EXPECT_EQ(start + 8000000, vlm_lapic_timer_fire(apic_.regs(), apic_.now, &posted));
  EXPECT_TRUE(posted);
}

TEST_F(LapicTimer, PeriodicHasALeastPeriod) {
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_PERIODIC);
  apic_.Write(VLM_LAPIC_TDCR, 0xb);
  apic_.Write(VLM_LAPIC_TMICT, 1);
  EXPECT_EQ(apic_.now + VLM_TIMER_MIN_PERIOD_NS, apic_.regs()->timer_expiry);
  // Also on the way through one-shot mode and through a smaller divisor.
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TMICT, 10);
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_PERIODIC);
  EXPECT_EQ(VLM_TIMER_MIN_PERIOD_NS, apic_.regs()->timer_period);
  apic_.Write(VLM_LAPIC_TDCR, 0x0);
  EXPECT_EQ(VLM_TIMER_MIN_PERIOD_NS, apic_.regs()->timer_period);
}

TEST_F(LapicTimer, ZeroStops) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TMICT, 1000);
  apic_.Write(VLM_LAPIC_TMICT, 0);
  EXPECT_EQ(0u, apic_.regs()->timer_expiry);
  EXPECT_EQ(0u, apic_.Read(VLM_LAPIC_TMCCT));
}

TEST_F(LapicTimer, MaskedCountsButDoesNotInterrupt) {
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_MASKED);
  apic_.Write(VLM_LAPIC_TMICT, 1000);
  EXPECT_FALSE(Fire(apic_));
  EXPECT_EQ(-1, apic_.Pending());
}

TEST_F(LapicTimer, DivideChangeKeepsTheCountsLeft) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TDCR, 0xb);
  apic_.Write(VLM_LAPIC_TMICT, 1000000);
  apic_.now += 250000;
  apic_.Write(VLM_LAPIC_TDCR, 0x1);  // by 4
  EXPECT_EQ(750000u, apic_.Read(VLM_LAPIC_TMCCT));
  EXPECT_EQ(apic_.now + 3000000, apic_.regs()->timer_expiry);
}

TEST_F(LapicTimer, ModeSwitchesWithoutRestart) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TDCR, 0xb);
  apic_.Write(VLM_LAPIC_TMICT, 1000000);
  uint64_t expiry = apic_.regs()->timer_expiry;
  apic_.now += 1000;
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_PERIODIC);
  EXPECT_EQ(expiry, apic_.regs()->timer_expiry);
  Fire(apic_);
  EXPECT_EQ(expiry + 1000000, apic_.regs()->timer_expiry);
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  Fire(apic_);
  EXPECT_EQ(0u, apic_.regs()->timer_expiry);
}

TEST_F(LapicTimer, DeadlineModeDisarmsTheCount) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TMICT, 1000);
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_DEADLINE);
  EXPECT_EQ(0u, apic_.regs()->timer_expiry);
  EXPECT_EQ(0u, apic_.Read(VLM_LAPIC_TMICT));
  // Writes to the count are ignored there.
  apic_.Write(VLM_LAPIC_TMICT, 1000);
  EXPECT_EQ(0u, apic_.Read(VLM_LAPIC_TMICT));
  EXPECT_EQ(0u, apic_.Read(VLM_LAPIC_TMCCT));
}

TEST_F(LapicTimer, Deadline) {
  vlm_lapic_timer_set_deadline(apic_.regs(), 12345);
  EXPECT_EQ(0u, apic_.regs()->tsc_deadline);  // not in that mode
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_DEADLINE);
  vlm_lapic_timer_set_deadline(apic_.regs(), 12345);
  EXPECT_EQ(12345u, apic_.regs()->tsc_deadline);
  bool posted;
  EXPECT_EQ(0u, vlm_lapic_timer_fire(apic_.regs(), apic_.now, &posted));
  EXPECT_TRUE(posted);
  EXPECT_EQ(0u, apic_.regs()->tsc_deadline);
  vlm_lapic_timer_set_deadline(apic_.regs(), 999);
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  EXPECT_EQ(0u, apic_.regs()->tsc_deadline);
}

TEST_F(LapicTimer, SavedCountRunsOn) {
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_PERIODIC);
  apic_.Write(VLM_LAPIC_TDCR, 0xb);
  apic_.Write(VLM_LAPIC_TMICT, 1000000);
  apic_.now += 400000;
  kvm_lapic_state state{};
  vlm_lapic_regs_save(apic_.regs(), apic_.now, &state);
  Lapic other;
  other.now = 77;
  vlm_lapic_regs_load(other.regs(), other.now, &state);
  EXPECT_EQ(other.now + 600000, other.regs()->timer_expiry);
  EXPECT_EQ(1000000u, other.regs()->timer_period);
}

TEST_F(LapicTimer, SavedExpiredOneShotStaysExpired) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TMICT, 1000);
  Fire(apic_);
  kvm_lapic_state state{};
  vlm_lapic_regs_save(apic_.regs(), apic_.now, &state);
  Lapic other;
  vlm_lapic_regs_load(other.regs(), other.now, &state);
  EXPECT_EQ(0u, other.regs()->timer_expiry);
}

TEST_F(LapicTimer, DeadlineSurvivesLoadingTheRegisters) {
  apic_.Write(VLM_LAPIC_LVTT, kVector | VLM_LVT_TIMER_DEADLINE);
  vlm_lapic_timer_set_deadline(apic_.regs(), 4242);
  kvm_lapic_state state{};
  vlm_lapic_regs_save(apic_.regs(), apic_.now, &state);
  vlm_lapic_regs_load(apic_.regs(), apic_.now, &state);
  EXPECT_EQ(4242u, apic_.regs()->tsc_deadline);
}

TEST_F(LapicTimer, LongestCountFits) {
  apic_.Write(VLM_LAPIC_LVTT, kVector);
  apic_.Write(VLM_LAPIC_TDCR, 0xa);  // by 128
  apic_.Write(VLM_LAPIC_TMICT, 0xffffffff);
  EXPECT_EQ(apic_.now + 0xffffffffull * 128, apic_.regs()->timer_expiry);
  EXPECT_EQ(0xffffffffu, apic_.Read(VLM_LAPIC_TMCCT));
}

}  // namespace
}  // namespace vmm
