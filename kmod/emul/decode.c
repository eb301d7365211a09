// SPDX-License-Identifier: GPL-2.0-only
/* Instruction bytes to operands. */
#include "access.h"

static u8 decode_prefixes(struct vlm_emul_cursor *c)
{
	struct vlm_emul *e = c->e;
	bool is64 = vlm_emul_is64(e);
	bool adsize = false;
	u8 b;

	for (;;) {
		b = vlm_emul_take(c, 1);
		if (c->failed != VLM_EMUL_DONE)
			return 0;
		switch (b) {
		case 0x26: case 0x2e: case 0x36: case 0x3e:
			if (!is64)
				e->seg_override = (b >> 3) & 3;
			break;
		case 0x64: case 0x65:
			e->seg_override = b & 7;
			break;
		case 0x66:
			e->opsize_prefix = true;
			break;
		case 0x67:
			adsize = true;
			break;
		case 0xf0:
			e->lock = true;
			break;
		case 0xf2: case 0xf3:
			e->rep = b;
			break;
		default:
			if (is64 && (b & 0xf0) == 0x40) {
				e->rex = b;
				continue;	/* counts only right before the opcode */
			}
			goto out;
		}
		e->rex = 0;
	}
out:
	if (is64) {
		e->ad_bytes = adsize ? 4 : 8;
		e->op_bytes = e->rex & 8 ? 8 : e->opsize_prefix ? 2 : 4;
	} else if (e->mode == VLM_EMUL_PROT32) {
		e->ad_bytes = adsize ? 2 : 4;
		e->op_bytes = e->opsize_prefix ? 2 : 4;
	} else {
		e->ad_bytes = adsize ? 4 : 2;
		e->op_bytes = e->opsize_prefix ? 4 : 2;
	}
	return b;
}

static void set_gpr(const struct vlm_emul *e, struct vlm_emul_operand *op, u8 reg, u8 size)
{
	op->kind = VLM_EMUL_OP_GPR;
	op->size = size;
	op->reg = reg;
	if (size == 1 && !e->rex && reg >= 4 && reg < 8) {
		op->high8 = true;
		op->reg = reg - 4;
	}
}

static void set_imm(struct vlm_emul_operand *op, u64 val, u8 size)
{
	op->kind = VLM_EMUL_OP_IMM;
	op->size = size;
	op->val = val;
}

/* Decode the r/m operand once; only one operand of an instruction is r/m. */
static void decode_rm(struct vlm_emul_cursor *c, struct vlm_emul_operand *op, u8 size, bool xmm)
{
	struct vlm_emul *e = c->e;

	if (e->modrm >> 6 == 3) {
		u8 reg = (e->modrm & 7) | vlm_emul_rex_bit(e, 0);

		if (xmm) {
			op->kind = VLM_EMUL_OP_XMM;
			op->size = size;
			op->reg = reg;
		} else {
			set_gpr(e, op, reg, size);
		}
		return;
	}
	op->kind = VLM_EMUL_OP_MEM;
	op->size = size;
	vlm_emul_decode_address(c, op);
}

static void decode_moffs(struct vlm_emul_cursor *c, struct vlm_emul_operand *op, u8 size)
{
	op->kind = VLM_EMUL_OP_MEM;
	op->size = size;
	op->seg = c->e->seg_override >= 0 ? c->e->seg_override : VLM_EMUL_DS;
	op->off = vlm_emul_take(c, c->e->ad_bytes);
}

static void decode_special_reg(struct vlm_emul *e, struct vlm_emul_operand *op,
			       enum vlm_emul_kind kind, u8 size)
{
	op->kind = kind;
	op->size = size;
	op->reg = e->modrm >> 3 & 7;
	if (kind != VLM_EMUL_OP_SEG)	/* REX.R does not reach segment registers */
		op->reg |= vlm_emul_rex_bit(e, 2);
}

