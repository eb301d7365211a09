// SPDX-License-Identifier: GPL-2.0-or-later
// What a vCPU keeps and delivers: extended state beside the host's own, interrupts, NMIs,
// debugging.
#include <sys/syscall.h>

#include <cstring>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::kCode;
using guest::kData;
using guest::kIdt;
using guest::Machine;
using guest::Mode;

// Handlers stand at fixed offsets of the code, by .skip.
void SetGate(Machine& m, unsigned vector, uint64_t offset) {
  const uint64_t address = kCode + offset;
  volatile uint64_t* gate = m.At<uint64_t>(kIdt + vector * 16);
  gate[0] = (address & 0xffff) | 0x10ull << 16 | 0x8e00ull << 32 | (address >> 16 & 0xffff) << 48;
  gate[1] = address >> 32;
  kvm_sregs sregs = m.vcpu().sregs();
  sregs.idt.base = kIdt;
  sregs.idt.limit = 0xfff;
  m.vcpu().SetSregs(sregs);
}

bool Offers(Machine& m, uint32_t leaf, uint32_t index, uint32_t kvm_cpuid_entry2::*word,
            uint32_t bit) {
  for (const kvm_cpuid_entry2& entry : kvm::SupportedCpuid(m.vm().device()))
    if (entry.function == leaf && entry.index == index) return (entry.*word >> bit & 1) != 0;
  return false;
}

#define ALL_ZMM \
  "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31"

// Fills the registers from kData, then compares after every exit.
GUEST_CODE(avx512, 64,
           R"(
  mov %cr4, %rax
  or $0x40600, %eax
  mov %rax, %cr4
  xor %ecx, %ecx
  mov $0xe7, %eax
  xor %edx, %edx
  xsetbv
  mov $0x20000, %rbx
  .irp n,)" ALL_ZMM R"(
  vmovdqu64 64*\n(%rbx), %zmm\n
  .endr
  mov $0x5aa5, %eax
  kmovw %eax, %k3
  mov $100, %r12d
1:
  out %al, $0x10
  .irp n,)" ALL_ZMM R"(
  vmovdqu64 %zmm\n, 0x1000+64*\n(%rbx)
  .endr
  mov %rbx, %rsi
  lea 0x1000(%rbx), %rdi
  mov $2048, %ecx
  cld
  repe cmpsb
  jne 2f
  kmovw %k3, %eax
  cmp $0x5aa5, %eax
  jne 2f
  dec %r12d
  jnz 1b
  mov $1, %al
  out %al, $0x11
2:
  mov $2, %al
  out %al, $0x11
)");

// KVM_RUN with two of the host's vector registers filled: nothing between may touch them.
long RunWithVectors(int fd, const uint8_t* in, uint8_t* out) {
  long ret = SYS_ioctl;
  asm volatile(
      "vmovdqu64 (%[in]), %%zmm5\n vmovdqu64 64(%[in]), %%zmm21\n"
      "syscall\n"
      "vmovdqu64 %%zmm5, (%[out])\n vmovdqu64 %%zmm21, 64(%[out])\n"
      : "+a"(ret)
      : "D"(static_cast<long>(fd)), "S"(static_cast<unsigned long>(KVM_RUN)),
        "d"(0ul), [in] "r"(in), [out] "r"(out)
      : "rcx", "r11", "memory", "xmm5");
  return ret;
}

CASE(ExtendedState) {
  Machine m(avx512, Mode::kLong64);
  if (!__builtin_cpu_supports("avx512f") || !Offers(m, 7, 0, &kvm_cpuid_entry2::ebx, 16))
    check::Skip("no AVX-512 here");
  for (unsigned i = 0; i < 2048; ++i)
    *m.At<uint8_t>(kData + i) = static_cast<uint8_t>(i * 7 + i / 64 + 1);
  uint8_t host[128], seen[128];
  for (unsigned i = 0; i < sizeof(host); ++i) host[i] = static_cast<uint8_t>(0xf0 - i);
  unsigned exits = 0;
  for (;;) {
    std::memset(seen, 0, sizeof(seen));
    long ret;
    do {
      ret = RunWithVectors(m.vcpu().fd(), host, seen);
      CHECK_EQ(0, std::memcmp(host, seen, sizeof(host)));
    } while (ret == -EINTR);
    CHECK_EQ(0L, ret);
    CHECK_EQ(static_cast<uint32_t>(KVM_EXIT_IO), m.run()->exit_reason);
    if (m.run()->io.port == 0x11) break;
    ++exits;
  }
  CHECK_EQ(1, *(m.vcpu().page() + m.run()->io.data_offset));
  CHECK_EQ(100u, exits);

  // The same state as user space sees it: the header says what is in use, YMM is not zero.
  kvm_xsave xsave;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_XSAVE, &xsave));
  CHECK_EQ(0xe6u, xsave.region[512 / 4] & 0xe6);
  kvm_xcrs xcrs;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_XCRS, &xcrs));
  CHECK_EQ(0xe7ull, xcrs.xcrs[0].value);
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_SET_XSAVE, &xsave));
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_SET_XCRS, &xcrs));
  // AVX without SSE cannot be.
  xcrs.xcrs[0].value = 5;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vcpu().fd(), KVM_SET_XCRS, &xcrs));
}

