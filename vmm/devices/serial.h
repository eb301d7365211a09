// SPDX-License-Identifier: GPL-2.0-or-later
//
// A 16550A UART, as far as software can tell. Transmission takes no time; the receive FIFO is
// deeper than the real one so that nothing typed ahead is lost.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>

namespace vmm {

class Serial {
 public:
  static constexpr uint64_t kPortCount = 8;
  static constexpr size_t kReceiveDepth = 4096;

  struct Wiring {
    std::function<void(bool level)> set_irq;     // on a change of the interrupt line
    std::function<void(uint8_t byte)> transmit;  // a byte leaves the guest
    std::function<void()> receive_drained;       // the guest has read the last waiting byte
  };

  explicit Serial(Wiring wiring) : wiring_(std::move(wiring)) {}

  // Bus interface; any thread.
  void Read(uint64_t offset, std::span<uint8_t> data);
  void Write(uint64_t offset, std::span<const uint8_t> data);

  // Bytes arrive on the line; returns how many fitted. Any thread.
  size_t Receive(std::span<const uint8_t> bytes);

 private:
  uint8_t ReadRegister(uint64_t offset, bool* drained);
  void WriteRegister(uint64_t offset, uint8_t value, std::unique_lock<std::mutex>* lock);
  uint8_t InterruptId() const;
  void UpdateIrq();

  Wiring wiring_;
  std::mutex mutex_;  // guards everything below
  std::deque<uint8_t> receive_;
  uint8_t interrupt_enable_ = 0;
  uint8_t fifo_control_ = 0;
  uint8_t line_control_ = 0;
  uint8_t modem_control_ = 0;
  uint8_t scratch_ = 0;
  uint16_t divisor_ = 12;  // 9600 baud
  bool transmit_empty_pending_ = false;
  bool line_ = false;
};

}  // namespace vmm
