// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/fd.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace vmm {

void Fd::Reset() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

Mapping Mapping::Create(size_t size, int prot, int flags, int fd, int64_t offset) {
  Mapping mapping;
  void* address = mmap(nullptr, size, prot, flags, fd, offset);
  if (address != MAP_FAILED) {
    mapping.data_ = static_cast<uint8_t*>(address);
    mapping.size_ = size;
  }
  return mapping;
}

void Mapping::Reset() {
  if (data_ != nullptr) munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

Expected<EventFd> EventFd::Create() {
  EventFd event;
  event.fd_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event.fd_.valid())
    return Fail(ErrorKind::kHost, "cannot create an eventfd", ErrnoText(errno),
                "raise the limit of open files: ulimit -n 1024");
  return event;
}

void EventFd::Signal() const {
  const uint64_t one = 1;
  // A full counter already means "signalled".
  [[maybe_unused]] ssize_t written = write(fd_.get(), &one, sizeof(one));
}

void EventFd::Drain() const {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t got = read(fd_.get(), &count, sizeof(count));
}

Expected<MappedFile> MappedFile::Open(const std::string& path, ErrorKind kind,
                                      const std::string& noun) {
  MappedFile file;
  const std::string what = fmt::format("cannot read the {} {}", noun, path);
  file.fd_ = Fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.fd_.valid()) {
    const int error_number = errno;
    return Fail(kind, what, ErrnoText(error_number),
                error_number == EACCES ? fmt::format("make it readable: chmod a+r {}", path)
                                       : "check the path and spelling");
  }
  struct stat st = {};
  if (fstat(file.fd_.get(), &st) != 0)
    return Fail(kind, what, ErrnoText(errno), "check the file system");
  if (!S_ISREG(st.st_mode))
    return Fail(kind, what, "it is not a regular file", "name a file, not a directory or device");
  if (st.st_size == 0) return Fail(kind, what, "the file is empty", "copy or download it again");
  file.size_ = static_cast<size_t>(st.st_size);
  file.mapping_ = Mapping::Create(file.size_, PROT_READ, MAP_PRIVATE, file.fd_.get(), 0);
  if (!file.mapping_.valid())
    return Fail(kind, what, fmt::format("mmap: {}", ErrnoText(errno)), "free some address space");
  return file;
}

Status WriteFileAtomically(const std::string& path, std::span<const uint8_t> bytes) {
  const std::string what = fmt::format("cannot write {}", path);
  std::string temporary = path + ".XXXXXX";
  Fd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid())
    return Fail(ErrorKind::kHost, what, ErrnoText(errno), "choose a directory that is writable");
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error_number = n < 0 ? errno : ENOSPC;
      unlink(temporary.c_str());
      return Fail(ErrorKind::kHost, what, ErrnoText(error_number), "free some disk space");
    }
    done += static_cast<size_t>(n);
  }
  if (fchmod(fd.get(), 0644) != 0 || rename(temporary.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    unlink(temporary.c_str());
    return Fail(ErrorKind::kHost, what, ErrnoText(error_number),
                "choose a directory that is writable");
  }
  return {};
}

}  // namespace vmm
