// SPDX-License-Identifier: GPL-2.0-or-later
//
// One thread that runs one virtual CPU: enters the guest, serves its exits from the buses, and
// reports when the machine can go no further.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "bus/bus.h"
#include "hyp/kvm.h"
#include "machine/outcome.h"

namespace vmm {

class VcpuThread {
 public:
  // `finish` may be called from the new thread, more than once.
  VcpuThread(Vcpu vcpu, uint32_t id, const Bus* ports, const Bus* memory_io,
             std::function<void(Outcome)> finish)
      : vcpu_(std::move(vcpu)),
        id_(id),
        ports_(ports),
        memory_io_(memory_io),
        finish_(std::move(finish)) {}
  ~VcpuThread() { Stop(); }
  VcpuThread(const VcpuThread&) = delete;
  VcpuThread& operator=(const VcpuThread&) = delete;

  // Once per process, before the first Start: the signal that interrupts KVM_RUN.
  static void InstallKickHandler();

  void Start();
  // Makes the thread leave the guest and waits for its end.
  void Stop();
  const Vcpu& vcpu() const { return vcpu_; }

 private:
  void Main();
  // False when the thread is to end.
  bool HandleExit();
  void HandlePort();
  void HandleMemory();
  void Fail(OutcomeKind kind, std::string reason);
  std::string DescribeRegisters() const;

  Vcpu vcpu_;
  const uint32_t id_;
  const Bus* ports_;
  const Bus* memory_io_;
  std::function<void(Outcome)> finish_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

// The text for an exit that ends the machine; exposed for tests.
std::string DescribeExit(const kvm_run& run);

}  // namespace vmm
