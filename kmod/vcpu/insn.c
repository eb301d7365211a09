// SPDX-License-Identifier: GPL-2.0-only
/* Stepping over an instruction that the module carried out. */

#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "private.h"

bool vlm_is_long64(struct vlm_vcpu *vcpu)
{
	return (vlm_vmx_efer(&vcpu->vmx) & EFER_LMA) &&
	       (vlm_vmx_cs_ar(&vcpu->vmx) & VMX_AR_L_MASK);
}

u64 vlm_linear_rip(struct vlm_vcpu *vcpu)
{
	u64 rip = vlm_vmx_rip(&vcpu->vmx);

	if (vlm_is_long64(vcpu))
		return rip;
	return (u32)(vlm_vmx_segment_base(&vcpu->vmx, VLM_SEG_CS) + rip);
}

int vlm_step_done(struct vlm_vcpu *vcpu, u64 rflags)
{
	u64 dr6 = VLM_DR6_BS | VLM_DR6_ACTIVE_LOW;

	if (!(rflags & X86_EFLAGS_TF))
		return VLM_RESUME;
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		return vlm_debug_exit(vcpu, VLM_DB, dr6);
	vlm_raise_db(vcpu, VLM_DR6_BS);
	return VLM_RESUME;
}

int vlm_skip_bytes(struct vlm_vcpu *vcpu, u32 len)
{
	u64 old = vlm_vmx_rip(&vcpu->vmx), rip = old + len;
	u64 rflags = vlm_vmx_rflags(&vcpu->vmx);
	u32 state = vlm_vmx_interruptibility(&vcpu->vmx);

	/* Outside 64-bit mode the instruction pointer has 32 bits at most: look at a carry only. */
	if (unlikely((old ^ rip) >> 32) && !vlm_is_long64(vcpu))
		rip = (u32)rip;
	vlm_vmx_set_rip(&vcpu->vmx, rip);
	if (state & (GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS))
		vlm_vmx_set_interruptibility(&vcpu->vmx, state & ~(GUEST_INTR_STATE_STI |
								   GUEST_INTR_STATE_MOV_SS));
	if (rflags & X86_EFLAGS_RF)
		vlm_vmx_set_rflags(&vcpu->vmx, rflags & ~X86_EFLAGS_RF);
	return vlm_step_done(vcpu, rflags);
}

int vlm_skip_insn(struct vlm_vcpu *vcpu)
{
	return vlm_skip_bytes(vcpu, vcpu->exit.insn_len);
}
