// SPDX-License-Identifier: GPL-2.0-only
/* PUSH, POP and relatives; they are declined where misaligned operands raise #AC. */
#include "handlers.h"

u32 vlm_emul_stack_bytes(struct vlm_emul *e)
{
	struct vlm_emul_seg ss;

	if (vlm_emul_is64(e))
		return 8;
	vlm_emul_seg_read(e, VLM_EMUL_SS, &ss);
	return ss.ar & VLM_EMUL_AR_DB ? 4 : 2;
}

enum vlm_emul_result vlm_emul_push_bytes(struct vlm_emul *e, const void *buf, u32 len)
{
	u32 width = vlm_emul_stack_bytes(e);
	u64 sp = vlm_emul_gpr(e, R_SP, width);
	enum vlm_emul_result r;
	u64 lin;

	/* Values around the wrap of the stack pointer do not lie side by side. */
	if ((sp && sp < len) || vlm_emul_align_checked(e))
		return VLM_EMUL_UNHANDLED;
	sp = (sp - len) & vlm_emul_mask(width);
	r = vlm_emul_linear_any(e, VLM_EMUL_SS, sp, len, VLM_EMUL_ACC_WRITE, &lin);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_write_lin(e, lin, buf, len, 0);
	if (r == VLM_EMUL_DONE)
		vlm_emul_set_gpr(e, R_SP, width, sp);
	return r;
}

enum vlm_emul_result vlm_emul_push(struct vlm_emul *e, u64 val, u32 size)
{
	return vlm_emul_push_bytes(e, &val, size);
}

enum vlm_emul_result vlm_emul_peek(struct vlm_emul *e, u32 skip, void *buf, u32 len)
{
	u32 width = vlm_emul_stack_bytes(e);
	u64 sp = (vlm_emul_gpr(e, R_SP, width) + skip) & vlm_emul_mask(width);
	enum vlm_emul_result r;
	u64 lin;

	if (sp > vlm_emul_mask(width) - (len - 1) || vlm_emul_align_checked(e))
		return VLM_EMUL_UNHANDLED;
	r = vlm_emul_linear_any(e, VLM_EMUL_SS, sp, len, 0, &lin);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_lin(e, lin, buf, len, 0);
	return r;
}

void vlm_emul_drop(struct vlm_emul *e, u64 bytes)
{
	u32 width = vlm_emul_stack_bytes(e);

	vlm_emul_set_gpr(e, R_SP, width, e->work[R_SP] + bytes);
}

