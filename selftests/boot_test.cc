// SPDX-License-Identifier: GPL-2.0-or-later
// First light: guest code runs in every mode that the machine can start in, and the mode
// switches that a boot loader makes work.
#include <cpuid.h>

#include <cstring>
#include <string>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

GUEST_CODE(real_hello, 16, R"(
  mov $(1f - real_hello_begin), %si
  mov %cs, %ax
  mov %ax, %ds
  mov $0x3f8, %dx
0: lodsb
  test %al, %al
  jz 2f
  out %al, %dx
  jmp 0b
1: .asciz "hello from real mode"
2: hlt
)");

CASE(RealMode) {
  Machine m(real_hello, Mode::kReal);
  std::string text;
  while (true) {
    CHECK_EQ(0, m.vcpu().Run());
    if (m.run()->exit_reason == KVM_EXIT_HLT) break;
    CHECK_EQ(KVM_EXIT_IO, m.run()->exit_reason);
    CHECK_EQ(0x3f8, m.run()->io.port);
    CHECK_EQ(1, m.run()->io.size);
    text += static_cast<char>(m.vcpu().page()[m.run()->io.data_offset]);
  }
  CHECK_EQ(std::string("hello from real mode"), text);
}

GUEST_CODE(sum32, 32, R"(
  xor %eax, %eax
  mov $100, %ecx
0: add %ecx, %eax
  loop 0b
  mov %eax, 0x20000
  out %eax, $0x10
  hlt
)");

CASE(ProtectedModeWithoutPaging) {
  Machine m(sum32, Mode::kProtected32);
  CHECK_EQ(5050u, m.RunUntilOut(0x10));
  CHECK_EQ(5050u, *m.At<uint32_t>(guest::kData));
  m.RunUntilHlt();
}

GUEST_CODE(sum64, 64, R"(
  xor %eax, %eax
  mov $1000, %ecx
  movabs $0x100000000, %rbx
0: add %rbx, %rax
  dec %ecx
  jnz 0b
  mov %rax, 0x20000
  mov %rax, %r15
  shr $32, %rax
  out %eax, $0x10
  hlt
)");

CASE(LongMode) {
  Machine m(sum64, Mode::kLong64);
  CHECK_EQ(1000u, m.RunUntilOut(0x10));
  CHECK_EQ(1000ull << 32, *m.At<uint64_t>(guest::kData));
  m.RunUntilHlt();
  CHECK_EQ(1000ull << 32, m.vcpu().regs().r15);
}

// Real mode, protected mode, long mode, as a boot loader goes. Tables and GDT are the test's.
GUEST_CODE(switch_modes, 16, R"(
  cli
  mov $0x9800, %bx
  xor %ax, %ax
  mov %ax, %ds
  lgdtl 0x9800
  mov %cr0, %eax
  or $1, %eax
  mov %eax, %cr0
  ljmpl $0x08, $(0x10000 + 1f - switch_modes_begin)
.code32
1: mov $0x18, %ax
  mov %ax, %ds
  mov %ax, %es
  mov %ax, %ss
  mov $0x32, %al
  out %al, $0x10
  mov %cr4, %eax
  or $0x20, %eax
  mov %eax, %cr4
  mov $0x1000, %eax
  mov %eax, %cr3
  mov $0xc0000080, %ecx
  rdmsr
  or $0x100, %eax
  wrmsr
  mov %cr0, %eax
  or $0x80000000, %eax
  mov %eax, %cr0
  ljmpl $0x10, $(0x10000 + 2f - switch_modes_begin)
.code64
2: mov $0xc0000080, %ecx
  rdmsr
  out %eax, $0x11
  movabs $0x123456789abcdef0, %r8
  mov %r8, 0x20000
  mov %cr0, %rax
  and $0x7fffffff, %rax
  ljmpl *(3f)(%rip)
3: .long 0x10000 + 4f - switch_modes_begin
  .word 0x08
.code32
4: mov %cr0, %eax
  and $0x7fffffff, %eax
  mov %eax, %cr0
  mov $0xc0000080, %ecx
  rdmsr
  out %eax, $0x12
  hlt
)");

CASE(SwitchModes) {
  // Tables and GDT as for long mode, but the vCPU starts in real mode.
  Machine m(switch_modes, Mode::kLong64);
  struct __attribute__((packed)) {
    uint16_t limit;
    uint32_t base;
  } gdtr{47, guest::kGdt};
  std::memcpy(m.low() + 0x9800, &gdtr, sizeof(gdtr));
  kvm_sregs sregs = m.vcpu().sregs();
  sregs.cr0 = 0x10;
  sregs.cr4 = 0;
  sregs.cr3 = 0;
  sregs.efer = 0;
  for (kvm_segment* s : {&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss}) {
    *s = {};
    s->limit = 0xffff;
    s->type = 3;
    s->present = 1;
    s->s = 1;
  }
  sregs.cs.type = 11;
  sregs.cs.base = guest::kCode;
  sregs.cs.selector = guest::kCode >> 4;
  m.vcpu().SetSregs(sregs);
  kvm_regs regs{};
  regs.rflags = 2;
  regs.rsp = 0xfff0;
  m.vcpu().SetRegs(regs);

  CHECK_EQ(0x32u, m.RunUntilOut(0x10));
  CHECK_EQ(0x500u, m.RunUntilOut(0x11));
  CHECK_EQ(0x100u, m.RunUntilOut(0x12));
  CHECK_EQ(0x123456789abcdef0ull, *m.At<uint64_t>(guest::kData));
  m.RunUntilHlt();
  CHECK_EQ(0x100ull, m.vcpu().sregs().efer);
}

