// SPDX-License-Identifier: GPL-2.0-only
/* System instructions: control, debug and model-specific registers, tables. */
#include "handlers.h"

static bool cr_exists(u8 nr)
{
	return nr == 0 || (nr >= 2 && nr <= 4) || nr == 8;
}

HANDLER(mov_from_cr)
{
	enum vlm_emul_result r;

	if (!cr_exists(e->src.reg))
		return vlm_emul_ud(e);
	e->dst.val = 0;
	r = vlm_emul_of_io(e, vlm_emul_cr_read(e, e->src.reg, &e->dst.val));
	return r == VLM_EMUL_DONE ? vlm_emul_store(e, &e->dst) : r;
}

HANDLER(mov_to_cr)
{
	enum vlm_emul_result r;

	if (!cr_exists(e->dst.reg))
		return vlm_emul_ud(e);
	r = vlm_emul_load(e, &e->src, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_of_io(e, vlm_emul_cr_write(e, e->dst.reg, e->src.val));
}

/* DR4 and DR5 are names of DR6 and DR7 unless CR4.DE is set; -1 for #UD. */
static int dr_number(const struct vlm_emul *e, u8 nr)
{
	if (nr > 7)
		return -1;
	if (nr == 4 || nr == 5)
		return e->cr4 & CR4_DE ? -1 : nr + 2;
	return nr;
}

HANDLER(mov_from_dr)
{
	int nr = dr_number(e, e->src.reg);
	enum vlm_emul_result r;

	if (nr < 0)
		return vlm_emul_ud(e);
	e->dst.val = 0;
	r = vlm_emul_of_io(e, vlm_emul_dr_read(e, nr, &e->dst.val));
	return r == VLM_EMUL_DONE ? vlm_emul_store(e, &e->dst) : r;
}

HANDLER(mov_to_dr)
{
	int nr = dr_number(e, e->dst.reg);
	enum vlm_emul_result r;

	if (nr < 0)
		return vlm_emul_ud(e);
	r = vlm_emul_load(e, &e->src, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	if (nr >= 6 && e->src.val >> 32)
		return vlm_emul_gp(e, 0);
	return vlm_emul_of_io(e, vlm_emul_dr_write(e, nr, e->src.val));
}

HANDLER(clts)
{
	return vlm_emul_of_io(e, vlm_emul_cr_write(e, 0, e->cr0 & ~CR0_TS));
}

static bool umip_forbids(const struct vlm_emul *e)
{
	return vlm_emul_is_prot(e) && e->cpl && (e->cr4 & CR4_UMIP);
}

HANDLER(smsw)
{
	if (umip_forbids(e) || (e->mode == VLM_EMUL_VM86 && (e->cr4 & CR4_UMIP)))
		return vlm_emul_gp(e, 0);
	if (e->dst.kind == VLM_EMUL_OP_MEM)
		e->dst.size = 2;
	e->dst.val = e->cr0;
	return vlm_emul_store(e, &e->dst);
}

/* LMSW can set PE, but not clear it. */
HANDLER(lmsw)
{
	u64 bits = CR0_MP | CR0_EM | CR0_TS;
	u64 cr0 = (e->cr0 & ~bits) | (e->dst.val & (bits | CR0_PE));

	return vlm_emul_of_io(e, vlm_emul_cr_write(e, 0, cr0));
}

/* SGDT, SIDT */
HANDLER(store_table)
{
	u32 base_bytes = vlm_emul_is64(e) ? 8 : 4;
	struct vlm_emul_table table;
	u8 image[10];

	if (umip_forbids(e) || (e->mode == VLM_EMUL_VM86 && (e->cr4 & CR4_UMIP)))
		return vlm_emul_gp(e, 0);
	if (e->modrm & 8)
		vlm_emul_idt_read(e, &table);
	else
		vlm_emul_gdt_read(e, &table);
	vlm_emul_put_le(image, table.limit, 2);
	vlm_emul_put_le(image + 2, table.base, base_bytes);
	return vlm_emul_write_seg(e, e->dst.seg, e->dst.off, image, 2 + base_bytes);
}

/* LGDT, LIDT */
HANDLER(load_table)
{
	u32 base_bytes = vlm_emul_is64(e) ? 8 : 4;
	struct vlm_emul_table table;
	enum vlm_emul_result r;
	u8 image[10];

	r = vlm_emul_read_seg(e, e->dst.seg, e->dst.off, image, 2 + base_bytes, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	table.limit = (u16)vlm_emul_get_le(image, 2);
	table.base = vlm_emul_get_le(image + 2, base_bytes);
	if (!vlm_emul_is64(e) && e->op_bytes == 2)
		table.base &= 0xffffff;
	if (vlm_emul_is64(e) && !vlm_emul_canonical(e, table.base))
		return vlm_emul_gp(e, 0);
	if (e->modrm & 8)
		vlm_emul_idt_write(e, &table);
	else
		vlm_emul_gdt_write(e, &table);
	return VLM_EMUL_DONE;
}

HANDLER(invlpg)
{
	struct vlm_emul_seg seg;
	u64 lin = e->dst.off;

	if (vlm_emul_is64(e)) {
		if (e->dst.seg == VLM_EMUL_FS || e->dst.seg == VLM_EMUL_GS) {
			vlm_emul_seg_read(e, e->dst.seg, &seg);
			lin += seg.base;
		}
		if (!vlm_emul_canonical(e, lin))	/* a non-canonical address is no page */
			return VLM_EMUL_DONE;
	} else {
		vlm_emul_seg_read(e, e->dst.seg, &seg);
		lin = (u32)(lin + seg.base);
	}
	vlm_emul_invlpg(e, lin);
	return VLM_EMUL_DONE;
}

HANDLER(wbinvd)
{
	vlm_emul_wbinvd(e);
	return VLM_EMUL_DONE;
}

HANDLER(hlt)
{
	e->out.halted = true;
	return VLM_EMUL_DONE;
}

HANDLER(cpuid)
{
	u32 eax = (u32)e->work[R_AX], ecx = (u32)e->work[R_CX];
	u32 ebx = 0, edx = 0;
	enum vlm_emul_result r;

	r = vlm_emul_of_io(e, vlm_emul_cpuid(e, &eax, &ebx, &ecx, &edx));
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_set_gpr(e, R_AX, 4, eax);
	vlm_emul_set_gpr(e, R_BX, 4, ebx);
	vlm_emul_set_gpr(e, R_CX, 4, ecx);
	vlm_emul_set_gpr(e, R_DX, 4, edx);
	return r;
}

HANDLER(rdmsr)
{
	enum vlm_emul_result r;
	u64 val = 0;

	r = vlm_emul_of_io(e, vlm_emul_msr_read(e, (u32)e->work[R_CX], &val));
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_set_gpr(e, R_AX, 4, val);
	vlm_emul_set_gpr(e, R_DX, 4, val >> 32);
	return r;
}

HANDLER(wrmsr)
{
	u64 val = vlm_emul_gpr(e, R_DX, 4) << 32 | vlm_emul_gpr(e, R_AX, 4);

	return vlm_emul_of_io(e, vlm_emul_msr_write(e, (u32)e->work[R_CX], val));
}

/* SLDT, STR */
HANDLER(store_sysseg)
{
	struct vlm_emul_seg seg;

	if (umip_forbids(e))
		return vlm_emul_gp(e, 0);
	vlm_emul_seg_read(e, e->modrm & 8 ? VLM_EMUL_TR : VLM_EMUL_LDTR, &seg);
	if (e->dst.kind == VLM_EMUL_OP_MEM)
		e->dst.size = 2;
	e->dst.val = seg.sel;
	return vlm_emul_store(e, &e->dst);
}

/* LLDT, LTR */
HANDLER(load_sysseg)
{
	return vlm_emul_load_system(e, e->modrm & 8 ? VLM_EMUL_TR : VLM_EMUL_LDTR,
				    (u16)e->dst.val);
}

/* CLI, STI */
HANDLER(sti)
{
	bool set = e->opcode == 0xfb;

	if (e->mode != VLM_EMUL_REAL && e->cpl > (e->rflags & FL_IOPL) >> 12) {
		if (e->cr4 & (e->mode == VLM_EMUL_VM86 ? CR4_VME : CR4_PVI))
			return VLM_EMUL_UNHANDLED;
		return vlm_emul_gp(e, 0);
	}
	if (set && !(e->rflags & FL_IF))
		e->out.shadow = VLM_EMUL_SHADOW_STI;
	if (set)
		e->new_rflags |= FL_IF;
	else
		e->new_rflags &= ~FL_IF;
	return VLM_EMUL_DONE;
}
