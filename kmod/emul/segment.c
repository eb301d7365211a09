// SPDX-License-Identifier: GPL-2.0-only
/* Loading segment registers (SDM "Protection"). */
#include "handlers.h"

/* Error code of a fault about a selector. */
static u32 sel_error(u16 sel)
{
	return sel & ~3u;
}

/* Address of a descriptor of size bytes; #GP(sel) beyond its table. */
static enum vlm_emul_result find_descriptor(struct vlm_emul *e, u16 sel, u32 size, u64 *lin)
{
	struct vlm_emul_table gdt;
	struct vlm_emul_seg ldt;
	u64 base;
	u32 limit;

	if (sel & 4) {
		vlm_emul_seg_read(e, VLM_EMUL_LDTR, &ldt);
		if (ldt.ar & VLM_EMUL_AR_UNUSABLE)
			return vlm_emul_gp(e, sel_error(sel));
		base = ldt.base;
		limit = ldt.limit;
	} else {
		vlm_emul_gdt_read(e, &gdt);
		base = gdt.base;
		limit = gdt.limit;
	}
	if ((sel & ~7u) + size - 1 > limit)
		return vlm_emul_gp(e, sel_error(sel));
	return vlm_emul_linear_system(e, base, sel & ~7u, size, lin);
}

static void parse_descriptor(u64 desc, u16 sel, struct vlm_emul_seg *seg)
{
	seg->sel = sel;
	seg->base = (desc >> 16 & 0xffffff) | (desc >> 56 & 0xff) << 24;
	seg->limit = (desc & 0xffff) | (desc >> 48 & 0xf) << 16;
	seg->ar = desc >> 40 & 0xf0ff;
	if (seg->ar & VLM_EMUL_AR_G)
		seg->limit = seg->limit << 12 | 0xfff;
}

static u8 dpl_of(const struct vlm_emul_seg *seg)
{
	return (seg->ar & VLM_EMUL_AR_DPL) >> VLM_EMUL_AR_DPL_SHIFT;
}

static enum vlm_emul_result read_descriptor(struct vlm_emul *e, u16 sel, u64 *lin,
					    struct vlm_emul_seg *seg)
{
	enum vlm_emul_result r;
	u64 desc = 0;

	r = find_descriptor(e, sel, 8, lin);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_lin(e, *lin, &desc, 8, VLM_EMUL_ACC_IMPLICIT);
	if (r == VLM_EMUL_DONE)
		parse_descriptor(desc, sel, seg);
	return r;
}

/*
 * Set a type bit in the descriptor in memory, as the processor does on use.
 * Another processor may do the same meanwhile; any other change is declined.
 */
static enum vlm_emul_result mark_descriptor(struct vlm_emul *e, u64 lin,
					    struct vlm_emul_seg *seg, u8 bit)
{
	u32 acc = VLM_EMUL_ACC_WRITE | VLM_EMUL_ACC_IMPLICIT;
	u8 old = (u8)seg->ar;
	u8 val = old | bit;
	enum vlm_emul_io io;
	u32 tries;

	seg->ar |= bit;
	for (tries = 0; old != val; tries++) {
		io = vlm_emul_mem_cmpxchg(e, lin + 5, &old, &val, 1, acc);
		if (io != VLM_EMUL_IO_RETRY)
			return vlm_emul_of_io(e, io);
		if (tries == 3)
			return VLM_EMUL_UNHANDLED;
		io = vlm_emul_mem_read(e, lin + 5, &old, 1, acc);
		if (io != VLM_EMUL_IO_OK)
			return vlm_emul_of_io(e, io);
		if ((old | bit) != val)
			return VLM_EMUL_UNHANDLED;
	}
	/* Found set the first time, or by another one: fine unless it means busy. */
	return tries && bit == 2 ? VLM_EMUL_UNHANDLED : VLM_EMUL_DONE;
}

