// SPDX-License-Identifier: GPL-2.0-or-later
//
// Move-only owners of kernel resources: a file descriptor, a memory mapping, an eventfd.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace vmm {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void Reset();

 private:
  int fd_ = -1;
};

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    if (this != &other) {
      Reset();
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  ~Mapping() { Reset(); }

  // mmap(2) of `size` bytes; the caller words the error.
  static Mapping Create(size_t size, int prot, int flags, int fd, int64_t offset);

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool valid() const { return data_ != nullptr; }
  std::span<uint8_t> bytes() const { return {data_, size_}; }
  void Reset();

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// A counter that wakes the loop (loop/loop.h); Signal may be called from any thread.
class EventFd {
 public:
  static Expected<EventFd> Create();
  int fd() const { return fd_.get(); }
  void Signal() const;
  void Drain() const;

 private:
  Fd fd_;
};

// A whole regular file, mapped read-only.
class MappedFile {
 public:
  // `kind` is the error kind and `noun` the name of the thing in messages ("kernel").
  static Expected<MappedFile> Open(const std::string& path, ErrorKind kind,
                                   const std::string& noun);
  std::span<const uint8_t> bytes() const { return {mapping_.data(), size_}; }
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
  Mapping mapping_;
  size_t size_ = 0;
};

// Writes everything to a temporary file beside `path`, then renames it into place.
Status WriteFileAtomically(const std::string& path, std::span<const uint8_t> bytes);

}  // namespace vmm
