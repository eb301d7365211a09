// SPDX-License-Identifier: GPL-2.0-or-later
// How user space gets a running vCPU back: signals, KVM_SET_SIGNAL_MASK, immediate_exit.
#include <csignal>
#include <ctime>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

GUEST_CODE(spin, 64, R"(
0: incq 0x20000
  jmp 0b
)");

GUEST_CODE(one_out, 64, R"(
  mov $7, %eax
  out %al, $0x10
  in $0x20, %al
  mov %al, 0x20000
  hlt
)");

GUEST_CODE(halt, 64, R"(
  hlt
  jmp .
)");

// struct kvm_signal_mask with room for the kernel's set.
struct SignalMask {
  uint32_t len;
  uint32_t set[2];
};

std::atomic<int> handled = 0;

void Handler(int) { handled.fetch_add(1); }

void Install(int signal) {
  struct sigaction action {};
  action.sa_handler = Handler;
  CHECK_OK(sigaction(signal, &action, nullptr));
  handled = 0;
}

// Sends a signal to the thread that made it, again and again: the first may come before that
// thread is in KVM_RUN.
class Sender {
 public:
  explicit Sender(int signal)
      : thread_([this, target = pthread_self(), signal] {
          while (!stop_) {
            usleep(3000);
            pthread_kill(target, signal);
          }
        }) {}
  ~Sender() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

CASE(ImmediateExit) {
  Machine m(spin, Mode::kLong64);
  if (m.vm().Capability(KVM_CAP_IMMEDIATE_EXIT) <= 0) check::Skip("no KVM_CAP_IMMEDIATE_EXIT");
  m.run()->immediate_exit = 1;
  CHECK_EQ(EINTR, m.vcpu().Run());
  CHECK_EQ(0ull, *m.At<uint64_t>(guest::kData));
  CHECK_EQ(guest::kCode, m.vcpu().regs().rip);
}

// With immediate_exit an access in progress is completed, but no instruction follows.
CASE(ImmediateExitCompletesIo) {
  Machine m(one_out, Mode::kLong64);
  CHECK_EQ(7u, m.RunUntilOut(0x10));
  m.run()->immediate_exit = 1;
  CHECK_EQ(EINTR, m.vcpu().Run());
  m.run()->immediate_exit = 0;
  m.vcpu().RunUntil(KVM_EXIT_IO);
  CHECK_EQ(KVM_EXIT_IO_IN, m.run()->io.direction);
  m.vcpu().page()[m.run()->io.data_offset] = 99;
  m.run()->immediate_exit = 1;
  CHECK_EQ(EINTR, m.vcpu().Run());
  CHECK_EQ(99ull, m.vcpu().regs().rax & 0xff);
  CHECK_EQ(0ull, *m.At<uint64_t>(guest::kData));
  m.run()->immediate_exit = 0;
  m.RunUntilHlt();
  CHECK_EQ(99ull, *m.At<uint64_t>(guest::kData));
}

CASE(SignalKicks) {
  Machine m(spin, Mode::kLong64);
  Install(SIGUSR1);
  uint64_t last = 0;
  for (int round = 1; round <= 5; ++round) {
    Sender sender(SIGUSR1);
    CHECK_EQ(EINTR, m.vcpu().Run());
    CHECK_EQ(KVM_EXIT_INTR, m.run()->exit_reason);
    sender.Stop();
    CHECK(handled.load() >= round);
    const uint64_t now = *m.At<uint64_t>(guest::kData);
    CHECK(now > last);
    last = now;
  }
}

CASE(SignalPendingBeforeRun) {
  Machine m(spin, Mode::kLong64);
  Install(SIGUSR1);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, &old));
  SignalMask mask{};
  mask.len = 8;
  // Nothing is blocked while the guest runs.
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_SET_SIGNAL_MASK, &mask));
  pthread_kill(pthread_self(), SIGUSR1);
  CHECK_EQ(EINTR, m.vcpu().Run());
  CHECK_EQ(0, handled.load());
  CHECK_EQ(0ull, *m.At<uint64_t>(guest::kData));
  // It is still pending, as the thread blocks it outside of KVM_RUN.
  const timespec none{};
  CHECK_EQ(SIGUSR1, sigtimedwait(&set, nullptr, &none));

  {
    Sender sender(SIGUSR1);
    CHECK_EQ(EINTR, m.vcpu().Run());
  }
  CHECK_EQ(SIGUSR1, sigtimedwait(&set, nullptr, &none));
  CHECK_EQ(0, handled.load());

  // Without the mask a blocked signal does not end KVM_RUN; one that is not blocked does.
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_SET_SIGNAL_MASK, nullptr));
  Install(SIGUSR2);
  pthread_kill(pthread_self(), SIGUSR1);
  {
    Sender sender(SIGUSR2);
    CHECK_EQ(EINTR, m.vcpu().Run());
  }
  CHECK(handled.load() >= 1);
  CHECK_EQ(SIGUSR1, sigtimedwait(&set, nullptr, &none));
  CHECK_OK(pthread_sigmask(SIG_SETMASK, &old, nullptr));
}

// KVM_RUN unblocks the signal, so the kernel might think that it kills the process.
CASE(SignalWithoutHandlerEndsRunOnly) {
  Machine m(spin, Mode::kLong64);
  signal(SIGUSR1, SIG_DFL);
  sigset_t set, old;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK_OK(pthread_sigmask(SIG_BLOCK, &set, &old));
  SignalMask mask{};
  mask.len = 8;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_SET_SIGNAL_MASK, &mask));
  {
    Sender sender(SIGUSR1);
    CHECK_EQ(EINTR, m.vcpu().Run());
  }
  const timespec none{};
  CHECK_EQ(SIGUSR1, sigtimedwait(&set, nullptr, &none));
  CHECK_OK(pthread_sigmask(SIG_SETMASK, &old, nullptr));
}

CASE(SignalMaskErrors) {
  Machine m(spin, Mode::kLong64);
  SignalMask mask{};
  for (const uint32_t len : {0u, 4u, 16u}) {
    mask.len = len;
    CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vcpu().fd(), KVM_SET_SIGNAL_MASK, &mask));
  }
  CHECK_ERRNO(EFAULT, kvm::Ioctl(m.vcpu().fd(), KVM_SET_SIGNAL_MASK, 1ul));
}

// A vCPU halted in the kernel sleeps; a signal wakes it.
CASE(SignalWakesHalted) {
  Machine m(halt, Mode::kLong64, true);
  Install(SIGUSR1);
  {
    Sender sender(SIGUSR1);
    CHECK_EQ(EINTR, m.vcpu().Run());
  }
  CHECK(handled.load() >= 1);
  kvm_mp_state state{};
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_MP_STATE, &state));
  CHECK_EQ(KVM_MP_STATE_HALTED, state.mp_state);
}

// SIGSTOP and SIGCONT in the middle of KVM_RUN leave no trace for the caller but EINTR.
CASE(StopAndContinue) {
  Machine m(spin, Mode::kLong64);
  Install(SIGUSR1);
  const pid_t helper = fork();
  CHECK(helper >= 0);
  if (helper == 0) {
    for (int i = 0; i < 3; ++i) {
      usleep(2000);
      kill(getppid(), SIGSTOP);
      usleep(2000);
      kill(getppid(), SIGCONT);
    }
    _exit(0);
  }
  Sender sender(SIGUSR1);
  while (waitpid(helper, nullptr, WNOHANG) == 0) CHECK_EQ(EINTR, m.vcpu().Run());
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
