// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

namespace vmm {
namespace {

constexpr uint8_t kEscape = 0x01;  // Ctrl-a

// What the handlers of fatal signals need; set before they are installed.
termios g_saved;
std::atomic<int> g_fd{-1};

void RestoreAndDie(int signal_number) {
  RawTerminal::Restore();
  // The disposition is back at its default (SA_RESETHAND): die of the same signal.
  raise(signal_number);
}

}  // namespace

bool RawTerminal::Enter(int fd) {
  if (!isatty(fd) || tcgetattr(fd, &g_saved) != 0) return false;
  static const bool installed = [] {
    std::atexit(RawTerminal::Restore);
    struct sigaction action = {};
    action.sa_handler = RestoreAndDie;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    for (const int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS})
      sigaction(fatal, &action, nullptr);
    return true;
  }();
  static_cast<void>(installed);
  termios raw = g_saved;
  cfmakeraw(&raw);
  g_fd = fd;
  tcsetattr(fd, TCSANOW, &raw);
  return true;
}

void RawTerminal::Restore() {
  const int fd = g_fd.exchange(-1);
  if (fd >= 0) tcsetattr(fd, TCSANOW, &g_saved);
}

bool EscapeFilter::Filter(std::span<const uint8_t> typed, std::vector<uint8_t>* out) {
  for (const uint8_t byte : typed) {
    if (escaped_) {
      escaped_ = false;
      if (byte == 'x' || byte == 'X') return true;
      if (byte != kEscape) out->push_back(kEscape);
      out->push_back(byte);
    } else if (byte == kEscape) {
      escaped_ = true;
    } else {
      out->push_back(byte);
    }
  }
  return false;
}

}  // namespace vmm
