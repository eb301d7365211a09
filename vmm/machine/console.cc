// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/console.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace vmm {
namespace {

constexpr uint8_t kEndOfTransmission = 0x04;  // Ctrl-d

}  // namespace

void TextWatch::Feed(uint8_t byte) {
  if (seen_) return;
  // The text does not contain its own beginning, so one step back is enough.
  if (byte != static_cast<uint8_t>(text_[matched_])) matched_ = 0;
  if (byte == static_cast<uint8_t>(text_[matched_]) && ++matched_ == text_.size()) seen_ = true;
}

Expected<std::unique_ptr<Console>> Console::Create(Loop* loop, int input_fd, int output_fd) {
  std::unique_ptr<Console> console(new Console(loop, input_fd, output_fd));
  VMM_TRY_ASSIGN(produced, EventFd::Create());
  VMM_TRY_ASSIGN(drained, EventFd::Create());
  console->produced_ = std::move(produced);
  console->drained_ = std::move(drained);
  return console;
}

void Console::Transmit(uint8_t byte) {
  bool first = false;
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [&] { return released_ || pending_.size() < kMaxPending; });
    panic_.Feed(byte);
    first = pending_.empty();
    pending_.push_back(byte);
  }
  if (first) produced_.Signal();
}

bool Console::panic_seen() {
  const std::lock_guard lock(mutex_);
  return panic_.seen();
}

void Console::Release() {
  const std::lock_guard lock(mutex_);
  released_ = true;
  room_.notify_all();
}

void Console::StartOutput() { WaitForOutput(); }

void Console::WaitForOutput() {
  if (output_wait_.in_flight()) return;
  output_wait_.Poll(produced_.fd(), POLLIN, [this](int) {
    produced_.Drain();
    if (!gather_.in_flight()) gather_.Timer(kGather, [this] { WriteSome(); });
    WaitForOutput();
  });
}

void Console::WriteSome() {
  if (write_.in_flight()) return;
  std::vector<uint8_t> bytes = std::move(unwritten_);
  unwritten_.clear();
  if (bytes.empty()) {
    const std::lock_guard lock(mutex_);
    bytes.swap(pending_);
    room_.notify_all();
  }
  if (bytes.empty() || output_broken_) {
    if (flushed_) {
      const auto done = std::move(flushed_);
      flushed_ = nullptr;
      done();
    }
    return;
  }
  std::vector<uint8_t> copy = bytes;
  write_.Write(output_fd_, std::move(copy), [this, bytes = std::move(bytes)](int result) {
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
      output_broken_ = true;  // nobody reads: the guest goes on unheard
    } else {
      const auto written = static_cast<std::ptrdiff_t>(result < 0 ? 0 : result);
      unwritten_.assign(bytes.begin() + written, bytes.end());
    }
    WriteSome();
  });
}

void Console::Flush(std::function<void()> done) {
  flushed_ = std::move(done);
  if (!write_.in_flight()) WriteSome();
}

void Console::StartInput(Serial* serial, bool end_of_input, std::function<void()> quit) {
  if (serial_ != nullptr) return;
  serial_ = serial;
  end_of_input_ = end_of_input;
  quit_ = std::move(quit);
  WaitForDrain();
  WaitForInput();
}

void Console::WaitForInput() {
  if (input_ended_ || !typed_.empty() || input_wait_.in_flight()) return;
  input_wait_.Poll(input_fd_, POLLIN, [this](int result) {
    if (result < 0) {
      input_ended_ = true;
      return;
    }
    ReadSome();
  });
}

void Console::ReadSome() {
  std::array<uint8_t, 1024> buffer;
  const ssize_t count = read(input_fd_, buffer.data(), buffer.size());
  if (count > 0) {
    if (escape_.Filter({buffer.data(), static_cast<size_t>(count)}, &typed_)) {
      quit_();
      return;
    }
  } else if (count == 0 || (errno != EINTR && errno != EAGAIN)) {
    input_ended_ = true;
    if (end_of_input_) typed_.push_back(kEndOfTransmission);
  }
  Forward();
}

void Console::Forward() {
  if (!typed_.empty()) {
    const size_t taken = serial_->Receive(typed_);
    typed_.erase(typed_.begin(), typed_.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  WaitForInput();
}

void Console::WaitForDrain() {
  drain_wait_.Poll(drained_.fd(), POLLIN, [this](int) {
    drained_.Drain();
    Forward();
    WaitForDrain();
  });
}

}  // namespace vmm
