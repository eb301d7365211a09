// SPDX-License-Identifier: GPL-2.0-or-later
// The in-kernel interrupt controllers, driven by a guest that executes what the host wrote down:
// timers, the way of a line to a vector, IPIs, eventfds.
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <initializer_list>
#include <thread>
#include <vector>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

// Where guest and host meet.
constexpr uint64_t kX2apicFlag = 0x20010;  // nonzero: end interrupts through the MSR
constexpr uint64_t kEoiFlag = 0x20018;     // zero: do not end interrupts at all
constexpr uint64_t kLogLength = 0x20020;
constexpr uint64_t kCounts = 0x21000;  // 8 bytes for each vector
constexpr uint64_t kLog = 0x22000;     // a byte for each interrupt
constexpr uint64_t kScript = 0x30000;
constexpr uint64_t kResults = 0x40000;

enum Op : uint64_t {
  kEnd,
  kWrite,  // 32 bits of memory
  kRead,
  kWrmsr,
  kRdmsr,
  kOut,  // a byte to a port
  kIn,
  kHlt,   // until count[addr] reaches value, halting with interrupts on
  kSpin,  // the same without halting
  kCli,
  kSti,
  kCr8,
  kRdtsc,
  kCall,  // the host: RunToCall() returns the value
};

struct Step {
  uint64_t op, addr = 0, value = 0;
};

GUEST_CODE(interpreter, 64, R"(
  jmp 1f
  .set vector, 0
  .rept 256
  .org interpreter_begin + 16 + vector * 16
  .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
  add $8, %rsp
  .endif
  pushq $vector
  jmp 9f
  .set vector, vector + 1
  .endr
9: push %rax
  push %rcx
  push %rdx
  mov 24(%rsp), %rax
  lock incq 0x21000(,%rax,8)
  mov 0x20020, %rcx
  mov %al, 0x22000(%rcx)
  incq 0x20020
  cmp $13, %rax
  jne 2f
  addq $2, 32(%rsp)
  jmp 4f
2: cmpq $32, %rax
  jb 4f
  cmpq $0, 0x20018
  je 4f
  cmpq $0, 0x20010
  jne 3f
  mov $0xfee000b0, %ecx
  movl $0, (%rcx)
  jmp 4f
3: mov $0x80b, %ecx
  xor %eax, %eax
  xor %edx, %edx
  wrmsr
4: pop %rdx
  pop %rcx
  pop %rax
  add $8, %rsp
  iretq

1: mov $0x30000, %ebx
  mov $0x40000, %edi
5: mov (%rbx), %rsi
  mov 8(%rbx), %rcx
  mov 16(%rbx), %rax
  mov %rax, %rdx
  shr $32, %rdx
  add $24, %rbx
  cmp $0, %esi
  je 20f
  cmp $1, %esi
  je 21f
  cmp $2, %esi
  je 22f
  cmp $3, %esi
  je 23f
  cmp $4, %esi
  je 24f
  cmp $5, %esi
  je 25f
  cmp $6, %esi
  je 26f
  cmp $7, %esi
  je 27f
  cmp $8, %esi
  je 28f
  cmp $9, %esi
  je 29f
  cmp $10, %esi
  je 30f
  cmp $11, %esi
  je 31f
  cmp $12, %esi
  je 32f
  out %eax, $0x11
  jmp 5b
20: out %al, $0x10
  jmp .
21: mov %eax, (%rcx)
  jmp 5b
22: mov (%rcx), %eax
  mov %rax, (%rdi)
  add $8, %rdi
  jmp 5b
23: wrmsr
  jmp 5b
24: xor %eax, %eax
  xor %edx, %edx
  rdmsr
  shl $32, %rdx
  or %rdx, %rax
  mov %rax, (%rdi)
  add $8, %rdi
  jmp 5b
25: mov %ecx, %edx
  out %al, %dx
  jmp 5b
26: mov %ecx, %edx
  xor %eax, %eax
  in %dx, %al
  mov %rax, (%rdi)
  add $8, %rdi
  jmp 5b
27: mov %rax, %rdx
6: cli
  cmp %rdx, 0x21000(,%rcx,8)
  jae 7f
  sti
  hlt
  jmp 6b
7: sti
  jmp 5b
28: cmp %rax, 0x21000(,%rcx,8)
  jae 5b
  pause
  jmp 28b
29: cli
  jmp 5b
30: sti
  nop
  jmp 5b
31: mov %rax, %cr8
  nop
  jmp 5b
32: rdtsc
  shl $32, %rdx
  or %rdx, %rax
  mov %rax, (%rdi)
  add $8, %rdi
  jmp 5b
)");

