// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/console.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <map>
#include <new>
#include <thread>

#include "machine/outcome.h"
#include "machine/vcpu_thread.h"

namespace vmm {
namespace {

std::string Filter(EscapeFilter* filter, const std::string& typed, bool* quit) {
  std::vector<uint8_t> out;
  *quit = filter->Filter({reinterpret_cast<const uint8_t*>(typed.data()), typed.size()}, &out);
  return std::string(out.begin(), out.end());
}

TEST(EscapeFilterTest, FindsTheEscape) {
  EscapeFilter filter;
  bool quit = false;
  EXPECT_EQ(Filter(&filter, "abc", &quit), "abc");
  EXPECT_EQ(Filter(&filter,
                   "a\x01\x01"
                   "b",
                   &quit),
            "a\x01"
            "b");
  EXPECT_EQ(Filter(&filter, "\x01", &quit), "");
  EXPECT_FALSE(quit);
  EXPECT_EQ(Filter(&filter, "c", &quit),
            "\x01"
            "c");
  EXPECT_EQ(Filter(&filter, "\x03\x04", &quit), "\x03\x04");  // the guest's business
  EXPECT_FALSE(quit);
  EXPECT_EQ(Filter(&filter, "d\x01", &quit), "d");
  Filter(&filter, "x", &quit);
  EXPECT_TRUE(quit);
}

TEST(TextWatchTest, SeesTheTextAcrossNoise) {
  TextWatch watch("Kernel panic");
  for (const char c : std::string("KKernel pKernel pani")) watch.Feed(static_cast<uint8_t>(c));
  EXPECT_FALSE(watch.seen());
  for (const char c : std::string("Kernel panic - x")) watch.Feed(static_cast<uint8_t>(c));
  EXPECT_TRUE(watch.seen());
}

TEST(RawTerminalTest, RestoresOnEveryWayOut) {
  int master = -1, slave = -1;
  ASSERT_EQ(openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
  termios before = {}, during = {}, after = {};
  tcgetattr(slave, &before);
  const auto same = [](const termios& a, const termios& b) {
    return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_lflag == b.c_lflag;
  };
  {
    RawTerminal terminal;
    EXPECT_TRUE(terminal.Enter(slave));
    tcgetattr(slave, &during);
    EXPECT_EQ(during.c_lflag & (ICANON | ECHO | ISIG), 0u);
  }
  tcgetattr(slave, &after);
  EXPECT_TRUE(same(before, after));

  for (const int fatal : {0, SIGABRT, SIGSEGV}) {
    const pid_t child = fork();
    if (child == 0) {
      alignas(RawTerminal) static char storage[sizeof(RawTerminal)];
      auto* terminal = new (storage) RawTerminal;  // never destroyed
      terminal->Enter(slave);
      if (fatal == 0) exit(0);
      raise(fatal);
      _exit(99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (fatal != 0) {
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == fatal) << fatal;
    }
    tcgetattr(slave, &after);
    EXPECT_TRUE(same(before, after)) << fatal;
  }
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  RawTerminal none;
  EXPECT_FALSE(none.Enter(pipe_fds[0]));
  for (const int fd : {master, slave, pipe_fds[0], pipe_fds[1]}) close(fd);
}

class ConsoleTest : public testing::Test {
 protected:
  void SetUp() override {
    auto loop = Loop::Create();
    if (!loop) GTEST_SKIP() << loop.error().why;
    loop_ = std::move(*loop);
    ASSERT_EQ(pipe(in_), 0);
    ASSERT_EQ(pipe(out_), 0);
    auto console = Console::Create(loop_.get(), in_[0], out_[1]);
    ASSERT_TRUE(console);
    console_ = std::move(*console);
    serial_ =
        std::make_unique<Serial>(Serial::Wiring{{}, {}, [this] { console_->ReceiveDrained(); }});
  }
  void TearDown() override {
    console_.reset();
    for (const int fd : {in_[0], in_[1], out_[0], out_[1]})
      if (fd >= 0) close(fd);
  }
  void RunFor(int ms) {
    Operation end(loop_.get());
    end.Timer(std::chrono::milliseconds(ms), [this] { loop_->Stop(); });
    ASSERT_TRUE(loop_->Run());
  }
  std::string ReadOutput(size_t size) {
    std::string text(size, '\0');
    const ssize_t got = read(out_[0], text.data(), size);
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return text;
  }
  std::string Received() {
    std::string text;
    std::array<uint8_t, 1> byte;
    for (;;) {
      serial_->Read(5, byte);
      if (!(byte[0] & 1)) return text;
      serial_->Read(0, byte);
      text += static_cast<char>(byte[0]);
    }
  }

  std::unique_ptr<Loop> loop_;
  int in_[2] = {-1, -1};
  int out_[2] = {-1, -1};
  std::unique_ptr<Console> console_;
  std::unique_ptr<Serial> serial_;
};

TEST_F(ConsoleTest, WritesWhatAThreadSends) {
  console_->StartOutput();
  std::thread guest([this] {
    for (const char c : std::string("hello\nKernel panic - not syncing\n"))
      console_->Transmit(static_cast<uint8_t>(c));
  });
  guest.join();
  RunFor(50);
  EXPECT_EQ(ReadOutput(100), "hello\nKernel panic - not syncing\n");
  EXPECT_TRUE(console_->panic_seen());
}

TEST_F(ConsoleTest, SlowReaderHoldsTheGuestBackAndLosesNothing) {
  console_->StartOutput();
  constexpr size_t kTotal = Console::kMaxPending * 2;
  std::thread guest([this] {
    for (size_t i = 0; i < kTotal; ++i) console_->Transmit(static_cast<uint8_t>(i * 31 / 7));
  });
  std::string all;
  std::thread reader([&] {
    char buffer[4096];
    while (all.size() < kTotal) {
      const ssize_t got = read(out_[0], buffer, sizeof(buffer));
      if (got <= 0) break;
      all.append(buffer, static_cast<size_t>(got));
    }
  });
  auto ended = EventFd::Create();
  ASSERT_TRUE(ended);
  std::thread watcher([&] {
    guest.join();
    reader.join();
    ended->Signal();
  });
  Operation done(loop_.get());
  done.Poll(ended->fd(), POLLIN, [&](int) { loop_->Stop(); });
  ASSERT_TRUE(loop_->Run());
  watcher.join();
  ASSERT_EQ(all.size(), kTotal);
  for (size_t i = 0; i < kTotal; i += 997)
    ASSERT_EQ(static_cast<uint8_t>(all[i]), static_cast<uint8_t>(i * 31 / 7)) << i;
}

TEST_F(ConsoleTest, ReleaseFreesAWaitingGuest) {
  std::thread guest([this] {
    for (size_t i = 0; i < Console::kMaxPending + 10; ++i) console_->Transmit('x');
  });
  console_->Release();
  guest.join();
}

TEST_F(ConsoleTest, FlushEndsWithABrokenReader) {
  signal(SIGPIPE, SIG_IGN);
  close(out_[0]);
  out_[0] = -1;
  console_->StartOutput();
  for (int i = 0; i < 100; ++i) console_->Transmit('x');
  bool flushed = false;
  console_->Flush([&] {
    flushed = true;
    loop_->Stop();
  });
  ASSERT_TRUE(loop_->Run());
  EXPECT_TRUE(flushed);
}

TEST_F(ConsoleTest, ForwardsInputAndItsEnd) {
  bool quit = false;
  console_->StartInput(serial_.get(), true, [&] { quit = true; });
  ASSERT_EQ(write(in_[1], "typed", 5), 5);
  RunFor(30);
  EXPECT_EQ(Received(), "typed");
  close(in_[1]);
  in_[1] = -1;
  RunFor(30);
  EXPECT_EQ(Received(), "\x04");
  EXPECT_FALSE(quit);
}

TEST_F(ConsoleTest, LongInputArrivesWhole) {
  console_->StartInput(serial_.get(), false, [] {});
  std::string sent;
  for (size_t i = 0; i < Serial::kReceiveDepth * 3; ++i) sent += static_cast<char>('a' + i % 23);
  ASSERT_EQ(write(in_[1], sent.data(), sent.size()), static_cast<ssize_t>(sent.size()));
  std::string got;
  for (int i = 0; i < 20 && got.size() < sent.size(); ++i) {
    RunFor(20);
    got += Received();
  }
  EXPECT_EQ(got, sent);
}

TEST_F(ConsoleTest, QuitKey) {
  console_->StartInput(serial_.get(), false, [this] { loop_->Stop(); });
  ASSERT_EQ(write(in_[1], "a\x01x", 3), 3);
  ASSERT_TRUE(loop_->Run());
}

TEST(OutcomeTest, StatusesAreDistinct) {
  std::map<int, int> seen;
  for (const auto kind :
       {ErrorKind::kUsage, ErrorKind::kHost, ErrorKind::kNoDevice, ErrorKind::kPermission,
        ErrorKind::kBusy, ErrorKind::kCapability, ErrorKind::kKernel, ErrorKind::kMemory,
        ErrorKind::kInitrd, ErrorKind::kCommand, ErrorKind::kNotFound})
    EXPECT_EQ(++seen[ExitStatusOf(kind)], 1);
  for (const auto kind :
       {OutcomeKind::kPowerOff, OutcomeKind::kReset, OutcomeKind::kPanic, OutcomeKind::kTripleFault,
        OutcomeKind::kVmFailure, OutcomeKind::kTimeout, OutcomeKind::kQuit})
    EXPECT_EQ(++seen[ExitStatusOf(Outcome{kind, 0, {}})], 1) << OutcomeName(kind);
  EXPECT_EQ(ExitStatusOf(Outcome{OutcomeKind::kCommand, 7, {}}), 7);
  EXPECT_EQ(ExitStatusOf(Outcome{OutcomeKind::kCommandSignal, SIGKILL, {}}), 137);
  EXPECT_EQ(ExitStatusOf(Outcome{OutcomeKind::kCommandNoExec, ENOENT, {}}), 127);
  EXPECT_EQ(ExitStatusOf(Outcome{OutcomeKind::kCommandNoExec, ENOEXEC, {}}), 126);
  EXPECT_EQ(ExitStatusOf(Outcome{OutcomeKind::kSignal, SIGTERM, {}}), 143);
}

TEST(DescribeExitTest, NamesTheReason) {
  kvm_run run = {};
  run.exit_reason = KVM_EXIT_FAIL_ENTRY;
  run.fail_entry.hardware_entry_failure_reason = 0x80000021;
  EXPECT_NE(DescribeExit(run).find("0x80000021"), std::string::npos);
  run = {};
  run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
  run.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
  run.internal.ndata = 0xffffffff;  // bounded by the array
  EXPECT_NE(DescribeExit(run).find("emulated"), std::string::npos);
  run.exit_reason = 999;
  EXPECT_NE(DescribeExit(run).find("999"), std::string::npos);
}

}  // namespace
}  // namespace vmm
