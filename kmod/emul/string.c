// SPDX-License-Identifier: GPL-2.0-only
/* MOVS CMPS STOS LODS SCAS, once or repeated. */
#include "alu.h"
#include "handlers.h"
#include "repeat.h"

static u32 width(const struct vlm_emul *e)
{
	return e->flags & I_BYTE ? 1 : e->op_bytes;
}

static u8 source_seg(const struct vlm_emul *e)
{
	return e->seg_override >= 0 ? e->seg_override : VLM_EMUL_DS;
}

static enum vlm_emul_result movs_once(struct vlm_emul *e, u64 *count)
{
	enum vlm_emul_result r;
	u64 val = 0;

	*count = 1;
	r = vlm_emul_read_seg(e, source_seg(e), vlm_emul_index(e, R_SI), &val, width(e), 0);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_write_seg(e, VLM_EMUL_ES, vlm_emul_index(e, R_DI), &val, width(e));
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_advance(e, R_SI, width(e));
	vlm_emul_advance(e, R_DI, width(e));
	return r;
}

static enum vlm_emul_result stos_once(struct vlm_emul *e, u64 *count)
{
	u64 val = e->work[R_AX];
	enum vlm_emul_result r;

	*count = 1;
	r = vlm_emul_write_seg(e, VLM_EMUL_ES, vlm_emul_index(e, R_DI), &val, width(e));
	if (r == VLM_EMUL_DONE)
		vlm_emul_advance(e, R_DI, width(e));
	return r;
}

static enum vlm_emul_result lods_once(struct vlm_emul *e, u64 *count)
{
	enum vlm_emul_result r;
	u64 val = 0;

	*count = 1;
	r = vlm_emul_read_seg(e, source_seg(e), vlm_emul_index(e, R_SI), &val, width(e), 0);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_set_gpr(e, R_AX, width(e), val);
	vlm_emul_advance(e, R_SI, width(e));
	return r;
}

static enum vlm_emul_result scas_once(struct vlm_emul *e, u64 *count)
{
	enum vlm_emul_result r;
	u64 val = 0;

	*count = 1;
	r = vlm_emul_read_seg(e, VLM_EMUL_ES, vlm_emul_index(e, R_DI), &val, width(e), 0);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_alu_binary(VLM_ALU_CMP, e->work[R_AX], val, width(e), &e->new_rflags);
	vlm_emul_advance(e, R_DI, width(e));
	return r;
}

static enum vlm_emul_result cmps_once(struct vlm_emul *e, u64 *count)
{
	enum vlm_emul_result r;
	u64 a = 0, b = 0;

	*count = 1;
	r = vlm_emul_read_seg(e, source_seg(e), vlm_emul_index(e, R_SI), &a, width(e), 0);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_seg(e, VLM_EMUL_ES, vlm_emul_index(e, R_DI), &b, width(e), 0);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_alu_binary(VLM_ALU_CMP, a, b, width(e), &e->new_rflags);
	vlm_emul_advance(e, R_SI, width(e));
	vlm_emul_advance(e, R_DI, width(e));
	return r;
}

HANDLER(movs)
{
	return vlm_emul_repeat(e, movs_once, false);
}

HANDLER(stos)
{
	return vlm_emul_repeat(e, stos_once, false);
}

HANDLER(lods)
{
	return vlm_emul_repeat(e, lods_once, false);
}

HANDLER(scas)
{
	return vlm_emul_repeat(e, scas_once, true);
}

HANDLER(cmps)
{
	return vlm_emul_repeat(e, cmps_once, true);
}
