// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/kvm.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "lib/check.h"

namespace kvm {

Fd::Fd(Fd&& other) noexcept : fd_(other.Release()) {}

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = other.Release();
  }
  return *this;
}

void Fd::Close() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

int Fd::Release() { return std::exchange(fd_, -1); }

Mapping::Mapping(size_t size, int flags, int fd, long offset) : size_(size) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, offset);
  if (address == MAP_FAILED) check::Fail(__FILE__, __LINE__, "mmap: " + check::ErrnoText(errno));
  data_ = static_cast<uint8_t*>(address);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    Unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void Mapping::Unmap() {
  if (data_ != nullptr) munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

const char* DevicePath() {
  const char* path = std::getenv("VELLUM_DEV");
  return path != nullptr ? path : "/dev/kvm";
}

bool IsVellum() {
  char target[PATH_MAX];
  return realpath(DevicePath(), target) != nullptr &&
         std::string(target).find("vellum") != std::string::npos;
}

Vcpu::Vcpu(int vm, unsigned id) : fd_(Ioctl(vm, KVM_CREATE_VCPU, static_cast<unsigned long>(id))) {
  CHECK(fd_.get() >= 0);
  const long page = sysconf(_SC_PAGESIZE);
  Fd device(open(DevicePath(), O_RDWR | O_CLOEXEC));
  CHECK(device.get() >= 0);
  const int size = Ioctl(device.get(), KVM_GET_VCPU_MMAP_SIZE);
  CHECK(size >= page);
  run_ = Mapping(static_cast<size_t>(size), MAP_SHARED, fd_.get());
}

int Vcpu::Run() { return Ioctl(fd(), KVM_RUN) == 0 ? 0 : errno; }

void Vcpu::RunUntil(uint32_t exit_reason) {
  const int error = Run();
  if (error != 0) check::Fail(__FILE__, __LINE__, "KVM_RUN: " + check::ErrnoText(error));
  if (run()->exit_reason != exit_reason) {
    std::string text = std::string("exit ") + ExitName(run()->exit_reason) + ", expected " +
                       ExitName(exit_reason) + ", rip " + check::Text(regs().rip);
    if (run()->exit_reason == KVM_EXIT_IO) text += ", port " + check::Text(run()->io.port);
    if (run()->exit_reason == KVM_EXIT_MMIO) text += ", at " + check::Text(run()->mmio.phys_addr);
    if (run()->exit_reason == KVM_EXIT_INTERNAL_ERROR)
      text += ", suberror " + check::Text(run()->internal.suberror);
    if (run()->exit_reason == KVM_EXIT_FAIL_ENTRY)
      text += ", reason " + check::Text(run()->fail_entry.hardware_entry_failure_reason);
    check::Fail(__FILE__, __LINE__, text);
  }
}

kvm_regs Vcpu::regs() const {
  kvm_regs regs;
  CHECK_OK(Ioctl(fd(), KVM_GET_REGS, &regs));
  return regs;
}

void Vcpu::SetRegs(const kvm_regs& regs) { CHECK_OK(Ioctl(fd(), KVM_SET_REGS, &regs)); }

kvm_sregs Vcpu::sregs() const {
  kvm_sregs sregs;
  CHECK_OK(Ioctl(fd(), KVM_GET_SREGS, &sregs));
  return sregs;
}

void Vcpu::SetSregs(const kvm_sregs& sregs) { CHECK_OK(Ioctl(fd(), KVM_SET_SREGS, &sregs)); }

void Vcpu::SetSupportedCpuid() {
  Fd device(open(DevicePath(), O_RDWR | O_CLOEXEC));
  const std::vector<kvm_cpuid_entry2> entries = SupportedCpuid(device.get());
  std::vector<uint8_t> buffer(sizeof(kvm_cpuid2) + entries.size() * sizeof(kvm_cpuid_entry2));
  auto* list = reinterpret_cast<kvm_cpuid2*>(buffer.data());
  list->nent = static_cast<uint32_t>(entries.size());
  std::memcpy(list->entries, entries.data(), entries.size() * sizeof(kvm_cpuid_entry2));
  CHECK_OK(Ioctl(fd(), KVM_SET_CPUID2, list));
}

Vm::Vm() : device_(open(DevicePath(), O_RDWR | O_CLOEXEC)) {
  if (device_.get() < 0) {
    check::Fail(__FILE__, __LINE__,
                std::string("open ") + DevicePath() + ": " + check::ErrnoText(errno));
  }
  fd_ = Fd(Ioctl(device_.get(), KVM_CREATE_VM));
  if (fd_.get() < 0) check::Fail(__FILE__, __LINE__, "KVM_CREATE_VM: " + check::ErrnoText(errno));
}

int Vm::Capability(long capability) const {
  return Ioctl(fd(), KVM_CHECK_EXTENSION, static_cast<unsigned long>(capability));
}

int Vm::SetRegion(uint32_t slot, uint64_t gpa, uint64_t size, const void* host, uint32_t flags) {
  kvm_userspace_memory_region region{};
  region.slot = slot;
  region.flags = flags;
  region.guest_phys_addr = gpa;
  region.memory_size = size;
  region.userspace_addr = reinterpret_cast<uint64_t>(host);
  return Ioctl(fd(), KVM_SET_USER_MEMORY_REGION, &region) == 0 ? 0 : errno;
}

void Vm::Map(uint32_t slot, uint64_t gpa, uint64_t size, const void* host, uint32_t flags) {
  const int error = SetRegion(slot, gpa, size, host, flags);
  if (error != 0) {
    check::Fail(__FILE__, __LINE__, "KVM_SET_USER_MEMORY_REGION: " + check::ErrnoText(error));
  }
}

std::vector<kvm_cpuid_entry2> SupportedCpuid(int device) {
  constexpr uint32_t kMax = 256;
  std::vector<uint8_t> buffer(sizeof(kvm_cpuid2) + kMax * sizeof(kvm_cpuid_entry2));
  auto* list = reinterpret_cast<kvm_cpuid2*>(buffer.data());
  list->nent = kMax;
  CHECK_OK(Ioctl(device, KVM_GET_SUPPORTED_CPUID, list));
  return {list->entries, list->entries + list->nent};
}

const char* ExitName(uint32_t reason) {
  switch (reason) {
    case KVM_EXIT_UNKNOWN:
      return "UNKNOWN";
    case KVM_EXIT_EXCEPTION:
      return "EXCEPTION";
    case KVM_EXIT_IO:
      return "IO";
    case KVM_EXIT_DEBUG:
      return "DEBUG";
    case KVM_EXIT_HLT:
      return "HLT";
    case KVM_EXIT_MMIO:
      return "MMIO";
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return "IRQ_WINDOW_OPEN";
    case KVM_EXIT_SHUTDOWN:
      return "SHUTDOWN";
    case KVM_EXIT_FAIL_ENTRY:
      return "FAIL_ENTRY";
    case KVM_EXIT_INTR:
      return "INTR";
    case KVM_EXIT_INTERNAL_ERROR:
      return "INTERNAL_ERROR";
    case KVM_EXIT_SYSTEM_EVENT:
      return "SYSTEM_EVENT";
    default:
      return "of another kind";
  }
}

}  // namespace kvm
