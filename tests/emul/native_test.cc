// SPDX-License-Identifier: GPL-2.0-or-later
//
// Random instructions of every form, carried out by this processor and by the emulator from the
// same registers, flags and memory: all of them must agree afterwards.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "fake_machine.h"
#include "native_cpu.h"
#include "seed.h"

namespace vmm {
namespace {

using Bytes = std::initializer_list<uint8_t>;

enum class Imm { kNone, kByte, kZ, kV };

// Which flags an operation leaves undefined.
enum class Undefined { kNone, kAf, kShift, kRotate, kDoubleShift, kMul, kAll, kBt, kBsf };

struct Form {
  std::string name;
  std::vector<uint8_t> opcode;
  int group = -1;  // modrm.reg, or -1 for a random register
  bool modrm = true;
  bool byte = false;
  Imm imm = Imm::kNone;
  bool lock = false;
  Undefined undefined = Undefined::kNone;
  bool memory_only = false;
  bool wide_rm = false;  // a register bit offset reaches outside: keep to registers
  bool only32 = false;
  bool only64 = false;
  bool fixed_size = false;  // no 66 prefix and no REX.W
};

std::vector<Form> AllForms() {
  std::vector<Form> forms;
  const char* alu[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};
  for (uint8_t op = 0; op < 8; op++) {
    const bool logic = op == 1 || op == 4 || op == 6;
    const Undefined undefined = logic ? Undefined::kAf : Undefined::kNone;
    const auto base = static_cast<uint8_t>(op * 8);
    for (uint8_t low = 0; low < 6; low++) {
      Form form{.name = alu[op], .opcode = {static_cast<uint8_t>(base + low)}};
      form.undefined = undefined;
      form.byte = !(low & 1);
      form.lock = low < 2 && op != 7;
      form.modrm = low < 4;
      if (low == 4) form.imm = Imm::kByte;
      if (low == 5) form.imm = Imm::kZ;
      forms.push_back(form);
    }
    for (const uint8_t opcode : Bytes{0x80, 0x81, 0x83}) {
      Form form{.name = alu[op], .opcode = {opcode}, .group = op};
      form.undefined = undefined;
      form.byte = opcode == 0x80;
      form.imm = opcode == 0x81 ? Imm::kZ : Imm::kByte;
      form.lock = op != 7;
      forms.push_back(form);
    }
  }
  const char* shifts[] = {"rol", "ror", "rcl", "rcr", "shl", "shr", "sal", "sar"};
  for (int op = 0; op < 8; op++) {
    for (const uint8_t opcode : Bytes{0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3}) {
      Form form{.name = shifts[op], .opcode = {opcode}, .group = op};
      form.byte = !(opcode & 1);
      form.imm = opcode < 0xd0 ? Imm::kByte : Imm::kNone;
      form.undefined = op < 4 ? Undefined::kRotate : Undefined::kShift;
      forms.push_back(form);
    }
  }
  for (uint8_t byte = 0; byte < 2; byte++) {
    const auto f6 = static_cast<uint8_t>(0xf7 - byte);
    const auto fe = static_cast<uint8_t>(0xff - byte);
    const bool b = byte;
    forms.push_back({.name = "test",
                     .opcode = {f6},
                     .group = 0,
                     .byte = b,
                     .imm = b ? Imm::kByte : Imm::kZ,
                     .undefined = Undefined::kAf});
    forms.push_back({.name = "not", .opcode = {f6}, .group = 2, .byte = b, .lock = true});
    forms.push_back({.name = "neg", .opcode = {f6}, .group = 3, .byte = b, .lock = true});
    forms.push_back(
        {.name = "mul", .opcode = {f6}, .group = 4, .byte = b, .undefined = Undefined::kMul});
    forms.push_back(
        {.name = "imul", .opcode = {f6}, .group = 5, .byte = b, .undefined = Undefined::kMul});
    forms.push_back(
        {.name = "div", .opcode = {f6}, .group = 6, .byte = b, .undefined = Undefined::kAll});
    forms.push_back(
        {.name = "idiv", .opcode = {f6}, .group = 7, .byte = b, .undefined = Undefined::kAll});
    forms.push_back({.name = "inc", .opcode = {fe}, .group = 0, .byte = b, .lock = true});
    forms.push_back({.name = "dec", .opcode = {fe}, .group = 1, .byte = b, .lock = true});
    const auto minus = [b](int opcode) { return static_cast<uint8_t>(opcode - b); };
    forms.push_back(
        {.name = "test", .opcode = {minus(0x85)}, .byte = b, .undefined = Undefined::kAf});
    forms.push_back({.name = "xchg", .opcode = {minus(0x87)}, .byte = b, .lock = true});
    forms.push_back({.name = "mov", .opcode = {minus(0x89)}, .byte = b});
    forms.push_back({.name = "mov", .opcode = {minus(0x8b)}, .byte = b});
    forms.push_back({.name = "mov",
                     .opcode = {minus(0xc7)},
                     .group = 0,
                     .byte = b,
                     .imm = b ? Imm::kByte : Imm::kZ});
    forms.push_back({.name = "test",
                     .opcode = {minus(0xa9)},
                     .modrm = false,
                     .byte = b,
                     .imm = b ? Imm::kByte : Imm::kZ,
                     .undefined = Undefined::kAf});
    forms.push_back({.name = "xadd", .opcode = {0x0f, minus(0xc1)}, .byte = b, .lock = true});
    forms.push_back({.name = "cmpxchg", .opcode = {0x0f, minus(0xb1)}, .byte = b, .lock = true});
  }
  forms.push_back({.name = "imul", .opcode = {0x69}, .imm = Imm::kZ, .undefined = Undefined::kMul});
  forms.push_back(
      {.name = "imul", .opcode = {0x6b}, .imm = Imm::kByte, .undefined = Undefined::kMul});
  forms.push_back({.name = "imul", .opcode = {0x0f, 0xaf}, .undefined = Undefined::kMul});
  for (const uint8_t opcode : Bytes{0xa3, 0xab, 0xb3, 0xbb}) {
    forms.push_back(
        {.name = "bt", .opcode = {0x0f, opcode}, .undefined = Undefined::kBt, .wide_rm = true});
  }
  for (int op = 4; op < 8; op++) {
    forms.push_back({.name = "bt imm",
                     .opcode = {0x0f, 0xba},
                     .group = op,
                     .imm = Imm::kByte,
                     .lock = op > 4,
                     .undefined = Undefined::kBt});
  }
  for (const uint8_t opcode : Bytes{0xa4, 0xa5, 0xac, 0xad}) {
    forms.push_back({.name = "shld",
                     .opcode = {0x0f, opcode},
                     .imm = opcode & 1 ? Imm::kNone : Imm::kByte,
                     .undefined = Undefined::kDoubleShift});
  }
  for (const uint8_t opcode : Bytes{0xbc, 0xbd})
    forms.push_back({.name = "bsf", .opcode = {0x0f, opcode}, .undefined = Undefined::kBsf});
  for (const uint8_t opcode : Bytes{0xb6, 0xb7, 0xbe, 0xbf})
    forms.push_back({.name = "movx", .opcode = {0x0f, opcode}});
  forms.push_back({.name = "lea", .opcode = {0x8d}, .memory_only = true});
  forms.push_back({.name = "movsxd", .opcode = {0x63}, .only64 = true, .fixed_size = true});
  forms.push_back(
      {.name = "movnti", .opcode = {0x0f, 0xc3}, .memory_only = true, .fixed_size = true});
  for (uint8_t cc = 0; cc < 16; cc++) {
    forms.push_back({.name = "setcc",
                     .opcode = {0x0f, static_cast<uint8_t>(0x90 + cc)},
                     .group = 0,
                     .byte = true});
    forms.push_back({.name = "cmovcc", .opcode = {0x0f, static_cast<uint8_t>(0x40 + cc)}});
  }
  for (uint8_t low = 0; low < 8; low++) {
    const auto at = [low](int base) { return static_cast<uint8_t>(base + low); };
    forms.push_back({.name = "xchg", .opcode = {at(0x90)}, .modrm = false});
    forms.push_back(
        {.name = "mov", .opcode = {at(0xb0)}, .modrm = false, .byte = true, .imm = Imm::kByte});
    forms.push_back({.name = "mov", .opcode = {at(0xb8)}, .modrm = false, .imm = Imm::kV});
    forms.push_back({.name = "bswap", .opcode = {0x0f, at(0xc8)}, .modrm = false});
    forms.push_back({.name = "inc", .opcode = {at(0x40)}, .modrm = false, .only32 = true});
    forms.push_back({.name = "dec", .opcode = {at(0x48)}, .modrm = false, .only32 = true});
  }
  for (const uint8_t opcode : Bytes{0x98, 0x99, 0x9e, 0x9f, 0xf5, 0xf8, 0xf9, 0xfc, 0xfd})
    forms.push_back({.name = "plain", .opcode = {opcode}, .modrm = false});
  forms.push_back({.name = "cmpxchg8b",
                   .opcode = {0x0f, 0xc7},
                   .group = 1,
                   .lock = true,
                   .memory_only = true,
                   .fixed_size = true});
  return forms;
}

uint64_t UndefinedFlags(const Form& form, uint32_t count, uint32_t size) {
  const uint32_t bits = size * 8;
  const uint32_t masked = count & (size == 8 ? 63 : 31);
  switch (form.undefined) {
    case Undefined::kNone:
      return 0;
    case Undefined::kAf:
      return kAf;
    case Undefined::kShift:
      if (masked == 0) return 0;
      return kAf | (masked != 1 ? kOf : 0) | (masked >= bits ? kCf : 0);
    case Undefined::kRotate:
      return masked <= 1 ? 0 : kOf;
    case Undefined::kDoubleShift:
      if (masked == 0) return 0;
      return kAf | (masked != 1 ? kOf : 0) | (masked >= bits ? kStatusFlags : 0);
    case Undefined::kMul:
      return kSf | kZf | kAf | kPf;
    case Undefined::kAll:
      return kStatusFlags;
    case Undefined::kBt:
      return kOf | kSf | kAf | kPf;
    case Undefined::kBsf:
      return kStatusFlags & ~kZf;
  }
  return 0;
}

class NativeTest : public ::testing::Test {
 protected:
  NativeTest() : machine_(VLM_EMUL_LONG64) {
    machine_.MapRange(NativeCpu::kData, NativeCpu::kDataBytes);
    machine_.emul.cpl = 3;
  }

