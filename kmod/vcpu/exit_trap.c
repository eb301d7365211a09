// SPDX-License-Identifier: GPL-2.0-only
/* Exceptions that exit, and instructions whose emulation takes a few lines. */

#include <linux/sched.h>

#include <uapi/linux/kvm_para.h>
#include <asm/cpu.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "private.h"

/* SDM "Debug Exceptions": the qualification has the bits that DR6 would get. */
static int exit_debug(struct vlm_vcpu *vcpu)
{
	u64 dr6 = vcpu->exit.qualification & (0xfull | VLM_DR6_BD | VLM_DR6_BS | VLM_DR6_RTM);

	if (vcpu->debug.control & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return vlm_debug_exit(vcpu, VLM_DB,
				      (dr6 | VLM_DR6_ACTIVE_LOW) ^ (dr6 & VLM_DR6_ACTIVE_LOW));
	vlm_raise_db(vcpu, dr6);
	/* INT1 is a trap: it is delivered behind the instruction. */
	if ((vcpu->exit.intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION) {
		vcpu->events.ex.soft = true;
		vcpu->events.ex.insn_len = vcpu->exit.insn_len;
	}
	return VLM_RESUME;
}

static int exit_breakpoint(struct vlm_vcpu *vcpu)
{
	if (vcpu->debug.control & KVM_GUESTDBG_USE_SW_BP)
		return vlm_debug_exit(vcpu, VLM_BP, 0);
	vlm_raise(vcpu, VLM_BP);
	vcpu->events.ex.soft = true;
	vcpu->events.ex.insn_len = vcpu->exit.insn_len;
	return VLM_RESUME;
}

/*
 * #AC is intercepted because an endless series of them, each raised by the delivery of
 * the last, would keep the CPU from ever leaving the guest. The guest's own alignment
 * checks go back to it; what remains is the host's detection of split locks.
 */
static int exit_alignment(struct vlm_vcpu *vcpu)
{
	if (vlm_vmx_cpl(&vcpu->vmx) == 3 && (vlm_vmx_cr0(&vcpu->vmx) & X86_CR0_AM) &&
	    (vlm_vmx_rflags(&vcpu->vmx) & X86_EFLAGS_AC)) {
		vlm_raise_error(vcpu, VLM_AC, vcpu->exit.intr_error);
		return VLM_RESUME;
	}
	if (!boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT)) {
		vlm_raise_error(vcpu, VLM_AC, vcpu->exit.intr_error);
		return VLM_RESUME;
	}
	if (handle_guest_split_lock(vlm_vmx_rip(&vcpu->vmx)))
		return VLM_RESUME;
	vcpu->run->exit_reason = KVM_EXIT_EXCEPTION;
	vcpu->run->ex.exception = VLM_AC;
	vcpu->run->ex.error_code = vcpu->exit.intr_error;
	return VLM_TO_USER;
}

int vlm_exit_exception(struct vlm_vcpu *vcpu)
{
	u32 info = vcpu->exit.intr_info;
	u8 vector = info & INTR_INFO_VECTOR_MASK;

	/* Taken by the host inside the entry function. */
	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR || vector == VLM_MC)
		return VLM_RESUME;
	switch (vector) {
	case VLM_DB:
		return exit_debug(vcpu);
	case VLM_BP:
		return exit_breakpoint(vcpu);
	case VLM_AC:
		return exit_alignment(vcpu);
	case VLM_PF:
		if (vlm_is_shadowed(vcpu))
			return vlm_exit_page_fault(vcpu);
		break;
	}
	/* Not intercepted on purpose; the guest must not lose it. */
	if (info & INTR_INFO_DELIVER_CODE_MASK)
		vlm_raise_error(vcpu, vector, vcpu->exit.intr_error);
	else
		vlm_raise(vcpu, vector);
	return VLM_RESUME;
}

int vlm_exit_undefined(struct vlm_vcpu *vcpu)
{
	vlm_raise(vcpu, VLM_UD);
	return VLM_RESUME;
}

