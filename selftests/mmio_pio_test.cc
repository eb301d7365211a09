// SPDX-License-Identifier: GPL-2.0-or-later
// Port and memory-mapped I/O of every size, string instructions, and operands across pages.
#include <sys/mman.h>

#include <cstring>
#include <string>
#include <vector>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

constexpr uint64_t kHole = 0x10000000;

// One access as an exit reports it.
struct Access {
  bool write;
  uint64_t address;
  std::vector<uint8_t> data;
};

// Runs to the next exit, which must be MMIO.
Access NextMmio(Machine& m) {
  m.vcpu().RunUntil(KVM_EXIT_MMIO);
  const kvm_run* run = m.run();
  return {run->mmio.is_write != 0, run->mmio.phys_addr,
          std::vector<uint8_t>(run->mmio.data, run->mmio.data + run->mmio.len)};
}

uint64_t Value(const std::vector<uint8_t>& data) {
  uint64_t value = 0;
  std::memcpy(&value, data.data(), data.size());
  return value;
}

void ExpectWrite(Machine& m, uint64_t address, size_t size, uint64_t value) {
  const Access access = NextMmio(m);
  CHECK(access.write);
  CHECK_EQ(address, access.address);
  CHECK_EQ(size, access.data.size());
  CHECK_EQ(value, Value(access.data));
}

void ExpectRead(Machine& m, uint64_t address, size_t size, uint64_t answer) {
  const Access access = NextMmio(m);
  CHECK(!access.write);
  CHECK_EQ(address, access.address);
  CHECK_EQ(size, access.data.size());
  std::memcpy(m.run()->mmio.data, &answer, size);
}

GUEST_CODE(port_sizes, 64, R"(
  mov $0x11223344, %eax
  out %al, $0x10
  out %ax, $0x10
  out %eax, $0x10
  mov $0x1234, %dx
  out %eax, %dx
  mov $-1, %rax
  in $0x20, %al
  mov %rax, 0x20000
  mov $-1, %rax
  in $0x20, %ax
  mov %rax, 0x20008
  mov $-1, %rax
  in $0x20, %eax
  mov %rax, 0x20010
  hlt
)");

CASE(PortSizes) {
  Machine m(port_sizes, Mode::kLong64);
  CHECK_EQ(0x44u, m.RunUntilOut(0x10));
  CHECK_EQ(1, m.run()->io.size);
  CHECK_EQ(0x3344u, m.RunUntilOut(0x10));
  CHECK_EQ(2, m.run()->io.size);
  CHECK_EQ(0x11223344u, m.RunUntilOut(0x10));
  CHECK_EQ(4, m.run()->io.size);
  CHECK_EQ(0x11223344u, m.RunUntilOut(0x1234));
  for (const unsigned size : {1u, 2u, 4u}) {
    m.vcpu().RunUntil(KVM_EXIT_IO);
    CHECK_EQ(KVM_EXIT_IO_IN, m.run()->io.direction);
    CHECK_EQ(size, m.run()->io.size);
    CHECK_EQ(1u, m.run()->io.count);
    const uint32_t answer = 0x55667788;
    std::memcpy(m.vcpu().page() + m.run()->io.data_offset, &answer, size);
  }
  m.RunUntilHlt();
  // Small results leave the rest of RAX; a 32-bit one clears it.
  CHECK_EQ(0xffffffffffffff88ull, *m.At<uint64_t>(0x20000));
  CHECK_EQ(0xffffffffffff7788ull, *m.At<uint64_t>(0x20008));
  CHECK_EQ(0x55667788ull, *m.At<uint64_t>(0x20010));
}

GUEST_CODE(outs_ins, 64, R"(
  cld
  mov $0x20ffa, %esi
  mov $16, %ecx
  mov $0x10, %edx
  rep outsb
  out %al, $0x11
  mov $0x21ffc, %edi
  mov $8, %ecx
  rep insw
  out %al, $0x11
  std
  mov $0x23000, %edi
  mov $3, %ecx
  rep insl
  hlt
)");

