// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET/SET_REGS, DEBUGREGS, MP_STATE. */

#include <linux/string.h>

#include <asm/processor-flags.h>

#include "private.h"

/* Where struct kvm_regs has each register of enum vlm_gpr. */
#define REG(name) offsetof(struct kvm_regs, name)
static const u8 kvm_reg[VLM_NR_GPRS] = {
	[VLM_RAX] = REG(rax), [VLM_RCX] = REG(rcx), [VLM_RDX] = REG(rdx), [VLM_RBX] = REG(rbx),
	[VLM_RSP] = REG(rsp), [VLM_RBP] = REG(rbp), [VLM_RSI] = REG(rsi), [VLM_RDI] = REG(rdi),
	[VLM_R8] = REG(r8), [VLM_R9] = REG(r9), [VLM_R10] = REG(r10), [VLM_R11] = REG(r11),
	[VLM_R12] = REG(r12), [VLM_R13] = REG(r13), [VLM_R14] = REG(r14), [VLM_R15] = REG(r15),
};

/* The debugger's trap flag is not the guest's. */
static u64 hidden_flags(struct vlm_vcpu *vcpu)
{
	return vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP ? X86_EFLAGS_TF : 0;
}

int vlm_vcpu_get_regs(struct vlm_vcpu *vcpu, struct kvm_regs *regs)
{
	int i;

	for (i = 0; i < VLM_NR_GPRS; i++)
		*(u64 *)((void *)regs + kvm_reg[i]) = vcpu->regs[i];
	regs->rip = vlm_vmx_rip(&vcpu->vmx);
	regs->rflags = vlm_vmx_rflags(&vcpu->vmx) & ~hidden_flags(vcpu);
	return 0;
}

int vlm_vcpu_set_regs(struct vlm_vcpu *vcpu, struct kvm_regs *regs)
{
	int i;

	vlm_user_io_disturb(vcpu);
	for (i = 0; i < VLM_NR_GPRS; i++)
		vcpu->regs[i] = *(u64 *)((void *)regs + kvm_reg[i]);
	vlm_vmx_set_rip(&vcpu->vmx, regs->rip);
	vlm_vmx_set_rflags(&vcpu->vmx, (regs->rflags | X86_EFLAGS_FIXED) | hidden_flags(vcpu));
	/* The instruction that an exception belonged to may be another one now. */
	vcpu->events.ex.pending = false;
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	return 0;
}

int vlm_vcpu_get_debugregs(struct vlm_vcpu *vcpu, struct kvm_debugregs *dbg)
{
	memset(dbg, 0, sizeof(*dbg));
	memcpy(dbg->db, vcpu->debug.db, sizeof(dbg->db));
	dbg->dr6 = vcpu->debug.dr6;
	dbg->dr7 = vcpu->debug.dr7;
	return 0;
}

int vlm_vcpu_set_debugregs(struct vlm_vcpu *vcpu, struct kvm_debugregs *dbg)
{
	if (dbg->flags || dbg->dr6 >> 32 || dbg->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->debug.db, dbg->db, sizeof(dbg->db));
	vcpu->debug.dr6 = dbg->dr6;
	vcpu->debug.dr7 = dbg->dr7 | VLM_DR7_FIXED;
	vlm_debug_apply(vcpu);
	return 0;
}

int vlm_vcpu_get_mp_state(struct vlm_vcpu *vcpu, struct kvm_mp_state *state)
{
	if (vlm_has_lapic(vcpu)) {
		vlm_srcu_enter(vcpu);
		vlm_accept_init_sipi(vcpu);
		vlm_srcu_leave(vcpu);
	}
	state->mp_state = vcpu->mp_state;
	return 0;
}

int vlm_vcpu_set_mp_state(struct vlm_vcpu *vcpu, struct kvm_mp_state *state)
{
	struct vlm_vcpu_head *v = &vcpu->head;

	switch (state->mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		break;
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_HALTED:
	case KVM_MP_STATE_INIT_RECEIVED:
		if (!vlm_has_lapic(vcpu))
			return -EINVAL;
		break;
	case KVM_MP_STATE_SIPI_RECEIVED:
		if (!vlm_has_lapic(vcpu))
			return -EINVAL;
		vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		vlm_vcpu_post_event(v, VLM_EVENT_SIPI);
		return 0;
	default:
		return -EINVAL;
	}
	vcpu->mp_state = state->mp_state;
	vlm_request_set(v, VLM_REQ_EVENT);
	return 0;
}
