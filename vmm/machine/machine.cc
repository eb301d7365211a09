// SPDX-License-Identifier: GPL-2.0-or-later
#include "machine/machine.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "base/parse.h"
#include "base/platform.h"
#include "guest/report.h"
#include "machine/cpuid.h"

namespace vmm {
namespace {

// How long the reader of the output may take once the guest has ended.
constexpr std::chrono::seconds kFlushLimit{5};

}  // namespace

std::string DefaultCmdline(bool runs_command) {
  std::string out =
      "console=ttyS0 reboot=k panic=-1 "  // serial console; a panic resets, and so ends the run
      "tsc=reliable no_timer_check "      // the clocks need no cross-checks
      "8250.nr_uarts=1 "                  // do not look for COM2 to COM4
      "random.trust_cpu=on nokaslr audit=0 cryptomgr.notests pci=off ";
  // A command's output is to be seen alone; a panic or an oops speaks up in any case.
  out += runs_command ? "loglevel=1" : "quiet";
  return out;
}

Machine::Machine(MachineConfig config) : config_(std::move(config)) {}

Machine::~Machine() {
  if (console_) console_->Release();
  cpus_.clear();
}

Expected<std::unique_ptr<Machine>> Machine::Create(MachineConfig config,
                                                   const KernelImage& kernel) {
  std::unique_ptr<Machine> machine(new Machine(std::move(config)));
  const MachineConfig& cfg = machine->config_;
  VMM_TRY_ASSIGN(kvm, Kvm::Open(cfg.node));
  VMM_TRY(kvm.CheckRequired());
  VMM_TRY_ASSIGN(loop, Loop::Create());
  machine->loop_ = std::move(loop);
  VMM_TRY_ASSIGN(vm, kvm.CreateVm());
  machine->vm_ = std::move(vm);

  const int max_cpus = std::max(kvm.CheckExtension(KVM_CAP_MAX_VCPUS), 1);
  if (cfg.cpus > static_cast<uint32_t>(max_cpus))
    return Fail(ErrorKind::kCapability, fmt::format("cannot run {} CPUs", cfg.cpus),
                fmt::format("{} allows at most {}", cfg.node, max_cpus), "fewer --cpus");

  VMM_TRY(machine->vm_->SetIdentityMapAddress(kIdentityMapAddress));
  VMM_TRY(machine->vm_->SetTssAddress(kTssAddress));
  VMM_TRY(machine->vm_->CreateIrqchip());
  VMM_TRY(machine->vm_->CreatePit());

  VMM_TRY_ASSIGN(memory, GuestMemory::Create(cfg.memory));
  machine->memory_ = std::move(memory);
  BootInputs inputs;
  inputs.kernel = &kernel;
  inputs.initrd = cfg.initrd;
  inputs.initrd_name = cfg.initrd_name;
  inputs.cmdline = cfg.cmdline;
  inputs.cpus = cfg.cpus;
  inputs.entry = cfg.entry;
  VMM_TRY_ASSIGN(boot, LoadGuest(*machine->memory_, inputs));
  VMM_TRY(machine->memory_->Register(*machine->vm_));

  VMM_TRY_ASSIGN(events, EventFd::Create());
  machine->events_ = std::move(events);
  VMM_TRY_ASSIGN(console, Console::Create(machine->loop_.get(), cfg.input_fd, cfg.output_fd));
  machine->console_ = std::move(console);
  VMM_TRY(machine->AttachDevices());
  VMM_TRY(machine->CreateCpus(kvm, boot));
  return machine;
}

Status Machine::AttachDevices() {
  Console* console = console_.get();
  const auto reset = [this] { Finish({OutcomeKind::kReset, 0, {}}); };
  serial_ = std::make_unique<Serial>(
      Serial::Wiring{[this](bool level) { vm_->SetIrqLine(kSerialIrq, level); },
                     [console](uint8_t byte) { console->Transmit(byte); },
                     [console] { console->ReceiveDrained(); }});
  const uint64_t low_end = memory_->low_end();
  cmos_ =
      std::make_unique<Cmos>(low_end, memory_->size() - low_end, [] { return std::time(nullptr); });
  i8042_ = std::make_unique<I8042>(reset);
  power_ = std::make_unique<AcpiPower>([this] { Finish({OutcomeKind::kPowerOff, 0, {}}); }, reset);
  chipset_reset_ = std::make_unique<ChipsetReset>(reset);
  report_ = std::make_unique<ReportPort>(
      [this](uint32_t kind, uint32_t value) { OnReport(kind, value); });
  const bool attached =
      ports_.Attach(kSerialPort, Serial::kPortCount, serial_.get()) &&
      ports_.Attach(Cmos::kPort, Cmos::kPortCount, cmos_.get()) &&
      ports_.Attach(I8042::kDataPort, 1, i8042_->data_port()) &&
      ports_.Attach(I8042::kCommandPort, 1, i8042_->command_port()) &&
      ports_.Attach(AcpiPower::kPort, AcpiPower::kPortCount, power_.get()) &&
      ports_.Attach(ChipsetReset::kPort, ChipsetReset::kPortCount, chipset_reset_.get()) &&
      ports_.Attach(ReportPort::kPort, ReportPort::kPortCount, report_.get());
  if (!attached)
    return Fail(ErrorKind::kHost, "cannot put the machine together", "two devices share a port",
                "report this as a bug");
  return {};
}

Status Machine::CreateCpus(const Kvm& kvm, const BootState& boot) {
  VMM_TRY_ASSIGN(supported, kvm.SupportedCpuid());
  const uint32_t address_bits = PhysicalAddressBits(supported);
  const RamRange& last = memory_->ranges().back();
  if (address_bits < 64 && last.gpa + last.size > 1ull << address_bits)
    return Fail(ErrorKind::kMemory,
                fmt::format("cannot run a machine with {} of memory", FormatSize(config_.memory)),
                fmt::format("the CPU addresses {} bits", address_bits), "a smaller --mem");
  for (uint32_t id = 0; id < config_.cpus; ++id) {
    VMM_TRY_ASSIGN(vcpu, vm_->CreateVcpu(id));
    CpuidConfig cpuid;
    cpuid.cpu = id;
    cpuid.cpus = config_.cpus;
    cpuid.tsc_khz = static_cast<uint32_t>(vcpu.TscKhz());
    cpuid.tsc_deadline_timer = kvm.CheckExtension(KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    VMM_TRY(vcpu.SetCpuid(MakeCpuid(supported, cpuid)));
    // String instructions are fast; memory is write-back where no range says otherwise. Advice to
    // the guest, so a module that refuses one is not an error.
    const kvm_msr_entry misc_enable = {0x1a0, 0, 1};
    vcpu.SetMsrs({&misc_enable, 1});
    const kvm_msr_entry mtrr_default = {0x2ff, 0, 0x806};
    vcpu.SetMsrs({&mtrr_default, 1});
    if (id == 0) {
      kvm_regs regs = {};
      VMM_TRY_ASSIGN(sregs, vcpu.GetSregs());
      SetEntryRegisters(boot, &regs, &sregs);
      VMM_TRY(vcpu.SetSregs(sregs));
      VMM_TRY(vcpu.SetRegs(regs));
    }
    cpus_.push_back(
        std::make_unique<VcpuThread>(std::move(vcpu), id, &ports_, &memory_io_,
                                     [this](Outcome outcome) { Finish(std::move(outcome)); }));
  }
  return {};
}

void Machine::Finish(Outcome outcome) {
  {
    const std::lock_guard lock(mutex_);
    if (outcome_) return;
    outcome_ = std::move(outcome);
  }
  events_.Signal();
}

void Machine::OnReport(uint32_t kind, uint32_t value) {
  switch (kind) {
    case VMM_REPORT_STARTED:
      command_started_ = true;
      events_.Signal();
      break;
    case VMM_REPORT_EXITED:
      Finish({OutcomeKind::kCommand, value, {}});
      break;
    case VMM_REPORT_SIGNALED:
      Finish({OutcomeKind::kCommandSignal, value, {}});
      break;
    case VMM_REPORT_NO_EXEC:
      Finish({OutcomeKind::kCommandNoExec, value, {}});
      break;
    case VMM_REPORT_NO_INIT:
      Finish({OutcomeKind::kInitFailed, value, {}});
      break;
    default:
      break;
  }
}

Status Machine::WatchSignals() {
  sigset_t watched;
  sigemptyset(&watched);
  for (const int signal_number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
    sigaddset(&watched, signal_number);
  pthread_sigmask(SIG_BLOCK, &watched, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  signals_ = Fd(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid())
    return Fail(ErrorKind::kHost, "cannot watch for signals",
                fmt::format("signalfd: {}", ErrnoText(errno)), "raise the limit of open files");
  WaitForSignal();
  return {};
}

void Machine::WaitForSignal() {
  signal_wait_->Poll(signals_.get(), POLLIN, [this](int) {
    signalfd_siginfo info = {};
    if (read(signals_.get(), &info, sizeof(info)) == sizeof(info))
      Finish({OutcomeKind::kSignal, info.ssi_signo, {}});
    WaitForSignal();
  });
}

void Machine::WaitForEvents() {
  event_wait_->Poll(events_.fd(), POLLIN, [this](int) {
    events_.Drain();
    bool finished = false;
    {
      const std::lock_guard lock(mutex_);
      finished = outcome_.has_value();
    }
    if (finished) {
      Wind();
      return;
    }
    if (command_started_) StartInput();
    WaitForEvents();
  });
}

void Machine::StartInput() {
  const bool pipe_to_command = config_.runs_command && !isatty(config_.input_fd);
  console_->StartInput(serial_.get(), pipe_to_command, [this] {
    Finish({OutcomeKind::kQuit, 0, {}});
  });
}

// The guest has ended: stop the CPUs, then write out what is left.
void Machine::Wind() {
  if (winding_) return;
  winding_ = true;
  console_->Release();
  for (auto& cpu : cpus_) cpu->Stop();
  flush_limit_->Timer(kFlushLimit, [this] { loop_->Stop(); });
  console_->Flush([this] { loop_->Stop(); });
}

Expected<Outcome> Machine::Run() {
  signal_wait_ = std::make_unique<Operation>(loop_.get());
  event_wait_ = std::make_unique<Operation>(loop_.get());
  timeout_ = std::make_unique<Operation>(loop_.get());
  flush_limit_ = std::make_unique<Operation>(loop_.get());
  VMM_TRY(WatchSignals());
  WaitForEvents();
  console_->StartOutput();
  terminal_.Enter(config_.input_fd);
  if (!config_.runs_command) StartInput();
  if (config_.timeout)
    timeout_->Timer(*config_.timeout, [this] { Finish({OutcomeKind::kTimeout, 0, {}}); });
  VcpuThread::InstallKickHandler();
  for (auto& cpu : cpus_) cpu->Start();
  const Status ran = loop_->Run();
  for (auto& cpu : cpus_) cpu->Stop();
  RawTerminal::Restore();
  if (!ran) return tl::unexpected(ran.error());
  const std::lock_guard lock(mutex_);
  Outcome outcome = outcome_.value_or(Outcome{OutcomeKind::kVmFailure, 0, "the loop stopped"});
  // A panic resets the machine (panic=-1): tell the two apart by what the guest said.
  if (outcome.kind == OutcomeKind::kReset && console_->panic_seen())
    outcome.kind = OutcomeKind::kPanic;
  return outcome;
}

}  // namespace vmm