static void decode_operand(struct vlm_emul_cursor *c, struct vlm_emul_operand *op, u32 spec)
{
	struct vlm_emul *e = c->e;
	u8 size = e->flags & I_BYTE ? 1 : e->op_bytes;
	u8 native = vlm_emul_is64(e) ? 8 : 4;

	switch ((enum vlm_emul_spec)spec) {
	case S_NONE:
		break;
	case S_E:
		decode_rm(c, op, size, false);
		break;
	case S_EB:
		decode_rm(c, op, 1, false);
		break;
	case S_EW:
		decode_rm(c, op, 2, false);
		break;
	case S_ED:
		decode_rm(c, op, 4, false);
		break;
	case S_M:
		decode_rm(c, op, size, false);
		if (op->kind != VLM_EMUL_OP_MEM && c->failed == VLM_EMUL_DONE)
			c->failed = vlm_emul_ud(e);
		break;
	case S_W:
		decode_rm(c, op, 16, true);
		break;
	case S_G:
		set_gpr(e, op, (e->modrm >> 3 & 7) | vlm_emul_rex_bit(e, 2), size);
		break;
	case S_R:
		set_gpr(e, op, (e->modrm & 7) | vlm_emul_rex_bit(e, 0), native);
		break;
	case S_A:
		set_gpr(e, op, R_AX, size);
		break;
	case S_Z:
		set_gpr(e, op, (e->opcode & 7) | vlm_emul_rex_bit(e, 0), size);
		break;
	case S_CL:
		set_gpr(e, op, R_CX, 1);
		break;
	case S_DX:
		set_gpr(e, op, R_DX, 2);
		break;
	case S_IB:
		set_imm(op, vlm_emul_sext(vlm_emul_take(c, 1), 1), size);
		break;
	case S_IUB:
		set_imm(op, vlm_emul_take(c, 1), 1);
		break;
	case S_IW:
		set_imm(op, vlm_emul_take(c, 2), 2);
		break;
	case S_IZ: {
		u8 width = size == 8 ? 4 : size;

		set_imm(op, vlm_emul_sext(vlm_emul_take(c, width), width), size);
		break;
	}
	case S_IV:
		set_imm(op, vlm_emul_take(c, size), size);
		break;
	case S_J: {
		u8 width = e->flags & I_BYTE ? 1 : e->op_bytes == 8 ? 4 : e->op_bytes;

		set_imm(op, vlm_emul_sext(vlm_emul_take(c, width), width), e->op_bytes);
		break;
	}
	case S_P:
		set_imm(op, vlm_emul_take(c, e->op_bytes), e->op_bytes);
		op->off = vlm_emul_take(c, 2);
		break;
	case S_O:
		decode_moffs(c, op, size);
		break;
	case S_ONE:
		set_imm(op, 1, 1);
		break;
	case S_S:
		decode_special_reg(e, op, VLM_EMUL_OP_SEG, 2);
		break;
	case S_C:
		decode_special_reg(e, op, VLM_EMUL_OP_CR, native);
		break;
	case S_D:
		decode_special_reg(e, op, VLM_EMUL_OP_DR, native);
		break;
	case S_V:
		decode_special_reg(e, op, VLM_EMUL_OP_XMM, 16);
		break;
	}
}

static const struct vlm_emul_opcode *decode_opcode(struct vlm_emul_cursor *c, u8 b)
{
	struct vlm_emul *e = c->e;

	e->opcode = b;
	if (b != 0x0f)
		return &vlm_emul_map0[b];
	e->map = 1;
	e->opcode = vlm_emul_take(c, 1);
	/* The one opcode whose operands change sides with a prefix. */
	if (e->opcode == 0x7e && e->rep == 0xf3)
		return &vlm_emul_movq_load;
	return &vlm_emul_map1[e->opcode];
}