static enum vlm_emul_result load_null(struct vlm_emul *e, u8 sreg, u16 sel)
{
	struct vlm_emul_seg seg = { .sel = sel, .ar = VLM_EMUL_AR_UNUSABLE };

	if (sreg == VLM_EMUL_SS) {
		if (!vlm_emul_is64(e) || e->cpl == 3 || (sel & 3) != e->cpl)
			return vlm_emul_gp(e, 0);
		seg.ar |= (u32)e->cpl << VLM_EMUL_AR_DPL_SHIFT;
	}
	vlm_emul_seg_write(e, sreg, &seg);
	return VLM_EMUL_DONE;
}

static bool data_allowed(const struct vlm_emul *e, u8 sreg, u16 sel,
			 const struct vlm_emul_seg *seg)
{
	u8 rpl = sel & 3;
	u8 dpl = dpl_of(seg);

	if (!(seg->ar & VLM_EMUL_AR_S))
		return false;
	if (sreg == VLM_EMUL_SS)
		return (seg->ar & 0xa) == 2 && rpl == e->cpl && dpl == e->cpl;
	if ((seg->ar & 0xa) == 8)		/* execute-only code */
		return false;
	if ((seg->ar & 0xc) == 0xc)		/* conforming code */
		return true;
	return rpl <= dpl && e->cpl <= dpl;
}

static enum vlm_emul_result load_protected(struct vlm_emul *e, u8 sreg, u16 sel)
{
	struct vlm_emul_seg seg;
	enum vlm_emul_result r;
	u64 lin;

	if (!(sel & ~3))
		return load_null(e, sreg, sel);
	r = read_descriptor(e, sel, &lin, &seg);
	if (r != VLM_EMUL_DONE)
		return r;
	if (!data_allowed(e, sreg, sel, &seg))
		return vlm_emul_gp(e, sel_error(sel));
	if (!(seg.ar & VLM_EMUL_AR_P))
		return vlm_emul_raise_error(e, sreg == VLM_EMUL_SS ? VEC_SS : VEC_NP,
					    sel_error(sel));
	r = mark_descriptor(e, lin, &seg, 1);
	if (r == VLM_EMUL_DONE)
		vlm_emul_seg_write(e, sreg, &seg);
	return r;
}

/* Real mode: the cached limit and rights stay, which is what unreal mode lives on. */
static void real_segment(struct vlm_emul *e, u8 sreg, u16 sel, struct vlm_emul_seg *seg)
{
	vlm_emul_seg_read(e, sreg, seg);
	seg->sel = sel;
	seg->base = (u32)sel << 4;
	if (e->mode == VLM_EMUL_VM86) {
		seg->limit = 0xffff;
		seg->ar = 0xf3;
	}
}

enum vlm_emul_result vlm_emul_load_seg(struct vlm_emul *e, u8 sreg, u16 sel)
{
	struct vlm_emul_seg seg;

	if (vlm_emul_is_prot(e))
		return load_protected(e, sreg, sel);
	real_segment(e, sreg, sel, &seg);
	vlm_emul_seg_write(e, sreg, &seg);
	return VLM_EMUL_DONE;
}

/* Type and privilege of a code segment to go to. */
static enum vlm_emul_result code_allowed(struct vlm_emul *e, u16 sel, bool returning,
					 const struct vlm_emul_seg *seg)
{
	u8 rpl = sel & 3;
	u8 dpl = dpl_of(seg);
	bool ok;

	if (!(seg->ar & VLM_EMUL_AR_S))
		return VLM_EMUL_UNHANDLED;	/* gates and task switches */
	if (!(seg->ar & 8))
		return vlm_emul_gp(e, sel_error(sel));
	if (returning && rpl > e->cpl)
		return VLM_EMUL_UNHANDLED;	/* to outer privilege */
	if (returning && rpl < e->cpl)
		return vlm_emul_gp(e, sel_error(sel));
	if (seg->ar & 4)
		ok = dpl <= e->cpl;
	else
		ok = rpl <= e->cpl && dpl == e->cpl;
	if (!ok)
		return vlm_emul_gp(e, sel_error(sel));
	if (!(seg->ar & VLM_EMUL_AR_P))
		return vlm_emul_raise_error(e, VEC_NP, sel_error(sel));
	if ((e->efer & EFER_LMA) && (seg->ar & VLM_EMUL_AR_L) && (seg->ar & VLM_EMUL_AR_DB))
		return vlm_emul_gp(e, sel_error(sel));
	return VLM_EMUL_DONE;
}