  uint64_t Random() { return random_(); }
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  // Mostly random, often an edge.
  uint64_t Interesting() {
    static constexpr uint64_t kEdges[] = {0,
                                          1,
                                          0x7f,
                                          0x80,
                                          0xff,
                                          0x7fff,
                                          0x8000,
                                          0xffff,
                                          0x7fffffff,
                                          0x80000000,
                                          0xffffffff,
                                          0x7fffffffffffffff,
                                          0x8000000000000000,
                                          ~0ull};
    if (OneIn(3)) return kEdges[Below(std::size(kEdges))];
    return OneIn(3) ? Below(64) : Random();
  }

  void FillState(Width width) {
    for (uint64_t& reg : state_.regs) {
      reg = Interesting();
      if (width != Width::k64) reg = static_cast<uint32_t>(reg);
    }
    if (width == Width::k16) state_.regs[kRsp] = static_cast<uint16_t>(state_.regs[kRsp]);
    state_.rflags = 2 | (Random() & kStatusFlags) | 0x200;
    for (auto& xmm : state_.xmm) {
      for (uint8_t& byte : xmm) byte = static_cast<uint8_t>(Random());
    }
    const uint64_t stride = Random() | 1;
    for (size_t at = 0; at < cpu_.Data().size(); at += 8) {
      const uint64_t value = stride * (at + 8);
      memcpy(cpu_.Data().data() + at, &value, sizeof(value));
    }
    // Edges in memory as well.
    for (int i = 0; i < 8; i++) {
      const uint64_t value = Interesting();
      memcpy(cpu_.Data().data() + kOperand - NativeCpu::kData + 8 * i, &value, sizeof(value));
    }
  }

