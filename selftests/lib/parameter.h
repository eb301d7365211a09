// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "lib/check.h"
#include "lib/kvm.h"

namespace kvm {

// A parameter of the module; the destructor puts the old value back.
class Parameter {
 public:
  Parameter(const std::string& name, const std::string& value)
      : path_(std::string("/sys/module/") + (IsVellum() ? "vellum" : "kvm") + "/parameters/" +
              name),
        before_(Read()) {
    Write(value);
  }
  ~Parameter() { Put(before_); }
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  // The errno, or 0.
  int Put(const std::string& value) const {
    const Fd fd(open(path_.c_str(), O_WRONLY));
    if (fd.get() < 0) return errno;
    return write(fd.get(), value.data(), value.size()) < 0 ? errno : 0;
  }
  void Write(const std::string& value) const { CHECK_EQ(0, Put(value)); }
  std::string Read() const {
    char text[32] = "";
    const Fd fd(open(path_.c_str(), O_RDONLY));
    CHECK(fd.get() >= 0);
    const ssize_t n = read(fd.get(), text, sizeof(text) - 1);
    CHECK(n >= 0);
    return std::string(text, static_cast<size_t>(n));
  }

 private:
  std::string path_;
  std::string before_;
};

}  // namespace kvm