GUEST_CODE(bad_xsetbv, 64, R"(
  mov %cr4, %rax
  or $0x40000, %eax
  mov %rax, %cr4
  xor %ecx, %ecx
  mov $6, %eax
  xor %edx, %edx
  xsetbv
  hlt
.skip 0x100 - (. - bad_xsetbv_begin), 0x90
  mov $13, %al
  out %al, $0x20
)");

CASE(XsetbvFaults) {
  Machine m(bad_xsetbv, Mode::kLong64);
  if (!Offers(m, 1, 0, &kvm_cpuid_entry2::ecx, 26)) check::Skip("no XSAVE here");
  SetGate(m, 13, 0x100);
  CHECK_EQ(13u, m.RunUntilOut(0x20));
}

GUEST_CODE(protection_key, 64, R"(
  mov %cr4, %rax
  or $0x400000, %eax
  mov %rax, %cr4
  xor %ecx, %ecx
  xor %edx, %edx
  mov $0x12345670, %eax
  wrpkru
  mov $0, %eax
  out %al, $0x10
  xor %ecx, %ecx
  rdpkru
  out %eax, $0x10
)");

CASE(ProtectionKeys) {
  Machine m(protection_key, Mode::kLong64);
  if (!Offers(m, 7, 0, &kvm_cpuid_entry2::ecx, 3)) check::Skip("no protection keys here");
  m.RunUntilOut(0x10);
  CHECK_EQ(0x12345670u, m.RunUntilOut(0x10));
}

GUEST_CODE(window, 64, R"(
  cli
  out %al, $0x10
  sti
  nop
  nop
  cli
  hlt
.skip 0x100 - (. - window_begin), 0x90
  mov $0x30, %al
  out %al, $0x12
  iretq
)");

// The interrupt controller is user space's: it injects by hand, when the guest is open.
CASE(InterruptWindow) {
  Machine m(window, Mode::kLong64);
  SetGate(m, 0x30, 0x100);
  m.RunUntilOut(0x10);
  CHECK_EQ(0, m.run()->ready_for_interrupt_injection);
  CHECK_EQ(0, m.run()->if_flag);
  m.run()->request_interrupt_window = 1;
  m.vcpu().RunUntil(KVM_EXIT_IRQ_WINDOW_OPEN);
  CHECK_EQ(1, m.run()->ready_for_interrupt_injection);
  m.run()->request_interrupt_window = 0;
  kvm_interrupt irq = {0x30};
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_INTERRUPT, &irq));
  CHECK_EQ(0x30u, m.RunUntilOut(0x12));
  m.RunUntilHlt();
  irq.irq = 256;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vcpu().fd(), KVM_INTERRUPT, &irq));
}

GUEST_CODE(nmi, 64, R"(
  out %al, $0x10
  nop
  hlt
.skip 0x100 - (. - nmi_begin), 0x90
  out %al, $0x20
  nop
  out %al, $0x21
  iretq
)");

// While one is being handled, another waits for IRET.
CASE(NmiBlocking) {
  Machine m(nmi, Mode::kLong64);
  SetGate(m, 2, 0x100);
  m.RunUntilOut(0x10);
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_NMI));
  m.RunUntilOut(0x20);
  kvm_vcpu_events events;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_VCPU_EVENTS, &events));
  CHECK_EQ(1, events.nmi.masked);
  CHECK_EQ(0, events.nmi.pending);
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_NMI));
  m.RunUntilOut(0x21);
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_VCPU_EVENTS, &events));
  CHECK_EQ(1, events.nmi.pending);
  m.RunUntilOut(0x20);
  m.RunUntilOut(0x21);
  m.RunUntilHlt();
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_VCPU_EVENTS, &events));
  CHECK_EQ(0, events.nmi.masked);
}

GUEST_CODE(injected, 64, R"(
  hlt
.skip 0x100 - (. - injected_begin), 0x90
  pop %rax
  out %eax, $0x20
)");

// An exception that user space restored is delivered, with its error code.
CASE(InjectedException) {
  Machine m(injected, Mode::kLong64);
  SetGate(m, 13, 0x100);
  kvm_vcpu_events events;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_VCPU_EVENTS, &events));
  events.exception.injected = 1;
  events.exception.nr = 13;
  events.exception.has_error_code = 1;
  events.exception.error_code = 0x128;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_SET_VCPU_EVENTS, &events));
  CHECK_EQ(0x128u, m.RunUntilOut(0x20));
  events.exception.nr = 2;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vcpu().fd(), KVM_SET_VCPU_EVENTS, &events));
  events.exception.nr = 32;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vcpu().fd(), KVM_SET_VCPU_EVENTS, &events));
}

