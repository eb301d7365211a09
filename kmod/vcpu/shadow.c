// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests without EPT: the CPU walks tables that the shadow MMU makes from the guest's. It cannot
 * run real mode then, nor what a switch of modes leaves in the segments; both are emulated.
 * SDM volume 3, "Virtualization of Memory".
 */

#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/string.h>

#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "mmu/guest_walk.h"
#include "vm/memory.h"

#include "private.h"

/* All else of a PDPTE is reserved or a memory type. SDM "PAE Paging". */
#define PDPTE_PRESENT	BIT_ULL(0)
#define NO_GFN		(~0ull)

int vlm_vcpu_shadow_init(struct vlm_vcpu *vcpu)
{
	struct vlm_vcpu_shadow *shadow = &vcpu->shadow;
	struct vlm_shadow *sh = vcpu->head.vm->mmu.shadow;
	struct page *page;

	if (!sh)
		return 0;
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_DMA32);
	if (!page)
		return -ENOMEM;
	shadow->pdpt = page_address(page);
	shadow->protected_gfn = NO_GFN;
	vlm_shadow_vcpu_init(&shadow->mmu, sh);
	return 0;
}

void vlm_vcpu_shadow_destroy(struct vlm_vcpu *vcpu)
{
	if (!vlm_is_shadowed(vcpu))
		return;
	vlm_shadow_vcpu_destroy(&vcpu->shadow.mmu);
	free_page((unsigned long)vcpu->shadow.pdpt);
}

void vlm_paging_changed(struct vlm_vcpu *vcpu)
{
	vlm_vmx_flush_vpid(&vcpu->vmx);
	/* The entry is the next that needs the tables: several changes cost one load. */
	if (vlm_is_shadowed(vcpu))
		vlm_request_set(&vcpu->head, VLM_REQ_MMU_RELOAD);
}

void vlm_guest_invlpg(struct vlm_vcpu *vcpu, u64 gva)
{
	if (vlm_is_shadowed(vcpu))
		vlm_shadow_invlpg(&vcpu->shadow.mmu, gva);
	vlm_vmx_flush_gva(&vcpu->vmx, gva);
}

/* The CPU reads the four entries at each VM entry. */
static void fill_pdpt(struct vlm_vcpu_shadow *shadow)
{
	unsigned int i;

	for (i = 0; i < 4; i++) {
		u64 pa = vlm_shadow_root_pa(&shadow->mmu, i);

		shadow->pdpt[i] = pa ? pa | PDPTE_PRESENT : 0;
	}
}

int vlm_shadow_reload(struct vlm_vcpu *vcpu)
{
	struct vlm_vcpu_shadow *shadow = &vcpu->shadow;
	struct vlm_guest_paging paging;
	u64 root;
	int err;

	vlm_fill_paging(vcpu, &paging);
	err = vlm_shadow_load(&shadow->mmu, &paging);
	if (err) {
		vlm_request_set(&vcpu->head, VLM_REQ_MMU_RELOAD);
		/* Tables that are not in memory: the CPU could not fetch the next instruction. */
		if (err == -EFAULT)
			vcpu->events.triple_fault = true;
		return err == -ENOMEM ? err : 0;
	}
	if (paging.efer & EFER_LMA) {
		root = vlm_shadow_root_pa(&shadow->mmu, 0);
	} else {
		fill_pdpt(shadow);
		root = __pa(shadow->pdpt);
	}
	vlm_vmx_set_shadow_root(&vcpu->vmx, root);
	return 0;
}

/* SDM "Page-Fault Exceptions": what was asked for, from the error code. */
static u32 access_of(struct vlm_vcpu *vcpu)
{
	u32 error = vcpu->exit.intr_error, access = VLM_ACCESS_READ;

	if (error & VLM_PFEC_WRITE)
		access = VLM_ACCESS_WRITE;
	else if (error & VLM_PFEC_FETCH)
		access = VLM_ACCESS_EXEC;
	if (error & VLM_PFEC_USER)
		return access | VLM_ACCESS_USER;
	return vlm_vmx_cpl(&vcpu->vmx) == 3 ? access | VLM_ACCESS_IMPLICIT : access;
}

static int inject(struct vlm_vcpu *vcpu, u64 gva, u32 error)
{
	/* INT n that faulted on its way is executed again. */
	if (vcpu->events.irq_soft)
		vcpu->events.irq_injected = false;
	vlm_raise_pf(vcpu, gva, error);
	return VLM_RESUME;
}

static int emulate(struct vlm_vcpu *vcpu, const struct vlm_guest_walk *walk)
{
	struct vlm_vcpu_shadow *shadow = &vcpu->shadow;
	u64 gfn = walk->gpa >> PAGE_SHIFT;
	bool memory = vlm_vm_gpa_is_memory(vcpu->head.vm, walk->gpa);
	int step;

	/* The delivery of an event has no instruction to emulate. */
	if (vcpu->exit.idt_info & VECTORING_INFO_VALID_MASK) {
		if (memory && vlm_shadow_unprotect(shadow->mmu.sh, gfn))
			return VLM_RESUME;
		return vlm_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV);
	}
	if (memory)
		shadow->protected_gfn = gfn;
	step = vlm_emulate(vcpu);
	shadow->protected_gfn = NO_GFN;
	return step;
}

bool vlm_shadow_give_way(struct vlm_vcpu *vcpu)
{
	const struct vlm_vcpu_shadow *shadow = &vcpu->shadow;

	return vlm_is_shadowed(vcpu) && shadow->protected_gfn != NO_GFN &&
	       vlm_shadow_unprotect(shadow->mmu.sh, shadow->protected_gfn);
}

int vlm_exit_page_fault(struct vlm_vcpu *vcpu)
{
	struct vlm_shadow_vcpu *sv = &vcpu->shadow.mmu;
	u64 gva = vcpu->exit.qualification;
	struct vlm_guest_walk walk;

	sv->paging.rflags = vlm_vmx_rflags(&vcpu->vmx);
	switch (vlm_shadow_fault(sv, gva, access_of(vcpu), &walk)) {
	case VLM_SHADOW_FIXED:
	case VLM_SHADOW_RETRY:
		return VLM_RESUME;
	case VLM_SHADOW_INJECT:
		return inject(vcpu, gva, walk.pfec);
	case VLM_SHADOW_EMULATE:
		return emulate(vcpu, &walk);
	case VLM_SHADOW_ERROR:
		break;
	}
	/* Zero would mean a return to user space without an exit reason. */
	return sv->fault_errno ?: -EFAULT;
}

int vlm_run_emulated(struct vlm_vcpu *vcpu)
{
	const struct vlm_exception *ex = &vcpu->events.ex;
	int step;

	memset(&vcpu->exit, 0, sizeof(vcpu->exit));
	vcpu->exit.reason = VLM_EXIT_NONE;
	vcpu->cpuid.frozen = true;
	if (!(vlm_vmx_cr0(&vcpu->vmx) & X86_CR0_PE)) {
		step = vlm_events_emulate(vcpu);
		if (step != VLM_RESUME)
			return step;
	} else if (ex->pending || ex->injected) {
		/* Between two modes: only its stack switch could say where this goes. */
		return vlm_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION);
	}
	return vlm_emulate(vcpu);
}
