// SPDX-License-Identifier: GPL-2.0-or-later
// Writes of the guest that signal an eventfd in place of an exit.
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

constexpr uint64_t kDoorbell = 0x10000000;

// Two bytes of 1 and 2, and four bytes of 1, to the doorbell; the same to port 0x30.
GUEST_CODE(ring, 64, R"(
0: mov $0x10000000, %ebx
  movw $1, (%rbx)
  movw $2, (%rbx)
  movl $1, (%rbx)
  mov $1, %eax
  out %ax, $0x30
  mov $2, %eax
  out %ax, $0x30
  out %al, $0x10
  jmp 0b
)");

class EventFd {
 public:
  EventFd() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { CHECK(fd_.get() >= 0); }
  int fd() const { return fd_.get(); }
  // How often it was signalled since the last call.
  uint64_t Take() {
    uint64_t count = 0;
    return read(fd_.get(), &count, sizeof(count)) == sizeof(count) ? count : 0;
  }

 private:
  kvm::Fd fd_;
};

kvm_ioeventfd Binding(const EventFd& fd, uint64_t addr, uint32_t len, uint32_t flags = 0,
                      uint64_t match = 0) {
  kvm_ioeventfd args{};
  args.fd = fd.fd();
  args.addr = addr;
  args.len = len;
  args.flags = flags;
  args.datamatch = match;
  return args;
}

int Bind(Machine& m, kvm_ioeventfd args) { return kvm::Ioctl(m.vm().fd(), KVM_IOEVENTFD, &args); }

int Unbind(Machine& m, kvm_ioeventfd args) {
  args.flags |= KVM_IOEVENTFD_FLAG_DEASSIGN;
  return Bind(m, args);
}

struct Exits {
  unsigned mmio = 0;
  unsigned port = 0;
};

// One round of the guest; counts what reached user space.
Exits Round(Machine& m) {
  Exits exits;
  while (true) {
    CHECK_EQ(0, m.vcpu().Run());
    if (m.run()->exit_reason == KVM_EXIT_MMIO) {
      CHECK_EQ(kDoorbell, m.run()->mmio.phys_addr);
      ++exits.mmio;
    } else {
      CHECK_EQ(KVM_EXIT_IO, m.run()->exit_reason);
      if (m.run()->io.port == 0x10) return exits;
      ++exits.port;
    }
  }
}

CASE(LengthDecides) {
  Machine m(ring, Mode::kLong64);
  EventFd words;
  CHECK_OK(Bind(m, Binding(words, kDoorbell, 2)));
  Exits exits = Round(m);
  CHECK_EQ(2ull, words.Take());
  CHECK_EQ(1u, exits.mmio);
  CHECK_EQ(2u, exits.port);
  CHECK_OK(Unbind(m, Binding(words, kDoorbell, 2)));
  exits = Round(m);
  CHECK_EQ(0ull, words.Take());
  CHECK_EQ(3u, exits.mmio);
}

CASE(ValueDecides) {
  Machine m(ring, Mode::kLong64);
  EventFd one, two;
  constexpr uint32_t kMatch = KVM_IOEVENTFD_FLAG_DATAMATCH;
  CHECK_OK(Bind(m, Binding(one, kDoorbell, 2, kMatch, 1)));
  CHECK_OK(Bind(m, Binding(two, kDoorbell, 4, kMatch, 1)));
  const Exits exits = Round(m);
  CHECK_EQ(1ull, one.Take());
  CHECK_EQ(1ull, two.Take());
  CHECK_EQ(1u, exits.mmio);
}

CASE(Ports) {
  Machine m(ring, Mode::kLong64);
  EventFd one, two;
  constexpr uint32_t kFlags = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO;
  CHECK_OK(Bind(m, Binding(one, 0x30, 2, kFlags, 1)));
  CHECK_OK(Bind(m, Binding(two, 0x30, 2, kFlags, 2)));
  const Exits exits = Round(m);
  CHECK_EQ(1ull, one.Take());
  CHECK_EQ(1ull, two.Take());
  CHECK_EQ(0u, exits.port);
  CHECK_EQ(3u, exits.mmio);
}

CASE(AnyLength) {
  Machine m(ring, Mode::kLong64);
  if (m.vm().Capability(KVM_CAP_IOEVENTFD_ANY_LENGTH) <= 0) check::Skip("no any-length");
  EventFd any;
  CHECK_OK(Bind(m, Binding(any, kDoorbell, 0)));
  const Exits exits = Round(m);
  CHECK_EQ(3ull, any.Take());
  CHECK_EQ(0u, exits.mmio);
}

CASE(Refused) {
  Machine m(ring, Mode::kLong64);
  EventFd a, b;
  constexpr uint32_t kMatch = KVM_IOEVENTFD_FLAG_DATAMATCH;
  CHECK_ERRNO(EINVAL, Bind(m, Binding(a, kDoorbell, 3)));
  CHECK_ERRNO(EINVAL, Bind(m, Binding(a, kDoorbell, 16)));
  CHECK_ERRNO(EINVAL, Bind(m, Binding(a, kDoorbell, 0, kMatch, 1)));
  CHECK_ERRNO(EINVAL, Bind(m, Binding(a, kDoorbell, 4, 1u << 20)));
  CHECK_ERRNO(EINVAL, Bind(m, Binding(a, ~0ull, 4)));
  kvm_ioeventfd args = Binding(a, kDoorbell, 4);
  args.fd = -1;
  CHECK_ERRNO(EBADF, Bind(m, args));
  args.fd = m.vm().fd();
  CHECK_ERRNO(EINVAL, Bind(m, args));
  CHECK_ERRNO(ENOENT, Unbind(m, Binding(a, kDoorbell, 4)));

  CHECK_OK(Bind(m, Binding(a, kDoorbell, 4, kMatch, 1)));
  CHECK_ERRNO(EEXIST, Bind(m, Binding(a, kDoorbell, 4, kMatch, 1)));
  CHECK_ERRNO(EEXIST, Bind(m, Binding(b, kDoorbell, 4, kMatch, 1)));
  CHECK_ERRNO(EEXIST, Bind(m, Binding(b, kDoorbell, 4)));
  CHECK_ERRNO(EEXIST, Bind(m, Binding(b, kDoorbell, 0)));
  CHECK_OK(Bind(m, Binding(b, kDoorbell, 4, kMatch, 2)));
  CHECK_OK(Bind(m, Binding(b, kDoorbell, 2)));
  CHECK_ERRNO(ENOENT, Unbind(m, Binding(a, kDoorbell, 4)));
  CHECK_ERRNO(ENOENT, Unbind(m, Binding(b, kDoorbell, 4, kMatch, 1)));
  CHECK_OK(Unbind(m, Binding(a, kDoorbell, 4, kMatch, 1)));
}

// The machine goes with bindings in place, and the eventfd before the machine.
CASE(LeftBehind) {
  Machine m(ring, Mode::kLong64);
  {
    EventFd a;
    CHECK_OK(Bind(m, Binding(a, kDoorbell, 0)));
  }
  CHECK_EQ(0u, Round(m).mmio);
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