/* Is it the instruction that the table describes, and legal in this mode? */
static enum vlm_emul_result check_form(struct vlm_emul *e)
{
	if (!e->op->exec)
		return VLM_EMUL_UNHANDLED;
	if ((e->flags & I_NO_PREFIX) && (e->opsize_prefix || e->rep))
		return VLM_EMUL_UNHANDLED;
	if ((e->flags & I_NO_REP) && e->rep)
		return VLM_EMUL_UNHANDLED;
	if ((e->flags & I_SSE) && !vlm_emul_sse_known(e))
		return VLM_EMUL_UNHANDLED;
	/* 0F 01 with a register operand: VMX, XGETBV, SWAPGS and others. */
	if (e->map && e->opcode == 1 && e->modrm >> 6 == 3 && (e->modrm >> 3 & 5) != 4)
		return VLM_EMUL_UNHANDLED;
	/* LES and LDS with a register operand are VEX prefixes. */
	if (!e->map && (e->opcode & 0xfe) == 0xc4 && e->modrm >> 6 == 3)
		return VLM_EMUL_UNHANDLED;
	if ((e->flags & I_DWORD) && e->op_bytes == 2)
		e->op_bytes = 4;
	if (vlm_emul_is64(e)) {
		/* C4, C5, 62 and the like mean something else there. */
		if (e->flags & I_NO64)
			return VLM_EMUL_UNHANDLED;
		if (e->flags & I_NEAR64)
			e->op_bytes = 8;
		else if ((e->flags & I_DEF64) && e->op_bytes == 4)
			e->op_bytes = 8;
	} else if (e->flags & I_ONLY64) {
		return VLM_EMUL_UNHANDLED;
	}
	return VLM_EMUL_DONE;
}

static void forget_decoding(struct vlm_emul *e)
{
	memset(&e->fault, 0, sizeof(e->fault));
	memset(&e->dst, 0, sizeof(e->dst));
	memset(&e->src, 0, sizeof(e->src));
	memset(&e->src2, 0, sizeof(e->src2));
	e->op = NULL;
	e->flags = 0;
	e->len = 0;
	e->opcode = 0;
	e->map = 0;
	e->rex = 0;
	e->rep = 0;
	e->lock = false;
	e->opsize_prefix = false;
	e->has_modrm = false;
	e->modrm = 0;
	e->seg_override = -1;
	e->rsp_base = false;
}

static void resolve_rip_relative(struct vlm_emul *e)
{
	struct vlm_emul_operand *op = e->dst.kind == VLM_EMUL_OP_MEM ? &e->dst : &e->src;

	op->off = (op->off + e->rip + e->len) & vlm_emul_mask(e->ad_bytes);
}

enum vlm_emul_result vlm_emul_decode(struct vlm_emul *e)
{
	struct vlm_emul_cursor c = { .e = e, .failed = VLM_EMUL_DONE };
	u8 b;

	forget_decoding(e);
	if (e->insn_len > VLM_EMUL_INSN_MAX)
		return VLM_EMUL_UNHANDLED;
	b = decode_prefixes(&c);
	if (c.failed != VLM_EMUL_DONE)
		return c.failed;
	e->op = decode_opcode(&c, b);
	e->flags = e->op->flags;
	if (e->flags & I_MODRM) {
		e->has_modrm = true;
		e->modrm = vlm_emul_take(&c, 1);
	}
	if (c.failed != VLM_EMUL_DONE)
		return c.failed;
	if (e->op->group) {
		e->op = &e->op->group[e->modrm >> 3 & 7];
		e->flags |= e->op->flags;
	}
	c.failed = check_form(e);
	if (c.failed != VLM_EMUL_DONE)
		return c.failed;
	decode_operand(&c, &e->dst, OP_DST_OF(e->flags));
	decode_operand(&c, &e->src, OP_SRC_OF(e->flags));
	decode_operand(&c, &e->src2, OP_SRC2_OF(e->flags));
	if (c.failed != VLM_EMUL_DONE)
		return c.failed;
	if (c.rip_relative)
		resolve_rip_relative(e);
	e->next_rip = e->rip + e->len;
	if (!vlm_emul_is64(e))
		e->next_rip = (u32)e->next_rip;
	if (e->lock && (!(e->flags & I_LOCK) || e->dst.kind != VLM_EMUL_OP_MEM))
		return vlm_emul_ud(e);
	return VLM_EMUL_DONE;
}