// State that hardware refuses: the exit says so, nothing is lost, a corrected vCPU runs.
CASE(RefusedEntry) {
  Machine m(injected, Mode::kLong64);
  kvm_regs regs = m.vcpu().regs();
  regs.rflags |= 1u << 17;  // virtual-8086 mode does not exist in long mode
  regs.rbx = 0x1234;
  m.vcpu().SetRegs(regs);
  for (unsigned i = 0; i < 2; ++i) {
    m.vcpu().RunUntil(KVM_EXIT_FAIL_ENTRY);
    CHECK_EQ(0x80000021ull, m.run()->fail_entry.hardware_entry_failure_reason);
  }
  regs.rflags = 0x202;
  m.vcpu().SetRegs(regs);
  m.RunUntilHlt();
  CHECK_EQ(0x1234ull, m.vcpu().regs().rbx);
}

GUEST_CODE(debugged, 64, R"(
  nop
  nop
  mov $1, %eax
  int3
  hlt
)");

void Debug(Machine& m, uint32_t control, uint64_t address = 0, uint64_t dr7 = 0) {
  kvm_guest_debug debug{};
  debug.control = control;
  debug.arch.debugreg[0] = address;
  debug.arch.debugreg[7] = dr7;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_SET_GUEST_DEBUG, &debug));
}

void ExpectDebug(Machine& m, uint64_t pc, uint32_t exception) {
  m.vcpu().RunUntil(KVM_EXIT_DEBUG);
  CHECK_EQ(exception, m.run()->debug.arch.exception);
  CHECK_EQ(pc, m.run()->debug.arch.pc);
}

void Step(Machine& m) {
  Debug(m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP);
  m.vcpu().RunUntil(KVM_EXIT_DEBUG);
}

CASE(GuestDebug) {
  Machine m(debugged, Mode::kLong64);
  // Bochs may report the step before the first instruction: where it stops is not judged.
  Step(m);
  CHECK_EQ(1u, m.run()->debug.arch.exception);
  CHECK_EQ(0x4000u, m.run()->debug.arch.dr6 & 0x4000);
  CHECK(m.run()->debug.arch.pc <= kCode + 1);
  // The debugger's trap flag is none of the guest's.
  CHECK_EQ(0u, m.vcpu().regs().rflags & 0x100);
  Debug(m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP, kCode + 7, 0x402);
  ExpectDebug(m, kCode + 7, 1);
  CHECK_EQ(1u, m.run()->debug.arch.dr6 & 0xf);
  Debug(m, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
  ExpectDebug(m, kCode + 7, 3);
  kvm_regs regs = m.vcpu().regs();
  regs.rip = kCode + 8;
  m.vcpu().SetRegs(regs);
  Debug(m, 0);
  m.RunUntilHlt();
  kvm_guest_debug debug{};
  debug.control = 1u << 31;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(m.vcpu().fd(), KVM_SET_GUEST_DEBUG, &debug));
}

GUEST_CODE(shadowed, 64, R"(
  sti
  nop
  nop
  hlt
)");

// In the shadow of STI every step still ends one instruction later, and a debugger that leaves
// there leaves nothing behind.
CASE(StepInInterruptShadow) {
  for (const uint64_t last : {kCode + 1, kCode + 3}) {
    Machine m(shadowed, Mode::kLong64);
    unsigned steps = 0;
    do {
      Step(m);
      CHECK(++steps <= 16);  // the emulator may report a step several times
    } while (m.run()->debug.arch.pc < last);
    Debug(m, 0);
    m.RunUntilHlt();
    CHECK_EQ(kCode + 4, m.vcpu().regs().rip);
  }
}

GUEST_CODE(own_breakpoint, 64, R"(
  mov $0x10020, %eax
  mov %rax, %dr0
  mov $0x402, %eax
  mov %rax, %dr7
  out %al, $0x10
  jmp 1f
.skip 0x20 - (. - own_breakpoint_begin), 0x90
1:
  hlt
.skip 0x100 - (. - own_breakpoint_begin), 0x90
  mov %dr6, %rax
  out %eax, $0x20
  mov %dr0, %rax
  out %eax, $0x20
)");

// The guest's own breakpoints, also across an exit.
CASE(GuestBreakpoint) {
  Machine m(own_breakpoint, Mode::kLong64);
  SetGate(m, 1, 0x100);
  m.RunUntilOut(0x10);
  CHECK_EQ(1u, m.RunUntilOut(0x20) & 0xf);
  CHECK_EQ(0x10020u, m.RunUntilOut(0x20));
  kvm_debugregs regs;
  CHECK_OK(kvm::Ioctl(m.vcpu().fd(), KVM_GET_DEBUGREGS, &regs));
  CHECK_EQ(0x10020ull, regs.db[0]);
  CHECK_EQ(0x402ull, regs.dr7);
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
