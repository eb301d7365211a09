// SPDX-License-Identifier: GPL-2.0-only
/* KVM_SET_GUEST_DEBUG: user space debugs the guest. */

#include <linux/kernel.h>

#include <asm/processor-flags.h>

#include "mmu/guest_walk.h"

#include "private.h"

#define VALID_CONTROL (KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP | \
		       KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP | \
		       KVM_GUESTDBG_BLOCKIRQ)

/*
 * #DB and #AC always exit: a guest that raises them while delivering them would keep the
 * CPU busy for ever. Machine checks are the host's.
 */
void vlm_debug_apply(struct vlm_vcpu *vcpu)
{
	const struct vlm_debug *debug = &vcpu->debug;
	u32 bitmap = BIT(VLM_DB) | BIT(VLM_AC) | BIT(VLM_MC);

	if (debug->control & KVM_GUESTDBG_USE_SW_BP)
		bitmap |= BIT(VLM_BP);
	/* All of them: the masks on error codes are zero. */
	if (vlm_is_shadowed(vcpu))
		bitmap |= BIT(VLM_PF);
	vlm_vmx_set_exception_bitmap(&vcpu->vmx, bitmap);
	vlm_vmx_set_dr7(&vcpu->vmx, debug->control & KVM_GUESTDBG_USE_HW_BP ?
			(debug->host_dr7 & ~VLM_DR7_GD) | VLM_DR7_FIXED :
			debug->dr7 & ~VLM_DR7_GD);
	vlm_vmx_set_dr_exiting(&vcpu->vmx, true);
}

int vlm_debug_exit(struct vlm_vcpu *vcpu, u8 vector, u64 dr6)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;
	const struct vlm_debug *debug = &vcpu->debug;

	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	arch->exception = vector;
	arch->pc = vlm_linear_rip(vcpu);
	arch->dr6 = vector == VLM_DB ? dr6 | VLM_DR6_ACTIVE_LOW : 0;
	arch->dr7 = debug->control & KVM_GUESTDBG_USE_HW_BP ? debug->host_dr7 : debug->dr7;
	return VLM_TO_USER;
}

int vlm_vcpu_set_guest_debug(struct vlm_vcpu *vcpu, struct kvm_guest_debug *dbg)
{
	u64 rflags = vlm_vmx_rflags(&vcpu->vmx);
	struct vlm_debug *debug = &vcpu->debug;

	if (dbg->control & ~VALID_CONTROL)
		return -EINVAL;
	vlm_user_io_disturb(vcpu);
	if (dbg->control & (KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)) {
		if (vcpu->events.ex.pending || vcpu->events.ex.injected)
			return -EBUSY;
		if (dbg->control & KVM_GUESTDBG_INJECT_DB)
			vlm_raise(vcpu, VLM_DB);
		else
			vlm_raise(vcpu, VLM_BP);
	}
	if (debug->control & KVM_GUESTDBG_SINGLESTEP)
		rflags &= ~(u64)(X86_EFLAGS_TF | X86_EFLAGS_RF);

	debug->control = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control : 0;
	if (debug->control & KVM_GUESTDBG_USE_HW_BP) {
		memcpy(debug->host_db, dbg->arch.debugreg, sizeof(debug->host_db));
		debug->host_dr7 = (u32)dbg->arch.debugreg[7];
	}
	if (debug->control & KVM_GUESTDBG_SINGLESTEP)
		rflags |= X86_EFLAGS_TF | X86_EFLAGS_RF;
	vlm_vmx_set_rflags(&vcpu->vmx, rflags);
	vlm_debug_apply(vcpu);
	return 0;
}

int vlm_vcpu_set_signal_mask(struct vlm_vcpu *vcpu, const sigset_t *mask)
{
	vcpu->sigmask_set = mask;
	if (mask) {
		vcpu->sigmask = *mask;
		sigdelsetmask(&vcpu->sigmask, sigmask(SIGKILL) | sigmask(SIGSTOP));
	}
	return 0;
}

int vlm_vcpu_translate(struct vlm_vcpu *vcpu, struct kvm_translation *tr)
{
	struct vlm_emul_fault fault;
	u64 gpa;
	int err;

	vlm_srcu_enter(vcpu);
	err = vlm_gva_to_gpa(vcpu, tr->linear_address, VLM_ACCESS_READ | VLM_ACCESS_PEEK, &gpa,
			     &fault);
	vlm_srcu_leave(vcpu);
	tr->physical_address = err ? ~0ull : gpa;
	tr->valid = !err;
	tr->writeable = 1;
	tr->usermode = 0;
	return 0;
}
