/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Integer arithmetic with x86 flags, as pure functions of their arguments.
 * size is 1, 2, 4 or 8 bytes; results are truncated to it.  *flags is RFLAGS:
 * the status flags that an operation defines are replaced, all other bits stay.
 * Flags that the SDM calls undefined are left unchanged or cleared.
 */
#ifndef VLM_EMUL_ALU_H
#define VLM_EMUL_ALU_H

#include "platform.h"

enum vlm_alu_op {		/* in the order of their encoding */
	VLM_ALU_ADD,
	VLM_ALU_OR,
	VLM_ALU_ADC,
	VLM_ALU_SBB,
	VLM_ALU_AND,
	VLM_ALU_SUB,
	VLM_ALU_XOR,
	VLM_ALU_CMP,
};

enum vlm_alu_shift {
	VLM_ALU_ROL,
	VLM_ALU_ROR,
	VLM_ALU_RCL,
	VLM_ALU_RCR,
	VLM_ALU_SHL,
	VLM_ALU_SHR,
	VLM_ALU_SAL,
	VLM_ALU_SAR,
};

u64 vlm_alu_binary(enum vlm_alu_op op, u64 a, u64 b, u32 size, u64 *flags);
/* INC and DEC: CF stays.  delta is 1 or -1. */
u64 vlm_alu_inc(u64 a, int delta, u32 size, u64 *flags);
/* Only the low 5 (6 for size 8) bits of count matter. */
u64 vlm_alu_shift(enum vlm_alu_shift op, u64 a, u32 count, u32 size, u64 *flags);
/* SHLD, SHRD; false if count exceeds the size (undefined result). */
bool vlm_alu_shift_double(bool right, u64 *a, u64 fill, u32 count, u32 size, u64 *flags);
/* Full product of two size-byte factors. */
void vlm_alu_mul(bool is_signed, u64 a, u64 b, u32 size, u64 *lo, u64 *hi, u64 *flags);
/* hi:lo / d; false for what raises #DE.  No flag is defined by a division. */
bool vlm_alu_div(bool is_signed, u64 hi, u64 lo, u64 d, u32 size, u64 *quot, u64 *rem);
/* Condition code 0..15 of Jcc, SETcc and CMOVcc. */
bool vlm_alu_condition(u32 cc, u64 flags);

#endif
