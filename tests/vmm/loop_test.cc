// SPDX-License-Identifier: GPL-2.0-or-later
#include "loop/loop.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace vmm {
namespace {

using std::chrono::milliseconds;

class LoopTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loop = Loop::Create();
    if (!loop) GTEST_SKIP() << loop.error().why << "; " << loop.error().hint;
    loop_ = std::move(*loop);
    ASSERT_EQ(pipe(pipe_.data()), 0);
  }
  void TearDown() override {
    for (const int fd : pipe_)
      if (fd > 0) close(fd);
  }

  std::unique_ptr<Loop> loop_;
  std::array<int, 2> pipe_ = {};
};

TEST_F(LoopTest, TimersInOrder) {
  Operation slow(loop_.get()), fast(loop_.get());
  std::string order;
  slow.Timer(milliseconds(30), [&] {
    order += 's';
    loop_->Stop();
  });
  fast.Timer(milliseconds(5), [&] { order += 'f'; });
  ASSERT_TRUE(loop_->Run());
  EXPECT_EQ(order, "fs");
}

TEST_F(LoopTest, PollAndWrite) {
  Operation wait(loop_.get()), write_operation(loop_.get());
  std::string got;
  wait.Poll(pipe_[0], POLLIN, [&](int events) {
    EXPECT_GT(events, 0);
    char buffer[16];
    got.assign(buffer, static_cast<size_t>(read(pipe_[0], buffer, sizeof(buffer))));
    loop_->Stop();
  });
  int written = 0;
  write_operation.Write(pipe_[1], {'a', 'b', 'c'}, [&](int result) { written = result; });
  EXPECT_TRUE(wait.in_flight());
  ASSERT_TRUE(loop_->Run());
  EXPECT_FALSE(wait.in_flight());
  EXPECT_EQ(got, "abc");
  EXPECT_EQ(written, 3);
}

TEST_F(LoopTest, WriteToAClosedPipeReportsIt) {
  signal(SIGPIPE, SIG_IGN);
  close(pipe_[0]);
  pipe_[0] = 0;
  Operation write_operation(loop_.get());
  int result = 0;
  write_operation.Write(pipe_[1], {1}, [&](int r) {
    result = r;
    loop_->Stop();
  });
  ASSERT_TRUE(loop_->Run());
  EXPECT_EQ(result, -EPIPE);
}

TEST_F(LoopTest, DestructionCancels) {
  bool called = false;
  {
    Operation wait(loop_.get());
    wait.Poll(pipe_[0], POLLIN, [&](int) { called = true; });
    Operation timer(loop_.get());
    timer.Timer(milliseconds(1), [&] { called = true; });
  }
  ASSERT_EQ(write(pipe_[1], "x", 1), 1);
  Operation end(loop_.get());
  end.Timer(milliseconds(20), [&] { loop_->Stop(); });
  ASSERT_TRUE(loop_->Run());
  EXPECT_FALSE(called);
}

TEST_F(LoopTest, RestartFromTheCallback) {
  Operation timer(loop_.get());
  int count = 0;
  std::function<void()> again = [&] {
    if (++count == 5)
      loop_->Stop();
    else
      timer.Timer(milliseconds(1), again);
  };
  timer.Timer(milliseconds(1), again);
  ASSERT_TRUE(loop_->Run());
  EXPECT_EQ(count, 5);
}

TEST_F(LoopTest, OwnerMayDieInItsCallback) {
  auto timer = std::make_unique<Operation>(loop_.get());
  timer->Timer(milliseconds(1), [&] {
    timer.reset();
    loop_->Stop();
  });
  ASSERT_TRUE(loop_->Run());
  EXPECT_EQ(timer, nullptr);
}

TEST_F(LoopTest, BuffersOutliveTheOperation) {
  // The pipe is full, so the kernel holds on to the buffer after its owner is gone.
  std::vector<uint8_t> much(1 << 20, 'm');
  {
    Operation write_operation(loop_.get());
    write_operation.Write(pipe_[1], std::move(much), [](int) {});
    Operation end(loop_.get());
    end.Timer(milliseconds(10), [&] { loop_->Stop(); });
    ASSERT_TRUE(loop_->Run());
  }
  loop_.reset();  // waits for the kernel to let go
}

TEST_F(LoopTest, ManyOperationsAtOnce) {
  std::vector<std::unique_ptr<Operation>> timers;
  int done = 0;
  for (int i = 0; i < 500; ++i) {
    timers.push_back(std::make_unique<Operation>(loop_.get()));
    timers.back()->Timer(milliseconds(1), [&] {
      if (++done == 500) loop_->Stop();
    });
  }
  ASSERT_TRUE(loop_->Run());
  EXPECT_EQ(done, 500);
}

TEST_F(LoopTest, EventFdFromAnotherThread) {
  auto event = EventFd::Create();
  ASSERT_TRUE(event);
  Operation wait(loop_.get());
  int woken = 0;
  wait.Poll(event->fd(), POLLIN, [&](int) {
    event->Drain();
    ++woken;
    loop_->Stop();
  });
  std::thread thread([&] { event->Signal(); });
  ASSERT_TRUE(loop_->Run());
  thread.join();
  EXPECT_EQ(woken, 1);
}

}  // namespace
}  // namespace vmm
