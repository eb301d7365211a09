// SPDX-License-Identifier: GPL-2.0-or-later
// The 8259A pair: Intel 8259A data sheet.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "chips.h"

namespace vmm {
namespace {

class PicTest : public testing::Test {
 protected:
  void SetUp() override { pic_.Init(); }
  // Acknowledge everything that comes without ends of interrupt in between.
  std::vector<int> AckAll() {
    std::vector<int> vectors;
    while (pic_.output()) vectors.push_back(pic_.Ack());
    return vectors;
  }
  Pic pic_;
};

TEST_F(PicTest, VectorsOfBothChips) {
  for (uint32_t pin = 0; pin < VLM_PIC_PINS; pin++) {
    if (pin == 2) continue;
    Pic pic;
    pic.Init(0x30, 0x70);
    EXPECT_EQ(1, pic.Line(pin, 1)) << pin;
    ASSERT_TRUE(pic.output());
    int want = static_cast<int>(pin < 8 ? 0x30 + pin : 0x70 + pin - 8);
    EXPECT_EQ(want, pic.Peek());
    EXPECT_EQ(want, pic.Ack());
    EXPECT_FALSE(pic.output());
  }
}

TEST_F(PicTest, FixedPriority) {
  pic_.Pulse(7);
  pic_.Pulse(3);
  EXPECT_EQ(0x23, pic_.Ack());
  EXPECT_FALSE(pic_.output());
  // A higher one preempts, a lower one waits for the EOI.
  pic_.Pulse(1);
  EXPECT_EQ(0x21, pic_.Ack());
  pic_.Out(0x20, 0x20);
  EXPECT_FALSE(pic_.output());
  pic_.Out(0x20, 0x20);
  EXPECT_EQ(0x27, pic_.Ack());
}

TEST_F(PicTest, SlaveStandsAtInputTwo) {
  pic_.Pulse(3);
  pic_.Pulse(8);
  pic_.Pulse(1);
  EXPECT_EQ(0x21, pic_.Ack());
  pic_.Out(0x20, 0x61);  // specific EOI of 1
  EXPECT_EQ(0x28, pic_.Ack());
  EXPECT_EQ(0x04, [&] {
    pic_.Out(0x20, 0x0b);
    return pic_.In(0x20);
  }());
  // Both chips need their EOI.
  pic_.Out(0xa0, 0x20);
  EXPECT_FALSE(pic_.output());
  pic_.Out(0x20, 0x20);
  EXPECT_EQ(0x23, pic_.Ack());
}

TEST_F(PicTest, SlaveWaitsInFullyNestedModeButNotInSpecial) {
  pic_.Pulse(12);
  EXPECT_EQ(0x2c, pic_.Ack());
  pic_.Pulse(9);
  EXPECT_FALSE(pic_.output());

  Pic special;
  special.Init(0x20, 0x28, 0x11);
  special.Pulse(12);
  EXPECT_EQ(0x2c, special.Ack());
  special.Pulse(9);
  EXPECT_EQ(0x29, special.Ack());
}

TEST_F(PicTest, MaskHoldsTheRequest) {
  pic_.Out(0x21, 0x10);
  EXPECT_EQ(-1, pic_.Line(4, 1));
  EXPECT_FALSE(pic_.output());
  EXPECT_EQ(0x10, pic_.In(0x20));
  EXPECT_EQ(0x10, pic_.In(0x21));
  pic_.Out(0x21, 0x00);
  EXPECT_EQ(0x24, pic_.Ack());
}

TEST_F(PicTest, EdgeNeedsARise) {
  EXPECT_EQ(1, pic_.Line(5, 1));
  EXPECT_EQ(0x25, pic_.Ack());
  pic_.Out(0x20, 0x20);
  // Still high: no new request.
  EXPECT_EQ(1, pic_.Line(5, 1));
  EXPECT_FALSE(pic_.output());
  pic_.Line(5, 0);
  EXPECT_EQ(1, pic_.Line(5, 1));
  // Requested already.
  pic_.Line(5, 0);
  EXPECT_EQ(0, pic_.Line(5, 1));
  EXPECT_EQ(0x25, pic_.Ack());
}

TEST_F(PicTest, LevelFollowsTheLine) {
  pic_.Out(0x4d0, 0xff);
  EXPECT_EQ(0xf8, pic_.In(0x4d0));  // 0 to 2 are always edges
  pic_.Out(0x4d1, 0xff);
  EXPECT_EQ(0xde, pic_.In(0x4d1));  // and 8 and 13
  pic_.Line(5, 1);
  EXPECT_EQ(0x25, pic_.Ack());
  pic_.Out(0x20, 0x20);
  EXPECT_EQ(0x25, pic_.Ack());
  pic_.Line(5, 0);
  pic_.Out(0x20, 0x20);
  EXPECT_FALSE(pic_.output());
}

TEST_F(PicTest, SpuriousWhenTheRequestWentAway) {
  pic_.Out(0x4d0, 0x20);
  pic_.Line(5, 1);
  EXPECT_TRUE(pic_.output());
  pic_.Line(5, 0);
  EXPECT_FALSE(pic_.output());
  // The processor was about to acknowledge: input 7, not in service.
  EXPECT_EQ(0x27, pic_.Ack());
  pic_.Out(0x20, 0x0b);
  EXPECT_EQ(0x00, pic_.In(0x20));
}

TEST_F(PicTest, SpecificEoi) {
  pic_.Pulse(4);
  pic_.Ack();
  pic_.Pulse(1);
  pic_.Ack();
  pic_.Out(0x20, 0x64);
  pic_.Out(0x20, 0x0b);
  EXPECT_EQ(0x02, pic_.In(0x20));
}

TEST_F(PicTest, RotateOnNonSpecificEoi) {
  pic_.Pulse(4);
  EXPECT_EQ(0x24, pic_.Ack());
  pic_.Out(0x20, 0xa0);
  // Now 4 is the lowest, 5 the highest.
  pic_.Pulse(4);
  pic_.Pulse(3);
  pic_.Pulse(5);
  for (int vector : {0x25, 0x23, 0x24}) {
    EXPECT_EQ(vector, pic_.Ack());
    pic_.Out(0x20, 0x20);
  }
}

TEST_F(PicTest, SetPriorityAndRotateOnSpecificEoi) {
  pic_.Out(0x20, 0xc3);  // 3 becomes the lowest
  pic_.Pulse(0);
  pic_.Pulse(4);
  EXPECT_EQ(0x24, pic_.Ack());
  pic_.Out(0x20, 0xe4);  // EOI of 4, which becomes the lowest
  pic_.Pulse(4);
  pic_.Pulse(5);
  EXPECT_EQ(0x25, pic_.Ack());
  pic_.Out(0x20, 0x20);
  EXPECT_EQ(0x20, pic_.Ack());
}

TEST_F(PicTest, EveryRotationOrdersAll) {
  for (uint32_t lowest = 0; lowest < 8; lowest++) {
    Pic pic;
    pic.Init();
    pic.Out(0x20, static_cast<uint8_t>(0xc0 | lowest));
    for (uint32_t pin : {7u, 1u, 0u, 4u}) pic.Pulse(pin);
    std::vector<uint32_t> order;
    while (pic.output()) {
      order.push_back((static_cast<uint32_t>(pic.Ack()) - 0x20 - lowest - 1) & 7);
      pic.Out(0x20, 0x20);
    }
    ASSERT_EQ(4u, order.size());
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end())) << lowest;
  }
}

