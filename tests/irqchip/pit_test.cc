// SPDX-License-Identifier: GPL-2.0-or-later
// The 8254 and the speaker port: Intel 8254 data sheet.
#include <gtest/gtest.h>

#include <cstring>

#include "chips.h"

namespace vmm {
namespace {

constexpr uint64_t Ns(uint64_t clocks) {
  return (clocks * VLM_NSEC_PER_SEC + VLM_PIT_HZ - 1) / VLM_PIT_HZ;
}

TEST(PitReset, NoInterruptBeforeProgramming) {
  Pit pit;
  u64 period;
  EXPECT_EQ(0u, vlm_pit_regs_expiry(pit.regs(), &period));
  EXPECT_EQ(0u, period);
}

TEST(PitTimer, ExpiryByMode) {
  struct Case {
    uint32_t mode;
    bool fires, periodic;
  };
  constexpr Case kCases[] = {{0, true, false}, {1, false, false}, {2, true, true}, {3, true, true},
                             {4, true, false}, {5, false, false}, {6, true, true}, {7, true, true}};
  for (const Case& c : kCases) {
    Pit pit;
    pit.Program(0, c.mode, 11932);
    u64 period = 1;
    uint64_t expiry = vlm_pit_regs_expiry(pit.regs(), &period);
    EXPECT_EQ(c.fires ? pit.now + Ns(11932) : 0, expiry) << c.mode;
    EXPECT_EQ(c.periodic ? Ns(11932) : 0, period) << c.mode;
  }
}

TEST(PitTimer, ZeroIsTheLongestCount) {
  Pit pit;
  u64 period;
  pit.Program(0, 2, 0);
  vlm_pit_regs_expiry(pit.regs(), &period);
  EXPECT_EQ(Ns(0x10000), period);
}

TEST(PitTimer, LeastPeriod) {
  Pit pit;
  u64 period;
  pit.Program(0, 2, 2);
  vlm_pit_regs_expiry(pit.regs(), &period);
  EXPECT_EQ(VLM_TIMER_MIN_PERIOD_NS, period);
}

TEST(PitTimer, TellsWhenToSetUpAnew) {
  Pit pit;
  EXPECT_TRUE(pit.Out(3, 0x34));
  EXPECT_FALSE(pit.Out(0, 0x10));  // the first of two bytes
  EXPECT_TRUE(pit.Out(0, 0x27));
  EXPECT_FALSE(pit.Out(3, 0x00));  // latch
  EXPECT_FALSE(pit.Out(3, 0xe2));  // read-back
  EXPECT_FALSE(pit.Out(3, 0xb6));  // channel 2
  EXPECT_FALSE(pit.Out(2, 0x10));
  EXPECT_TRUE(pit.Out(3, 0x30));  // mode 0: its first byte stops the count
  EXPECT_FALSE(pit.Out(0, 1));
  EXPECT_TRUE(pit.Out(0, 1));
  EXPECT_TRUE(pit.Out(0, 1));
  u64 period;
  EXPECT_EQ(0u, vlm_pit_regs_expiry(pit.regs(), &period));
}

TEST(PitTimer, HpetReplacesIt) {
  Pit pit;
  pit.Program(0, 2, 1000);
  kvm_pit_state2 state{};
  vlm_pit_regs_save(pit.regs(), &state);
  state.flags |= KVM_PIT_FLAGS_HPET_LEGACY;
  vlm_pit_regs_load(pit.regs(), &state, pit.now);
  u64 period;
  EXPECT_EQ(0u, vlm_pit_regs_expiry(pit.regs(), &period));
}

TEST(PitCount, Mode0WrapsAfterTerminalCount) {
  Pit pit;
  pit.Program(0, 0, 100);
  EXPECT_FALSE(pit.Output(0));
  EXPECT_EQ(100u, pit.Count(0));
  pit.AdvanceClocks(99);
  EXPECT_EQ(1u, pit.Count(0));
  EXPECT_FALSE(pit.Output(0));
  pit.AdvanceClocks(1);
  EXPECT_TRUE(pit.Output(0));
  pit.AdvanceClocks(1);
  EXPECT_EQ(0xffffu, pit.Count(0));
  EXPECT_TRUE(pit.Output(0));
}

TEST(PitCount, Mode2IsLowForOneClock) {
  Pit pit;
  pit.Program(0, 2, 10);
  uint32_t lows = 0;
  for (uint32_t t = 0; t < 30; t++) {
    EXPECT_EQ(10 - t % 10, pit.Count(0)) << t;
    lows += !pit.Output(0);
    EXPECT_EQ(t % 10 != 9, pit.Output(0)) << t;
    pit.now = 5000000 + Ns(t + 1);
  }
  EXPECT_EQ(3u, lows);
}

TEST(PitCount, Mode3IsASquareWave) {
  for (uint32_t count : {10u, 11u}) {
    Pit pit;
    pit.Program(0, 3, count);
    for (uint32_t t = 0; t < 3 * count; t++) {
      pit.now = 5000000 + Ns(t);
      EXPECT_EQ(t % count < (count + 1) / 2, pit.Output(0)) << count << " " << t;
      EXPECT_LE(pit.Count(0), count);
    }
  }
}

TEST(PitCount, Mode4StrobesOnce) {
  Pit pit;
  pit.Program(0, 4, 10);
  for (uint32_t t = 0; t < 40; t++) {
    pit.now = 5000000 + Ns(t);
    EXPECT_EQ(t != 10, pit.Output(0)) << t;
  }
}

TEST(PitCount, ModesOneAndFiveWaitForTheGate) {
  for (uint32_t mode : {1u, 5u}) {
    Pit pit;
    pit.SetSpeaker(0);
    pit.Program(2, mode, 50);
    EXPECT_TRUE(pit.Output(2)) << mode;
    pit.AdvanceClocks(100);
    EXPECT_TRUE(pit.Output(2)) << mode;
    EXPECT_EQ(50u, pit.Count(2));
    pit.SetSpeaker(1);
    EXPECT_EQ(mode == 5, pit.Output(2));
    pit.AdvanceClocks(20);
    EXPECT_EQ(30u, pit.Count(2));
    // A new rise starts over.
    pit.SetSpeaker(0);
    pit.SetSpeaker(1);
    EXPECT_EQ(50u, pit.Count(2));
    pit.AdvanceClocks(50);
    EXPECT_EQ(mode == 1, pit.Output(2));
  }
}

TEST(PitGate, Mode0Pauses) {
  Pit pit;
  pit.SetSpeaker(1);
  pit.Program(2, 0, 1000);
  pit.AdvanceClocks(400);
  pit.SetSpeaker(0);
  uint32_t held = pit.Count(2);
  EXPECT_NEAR(600, static_cast<int>(held), 1);
  pit.AdvanceClocks(5000);
  EXPECT_EQ(held, pit.Count(2));
  EXPECT_FALSE(pit.Output(2));
  pit.SetSpeaker(1);
  EXPECT_NEAR(static_cast<int>(held), static_cast<int>(pit.Count(2)), 1);
  pit.AdvanceClocks(601);
  EXPECT_TRUE(pit.Output(2));
}

TEST(PitGate, Mode3StartsOver) {
  Pit pit;
  pit.SetSpeaker(1);
  pit.Program(2, 3, 1000);
  pit.AdvanceClocks(700);
  EXPECT_FALSE(pit.Output(2));
  pit.SetSpeaker(0);
  EXPECT_TRUE(pit.Output(2));
  pit.SetSpeaker(1);
  EXPECT_TRUE(pit.Output(2));
  EXPECT_EQ(1000u, pit.Count(2));
}

TEST(PitSpeaker, Port) {
  Pit pit;
  pit.SetSpeaker(0x03);
  pit.Program(2, 0, 100);
  EXPECT_EQ(0x03, pit.Speaker() & 0x2f);
  pit.AdvanceClocks(100);
  EXPECT_EQ(0x23, pit.Speaker() & 0x2f);
  // The refresh bit toggles.
  bool seen[2] = {false, false};
  for (int i = 0; i < 4; i++) {
    seen[pit.Speaker() >> 4 & 1] = true;
    pit.now += 16384;
  }
  EXPECT_TRUE(seen[0] && seen[1]);
}

TEST(PitRead, LatchHoldsBothBytes) {
  Pit pit;
  pit.Program(0, 2, 0x1234);
  pit.Out(3, 0x00);
  pit.AdvanceClocks(50);
  // A second latch before the first was read is ignored.
  pit.Out(3, 0x00);
  EXPECT_EQ(0x34, pit.In(0));
  EXPECT_EQ(0x12, pit.In(0));
  // Then the count itself, low byte first.
  uint32_t count = pit.Count(0);
  EXPECT_EQ(count & 0xff, pit.In(0));
  EXPECT_EQ(count >> 8, pit.In(0));
}

TEST(PitRead, SingleByteModes) {
  Pit pit;
  pit.Out(3, 0x14);  // low byte only
  pit.Out(0, 0x80);
  EXPECT_EQ(0x80, pit.In(0));
  EXPECT_EQ(0x80, pit.In(0));
  pit.Out(3, 0x00);
  EXPECT_EQ(0x80, pit.In(0));
  pit.Out(3, 0x24);  // high byte only
  pit.Out(0, 0x12);
  EXPECT_EQ(0x1200u, pit.Count(0));
  EXPECT_EQ(0x12, pit.In(0));
  pit.Out(3, 0x00);
  EXPECT_EQ(0x12, pit.In(0));
}

TEST(PitRead, ReadBack) {
  Pit pit;
  pit.Program(0, 2, 0x1234);
  pit.Program(2, 3, 0x4321);
  pit.SetSpeaker(1);
  pit.Out(3, 0xc0 | 0x02 | 0x08);  // count and status of 0 and 2
  // Status comes first.
  EXPECT_EQ(0x80 | 0x30 | 2 << 1, pit.In(0));
  EXPECT_EQ(0x34, pit.In(0));
  EXPECT_EQ(0x12, pit.In(0));
  EXPECT_EQ(0x80 | 0x30 | 3 << 1, pit.In(2));
  // Status alone, of a channel without a count.
  pit.Out(3, 0x30);
  pit.Out(3, 0xe0 | 0x02);
  EXPECT_EQ(0x40 | 0x30, pit.In(0));
}

TEST(PitRead, Bcd) {
  Pit pit;
  pit.Out(3, 0x35);
  pit.Out(0, 0x34);
  pit.Out(0, 0x12);
  EXPECT_EQ(1234u, pit.Count(0));
  pit.AdvanceClocks(5);
  EXPECT_EQ(0x29, pit.In(0));
  EXPECT_EQ(0x12, pit.In(0));
  pit.Out(3, 0x35);
  pit.Out(0, 0);
  pit.Out(0, 0);
  EXPECT_EQ(10000u, pit.regs()->ch[0].s.count);
}

TEST(PitRead, ControlPortReadsNothing) {
  Pit pit;
  EXPECT_EQ(0, pit.In(3));
}

TEST(PitState, RoundTrip) {
  Pit pit;
  pit.Program(0, 2, 0x1234);
  pit.SetSpeaker(3);
  pit.Program(2, 3, 1000);
  pit.Out(3, 0x00);
  kvm_pit_state2 state{};
  vlm_pit_regs_save(pit.regs(), &state);
  EXPECT_EQ(0x1234u, state.channels[0].count);
  EXPECT_EQ(2, state.channels[0].mode);
  EXPECT_EQ(0u, state.channels[1].count);
  EXPECT_EQ(static_cast<uint32_t>(KVM_PIT_FLAGS_SPEAKER_DATA_ON), state.flags);
  Pit other;
  other.now = 99;
  vlm_pit_regs_load(other.regs(), &state, other.now);
  EXPECT_EQ(0x1234u, other.Count(0));
  EXPECT_EQ(0x34, other.In(0));
  EXPECT_EQ(0x12, other.In(0));
  EXPECT_EQ(1000u, other.Count(2));
  u64 period;
  EXPECT_EQ(99 + Ns(0x1234), vlm_pit_regs_expiry(other.regs(), &period));
}

TEST(PitState, UnprogrammedStaysSilent) {
  Pit pit;
  kvm_pit_state2 state{};
  u64 period;
  vlm_pit_regs_save(pit.regs(), &state);
  vlm_pit_regs_load(pit.regs(), &state, pit.now);
  EXPECT_EQ(0u, vlm_pit_regs_expiry(pit.regs(), &period));
  // As KVM reports a channel that was never programmed.
  state.channels[0].mode = 0xff;
  state.channels[0].count = 0x10000;
  vlm_pit_regs_load(pit.regs(), &state, pit.now);
  EXPECT_EQ(0u, vlm_pit_regs_expiry(pit.regs(), &period));
}

TEST(PitState, WildInput) {
  Pit pit;
  kvm_pit_state2 state;
  memset(&state, 0xff, sizeof(state));
  vlm_pit_regs_load(pit.regs(), &state, pit.now);
  for (uint32_t i = 0; i < 3; i++) {
    EXPECT_LE(pit.regs()->ch[i].s.count, 0x10000u);
    EXPECT_LE(pit.regs()->ch[i].s.mode, 5);
    pit.Output(i);
    for (int n = 0; n < 4; n++) pit.In(i);
  }
}

}  // namespace
}  // namespace vmm
