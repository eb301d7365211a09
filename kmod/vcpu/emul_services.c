// SPDX-License-Identifier: GPL-2.0-only
/* What the emulator asks of a vCPU besides memory: ports, registers. Services of emul/platform.h. */

#include "private.h"

enum vlm_emul_io vlm_emul_port_in(struct vlm_emul *e, u16 port, u32 size, u32 *count, void *buf)
{
	return vlm_pio_string_in(vlm_emul_owner(e), port, size, count, buf);
}

enum vlm_emul_io vlm_emul_port_out(struct vlm_emul *e, u16 port, u32 size, u32 count,
				   const void *buf)
{
	return vlm_pio_string_out(vlm_emul_owner(e), port, size, count, buf);
}

/* The emulator orders segments by encoding, the VMCS puts LDTR before TR. */
static const enum vlm_seg seg_of[] = {
	[VLM_EMUL_ES] = VLM_SEG_ES, [VLM_EMUL_CS] = VLM_SEG_CS, [VLM_EMUL_SS] = VLM_SEG_SS,
	[VLM_EMUL_DS] = VLM_SEG_DS, [VLM_EMUL_FS] = VLM_SEG_FS, [VLM_EMUL_GS] = VLM_SEG_GS,
	[VLM_EMUL_TR] = VLM_SEG_TR, [VLM_EMUL_LDTR] = VLM_SEG_LDTR,
};

void vlm_emul_seg_read(struct vlm_emul *e, enum vlm_emul_sreg sreg, struct vlm_emul_seg *seg)
{
	struct kvm_segment s;

	vlm_vmx_get_segment(&vlm_emul_owner(e)->vmx, seg_of[sreg], &s);
	seg->base = s.base;
	seg->limit = s.limit;
	seg->sel = s.selector;
	seg->ar = s.type | s.s << 4 | s.dpl << 5 | s.present << 7 | s.avl << 12 | s.l << 13 |
		  s.db << 14 | s.g << 15 | (s.unusable ? VLM_EMUL_AR_UNUSABLE : 0);
}

void vlm_emul_seg_write(struct vlm_emul *e, enum vlm_emul_sreg sreg,
			const struct vlm_emul_seg *seg)
{
	struct kvm_segment s = {
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->sel,
		.type = seg->ar & VLM_EMUL_AR_TYPE,
		.s = !!(seg->ar & VLM_EMUL_AR_S),
		.dpl = (seg->ar & VLM_EMUL_AR_DPL) >> VLM_EMUL_AR_DPL_SHIFT,
		.present = !!(seg->ar & VLM_EMUL_AR_P),
		.avl = !!(seg->ar & VLM_EMUL_AR_AVL),
		.l = !!(seg->ar & VLM_EMUL_AR_L),
		.db = !!(seg->ar & VLM_EMUL_AR_DB),
		.g = !!(seg->ar & VLM_EMUL_AR_G),
		.unusable = !!(seg->ar & VLM_EMUL_AR_UNUSABLE),
	};

	vlm_vmx_set_segment(&vlm_emul_owner(e)->vmx, seg_of[sreg], &s);
}

static void table_read(struct vlm_emul *e, bool idt, struct vlm_emul_table *table)
{
	struct kvm_dtable dt;

	vlm_vmx_get_dtable(&vlm_emul_owner(e)->vmx, idt, &dt);
	table->base = dt.base;
	table->limit = dt.limit;
}

static void table_write(struct vlm_emul *e, bool idt, const struct vlm_emul_table *table)
{
	struct kvm_dtable dt = { .base = table->base, .limit = table->limit };

	vlm_vmx_set_dtable(&vlm_emul_owner(e)->vmx, idt, &dt);
}

void vlm_emul_gdt_read(struct vlm_emul *e, struct vlm_emul_table *table)
{
	table_read(e, false, table);
}

void vlm_emul_gdt_write(struct vlm_emul *e, const struct vlm_emul_table *table)
{
	table_write(e, false, table);
}

