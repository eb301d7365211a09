// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET/SET_SREGS and SREGS2: all is checked before anything is changed. */

#include <linux/bitmap.h>
#include <linux/string.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "private.h"

/* Segments in the order of enum vlm_seg, by their place in struct kvm_sregs. */
#define SEG(name) offsetof(struct kvm_sregs, name)
static const u16 sregs_seg[VLM_NR_SEGS] = {
	[VLM_SEG_ES] = SEG(es), [VLM_SEG_CS] = SEG(cs), [VLM_SEG_SS] = SEG(ss),
	[VLM_SEG_DS] = SEG(ds), [VLM_SEG_FS] = SEG(fs), [VLM_SEG_GS] = SEG(gs),
	[VLM_SEG_LDTR] = SEG(ldt), [VLM_SEG_TR] = SEG(tr),
};

/* Both structs begin alike; what follows EFER and APIC base differs. */
static_assert(offsetof(struct kvm_sregs, apic_base) == offsetof(struct kvm_sregs2, apic_base));
#define COMMON_BYTES offsetofend(struct kvm_sregs, apic_base)

static void get_common(struct vlm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	int i;

	for (i = 0; i < VLM_NR_SEGS; i++)
		vlm_vmx_get_segment(&vcpu->vmx, i, (void *)sregs + sregs_seg[i]);
	vlm_vmx_get_dtable(&vcpu->vmx, false, &sregs->gdt);
	vlm_vmx_get_dtable(&vcpu->vmx, true, &sregs->idt);
	sregs->cr0 = vlm_vmx_cr0(&vcpu->vmx);
	sregs->cr2 = vlm_vmx_cr2(&vcpu->vmx);
	sregs->cr3 = vlm_vmx_cr3(&vcpu->vmx);
	sregs->cr4 = vlm_vmx_cr4(&vcpu->vmx);
	sregs->cr8 = vlm_get_cr8(vcpu);
	sregs->efer = vlm_vmx_efer(&vcpu->vmx);
	sregs->apic_base = vlm_apic_base(vcpu);
}

int vlm_vcpu_get_sregs(struct vlm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	memset(sregs, 0, sizeof(*sregs));
	get_common(vcpu, sregs);
	if (vcpu->events.irq_injected && !vcpu->events.irq_soft)
		__set_bit(vcpu->events.irq_vector, (unsigned long *)sregs->interrupt_bitmap);
	else if (vcpu->events.user_irq >= 0)
		__set_bit(vcpu->events.user_irq, (unsigned long *)sregs->interrupt_bitmap);
	return 0;
}

int vlm_vcpu_get_sregs2(struct vlm_vcpu *vcpu, struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs = {};

	get_common(vcpu, &sregs);
	memset(sregs2, 0, sizeof(*sregs2));
	memcpy(sregs2, &sregs, COMMON_BYTES);
	if (vlm_is_pae(sregs.cr0, sregs.cr4, sregs.efer)) {
		vlm_vmx_get_pdptrs(&vcpu->vmx, sregs2->pdptrs);
		sregs2->flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
	return 0;
}

static bool is_valid(struct vlm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (!vlm_cr0_valid(sregs->cr0) || !vlm_cr4_valid(vcpu, sregs->cr4) ||
	    !vlm_efer_valid(vcpu, sregs->efer, true) || (sregs->cr8 & ~0xfull))
		return false;
	if (!vlm_apic_base_valid(vcpu, sregs->apic_base))
		return false;
	if ((sregs->efer & EFER_LME) && (sregs->cr0 & X86_CR0_PG))
		return (sregs->cr4 & X86_CR4_PAE) && (sregs->efer & EFER_LMA) &&
		       !(sregs->cr3 >> vcpu->cpuid.maxphyaddr);
	return !(sregs->efer & EFER_LMA) && !sregs->cs.l;
}

/* A reset that user space does by hand wakes the boot processor. */
static void unhalt_after_reset(struct vlm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (vcpu->head.id == vcpu->head.vm->bsp_id && sregs->cs.selector == 0xf000 &&
	    sregs->cs.base == 0xffff0000 && !(sregs->cr0 & X86_CR0_PE) &&
	    vlm_vmx_rip(&vcpu->vmx) == 0xfff0)
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

static int set_common(struct vlm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	int i;

	if (!is_valid(vcpu, sregs))
		return -EINVAL;
	if (vlm_set_apic_base(vcpu, sregs->apic_base, true))
		return -EINVAL;
	vlm_user_io_disturb(vcpu);
	vlm_vmx_set_dtable(&vcpu->vmx, false, &sregs->gdt);
	vlm_vmx_set_dtable(&vcpu->vmx, true, &sregs->idt);
	vlm_vmx_set_cr2(&vcpu->vmx, sregs->cr2);
	vlm_set_cr8(vcpu, sregs->cr8);
	vlm_vmx_set_efer(&vcpu->vmx, sregs->efer);
	vlm_vmx_set_cr0(&vcpu->vmx, sregs->cr0 | X86_CR0_ET);
	vlm_vmx_set_cr4(&vcpu->vmx, sregs->cr4);
	vlm_vmx_set_cr3(&vcpu->vmx, sregs->cr3);
	for (i = 0; i < VLM_NR_SEGS; i++)
		vlm_vmx_set_segment(&vcpu->vmx, i, (const void *)sregs + sregs_seg[i]);
	vlm_paging_changed(vcpu);
	vlm_cpuid_update(vcpu);
	unhalt_after_reset(vcpu, sregs);
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	return 0;
}

/* With tables that are not in memory the guest would fault; KVM_SET_SREGS does not. */
static void reload_pdptrs(struct vlm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (!vlm_is_pae(sregs->cr0, sregs->cr4, sregs->efer))
		return;
	vlm_srcu_enter(vcpu);
	vlm_load_pdptrs(vcpu, sregs->cr3);
	vlm_srcu_leave(vcpu);
}

int vlm_vcpu_set_sregs(struct vlm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	unsigned int vector;
	int err;

	err = set_common(vcpu, sregs);
	if (err)
		return err;
	reload_pdptrs(vcpu, sregs);
	vector = find_first_bit((unsigned long *)sregs->interrupt_bitmap, KVM_NR_INTERRUPTS);
	if (vector < KVM_NR_INTERRUPTS) {
		vcpu->events.irq_injected = true;
		vcpu->events.irq_soft = false;
		vcpu->events.irq_vector = vector;
	}
	return 0;
}

int vlm_vcpu_set_sregs2(struct vlm_vcpu *vcpu, struct kvm_sregs2 *sregs2)
{
	bool valid_pdptrs = sregs2->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID;
	struct kvm_sregs sregs = {};
	int err;

	if (sregs2->flags & ~KVM_SREGS2_FLAGS_PDPTRS_VALID)
		return -EINVAL;
	memcpy(&sregs, sregs2, COMMON_BYTES);
	if (valid_pdptrs && !vlm_is_pae(sregs.cr0, sregs.cr4, sregs.efer))
		return -EINVAL;
	err = set_common(vcpu, &sregs);
	if (err)
		return err;
	if (valid_pdptrs)
		vlm_vmx_set_pdptrs(&vcpu->vmx, sregs2->pdptrs);
	else
		reload_pdptrs(vcpu, &sregs);
	return 0;
}