  void Append(uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) code_.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }

  // The same with 16-bit addressing.
  void AppendMemory16(uint8_t reg, uint64_t target) {
    static constexpr int kBases[8] = {kRbx, kRbx, kRbp, kRbp, kRsi, kRdi, kRbp, kRbx};
    static constexpr int kIndexes[8] = {kRsi, kRdi, kRsi, kRdi, -1, -1, -1, -1};
    const auto mod = static_cast<uint8_t>(Below(3));
    const auto rm = static_cast<uint8_t>(Below(8));
    code_.push_back(static_cast<uint8_t>(mod << 6 | reg << 3 | rm));
    if (mod == 0 && rm == 6) {
      Append(target, 2);
      return;
    }
    const uint64_t disp =
        mod == 1 ? static_cast<uint64_t>(static_cast<int8_t>(Random())) : mod * Random();
    uint64_t base = target - disp;
    if (kIndexes[rm] >= 0) base -= state_.regs[static_cast<size_t>(kIndexes[rm])];
    state_.regs[static_cast<size_t>(kBases[rm])] = (base & 0xffff) | (Random() & 0xffff0000);
    Append(disp, mod);
  }

  // Appends modrm with a memory operand at target; reg is the 3-bit field. Sets the registers
  // that make the address; returns false if the choice cannot work.
  bool AppendMemory(uint8_t reg, uint8_t rex, uint64_t target, bool ad32, Width width,
                    size_t imm_bytes) {
    const auto rex_b = static_cast<uint8_t>((rex & 1) << 3);
    const auto rex_x = static_cast<uint8_t>((rex & 2) << 2);
    const auto mod = static_cast<uint8_t>(Below(3));
    auto rm = static_cast<uint8_t>(Below(8));
    const auto modrm = static_cast<uint8_t>(mod << 6 | reg << 3 | rm);
    const bool full = width == Width::k64;
    const uint64_t junk = ad32 && full && OneIn(2) ? Random() << 32 : 0;
    code_.push_back(modrm);
    uint64_t index_part = 0;
    if (rm == 4) {
      const auto sib = static_cast<uint8_t>(Random());
      code_.push_back(sib);
      const auto index = static_cast<uint8_t>((sib >> 3 & 7) | rex_x);
      const auto base = static_cast<uint8_t>((sib & 7) | rex_b);
      const bool no_base = mod == 0 && (sib & 7) == 5;
      if (index != 4) {
        if (!no_base && index == base) return false;
        if (no_base) state_.regs[index] = Below(0x1000);
        index_part = state_.regs[index] << (sib >> 6);
      }
      if (no_base) {
        Append(target - index_part, 4);
        return index == 4 || index_part < 0x10000;
      }
      rm = base;
    } else if (mod == 0 && rm == 5) {
      const uint64_t next = NativeCpu::InsnOffset(width) + code_.size() + 4 + imm_bytes;
      Append(full ? target - next : target, 4);
      return true;
    } else {
      rm = static_cast<uint8_t>(rm | rex_b);
    }
    int64_t disp = 0;
    if (mod == 1) disp = static_cast<int8_t>(Random());
    if (mod == 2) disp = static_cast<int32_t>(Random());
    uint64_t base_value = target - index_part - static_cast<uint64_t>(disp);
    if (ad32 || !full) base_value = static_cast<uint32_t>(base_value);
    state_.regs[rm] = base_value | junk;
    if (mod == 1) Append(static_cast<uint64_t>(disp), 1);
    if (mod == 2) Append(static_cast<uint64_t>(disp), 4);
    return true;
  }

