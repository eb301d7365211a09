// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/walker.h"

#include <sys/mman.h>

namespace guest {

GUEST_CODE(walk_code, 64, R"(
0: in $0x20, %al
  mov %rsi, %rbx
  mov %rcx, %rbp
  test %r8, %r8
  jnz 4f
  test %rdi, %rdi
  jz 2f
1: add %rdi, (%rbx)
  add %rdx, %rbx
  dec %rbp
  jnz 1b
  jmp 3f
2: mov (%rbx), %rax
  add %rdx, %rbx
  dec %rbp
  jnz 2b
3: out %al, $0x10
  jmp 0b
4: call *%rbx
  add %rdx, %rbx
  dec %rbp
  jnz 4b
  jmp 3b
)");

const Code kWalkCode = walk_code;

void Tell(kvm::Vcpu& vcpu, const Walk& walk) {
  kvm_regs regs = vcpu.regs();
  regs.rsi = walk.base;
  regs.rcx = walk.pages;
  regs.rdi = walk.add;
  regs.rdx = walk.stride;
  regs.r8 = walk.call;
  vcpu.SetRegs(regs);
}

void Prepare(kvm::Vcpu& vcpu, const Walk& walk) {
  vcpu.RunUntil(KVM_EXIT_IO);
  CHECK_EQ(0x20, vcpu.run()->io.port);
  Tell(vcpu, walk);
}

void Go(kvm::Vcpu& vcpu) {
  vcpu.RunUntil(KVM_EXIT_IO);
  CHECK_EQ(0x10, vcpu.run()->io.port);
}

kvm::Mapping SmallPages(size_t bytes) {
  kvm::Mapping memory(bytes, MAP_PRIVATE | MAP_ANONYMOUS);
  madvise(memory.data(), bytes, MADV_NOHUGEPAGE);
  for (size_t at = 0; at < bytes; at += kPageBytes) memory.data()[at] = 1;
  return memory;
}

SlotWalker::SlotWalker(size_t pages, uint32_t flags)
    : memory_(SmallPages(pages * kPageBytes)), machine_(kWalkCode, Mode::kLong64) {
  machine_.vm().Map(1, kWalkBase, memory_.size(), memory_.data(), flags);
  machine_.vcpu().RunUntil(KVM_EXIT_IO);
}

void SlotWalker::Round(size_t pages, uint64_t add) {
  Tell(machine_.vcpu(), {.pages = pages, .add = add});
  Go(machine_.vcpu());
  machine_.vcpu().RunUntil(KVM_EXIT_IO);
}

}  // namespace guest
