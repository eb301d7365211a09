// SPDX-License-Identifier: GPL-2.0-only
/* Bit tests, conditions, and the read-modify-write instructions of locks. */
#include "alu.h"
#include "handlers.h"

/* BT BTS BTR BTC: a register bit offset may reach outside the operand. */
HANDLER(bt)
{
	bool imm = e->src.kind == VLM_EMUL_OP_IMM;
	u8 op = (imm ? e->modrm : e->opcode) >> 3 & 3;
	u32 bits = e->dst.size * 8;
	enum vlm_emul_result r;
	u64 bit;

	r = vlm_emul_load(e, &e->src, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	if (!imm && e->dst.kind == VLM_EMUL_OP_MEM) {
		s64 index = (s64)vlm_emul_sext(e->src.val, e->src.size);

		e->dst.off += (u64)(index >> 3) & ~(u64)(e->dst.size - 1);
		e->dst.off &= vlm_emul_mask(e->ad_bytes);
	}
	r = vlm_emul_load(e, &e->dst, op ? VLM_EMUL_ACC_WRITE : 0);
	if (r != VLM_EMUL_DONE)
		return r;
	e->dst_old = e->dst.val;
	bit = 1ull << (e->src.val & (bits - 1));
	e->new_rflags &= ~FL_CF;
	if (e->dst.val & bit)
		e->new_rflags |= FL_CF;
	if (!op)
		return VLM_EMUL_DONE;
	if (op == 1)
		e->dst.val |= bit;
	else if (op == 2)
		e->dst.val &= ~bit;
	else
		e->dst.val ^= bit;
	return vlm_emul_store(e, &e->dst);
}

/* BSF, BSR: dst stays if the source is zero, as all implementations do. */
HANDLER(bsf)
{
	u64 val = e->src.val;
	u32 bit = 0;

	if (!val) {
		e->new_rflags |= FL_ZF;
		/* Whether the upper half is cleared then differs by maker. */
		return e->dst.size == 4 && vlm_emul_is64(e) ? VLM_EMUL_UNHANDLED : VLM_EMUL_DONE;
	}
	e->new_rflags &= ~FL_ZF;
	if (e->opcode & 1) {
		bit = e->src.size * 8 - 1;
		while (!(val >> bit & 1))
			bit--;
	} else {
		while (!(val >> bit & 1))
			bit++;
	}
	e->dst.val = bit;
	return VLM_EMUL_DONE;
}

HANDLER(bswap)
{
	u64 in = e->dst.val;
	u64 out = 0;
	u32 i;

	if (e->dst.size == 2)		/* undefined */
		return VLM_EMUL_UNHANDLED;
	for (i = 0; i < e->dst.size; i++) {
		out = out << 8 | (in & 0xff);
		in >>= 8;
	}
	e->dst.val = out;
	return VLM_EMUL_DONE;
}

HANDLER(setcc)
{
	e->dst.val = vlm_alu_condition(e->opcode & 15, e->rflags);
	return VLM_EMUL_DONE;
}

HANDLER(cmovcc)
{
	/* A false condition still zero-extends a 32-bit destination. */
	if (vlm_alu_condition(e->opcode & 15, e->rflags))
		e->dst.val = e->src.val;
	return VLM_EMUL_DONE;
}

HANDLER(xadd)
{
	u64 old = e->dst.val;
	enum vlm_emul_result r;

	e->dst.val = vlm_alu_binary(VLM_ALU_ADD, old, e->src.val, e->dst.size, &e->new_rflags);
	e->src.val = old;
	/* The sum is stored last: it stays if both operands are one register. */
	r = vlm_emul_store(e, &e->src);
	return r;
}

HANDLER(cmpxchg)
{
	u32 size = e->dst.size;

	vlm_alu_binary(VLM_ALU_CMP, vlm_emul_gpr(e, R_AX, size), e->dst.val, size,
		       &e->new_rflags);
	if (e->new_rflags & FL_ZF) {
		e->dst.val = e->src.val;
		return VLM_EMUL_DONE;
	}
	/* Whether a 32-bit register dst is zero-extended then differs by maker. */
	if (e->dst.kind == VLM_EMUL_OP_GPR && size == 4 && vlm_emul_is64(e))
		return VLM_EMUL_UNHANDLED;
	vlm_emul_set_gpr(e, R_AX, size, e->dst.val);
	return VLM_EMUL_DONE;
}

/* CMPXCHG8B, CMPXCHG16B */
HANDLER(cmpxchg_wide)
{
	u32 half = e->rex & 8 ? 8 : 4;
	u32 size = half * 2;
	enum vlm_emul_result r;
	enum vlm_emul_io io;
	u64 old[2] = { 0, 0 };
	u8 val[16];
	u64 lin;

	/* CMPXCHG8B in any mode ignores the operand size. */
	r = vlm_emul_linear(e, e->dst.seg, e->dst.off, size, VLM_EMUL_ACC_WRITE, &lin);
	if (r != VLM_EMUL_DONE)
		return r;
	if (half == 8 && (lin & 15))
		return vlm_emul_gp(e, 0);
	r = vlm_emul_read_lin(e, lin, val, size, VLM_EMUL_ACC_WRITE);
	if (r != VLM_EMUL_DONE)
		return r;
	old[0] = vlm_emul_get_le(val, half);
	old[1] = vlm_emul_get_le(val + half, half);
	e->new_rflags &= ~FL_ZF;
	memcpy(e->buf, val, size);
	if (old[0] == vlm_emul_gpr(e, R_AX, half) && old[1] == vlm_emul_gpr(e, R_DX, half)) {
		e->new_rflags |= FL_ZF;
		vlm_emul_put_le(val, vlm_emul_gpr(e, R_BX, half), half);
		vlm_emul_put_le(val + half, vlm_emul_gpr(e, R_CX, half), half);
	} else {
		vlm_emul_set_gpr(e, R_AX, half, old[0]);
		vlm_emul_set_gpr(e, R_DX, half, old[1]);
	}
	if (!e->lock)
		return vlm_emul_write_lin(e, lin, val, size, 0);
	io = vlm_emul_mem_cmpxchg(e, lin, e->buf, val, size, VLM_EMUL_ACC_WRITE);
	if (io == VLM_EMUL_IO_RETRY)
		return vlm_emul_lost_race(e);
	return vlm_emul_of_io(e, io);
}
