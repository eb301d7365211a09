// SPDX-License-Identifier: GPL-2.0-or-later
#include "devices/i8042.h"

#include <algorithm>

namespace vmm {
namespace {

constexpr uint8_t kStatusOutputFull = 0x01;
constexpr uint8_t kStatusMouseOutput = 0x20;
constexpr uint8_t kResend = 0xfe;  // what a line without a device amounts to

}  // namespace

void I8042::DataPort::Read(uint64_t, std::span<uint8_t> data) {
  const std::lock_guard lock(owner->mutex_);
  std::fill(data.begin(), data.end(), owner->output_);
  owner->status_ &= static_cast<uint8_t>(~(kStatusOutputFull | kStatusMouseOutput));
}

void I8042::DataPort::Write(uint64_t, std::span<const uint8_t> data) {
  const std::lock_guard lock(owner->mutex_);
  owner->Data(data[0]);
}

void I8042::CommandPort::Read(uint64_t, std::span<uint8_t> data) {
  const std::lock_guard lock(owner->mutex_);
  std::fill(data.begin(), data.end(), owner->status_);
}

void I8042::CommandPort::Write(uint64_t, std::span<const uint8_t> data) {
  // Bit 0 of the output port, which pulses 0xf0..0xff drive, is the reset line.
  if (data[0] >= 0xf0 && !(data[0] & 1)) {
    if (owner->reset_) owner->reset_();
    return;
  }
  const std::lock_guard lock(owner->mutex_);
  owner->Command(data[0]);
}

void I8042::Answer(uint8_t value, bool from_mouse) {
  output_ = value;
  status_ =
      static_cast<uint8_t>(status_ | kStatusOutputFull | (from_mouse ? kStatusMouseOutput : 0));
}

void I8042::Command(uint8_t command) {
  pending_command_ = 0;
  switch (command) {
    case 0x20:
      Answer(config_);
      break;
    case 0xa7:
      config_ |= 0x20;
      break;  // mouse off
    case 0xa8:
      config_ = static_cast<uint8_t>(config_ & ~0x20);
      break;  // mouse on
    case 0xa9:
      Answer(0x01);
      break;  // mouse line stuck low: absent
    case 0xaa:
      Answer(0x55);
      break;  // self test passed
    case 0xab:
      Answer(0x00);
      break;  // keyboard line is good
    case 0xad:
      config_ |= 0x10;
      break;  // keyboard off
    case 0xae:
      config_ = static_cast<uint8_t>(config_ & ~0x10);
      break;  // keyboard on
    case 0xd0:
      Answer(0x01);
      break;  // output port: not in reset
    case 0x60:
    case 0xd1:
    case 0xd2:
    case 0xd3:
    case 0xd4:
      pending_command_ = command;
      break;
    default:
      break;
  }
}

void I8042::Data(uint8_t value) {
  const uint8_t command = pending_command_;
  pending_command_ = 0;
  switch (command) {
    case 0x60:
      config_ = value;
      break;
    case 0xd1:
      break;  // the A20 gate is always open
    case 0xd2:
      Answer(value);
      break;
    case 0xd3:
      Answer(value, true);
      break;
    case 0xd4:
      Answer(kResend, true);
      break;  // no mouse answers
    default:
      Answer(kResend);
      break;  // no keyboard answers
  }
}

}  // namespace vmm