// Counts of string I/O may come in pieces of any length; what counts is the sum.
CASE(StringPorts) {
  Machine m(outs_ins, Mode::kLong64);
  for (unsigned i = 0; i < 16; ++i) *m.At<uint8_t>(0x20ffa + i) = static_cast<uint8_t>(i * 3);

  std::vector<uint8_t> sent;
  while (true) {
    m.vcpu().RunUntil(KVM_EXIT_IO);
    const kvm_run* run = m.run();
    if (run->io.port == 0x11) break;
    CHECK_EQ(1, run->io.size);
    const uint8_t* data = m.vcpu().page() + run->io.data_offset;
    sent.insert(sent.end(), data, data + run->io.count);
  }
  CHECK_EQ(16u, sent.size());
  for (unsigned i = 0; i < 16; ++i) CHECK_EQ(i * 3, sent[i]);

  uint16_t word = 0x100;
  auto serve = [&](unsigned size) {
    const kvm_run* run = m.run();
    CHECK_EQ(KVM_EXIT_IO_IN, run->io.direction);
    CHECK_EQ(size, run->io.size);
    for (uint32_t i = 0; i < run->io.count; ++i) {
      const uint32_t value = word++;
      std::memcpy(m.vcpu().page() + run->io.data_offset + i * size, &value, size);
    }
  };
  while (true) {
    m.vcpu().RunUntil(KVM_EXIT_IO);
    if (m.run()->io.port == 0x11) break;
    serve(2);
  }
  CHECK_EQ(0x108, word);
  for (uint16_t i = 0; i < 8; ++i) CHECK_EQ(0x100 + i, *m.At<uint16_t>(0x21ffc + 2u * i));

  while (true) {
    CHECK_EQ(0, m.vcpu().Run());
    if (m.run()->exit_reason == KVM_EXIT_HLT) break;
    CHECK_EQ(KVM_EXIT_IO, m.run()->exit_reason);
    serve(4);
  }
  for (uint32_t i = 0; i < 3; ++i) CHECK_EQ(0x108 + i, *m.At<uint32_t>(0x23000 - 4 * i));
  const kvm_regs regs = m.vcpu().regs();
  CHECK_EQ(0ull, regs.rcx);
  CHECK_EQ(0x23000ull - 12, regs.rdi);
}

GUEST_CODE(mmio_sizes, 64, R"(
  mov $0x10000000, %rbx
  movabs $0x1122334455667788, %rax
  mov %al, (%rbx)
  mov %ax, 0x10(%rbx)
  mov %eax, 0x20(%rbx)
  mov %rax, 0x30(%rbx)
  movl $0xabcd, 0x40(%rbx)
  mov $-1, %rcx
  mov (%rbx), %cl
  mov %rcx, 0x20000
  mov $-1, %rcx
  mov 0x10(%rbx), %cx
  mov %rcx, 0x20008
  mov $-1, %rcx
  mov 0x20(%rbx), %ecx
  mov %rcx, 0x20010
  mov 0x30(%rbx), %rcx
  mov %rcx, 0x20018
  movzbl 0x40(%rbx), %ecx
  mov %rcx, 0x20020
  movswq 0x50(%rbx), %rcx
  mov %rcx, 0x20028
  hlt
)");

