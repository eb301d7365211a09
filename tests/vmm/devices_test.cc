// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "bus/bus.h"
#include "devices/cmos.h"
#include "devices/i8042.h"
#include "devices/power.h"
#include "devices/report.h"
#include "devices/serial.h"

namespace vmm {
namespace {

template <typename Device>
uint8_t In(Device* device, uint64_t offset) {
  std::array<uint8_t, 1> byte = {0xee};
  device->Read(offset, byte);
  return byte[0];
}

template <typename Device>
void Out(Device* device, uint64_t offset, uint8_t value) {
  const std::array<uint8_t, 1> byte = {value};
  device->Write(offset, byte);
}

static_assert(BusDevice<Serial> && BusDevice<Cmos> && BusDevice<I8042::DataPort> &&
              BusDevice<I8042::CommandPort> && BusDevice<AcpiPower> && BusDevice<ChipsetReset> &&
              BusDevice<ReportPort>);

class SerialTest : public testing::Test {
 protected:
  void Type(const std::string& text) {
    serial_.Receive({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }

  std::string sent_;
  std::vector<bool> irq_;
  int drained_ = 0;
  Serial serial_{{[this](bool level) { irq_.push_back(level); },
                  [this](uint8_t byte) { sent_ += static_cast<char>(byte); },
                  [this] { ++drained_; }}};
};

TEST_F(SerialTest, Transmits) {
  EXPECT_EQ(In(&serial_, 5), 0x60);
  for (const char c : std::string("hi")) Out(&serial_, 0, static_cast<uint8_t>(c));
  EXPECT_EQ(sent_, "hi");
  EXPECT_EQ(In(&serial_, 5), 0x60);
  EXPECT_TRUE(irq_.empty());
}

TEST_F(SerialTest, TransmitInterrupt) {
  Out(&serial_, 1, 0x02);
  EXPECT_EQ(irq_, (std::vector<bool>{true}));
  EXPECT_EQ(In(&serial_, 2) & 0x0f, 0x02);  // identifies and acknowledges
  EXPECT_EQ(irq_, (std::vector<bool>{true, false}));
  EXPECT_EQ(In(&serial_, 2) & 0x0f, 0x01);
  Out(&serial_, 0, 'a');
  Out(&serial_, 0, 'b');
  EXPECT_EQ(irq_, (std::vector<bool>{true, false, true}));
  Out(&serial_, 1, 0);
  EXPECT_EQ(irq_, (std::vector<bool>{true, false, true, false}));
  Out(&serial_, 1, 0x02);  // enabling it again raises it again
  EXPECT_EQ(In(&serial_, 2) & 0x0f, 0x02);
}

TEST_F(SerialTest, Receives) {
  Out(&serial_, 1, 0x01);
  Type("xy");
  EXPECT_EQ(irq_, (std::vector<bool>{true}));
  EXPECT_EQ(In(&serial_, 2) & 0x0f, 0x04);
  EXPECT_EQ(In(&serial_, 5), 0x61);
  EXPECT_EQ(In(&serial_, 0), 'x');
  EXPECT_EQ(drained_, 0);
  EXPECT_EQ(In(&serial_, 0), 'y');
  EXPECT_EQ(drained_, 1);
  EXPECT_EQ(irq_, (std::vector<bool>{true, false}));
  EXPECT_EQ(In(&serial_, 5), 0x60);
  EXPECT_EQ(In(&serial_, 0), 0);  // nothing there
  EXPECT_EQ(drained_, 1);
}

TEST_F(SerialTest, ReceiveGoesBeforeTransmit) {
  Out(&serial_, 1, 0x03);
  Type("x");
  EXPECT_EQ(In(&serial_, 2) & 0x0f, 0x04);
  In(&serial_, 0);
  EXPECT_EQ(In(&serial_, 2) & 0x0f, 0x02);
  EXPECT_EQ(In(&serial_, 2) & 0x0f, 0x01);
}

TEST_F(SerialTest, ReceiveIsBounded) {
  const std::vector<uint8_t> much(Serial::kReceiveDepth + 5, 'm');
  EXPECT_EQ(serial_.Receive(much), Serial::kReceiveDepth);
  EXPECT_EQ(serial_.Receive(much), 0u);
  Out(&serial_, 2, 0x03);  // clear the receive FIFO
  EXPECT_EQ(In(&serial_, 5), 0x60);
}

TEST_F(SerialTest, LooksLikeA16550A) {
  Out(&serial_, 2, 0x01);
  EXPECT_EQ(In(&serial_, 2) & 0xc0, 0xc0);
  Out(&serial_, 2, 0x00);
  EXPECT_EQ(In(&serial_, 2) & 0xc0, 0x00);
  Out(&serial_, 7, 0x5a);
  EXPECT_EQ(In(&serial_, 7), 0x5a);
  Out(&serial_, 1, 0xff);
  EXPECT_EQ(In(&serial_, 1), 0x0f);
}

TEST_F(SerialTest, DivisorHidesBehindItsLatch) {
  Out(&serial_, 1, 0x05);
  Out(&serial_, 3, 0x83);
  Out(&serial_, 0, 0x34);
  Out(&serial_, 1, 0x12);
  EXPECT_EQ(In(&serial_, 0), 0x34);
  EXPECT_EQ(In(&serial_, 1), 0x12);
  Out(&serial_, 3, 0x03);
  EXPECT_EQ(In(&serial_, 3), 0x03);
  EXPECT_EQ(In(&serial_, 1), 0x05);
  EXPECT_EQ(sent_, "");
}

TEST_F(SerialTest, Loopback) {
  Out(&serial_, 4, 0x1a);  // loop, RTS, OUT2
  EXPECT_EQ(In(&serial_, 6) & 0xf0, 0x90);
  Out(&serial_, 4, 0x15);  // loop, DTR, OUT1
  EXPECT_EQ(In(&serial_, 6) & 0xf0, 0x60);
  Out(&serial_, 0, 'q');
  EXPECT_EQ(In(&serial_, 0), 'q');
  EXPECT_EQ(sent_, "");
  Out(&serial_, 4, 0x0b);
  EXPECT_EQ(In(&serial_, 6), 0xb0);
}

TEST_F(SerialTest, WideAccessesReachConsecutiveRegisters) {
  Out(&serial_, 7, 0x77);
  std::array<uint8_t, 2> word = {};
  serial_.Read(6, word);
  EXPECT_EQ(word[0], 0xb0);
  EXPECT_EQ(word[1], 0x77);
}

class CmosTest : public testing::Test {
 protected:
  uint8_t Get(uint8_t index) {
    Out(&cmos_, 0, index);
    return In(&cmos_, 1);
  }
  void Set(uint8_t index, uint8_t value) {
    Out(&cmos_, 0, index);
    Out(&cmos_, 1, value);
  }
  std::time_t now_ = 1700000000;  // Tue 2023-11-14 22:13:20 UTC
  Cmos cmos_{256u << 20, 1ull << 32, [this] { return now_; }};
};

TEST_F(CmosTest, ShowsTheTimeInBcd) {
  EXPECT_EQ(Get(0x00), 0x20);
  EXPECT_EQ(Get(0x02), 0x13);
  EXPECT_EQ(Get(0x04), 0x22);
  EXPECT_EQ(Get(0x06), 3);
  EXPECT_EQ(Get(0x07), 0x14);
  EXPECT_EQ(Get(0x08), 0x11);
  EXPECT_EQ(Get(0x09), 0x23);
  EXPECT_EQ(Get(0x32), 0x20);
  EXPECT_EQ(Get(0x0a) & 0x80, 0);  // never updating
  EXPECT_EQ(Get(0x0b), 0x02);
  EXPECT_EQ(Get(0x0c), 0);
  EXPECT_EQ(Get(0x0d), 0x80);
  now_ += 41;
  EXPECT_EQ(Get(0x00), 0x01);
  EXPECT_EQ(Get(0x02), 0x14);
}

TEST_F(CmosTest, BinaryAndTwelveHours) {
  Set(0x0b, 0x06);
  EXPECT_EQ(Get(0x04), 22);
  Set(0x0b, 0x04);
  EXPECT_EQ(Get(0x04), 10 | 0x80);
  Set(0x0b, 0x00);
  EXPECT_EQ(Get(0x04), 0x10 | 0x80);
  now_ += 2 * 3600;  // past midnight
  EXPECT_EQ(Get(0x04), 0x12);
}

TEST_F(CmosTest, CanBeSet) {
  Set(0x09, 0x30);
  Set(0x08, 0x02);
  Set(0x07, 0x28);
  Set(0x04, 0x01);
  EXPECT_EQ(Get(0x09), 0x30);
  EXPECT_EQ(Get(0x08), 0x02);
  EXPECT_EQ(Get(0x07), 0x28);
  EXPECT_EQ(Get(0x04), 0x01);
  EXPECT_EQ(Get(0x06), 5);  // 2030-02-28 is a Thursday
  now_ += 24 * 3600;
  EXPECT_EQ(Get(0x08), 0x03);
  EXPECT_EQ(Get(0x07), 0x01);
}

TEST_F(CmosTest, TellsTheMemorySize) {
  EXPECT_EQ(Get(0x15) | Get(0x16) << 8, 640);
  EXPECT_EQ(Get(0x34) | Get(0x35) << 8, (256 - 16) << 4);
  EXPECT_EQ(Get(0x5b) | Get(0x5c) << 8 | Get(0x5d) << 16, 1 << 16);
  EXPECT_EQ(Get(0x30) | Get(0x31) << 8, 0xffff);
}

TEST_F(CmosTest, AnyWriteIsHarmless) {
  for (int index = 0; index < 256; ++index)
    for (const int value : {0, 0x7f, 0x80, 0xff}) {
      Set(static_cast<uint8_t>(index), static_cast<uint8_t>(value));
      for (int other = 0; other < 128; ++other) Get(static_cast<uint8_t>(other));
    }
  EXPECT_EQ(Get(0x0d), 0x80);
}

class I8042Test : public testing::Test {
 protected:
  int resets_ = 0;
  I8042 i8042_{[this] { ++resets_; }};
  I8042::DataPort* data_ = i8042_.data_port();
  I8042::CommandPort* command_ = i8042_.command_port();
};

TEST_F(I8042Test, Resets) {
  Out(command_, 0, 0xfe);
  EXPECT_EQ(resets_, 1);
  Out(command_, 0, 0xff);  // pulses nothing
  Out(command_, 0, 0xaa);
  EXPECT_EQ(resets_, 1);
}

TEST_F(I8042Test, NeverBusyAndAnswersAtOnce) {
  EXPECT_EQ(In(command_, 0) & 0x03, 0);
  Out(command_, 0, 0xaa);
  EXPECT_EQ(In(command_, 0) & 0x03, 1);
  EXPECT_EQ(In(data_, 0), 0x55);
  EXPECT_EQ(In(command_, 0) & 0x03, 0);
  Out(command_, 0, 0x60);
  Out(data_, 0, 0x47);
  Out(command_, 0, 0x20);
  EXPECT_EQ(In(data_, 0), 0x47);
}

TEST_F(I8042Test, NothingIsPluggedIn) {
  Out(data_, 0, 0xf2);  // identify, to the keyboard
  EXPECT_EQ(In(command_, 0) & 0x21, 0x01);
  EXPECT_EQ(In(data_, 0), 0xfe);
  Out(command_, 0, 0xd4);
  Out(data_, 0, 0xf2);  // to the mouse
  EXPECT_EQ(In(command_, 0) & 0x21, 0x21);
  EXPECT_EQ(In(data_, 0), 0xfe);
}

TEST(PowerTest, SleepAndReset) {
  int off = 0, reset = 0;
  AcpiPower power([&] { ++off; }, [&] { ++reset; });
  Out(&power, 0, 5 << 2);         // type without enable
  Out(&power, 0, 0x20 | 1 << 2);  // S1
  EXPECT_EQ(off, 0);
  Out(&power, 0, 0x20 | 5 << 2);
  EXPECT_EQ(off, 1);
  Out(&power, kResetPort - kSleepControlPort, 0x01);
  EXPECT_EQ(reset, 0);
  Out(&power, kResetPort - kSleepControlPort, kResetValue);
  EXPECT_EQ(reset, 1);
  EXPECT_EQ(In(&power, 1), 0);
  ChipsetReset chipset([&] { ++reset; });
  Out(&chipset, 0, 0x02);
  EXPECT_EQ(reset, 1);
  Out(&chipset, 0, 0x06);
  EXPECT_EQ(reset, 2);
}

TEST(ReportPortTest, TakesWholeWordsOnly) {
  std::vector<std::pair<uint32_t, uint32_t>> reports;
  ReportPort port([&](uint32_t kind, uint32_t value) { reports.emplace_back(kind, value); });
  std::array<uint8_t, 4> word = {};
  port.Read(0, word);
  uint32_t magic = 0;
  std::memcpy(&magic, word.data(), 4);
  EXPECT_EQ(magic, VMM_REPORT_MAGIC);
  const uint32_t value = VMM_REPORT(VMM_REPORT_EXITED, 7u);
  std::memcpy(word.data(), &value, 4);
  port.Write(4, word);
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0], (std::pair<uint32_t, uint32_t>{VMM_REPORT_EXITED, 7}));
  port.Write(0, word);
  port.Write(4, std::span<const uint8_t>(word).first(2));
  EXPECT_EQ(reports.size(), 1u);
}

}  // namespace
}  // namespace vmm
