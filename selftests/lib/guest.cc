// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/guest.h"

#include <sys/mman.h>

#include <cstring>

#include "lib/check.h"

namespace guest {
namespace {

constexpr uint64_t kPresent = 1, kWritable = 2, kHuge = 0x80;
constexpr uint64_t kCr0Pe = 1, kCr0Et = 0x10, kCr0Pg = 1u << 31;
constexpr uint64_t kCr4Pae = 0x20;
constexpr uint64_t kEferLme = 0x100, kEferLma = 0x400;

// Descriptors: null, 32-bit code, 64-bit code, data, TSS (16 bytes).
constexpr uint64_t kGdtEntries[] = {
    0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00008b0000000067, 0};
constexpr uint16_t kCode32 = 0x08, kCode64 = 0x10, kDataSelector = 0x18, kTss = 0x20;

void BuildTables(uint8_t* low) {
  auto* pml4 = reinterpret_cast<uint64_t*>(low + kTables);
  auto* pdpt = pml4 + 512;
  auto* pd = pdpt + 512;
  pml4[0] = (kTables + 0x1000) | kPresent | kWritable;
  for (uint64_t i = 0; i < 4; ++i) pdpt[i] = (kTables + 0x2000 + i * 0x1000) | kPresent | kWritable;
  for (uint64_t i = 0; i < 4 * 512; ++i) pd[i] = (i << 21) | kPresent | kWritable | kHuge;
}

kvm_segment Segment(uint16_t selector, uint8_t type) {
  kvm_segment s{};
  s.limit = 0xffffffff;
  s.selector = selector;
  s.type = type;
  s.present = 1;
  s.s = 1;
  s.g = 1;
  return s;
}

}  // namespace

void Enter(kvm::Vcpu& vcpu, uint8_t* low, Mode mode) {
  kvm_sregs sregs = vcpu.sregs();
  if (mode == Mode::kReal) {
    for (kvm_segment* s : {&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss}) {
      s->base = 0;
      s->selector = 0;
    }
    sregs.cs.base = kCode;
    sregs.cs.selector = kCode >> 4;
  } else {
    std::memcpy(low + kGdt, kGdtEntries, sizeof(kGdtEntries));
    sregs.gdt.base = kGdt;
    sregs.gdt.limit = sizeof(kGdtEntries) - 1;
    const bool long_mode = mode == Mode::kLong64;
    sregs.cs = Segment(long_mode ? kCode64 : kCode32, 11);
    sregs.cs.l = long_mode;
    sregs.cs.db = !long_mode;
    sregs.ds = Segment(kDataSelector, 3);
    sregs.ds.db = 1;
    sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
    sregs.tr = Segment(kTss, 11);
    sregs.tr.s = 0;
    sregs.tr.g = 0;
    sregs.tr.limit = 0x67;
    sregs.cr0 = kCr0Pe | kCr0Et;
    if (long_mode) {
      BuildTables(low);
      sregs.cr0 |= kCr0Pg;
      sregs.cr3 = kTables;
      sregs.cr4 = kCr4Pae;
      sregs.efer = kEferLme | kEferLma;
    }
  }
  vcpu.SetSregs(sregs);

  kvm_regs regs{};
  regs.rip = mode == Mode::kReal ? 0 : kCode;
  regs.rsp = mode == Mode::kReal ? 0xfff0 : kStackTop;
  // Interrupts on, though none come: Bochs holds the host's own back from a guest that was
  // entered with interrupts off, and a guest that spins would never be left.
  regs.rflags = 0x202;
  vcpu.SetRegs(regs);
}

Machine::Machine(const Code& code, Mode mode, bool irqchip)
    : low_(kLowSize, MAP_PRIVATE | MAP_ANONYMOUS), vcpu_([&] {
        if (irqchip) CHECK_OK(kvm::Ioctl(vm_.fd(), KVM_CREATE_IRQCHIP));
        return vm_.AddVcpu();
      }()) {
  vm_.Map(0, 0, low_.size(), low_.data());
  std::memcpy(low_.data() + kCode, code.begin, static_cast<size_t>(code.end - code.begin));
  vcpu_.SetSupportedCpuid();
  Enter(vcpu_, low_.data(), mode);
}

uint32_t Machine::RunUntilOut(uint16_t port) {
  vcpu_.RunUntil(KVM_EXIT_IO);
  const kvm_run* run = vcpu_.run();
  CHECK_EQ(KVM_EXIT_IO_OUT, run->io.direction);
  CHECK_EQ(port, run->io.port);
  uint32_t value = 0;
  std::memcpy(&value, vcpu_.page() + run->io.data_offset, run->io.size);
  return value;
}

}  // namespace guest
