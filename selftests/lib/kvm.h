// SPDX-License-Identifier: GPL-2.0-or-later
// The KVM ABI as the tests use it: owning descriptors, and calls that fail the test.
#pragma once

#include <sys/ioctl.h>
#include <uapi/vellum.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace kvm {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept;
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { Close(); }

  int get() const { return fd_; }
  void Close();
  int Release();

 private:
  int fd_ = -1;
};

// Anonymous or file-backed memory of this process.
class Mapping {
 public:
  Mapping() = default;
  // Fails the test; flags and fd as for mmap().
  Mapping(size_t size, int flags, int fd = -1, long offset = 0);
  Mapping(void* address, size_t size) : data_(static_cast<uint8_t*>(address)), size_(size) {}
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping() { Unmap(); }

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  void Unmap();

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// ioctl() as the C library has it, for checks of its errno.
template <typename T>
int Ioctl(int fd, unsigned long command, T argument) {
  return ioctl(fd, command, argument);
}
inline int Ioctl(int fd, unsigned long command) { return ioctl(fd, command, 0UL); }

// The device: $VELLUM_DEV or /dev/kvm.
const char* DevicePath();
// True if the node belongs to vellum.ko, false for the kernel's own KVM.
bool IsVellum();

class Vcpu {
 public:
  Vcpu(int vm, unsigned id);

  int fd() const { return fd_.get(); }
  kvm_run* run() const { return reinterpret_cast<kvm_run*>(run_.data()); }
  uint8_t* page() const { return run_.data(); }
  void Close() { fd_.Close(); }
  void Unmap() { run_.Unmap(); }

  // Runs until an exit; returns 0 or the errno of KVM_RUN.
  int Run();
  // Runs and demands this exit reason.
  void RunUntil(uint32_t exit_reason);

  kvm_regs regs() const;
  void SetRegs(const kvm_regs& regs);
  kvm_sregs sregs() const;
  void SetSregs(const kvm_sregs& sregs);
  // What KVM_GET_SUPPORTED_CPUID offers.
  void SetSupportedCpuid();

 private:
  Fd fd_;
  Mapping run_;
};

class Vm {
 public:
  Vm();

  int fd() const { return fd_.get(); }
  int device() const { return device_.get(); }
  void Close() { fd_.Close(); }
  int Capability(long capability) const;

  // errno of KVM_SET_USER_MEMORY_REGION, 0 for success.
  int SetRegion(uint32_t slot, uint64_t gpa, uint64_t size, const void* host, uint32_t flags = 0);
  // The same, failing the test.
  void Map(uint32_t slot, uint64_t gpa, uint64_t size, const void* host, uint32_t flags = 0);
  Vcpu AddVcpu(unsigned id = 0) { return Vcpu(fd(), id); }

 private:
  Fd device_;
  Fd fd_;
};

// KVM_GET_SUPPORTED_CPUID of a device.
std::vector<kvm_cpuid_entry2> SupportedCpuid(int device);
const char* ExitName(uint32_t reason);

}  // namespace kvm