  std::string Describe() const {
    std::string text = "seed " + std::to_string(TestSeed()) + ", code:";
    char hex[8];
    for (uint8_t byte : code_) {
      snprintf(hex, sizeof(hex), " %02x", byte);
      text += hex;
    }
    return text;
  }

  // Runs code_ on both from state_; flags outside of undefined must agree.
  // Returns false if the emulator declined.
  bool Compare(uint64_t undefined, Width width) {
    SCOPED_TRACE(Describe());
    machine_.SetMode(width == Width::k64   ? VLM_EMUL_LONG64
                     : width == Width::k32 ? VLM_EMUL_PROT32
                                           : VLM_EMUL_PROT16);
    const uint64_t base = NativeCpu::SegmentBase(width);
    for (vlm_emul_seg& seg : machine_.segs) seg.base = base;
    machine_.emul.cpl = 3;
    std::copy(state_.regs.begin(), state_.regs.end(), machine_.regs.begin());
    for (size_t i = 0; i < state_.xmm.size(); i++) machine_.xmm[i] = state_.xmm[i];
    machine_.emul.rflags = state_.rflags;
    machine_.emul.rip = NativeCpu::InsnOffset(width);
    machine_.MapRange(machine_.emul.rip + base, code_.size());
    machine_.Poke(machine_.emul.rip + base, code_);
    machine_.Poke(NativeCpu::kData, cpu_.Data());
    machine_.accesses.clear();
    const CpuState before = state_;

    vlm_emul_result result = VLM_EMUL_DONE;
    const uint64_t end = NativeCpu::InsnOffset(width) + code_.size();
    for (int steps = 0; machine_.emul.rip != end && steps < 100; steps++) {
      result = machine_.Step();
      if (result != VLM_EMUL_DONE) break;
    }
    if (result == VLM_EMUL_UNHANDLED) return false;
    const NativeResult native = cpu_.Run(code_, &state_, width);
    if (!native.ran) {
      EXPECT_EQ(result, VLM_EMUL_FAULT) << "native vector " << native.vector;
      if (native.vector == 0) {
        EXPECT_EQ(machine_.emul.fault.vector, 0);
      }
      return true;
    }
    EXPECT_EQ(result, VLM_EMUL_DONE) << "vector " << int{machine_.emul.fault.vector};
    if (result != VLM_EMUL_DONE) return true;
    EXPECT_EQ(machine_.emul.rip, end);
    for (size_t i = 0; i < (width == Width::k64 ? 16 : 8); i++) {
      uint64_t mask = width == Width::k64 ? ~0ull : 0xffffffff;
      // The kernel's return to 16-bit code may lose the upper half.
      if (width == Width::k16 && i == kRsp) mask = 0xffff;
      EXPECT_EQ(machine_.regs[i] & mask, state_.regs[i] & mask)
          << "register " << i << ", was " << std::hex << before.regs[i];
    }
    EXPECT_EQ(machine_.emul.rflags & ~undefined, state_.rflags & ~undefined)
        << std::hex << "flags were " << before.rflags;
    for (size_t i = 0; i < state_.xmm.size(); i++) EXPECT_EQ(machine_.xmm[i], state_.xmm[i]);
    const std::vector<uint8_t> emulated = machine_.Peek(NativeCpu::kData, NativeCpu::kDataBytes);
    EXPECT_TRUE(std::equal(emulated.begin(), emulated.end(), cpu_.Data().begin())) << "memory";
    return true;
  }