CASE(MmioSizes) {
  Machine m(mmio_sizes, Mode::kLong64);
  ExpectWrite(m, kHole, 1, 0x88);
  ExpectWrite(m, kHole + 0x10, 2, 0x7788);
  ExpectWrite(m, kHole + 0x20, 4, 0x55667788);
  ExpectWrite(m, kHole + 0x30, 8, 0x1122334455667788);
  ExpectWrite(m, kHole + 0x40, 4, 0xabcd);
  const uint64_t answer = 0x99aabbccddeeff80;
  ExpectRead(m, kHole, 1, answer);
  ExpectRead(m, kHole + 0x10, 2, answer);
  ExpectRead(m, kHole + 0x20, 4, answer);
  ExpectRead(m, kHole + 0x30, 8, answer);
  ExpectRead(m, kHole + 0x40, 1, answer);
  ExpectRead(m, kHole + 0x50, 2, answer);
  m.RunUntilHlt();
  CHECK_EQ(0xffffffffffffff80ull, *m.At<uint64_t>(0x20000));
  CHECK_EQ(0xffffffffffffff80ull, *m.At<uint64_t>(0x20008));
  CHECK_EQ(0xddeeff80ull, *m.At<uint64_t>(0x20010));
  CHECK_EQ(answer, *m.At<uint64_t>(0x20018));
  CHECK_EQ(0x80ull, *m.At<uint64_t>(0x20020));
  CHECK_EQ(0xffffffffffffff80ull, *m.At<uint64_t>(0x20028));
}

GUEST_CODE(read_modify_write, 64, R"(
  mov $0x10000000, %rbx
  mov $0x0f, %ecx
  or %ecx, (%rbx)
  addl $1, 4(%rbx)
  xchg %ecx, 8(%rbx)
  mov %ecx, 0x20000
  lock btsl $3, 12(%rbx)
  testl $0x80, 16(%rbx)
  setnz %al
  mov %al, 0x20004
  cmpl $5, 20(%rbx)
  sete %al
  mov %al, 0x20005
  hlt
)");

CASE(ReadModifyWrite) {
  Machine m(read_modify_write, Mode::kLong64);
  ExpectRead(m, kHole, 4, 0xf0);
  ExpectWrite(m, kHole, 4, 0xff);
  ExpectRead(m, kHole + 4, 4, 41);
  ExpectWrite(m, kHole + 4, 4, 42);
  ExpectRead(m, kHole + 8, 4, 0x1234);
  ExpectWrite(m, kHole + 8, 4, 0x0f);
  ExpectRead(m, kHole + 12, 4, 0x100);
  ExpectWrite(m, kHole + 12, 4, 0x108);
  ExpectRead(m, kHole + 16, 4, 0x80);
  ExpectRead(m, kHole + 20, 4, 5);
  m.RunUntilHlt();
  CHECK_EQ(0x1234u, *m.At<uint32_t>(0x20000));
  CHECK_EQ(1, *m.At<uint8_t>(0x20004));
  CHECK_EQ(1, *m.At<uint8_t>(0x20005));
}

GUEST_CODE(across, 64, R"(
  movabs $0x1122334455667788, %rax
  mov %rax, 0x10000ffc
  mov 0x10001ffd, %eax
  mov %rax, 0x20000
  hlt
)");

// An access across a page is two, one per page; each may be split further.
CASE(MmioAcrossPages) {
  Machine m(across, Mode::kLong64);
  uint64_t value = 0;
  size_t done = 0;
  while (done < 8) {
    const Access access = NextMmio(m);
    CHECK(access.write);
    CHECK_EQ(kHole + 0xffc + done, access.address);
    std::memcpy(reinterpret_cast<uint8_t*>(&value) + done, access.data.data(), access.data.size());
    done += access.data.size();
  }
  CHECK_EQ(8u, done);
  CHECK_EQ(0x1122334455667788ull, value);

  const uint32_t answer = 0xcafe1234;
  done = 0;
  while (done < 4) {
    const Access access = NextMmio(m);
    CHECK(!access.write);
    CHECK_EQ(kHole + 0x1ffd + done, access.address);
    std::memcpy(m.run()->mmio.data, reinterpret_cast<const uint8_t*>(&answer) + done,
                access.data.size());
    done += access.data.size();
  }
  m.RunUntilHlt();
  CHECK_EQ(0xcafe1234ull, *m.At<uint64_t>(0x20000));
}

GUEST_CODE(from_memory_to_hole, 64, R"(
  movabs $0x1122334455667788, %rax
  mov %rax, 0x1ffffc
  mov $0x1ffffe, %esi
  mov (%rsi), %ecx
  mov %rcx, 0x20000
  hlt
)");

