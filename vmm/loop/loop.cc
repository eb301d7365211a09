// SPDX-License-Identifier: GPL-2.0-or-later
#include "loop/loop.h"

#include <fmt/core.h>
#include <poll.h>

#include <cerrno>

namespace vmm {

using internal::OperationState;

Operation::Operation(Loop* loop) : loop_(loop), state_(std::make_shared<OperationState>()) {}

io_uring_sqe* Operation::Begin(std::function<void(int)> done) {
  state_->done = std::move(done);
  state_->in_flight = true;
  io_uring_sqe* sqe = loop_->GetSqe();
  return sqe;
}

void Operation::Poll(int fd, uint32_t events, std::function<void(int)> done) {
  io_uring_sqe* sqe = Begin(std::move(done));
  io_uring_prep_poll_add(sqe, fd, events);
  io_uring_sqe_set_data64(sqe, loop_->Track(state_));
}

void Operation::Write(int fd, std::vector<uint8_t> bytes, std::function<void(int)> done) {
  io_uring_sqe* sqe = Begin(std::move(done));
  state_->buffer = std::move(bytes);
  io_uring_prep_write(sqe, fd, state_->buffer.data(), static_cast<unsigned>(state_->buffer.size()),
                      static_cast<uint64_t>(-1));
  io_uring_sqe_set_data64(sqe, loop_->Track(state_));
}

void Operation::Timer(std::chrono::milliseconds delay, std::function<void()> done) {
  io_uring_sqe* sqe = Begin([done = std::move(done)](int) { done(); });
  state_->timeout.tv_sec = delay.count() / 1000;
  state_->timeout.tv_nsec = delay.count() % 1000 * 1000000;
  io_uring_prep_timeout(sqe, &state_->timeout, 0, 0);
  io_uring_sqe_set_data64(sqe, loop_->Track(state_));
}

void Operation::Cancel() {
  if (!state_->in_flight) return;
  state_->done = nullptr;
  for (const auto& [id, state] : loop_->pending_) {
    if (state != state_) continue;
    io_uring_sqe* sqe = loop_->GetSqe();
    io_uring_prep_cancel64(sqe, id, 0);
    io_uring_sqe_set_data64(sqe, 0);
    break;
  }
  // The old state belongs to the kernel until its completion; go on with a new one.
  state_ = std::make_shared<OperationState>();
}

Expected<std::unique_ptr<Loop>> Loop::Create() {
  std::unique_ptr<Loop> loop(new Loop);
  io_uring_params params = {};
  // The ring has one user and completions are only looked at between callbacks.
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  int result = io_uring_queue_init_params(64, &loop->ring_, &params);
  if (result == -EINVAL) {  // before Linux 6.1
    params = {};
    result = io_uring_queue_init_params(64, &loop->ring_, &params);
  }
  if (result < 0) {
    std::string hint = "free some locked memory: ulimit -l";
    if (result == -EPERM)
      hint =
          "allow it: sysctl kernel.io_uring_disabled=0 (or leave the container's seccomp profile)";
    else if (result == -ENOSYS)
      hint =
          "use a kernel with CONFIG_IO_URING, or allow io_uring in the container's seccomp profile";
    return Fail(ErrorKind::kHost, "cannot create the event loop",
                fmt::format("io_uring_setup: {}", ErrnoText(-result)), hint);
  }
  loop->initialized_ = true;
  return loop;
}

Loop::~Loop() {
  if (!initialized_) return;
  // The buffers of cancelled operations may still be written to: collect their completions.
  std::vector<uint64_t> ids;
  for (auto& [id, state] : pending_) {
    state->done = nullptr;
    ids.push_back(id);
  }
  for (const uint64_t id : ids) {
    io_uring_sqe* sqe = GetSqe();
    io_uring_prep_cancel64(sqe, id, 0);
    io_uring_sqe_set_data64(sqe, 0);
  }
  while (!pending_.empty()) {
    const int result = io_uring_submit_and_wait(&ring_, 1);
    if (result < 0 && result != -EINTR) break;
    Dispatch();
  }
  io_uring_queue_exit(&ring_);
}

io_uring_sqe* Loop::GetSqe() {
  for (;;) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe != nullptr) return sqe;
    io_uring_submit(&ring_);  // a full queue empties into the kernel
  }
}

uint64_t Loop::Track(std::shared_ptr<OperationState> state) {
  const uint64_t id = next_id_++;
  pending_.emplace(id, std::move(state));
  return id;
}

void Loop::Dispatch() {
  io_uring_cqe* cqe = nullptr;
  while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
    const uint64_t id = io_uring_cqe_get_data64(cqe);
    const int result = cqe->res;
    io_uring_cqe_seen(&ring_, cqe);
    const auto found = pending_.find(id);
    if (found == pending_.end()) continue;
    const std::shared_ptr<OperationState> state = std::move(found->second);
    pending_.erase(found);
    state->in_flight = false;
    if (!state->done) continue;
    // The callback may start the next operation on this state.
    const auto done = std::move(state->done);
    state->done = nullptr;
    done(result);
  }
}

Status Loop::Run() {
  stop_ = false;
  while (!stop_) {
    const int result = io_uring_submit_and_wait(&ring_, 1);
    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY)
      return Fail(ErrorKind::kHost, "the event loop broke down",
                  fmt::format("io_uring_enter: {}", ErrnoText(-result)), "report this as a bug");
    Dispatch();
  }
  return {};
}

}  // namespace vmm
