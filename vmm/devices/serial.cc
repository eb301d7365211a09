// SPDX-License-Identifier: GPL-2.0-or-later
#include "devices/serial.h"

namespace vmm {
namespace {

enum Register : uint64_t {
  kData = 0,
  kInterruptEnable = 1,
  kInterruptIdAndFifo = 2,
  kLineControl = 3,
  kModemControl = 4,
  kLineStatus = 5,
  kModemStatus = 6,
  kScratch = 7,
};

constexpr uint8_t kEnableReceive = 0x01;
constexpr uint8_t kEnableTransmit = 0x02;
constexpr uint8_t kIdNone = 0x01;
constexpr uint8_t kIdTransmit = 0x02;
constexpr uint8_t kIdReceive = 0x04;
constexpr uint8_t kIdFifosOn = 0xc0;
constexpr uint8_t kFifoEnable = 0x01;
constexpr uint8_t kFifoClearReceive = 0x02;
constexpr uint8_t kDivisorLatch = 0x80;
constexpr uint8_t kModemLoop = 0x10;
constexpr uint8_t kStatusDataReady = 0x01;
constexpr uint8_t kStatusTransmitIdle = 0x60;  // holding and shift register empty
constexpr uint8_t kModemLinesUp = 0xb0;        // DCD, DSR, CTS

}  // namespace

void Serial::Read(uint64_t offset, std::span<uint8_t> data) {
  bool drained = false;
  {
    std::unique_lock lock(mutex_);
    // Wider accesses reach consecutive registers, as on an 8-bit bus.
    for (size_t i = 0; i < data.size(); ++i) data[i] = ReadRegister(offset + i, &drained);
    UpdateIrq();
  }
  if (drained && wiring_.receive_drained) wiring_.receive_drained();
}

void Serial::Write(uint64_t offset, std::span<const uint8_t> data) {
  std::unique_lock lock(mutex_);
  for (size_t i = 0; i < data.size(); ++i) WriteRegister(offset + i, data[i], &lock);
  UpdateIrq();
}

size_t Serial::Receive(std::span<const uint8_t> bytes) {
  std::unique_lock lock(mutex_);
  const size_t room = kReceiveDepth - receive_.size();
  const size_t count = bytes.size() < room ? bytes.size() : room;
  receive_.insert(receive_.end(), bytes.begin(),
                  bytes.begin() + static_cast<std::ptrdiff_t>(count));
  UpdateIrq();
  return count;
}

uint8_t Serial::ReadRegister(uint64_t offset, bool* drained) {
  switch (offset) {
    case kData: {
      if (line_control_ & kDivisorLatch) return static_cast<uint8_t>(divisor_);
      if (receive_.empty()) return 0;
      const uint8_t byte = receive_.front();
      receive_.pop_front();
      if (receive_.empty()) *drained = true;
      return byte;
    }
    case kInterruptEnable:
      if (line_control_ & kDivisorLatch) return static_cast<uint8_t>(divisor_ >> 8);
      return interrupt_enable_;
    case kInterruptIdAndFifo: {
      const uint8_t id = InterruptId();
      if (id == kIdTransmit) transmit_empty_pending_ = false;  // reading acknowledges it
      return static_cast<uint8_t>(id | ((fifo_control_ & kFifoEnable) ? kIdFifosOn : 0));
    }
    case kLineControl:
      return line_control_;
    case kModemControl:
      return modem_control_;
    case kLineStatus:
      return static_cast<uint8_t>(kStatusTransmitIdle | (receive_.empty() ? 0 : kStatusDataReady));
    case kModemStatus:
      if (modem_control_ & kModemLoop)  // DTR->DSR, RTS->CTS, OUT1->RI, OUT2->DCD
        return static_cast<uint8_t>(((modem_control_ & 0x01) << 5) |
                                    ((modem_control_ & 0x02) << 3) |
                                    ((modem_control_ & 0x0c) << 4));
      return kModemLinesUp;
    case kScratch:
      return scratch_;
    default:
      return 0xff;
  }
}

void Serial::WriteRegister(uint64_t offset, uint8_t value, std::unique_lock<std::mutex>* lock) {
  switch (offset) {
    case kData:
      if (line_control_ & kDivisorLatch) {
        divisor_ = static_cast<uint16_t>((divisor_ & 0xff00) | value);
        break;
      }
      transmit_empty_pending_ = true;  // gone at once, and empty again
      if (modem_control_ & kModemLoop) {
        if (receive_.size() < kReceiveDepth) receive_.push_back(value);
      } else if (wiring_.transmit) {
        // The receiver may wait for room; the registers stay usable meanwhile.
        lock->unlock();
        wiring_.transmit(value);
        lock->lock();
      }
      break;
    case kInterruptEnable:
      if (line_control_ & kDivisorLatch) {
        divisor_ = static_cast<uint16_t>((divisor_ & 0x00ff) | (value << 8));
        break;
      }
      // Enabling the transmit interrupt while the transmitter is empty raises it.
      if ((value & kEnableTransmit) && !(interrupt_enable_ & kEnableTransmit))
        transmit_empty_pending_ = true;
      interrupt_enable_ = value & 0x0f;
      break;
    case kInterruptIdAndFifo:
      if (value & kFifoClearReceive) receive_.clear();
      fifo_control_ = value & kFifoEnable;
      break;
    case kLineControl:
      line_control_ = value;
      break;
    case kModemControl:
      modem_control_ = value & 0x1f;
      break;
    case kScratch:
      scratch_ = value;
      break;
    default:
      break;  // the status registers are read-only
  }
}

uint8_t Serial::InterruptId() const {
  if ((interrupt_enable_ & kEnableReceive) && !receive_.empty()) return kIdReceive;
  if ((interrupt_enable_ & kEnableTransmit) && transmit_empty_pending_) return kIdTransmit;
  return kIdNone;
}

void Serial::UpdateIrq() {
  const bool level = InterruptId() != kIdNone;
  if (level == line_) return;
  line_ = level;
  if (wiring_.set_irq) wiring_.set_irq(level);
}

}  // namespace vmm
