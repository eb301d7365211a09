// SPDX-License-Identifier: GPL-2.0-only
/* Data movement, flag bits, and instructions without effect. */
#include "handlers.h"

HANDLER(mov)
{
	e->dst.val = e->src.val;
	return VLM_EMUL_DONE;
}

HANDLER(movsx)
{
	e->dst.val = vlm_emul_sext(e->src.val, e->src.size) & vlm_emul_mask(e->dst.size);
	return VLM_EMUL_DONE;
}

HANDLER(xchg)
{
	u64 old = e->dst.val;

	e->dst.val = e->src.val;
	e->src.val = old;
	if (e->dst.kind == VLM_EMUL_OP_MEM)
		e->lock = true;		/* always, LOCK or not */
	return vlm_emul_store(e, &e->src);
}

HANDLER(lea)
{
	vlm_emul_set_gpr(e, e->dst.reg, e->dst.size, e->src.off);
	return VLM_EMUL_DONE;
}

/* MOV r/m, Sreg: 16 bits to memory, zero-extended to a register. */
HANDLER(mov_from_seg)
{
	enum vlm_emul_result r = vlm_emul_load(e, &e->src, 0);

	if (r != VLM_EMUL_DONE)
		return r;
	if (e->dst.kind == VLM_EMUL_OP_MEM)
		e->dst.size = 2;
	e->dst.val = e->src.val;
	return vlm_emul_store(e, &e->dst);
}

HANDLER(mov_to_seg)
{
	enum vlm_emul_result r;

	if (e->dst.reg == VLM_EMUL_CS || e->dst.reg > VLM_EMUL_GS)
		return vlm_emul_ud(e);
	r = vlm_emul_load(e, &e->src, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	if (e->dst.reg == VLM_EMUL_SS)
		e->out.shadow = VLM_EMUL_SHADOW_MOV_SS;
	return vlm_emul_load_seg(e, e->dst.reg, (u16)e->src.val);
}

/* LES LDS LSS LFS LGS */
HANDLER(load_far_pointer)
{
	u8 sreg = e->map ? e->opcode & 7 : e->opcode & 1 ? VLM_EMUL_DS : VLM_EMUL_ES;
	u32 size = e->dst.size;
	enum vlm_emul_result r;
	u8 ptr[10];

	r = vlm_emul_read_seg(e, e->src.seg, e->src.off, ptr, size + 2, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_set_gpr(e, e->dst.reg, size, vlm_emul_get_le(ptr, size));
	return vlm_emul_load_seg(e, sreg, (u16)vlm_emul_get_le(ptr + size, 2));
}

HANDLER(lahf)
{
	e->work[R_AX] = (e->work[R_AX] & ~0xff00ull) |
			((e->rflags & (FL_STATUS & 0xff)) | FL_FIXED) << 8;
	return VLM_EMUL_DONE;
}

HANDLER(sahf)
{
	u64 mask = FL_STATUS & 0xff;

	e->new_rflags = (e->new_rflags & ~mask) | (e->work[R_AX] >> 8 & mask);
	return VLM_EMUL_DONE;
}

HANDLER(xlat)
{
	u8 seg = e->seg_override >= 0 ? e->seg_override : VLM_EMUL_DS;
	u64 off = (e->work[R_BX] + (e->work[R_AX] & 0xff)) & vlm_emul_mask(e->ad_bytes);
	enum vlm_emul_result r;
	u8 val;

	r = vlm_emul_read_seg(e, seg, off, &val, 1, 0);
	if (r == VLM_EMUL_DONE)
		vlm_emul_set_gpr(e, R_AX, 1, val);
	return r;
}

/* CMC CLC STC CLD STD */
HANDLER(flag)
{
	switch (e->opcode) {
	case 0xf5:
		e->new_rflags ^= FL_CF;
		break;
	case 0xf8:
		e->new_rflags &= ~FL_CF;
		break;
	case 0xf9:
		e->new_rflags |= FL_CF;
		break;
	case 0xfc:
		e->new_rflags &= ~FL_DF;
		break;
	case 0xfd:
		e->new_rflags |= FL_DF;
		break;
	}
	return VLM_EMUL_DONE;
}

/* 90: not the XCHG that it looks like, unless REX.B names another register. */
HANDLER(nop)
{
	if (e->rex & 1) {
		u64 r8 = vlm_emul_gpr(e, 8, e->op_bytes);

		vlm_emul_set_gpr(e, 8, e->op_bytes, vlm_emul_gpr(e, R_AX, e->op_bytes));
		vlm_emul_set_gpr(e, R_AX, e->op_bytes, r8);
	}
	return VLM_EMUL_DONE;
}

/* 0F 18..1F: hints, ENDBR and the shadow stack's reserved space among them. */
HANDLER(hint)
{
	if (e->opcode == 0x1e && e->rep && (e->cr4 & CR4_CET))
		return VLM_EMUL_UNHANDLED;
	return VLM_EMUL_DONE;
}

HANDLER(prefetch)
{
	return VLM_EMUL_DONE;	/* faults are ignored, so that nothing is left to do */
}

/* 0F AE with a register operand: LFENCE MFENCE SFENCE; with memory: CLFLUSH. */
HANDLER(fence)
{
	enum vlm_emul_result r;
	u64 lin;

	if (e->src.kind != VLM_EMUL_OP_MEM)
		return (e->modrm & 7) ? VLM_EMUL_UNHANDLED : VLM_EMUL_DONE;
	if ((e->modrm >> 3 & 7) != 7)
		return VLM_EMUL_UNHANDLED;
	r = vlm_emul_linear_any(e, e->src.seg, e->src.off, 1, 0, &lin);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_of_io(e, vlm_emul_mem_probe(e, lin, 1, 0));
}

HANDLER(ud)
{
	return vlm_emul_ud(e);
}
