// SPDX-License-Identifier: GPL-2.0-or-later
// The I/O APIC: 82093AA data sheet.
#include <gtest/gtest.h>

#include <cstring>

#include "chips.h"

namespace vmm {
namespace {

constexpr uint64_t Dest(uint64_t id) { return id << 56; }

TEST(IoapicRegisters, IdVersionArbitration) {
  Ioapic io;
  EXPECT_EQ(0x00170011u, io.Read(0x01));
  io.Write(0x00, 0xffffffff);
  EXPECT_EQ(0x0f000000u, io.Read(0x00));
  EXPECT_EQ(0x0f000000u, io.Read(0x02));
  io.Write(0x01, 0);
  EXPECT_EQ(0x00170011u, io.Read(0x01));
  EXPECT_EQ(0xffffffffu, io.Read(0x40));  // behind the last pin
  EXPECT_EQ(0xffffffffu, io.Read(0xff));
  EXPECT_EQ(0u, io.Read(0x05));
}

TEST(IoapicRegisters, EntriesResetMaskedAndKeepReadOnlyBits) {
  Ioapic io;
  for (uint32_t pin = 0; pin < VLM_IOAPIC_PINS; pin++) {
    EXPECT_EQ(VLM_REDIR_MASKED, io.Entry(pin));
    io.SetEntry(pin, ~0ull);
    // Status and remote IRR are the chip's, the middle is reserved.
    EXPECT_EQ(0xff0000000001afffull, io.Entry(pin));
  }
}

TEST(IoapicRegisters, AccessShapes) {
  Ioapic io;
  uint8_t select = 0x01;
  vlm_ioapic_regs_write(io.regs(), 0x00, 1, &select);
  uint64_t wide = 0;
  vlm_ioapic_regs_read(io.regs(), 0x10, 8, &wide);
  EXPECT_EQ(0x00170011u, wide);
  uint16_t half = 0;
  vlm_ioapic_regs_read(io.regs(), 0x10, 2, &half);
  EXPECT_EQ(0x0011u, half);
  uint32_t elsewhere = 1;
  vlm_ioapic_regs_read(io.regs(), 0x40, 4, &elsewhere);
  EXPECT_EQ(0u, elsewhere);
}

TEST(IoapicEdge, OneMessageForEachRise) {
  Ioapic io;
  io.SetEntry(4, Dest(3) | 0x34);
  EXPECT_EQ(1, io.Line(4, 1));
  EXPECT_EQ(0, io.Line(4, 1));
  auto sent = io.TakeSent();
  ASSERT_EQ(1u, sent.size());
  EXPECT_EQ(3u, sent[0].dest);
  EXPECT_EQ(0x34, sent[0].vector);
  EXPECT_EQ(0, sent[0].trig);
  EXPECT_EQ(0, sent[0].logical);
  EXPECT_EQ(VLM_APIC_FIXED, sent[0].mode);
  io.Line(4, 0);
  EXPECT_TRUE(io.TakeSent().empty());
  io.Line(4, 1);
  EXPECT_EQ(1u, io.TakeSent().size());
}

TEST(IoapicEdge, MaskedIsLost) {
  Ioapic io;
  io.SetEntry(4, 0x34 | VLM_REDIR_MASKED);
  EXPECT_EQ(-1, io.Line(4, 1));
  io.SetEntry(4, 0x34);
  EXPECT_TRUE(io.TakeSent().empty());
}

TEST(IoapicEdge, ModesAndDestinationsPassThrough) {
  for (uint64_t mode = 0; mode < 8; mode++) {
    Ioapic io;
    io.SetEntry(7, Dest(0xf0) | VLM_REDIR_LOGICAL | mode << 8 | 0x55);
    io.Line(7, 1);
    auto sent = io.TakeSent();
    ASSERT_EQ(1u, sent.size());
    EXPECT_EQ(mode, sent[0].mode);
    EXPECT_EQ(1, sent[0].logical);
    EXPECT_EQ(0xf0u, sent[0].dest);
  }
}

TEST(IoapicLevel, RemoteIrrUntilEoi) {
  Ioapic io;
  io.SetEntry(9, Dest(1) | VLM_REDIR_LEVEL | 0x39);
  EXPECT_EQ(1, io.Line(9, 1));
  EXPECT_EQ(1, io.TakeSent()[0].trig);
  EXPECT_TRUE(io.Entry(9) & VLM_REDIR_REMOTE_IRR);
  // In service: nothing more is sent.
  EXPECT_EQ(-1, io.Line(9, 1));
  EXPECT_TRUE(io.TakeSent().empty());
  // Still asserted at EOI: again.
  EXPECT_FALSE(io.Eoi(0x39));
  EXPECT_EQ(1u, io.TakeSent().size());
  io.Line(9, 0);
  EXPECT_FALSE(io.Eoi(0x39));
  EXPECT_TRUE(io.TakeSent().empty());
  EXPECT_FALSE(io.Entry(9) & VLM_REDIR_REMOTE_IRR);
}

TEST(IoapicLevel, LineLoweredBetweenEndAndContinue) {
  Ioapic io;
  io.SetEntry(9, VLM_REDIR_LEVEL | 0x39);
  io.Line(9, 1);
  io.TakeSent();
  uint32_t pins = vlm_ioapic_regs_eoi(io.regs(), 0x39);
  EXPECT_EQ(1u << 9, pins);
  io.Line(9, 0);
  EXPECT_FALSE(vlm_ioapic_regs_continue(io.regs(), pins));
  EXPECT_TRUE(io.TakeSent().empty());
  // Raised again in between: sent by the rise, not twice.
  io.Line(9, 1);
  pins = vlm_ioapic_regs_eoi(io.regs(), 0x39);
  io.Line(9, 0);
  io.TakeSent();
  io.Line(9, 1);
  vlm_ioapic_regs_continue(io.regs(), pins);
  EXPECT_EQ(1u, io.TakeSent().size());
}

TEST(IoapicLevel, EoiOfAnotherVectorChangesNothing) {
  Ioapic io;
  io.SetEntry(9, VLM_REDIR_LEVEL | 0x39);
  io.Line(9, 1);
  io.Eoi(0x38);
  EXPECT_TRUE(io.Entry(9) & VLM_REDIR_REMOTE_IRR);
}

TEST(IoapicLevel, PinsThatShareAVector) {
  Ioapic io;
  io.SetEntry(9, VLM_REDIR_LEVEL | 0x39);
  io.SetEntry(10, VLM_REDIR_LEVEL | 0x39);
  io.Line(9, 1);
  io.Line(10, 1);
  io.TakeSent();
  io.Eoi(0x39);
  EXPECT_EQ(2u, io.TakeSent().size());
}

TEST(IoapicLevel, UnmaskDeliversAndMaskHolds) {
  Ioapic io;
  io.SetEntry(9, VLM_REDIR_LEVEL | VLM_REDIR_MASKED | 0x39);
  EXPECT_EQ(-1, io.Line(9, 1));
  io.SetEntry(9, VLM_REDIR_LEVEL | 0x39);
  EXPECT_EQ(1u, io.TakeSent().size());
  io.SetEntry(9, VLM_REDIR_LEVEL | VLM_REDIR_MASKED | 0x39);
  io.Eoi(0x39);
  EXPECT_TRUE(io.TakeSent().empty());
}

TEST(IoapicLevel, NoDestinationIsNotInService) {
  Ioapic io;
  io.answer = -1;
  io.SetEntry(9, VLM_REDIR_LEVEL | 0x39);
  EXPECT_EQ(-1, io.Line(9, 1));
  EXPECT_FALSE(io.Entry(9) & VLM_REDIR_REMOTE_IRR);
  // Coalesced in the local APIC: an EOI will come.
  io.answer = 0;
  EXPECT_EQ(0, io.Line(9, 1));
  EXPECT_TRUE(io.Entry(9) & VLM_REDIR_REMOTE_IRR);
}

TEST(IoapicLevel, SwitchToEdgeClearsRemoteIrr) {
  Ioapic io;
  io.SetEntry(9, VLM_REDIR_LEVEL | 0x39);
  io.Line(9, 1);
  io.Line(9, 0);
  io.SetEntry(9, VLM_REDIR_MASKED | 0x39);
  io.SetEntry(9, VLM_REDIR_MASKED | VLM_REDIR_LEVEL | 0x39);
  EXPECT_FALSE(io.Entry(9) & VLM_REDIR_REMOTE_IRR);
}

TEST(IoapicLevel, StormRests) {
  Ioapic io;
  io.SetEntry(9, VLM_REDIR_LEVEL | 0x39);
  io.Line(9, 1);
  uint32_t eois = 1;
  while (!io.Eoi(0x39)) {
    ASSERT_LT(++eois, 2 * VLM_IOAPIC_STORM);
  }
  EXPECT_EQ(VLM_IOAPIC_STORM, eois);
  io.TakeSent();
  EXPECT_FALSE(io.Entry(9) & VLM_REDIR_REMOTE_IRR);
  vlm_ioapic_regs_redeliver(io.regs());
  EXPECT_EQ(1u, io.TakeSent().size());
  // A device that lets go meanwhile ends the streak.
  io.Line(9, 0);
  io.Eoi(0x39);
  vlm_ioapic_regs_redeliver(io.regs());
  EXPECT_TRUE(io.TakeSent().empty());
}

TEST(IoapicState, RoundTripAndPending) {
  Ioapic io;
  io.Write(0x00, 5u << 24);
  io.SetEntry(9, VLM_REDIR_LEVEL | VLM_REDIR_MASKED | 0x39);
  io.SetEntry(4, 0x34);
  io.Line(9, 1);
  io.Line(4, 1);
  kvm_ioapic_state state{};
  vlm_ioapic_regs_save(io.regs(), &state);
  EXPECT_EQ(VLM_IOAPIC_BASE, state.base_address);
  EXPECT_EQ(5u, state.id);
  // The edge was sent, the level waits.
  EXPECT_EQ(1u << 9, state.irr);
  EXPECT_EQ(0x34, state.redirtbl[4].fields.vector);
  EXPECT_EQ(1, state.redirtbl[9].fields.mask);
  EXPECT_EQ(1, state.redirtbl[9].fields.trig_mode);

  Ioapic other;
  state.redirtbl[9].fields.mask = 0;
  vlm_ioapic_regs_load(other.regs(), &state);
  auto sent = other.TakeSent();
  ASSERT_EQ(1u, sent.size());
  EXPECT_EQ(0x39, sent[0].vector);
  kvm_ioapic_state again{};
  vlm_ioapic_regs_save(other.regs(), &again);
  state.redirtbl[9].fields.remote_irr = 1;
  EXPECT_EQ(0, memcmp(&state, &again, sizeof(state)));
}

TEST(IoapicLine, PinOutOfRange) {
  Ioapic io;
  EXPECT_EQ(-1, io.Line(24, 1));
  EXPECT_EQ(-1, io.Line(0xffffffff, 1));
}

}  // namespace
}  // namespace vmm