// The last bytes of memory and the first of the hole behind it.
CASE(HalfMemoryHalfMmio) {
  Machine m(from_memory_to_hole, Mode::kLong64);
  ExpectWrite(m, guest::kLowSize, 4, 0x11223344);
  CHECK_EQ(0x55667788u, *m.At<uint32_t>(0x1ffffc));
  ExpectRead(m, guest::kLowSize, 2, 0xbbaa);
  m.RunUntilHlt();
  CHECK_EQ(0xbbaa5566ull, *m.At<uint64_t>(0x20000));
}

GUEST_CODE(string_mmio, 64, R"(
  cld
  mov $0x20000, %esi
  mov $0x10000000, %edi
  mov $5, %ecx
  rep movsl
  out %al, $0x10
  mov $0x10000100, %esi
  mov $0x21000, %edi
  mov $3, %ecx
  rep movsq
  out %al, $0x10
  mov $0x10000200, %edi
  mov $0x5a, %eax
  mov $4, %ecx
  rep stosb
  hlt
)");

CASE(StringMmio) {
  Machine m(string_mmio, Mode::kLong64);
  for (uint32_t i = 0; i < 5; ++i) *m.At<uint32_t>(0x20000 + 4 * i) = 0x1000 + i;
  for (uint32_t i = 0; i < 5; ++i) ExpectWrite(m, kHole + 4 * i, 4, 0x1000 + i);
  m.RunUntilOut(0x10);
  for (uint64_t i = 0; i < 3; ++i) ExpectRead(m, kHole + 0x100 + 8 * i, 8, 0x1122334400000000 + i);
  m.RunUntilOut(0x10);
  for (uint64_t i = 0; i < 3; ++i)
    CHECK_EQ(0x1122334400000000 + i, *m.At<uint64_t>(0x21000 + 8 * i));
  for (uint64_t i = 0; i < 4; ++i) ExpectWrite(m, kHole + 0x200 + i, 1, 0x5a);
  m.RunUntilHlt();
  const kvm_regs regs = m.vcpu().regs();
  CHECK_EQ(0ull, regs.rcx);
  CHECK_EQ(kHole + 0x204, regs.rdi);
}

GUEST_CODE(real_mmio, 16, R"(
  mov $0xa000, %ax
  mov %ax, %es
  mov $0x1234, %ax
  mov %ax, %es:0x10
  mov %es:0x20, %bx
  mov %bx, %cs:0x800
  hlt
)");

// The video memory of a PC: a hole in the low megabyte, reached in real mode.
CASE(RealModeMmio) {
  kvm::Vm vm;
  kvm::Mapping low(0x100000, MAP_PRIVATE | MAP_ANONYMOUS);
  vm.Map(0, 0, 0xa0000, low.data());
  kvm::Vcpu vcpu = vm.AddVcpu();
  std::memcpy(low.data() + guest::kCode, real_mmio.begin,
              static_cast<size_t>(real_mmio.end - real_mmio.begin));
  guest::Enter(vcpu, low.data(), Mode::kReal);
  vcpu.RunUntil(KVM_EXIT_MMIO);
  CHECK_EQ(0xa0010ull, vcpu.run()->mmio.phys_addr);
  CHECK_EQ(2u, vcpu.run()->mmio.len);
  CHECK_EQ(0x34, vcpu.run()->mmio.data[0]);
  CHECK_EQ(0x12, vcpu.run()->mmio.data[1]);
  vcpu.RunUntil(KVM_EXIT_MMIO);
  CHECK_EQ(0xa0020ull, vcpu.run()->mmio.phys_addr);
  CHECK_EQ(0, vcpu.run()->mmio.is_write);
  vcpu.run()->mmio.data[0] = 0x78;
  vcpu.run()->mmio.data[1] = 0x56;
  vcpu.RunUntil(KVM_EXIT_HLT);
  CHECK_EQ(0x78, low.data()[guest::kCode + 0x800]);
  CHECK_EQ(0x56, low.data()[guest::kCode + 0x801]);
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