HANDLER(push)
{
	enum vlm_emul_result r;

	r = vlm_emul_load(e, &e->dst, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_push(e, e->dst.val, e->op_bytes);
}

HANDLER(pop)
{
	enum vlm_emul_result r;
	u64 val = 0;

	r = vlm_emul_peek(e, 0, &val, e->op_bytes);
	if (r != VLM_EMUL_DONE)
		return r;
	/* The stack pointer moves before it serves as base or is overwritten. */
	vlm_emul_drop(e, e->op_bytes);
	if (e->dst.kind == VLM_EMUL_OP_MEM && e->rsp_base)
		e->dst.off = (e->dst.off + e->op_bytes) & vlm_emul_mask(e->ad_bytes);
	e->dst.val = val;
	return vlm_emul_store(e, &e->dst);
}

/* The opcodes of PUSH and POP Sreg hold its number in bits 3..5. */
static u8 seg_of_opcode(const struct vlm_emul *e)
{
	return e->opcode >> 3 & (e->map ? 7 : 3);
}

HANDLER(push_seg)
{
	struct vlm_emul_seg seg;

	vlm_emul_seg_read(e, seg_of_opcode(e), &seg);
	return vlm_emul_push(e, seg.sel, e->op_bytes);
}

HANDLER(pop_seg)
{
	enum vlm_emul_result r;
	u64 val = 0;

	r = vlm_emul_peek(e, 0, &val, e->op_bytes);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_drop(e, e->op_bytes);
	if (seg_of_opcode(e) == VLM_EMUL_SS)
		e->out.shadow = VLM_EMUL_SHADOW_MOV_SS;
	return vlm_emul_load_seg(e, seg_of_opcode(e), (u16)val);
}

HANDLER(pusha)
{
	u32 size = e->op_bytes;
	u8 block[32];
	u32 i;

	for (i = 0; i < 8; i++)
		vlm_emul_put_le(block + i * size, e->work[7 - i], size);
	return vlm_emul_push_bytes(e, block, 8 * size);
}

HANDLER(popa)
{
	u32 size = e->op_bytes;
	enum vlm_emul_result r;
	u8 block[32];
	u32 i;

	r = vlm_emul_peek(e, 0, block, 8 * size);
	if (r != VLM_EMUL_DONE)
		return r;
	for (i = 0; i < 8; i++)
		if (7 - i != R_SP)
			vlm_emul_set_gpr(e, 7 - i, size, vlm_emul_get_le(block + i * size, size));
	vlm_emul_drop(e, 8 * size);
	return VLM_EMUL_DONE;
}

/* Virtual-8086 mode below IOPL 3: #GP, or virtual interrupt flags. */
static enum vlm_emul_result vm86_flags_check(struct vlm_emul *e)
{
	if (e->mode != VLM_EMUL_VM86 || (e->rflags & FL_IOPL) == FL_IOPL)
		return VLM_EMUL_DONE;
	return e->cr4 & CR4_VME ? VLM_EMUL_UNHANDLED : vlm_emul_gp(e, 0);
}

u64 vlm_emul_popf_mask(const struct vlm_emul *e, u32 size)
{
	u64 mask = FL_STATUS | FL_TF | FL_DF | FL_NT;

	if (size > 2)
		mask |= FL_AC | FL_ID;
	if (e->mode == VLM_EMUL_REAL || e->cpl == 0)
		mask |= FL_IOPL | FL_IF;
	else if (e->cpl <= (e->rflags & FL_IOPL) >> 12)
		mask |= FL_IF;
	return mask;
}

HANDLER(pushf)
{
	enum vlm_emul_result r = vm86_flags_check(e);

	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_push(e, e->rflags & ~(FL_VM | FL_RF), e->op_bytes);
}

HANDLER(popf)
{
	u64 mask = vlm_emul_popf_mask(e, e->op_bytes);
	enum vlm_emul_result r = vm86_flags_check(e);
	u64 val = 0;

	/* With PVI, IF is virtual for programs. */
	if (r == VLM_EMUL_DONE && e->cpl == 3 && (e->cr4 & CR4_PVI) && !(mask & FL_IF))
		r = VLM_EMUL_UNHANDLED;
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_peek(e, 0, &val, e->op_bytes);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_drop(e, e->op_bytes);
	e->new_rflags = (e->new_rflags & ~mask) | (val & mask);
	return VLM_EMUL_DONE;
}

/* Only nesting level 0, which compilers emit. */
HANDLER(enter)
{
	u32 width = vlm_emul_stack_bytes(e);
	enum vlm_emul_result r;

	if (e->src.val & 31)
		return VLM_EMUL_UNHANDLED;
	r = vlm_emul_push(e, e->work[R_BP], e->op_bytes);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_set_gpr(e, R_BP, e->op_bytes, vlm_emul_gpr(e, R_SP, width));
	vlm_emul_set_gpr(e, R_SP, width, e->work[R_SP] - e->dst.val);
	return VLM_EMUL_DONE;
}

HANDLER(leave)
{
	u32 width = vlm_emul_stack_bytes(e);
	enum vlm_emul_result r;
	u64 val = 0;

	vlm_emul_set_gpr(e, R_SP, width, e->work[R_BP]);
	r = vlm_emul_peek(e, 0, &val, e->op_bytes);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_drop(e, e->op_bytes);
	vlm_emul_set_gpr(e, R_BP, e->op_bytes, val);
	return VLM_EMUL_DONE;
}
