// SPDX-License-Identifier: GPL-2.0-or-later
//
// One virtual machine, put together and run to its end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "boot/kernel_image.h"
#include "boot/linux_boot.h"
#include "bus/bus.h"
#include "devices/cmos.h"
#include "devices/i8042.h"
#include "devices/power.h"
#include "devices/report.h"
#include "devices/serial.h"
#include "hyp/kvm.h"
#include "loop/loop.h"
#include "machine/console.h"
#include "machine/outcome.h"
#include "machine/vcpu_thread.h"
#include "memory/guest_memory.h"

namespace vmm {

struct MachineConfig {
  std::string node = kDefaultNode;
  uint64_t memory = 256u << 20;
  uint32_t cpus = 1;
  std::string cmdline;          // complete
  std::vector<uint8_t> initrd;  // empty: none
  std::string initrd_name;      // for messages
  EntryMode entry = EntryMode::kAuto;
  std::optional<std::chrono::milliseconds> timeout;
  bool runs_command = false;  // the initrd is vmm's own, with a guest command
  int input_fd = 0;
  int output_fd = 1;
};

// The command line that a Debian kernel starts quickly and quietly with.
std::string DefaultCmdline(bool runs_command);

class Machine {
 public:
  // Everything up to the first guest instruction.
  static Expected<std::unique_ptr<Machine>> Create(MachineConfig config, const KernelImage& kernel);
  ~Machine();

  // Runs the guest until it, the person, a signal or the timeout ends it.
  Expected<Outcome> Run();

 private:
  explicit Machine(MachineConfig config);

  Status AttachDevices();
  Status CreateCpus(const Kvm& kvm, const BootState& boot);
  Status WatchSignals();
  void WaitForSignal();
  void Finish(Outcome outcome);  // any thread; the first call counts
  void OnReport(uint32_t kind, uint32_t value);
  void WaitForEvents();
  void StartInput();
  void Wind();

  MachineConfig config_;
  std::unique_ptr<Loop> loop_;
  std::optional<Vm> vm_;
  std::optional<GuestMemory> memory_;
  std::unique_ptr<Console> console_;
  Bus ports_;
  Bus memory_io_;
  std::unique_ptr<Serial> serial_;
  std::unique_ptr<Cmos> cmos_;
  std::unique_ptr<I8042> i8042_;
  std::unique_ptr<AcpiPower> power_;
  std::unique_ptr<ChipsetReset> chipset_reset_;
  std::unique_ptr<ReportPort> report_;
  RawTerminal terminal_;

  EventFd events_;  // a CPU thread has set one of the next two
  std::atomic<bool> command_started_{false};
  std::mutex mutex_;  // guards outcome_
  std::optional<Outcome> outcome_;

  Fd signals_;
  bool winding_ = false;  // loop thread only
  std::unique_ptr<Operation> signal_wait_;
  std::unique_ptr<Operation> event_wait_;
  std::unique_ptr<Operation> timeout_;
  std::unique_ptr<Operation> flush_limit_;
  std::vector<std::unique_ptr<VcpuThread>> cpus_;  // last: its threads use all of the above
};

}  // namespace vmm
