// SPDX-License-Identifier: GPL-2.0-or-later

#include "native_cpu.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vmm {
namespace {

// Lives at kState; the trampoline addresses it by absolute 32-bit displacements.
struct Shared {
  CpuState cpu;
  uint64_t host_rsp;
  uint32_t far_offset;   // into 32-bit code
  uint16_t far_selector;
  uint16_t pad;
  uint32_t back_offset;  // and back into 64-bit code
  uint16_t back_selector;
};

constexpr uint64_t kEpilogue = NativeCpu::kCode + 0x200;
constexpr uint64_t kInsn = NativeCpu::kCode + 0x400;
constexpr uint64_t kEntry = NativeCpu::kCode;
constexpr uint16_t kCompatSelector = 0x23;  // the kernel's 32-bit user code segment
constexpr uint16_t kLongSelector = 0x33;

Shared* State() { return reinterpret_cast<Shared*>(NativeCpu::kState); }

volatile int fault_vector;
volatile bool running;

// Writes machine code at a fixed address.
class Emitter {
 public:
  explicit Emitter(uint64_t at) : at_(reinterpret_cast<uint8_t*>(at)) {}
  void Bytes(std::initializer_list<uint8_t> bytes) {
    for (uint8_t byte : bytes) *at_++ = byte;
  }
  void Abs32(const void* address) {
    const auto value = static_cast<uint32_t>(reinterpret_cast<uint64_t>(address));
    memcpy(at_, &value, sizeof(value));
    at_ += sizeof(value);
  }
  // op r64, [abs32] or op [abs32], r64
  void RegAbs(uint8_t op, int reg, const void* address) {
    Bytes({static_cast<uint8_t>(0x48 | (reg >> 3 << 2)), op,
           static_cast<uint8_t>(0x04 | (reg & 7) << 3), 0x25});
    Abs32(address);
  }
  void Code(std::span<const uint8_t> code) {
    memcpy(at_, code.data(), code.size());
    at_ += code.size();
  }
  // jmp to an absolute address within 2 GiB
  void Jump(uint64_t target) {
    const auto from = reinterpret_cast<uint64_t>(at_) + 5;
    Bytes({0xe9});
    Abs32(reinterpret_cast<const void*>(target - from));
  }
  void JumpFar(const void* pointer) {  // the same bytes serve 64-bit and 32-bit code
    Bytes({0xff, 0x2c, 0x25});
    Abs32(pointer);
  }

 private:
  uint8_t* at_;
};

void EmitPrologue() {
  Emitter out(kEntry);
  out.Bytes({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x9c});
  out.RegAbs(0x89, 4, &State()->host_rsp);
  out.Bytes({0xff, 0x34, 0x25});  // push qword [rflags]; popfq
  out.Abs32(&State()->cpu.rflags);
  out.Bytes({0x9d});
  for (uint8_t i = 0; i < 2; i++) {  // movups xmm<i>, [abs]
    out.Bytes({0x0f, 0x10, static_cast<uint8_t>(0x04 | i << 3), 0x25});
    out.Abs32(&State()->cpu.xmm[i]);
  }
  for (int i = 0; i < 16; i++) out.RegAbs(0x8b, i, &State()->cpu.regs[static_cast<size_t>(i)]);
}

void EmitEpilogue() {
  Emitter out(kEpilogue);
  for (int i = 0; i < 16; i++) out.RegAbs(0x89, i, &State()->cpu.regs[static_cast<size_t>(i)]);
  for (uint8_t i = 0; i < 2; i++) {  // movups [abs], xmm<i>
    out.Bytes({0x0f, 0x11, static_cast<uint8_t>(0x04 | i << 3), 0x25});
    out.Abs32(&State()->cpu.xmm[i]);
  }
  out.RegAbs(0x8b, 4, &State()->host_rsp);
  out.Bytes({0x9c, 0x8f, 0x04, 0x25});  // pushfq; pop qword [rflags]
  out.Abs32(&State()->cpu.rflags);
  out.Bytes({0x9d, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3});
}

// The prologue ends with a jump to the code; the code ends with a way to the epilogue.
void EmitLong(std::span<const uint8_t> code) {
  Emitter enter(kEntry + 0x180);
  enter.Jump(kInsn);
  Emitter out(kInsn);
  out.Code(code);
  out.Jump(kEpilogue);
}

void EmitCompat(std::span<const uint8_t> code) {
  State()->far_offset = static_cast<uint32_t>(kInsn);
  State()->far_selector = kCompatSelector;
  State()->back_offset = static_cast<uint32_t>(kEpilogue);
  State()->back_selector = kLongSelector;
  Emitter enter(kEntry + 0x180);
  enter.JumpFar(&State()->far_offset);
  Emitter out(kInsn);
  out.Code(code);
  out.Bytes({0xff, 0x2d});  // jmp far [abs32], in 32-bit code
  out.Abs32(&State()->back_offset);
}

void OnSignal(int number, siginfo_t* info, void* context) {
  auto* machine = static_cast<ucontext_t*>(context);
  if (!running) {
    fprintf(stderr, "signal %d outside of the trampoline, at %p\n", number, info->si_addr);
    abort();
  }
  fault_vector = number == SIGFPE ? 0 : number == SIGILL ? 6 : number == SIGSEGV ? 14 : -1;
  machine->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(kEpilogue);
  // 32-bit code may have been interrupted.
  auto& segs = machine->uc_mcontext.gregs[REG_CSGSFS];
  segs = (segs & ~0xffffll) | kLongSelector;
}

}  // namespace

NativeCpu& NativeCpu::Get() {
  static NativeCpu cpu;
  return cpu;
}

NativeCpu::NativeCpu() : insn_address_(kInsn) {
  void* at = mmap(reinterpret_cast<void*>(kBase), kData + kDataBytes - kBase,
                  PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != reinterpret_cast<void*>(kBase)) {
    perror("mmap of the trampoline");
    abort();
  }
  // A stack of its own: the instruction may leave rsp anywhere.
  static std::array<uint8_t, 0x10000> handler_stack;
  stack_t stack{};
  stack.ss_sp = handler_stack.data();
  stack.ss_size = handler_stack.size();
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (int number : {SIGFPE, SIGILL, SIGSEGV, SIGBUS}) sigaction(number, &action, nullptr);
  memset(at, 0x90, 0x1000);
  EmitPrologue();
  EmitEpilogue();
  CpuState probe{};
  probe.rflags = 2;
  const uint8_t inc_eax[] = {0x40};
  can_compat_ = Run(inc_eax, &probe, true).ran && probe.regs[0] == 1;
}

NativeResult NativeCpu::Run(std::span<const uint8_t> code, CpuState* state, bool compat) {
  memset(reinterpret_cast<void*>(kInsn), 0x90, 0x40);
  compat ? EmitCompat(code) : EmitLong(code);
  State()->cpu = *state;
  // 64-bit code ignores these; 32-bit code needs them.
  asm volatile("mov %0, %%ds; mov %0, %%es" ::"r"(0x2b));
  fault_vector = -2;
  running = true;
  reinterpret_cast<void (*)()>(kEntry)();
  running = false;
  *state = State()->cpu;
  if (fault_vector == -2) return {true, 0};
  return {false, fault_vector};
}

}  // namespace vmm
