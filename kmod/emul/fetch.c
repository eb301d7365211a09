// SPDX-License-Identifier: GPL-2.0-only
/* The bytes of the instruction being decoded. */
#include "access.h"

/* Fetch up to the end of the page, but never into the next one needlessly. */
static enum vlm_emul_result fetch_more(struct vlm_emul *e, u32 need)
{
	while (e->insn_len < need) {
		struct vlm_emul_seg cs;
		u64 off = e->rip + e->insn_len;
		u64 lin = off;
		u32 len = VLM_EMUL_INSN_MAX - e->insn_len;
		enum vlm_emul_result r;

		if (vlm_emul_is64(e)) {
			if (!vlm_emul_canonical(e, lin))
				return vlm_emul_gp(e, 0);
		} else {
			off = (u32)off;
			vlm_emul_seg_read(e, VLM_EMUL_CS, &cs);
			if (off > cs.limit)
				return vlm_emul_gp(e, 0);
			if (len > cs.limit - off)
				len = (u32)(cs.limit - off) + 1;
			lin = (u32)(cs.base + off);
		}
		if (len > 0x1000 - (lin & 0xfff))
			len = 0x1000 - (lin & 0xfff);
		if (len > VLM_EMUL_INSN_MAX - e->insn_len)
			len = VLM_EMUL_INSN_MAX - e->insn_len;
		r = vlm_emul_of_io(e, vlm_emul_mem_fetch(e, lin, e->insn + e->insn_len, len));
		if (r != VLM_EMUL_DONE)
			return r;
		e->insn_len += len;
	}
	return VLM_EMUL_DONE;
}

u64 vlm_emul_take_more(struct vlm_emul_cursor *c, u32 size)
{
	struct vlm_emul *e = c->e;
	u64 val;

	if (c->failed != VLM_EMUL_DONE)
		return 0;
	if (e->len + size > VLM_EMUL_INSN_MAX)
		c->failed = vlm_emul_gp(e, 0);
	else
		c->failed = fetch_more(e, e->len + size);
	if (c->failed != VLM_EMUL_DONE)
		return 0;
	val = vlm_emul_get_le(e->insn + e->len, size);
	e->len += size;
	return val;
}