constexpr uint64_t kApic = 0xfee00000;
constexpr uint64_t kIoapic = 0xfec00000;
constexpr uint64_t kEnable = 0x1ff;  // SVR

Step Apic(uint64_t offset, uint64_t value) { return {kWrite, kApic + offset, value}; }

// A GET_LAPIC register.
uint32_t Register(kvm::Vcpu& vcpu, uint32_t offset) {
  kvm_lapic_state state;
  CHECK_OK(kvm::Ioctl(vcpu.fd(), KVM_GET_LAPIC, &state));
  uint32_t value;
  std::memcpy(&value, state.regs + offset, sizeof(value));
  return value;
}

class IrqMachine : public Machine {
 public:
  IrqMachine() : Machine(interpreter, Mode::kLong64, /*irqchip=*/true) {
    *At<uint64_t>(kEoiFlag) = 1;
    // Interrupt gates to the stubs, which stand 16 bytes apart.
    for (uint64_t vector = 0; vector < 256; ++vector) {
      const uint64_t handler = guest::kCode + 16 + vector * 16;
      *At<uint64_t>(guest::kIdt + vector * 16) =
          (handler & 0xffff) | 0x10ull << 16 | 0x8e00ull << 32 | (handler >> 16) << 48;
    }
    OfferDeadlineTimer();
    kvm_sregs sregs = vcpu().sregs();
    sregs.idt.base = guest::kIdt;
    sregs.idt.limit = 256 * 16 - 1;
    vcpu().SetSregs(sregs);
  }

  // KVM_GET_SUPPORTED_CPUID leaves this one to the user of KVM_CREATE_IRQCHIP.
  void OfferDeadlineTimer() {
    const std::vector<kvm_cpuid_entry2> entries = kvm::SupportedCpuid(vm().device());
    std::vector<uint8_t> buffer(sizeof(kvm_cpuid2) + entries.size() * sizeof(entries[0]));
    const uint32_t count[2] = {static_cast<uint32_t>(entries.size()), 0};
    std::memcpy(buffer.data(), count, sizeof(count));
    uint8_t* at = buffer.data() + sizeof(count);
    for (kvm_cpuid_entry2 entry : entries) {
      if (entry.function == 1) entry.ecx |= 1u << 24;
      std::memcpy(at, &entry, sizeof(entry));
      at += sizeof(entry);
    }
    CHECK_OK(kvm::Ioctl(vcpu().fd(), KVM_SET_CPUID2, buffer.data()));
  }

  void Load(std::initializer_list<Step> steps) {
    uint64_t at = kScript;
    for (const Step& step : steps) {
      std::memcpy(low() + at, &step, sizeof(step));
      at += sizeof(step);
    }
    const Step end{kEnd};
    std::memcpy(low() + at, &end, sizeof(end));
  }
  void RunToEnd() { RunUntilOut(0x10); }
  uint32_t RunToCall() { return RunUntilOut(0x11); }
  void Run(std::initializer_list<Step> steps) {
    Load(steps);
    RunToEnd();
  }
  uint64_t Count(uint64_t vector) { return *At<uint64_t>(kCounts + vector * 8); }
  uint64_t Result(uint64_t index) { return *At<uint64_t>(kResults + index * 8); }
  std::vector<int> Log() {
    std::vector<int> log;
    for (uint64_t i = 0; i < *At<uint64_t>(kLogLength); ++i) log.push_back(*At<uint8_t>(kLog + i));
    return log;
  }
  void Line(uint32_t gsi, uint32_t level) {
    kvm_irq_level line{};
    line.irq = gsi;
    line.level = level;
    CHECK_OK(kvm::Ioctl(vm().fd(), KVM_IRQ_LINE, &line));
  }
  int LineStatus(uint32_t gsi, uint32_t level) {
    kvm_irq_level line{};
    line.irq = gsi;
    line.level = level;
    CHECK_OK(kvm::Ioctl(vm().fd(), KVM_IRQ_LINE_STATUS, &line));
    return static_cast<int>(line.status);
  }
  void CreatePit() {
    kvm_pit_config config{};
    config.flags = KVM_PIT_SPEAKER_DUMMY;
    CHECK_OK(kvm::Ioctl(vm().fd(), KVM_CREATE_PIT2, &config));
  }
};