TEST_F(PicTest, AutomaticEoi) {
  pic_.Init(0x20, 0x28, 0x03);
  pic_.Pulse(4);
  pic_.Pulse(6);
  EXPECT_EQ((std::vector<int>{0x24, 0x26}), AckAll());
  pic_.Out(0x20, 0x0b);
  EXPECT_EQ(0x00, pic_.In(0x20));
}

TEST_F(PicTest, RotateInAutomaticEoi) {
  pic_.Init(0x20, 0x28, 0x03);
  pic_.Out(0x20, 0x80);
  pic_.Pulse(4);
  EXPECT_EQ(0x24, pic_.Ack());
  pic_.Pulse(4);
  pic_.Pulse(7);
  EXPECT_EQ(0x27, pic_.Ack());
  pic_.Out(0x20, 0x00);
  EXPECT_EQ(0x24, pic_.Ack());
}

TEST_F(PicTest, SpecialMaskMode) {
  pic_.Pulse(1);
  EXPECT_EQ(0x21, pic_.Ack());
  pic_.Pulse(6);
  EXPECT_FALSE(pic_.output());
  pic_.Out(0x21, 0x02);
  EXPECT_FALSE(pic_.output());
  pic_.Out(0x20, 0x68);
  // What is masked and in service no longer blocks.
  EXPECT_EQ(0x26, pic_.Ack());
  // A non-specific EOI leaves the masked one alone.
  pic_.Out(0x20, 0x20);
  pic_.Out(0x20, 0x0b);
  EXPECT_EQ(0x02, pic_.In(0x20));
  pic_.Out(0x20, 0x48);
  pic_.Pulse(6);
  EXPECT_FALSE(pic_.output());
}

