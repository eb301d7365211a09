// SPDX-License-Identifier: GPL-2.0-only
/* The local APIC as seen by user space, and IA32_APIC_BASE wherever it lives. */

#include <asm/apicdef.h>
#include <asm/msr-index.h>

#include "private.h"

u64 vlm_apic_base(struct vlm_vcpu *vcpu)
{
	return vlm_has_lapic(vcpu) ? vlm_lapic_base(&vcpu->head) : vcpu->msrs.apic_base;
}

/* Reserved bits, and x2APIC mode without the APIC being on. */
bool vlm_apic_base_valid(struct vlm_vcpu *vcpu, u64 base)
{
	u64 flags = MSR_IA32_APICBASE_BSP | MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE;
	u64 page = GENMASK_ULL(vcpu->cpuid.maxphyaddr - 1, 12);

	if (base & ~(flags | page))
		return false;
	if (!(base & X2APIC_ENABLE))
		return true;
	if (!(base & MSR_IA32_APICBASE_ENABLE))
		return false;
	return !vcpu->cpuid.set || vlm_cpuid_has(vcpu, VLM_CPUID_1_ECX, BIT(21));
}

int vlm_set_apic_base(struct vlm_vcpu *vcpu, u64 base, bool host)
{
	if (!vlm_apic_base_valid(vcpu, base))
		return -EINVAL;
	if (vlm_has_lapic(vcpu)) {
		if (vlm_lapic_set_base(&vcpu->head, base, host))
			return -EINVAL;
	} else {
		vcpu->msrs.apic_base = base;
	}
	vlm_cpuid_update(vcpu);
	return 0;
}

int vlm_vcpu_get_lapic(struct vlm_vcpu *vcpu, struct kvm_lapic_state *state)
{
	if (!vlm_has_lapic(vcpu))
		return -EINVAL;
	return vlm_lapic_get_state(&vcpu->head, state);
}

int vlm_vcpu_set_lapic(struct vlm_vcpu *vcpu, struct kvm_lapic_state *state)
{
	int err;

	if (!vlm_has_lapic(vcpu))
		return -EINVAL;
	err = vlm_lapic_set_state(&vcpu->head, state);
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	return err;
}

/* The TPR is never patched into memory, so there are no accesses to report. */
int vlm_vcpu_tpr_access_reporting(struct vlm_vcpu *vcpu, struct kvm_tpr_access_ctl *ctl)
{
	if (ctl->flags)
		return -EINVAL;
	return 0;
}

/*
 * The page mirrors the TPR for guest code that was patched after a report of a TPR
 * access. There are no reports, so nothing reads the page, and any address will do.
 */
int vlm_vcpu_set_vapic_addr(struct vlm_vcpu *vcpu, struct kvm_vapic_addr *va)
{
	return vlm_has_lapic(vcpu) ? 0 : -EINVAL;
}