  // One random instance of form; true if it was compared.
  bool RunForm(const Form& form, Width width) {
    code_.clear();
    FillState(width);
    const bool wide = width == Width::k64;
    const bool ad32 = width != Width::k32 && form.modrm && OneIn(4);
    const bool opsize = !form.fixed_size && OneIn(3);
    const bool memory = form.modrm && !form.wide_rm && (form.memory_only || OneIn(2));
    const bool lock = form.lock && memory && OneIn(3);
    uint8_t rex = 0;
    if (wide && OneIn(2)) rex = static_cast<uint8_t>(0x40 | Below(16));
    if (form.fixed_size && form.name == "cmpxchg8b") rex = static_cast<uint8_t>(rex & ~8);
    uint32_t size = opsize == (width == Width::k16) ? 4 : 2;
    if (rex & 8) size = 8;
    const uint32_t full_size = size;
    if (form.byte) size = 1;
    if (lock) code_.push_back(0xf0);
    if (opsize) code_.push_back(0x66);
    if (ad32) code_.push_back(0x67);
    if (rex) code_.push_back(rex);
    code_.insert(code_.end(), form.opcode.begin(), form.opcode.end());

    size_t imm_bytes = 0;
    if (form.imm == Imm::kByte) imm_bytes = 1;
    if (form.imm == Imm::kZ) imm_bytes = std::min<size_t>(size, 4);
    if (form.imm == Imm::kV) imm_bytes = full_size;
    if (form.modrm) {
      const auto reg =
          static_cast<uint8_t>(form.group >= 0 ? static_cast<uint64_t>(form.group) : Below(8));
      if (memory) {
        const uint64_t target = kOperand + Below(56) - NativeCpu::SegmentBase(width);
        if (width == Width::k16 && !ad32) {
          AppendMemory16(reg, target);
        } else if (!AppendMemory(reg, rex, target, ad32, width, imm_bytes)) {
          return false;
        }
      } else {
        code_.push_back(static_cast<uint8_t>(0xc0u | static_cast<unsigned>(reg) << 3 | Below(8)));
      }
    }
    const uint64_t imm = Interesting();
    Append(imm, imm_bytes);
    const uint32_t count = static_cast<uint32_t>(form.imm == Imm::kByte ? imm & 0xff
                                                 : form.opcode[0] == 0xd0 || form.opcode[0] == 0xd1
                                                     ? 1
                                                     : state_.regs[kRcx] & 0xff);
    return Compare(UndefinedFlags(form, count, size), width);
  }

  void RunForms(Width width, int rounds) {
    for (const Form& form : AllForms()) {
      if (width == Width::k64 ? form.only32 : form.only64) continue;
      SCOPED_TRACE(form.name);
      int compared = 0;
      for (int i = 0; i < rounds && !HasFailure(); i++) compared += RunForm(form, width);
      EXPECT_GT(compared, rounds / 8) << form.name << ": mostly declined";
      if (HasFailure()) break;
    }
  }

  static constexpr uint64_t kOperand = NativeCpu::kData + 0xfe0;  // crosses a page at times

