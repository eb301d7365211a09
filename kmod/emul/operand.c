// SPDX-License-Identifier: GPL-2.0-only
/* Registers and decoded operands. */
#include "access.h"

u64 vlm_emul_gpr(const struct vlm_emul *e, u8 reg, u32 size)
{
	return e->work[reg] & vlm_emul_mask(size);
}

void vlm_emul_set_gpr(struct vlm_emul *e, u8 reg, u32 size, u64 val)
{
	u64 mask = vlm_emul_mask(size);

	if (size == 4)		/* 32-bit results are zero-extended */
		e->work[reg] = val & mask;
	else
		e->work[reg] = (e->work[reg] & ~mask) | (val & mask);
}

static void store_gpr(struct vlm_emul *e, const struct vlm_emul_operand *op)
{
	if (op->high8)
		e->work[op->reg] = (e->work[op->reg] & ~0xff00ull) | (op->val & 0xff) << 8;
	else
		vlm_emul_set_gpr(e, op->reg, op->size, op->val);
}

enum vlm_emul_result vlm_emul_load(struct vlm_emul *e, struct vlm_emul_operand *op, u32 acc)
{
	struct vlm_emul_seg seg;

	switch (op->kind) {
	case VLM_EMUL_OP_GPR:
		op->val = op->high8 ? e->work[op->reg] >> 8 & 0xff :
				      vlm_emul_gpr(e, op->reg, op->size);
		return VLM_EMUL_DONE;
	case VLM_EMUL_OP_MEM:
		op->val = 0;
		if (op->size > sizeof(op->val))
			return VLM_EMUL_UNHANDLED;
		return vlm_emul_read_seg(e, op->seg, op->off, &op->val, op->size, acc);
	case VLM_EMUL_OP_SEG:
		if (op->reg > VLM_EMUL_GS)
			return vlm_emul_ud(e);
		vlm_emul_seg_read(e, op->reg, &seg);
		op->val = seg.sel;
		return VLM_EMUL_DONE;
	case VLM_EMUL_OP_NONE:
	case VLM_EMUL_OP_IMM:
		return VLM_EMUL_DONE;
	case VLM_EMUL_OP_CR:
	case VLM_EMUL_OP_DR:
	case VLM_EMUL_OP_XMM:
		break;
	}
	return VLM_EMUL_UNHANDLED;
}

/* Somebody else changed the bytes first: start the instruction over. */
enum vlm_emul_result vlm_emul_lost_race(struct vlm_emul *e)
{
	memcpy(e->work, e->regs, sizeof(e->work));
	e->new_rflags = e->rflags;
	e->next_rip = e->rip;
	vlm_emul_log_clear(e);
	return VLM_EMUL_DONE;
}

static enum vlm_emul_result store_mem(struct vlm_emul *e, const struct vlm_emul_operand *op)
{
	enum vlm_emul_result r;
	enum vlm_emul_io io;
	u64 lin;

	r = vlm_emul_linear(e, op->seg, op->off, op->size, VLM_EMUL_ACC_WRITE, &lin);
	if (r != VLM_EMUL_DONE)
		return r;
	if (!e->lock)
		return vlm_emul_write_lin(e, lin, &op->val, op->size, 0);
	io = vlm_emul_mem_cmpxchg(e, lin, &e->dst_old, &op->val, op->size, VLM_EMUL_ACC_WRITE);
	if (io == VLM_EMUL_IO_RETRY)
		return vlm_emul_lost_race(e);
	return vlm_emul_of_io(e, io);
}

enum vlm_emul_result vlm_emul_store(struct vlm_emul *e, struct vlm_emul_operand *op)
{
	switch (op->kind) {
	case VLM_EMUL_OP_GPR:
		store_gpr(e, op);
		return VLM_EMUL_DONE;
	case VLM_EMUL_OP_MEM:
		if (op->size > sizeof(op->val))
			return VLM_EMUL_UNHANDLED;
		return store_mem(e, op);
	case VLM_EMUL_OP_NONE:
		return VLM_EMUL_DONE;
	case VLM_EMUL_OP_IMM:
	case VLM_EMUL_OP_SEG:
	case VLM_EMUL_OP_CR:
	case VLM_EMUL_OP_DR:
	case VLM_EMUL_OP_XMM:
		break;
	}
	return VLM_EMUL_UNHANDLED;
}
