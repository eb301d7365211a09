// SPDX-License-Identifier: GPL-2.0-or-later
//
// The keyboard controller, with nothing plugged in. Guests use it to reset the machine (command
// 0xfe); drivers that probe it get their answers at once and find no keyboard and no mouse.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>

namespace vmm {

class I8042 {
 public:
  static constexpr uint64_t kDataPort = 0x60;
  static constexpr uint64_t kCommandPort = 0x64;

  explicit I8042(std::function<void()> reset) : reset_(std::move(reset)) {}

  // Two one-byte windows of the same device, for the bus.
  struct DataPort {
    I8042* owner;
    void Read(uint64_t offset, std::span<uint8_t> data);
    void Write(uint64_t offset, std::span<const uint8_t> data);
  };
  struct CommandPort {
    I8042* owner;
    void Read(uint64_t offset, std::span<uint8_t> data);
    void Write(uint64_t offset, std::span<const uint8_t> data);
  };
  DataPort* data_port() { return &data_port_; }
  CommandPort* command_port() { return &command_port_; }

 private:
  void Command(uint8_t command);
  void Data(uint8_t value);
  void Answer(uint8_t value, bool from_mouse = false);

  std::function<void()> reset_;
  DataPort data_port_{this};
  CommandPort command_port_{this};
  std::mutex mutex_;       // guards everything below
  uint8_t config_ = 0x70;  // both ports off, translation on, interrupts off
  uint8_t output_ = 0;
  uint8_t status_ = 0x14;        // system flag, keyboard not locked
  uint8_t pending_command_ = 0;  // waits for its data byte
};

}  // namespace vmm