std::string Text(const std::vector<int>& log) {
  std::string text;
  for (int vector : log) text += check::Text(vector) + " ";
  return text;
}

CASE(TimerOneShot) {
  IrqMachine m;
  m.Run({Apic(0xf0, kEnable),
         Apic(0x3e0, 0xb),
         Apic(0x320, 0x40),
         Apic(0x380, 1000000),
         {kHlt, 0x40, 1},
         {kRead, kApic + 0x390},
         {kRead, kApic + 0x380}});
  CHECK_EQ(1u, m.Count(0x40));
  CHECK_EQ(0u, m.Result(0));
  CHECK_EQ(1000000u, m.Result(1));
}

CASE(TimerPeriodic) {
  IrqMachine m;
  m.Run({Apic(0xf0, kEnable),
         Apic(0x3e0, 0xb),
         Apic(0x320, 0x20041),
         Apic(0x380, 500000),
         {kHlt, 0x41, 10},
         Apic(0x380, 0),
         {kRead, kApic + 0x390}});
  CHECK(m.Count(0x41) >= 10);
  CHECK_EQ(0u, m.Result(0));
}

CASE(TimerPeriodicBusy) {
  // The guest never halts: the host's timer has to make it exit.
  IrqMachine m;
  m.Run({Apic(0xf0, kEnable),
         Apic(0x3e0, 0xb),
         Apic(0x320, 0x20041),
         Apic(0x380, 500000),
         {kSpin, 0x41, 5},
         Apic(0x380, 0)});
  CHECK(m.Count(0x41) >= 5);
}

CASE(TimerDeadline) {
  IrqMachine m;
  // A deadline that has passed fires at once.
  m.Run({Apic(0xf0, kEnable),
         Apic(0x320, 0x40042),
         {kWrmsr, 0x6e0, 1},
         {kHlt, 0x42, 1},
         {kRdmsr, 0x6e0}});
  CHECK_EQ(1u, m.Count(0x42));
  CHECK_EQ(0u, m.Result(0));
}

CASE(TimerDeadlineAhead) {
  IrqMachine m;
  m.Load({Apic(0xf0, kEnable),
          Apic(0x320, 0x40042),
          {kRdtsc},
          {kCall, 0, 1},
          {kWrmsr, 0x6e0, 0},
          {kHlt, 0x42, 1},
          {kRdtsc}});
  CHECK_EQ(1u, m.RunToCall());
  const uint64_t deadline = m.Result(0) + 50000000;
  *m.At<uint64_t>(kScript + 4 * sizeof(Step) + 16) = deadline;
  m.RunToEnd();
  CHECK_EQ(1u, m.Count(0x42));
  CHECK(m.Result(1) >= deadline);
}

CASE(PrioritiesAndTpr) {
  IrqMachine m;
  // Self IPIs with interrupts off: taken from the highest down once they are on, those of
  // TPR's class and below not before it is lowered.
  m.Load({Apic(0xf0, kEnable),
          {kCli},
          {kCr8, 0, 5},
          Apic(0x300, 0x44031),
          Apic(0x300, 0x44061),
          Apic(0x300, 0x44051),
          Apic(0x300, 0x440f1),
          {kRead, kApic + 0x80},
          {kSti},
          {kCall, 0, 7},
          {kCr8, 0, 0},
          {kSpin, 0x31, 1}});
  CHECK_EQ(7u, m.RunToCall());
  CHECK_EQ(0x50u, m.Result(0));
  CHECK_EQ(Text({0xf1, 0x61}), Text(m.Log()));
  m.RunToEnd();
  CHECK_EQ(Text({0xf1, 0x61, 0x51, 0x31}), Text(m.Log()));
}

