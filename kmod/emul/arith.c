// SPDX-License-Identifier: GPL-2.0-only
/* Integer arithmetic instructions, on top of alu.c. */
#include "alu.h"
#include "handlers.h"

/* ADD OR ADC SBB AND SUB XOR CMP: the operation is in the opcode or in modrm. */
HANDLER(alu)
{
	u8 op = e->opcode >= 0x80 ? e->modrm >> 3 & 7 : e->opcode >> 3 & 7;

	e->dst.val = vlm_alu_binary(op, e->dst.val, e->src.val, e->dst.size, &e->new_rflags);
	return VLM_EMUL_DONE;
}

HANDLER(test)
{
	vlm_alu_binary(VLM_ALU_AND, e->dst.val, e->src.val, e->dst.size, &e->new_rflags);
	return VLM_EMUL_DONE;
}

HANDLER(inc)
{
	e->dst.val = vlm_alu_inc(e->dst.val, 1, e->dst.size, &e->new_rflags);
	return VLM_EMUL_DONE;
}

HANDLER(dec)
{
	e->dst.val = vlm_alu_inc(e->dst.val, -1, e->dst.size, &e->new_rflags);
	return VLM_EMUL_DONE;
}

HANDLER(not)
{
	e->dst.val = ~e->dst.val & vlm_emul_mask(e->dst.size);
	return VLM_EMUL_DONE;
}

HANDLER(neg)
{
	e->dst.val = vlm_alu_binary(VLM_ALU_SUB, 0, e->dst.val, e->dst.size, &e->new_rflags);
	return VLM_EMUL_DONE;
}

HANDLER(shift)
{
	e->dst.val = vlm_alu_shift(e->modrm >> 3 & 7, e->dst.val, e->src.val & 0xff,
				   e->dst.size, &e->new_rflags);
	return VLM_EMUL_DONE;
}

/* SHLD, SHRD */
HANDLER(shld)
{
	if (!vlm_alu_shift_double(e->opcode & 8, &e->dst.val, e->src.val, e->src2.val & 0xff,
				  e->dst.size, &e->new_rflags))
		return VLM_EMUL_UNHANDLED;
	return VLM_EMUL_DONE;
}

/* Place a double-width result in AX, or in DX:AX and its wider forms. */
static void set_wide(struct vlm_emul *e, u64 lo, u64 hi, u32 size)
{
	if (size == 1) {
		vlm_emul_set_gpr(e, R_AX, 2, (hi & 0xff) << 8 | (lo & 0xff));
		return;
	}
	vlm_emul_set_gpr(e, R_AX, size, lo);
	vlm_emul_set_gpr(e, R_DX, size, hi);
}

/* MUL and IMUL with one operand */
HANDLER(mul)
{
	u64 lo, hi;

	vlm_alu_mul(e->modrm & 8, vlm_emul_gpr(e, R_AX, e->dst.size), e->dst.val, e->dst.size,
		    &lo, &hi, &e->new_rflags);
	set_wide(e, lo, hi, e->dst.size);
	return VLM_EMUL_DONE;
}

/* IMUL with two or three operands */
HANDLER(imul)
{
	u64 factor = e->src2.kind == VLM_EMUL_OP_NONE ? e->dst.val : e->src2.val;
	u64 hi;

	vlm_alu_mul(true, e->src.val, factor, e->dst.size, &e->dst.val, &hi, &e->new_rflags);
	return VLM_EMUL_DONE;
}

/* DIV, IDIV */
HANDLER(div)
{
	u32 size = e->dst.size;
	u64 lo = vlm_emul_gpr(e, R_AX, size);
	u64 hi = size == 1 ? e->work[R_AX] >> 8 & 0xff : vlm_emul_gpr(e, R_DX, size);
	u64 quot, rem;

	if (!vlm_alu_div(e->modrm & 8, hi, lo, e->dst.val, size, &quot, &rem))
		return vlm_emul_raise(e, VEC_DE);
	set_wide(e, quot, rem, size);
	return VLM_EMUL_DONE;
}

/* CBW, CWDE, CDQE */
HANDLER(widen)
{
	vlm_emul_set_gpr(e, R_AX, e->op_bytes,
			 vlm_emul_sext(e->work[R_AX], e->op_bytes / 2));
	return VLM_EMUL_DONE;
}

/* CWD, CDQ, CQO */
HANDLER(spread)
{
	bool neg = e->work[R_AX] >> (e->op_bytes * 8 - 1) & 1;

	vlm_emul_set_gpr(e, R_DX, e->op_bytes, neg ? ~0ull : 0);
	return VLM_EMUL_DONE;
}
