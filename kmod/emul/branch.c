// SPDX-License-Identifier: GPL-2.0-only
/* Near branches. */
#include "alu.h"
#include "handlers.h"

/* Check a target that is already cut to the operand size, and go there. */
enum vlm_emul_result vlm_emul_jump(struct vlm_emul *e, u64 target)
{
	struct vlm_emul_seg cs;

	if (vlm_emul_is64(e)) {
		if (!vlm_emul_canonical(e, target))
			return vlm_emul_gp(e, 0);
	} else {
		vlm_emul_seg_read(e, VLM_EMUL_CS, &cs);
		if (target > cs.limit)
			return vlm_emul_gp(e, 0);
	}
	e->next_rip = target;
	return VLM_EMUL_DONE;
}

static enum vlm_emul_result jump_relative(struct vlm_emul *e, u64 disp)
{
	return vlm_emul_jump(e, (e->next_rip + disp) & vlm_emul_mask(e->op_bytes));
}

HANDLER(jmp)
{
	if (e->dst.kind == VLM_EMUL_OP_IMM)
		return jump_relative(e, e->dst.val);
	return vlm_emul_jump(e, e->dst.val);
}

HANDLER(jcc)
{
	if (!vlm_alu_condition(e->opcode & 15, e->rflags))
		return VLM_EMUL_DONE;
	return jump_relative(e, e->dst.val);
}

/* LOOPNE LOOPE LOOP JrCXZ */
HANDLER(loop)
{
	u64 count = vlm_emul_gpr(e, R_CX, e->ad_bytes);
	bool zf = e->rflags & FL_ZF;
	bool taken = !count;

	if (e->opcode != 0xe3) {
		count = (count - 1) & vlm_emul_mask(e->ad_bytes);
		vlm_emul_set_gpr(e, R_CX, e->ad_bytes, count);
		taken = count;
		if (e->opcode == 0xe0)
			taken = taken && !zf;
		else if (e->opcode == 0xe1)
			taken = taken && zf;
	}
	return taken ? jump_relative(e, e->dst.val) : VLM_EMUL_DONE;
}

HANDLER(call)
{
	u64 ret = e->next_rip;
	enum vlm_emul_result r;

	if (e->cr4 & CR4_CET)
		return VLM_EMUL_UNHANDLED;
	r = vlm_op_jmp(e);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_push(e, ret, e->op_bytes);
}

HANDLER(ret)
{
	enum vlm_emul_result r;
	u64 target = 0;

	if (e->cr4 & CR4_CET)
		return VLM_EMUL_UNHANDLED;
	r = vlm_emul_peek(e, 0, &target, e->op_bytes);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_jump(e, target);
	if (r == VLM_EMUL_DONE)
		vlm_emul_drop(e, e->op_bytes + e->dst.val);
	return r;
}