CASE(X2apic) {
  IrqMachine m;
  *m.At<uint64_t>(kX2apicFlag) = 1;
  m.Run({{kWrmsr, 0x1b, 0xfee00d00},
         {kWrmsr, 0x80f, kEnable},
         {kRdmsr, 0x802},
         {kRdmsr, 0x80d},
         {kWrmsr, 0x83f, 0x55},
         {kHlt, 0x55, 1},
         {kWrmsr, 0x830, 0x44056},
         {kHlt, 0x56, 1},
         // Back to xAPIC mode is #GP, as are a reserved register and a reserved bit.
         {kWrmsr, 0x1b, 0xfee00900},
         {kRdmsr, 0x80e},
         {kWrmsr, 0x830, 0x102056}});
  CHECK_EQ(0u, m.Result(0));
  CHECK_EQ(1u, m.Result(1));
  CHECK_EQ(Text({0x55, 0x56, 13, 13, 13}), Text(m.Log()));
}

CASE(IoapicEdgeAndLevel) {
  IrqMachine m;
  m.Load({Apic(0xf0, kEnable),
          {kOut, 0x21, 0xff},
          {kOut, 0xa1, 0xff},
          // Pin 5: edge, vector 0x45. Pin 9: level, vector 0x49. Both to APIC 0.
          {kWrite, kIoapic, 0x1a},
          {kWrite, kIoapic + 16, 0x45},
          {kWrite, kIoapic, 0x22},
          {kWrite, kIoapic + 16, 0x8049},
          {kCall, 0, 1},
          {kHlt, 0x45, 1},
          {kCall, 0, 2},
          {kHlt, 0x49, 3},
          {kCall, 0, 3}});
  CHECK_EQ(1u, m.RunToCall());
  CHECK(m.LineStatus(5, 1) > 0);
  CHECK_EQ(0, m.LineStatus(5, 1));
  m.Line(5, 0);
  CHECK_EQ(2u, m.RunToCall());
  // A level interrupt comes again after each EOI until the line is lowered.
  m.Line(9, 1);
  CHECK_EQ(3u, m.RunToCall());
  m.Line(9, 0);
  CHECK_EQ(1u, m.Count(0x45));
  CHECK(m.Count(0x49) >= 3);
}

CASE(PicThroughLint0) {
  IrqMachine m;
  // Interrupts of the PIC need no EOI at the local APIC.
  *m.At<uint64_t>(kEoiFlag) = 0;
  m.Load({{kCli},
          {kOut, 0x20, 0x11},
          {kOut, 0x21, 0x30},
          {kOut, 0x21, 4},
          {kOut, 0x21, 1},
          {kOut, 0xa0, 0x11},
          {kOut, 0xa1, 0x38},
          {kOut, 0xa1, 2},
          {kOut, 0xa1, 1},
          {kOut, 0x21, 0},
          {kOut, 0xa1, 0},
          {kSti},
          {kCall, 0, 1},
          {kHlt, 0x34, 1},
          {kOut, 0x20, 0x20},
          {kCall, 0, 2},
          {kHlt, 0x3a, 1},
          {kOut, 0xa0, 0x20},
          {kOut, 0x20, 0x20}});
  CHECK_EQ(1u, m.RunToCall());
  m.Line(4, 1);
  m.Line(4, 0);
  CHECK_EQ(2u, m.RunToCall());
  m.Line(10, 1);
  m.Line(10, 0);
  m.RunToEnd();
  CHECK_EQ(Text({0x34, 0x3a}), Text(m.Log()));
}

CASE(PitThroughPic) {
  IrqMachine m;
  m.CreatePit();
  *m.At<uint64_t>(kEoiFlag) = 0;
  m.Run({{kCli},
         {kOut, 0x20, 0x11},
         {kOut, 0x21, 0x30},
         {kOut, 0x21, 4},
         {kOut, 0x21, 3},
         {kOut, 0x21, 0xfe},
         {kOut, 0xa1, 0xff},
         {kOut, 0x43, 0x34},
         {kOut, 0x40, 0xa9},
         {kOut, 0x40, 0x04},
         {kSti},
         {kHlt, 0x30, 5},
         {kOut, 0x21, 0xff}});
  CHECK(m.Count(0x30) >= 5);
}

