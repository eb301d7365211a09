// SPDX-License-Identifier: GPL-2.0-or-later
// Interrupt flow of the local APIC: SDM "Handling Interrupts", "Issuing IPIs", "LVT".
#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "chips.h"

namespace vmm {
namespace {

TEST(LapicReset, ValuesOfPowerUp) {
  Lapic apic(3, false);
  EXPECT_EQ(3u << 24, apic.Read(VLM_LAPIC_ID));
  EXPECT_EQ(0x00050014u, apic.Read(VLM_LAPIC_VERSION));
  EXPECT_EQ(0u, apic.Read(VLM_LAPIC_TPR));
  EXPECT_EQ(0u, apic.Read(VLM_LAPIC_LDR));
  EXPECT_EQ(0xffffffffu, apic.Read(VLM_LAPIC_DFR));
  EXPECT_EQ(0xffu, apic.Read(VLM_LAPIC_SVR));
  for (uint32_t lvt = VLM_LAPIC_LVTT; lvt <= VLM_LAPIC_LVT_ERROR; lvt += 0x10) {
    EXPECT_EQ(VLM_LVT_MASKED, apic.Read(lvt)) << std::hex << lvt;
  }
  EXPECT_EQ(0xfee00800u, apic.regs()->base);
  EXPECT_EQ(0xfee00900u, Lapic(0, true).regs()->base);
}

TEST(LapicReset, InitKeepsIdAndBase) {
  Lapic apic(3);
  apic.Enable();
  apic.Write(VLM_LAPIC_ID, 9u << 24);
  apic.Post(0x41);
  vlm_lapic_regs_reset(apic.regs(), true);
  EXPECT_EQ(9u << 24, apic.Read(VLM_LAPIC_ID));
  EXPECT_EQ(-1, apic.Pending());
  EXPECT_FALSE(vlm_lapic_is_enabled(apic.regs()));
}

TEST(LapicPriority, HigherClassPreemptsAndEoiReturns) {
  Lapic apic;
  apic.Enable();
  EXPECT_TRUE(apic.Post(0x31));
  EXPECT_EQ(0x31, apic.Accept());
  EXPECT_EQ(0x30u, apic.Read(VLM_LAPIC_PPR));
  // The same class waits, even a higher vector of it.
  EXPECT_TRUE(apic.Post(0x3f));
  EXPECT_EQ(-1, apic.Accept());
  EXPECT_TRUE(apic.Post(0x40));
  EXPECT_EQ(0x40, apic.Accept());
  EXPECT_EQ(0x40u, apic.Read(VLM_LAPIC_PPR));
  // EOIs end the services from the highest down.
  apic.Eoi();
  EXPECT_EQ(0x30u, apic.Read(VLM_LAPIC_PPR));
  EXPECT_EQ(-1, apic.Pending());
  apic.Eoi();
  EXPECT_EQ(0x3f, apic.Accept());
}

TEST(LapicPriority, HighestRequestFirst) {
  Lapic apic;
  apic.Enable();
  for (int vector : {0x20, 0xfe, 0x80, 0x7f}) {
    apic.Post(static_cast<uint8_t>(vector));
  }
  for (int vector : {0xfe, 0x80, 0x7f, 0x20}) {
    EXPECT_EQ(vector, apic.Accept());
    apic.Eoi();
  }
  EXPECT_EQ(-1, apic.Accept());
}

TEST(LapicPriority, PprIsTprOrServiceClass) {
  struct Case {
    uint8_t tpr;
    int serving;
    uint32_t ppr;
  };
  // SDM: PPR[7:4] is the higher of the classes, PPR[3:0] is TPR[3:0] if TPR's class wins.
  constexpr Case kCases[] = {
      {0x00, -1, 0x00},   {0x25, -1, 0x25},   {0x25, 0x33, 0x30},
      {0x35, 0x33, 0x35}, {0x45, 0x33, 0x45}, {0xff, 0xef, 0xff},
  };
  for (const Case& c : kCases) {
    Lapic apic;
    apic.Enable();
    if (c.serving >= 0) {
      apic.Post(static_cast<uint8_t>(c.serving));
      ASSERT_EQ(c.serving, apic.Accept());
    }
    apic.Write(VLM_LAPIC_TPR, c.tpr);
    EXPECT_EQ(c.ppr, apic.Read(VLM_LAPIC_PPR)) << int{c.tpr} << " " << c.serving;
  }
}

TEST(LapicPriority, TprBlocksItsClassAndBelow) {
  for (uint32_t tpr = 0; tpr < 0x100; tpr += 7) {
    for (uint32_t vector = 16; vector < 0x100; vector += 11) {
      Lapic apic;
      apic.Enable();
      apic.Write(VLM_LAPIC_TPR, tpr);
      apic.Post(static_cast<uint8_t>(vector));
      EXPECT_EQ(vector >> 4 > tpr >> 4, apic.Pending() >= 0) << tpr << " " << vector;
    }
  }
}

TEST(LapicIrr, SecondRequestCoalescesAndServiceTakesOneMore) {
  Lapic apic;
  apic.Enable();
  EXPECT_TRUE(apic.Post(0x50));
  EXPECT_FALSE(apic.Post(0x50));
  EXPECT_EQ(0x50, apic.Accept());
  EXPECT_TRUE(apic.Post(0x50));
  EXPECT_EQ(-1, apic.Accept());
  apic.Eoi();
  EXPECT_EQ(0x50, apic.Accept());
}

TEST(LapicIrr, BankLayout) {
  Lapic apic;
  apic.Enable();
  apic.Post(0x45, true);
  EXPECT_EQ(1u << 5, apic.Read(VLM_LAPIC_IRR + 0x20));
  EXPECT_EQ(1u << 5, apic.Read(VLM_LAPIC_TMR + 0x20));
  EXPECT_EQ(0u, apic.Read(VLM_LAPIC_ISR + 0x20));
  apic.Accept();
  EXPECT_EQ(0u, apic.Read(VLM_LAPIC_IRR + 0x20));
  EXPECT_EQ(1u << 5, apic.Read(VLM_LAPIC_ISR + 0x20));
}

TEST(LapicEoi, BroadcastsLevelOnly) {
  Lapic apic;
  apic.Enable();
  apic.Post(0x60, true);
  apic.Accept();
  vlm_lapic_fx fx = apic.Eoi();
  EXPECT_TRUE(fx.flags & VLM_LAPIC_FX_EOI);
  EXPECT_EQ(0x60, fx.eoi_vector);
  // The same vector as an edge clears its TMR bit.
  apic.Post(0x60, false);
  apic.Accept();
  EXPECT_FALSE(apic.Eoi().flags & VLM_LAPIC_FX_EOI);
  // Nothing in service: nothing happens.
  EXPECT_EQ(0u, apic.Eoi().flags);
}

TEST(LapicEoi, SuppressedOnlyWhereOffered) {
  Lapic apic;
  apic.Write(VLM_LAPIC_SVR, 0x1ff | VLM_LAPIC_SVR_NO_EOI);
  EXPECT_EQ(0x1ffu, apic.Read(VLM_LAPIC_SVR));
  vlm_lapic_reg_set(apic.regs(), VLM_LAPIC_VERSION, 0x00050014u | VLM_LAPIC_VERSION_NO_EOI);
  apic.Write(VLM_LAPIC_SVR, 0x1ff | VLM_LAPIC_SVR_NO_EOI);
  apic.Post(0x60, true);
  apic.Accept();
  EXPECT_EQ(VLM_LAPIC_FX_EVENT, apic.Eoi().flags);
}

TEST(LapicEsr, IllegalVectorsAndLatch) {
  Lapic apic;
  apic.Enable();
  EXPECT_FALSE(apic.Post(15));
  EXPECT_EQ(0u, apic.Read(VLM_LAPIC_ESR));
  apic.Write(VLM_LAPIC_ESR, 0);
  EXPECT_EQ(1u << VLM_LAPIC_ESR_RECV_ILLEGAL, apic.Read(VLM_LAPIC_ESR));
  // The next latch shows what came since: nothing.
  apic.Write(VLM_LAPIC_ESR, 0);
  EXPECT_EQ(0u, apic.Read(VLM_LAPIC_ESR));
  EXPECT_FALSE(apic.Write(VLM_LAPIC_ICR, 0x4005).flags & VLM_LAPIC_FX_IPI);
  apic.Write(VLM_LAPIC_ESR, 0);
  EXPECT_EQ(1u << VLM_LAPIC_ESR_SEND_ILLEGAL, apic.Read(VLM_LAPIC_ESR));
}

TEST(LapicEsr, ErrorInterrupt) {
  Lapic apic;
  apic.Enable();
  apic.Write(VLM_LAPIC_LVT_ERROR, 0xe1);
  apic.Post(3);
  EXPECT_EQ(0xe1, apic.Accept());
  apic.Eoi();
  // An illegal vector there must not recurse.
  apic.Write(VLM_LAPIC_LVT_ERROR, 0x01);
  apic.Post(3);
  EXPECT_EQ(-1, apic.Pending());
}

TEST(LapicEsr, ReservedAddress) {
  Lapic apic;
  apic.Enable();
  uint32_t value = 0xffffffff;
  vlm_lapic_regs_mmio_read(apic.regs(), 0x040, 4, apic.now, &value);
  EXPECT_EQ(0u, value);
  apic.Write(VLM_LAPIC_ESR, 0);
  EXPECT_EQ(1u << VLM_LAPIC_ESR_REGISTER, apic.Read(VLM_LAPIC_ESR));
}

TEST(LapicLvt, WritableBits) {
  struct Case {
    uint32_t offset;
    uint32_t mask;
  };
  constexpr Case kCases[] = {
      {VLM_LAPIC_LVTT, 0x700ff},      {VLM_LAPIC_LVT_THERMAL, 0x107ff},
      {VLM_LAPIC_LVT_PERF, 0x107ff},  {VLM_LAPIC_LVT_LINT0, 0x1a7ff},
      {VLM_LAPIC_LVT_LINT1, 0x1a7ff}, {VLM_LAPIC_LVT_ERROR, 0x100ff},
      {VLM_LAPIC_TPR, 0xff},          {VLM_LAPIC_LDR, 0xff000000},
      {VLM_LAPIC_DFR, 0xffffffff},    {VLM_LAPIC_ICR2, 0xff000000},
      {VLM_LAPIC_ICR, 0xffffefff},    {VLM_LAPIC_TDCR, 0xb},
  };
  for (const Case& c : kCases) {
    Lapic apic;
    apic.Enable();
    apic.Write(c.offset, 0xffffffff);
    EXPECT_EQ(c.mask, apic.Read(c.offset)) << std::hex << c.offset;
  }
}

TEST(LapicLvt, DeadlineModeOnlyWhereOffered) {
  Lapic apic;
  apic.regs()->tsc_deadline_offered = 0;
  apic.Enable();
  apic.Write(VLM_LAPIC_LVTT, 0xffffffff);
  EXPECT_EQ(0x300ffu, apic.Read(VLM_LAPIC_LVTT));
}

TEST(LapicLvt, SoftwareDisableMasksAll) {
  Lapic apic;
  apic.Enable();
  for (uint32_t lvt = VLM_LAPIC_LVTT; lvt <= VLM_LAPIC_LVT_ERROR; lvt += 0x10) {
    apic.Write(lvt, 0x30);
  }
  apic.Write(VLM_LAPIC_SVR, 0xff);
  for (uint32_t lvt = VLM_LAPIC_LVTT; lvt <= VLM_LAPIC_LVT_ERROR; lvt += 0x10) {
    EXPECT_EQ(0x30u | VLM_LVT_MASKED, apic.Read(lvt)) << std::hex << lvt;
    // And none can be unmasked before the APIC is enabled again.
    apic.Write(lvt, 0x40);
    EXPECT_EQ(0x40u | VLM_LVT_MASKED, apic.Read(lvt)) << std::hex << lvt;
  }
}

TEST(LapicLvt, DeliveryModes) {
  Lapic apic;
  apic.Enable();
  vlm_apic_msg msg;
  apic.Write(VLM_LAPIC_LVT_LINT0, 0x700);
  ASSERT_TRUE(vlm_lapic_regs_lvt(apic.regs(), VLM_LAPIC_LVT_LINT0, &msg));
  EXPECT_EQ(VLM_APIC_EXTINT, msg.mode);
  apic.Write(VLM_LAPIC_LVT_LINT1, 0x400);
  ASSERT_TRUE(vlm_lapic_regs_lvt(apic.regs(), VLM_LAPIC_LVT_LINT1, &msg));
  EXPECT_EQ(VLM_APIC_NMI, msg.mode);
  apic.Write(VLM_LAPIC_LVT_LINT1, VLM_LVT_MASKED | 0x400);
  EXPECT_FALSE(vlm_lapic_regs_lvt(apic.regs(), VLM_LAPIC_LVT_LINT1, &msg));
}

TEST(LapicIcr, Encodings) {
  struct Case {
    uint32_t icr;
    uint32_t dest;
    uint8_t mode, shorthand, logical, level, trig;
  };
  constexpr Case kCases[] = {
      {0x000040fd, 0x05, VLM_APIC_FIXED, VLM_APIC_TO_DEST, 0, 1, 0},
      {0x000049fd, 0x0f, VLM_APIC_LOWEST, VLM_APIC_TO_DEST, 1, 1, 0},
      {0x00004400, 0x02, VLM_APIC_NMI, VLM_APIC_TO_DEST, 0, 1, 0},
      {0x0000c500, 0x01, VLM_APIC_INIT, VLM_APIC_TO_DEST, 0, 1, 1},
      {0x00008500, 0x01, VLM_APIC_INIT, VLM_APIC_TO_DEST, 0, 0, 1},
      {0x00004699, 0x01, VLM_APIC_STARTUP, VLM_APIC_TO_DEST, 0, 1, 0},
      {0x00044030, 0x00, VLM_APIC_FIXED, VLM_APIC_TO_SELF, 0, 1, 0},
      {0x00084030, 0x00, VLM_APIC_FIXED, VLM_APIC_TO_ALL, 0, 1, 0},
      {0x000c4200, 0x00, VLM_APIC_SMI, VLM_APIC_TO_OTHERS, 0, 1, 0},
  };
  for (const Case& c : kCases) {
    Lapic apic;
    apic.Enable();
    apic.Write(VLM_LAPIC_ICR2, c.dest << 24);
    vlm_lapic_fx fx = apic.Write(VLM_LAPIC_ICR, c.icr);
    ASSERT_TRUE(fx.flags & VLM_LAPIC_FX_IPI) << std::hex << c.icr;
    EXPECT_EQ(c.dest, fx.ipi.dest);
    EXPECT_EQ(c.icr & 0xff, fx.ipi.vector);
    EXPECT_EQ(c.mode, fx.ipi.mode) << std::hex << c.icr;
    EXPECT_EQ(c.shorthand, fx.ipi.shorthand) << std::hex << c.icr;
    EXPECT_EQ(c.logical, fx.ipi.logical) << std::hex << c.icr;
    EXPECT_EQ(c.level, fx.ipi.level) << std::hex << c.icr;
    EXPECT_EQ(c.trig, fx.ipi.trig) << std::hex << c.icr;
    EXPECT_EQ(0, fx.ipi.wide);
    // Never busy when read back.
    EXPECT_EQ(c.icr, apic.Read(VLM_LAPIC_ICR));
  }
}

vlm_apic_msg To(uint32_t dest, bool logical = false, bool wide = false) {
  vlm_apic_msg msg{};
  msg.dest = dest;
  msg.logical = logical;
  msg.wide = wide;
  return msg;
}

bool Matches(Lapic& apic, const vlm_apic_msg& msg) {
  return vlm_lapic_regs_match(apic.regs(), &msg);
}

TEST(LapicMatch, Physical) {
  Lapic apic(5);
  EXPECT_TRUE(Matches(apic, To(5)));
  EXPECT_FALSE(Matches(apic, To(4)));
  EXPECT_TRUE(Matches(apic, To(0xff)));
  EXPECT_FALSE(Matches(apic, To(0x105, false, true)));
  apic.Write(VLM_LAPIC_ID, 7u << 24);
  EXPECT_FALSE(Matches(apic, To(5)));
  EXPECT_TRUE(Matches(apic, To(7)));
}

TEST(LapicMatch, PhysicalX2apic) {
  Lapic apic(0x1ff);
  // Before it switches, only an x2APIC sender can name it.
  EXPECT_TRUE(Matches(apic, To(0x1ff, false, true)));
  EXPECT_FALSE(Matches(apic, To(0xfe)));
  apic.EnterX2apic();
  EXPECT_TRUE(Matches(apic, To(0x1ff, false, true)));
  EXPECT_TRUE(Matches(apic, To(0xffffffff, false, true)));
  // 0xff is an ID like any other, unless it comes from a device or an xAPIC.
  EXPECT_FALSE(Matches(apic, To(0xff, false, true)));
  EXPECT_TRUE(Matches(apic, To(0xff)));
}

TEST(LapicMatch, LogicalFlat) {
  Lapic apic;
  apic.Write(VLM_LAPIC_LDR, 0x04u << 24);
  EXPECT_TRUE(Matches(apic, To(0x04, true)));
  EXPECT_TRUE(Matches(apic, To(0x0c, true)));
  EXPECT_FALSE(Matches(apic, To(0x03, true)));
  EXPECT_TRUE(Matches(apic, To(0xff, true)));
  // Broadcast reaches even an APIC without a logical ID.
  apic.Write(VLM_LAPIC_LDR, 0);
  EXPECT_TRUE(Matches(apic, To(0xff, true)));
  EXPECT_FALSE(Matches(apic, To(0x7f, true)));
}

TEST(LapicMatch, LogicalCluster) {
  Lapic apic;
  apic.Write(VLM_LAPIC_DFR, 0);
  EXPECT_EQ(0x0fffffffu, apic.Read(VLM_LAPIC_DFR));
  apic.Write(VLM_LAPIC_LDR, 0x22u << 24);
  EXPECT_TRUE(Matches(apic, To(0x22, true)));
  EXPECT_TRUE(Matches(apic, To(0x2f, true)));
  EXPECT_FALSE(Matches(apic, To(0x32, true)));
  EXPECT_FALSE(Matches(apic, To(0x2d, true)));
  // The other models do not exist.
  apic.Write(VLM_LAPIC_DFR, 0x50000000);
  EXPECT_FALSE(Matches(apic, To(0x22, true)));
}

TEST(LapicMatch, LogicalX2apic) {
  Lapic apic(0x123);
  apic.EnterX2apic();
  // Cluster is ID[31:4], position is ID[3:0].
  EXPECT_EQ(0x00120008u, apic.Read(VLM_LAPIC_LDR));
  EXPECT_TRUE(Matches(apic, To(0x00120008, true, true)));
  EXPECT_TRUE(Matches(apic, To(0x0012ffff, true, true)));
  EXPECT_FALSE(Matches(apic, To(0x00120007, true, true)));
  EXPECT_FALSE(Matches(apic, To(0x00130008, true, true)));
}

TEST(LapicMatch, DisabledMatchesNothing) {
  Lapic apic;
  vlm_lapic_fx fx{};
  ASSERT_EQ(0, vlm_lapic_regs_set_base(apic.regs(), 0xfee00100, false, &fx));
  EXPECT_FALSE(Matches(apic, To(0)));
  EXPECT_FALSE(Matches(apic, To(0xff)));
}

TEST(LapicState, RoundTrip) {
  Lapic apic(2);
  apic.Enable();
  apic.Write(VLM_LAPIC_TPR, 0x21);
  apic.Write(VLM_LAPIC_LDR, 4u << 24);
  apic.Write(VLM_LAPIC_LVT_LINT0, 0x700);
  apic.Write(VLM_LAPIC_ICR2, 7u << 24);
  apic.Write(VLM_LAPIC_ICR, 0x44400);
  apic.Post(0x81, true);
  apic.Accept();
  apic.Post(0x51);
  kvm_lapic_state first{};
  vlm_lapic_regs_save(apic.regs(), apic.now, &first);

  Lapic other(2);
  vlm_lapic_regs_load(other.regs(), other.now, &first);
  kvm_lapic_state second{};
  vlm_lapic_regs_save(other.regs(), other.now, &second);
  EXPECT_EQ(0, memcmp(&first, &second, sizeof(first)));
  EXPECT_EQ(0x80u, other.Read(VLM_LAPIC_PPR));
  EXPECT_TRUE(other.Eoi().flags & VLM_LAPIC_FX_EOI);
  EXPECT_EQ(0x51, other.Accept());
}

uint32_t Word(const kvm_lapic_state& state, uint32_t offset) {
  uint32_t value;
  memcpy(&value, state.regs + offset, sizeof(value));
  return value;
}

TEST(LapicState, X2apicIdStandsInTheTopByte) {
  Lapic apic(0x21);
  apic.EnterX2apic();
  kvm_lapic_state state{};
  vlm_lapic_regs_save(apic.regs(), apic.now, &state);
  EXPECT_EQ(0x21u << 24, Word(state, VLM_LAPIC_ID));
  EXPECT_EQ(0x00020002u, Word(state, VLM_LAPIC_LDR));
  vlm_lapic_regs_load(apic.regs(), apic.now, &state);
  EXPECT_EQ(0x21u, apic.Read(VLM_LAPIC_ID));
}

TEST(LapicState, EveryIrrBitSurvives) {
  Lapic apic;
  kvm_lapic_state state{};
  memset(state.regs, 0xff, sizeof(state.regs));
  vlm_lapic_regs_load(apic.regs(), apic.now, &state);
  for (uint32_t i = 0; i < 8; i++) {
    EXPECT_EQ(0xffffffffu, apic.Read(VLM_LAPIC_IRR + i * 16));
  }
  // Vectors 0 to 15 can be held, but have no priority to be delivered with.
  memset(state.regs, 0, sizeof(state.regs));
  state.regs[VLM_LAPIC_IRR + 1] = '\xff';
  vlm_lapic_regs_load(apic.regs(), apic.now, &state);
  EXPECT_EQ(-1, apic.Pending());
}

}  // namespace
}  // namespace vmm
