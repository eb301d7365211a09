// SPDX-License-Identifier: GPL-2.0-only
/* Capabilities that live in vcpu/. */

#include "private.h"

int vlm_vcpu_check_extension(long cap)
{
	switch (cap) {
	case KVM_CAP_HLT:
	case KVM_CAP_EXT_CPUID:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_USER_NMI:
	case KVM_CAP_NOP_IO_DELAY:
	case KVM_CAP_SET_GUEST_DEBUG:
	case KVM_CAP_X86_ROBUST_SINGLESTEP:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_INTR_SHADOW:
	case KVM_CAP_DEBUGREGS:
	case KVM_CAP_XSAVE:
	case KVM_CAP_GET_TSC_KHZ:
	case KVM_CAP_TSC_DEADLINE_TIMER:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_GET_MSR_FEATURES:
	case KVM_CAP_SREGS2:
	case KVM_CAP_INTERNAL_ERROR_DATA:
	case KVM_CAP_EXCEPTION_PAYLOAD:
		return 1;
	case KVM_CAP_XCRS:
		return vlm_supported_xcr0() != 0;
	case KVM_CAP_XSAVE2:
		return sizeof_field(struct kvm_xsave, region);
	case KVM_CAP_TSC_CONTROL:
		return vlm_vmx_caps.tsc_scaling;
	case KVM_CAP_SYNC_REGS:
		return KVM_SYNC_X86_VALID_FIELDS;
	case KVM_CAP_MCE:
		return VLM_MCE_BANKS;
	case KVM_CAP_SET_GUEST_DEBUG2:
		return KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP |
		       KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_DB |
		       KVM_GUESTDBG_INJECT_BP | KVM_GUESTDBG_BLOCKIRQ;
	default:
		return 0;
	}
}

/* None of the capabilities of a vCPU is there. */
int vlm_vcpu_enable_cap(struct vlm_vcpu *vcpu, struct kvm_enable_cap *cap)
{
	return -EINVAL;
}

/* There is no paravirtual clock to be told about the pause. */
int vlm_vcpu_kvmclock_ctrl(struct vlm_vcpu *vcpu)
{
	return -EINVAL;
}
