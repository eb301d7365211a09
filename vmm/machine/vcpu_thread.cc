// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/vcpu_thread.h"

#include <fmt/core.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>

namespace vmm {
namespace {

int KickSignal() { return SIGRTMIN; }

const char* InternalErrorName(uint32_t suberror) {
  switch (suberror) {
    case KVM_INTERNAL_ERROR_EMULATION:
      return "an instruction could not be emulated";
    case KVM_INTERNAL_ERROR_SIMUL_EX:
      return "two exceptions at once";
    case KVM_INTERNAL_ERROR_DELIVERY_EV:
      return "an event could not be delivered";
    case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
      return "the CPU exited for an unknown reason";
    default:
      return "unknown";
  }
}

}  // namespace

void VcpuThread::InstallKickHandler() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};  // its only use is to interrupt KVM_RUN
  sigaction(KickSignal(), &action, nullptr);
}

void VcpuThread::Start() {
  thread_ = std::thread([this] {
    Main();
    ended_ = true;
  });
}

void VcpuThread::Stop() {
  if (!thread_.joinable()) return;
  stop_ = true;
  // Between the check of immediate_exit and the sleep inside KVM_RUN nothing can get lost; before
  // the check the flag is seen. Repeat for a thread that was on its way back to user space.
  while (!ended_) {
    __atomic_store_n(&vcpu_.run()->immediate_exit, uint8_t{1}, __ATOMIC_SEQ_CST);
    pthread_kill(thread_.native_handle(), KickSignal());
    for (int i = 0; i < 100 && !ended_; ++i)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  thread_.join();
}

void VcpuThread::Main() {
  sigset_t all;
  sigfillset(&all);
  for (const int keep : {KickSignal(), SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS})
    sigdelset(&all, keep);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
  pthread_setname_np(pthread_self(), fmt::format("vcpu{}", id_).c_str());

  while (!stop_) {
    const int error_number = vcpu_.Run();
    if (error_number == EINTR || error_number == EAGAIN) continue;
    if (error_number != 0) {
      Fail(OutcomeKind::kVmFailure,
           error_number == EFAULT
               ? std::string("the guest touched memory that the host cannot provide")
               : fmt::format("KVM_RUN: {}", ErrnoText(error_number)));
      return;
    }
    if (!HandleExit()) return;
  }
}

bool VcpuThread::HandleExit() {
  const kvm_run& run = *vcpu_.run();
  switch (run.exit_reason) {
    case KVM_EXIT_IO:
      HandlePort();
      return true;
    case KVM_EXIT_MMIO:
      HandleMemory();
      return true;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return true;
    case KVM_EXIT_HLT:
      // The in-kernel APIC wakes halted CPUs; user space sees none. Do not spin if it does.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return true;
    case KVM_EXIT_SHUTDOWN:
      Fail(OutcomeKind::kTripleFault, DescribeExit(run));
      return false;
    case KVM_EXIT_SYSTEM_EVENT:
      switch (run.system_event.type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN:
          finish_({OutcomeKind::kPowerOff, 0, {}});
          return false;
        case KVM_SYSTEM_EVENT_RESET:
          finish_({OutcomeKind::kReset, 0, {}});
          return false;
        case KVM_SYSTEM_EVENT_CRASH:
          finish_({OutcomeKind::kPanic, 0, {}});
          return false;
        default:
          return true;
      }
    default:
      Fail(OutcomeKind::kVmFailure, DescribeExit(run));
      return false;
  }
}

void VcpuThread::HandlePort() {
  kvm_run* run = vcpu_.run();
  auto* base = reinterpret_cast<uint8_t*>(run);
  const uint32_t size = run->io.size;
  uint8_t* data = base + run->io.data_offset;
  for (uint32_t i = 0; i < run->io.count; ++i, data += size) {
    if (run->io.direction == KVM_EXIT_IO_IN)
      ports_->Read(run->io.port, {data, size});
    else
      ports_->Write(run->io.port, {data, size});
  }
}

void VcpuThread::HandleMemory() {
  kvm_run* run = vcpu_.run();
  const uint32_t length = std::min<uint32_t>(run->mmio.len, sizeof(run->mmio.data));
  if (run->mmio.is_write)
    memory_io_->Write(run->mmio.phys_addr, {run->mmio.data, length});
  else
    memory_io_->Read(run->mmio.phys_addr, {run->mmio.data, length});
}

void VcpuThread::Fail(OutcomeKind kind, std::string reason) {
  finish_({kind, 0, fmt::format("{}\n{}", reason, DescribeRegisters())});
}

std::string VcpuThread::DescribeRegisters() const {
  const auto regs = vcpu_.GetRegs();
  const auto sregs = vcpu_.GetSregs();
  if (!regs || !sregs) return fmt::format("cpu {}: registers are not available", id_);
  const kvm_regs& r = *regs;
  const kvm_sregs& s = *sregs;
  std::string out = fmt::format(
      "cpu {} rip {:016x} rflags {:016x}\n"
      "rax {:016x} rbx {:016x} rcx {:016x} rdx {:016x}\n"
      "rsi {:016x} rdi {:016x} rbp {:016x} rsp {:016x}\n"
      "r8  {:016x} r9  {:016x} r10 {:016x} r11 {:016x}\n"
      "r12 {:016x} r13 {:016x} r14 {:016x} r15 {:016x}\n"
      "cr0 {:016x} cr2 {:016x} cr3 {:016x} cr4 {:016x} efer {:x}\n",
      id_, uint64_t{r.rip}, uint64_t{r.rflags}, uint64_t{r.rax}, uint64_t{r.rbx}, uint64_t{r.rcx},
      uint64_t{r.rdx}, uint64_t{r.rsi}, uint64_t{r.rdi}, uint64_t{r.rbp}, uint64_t{r.rsp},
      uint64_t{r.r8}, uint64_t{r.r9}, uint64_t{r.r10}, uint64_t{r.r11}, uint64_t{r.r12},
      uint64_t{r.r13}, uint64_t{r.r14}, uint64_t{r.r15}, uint64_t{s.cr0}, uint64_t{s.cr2},
      uint64_t{s.cr3}, uint64_t{s.cr4}, uint64_t{s.efer});
  const auto segment = [&](const char* name, const kvm_segment& seg) {
    out +=
        fmt::format("{} {:04x} base {:016x} limit {:08x} type {:x} s {} dpl {} p {} l {} db {}\n",
                    name, uint16_t{seg.selector}, uint64_t{seg.base}, uint32_t{seg.limit},
                    unsigned{seg.type}, unsigned{seg.s}, unsigned{seg.dpl}, unsigned{seg.present},
                    unsigned{seg.l}, unsigned{seg.db});
  };
  segment("cs", s.cs);
  segment("ss", s.ss);
  segment("ds", s.ds);
  segment("tr", s.tr);
  out += fmt::format("gdt {:016x}+{:x} idt {:016x}+{:x}", uint64_t{s.gdt.base},
                     uint16_t{s.gdt.limit}, uint64_t{s.idt.base}, uint16_t{s.idt.limit});
  return out;
}

std::string DescribeExit(const kvm_run& run) {
  switch (run.exit_reason) {
    case KVM_EXIT_SHUTDOWN:
      return "the guest CPU shut down after a triple fault";
    case KVM_EXIT_FAIL_ENTRY:
      return fmt::format("the CPU refused to enter the guest, reason {:#x} on host CPU {}",
                         uint64_t{run.fail_entry.hardware_entry_failure_reason},
                         uint32_t{run.fail_entry.cpu});
    case KVM_EXIT_INTERNAL_ERROR: {
      std::string out = fmt::format("internal error {}: {}", uint32_t{run.internal.suberror},
                                    InternalErrorName(run.internal.suberror));
      const uint32_t count = std::min<uint32_t>(run.internal.ndata, 16);
      for (uint32_t i = 0; i < count; ++i)
        out += fmt::format("{}{:x}", i == 0 ? ", data " : " ", uint64_t{run.internal.data[i]});
      return out;
    }
    case KVM_EXIT_UNKNOWN:
      return fmt::format("exit for an unknown hardware reason {:#x}",
                         uint64_t{run.hw.hardware_exit_reason});
    default:
      return fmt::format("exit reason {} that this machine has no use for",
                         uint32_t{run.exit_reason});
  }
}

}  // namespace vmm
