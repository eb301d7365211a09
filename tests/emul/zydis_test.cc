// SPDX-License-Identifier: GPL-2.0-or-later
//
// The decoder against an independent one: whatever the emulator accepts must be an instruction
// there as well, as long, and with the same memory operand.

#include <Zydis/Zydis.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "fake_machine.h"
#include "random_code.h"
#include "seed.h"

extern "C" {
#include "emul/decode.h"
}

namespace vmm {
namespace {

struct Mode {
  const char* name;
  vlm_emul_mode mode;
  ZydisMachineMode machine;
  ZydisStackWidth stack;
};

void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }

constexpr Mode kModes[] = {
    {"real", VLM_EMUL_REAL, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
    {"prot16", VLM_EMUL_PROT16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
    {"prot32", VLM_EMUL_PROT32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
    {"long64", VLM_EMUL_LONG64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
};

ZydisRegister SegmentOf(uint8_t seg) {
  static constexpr ZydisRegister kSegments[] = {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS,
                                                ZYDIS_REGISTER_SS, ZYDIS_REGISTER_DS,
                                                ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS};
  return kSegments[seg];
}

class ZydisTest : public ::testing::TestWithParam<Mode> {
 protected:
  ZydisTest() : machine_(GetParam().mode) {
    ZydisDecoderInit(&decoder_, GetParam().machine, GetParam().stack);
  }

  void FillRegisters() {
    for (size_t i = 0; i < 16; i++) {
      machine_.regs[i] = random_();
      context_.values[ZYDIS_REGISTER_RAX + i] = machine_.regs[i];
      context_.values[ZYDIS_REGISTER_EAX + i] = static_cast<uint32_t>(machine_.regs[i]);
      context_.values[ZYDIS_REGISTER_AX + i] = static_cast<uint16_t>(machine_.regs[i]);
    }
  }

  std::string Describe(std::span<const uint8_t> code) {
    std::string text = std::string(GetParam().name) + ", seed " + std::to_string(TestSeed()) + ":";
    char hex[8];
    for (uint8_t byte : code) {
      snprintf(hex, sizeof(hex), " %02x", byte);
      text += hex;
    }
    return text;
  }

  const vlm_emul_operand* MemoryOperand() const {
    if (machine_.emul.dst.kind == VLM_EMUL_OP_MEM) return &machine_.emul.dst;
    if (machine_.emul.src.kind == VLM_EMUL_OP_MEM) return &machine_.emul.src;
    return nullptr;
  }

  void CompareMemory(const ZydisDecodedInstruction& insn,
                     std::span<const ZydisDecodedOperand> operands) {
    const vlm_emul_operand* ours = MemoryOperand();
    const ZydisDecodedOperand* theirs = nullptr;
    for (const ZydisDecodedOperand& operand : operands) {
      if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
          operand.visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT) {
        theirs = &operand;
      }
    }
    if (machine_.emul.flags & I_STRING) return;
    ASSERT_EQ(ours != nullptr, theirs != nullptr);
    if (!ours) return;
    // Zydis 4.0 takes the absent base of SIB for r13, which the processor does not.
    if (insn.raw.modrm.mod == 0 && insn.raw.modrm.rm == 4 && insn.raw.sib.base == 5 &&
        insn.raw.rex.B) {
      return;
    }
    ZyanU64 address = 0;
    ASSERT_TRUE(ZYAN_SUCCESS(
        ZydisCalcAbsoluteAddressEx(&insn, theirs, machine_.emul.rip, &context_, &address)));
    if (theirs->mem.base == ZYDIS_REGISTER_NONE && theirs->mem.index == ZYDIS_REGISTER_NONE) {
      address = static_cast<uint64_t>(theirs->mem.disp.value);
      if (machine_.emul.ad_bytes < 8) address &= (1ull << (8 * machine_.emul.ad_bytes)) - 1;
    }
    EXPECT_EQ(ours->off, address) << ZydisRegisterGetString(theirs->mem.base) << " + "
                                  << int{theirs->mem.scale} << " * "
                                  << ZydisRegisterGetString(theirs->mem.index) << " + "
                                  << theirs->mem.disp.value;
    // 64-bit code has no segments but FS and GS; the decoders name the others differently.
    const bool flat = GetParam().mode == VLM_EMUL_LONG64 && ours->seg < VLM_EMUL_FS;
    if (flat) {
      EXPECT_NE(theirs->mem.segment, ZYDIS_REGISTER_FS);
      EXPECT_NE(theirs->mem.segment, ZYDIS_REGISTER_GS);
    } else if (insn.mnemonic != ZYDIS_MNEMONIC_LEA &&
               !(insn.attributes & ZYDIS_ATTRIB_HAS_NOTRACK)) {
      EXPECT_EQ(SegmentOf(ours->seg), theirs->mem.segment);
    }
    // Others choose their size while executing.
    if (!(machine_.emul.flags & I_RAW)) {
      EXPECT_EQ(ours->size * 8, theirs->size);
    }
  }

  void CompareImmediates(std::span<const ZydisDecodedOperand> operands) {
    const vlm_emul& e = machine_.emul;
    for (const vlm_emul_operand* ours : {&e.dst, &e.src, &e.src2}) {
      if (ours->kind != VLM_EMUL_OP_IMM) continue;
      bool found = false;
      for (const ZydisDecodedOperand& operand : operands) {
        const uint64_t mask = operand.size >= 64 ? ~0ull : (1ull << operand.size) - 1;
        if (operand.type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
          const uint64_t wide = std::max<uint64_t>(mask, ours->size >= 8 ? ~0ull : 0);
          found |= ((operand.imm.value.u ^ ours->val) & (operand.imm.is_signed ? mask : wide)) == 0;
        }
        if (operand.type == ZYDIS_OPERAND_TYPE_POINTER) found |= operand.ptr.offset == ours->val;
      }
      EXPECT_TRUE(found) << std::hex << ours->val;
    }
  }

  std::mt19937_64 random_{TestSeed()};
  FakeMachine machine_;
  ZydisDecoder decoder_;
  ZydisRegisterContext context_{};
};

TEST_P(ZydisTest, RandomBytes) {
  std::set<std::pair<int, int>> seen;
  for (int i = 0; i < 80000 && !HasFailure(); i++) {
    const auto code = RandomCode(random_);
    if (i % 16 == 0) FillRegisters();
    vlm_emul& e = machine_.emul;
    vlm_emul_begin(&e);
    std::copy(code.begin(), code.end(), e.insn);
    e.insn_len = static_cast<uint8_t>(code.size());
    if (vlm_emul_decode(&e) != VLM_EMUL_DONE) continue;
    seen.insert({e.map, e.opcode});

    SCOPED_TRACE(Describe(code));
    ZydisDecodedInstruction insn;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const ZyanStatus status =
        ZydisDecoderDecodeFull(&decoder_, code.data(), code.size(), &insn, operands);
    if (!ZYAN_SUCCESS(status)) {
      const vlm_emul_result result = vlm_emul_execute(&e);
      EXPECT_TRUE(result == VLM_EMUL_UNHANDLED ||
                  (result == VLM_EMUL_FAULT && e.fault.vector == VEC_UD))
          << "not an instruction: status " << std::hex << status;
      continue;
    }
    ASSERT_EQ(e.len, insn.length);
    CompareMemory(insn, {operands, insn.operand_count});
    CompareImmediates({operands, insn.operand_count});
  }
  EXPECT_GT(seen.size(), 250u) << "the random bytes reach too few opcodes";
}

INSTANTIATE_TEST_SUITE_P(Modes, ZydisTest, ::testing::ValuesIn(kModes),
                         [](const auto& mode) { return std::string(mode.param.name); });

}  // namespace
}  // namespace vmm