CASE(PitThroughIoapic) {
  IrqMachine m;
  m.CreatePit();
  m.Run({Apic(0xf0, kEnable),
         Apic(0x350, 0x10000),
         {kOut, 0x21, 0xff},
         {kOut, 0xa1, 0xff},
         {kWrite, kIoapic, 0x10},
         {kWrite, kIoapic + 16, 0x44},
         {kOut, 0x43, 0x34},
         {kOut, 0x40, 0xa9},
         {kOut, 0x40, 0x04},
         {kHlt, 0x44, 5},
         {kOut, 0x43, 0x30},
         {kIn, 0x61}});
  CHECK(m.Count(0x44) >= 5);
}

CASE(PitChannel2) {
  // As a kernel measures its TSC: gate up, mode 0, wait for OUT in port 0x61.
  IrqMachine m;
  m.CreatePit();
  m.Run({{kOut, 0x61, 1},
         {kOut, 0x43, 0xb0},
         {kOut, 0x42, 0xff},
         {kOut, 0x42, 0xff},
         {kIn, 0x61},
         {kOut, 0x43, 0x80},
         {kIn, 0x42},
         {kIn, 0x42}});
  CHECK_EQ(0x01u, m.Result(0) & 0x21);
  CHECK(m.Result(2) >= 0xf0);
}

CASE(SignalMsi) {
  IrqMachine m;
  m.Load({Apic(0xf0, kEnable), {kCall, 0, 1}, {kHlt, 0x66, 1}});
  CHECK_EQ(1u, m.RunToCall());
  kvm_msi msi{};
  msi.address_lo = 0xfee00000;
  msi.data = 0x66;
  CHECK_EQ(1, kvm::Ioctl(m.vm().fd(), KVM_SIGNAL_MSI, &msi));
  // Pending already, which does not show in the status.
  CHECK_EQ(1, kvm::Ioctl(m.vm().fd(), KVM_SIGNAL_MSI, &msi));
  m.RunToEnd();
  CHECK_EQ(1u, m.Count(0x66));
  msi.flags = 0x8000;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vm().fd(), KVM_SIGNAL_MSI, &msi));
}

// struct kvm_irq_routing with room for entries.
struct Routes {
  uint32_t nr, flags;
  kvm_irq_routing_entry entries[8];
};

