// SPDX-License-Identifier: GPL-2.0-or-later
//
// Between the guest's serial port and vmm's standard input and output. CPU threads put bytes in;
// the loop writes them out. Also watches the output for the words of a kernel panic.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/fd.h"
#include "devices/serial.h"
#include "loop/loop.h"
#include "machine/terminal.h"

namespace vmm {

// Notices a fixed text in a stream of bytes.
class TextWatch {
 public:
  explicit TextWatch(std::string text) : text_(std::move(text)) {}
  void Feed(uint8_t byte);
  bool seen() const { return seen_; }

 private:
  std::string text_;
  size_t matched_ = 0;
  bool seen_ = false;
};

class Console {
 public:
  // Output waits this long for more before it is written.
  static constexpr std::chrono::milliseconds kGather{2};
  // CPU threads that produce faster than the reader reads wait at this fill.
  static constexpr size_t kMaxPending = 256 * 1024;

  static Expected<std::unique_ptr<Console>> Create(Loop* loop, int input_fd, int output_fd);

  // From a CPU thread: a byte from the guest.
  void Transmit(uint8_t byte);
  // From a CPU thread: the guest has read all that was waiting.
  void ReceiveDrained() { drained_.Signal(); }
  bool panic_seen();

  // In the loop's thread:
  // Starts forwarding. `quit` is called for Ctrl-a x. With `end_of_input`, the end of standard
  // input is passed on as Ctrl-d.
  void StartOutput();
  void StartInput(Serial* serial, bool end_of_input, std::function<void()> quit);
  // CPU threads do not wait any longer; what they still send is kept.
  void Release();
  // Calls `done` when everything has been written, or nobody takes it.
  void Flush(std::function<void()> done);

 private:
  Console(Loop* loop, int input_fd, int output_fd)
      : loop_(loop), input_fd_(input_fd), output_fd_(output_fd) {}

  void WaitForOutput();
  void WriteSome();
  void WaitForInput();
  void ReadSome();
  void Forward();
  void WaitForDrain();

  Loop* loop_;
  const int input_fd_;
  const int output_fd_;
  EventFd produced_;
  EventFd drained_;

  std::mutex mutex_;  // guards the next five
  std::condition_variable room_;
  std::vector<uint8_t> pending_;
  bool released_ = false;
  TextWatch panic_{"Kernel panic - not syncing"};

  // Loop thread only.
  bool output_broken_ = false;
  size_t in_write_ = 0;
  std::vector<uint8_t> unwritten_;
  std::function<void()> flushed_;
  Serial* serial_ = nullptr;
  bool end_of_input_ = false;
  std::function<void()> quit_;
  EscapeFilter escape_;
  std::vector<uint8_t> typed_;
  bool input_ended_ = false;
  Operation output_wait_{loop_};
  Operation gather_{loop_};
  Operation write_{loop_};
  Operation input_wait_{loop_};
  Operation drain_wait_{loop_};
};

}  // namespace vmm
