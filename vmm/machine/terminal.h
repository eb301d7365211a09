// SPDX-License-Identifier: GPL-2.0-or-later
//
// The person's terminal in raw mode, and back. It is restored however the process ends, short of
// SIGKILL: by the destructor, at exit(), and by the handlers of fatal signals.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vmm {

class RawTerminal {
 public:
  RawTerminal() = default;
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() { Restore(); }

  // Switches `fd` to raw mode if it is a terminal, and says whether it was.
  bool Enter(int fd);
  static void Restore();
};

// Finds the escape sequences in what is typed: Ctrl-a x quits, Ctrl-a Ctrl-a sends one Ctrl-a.
class EscapeFilter {
 public:
  // Appends to `out` what the guest is to get; true when the person wants to quit.
  bool Filter(std::span<const uint8_t> typed, std::vector<uint8_t>* out);

 private:
  bool escaped_ = false;
};

}  // namespace vmm