CASE(Routing) {
  IrqMachine m;
  Routes routes{};
  auto set = [&] { return kvm::Ioctl(m.vm().fd(), KVM_SET_GSI_ROUTING, &routes); };
  routes.nr = 1;
  routes.entries[0].gsi = 40;
  routes.entries[0].type = KVM_IRQ_ROUTING_MSI;
  routes.entries[0].u.msi.address_lo = 0xfee00000;
  routes.entries[0].u.msi.data = 0x67;
  CHECK_OK(set());
  m.Load({Apic(0xf0, kEnable), {kCall, 0, 1}, {kHlt, 0x67, 1}});
  CHECK_EQ(1u, m.RunToCall());
  CHECK_EQ(-1, m.LineStatus(5, 1));  // no longer routed
  CHECK_EQ(1, m.LineStatus(40, 1));
  m.RunToEnd();
  // One message and something else at the same GSI, a pin that does not exist.
  routes.nr = 2;
  routes.entries[1] = routes.entries[0];
  CHECK_ERRNO(EINVAL, set());
  routes.nr = 1;
  routes.entries[0].type = KVM_IRQ_ROUTING_IRQCHIP;
  routes.entries[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
  routes.entries[0].u.irqchip.pin = 24;
  CHECK_ERRNO(EINVAL, set());
  routes.entries[0].u.irqchip.pin = 23;
  CHECK_OK(set());
  routes.nr = 0;
  CHECK_OK(set());
}

CASE(Irqfd) {
  IrqMachine m;
  kvm::Fd trigger(eventfd(0, EFD_NONBLOCK));
  kvm_irqfd bind{};
  bind.fd = static_cast<uint32_t>(trigger.get());
  bind.gsi = 5;
  CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
  CHECK_ERRNO(EBUSY, kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
  m.Load({Apic(0xf0, kEnable),
          {kWrite, kIoapic, 0x1a},
          {kWrite, kIoapic + 16, 0x45},
          {kCall, 0, 1},
          {kHlt, 0x45, 1},
          {kCall, 0, 2},
          {kHlt, 0x45, 2},
          {kCall, 0, 3}});
  const uint64_t one = 1;
  for (uint32_t i = 1; i <= 2; ++i) {
    CHECK_EQ(i, m.RunToCall());
    CHECK_EQ(8, write(trigger.get(), &one, 8));
  }
  CHECK_EQ(3u, m.RunToCall());
  bind.flags = KVM_IRQFD_FLAG_DEASSIGN;
  CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
  CHECK_EQ(8, write(trigger.get(), &one, 8));
  m.RunToEnd();
  CHECK_EQ(2u, m.Count(0x45));
  // Bound again, and closed before the machine goes.
  bind.flags = 0;
  CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
  trigger.Close();
  bind.fd = 0xfffffff;
  CHECK_ERRNO(EBADF, kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
}

CASE(IrqfdResample) {
  IrqMachine m;
  kvm::Fd trigger(eventfd(0, EFD_NONBLOCK));
  kvm::Fd resample(eventfd(0, EFD_NONBLOCK));
  kvm_irqfd bind{};
  bind.fd = static_cast<uint32_t>(trigger.get());
  bind.resamplefd = static_cast<uint32_t>(resample.get());
  bind.gsi = 9;
  bind.flags = KVM_IRQFD_FLAG_RESAMPLE;
  CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
  m.Load({Apic(0xf0, kEnable),
          {kWrite, kIoapic, 0x22},
          {kWrite, kIoapic + 16, 0x8049},
          {kCall, 0, 1},
          {kHlt, 0x49, 1},
          {kCall, 0, 2}});
  CHECK_EQ(1u, m.RunToCall());
  uint64_t value = 1;
  CHECK_EQ(8, write(trigger.get(), &value, 8));
  CHECK_EQ(2u, m.RunToCall());
  // The EOI lowered the line, so there was one interrupt, and said so.
  CHECK_EQ(8, read(resample.get(), &value, 8));
  CHECK_EQ(1u, value);
  m.RunToEnd();
  CHECK_EQ(1u, m.Count(0x49));
}

CASE(StateOfTheChips) {
  IrqMachine m;
  kvm_irqchip chip{};
  for (uint32_t id = 0; id < 3; ++id) {
    chip.chip_id = id;
    CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_GET_IRQCHIP, &chip));
    CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_SET_IRQCHIP, &chip));
  }
  CHECK_EQ(0xfec00000u, chip.chip.ioapic.base_address);
  CHECK_EQ(1, chip.chip.ioapic.redirtbl[0].fields.mask);
  chip.chip_id = 3;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vm().fd(), KVM_GET_IRQCHIP, &chip));
  CHECK_EQ(0x00050014u, Register(m.vcpu(), 0x30));
  CHECK_EQ(0x700u, Register(m.vcpu(), 0x350));  // the boot processor takes the PIC
  CHECK_ERRNO(EEXIST, kvm::Ioctl(m.vm().fd(), KVM_CREATE_IRQCHIP));
  kvm_pit_state2 pit;
  CHECK_ERRNO(ENXIO, kvm::Ioctl(m.vm().fd(), KVM_GET_PIT2, &pit));
}

// The second processor: starts in real mode at 0x7000, switches to x2APIC mode, counts at
// 0x7f00, then counts interrupts with vector 0x40 at 0x7f04.
GUEST_CODE(second, 16, R"(
  cli
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %ss
  mov $0x7e00, %sp
  mov $0x1b, %ecx
  mov $0xfee00c00, %eax
  xor %edx, %edx
  wrmsr
  mov $0x80f, %ecx
  mov $0x1ff, %eax
  wrmsr
  movw $(0x7000 + 1f - second_begin), 0x100
  movw $0, 0x102
  lock incl 0x7f00
0: sti
  hlt
  jmp 0b
1: push %eax
  push %ecx
  push %edx
  lock incl 0x7f04
  mov $0x80b, %ecx
  xor %eax, %eax
  xor %edx, %edx
  wrmsr
  pop %edx
  pop %ecx
  pop %eax
  iret
)");

