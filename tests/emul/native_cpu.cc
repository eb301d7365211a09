// SPDX-License-Identifier: GPL-2.0-or-later

#include "native_cpu.h"

#include <asm/ldt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vmm {
namespace {

// Lives at kState; the trampoline addresses it by absolute 32-bit displacements.
struct Shared {
  CpuState cpu;
  uint64_t host_rsp;
  uint32_t far_offset;  // into 32-bit code
  uint16_t far_selector;
  uint16_t pad;
  uint32_t back_offset;  // and back into 64-bit code
  uint16_t back_selector;
  uint16_t data_selector;  // of DS, ES and SS, for the instruction
  uint16_t host_selector;  // and afterwards
};

constexpr uint64_t kEpilogue = NativeCpu::kCode + 0x200;
constexpr uint64_t kInsn = NativeCpu::kCode + 0x400;
constexpr uint64_t kEntry = NativeCpu::kCode;
constexpr uint16_t kCompatSelector = 0x23;  // the kernel's 32-bit user code segment
constexpr uint16_t kLongSelector = 0x33;
constexpr uint16_t kFlatSelector = 0x2b;
// Entries 0 and 1 of the local descriptor table.
constexpr uint16_t kCode16Selector = 0x07;
constexpr uint16_t kData16Selector = 0x0f;

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
  void JumpFar(const void* pointer) {
    Bytes({0xff, 0x2c, 0x25});
    Abs32(pointer);
  }
  // DS, ES and SS without the help of a register.
  void LoadSegments(const uint16_t* selector) {
    for (uint8_t seg : {uint8_t{3}, uint8_t{0}, uint8_t{2}}) {
      Bytes({0x8e, static_cast<uint8_t>(0x04 | seg << 3), 0x25});
      Abs32(selector);
    }
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
  out.LoadSegments(&State()->host_selector);
  out.RegAbs(0x8b, 4, &State()->host_rsp);
  out.Bytes({0x9c, 0x8f, 0x04, 0x25});  // pushfq; pop qword [rflags]
  out.Abs32(&State()->cpu.rflags);
  out.Bytes({0x9d, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3});
}

// The prologue runs into a jump to the code; behind the code stands a way to the epilogue.
void EmitLong(std::span<const uint8_t> code) {
  Emitter enter(kEntry + 0x180);
  enter.Jump(kInsn);
  Emitter out(kInsn);
  out.Code(code);
  out.Jump(kEpilogue);
}

void EmitCompat(std::span<const uint8_t> code, Width width) {
  const bool narrow = width == Width::k16;
  State()->far_offset = static_cast<uint32_t>(NativeCpu::InsnOffset(width));
  State()->far_selector = narrow ? kCode16Selector : kCompatSelector;
  State()->back_offset = static_cast<uint32_t>(kEpilogue);
  State()->back_selector = kLongSelector;
  State()->data_selector = narrow ? kData16Selector : kFlatSelector;
  Emitter enter(kEntry + 0x180);
  enter.LoadSegments(&State()->data_selector);
  enter.JumpFar(&State()->far_offset);
  Emitter out(kInsn);
  out.Code(code);
  const uint64_t back = reinterpret_cast<uint64_t>(&State()->back_offset);
  if (narrow) {
    const uint64_t offset = back - NativeCpu::kBase;
    out.Bytes({0x66, 0xff, 0x2e, static_cast<uint8_t>(offset), static_cast<uint8_t>(offset >> 8)});
  } else {
    out.Bytes({0xff, 0x2d});
    out.Abs32(&State()->back_offset);
  }
}

void AddLdtEntry(unsigned number, unsigned contents) {
  user_desc desc{};
  desc.entry_number = number;
  desc.base_addr = NativeCpu::kBase;
  desc.limit = 0xffff;
  desc.contents = contents & 3;
  desc.useable = 1;
  if (syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) != 0) perror("modify_ldt");
}

void OnSignal(int number, siginfo_t* info, void* context) {
  auto* machine = static_cast<ucontext_t*>(context);
  if (!running) {
    fprintf(stderr, "signal %d outside of the trampoline, at %p\n", number, info->si_addr);
    abort();
  }
  fault_vector = number == SIGFPE ? 0 : number == SIGILL ? 6 : number == SIGSEGV ? 14 : -1;
  machine->uc_mcontext.gregs[REG_RIP] = static_cast<greg_t>(kEpilogue);
  // Other code than 64-bit may have been interrupted.
  auto& segs = machine->uc_mcontext.gregs[REG_CSGSFS];
  segs = (segs & ~0xffffll) | kLongSelector;
}

}  // namespace

NativeCpu& NativeCpu::Get() {
  static NativeCpu cpu;
  return cpu;
}

uint64_t NativeCpu::InsnOffset(Width width) { return kInsn - SegmentBase(width); }

NativeCpu::NativeCpu() {
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
  AddLdtEntry(0, 2);
  AddLdtEntry(1, 0);
  State()->host_selector = kFlatSelector;
  can_[static_cast<size_t>(Width::k64)] = true;
  for (const Width width : {Width::k16, Width::k32}) {
    CpuState probe{};
    probe.rflags = 2;
    const uint8_t inc_ax[] = {0x40};
    can_[static_cast<size_t>(width)] = Run(inc_ax, &probe, width).ran && probe.regs[0] == 1;
  }
}

NativeResult NativeCpu::Run(std::span<const uint8_t> code, CpuState* state, Width width) {
  memset(reinterpret_cast<void*>(kInsn), 0x90, 0x40);
  width == Width::k64 ? EmitLong(code) : EmitCompat(code, width);
  State()->cpu = *state;
  fault_vector = -2;
  running = true;
  reinterpret_cast<void (*)()>(kEntry)();
  running = false;
  *state = State()->cpu;
  if (fault_vector == -2) return {true, 0};
  return {false, fault_vector};
}

}  // namespace vmm
