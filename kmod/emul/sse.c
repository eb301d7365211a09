// SPDX-License-Identifier: GPL-2.0-only
/* Loads and stores of 4 to 16 bytes between XMM registers and memory. */
#include "handlers.h"

static enum vlm_emul_result sse_check(struct vlm_emul *e)
{
	if ((e->cr0 & CR0_EM) || !(e->cr4 & CR4_OSFXSR))
		return vlm_emul_ud(e);
	if (e->cr0 & CR0_TS)
		return vlm_emul_raise(e, VEC_NM);
	return VLM_EMUL_DONE;
}

/* Which move it is: bytes in memory, and whether they must be aligned. */
static bool sse_form(const struct vlm_emul *e, u32 *size, bool *aligned)
{
	bool plain = !e->rep;

	*size = 16;
	*aligned = false;
	switch (e->opcode) {
	case 0x10: case 0x11:	/* MOVUPS MOVUPD MOVSS MOVSD */
		if (!plain)
			*size = e->rep == 0xf3 ? 4 : 8;
		return true;
	case 0x12: case 0x13: case 0x16: case 0x17:	/* MOVLPx MOVHPx */
		*size = 8;
		return plain && e->modrm >> 6 != 3;
	case 0x28: case 0x29:	/* MOVAPS MOVAPD */
		*aligned = true;
		return plain;
	case 0x2b:		/* MOVNTPS MOVNTPD */
		*aligned = true;
		return plain && e->modrm >> 6 != 3;
	case 0x6f: case 0x7f:	/* MOVDQA MOVDQU */
		*aligned = plain;
		return e->rep == 0xf3 || (plain && e->opsize_prefix);
	case 0xe7:		/* MOVNTDQ */
		*aligned = true;
		return plain && e->opsize_prefix && e->modrm >> 6 != 3;
	case 0xf0:		/* LDDQU */
		return e->rep == 0xf2 && e->modrm >> 6 != 3;
	case 0x7e:		/* MOVQ xmm, xmm/m64 */
		*size = 8;
		return true;
	case 0xd6:		/* MOVQ xmm/m64, xmm */
		*size = 8;
		return plain && e->opsize_prefix;
	}
	return false;
}

bool vlm_emul_sse_known(const struct vlm_emul *e)
{
	bool aligned;
	u32 size;

	if (e->op->exec == vlm_op_movd)
		return !e->rep && e->opsize_prefix;
	return sse_form(e, &size, &aligned);
}

static bool high_half(const struct vlm_emul *e)
{
	return (e->opcode & 0xfe) == 0x16;
}

static enum vlm_emul_result sse_linear(struct vlm_emul *e, const struct vlm_emul_operand *op,
				       u32 size, bool aligned, u32 acc, u64 *lin)
{
	enum vlm_emul_result r = vlm_emul_linear(e, op->seg, op->off, size, acc, lin);

	if (r == VLM_EMUL_DONE && aligned && (*lin & 15))
		return vlm_emul_gp(e, 0);
	return r;
}

HANDLER(sse_load)
{
	enum vlm_emul_result r;
	bool aligned;
	u8 val[16];
	u8 from[16];
	u32 size;
	u64 lin;

	if (!sse_form(e, &size, &aligned))
		return VLM_EMUL_UNHANDLED;
	r = sse_check(e);
	if (r != VLM_EMUL_DONE)
		return r;
	memset(val, 0, sizeof(val));
	if (e->src.kind == VLM_EMUL_OP_XMM) {
		/* Scalar moves between registers keep the rest, but MOVQ clears it. */
		if (size < 16 && e->opcode != 0x7e)
			vlm_emul_xmm_read(e, e->dst.reg, val);
		vlm_emul_xmm_read(e, e->src.reg, from);
		memcpy(val, from, size);
	} else {
		r = sse_linear(e, &e->src, size, aligned, 0, &lin);
		if (r == VLM_EMUL_DONE)
			r = vlm_emul_read_lin(e, lin, from, size, 0);
		if (r != VLM_EMUL_DONE)
			return r;
		if (e->opcode == 0x12 || e->opcode == 0x16)
			vlm_emul_xmm_read(e, e->dst.reg, val);
		memcpy(val + (high_half(e) ? 8 : 0), from, size);
	}
	vlm_emul_xmm_write(e, e->dst.reg, val);
	return VLM_EMUL_DONE;
}

HANDLER(sse_store)
{
	enum vlm_emul_result r;
	bool aligned;
	u8 val[16];
	u8 to[16];
	u32 size;
	u64 lin;

	if (!sse_form(e, &size, &aligned))
		return VLM_EMUL_UNHANDLED;
	r = sse_check(e);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_xmm_read(e, e->src.reg, val);
	if (e->dst.kind == VLM_EMUL_OP_XMM) {
		memset(to, 0, sizeof(to));
		if (size < 16 && e->opcode == 0x11)
			vlm_emul_xmm_read(e, e->dst.reg, to);
		memcpy(to, val, size);
		vlm_emul_xmm_write(e, e->dst.reg, to);
		return VLM_EMUL_DONE;
	}
	r = sse_linear(e, &e->dst, size, aligned, VLM_EMUL_ACC_WRITE, &lin);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_write_lin(e, lin, val + (high_half(e) ? 8 : 0), size, 0);
}

/* MOVD, MOVQ between an XMM and a general register or memory: 66 0F 6E, 66 0F 7E */
HANDLER(movd)
{
	struct vlm_emul_operand *rm = e->opcode == 0x6e ? &e->src : &e->dst;
	enum vlm_emul_result r;
	u8 val[16];

	rm->size = e->rex & 8 ? 8 : 4;
	rm->high8 = false;
	r = sse_check(e);
	if (r != VLM_EMUL_DONE)
		return r;
	if (e->opcode == 0x6e) {
		r = vlm_emul_load(e, rm, 0);
		if (r != VLM_EMUL_DONE)
			return r;
		memset(val, 0, sizeof(val));
		memcpy(val, &rm->val, rm->size);
		vlm_emul_xmm_write(e, e->dst.reg, val);
		return r;
	}
	vlm_emul_xmm_read(e, e->src.reg, val);
	rm->val = vlm_emul_get_le(val, rm->size);
	return vlm_emul_store(e, rm);
}