void vlm_emul_idt_read(struct vlm_emul *e, struct vlm_emul_table *table)
{
	table_read(e, true, table);
}

void vlm_emul_idt_write(struct vlm_emul *e, const struct vlm_emul_table *table)
{
	table_write(e, true, table);
}

static enum vlm_emul_io general_protection(struct vlm_emul *e)
{
	e->fault = (struct vlm_emul_fault){ .vector = VLM_GP, .has_error = true };
	return VLM_EMUL_IO_FAULT;
}

enum vlm_emul_io vlm_emul_cr_read(struct vlm_emul *e, u32 nr, u64 *val)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);

	switch (nr) {
	case 0:
		*val = vlm_vmx_cr0(&vcpu->vmx);
		break;
	case 2:
		*val = vlm_vmx_cr2(&vcpu->vmx);
		break;
	case 3:
		*val = vlm_vmx_cr3(&vcpu->vmx);
		break;
	case 4:
		*val = vlm_vmx_cr4(&vcpu->vmx);
		break;
	case 8:
		*val = vlm_get_cr8(vcpu);
		break;
	default:
		return VLM_EMUL_IO_ABORT;
	}
	return VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_cr_write(struct vlm_emul *e, u32 nr, u64 val)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);
	int err = 0;

	switch (nr) {
	case 0:
		err = vlm_set_cr0(vcpu, val);
		break;
	case 2:
		vlm_vmx_set_cr2(&vcpu->vmx, val);
		break;
	case 3:
		err = vlm_set_cr3(vcpu, val);
		break;
	case 4:
		err = vlm_set_cr4(vcpu, val);
		break;
	case 8:
		err = vlm_set_cr8(vcpu, val);
		break;
	default:
		return VLM_EMUL_IO_ABORT;
	}
	return err ? general_protection(e) : VLM_EMUL_IO_OK;
}

/* DR7.GD guards the debug registers: #DB before the access. */
static enum vlm_emul_io general_detect(struct vlm_emul *e)
{
	vlm_emul_owner(e)->debug.dr6 |= VLM_DR6_BD;
	e->fault = (struct vlm_emul_fault){ .vector = VLM_DB };
	return VLM_EMUL_IO_FAULT;
}

enum vlm_emul_io vlm_emul_dr_read(struct vlm_emul *e, u32 nr, u64 *val)
{
	if (vlm_emul_owner(e)->debug.dr7 & VLM_DR7_GD)
		return general_detect(e);
	*val = vlm_get_dr(vlm_emul_owner(e), nr);
	return VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_dr_write(struct vlm_emul *e, u32 nr, u64 val)
{
	if (vlm_emul_owner(e)->debug.dr7 & VLM_DR7_GD)
		return general_detect(e);
	return vlm_set_dr(vlm_emul_owner(e), nr, val) ? general_protection(e) : VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_msr_read(struct vlm_emul *e, u32 msr, u64 *val)
{
	return vlm_get_msr(vlm_emul_owner(e), msr, val, false) ? general_protection(e) : VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_msr_write(struct vlm_emul *e, u32 msr, u64 val)
{
	return vlm_set_msr(vlm_emul_owner(e), msr, val, false) ? general_protection(e) : VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_cpuid(struct vlm_emul *e, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	vlm_cpuid(vlm_emul_owner(e), eax, ebx, ecx, edx);
	return VLM_EMUL_IO_OK;
}

void vlm_emul_invlpg(struct vlm_emul *e, u64 lin)
{
	vlm_guest_invlpg(vlm_emul_owner(e), lin);
}

/* No device of this machine bypasses the caches. */
void vlm_emul_wbinvd(struct vlm_emul *e)
{
}

void vlm_emul_xmm_read(struct vlm_emul *e, u32 nr, void *buf)
{
	vlm_fpu_xmm_read(vlm_emul_owner(e), nr, buf);
}

void vlm_emul_xmm_write(struct vlm_emul *e, u32 nr, const void *buf)
{
	vlm_fpu_xmm_write(vlm_emul_owner(e), nr, buf);
}
