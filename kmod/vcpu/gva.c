// SPDX-License-Identifier: GPL-2.0-only
/* From a linear address of the guest to a guest-physical one. */

#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "mmu/guest_walk.h"

#include "private.h"

static bool is_canonical(struct vlm_vcpu *vcpu, u64 gva)
{
	u32 bits = vlm_vmx_cr4(&vcpu->vmx) & X86_CR4_LA57 ? 57 : 48;

	return sign_extend64(gva, bits - 1) == gva;
}

void vlm_fill_paging(struct vlm_vcpu *vcpu, struct vlm_guest_paging *paging)
{
	paging->as_id = vcpu->mmu.as_id;
	paging->cr0 = vlm_vmx_cr0(&vcpu->vmx);
	paging->cr3 = vlm_vmx_cr3(&vcpu->vmx);
	paging->cr4 = vlm_vmx_cr4(&vcpu->vmx);
	paging->efer = vlm_vmx_efer(&vcpu->vmx);
	paging->rflags = vlm_vmx_rflags(&vcpu->vmx);
	paging->pkru = vcpu->fpu.pkru;
	paging->pkrs = 0;
	paging->maxphyaddr = vcpu->cpuid.maxphyaddr;
	paging->gbpages = vlm_cpuid_has(vcpu, VLM_CPUID_80000001_EDX, BIT(26));
	if (vlm_is_pae(paging->cr0, paging->cr4, paging->efer))
		vlm_vmx_get_pdptrs(&vcpu->vmx, paging->pdptrs);
}

int vlm_gva_to_gpa(struct vlm_vcpu *vcpu, u64 gva, u32 access, u64 *gpa,
		   struct vlm_emul_fault *fault)
{
	struct vlm_guest_paging *paging = &vcpu->paging;
	struct vlm_guest_walk walk;

	vlm_fill_paging(vcpu, paging);
	if (!(paging->efer & EFER_LMA)) {
		gva = (u32)gva;
	} else if (!is_canonical(vcpu, gva)) {
		*fault = (struct vlm_emul_fault){ .vector = VLM_GP, .has_error = true };
		return -EFAULT;
	}
	if (vlm_guest_walk(vcpu->mmu.mmu, paging, gva, access, &walk) == VLM_WALK_OK) {
		*gpa = walk.gpa;
		return 0;
	}
	*fault = (struct vlm_emul_fault){
		.vector = VLM_PF, .has_error = true, .error = walk.pfec, .address = gva,
	};
	return -EFAULT;
}