// Runs a vCPU in a thread of its own until told to stop.
class Runner {
 public:
  explicit Runner(kvm::Vcpu& vcpu) : vcpu_(vcpu) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, nullptr);
    thread_ = std::thread([this] {
      while (!stop_) {
        const int error = vcpu_.Run();
        if (error == EINTR || error == EAGAIN) continue;
        status_ = error != 0 ? error : 1000 + static_cast<int>(vcpu_.run()->exit_reason);
        break;
      }
      done_ = true;
    });
  }
  ~Runner() { Stop(); }
  // 0, the errno of KVM_RUN, or 1000 and the exit reason.
  int Stop() {
    stop_ = true;
    while (!done_) {
      pthread_kill(thread_.native_handle(), SIGUSR1);
      usleep(1000);
    }
    if (thread_.joinable()) thread_.join();
    return status_;
  }

 private:
  kvm::Vcpu& vcpu_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> done_ = false;
  std::atomic<int> status_ = 0;
  std::thread thread_;
};

CASE(StartSecondProcessor) {
  IrqMachine m;
  std::memcpy(m.low() + 0x7000, second.begin, static_cast<size_t>(second.end - second.begin));
  kvm::Vcpu ap = m.vm().AddVcpu(1);
  ap.SetSupportedCpuid();
  kvm_mp_state state;
  CHECK_OK(kvm::Ioctl(ap.fd(), KVM_GET_MP_STATE, &state));
  CHECK_EQ(KVM_MP_STATE_UNINITIALIZED, state.mp_state);
  *m.At<uint64_t>(kX2apicFlag) = 1;
  constexpr uint64_t kAp = 1ull << 32;
  m.Load({{kWrmsr, 0x1b, 0xfee00d00},
          {kWrmsr, 0x80f, kEnable},
          {kWrmsr, 0x830, kAp | 0x4500},
          {kWrmsr, 0x830, kAp | 0x4607},
          {kCall, 0, 1},
          {kWrmsr, 0x830, kAp | 0x4040},
          {kCall, 0, 2},
          // By its logical ID, and to all others.
          {kWrmsr, 0x830, 2ull << 32 | 0x4840},
          {kCall, 0, 3},
          {kWrmsr, 0x830, 0xc4040},
          {kCall, 0, 4},
          // A SIPI that nobody waits for changes nothing.
          {kWrmsr, 0x830, kAp | 0x4600},
          {kWrmsr, 0x830, kAp | 0x4040},
          {kCall, 0, 5}});
  Runner runner(ap);
  auto wait_for = [&](uint64_t gpa, uint32_t want) {
    for (int i = 0; i < 3000 && *m.At<uint32_t>(gpa) < want; ++i) usleep(1000);
    return *m.At<uint32_t>(gpa);
  };
  CHECK_EQ(1u, m.RunToCall());
  CHECK_EQ(1u, wait_for(0x7f00, 1));
  for (uint32_t i = 1; i <= 4; ++i) {
    CHECK_EQ(i + 1, m.RunToCall());
    CHECK_EQ(i, wait_for(0x7f04, i));
  }
  CHECK_EQ(1u, *m.At<uint32_t>(0x7f00));
  CHECK_EQ(0, runner.Stop());
  kvm_mp_state after;
  CHECK_OK(kvm::Ioctl(ap.fd(), KVM_GET_MP_STATE, &after));
  CHECK_EQ(KVM_MP_STATE_HALTED, after.mp_state);
}

// Everything that can fire by itself is armed when the machine goes.
CASE(DestroyWithTimersRunning) {
  for (int round = 0; round < 10; ++round) {
    IrqMachine m;
    m.CreatePit();
    kvm::Fd trigger(eventfd(1, EFD_NONBLOCK));
    kvm::Fd resample(eventfd(0, EFD_NONBLOCK));
    kvm_irqfd bind{};
    bind.fd = static_cast<uint32_t>(trigger.get());
    bind.resamplefd = static_cast<uint32_t>(resample.get());
    bind.gsi = 9;
    bind.flags = round & 1 ? KVM_IRQFD_FLAG_RESAMPLE : 0;
    CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
    m.Run({Apic(0xf0, kEnable),
           {kOut, 0x21, 0xff},
           {kOut, 0xa1, 0xff},
           {kWrite, kIoapic, 0x22},
           {kWrite, kIoapic + 16, 0x8049},
           {kWrite, kIoapic, 0x10},
           {kWrite, kIoapic + 16, 0x44},
           {kOut, 0x43, 0x34},
           {kOut, 0x40, 0},
           {kOut, 0x40, 1},
           Apic(0x3e0, 0xb),
           Apic(0x320, 0x20041),
           Apic(0x380, 200000),
           {kSpin, 0x41, 1}});
    if (round & 2) trigger.Close();
  }
}

