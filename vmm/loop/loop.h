// SPDX-License-Identifier: GPL-2.0-or-later
//
// The event loop: one io_uring, driven by one thread. An operation is a member object of whoever
// wants it; destroying the object cancels it. What the kernel may still touch (the buffer, the
// timeout value) lives in a state block that outlives the object until the completion has come.
//
// Only the thread in Run() touches the ring. Other threads signal an EventFd.
#pragma once

#include <liburing.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vmm {

class Loop;

namespace internal {
struct OperationState {
  std::function<void(int result)> done;  // empty once the owner is gone
  bool in_flight = false;
  std::vector<uint8_t> buffer;     // of a write
  __kernel_timespec timeout = {};  // of a timer
};
}  // namespace internal

// One operation at a time; Start again from the completion to repeat.
class Operation {
 public:
  explicit Operation(Loop* loop);
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() { Cancel(); }

  bool in_flight() const { return state_->in_flight; }

  // Each takes a callback that gets the CQE's result: bytes or events, or a negative errno.
  // None may be called while in flight.
  void Poll(int fd, uint32_t events, std::function<void(int)> done);
  void Write(int fd, std::vector<uint8_t> bytes, std::function<void(int)> done);
  void Timer(std::chrono::milliseconds delay, std::function<void()> done);

  // The callback will not be called any more.
  void Cancel();

 private:
  io_uring_sqe* Begin(std::function<void(int)> done);

  Loop* loop_;
  std::shared_ptr<internal::OperationState> state_;
};

class Loop {
 public:
  // Fails with a reason and a remedy where io_uring is switched off.
  static Expected<std::unique_ptr<Loop>> Create();
  ~Loop();

  // Runs callbacks until Stop is called from one of them.
  Status Run();
  void Stop() { stop_ = true; }

 private:
  friend class Operation;
  Loop() = default;

  io_uring_sqe* GetSqe();
  uint64_t Track(std::shared_ptr<internal::OperationState> state);
  void Dispatch();

  io_uring ring_ = {};
  bool initialized_ = false;
  bool stop_ = false;
  uint64_t next_id_ = 1;  // 0 marks completions nobody waits for
  std::unordered_map<uint64_t, std::shared_ptr<internal::OperationState>> pending_;
};

}  // namespace vmm
