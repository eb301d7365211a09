// SPDX-License-Identifier: GPL-2.0-only
/* EPT exits: let the MMU map what is missing, emulate what is not memory. */

#include <asm/vmx.h>

#include "private.h"

/*
 * An event whose delivery needs device memory (a descriptor table or stack outside of
 * RAM) has no instruction to emulate.
 */
static int emulate_access(struct vlm_vcpu *vcpu, enum vlm_io_known known)
{
	if (vcpu->exit.idt_info & VECTORING_INFO_VALID_MASK)
		return vlm_internal_error(vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV);
	return vlm_emulate_access(vcpu, known);
}

static int act_on(struct vlm_vcpu *vcpu, enum vlm_fault_result result, enum vlm_io_known known)
{
	switch (result) {
	case VLM_FAULT_FIXED:
	case VLM_FAULT_SPURIOUS:
	case VLM_FAULT_RETRY:
		return VLM_RESUME;
	case VLM_FAULT_EMULATE:
		return emulate_access(vcpu, known);
	case VLM_FAULT_ERROR:
		break;
	}
	/* Zero would mean a return to user space without an exit reason. */
	return vcpu->mmu.fault_errno ?: -EFAULT;
}

int vlm_exit_ept_violation(struct vlm_vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	enum vlm_io_known known = VLM_KNOWN_NOTHING;
	u32 access = VLM_ACCESS_READ;

	/* Not the entry of one of the guest's tables, but what the translation led to. */
	if ((qualification & EPT_VIOLATION_GVA_IS_VALID) &&
	    (qualification & EPT_VIOLATION_GVA_TRANSLATED) &&
	    !(qualification & EPT_VIOLATION_ACC_INSTR))
		known = VLM_KNOWN_GPA;
	if (qualification & EPT_VIOLATION_ACC_WRITE)
		access = VLM_ACCESS_WRITE;
	else if (qualification & EPT_VIOLATION_ACC_INSTR)
		access = VLM_ACCESS_EXEC;
	return act_on(vcpu, vlm_mmu_fault(&vcpu->mmu, vcpu->exit.gpa, access), known);
}

int vlm_exit_ept_misconfig(struct vlm_vcpu *vcpu)
{
	/*
	 * The exit does not tell an operand from an entry of the guest's tables. A guest that has
	 * its tables in device memory gets no further than this either way.
	 */
	return act_on(vcpu, vlm_mmu_misconfig(&vcpu->mmu, vcpu->exit.gpa), VLM_KNOWN_DEVICE);
}