  std::mt19937_64 random_{TestSeed()};
  NativeCpu& cpu_ = NativeCpu::Get();
  FakeMachine machine_;
  CpuState state_{};
  std::vector<uint8_t> code_;
};

TEST_F(NativeTest, IntegerForms64) { RunForms(Width::k64, 100); }

TEST_F(NativeTest, IntegerForms32) {
  if (!cpu_.Can(Width::k32)) GTEST_SKIP() << "no 32-bit code segment here";
  RunForms(Width::k32, 100);
}

TEST_F(NativeTest, IntegerForms16) {
  if (!cpu_.Can(Width::k16)) GTEST_SKIP() << "no 16-bit code segment here";
  RunForms(Width::k16, 100);
}

TEST_F(NativeTest, BitStringsInMemory) {
  for (int i = 0; i < 3000 && !HasFailure(); i++) {
    code_.clear();
    FillState(Width::k64);
    const uint64_t prefix = Below(3);
    if (prefix == 1) code_.push_back(0x66);
    if (prefix == 2) code_.push_back(0x48);
    static constexpr uint8_t kOps[] = {0xa3, 0xab, 0xb3, 0xbb};
    code_.insert(code_.end(), {0x0f, kOps[Below(4)], 0x1e});  // op [rsi], rbx
    state_.regs[kRsi] = NativeCpu::kData + 0x1000 + Below(8);
    // Signed offsets of up to 1000 bytes either way.
    state_.regs[kRbx] = Below(16000) - 8000;
    if (prefix == 1) state_.regs[kRbx] ^= Random() << 16;
    EXPECT_TRUE(Compare(kOf | kSf | kAf | kPf, Width::k64));
  }
}

TEST_F(NativeTest, Strings) {
  static constexpr uint8_t kOps[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
  for (int i = 0; i < 8000 && !HasFailure(); i++) {
    const auto width = static_cast<Width>(Below(3));
    if (!cpu_.Can(width)) continue;
    code_.clear();
    FillState(width);
    const bool wide = width == Width::k64;
    const bool narrow = width == Width::k16;
    const bool ad32 = width != Width::k32 && OneIn(3);
    const uint64_t rep = Below(3);
    if (rep) code_.push_back(rep == 1 ? 0xf3 : 0xf2);
    if (OneIn(3)) code_.push_back(0x66);
    if (ad32) code_.push_back(0x67);
    if (wide && OneIn(3)) code_.push_back(0x48);
    const uint8_t op = kOps[Below(std::size(kOps))];
    code_.push_back(op);
    // F2 with MOVS, STOS, LODS is reserved.
    if (rep == 2 && op != 0xa6 && op != 0xa7 && op != 0xae && op != 0xaf) continue;
    uint64_t junk = 0;
    if (wide && ad32 && OneIn(2)) junk = Random() << 32;
    if (narrow && !ad32 && OneIn(2)) junk = Random() & 0xffff0000;
    const uint64_t data = NativeCpu::kData - NativeCpu::SegmentBase(width);
    state_.regs[kRsi] = (data + 0x800 + Below(0x1000)) | junk;
    state_.regs[kRdi] = (data + 0x800 + Below(0x1000)) | junk;
    // With a count of zero and 32-bit addresses, makers differ in the upper halves.
    state_.regs[kRcx] = (1 + Below(40)) | junk;
    if (OneIn(8) && !ad32) state_.regs[kRcx] = junk;
    if (OneIn(3)) state_.rflags |= kDf;
    if (OneIn(2)) memset(cpu_.Data().data(), 0x41, cpu_.Data().size());  // long equal runs
    if (OneIn(2)) state_.regs[kRax] = 0x4141414141414141;
    EXPECT_TRUE(Compare(0, width));
  }
}

TEST_F(NativeTest, Stack) {
  const std::vector<std::vector<uint8_t>> codes = {
      {0x50},
      {0x54},
      {0x57},
      {0x41, 0x57},
      {0x66, 0x50},
      {0x58},
      {0x5c},
      {0x5f},
      {0x41, 0x5f},
      {0x66, 0x5f},
      {0x66, 0x5c},
      {0x6a, 0x85},
      {0x66, 0x6a, 0x85},
      {0x68, 1, 2, 3, 0x84},
      {0x66, 0x68, 1, 0x82},
      {0xff, 0x36},
      {0xff, 0x34, 0x24},
      {0x8f, 0x06},
      {0x8f, 0x04, 0x24},
      {0x8f, 0x44, 0x24, 0x10},
      {0xff, 0xf3},
      {0x8f, 0xc3},
      {0xc9},
      {0x66, 0xc9},
      {0xc8, 0x20, 0x01, 0x00},
      {0x9d},
      {0x66, 0x9d},
      {0x9c, 0x58},
      {0x66, 0x9c},
      {0xe8, 0, 0, 0, 0, 0x58},
      {0x48, 0x8d, 0x1d, 1, 0, 0, 0, 0x53, 0xc3},
      {0x48, 0x8d, 0x1d, 1, 0, 0, 0, 0x53, 0xc2, 0x10, 0x00}};
  for (const auto& code : codes) {
    for (int i = 0; i < 40 && !HasFailure(); i++) {
      code_ = code;
      FillState(Width::k64);
      state_.regs[kRsp] = NativeCpu::kData + 0xff0 + Below(32);
      state_.regs[kRbp] = NativeCpu::kData + 0x800 + Below(32);
      state_.regs[kRsi] = NativeCpu::kData + 0x100;
      // A flags image without TF, AC, NT or others that outlive the instruction.
      if (code.back() == 0x9d) {
        const uint64_t image = 2 | 0x200 | (Random() & kStatusFlags) | (OneIn(2) ? kDf : 0);
        memcpy(cpu_.Data().data() + state_.regs[kRsp] - NativeCpu::kData, &image, sizeof(image));
      }
      EXPECT_TRUE(Compare(0, Width::k64));
    }
  }
}

TEST_F(NativeTest, Stack32) {
  if (!cpu_.Can(Width::k32)) GTEST_SKIP() << "no 32-bit code segment here";
  const std::vector<std::vector<uint8_t>> codes = {{0x50},
                                                   {0x54},
                                                   {0x66, 0x50},
                                                   {0x58},
                                                   {0x5c},
                                                   {0x66, 0x5f},
                                                   {0x60},
                                                   {0x66, 0x60},
                                                   {0x61},
                                                   {0x66, 0x61},
                                                   {0x6a, 0x85},
                                                   {0x68, 1, 2, 3, 0x84},
                                                   {0xff, 0x36},
                                                   {0x8f, 0x44, 0x24, 0x10},
                                                   {0xc9},
                                                   {0xc8, 0x20, 0x01, 0x00},
                                                   {0xe8, 0, 0, 0, 0, 0x58},
                                                   {0x67, 0x8d, 0x47, 0x12}};
  for (const auto& code : codes) {
    for (int i = 0; i < 40 && !HasFailure(); i++) {
      code_ = code;
      FillState(Width::k32);
      state_.regs[kRsp] = NativeCpu::kData + 0xff0 + Below(32);
      state_.regs[kRbp] = NativeCpu::kData + 0x800 + Below(32);
      state_.regs[kRsi] = NativeCpu::kData + 0x100;
      EXPECT_TRUE(Compare(0, Width::k32));
    }
  }
}

TEST_F(NativeTest, Stack16) {
  if (!cpu_.Can(Width::k16)) GTEST_SKIP() << "no 16-bit code segment here";
  const std::vector<std::vector<uint8_t>> codes = {{0x50},
                                                   {0x54},
                                                   {0x66, 0x50},
                                                   {0x58},
                                                   {0x5c},
                                                   {0x66, 0x5f},
                                                   {0x60},
                                                   {0x66, 0x60},
                                                   {0x61},
                                                   {0x66, 0x61},
                                                   {0x6a, 0x85},
                                                   {0x68, 1, 0x82},
                                                   {0x66, 0x6a, 0x85},
                                                   {0xff, 0x34},
                                                   {0x8f, 0x04},
                                                   {0x67, 0x8f, 0x44, 0x24, 0x10},
                                                   {0xc9},
                                                   {0x66, 0xc9},
                                                   {0xc8, 0x20, 0x01, 0x00},
                                                   {0xe8, 0, 0, 0x58},
                                                   {0x66, 0xe8, 0, 0, 0, 0, 0x66, 0x58},
                                                   {0x9c},
                                                   {0x8d, 0x42, 0x85},
                                                   {0xd7},
                                                   {0xe0, 0},
                                                   {0x67, 0xe0, 0},
                                                   {0xe3, 0},
                                                   {0x74, 0}};
  for (const auto& code : codes) {
    for (int i = 0; i < 40 && !HasFailure(); i++) {
      code_ = code;
      FillState(Width::k16);
      state_.regs[kRsp] = 0x4ff0 + Below(32);
      state_.regs[kRbp] = (Random() & 0xffff0000) | (0x4800 + Below(32));
      state_.regs[kRsi] = (Random() & 0xffff0000) | 0x4100;
      state_.regs[kRbx] = (Random() & 0xffff0000) | 0x4200;
      EXPECT_TRUE(Compare(0, Width::k16));
    }
  }
}

TEST_F(NativeTest, Branches) {
  for (int i = 0; i < 2000 && !HasFailure(); i++) {
    FillState(Width::k64);
    const auto cc = static_cast<uint8_t>(Below(16));
    if (OneIn(2)) {
      code_ = {static_cast<uint8_t>(0x70 | cc), 2, 0xb0, 0x55};
    } else {
      code_ = {0x0f, static_cast<uint8_t>(0x80 | cc), 2, 0, 0, 0, 0xb0, 0x55};
    }
    EXPECT_TRUE(Compare(0, Width::k64));
    FillState(Width::k64);
    if (OneIn(2)) state_.regs[kRcx] = Below(3);
    code_ = {static_cast<uint8_t>(0xe0 | Below(4)), 2, 0xb0, 0x55};
    if (OneIn(3)) code_.insert(code_.begin(), 0x67);
    EXPECT_TRUE(Compare(0, Width::k64));
    FillState(Width::k64);
    code_ = {0xeb, 2, 0xb0, 0x55};
    EXPECT_TRUE(Compare(0, Width::k64));
    code_ = {0xe9, 2, 0, 0, 0, 0xb0, 0x55};
    EXPECT_TRUE(Compare(0, Width::k64));
    state_.regs[kRbx] = NativeCpu::InsnOffset(Width::k64) + 4;
    code_ = {0xff, 0xe3, 0xb0, 0x55};
    EXPECT_TRUE(Compare(0, Width::k64));
  }
}

TEST_F(NativeTest, CompareAndExchange16) {
  for (int i = 0; i < 2000 && !HasFailure(); i++) {
    FillState(Width::k64);
    code_ = {0xf0, 0x48, 0x0f, 0xc7, 0x0e};
    state_.regs[kRsi] = NativeCpu::kData + 16 * Below(8);
    if (OneIn(2)) {
      memcpy(&state_.regs[kRax], reinterpret_cast<void*>(state_.regs[kRsi]), 8);
      memcpy(&state_.regs[kRdx], reinterpret_cast<void*>(state_.regs[kRsi] + 8), 8);
    }
    EXPECT_TRUE(Compare(0, Width::k64));
  }
}

TEST_F(NativeTest, SseMoves) {
  const std::vector<std::vector<uint8_t>> codes = {{0x0f, 0x10},
                                                   {0x0f, 0x11},
                                                   {0x66, 0x0f, 0x10},
                                                   {0x66, 0x0f, 0x11},
                                                   {0xf3, 0x0f, 0x10},
                                                   {0xf3, 0x0f, 0x11},
                                                   {0xf2, 0x0f, 0x10},
                                                   {0xf2, 0x0f, 0x11},
                                                   {0x0f, 0x12},
                                                   {0x0f, 0x13},
                                                   {0x0f, 0x16},
                                                   {0x0f, 0x17},
                                                   {0x0f, 0x28},
                                                   {0x0f, 0x29},
                                                   {0x0f, 0x2b},
                                                   {0x66, 0x0f, 0x2b},
                                                   {0x66, 0x0f, 0x6f},
                                                   {0x66, 0x0f, 0x7f},
                                                   {0xf3, 0x0f, 0x6f},
                                                   {0xf3, 0x0f, 0x7f},
                                                   {0x66, 0x0f, 0xe7},
                                                   {0xf2, 0x0f, 0xf0},
                                                   {0x66, 0x0f, 0xd6},
                                                   {0xf3, 0x0f, 0x7e},
                                                   {0x66, 0x0f, 0x6e},
                                                   {0x66, 0x0f, 0x7e},
                                                   {0x66, 0x48, 0x0f, 0x6e},
                                                   {0x66, 0x48, 0x0f, 0x7e}};
  for (const auto& code : codes) {
    int compared = 0;
    for (int i = 0; i < 60 && !HasFailure(); i++) {
      code_ = code;
      FillState(Width::k64);
      const auto reg = static_cast<uint8_t>(Below(2) << 3);
      code_.push_back(OneIn(3) ? static_cast<uint8_t>(0xc0 | reg | Below(2))
                               : static_cast<uint8_t>(0x06 | reg));
      state_.regs[kRsi] = NativeCpu::kData + 0x100 + (OneIn(2) ? 0 : Below(16));
      compared += Compare(0, Width::k64);
    }
    EXPECT_GT(compared, 20) << Describe();
  }
}

}  // namespace
}  // namespace vmm
