// SPDX-License-Identifier: GPL-2.0-only
/* Far branches, and software interrupts of real mode. */
#include "handlers.h"

/* Target of a far branch: immediate, or from memory. */
static enum vlm_emul_result far_target(struct vlm_emul *e, u16 *sel, u64 *off)
{
	u32 size = e->op_bytes;
	enum vlm_emul_result r;
	u8 ptr[10];

	if (e->dst.kind == VLM_EMUL_OP_IMM) {
		*off = e->dst.val;
		*sel = (u16)e->dst.off;
		return VLM_EMUL_DONE;
	}
	r = vlm_emul_read_seg(e, e->dst.seg, e->dst.off, ptr, size + 2, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	*off = vlm_emul_get_le(ptr, size);
	*sel = (u16)vlm_emul_get_le(ptr + size, 2);
	return VLM_EMUL_DONE;
}

HANDLER(jmp_far)
{
	struct vlm_emul_seg seg;
	enum vlm_emul_result r;
	u16 sel = 0;
	u64 off = 0;

	r = far_target(e, &sel, &off);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_prepare_cs(e, sel, off, false, &seg);
	if (r == VLM_EMUL_DONE)
		vlm_emul_seg_write(e, VLM_EMUL_CS, &seg);
	return r;
}

HANDLER(call_far)
{
	u64 ret = e->next_rip;
	struct vlm_emul_seg old, seg;
	enum vlm_emul_result r;
	u8 frame[16] = { 0 };
	u16 sel = 0;
	u64 off = 0;

	if (e->cr4 & CR4_CET)
		return VLM_EMUL_UNHANDLED;
	r = far_target(e, &sel, &off);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_prepare_cs(e, sel, off, false, &seg);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_seg_read(e, VLM_EMUL_CS, &old);
	vlm_emul_put_le(frame, ret, e->op_bytes);
	vlm_emul_put_le(frame + e->op_bytes, old.sel, 2);
	r = vlm_emul_push_bytes(e, frame, 2 * e->op_bytes);
	if (r == VLM_EMUL_DONE)
		vlm_emul_seg_write(e, VLM_EMUL_CS, &seg);
	return r;
}

HANDLER(ret_far)
{
	u32 size = e->op_bytes;
	struct vlm_emul_seg seg;
	enum vlm_emul_result r;
	u8 frame[16];

	if (e->cr4 & CR4_CET)
		return VLM_EMUL_UNHANDLED;
	r = vlm_emul_peek(e, 0, frame, 2 * size);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_prepare_cs(e, (u16)vlm_emul_get_le(frame + size, 2),
					vlm_emul_get_le(frame, size), true, &seg);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_drop(e, 2 * size + e->dst.val);
	vlm_emul_seg_write(e, VLM_EMUL_CS, &seg);
	return r;
}

/* INT3, INT n, INTO in real mode: through the vector table at IDTR. */
HANDLER(int)
{
	u8 vector = e->opcode == 0xcc ? 3 : e->opcode == 0xce ? 4 : (u8)e->dst.val;
	struct vlm_emul_table idt;
	struct vlm_emul_seg old, seg;
	enum vlm_emul_result r;
	u16 entry[2] = { 0, 0 };
	u16 frame[3];
	u64 lin;

	if (e->mode != VLM_EMUL_REAL)
		return VLM_EMUL_UNHANDLED;
	if (e->opcode == 0xce && !(e->rflags & FL_OF))
		return VLM_EMUL_DONE;
	vlm_emul_idt_read(e, &idt);
	if (vector * 4u + 3 > idt.limit)
		return vlm_emul_gp(e, 0);
	r = vlm_emul_linear_system(e, idt.base, vector * 4u, 4, &lin);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_lin(e, lin, entry, 4, VLM_EMUL_ACC_IMPLICIT);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_seg_read(e, VLM_EMUL_CS, &old);
	frame[0] = (u16)e->next_rip;
	frame[1] = old.sel;
	frame[2] = (u16)e->new_rflags;
	r = vlm_emul_prepare_cs(e, entry[1], entry[0], false, &seg);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_push_bytes(e, frame, sizeof(frame));
	if (r != VLM_EMUL_DONE)
		return r;
	e->new_rflags &= ~(FL_IF | FL_TF | FL_AC);
	vlm_emul_seg_write(e, VLM_EMUL_CS, &seg);
	return r;
}

/* IRET in real mode */
HANDLER(iret)
{
	u32 size = e->op_bytes;
	u64 mask = vlm_emul_popf_mask(e, size);
	struct vlm_emul_seg seg;
	enum vlm_emul_result r;
	u8 frame[12];
	u64 flags;

	if (e->mode != VLM_EMUL_REAL)
		return VLM_EMUL_UNHANDLED;
	r = vlm_emul_peek(e, 0, frame, 3 * size);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_prepare_cs(e, (u16)vlm_emul_get_le(frame + size, 2),
					vlm_emul_get_le(frame, size), true, &seg);
	if (r != VLM_EMUL_DONE)
		return r;
	flags = vlm_emul_get_le(frame + 2 * size, size);
	if (size == 4)
		mask |= FL_RF;
	vlm_emul_drop(e, 3 * size);
	e->new_rflags = (e->new_rflags & ~mask) | (flags & mask);
	e->out.nmi_unblock = true;
	vlm_emul_seg_write(e, VLM_EMUL_CS, &seg);
	return r;
}