enum vlm_emul_result vlm_emul_prepare_cs(struct vlm_emul *e, u16 sel, u64 off, bool returning,
					 struct vlm_emul_seg *seg)
{
	enum vlm_emul_result r;
	u64 lin = 0;
	bool to64;

	if (!vlm_emul_is_prot(e)) {
		real_segment(e, VLM_EMUL_CS, sel, seg);
		if (off > seg->limit)
			return vlm_emul_gp(e, 0);
		e->next_rip = off;
		return VLM_EMUL_DONE;
	}
	if (!(sel & ~3))
		return vlm_emul_gp(e, 0);
	r = read_descriptor(e, sel, &lin, seg);
	if (r == VLM_EMUL_DONE)
		r = code_allowed(e, sel, returning, seg);
	if (r != VLM_EMUL_DONE)
		return r;
	to64 = (e->efer & EFER_LMA) && (seg->ar & VLM_EMUL_AR_L);
	if (to64 ? !vlm_emul_canonical(e, off) : off > seg->limit)
		return vlm_emul_gp(e, 0);
	seg->sel = (sel & ~3) | e->cpl;
	e->next_rip = off;
	return mark_descriptor(e, lin, seg, 1);
}

enum vlm_emul_result vlm_emul_load_system(struct vlm_emul *e, u8 sreg, u16 sel)
{
	struct vlm_emul_seg seg = { .sel = sel, .ar = VLM_EMUL_AR_UNUSABLE };
	u32 size = vlm_emul_is64(e) ? 16 : 8;
	enum vlm_emul_result r;
	u64 desc[2] = { 0, 0 };
	u64 lin;

	if ((e->efer & EFER_LMA) && size == 8)
		return VLM_EMUL_UNHANDLED;
	if (!(sel & ~3)) {
		if (sreg == VLM_EMUL_TR)
			return vlm_emul_gp(e, 0);
		vlm_emul_seg_write(e, sreg, &seg);
		return VLM_EMUL_DONE;
	}
	if (sel & 4)
		return vlm_emul_gp(e, sel_error(sel));
	r = find_descriptor(e, sel, size, &lin);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_lin(e, lin, desc, size, VLM_EMUL_ACC_IMPLICIT);
	if (r != VLM_EMUL_DONE)
		return r;
	parse_descriptor(desc[0], sel, &seg);
	/* LDT is type 2; an available TSS is 9, or 1 for 16 bits. */
	if (sreg == VLM_EMUL_LDTR ? (seg.ar & 0x1f) != 2 :
	    (seg.ar & 0x1f) != 9 && (size == 16 || (seg.ar & 0x1f) != 1))
		return vlm_emul_gp(e, sel_error(sel));
	if (!(seg.ar & VLM_EMUL_AR_P))
		return vlm_emul_raise_error(e, VEC_NP, sel_error(sel));
	if (size == 16) {
		seg.base |= desc[1] << 32;
		if (!vlm_emul_canonical(e, seg.base) || (desc[1] >> 40 & 0x1f))
			return vlm_emul_gp(e, sel_error(sel));
	}
	r = sreg == VLM_EMUL_TR ? mark_descriptor(e, lin, &seg, 2) : VLM_EMUL_DONE;
	if (r == VLM_EMUL_DONE)
		vlm_emul_seg_write(e, sreg, &seg);
	return r;
}
