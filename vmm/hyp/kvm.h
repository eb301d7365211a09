// SPDX-License-Identifier: GPL-2.0-or-later
//
// The KVM ABI, one class per kind of file descriptor. Works on /dev/vellum and /dev/kvm alike;
// nothing above this folder issues an ioctl.
#pragma once

#include "../../include/uapi/vellum.h"  // <linux/kvm.h>, with the sizes that C has

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace vmm {

inline constexpr int kKvmApiVersion = 12;
inline constexpr const char* kDefaultNode = "/dev/vellum";

struct RequiredCapability {
  int number;
  const char* name;
  const char* purpose;
};

// What a machine cannot do without, in the order in which it is used.
std::span<const RequiredCapability> RequiredCapabilities();

class Vcpu {
 public:
  Vcpu(Fd fd, Mapping run) : fd_(std::move(fd)), run_(std::move(run)) {}

  kvm_run* run() const { return reinterpret_cast<kvm_run*>(run_.data()); }

  // Enters the guest. 0, or an errno value; EINTR means a signal or immediate_exit.
  int Run() const;

  Status SetCpuid(const std::vector<kvm_cpuid_entry2>& entries) const;
  Status SetRegs(const kvm_regs& regs) const;
  Status SetSregs(const kvm_sregs& sregs) const;
  Expected<kvm_sregs> GetSregs() const;
  Expected<kvm_regs> GetRegs() const;
  // The number of MSRs accepted; the first refused one stops the list.
  int SetMsrs(std::span<const kvm_msr_entry> msrs) const;
  int TscKhz() const;  // 0 when unknown

 private:
  Fd fd_;
  Mapping run_;
};

class Vm {
 public:
  Vm(Fd fd, int run_size) : fd_(std::move(fd)), run_size_(run_size) {}

  int CheckExtension(int capability) const;
  Status SetTssAddress(uint64_t address) const;
  Status SetIdentityMapAddress(uint64_t address) const;
  Status CreateIrqchip() const;
  Status CreatePit() const;
  Status SetMemory(const kvm_userspace_memory_region& region) const;
  // Sets the level of a line of the in-kernel interrupt controllers; any thread.
  void SetIrqLine(uint32_t gsi, bool level) const;
  Expected<Vcpu> CreateVcpu(uint32_t id) const;

 private:
  Fd fd_;
  int run_size_;
};

class Kvm {
 public:
  // Opens the node and checks that it speaks KVM's ABI.
  static Expected<Kvm> Open(const std::string& node);

  int CheckExtension(int capability) const;
  // One error that names every required capability that is absent.
  Status CheckRequired() const;
  Expected<Vm> CreateVm() const;
  Expected<std::vector<kvm_cpuid_entry2>> SupportedCpuid() const;
  const std::string& node() const { return node_; }

 private:
  Fd fd_;
  std::string node_;
};

// Words the failure to open a node with this errno, on a host where `owner` holds VMX.
Error NodeError(const std::string& node, int error_number, const std::string& owner);

// Who holds VMX on this host, as /proc/modules tells: "kvm_intel", "vellum", "" for nobody known.
std::string VmxOwner();

}  // namespace vmm