TEST_F(PicTest, Poll) {
  pic_.Out(0x20, 0x0c);
  EXPECT_EQ(0x00, pic_.In(0x20));
  pic_.Pulse(6);
  pic_.Out(0x20, 0x0c);
  EXPECT_EQ(0x86, pic_.In(0x20));
  EXPECT_FALSE(pic_.output());
  pic_.Out(0x20, 0x20);
  // The slave's request shows as input 2; the slave is polled for itself.
  pic_.Pulse(14);
  pic_.Out(0x20, 0x0c);
  EXPECT_EQ(0x82, pic_.In(0x20));
  pic_.Out(0xa0, 0x0c);
  EXPECT_EQ(0x86, pic_.In(0xa1));
}

TEST_F(PicTest, ReadSelectIrrIsr) {
  pic_.Pulse(3);
  EXPECT_EQ(0x08, pic_.In(0x20));
  pic_.Ack();
  EXPECT_EQ(0x00, pic_.In(0x20));
  pic_.Out(0x20, 0x0b);
  EXPECT_EQ(0x08, pic_.In(0x20));
  pic_.Out(0x20, 0x0a);
  EXPECT_EQ(0x00, pic_.In(0x20));
}

TEST_F(PicTest, InitialisationForgets) {
  pic_.Out(0x21, 0x55);
  pic_.Pulse(1);
  pic_.Ack();
  pic_.Pulse(3);
  pic_.Out(0x20, 0xc3);
  pic_.Init(0x40, 0x48);
  EXPECT_FALSE(pic_.output());
  EXPECT_EQ(0x00, pic_.In(0x21));
  pic_.Out(0x20, 0x0b);
  EXPECT_EQ(0x00, pic_.In(0x20));
  pic_.Pulse(3);
  EXPECT_EQ(0x43, pic_.Ack());
}

TEST_F(PicTest, InitialisationWithoutIcw4) {
  pic_.Init(0x20, 0x28, 0x13);
  pic_.Out(0x20, 0x10);
  pic_.Out(0x21, 0x50);
  pic_.Out(0x21, 0x04);
  // The next byte is a mask already.
  pic_.Out(0x21, 0xfe);
  EXPECT_EQ(0xfe, pic_.In(0x21));
  EXPECT_EQ(0, pic_.regs()->chip[0].auto_eoi);
  EXPECT_EQ(0, pic_.regs()->chip[0].special_fully_nested_mode);
}

TEST_F(PicTest, StateRoundTrip) {
  pic_.Out(0x21, 0x40);
  pic_.Pulse(12);
  pic_.Ack();
  pic_.Pulse(1);
  Pic other;
  vlm_pic_regs_load(other.regs(), 0, &pic_.regs()->chip[0]);
  vlm_pic_regs_load(other.regs(), 1, &pic_.regs()->chip[1]);
  EXPECT_EQ(0, memcmp(pic_.regs()->chip, other.regs()->chip, sizeof(kvm_pic_state) * 2));
  EXPECT_EQ(0x21, other.Ack());
}

TEST_F(PicTest, StateIsChecked) {
  kvm_pic_state wild;
  memset(&wild, 0xff, sizeof(wild));
  for (uint32_t nr = 0; nr < 2; nr++) vlm_pic_regs_load(pic_.regs(), nr, &wild);
  EXPECT_EQ(7, pic_.regs()->chip[0].priority_add);
  EXPECT_EQ(3, pic_.regs()->chip[0].init_state);
  EXPECT_EQ(0xf8, pic_.regs()->chip[0].elcr);
  EXPECT_EQ(0xde, pic_.regs()->chip[1].elcr);
}

TEST_F(PicTest, TellsWhatEnded) {
  pic_.Pulse(12);
  pic_.Ack();
  EXPECT_EQ(0, pic_.regs()->ended);
  pic_.Out(0xa0, 0x20);
  EXPECT_EQ(1 << 12, pic_.regs()->ended);
  pic_.Out(0x20, 0x62);
  EXPECT_EQ(1 << 12 | 1 << 2, pic_.regs()->ended);
  Pic automatic;
  automatic.Init(0x20, 0x28, 0x03);
  automatic.Pulse(4);
  automatic.Ack();
  EXPECT_EQ(1 << 4, automatic.regs()->ended);
}

TEST_F(PicTest, LinesOutOfRange) {
  EXPECT_EQ(-1, pic_.Line(16, 1));
  EXPECT_EQ(-1, pic_.Line(2, 1));  // belongs to the slave
  EXPECT_FALSE(pic_.output());
}

}  // namespace
}  // namespace vmm