/* WBINVD and INVD: no device of this machine bypasses the caches. */
int vlm_exit_skip(struct vlm_vcpu *vcpu)
{
	return vlm_skip_insn(vcpu);
}

int vlm_exit_invlpg(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_count(vcpu, VLM_VCPU_INVLPG);
	vlm_guest_invlpg(vcpu, vcpu->exit.qualification);
	return vlm_skip_insn(vcpu);
}

/* There is no performance monitoring unit. */
int vlm_exit_rdpmc(struct vlm_vcpu *vcpu)
{
	vlm_raise_error(vcpu, VLM_GP, 0);
	return VLM_RESUME;
}

/* Not offered by CPUID, but harmless: treated as a no-op unless user space objects. */
int vlm_exit_monitor(struct vlm_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->head.vm->disabled_quirks) & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) {
		vlm_raise(vcpu, VLM_UD);
		return VLM_RESUME;
	}
	return vlm_skip_insn(vcpu);
}

/* The guest spins, presumably for a vCPU that is waiting for this very CPU. */
int vlm_exit_pause(struct vlm_vcpu *vcpu)
{
	vlm_srcu_leave(vcpu);
	yield();
	vlm_srcu_enter(vcpu);
	return vlm_skip_insn(vcpu);
}

int vlm_exit_cpuid(struct vlm_vcpu *vcpu)
{
	u32 eax = vcpu->regs[VLM_RAX], ecx = vcpu->regs[VLM_RCX], ebx, edx;

	if (vlm_cpuid_faulting(vcpu) && vlm_vmx_cpl(&vcpu->vmx) > 0) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	vlm_cpuid(vcpu, &eax, &ebx, &ecx, &edx);
	vcpu->regs[VLM_RAX] = eax;
	vcpu->regs[VLM_RBX] = ebx;
	vcpu->regs[VLM_RCX] = ecx;
	vcpu->regs[VLM_RDX] = edx;
	return vlm_skip_insn(vcpu);
}

int vlm_exit_rdmsr(struct vlm_vcpu *vcpu)
{
	u64 data;

	if (vlm_get_msr(vcpu, vcpu->regs[VLM_RCX], &data, false)) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	vcpu->regs[VLM_RAX] = (u32)data;
	vcpu->regs[VLM_RDX] = data >> 32;
	return vlm_skip_insn(vcpu);
}

int vlm_exit_wrmsr(struct vlm_vcpu *vcpu)
{
	u64 data = (u32)vcpu->regs[VLM_RAX] | vcpu->regs[VLM_RDX] << 32;

	if (vlm_set_msr(vcpu, vcpu->regs[VLM_RCX], data, false)) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	return vlm_skip_insn(vcpu);
}

int vlm_exit_xsetbv(struct vlm_vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[VLM_RAX] | vcpu->regs[VLM_RDX] << 32;

	if (vlm_vmx_cpl(&vcpu->vmx) || vlm_set_xcr(vcpu, vcpu->regs[VLM_RCX], value)) {
		vlm_raise_error(vcpu, VLM_GP, 0);
		return VLM_RESUME;
	}
	return vlm_skip_insn(vcpu);
}

/* VMCALL by KVM's convention: number in RAX, answer in RAX. No hypercall is offered. */
int vlm_exit_hypercall(struct vlm_vcpu *vcpu)
{
	bool long64 = vlm_is_long64(vcpu);
	u64 nr = vcpu->regs[VLM_RAX];
	long ret;

	vlm_vcpu_count(vcpu, VLM_VCPU_HYPERCALLS);
	if (!long64)
		nr = (u32)nr;
	if (vlm_vmx_cpl(&vcpu->vmx))
		ret = -KVM_EPERM;
	else if (nr == KVM_HC_VAPIC_POLL_IRQ)
		ret = 0;
	else
		ret = -KVM_ENOSYS;
	vcpu->regs[VLM_RAX] = long64 ? (u64)ret : (u32)ret;
	return vlm_skip_insn(vcpu);
}