// Lines, messages, eventfds and routes change under a guest that takes what comes.
CASE(EverybodyAtOnce) {
  IrqMachine m;
  m.CreatePit();
  kvm::Fd trigger(eventfd(0, EFD_NONBLOCK));
  kvm_irqfd bind{};
  bind.fd = static_cast<uint32_t>(trigger.get());
  bind.gsi = 20;
  CHECK_OK(kvm::Ioctl(m.vm().fd(), KVM_IRQFD, &bind));
  std::atomic<bool> stop = false;
  std::atomic<int> failures = 0;
  auto loop = [&](auto body) {
    return std::thread([&, body] {
      for (unsigned i = 0; !stop; ++i) {
        if (body(i) < 0) ++failures;
        // Not so often that the guest never gets to its timer, the lowest priority of all.
        usleep(1000);
      }
    });
  };
  const int vm = m.vm().fd();
  std::vector<std::thread> threads;
  threads.push_back(loop([&](unsigned i) {
    kvm_irq_level line{};
    line.irq = i % 24;
    line.level = i / 24 & 1;
    return kvm::Ioctl(vm, KVM_IRQ_LINE, &line);
  }));
  threads.push_back(loop([&](unsigned i) {
    kvm_msi msi{};
    msi.address_lo = 0xfee00000;
    msi.data = 0x80 + i % 8;
    // Nobody takes it before the guest enabled its APIC.
    const int status = kvm::Ioctl(vm, KVM_SIGNAL_MSI, &msi);
    return status < 0 && errno == EPERM ? 0 : status;
  }));
  threads.push_back(loop([&](unsigned) {
    const uint64_t one = 1;
    return static_cast<int>(write(trigger.get(), &one, 8));
  }));
  threads.push_back(loop([&](unsigned i) {
    Routes routes{};
    routes.nr = 4;
    for (uint32_t n = 0; n < 4; ++n) {
      routes.entries[n].gsi = 18 + n;
      routes.entries[n].type = i & 1 ? KVM_IRQ_ROUTING_IRQCHIP : KVM_IRQ_ROUTING_MSI;
      if (i & 1) {
        routes.entries[n].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
        routes.entries[n].u.irqchip.pin = 18 + n;
      } else {
        routes.entries[n].u.msi.address_lo = 0xfee00000;
        routes.entries[n].u.msi.data = 0x90 + n;
      }
    }
    return kvm::Ioctl(vm, KVM_SET_GSI_ROUTING, &routes);
  }));
  m.Load({Apic(0xf0, kEnable),
          {kOut, 0x21, 0xff},
          {kOut, 0xa1, 0xff},
          {kWrite, kIoapic, 0x34},
          {kWrite, kIoapic + 16, 0x8052},
          {kWrite, kIoapic, 0x38},
          {kWrite, kIoapic + 16, 0x54},
          Apic(0x3e0, 0xb),
          Apic(0x320, 0x20041),
          Apic(0x380, 300000),
          {kHlt, 0x41, 50},
          Apic(0x380, 0)});
  // The log would overflow into the script.
  std::thread cleaner = loop([&](unsigned) {
    *m.At<uint64_t>(kLogLength) = 0;
    return 0;
  });
  m.RunToEnd();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  cleaner.join();
  CHECK_EQ(0, failures.load());
  CHECK(m.Count(0x80) > 0);
  CHECK(m.Count(0x92) > 0);
}

}  // namespace

int main(int argc, char** argv) {
  // An interrupt that never comes leaves the guest halted.
  alarm(240);
  return check::Main(argc, argv);
}