GUEST_CODE(cpuid_signature, 64, R"(
  mov $0x40000000, %edi
  xor %eax, %eax
  cpuid
  mov %ebx, 0x20000
  mov %edx, 0x20004
  mov %ecx, 0x20008
  out %eax, $0x10
  hlt
)");

CASE(Cpuid) {
  Machine m(cpuid_signature, Mode::kLong64);
  unsigned eax, ebx, ecx, edx;
  __cpuid(0, eax, ebx, ecx, edx);
  CHECK(m.RunUntilOut(0x10) <= eax);
  CHECK_EQ(ebx, *m.At<uint32_t>(guest::kData));
  CHECK_EQ(edx, *m.At<uint32_t>(guest::kData + 4));
  CHECK_EQ(ecx, *m.At<uint32_t>(guest::kData + 8));
}

GUEST_CODE(msrs, 64, R"(
  mov $0x277, %ecx
  rdmsr
  out %eax, $0x10
  mov $0x00070406, %eax
  mov $0x00070106, %edx
  wrmsr
  rdmsr
  out %eax, $0x11
  mov $0xc0000100, %ecx
  mov $0x1000, %eax
  xor %edx, %edx
  wrmsr
  mov %fs:0x1f000, %eax
  out %eax, $0x12
  hlt
)");

CASE(Msrs) {
  Machine m(msrs, Mode::kLong64);
  *m.At<uint32_t>(guest::kData) = 77;
  CHECK_EQ(0x00070406u, m.RunUntilOut(0x10));
  CHECK_EQ(0x00070406u, m.RunUntilOut(0x11));
  CHECK_EQ(77u, m.RunUntilOut(0x12));
  m.RunUntilHlt();
}

GUEST_CODE(triple_fault, 64, R"(
  lidt 0x20000
  ud2
)");

CASE(TripleFault) {
  Machine m(triple_fault, Mode::kLong64);
  m.vcpu().RunUntil(KVM_EXIT_SHUTDOWN);
}

// #UD goes through the guest's own IDT: the handler adds the length of ud2 and returns.
GUEST_CODE(own_idt, 64, R"(
  lidt 0x9800
  ud2
  mov $1, %eax
  out %eax, $0x10
  int3
  mov $2, %eax
  out %eax, $0x10
  hlt
.skip 0x100 - (. - own_idt_begin)
  addq $2, (%rsp)
  iretq
.skip 0x200 - (. - own_idt_begin)
  iretq
)");

CASE(Exceptions) {
  Machine m(own_idt, Mode::kLong64);
  auto gate = [&](int vector, uint64_t target) {
    uint64_t low =
        (target & 0xffff) | (0x10ull << 16) | (0x8eull << 40) | ((target >> 16 & 0xffff) << 48);
    std::memcpy(m.low() + guest::kIdt + vector * 16, &low, 8);
    uint64_t high = target >> 32;
    std::memcpy(m.low() + guest::kIdt + vector * 16 + 8, &high, 8);
  };
  gate(6, guest::kCode + 0x100);
  gate(3, guest::kCode + 0x200);
  struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } idtr{0xfff, guest::kIdt};
  std::memcpy(m.low() + 0x9800 + 0, &idtr, sizeof(idtr));
  CHECK_EQ(1u, m.RunUntilOut(0x10));
  CHECK_EQ(2u, m.RunUntilOut(0x10));
  m.RunUntilHlt();
}

GUEST_CODE(spin, 64, R"(
  mov $0x1234567, %ecx
0: dec %ecx
  jnz 0b
  fninit
  fld1
  fldpi
  movq %rax, %xmm0
  pxor %xmm1, %xmm1
  out %al, $0x10
  movq %xmm0, %rax
  out %eax, $0x11
  hlt
)");

// The guest's registers survive exits, the test's own floating point included.
CASE(RegistersSurvive) {
  Machine m(spin, Mode::kLong64);
  kvm_sregs sregs = m.vcpu().sregs();
  sregs.cr4 |= 0x600;
  m.vcpu().SetSregs(sregs);
  kvm_regs regs = m.vcpu().regs();
  regs.rax = 0x5a5aa5a5;
  regs.r12 = 0x1122334455667788;
  m.vcpu().SetRegs(regs);
  double mine = 1.5;
  m.RunUntilOut(0x10);
  mine = mine * 3;
  CHECK_EQ(0x5a5aa5a5u, m.RunUntilOut(0x11));
  CHECK_EQ(4.5, mine);
  CHECK_EQ(0x1122334455667788ull, m.vcpu().regs().r12);
  m.RunUntilHlt();
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
