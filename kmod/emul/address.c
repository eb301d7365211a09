// SPDX-License-Identifier: GPL-2.0-only
/* Memory operands: ModRM, SIB and displacement to an offset within a segment. */
#include "access.h"

static u64 reg_of(const struct vlm_emul *e, u8 reg)
{
	return e->regs[reg] & vlm_emul_mask(e->ad_bytes);
}

/* 16-bit addressing forms: base, index; R_AX stands for none. */
static const u8 rm16[8][2] = {
	{ R_BX, R_SI }, { R_BX, R_DI }, { R_BP, R_SI }, { R_BP, R_DI },
	{ R_SI, R_AX }, { R_DI, R_AX }, { R_BP, R_AX }, { R_BX, R_AX },
};

static void address16(struct vlm_emul_cursor *c, struct vlm_emul_operand *op)
{
	struct vlm_emul *e = c->e;
	u8 mod = e->modrm >> 6;
	u8 rm = e->modrm & 7;
	u64 off = 0;

	op->seg = VLM_EMUL_DS;
	if (mod == 0 && rm == 6) {
		op->off = vlm_emul_take(c, 2);
		return;
	}
	if (rm16[rm][0] == R_BP)
		op->seg = VLM_EMUL_SS;
	off = e->regs[rm16[rm][0]];
	if (rm16[rm][1] != R_AX)
		off += e->regs[rm16[rm][1]];
	if (mod == 1)
		off += vlm_emul_sext(vlm_emul_take(c, 1), 1);
	else if (mod == 2)
		off += vlm_emul_take(c, 2);
	op->off = off & 0xffff;
}

static void address32(struct vlm_emul_cursor *c, struct vlm_emul_operand *op)
{
	struct vlm_emul *e = c->e;
	u8 mod = e->modrm >> 6;
	u8 base = e->modrm & 7;
	bool no_base = false;
	u64 off = 0;

	op->seg = VLM_EMUL_DS;
	if (base == R_SP) {
		u8 sib = vlm_emul_take(c, 1);
		u8 index = (sib >> 3 & 7) | vlm_emul_rex_bit(e, 1);

		base = sib & 7;
		no_base = mod == 0 && base == R_BP;
		if (index != R_SP)
			off += reg_of(e, index) << (sib >> 6);
	} else if (mod == 0 && base == R_BP) {
		no_base = true;
		c->rip_relative = vlm_emul_is64(e);
	}
	if (no_base) {
		off += vlm_emul_sext(vlm_emul_take(c, 4), 4);
	} else {
		u8 full = base | vlm_emul_rex_bit(e, 0);

		off += reg_of(e, full);
		e->rsp_base = full == R_SP;
		if (full == R_SP || full == R_BP)
			op->seg = VLM_EMUL_SS;
		if (mod == 1)
			off += vlm_emul_sext(vlm_emul_take(c, 1), 1);
		else if (mod == 2)
			off += vlm_emul_sext(vlm_emul_take(c, 4), 4);
	}
	op->off = off & vlm_emul_mask(e->ad_bytes);
}

void vlm_emul_decode_address(struct vlm_emul_cursor *c, struct vlm_emul_operand *op)
{
	struct vlm_emul *e = c->e;

	if (e->ad_bytes == 2)
		address16(c, op);
	else
		address32(c, op);
	if (e->seg_override >= 0)
		op->seg = e->seg_override;
}
