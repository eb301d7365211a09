// SPDX-License-Identifier: GPL-2.0-only
/* Drive the instruction emulator: registers in, consequences out. */

#include <linux/string.h>

#include <asm/processor-flags.h>
#include <asm/vmx.h>

#include "private.h"

static void fill(struct vlm_vcpu *vcpu)
{
	struct vlm_emul *e = &vcpu->emul;

	e->regs = vcpu->regs;
	e->rip = vlm_vmx_rip(&vcpu->vmx);
	e->rflags = vlm_vmx_rflags(&vcpu->vmx);
	e->cr0 = vlm_vmx_cr0(&vcpu->vmx);
	e->cr4 = vlm_vmx_cr4(&vcpu->vmx);
	e->efer = vlm_vmx_efer(&vcpu->vmx);
	/* The emulator knows access rights in the VMCS's format. */
	e->mode = vlm_emul_mode_of(e->cr0, e->efer, e->rflags, vlm_vmx_cs_ar(&vcpu->vmx));
	e->cpl = e->mode == VLM_EMUL_REAL ? 0 : e->mode == VLM_EMUL_VM86 ? 3 :
		 vlm_vmx_cpl(&vcpu->vmx);
}

static void set_shadow(struct vlm_vcpu *vcpu)
{
	u32 state = vlm_vmx_interruptibility(&vcpu->vmx);
	u32 now = state & ~(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS);

	if (vcpu->emul.out.shadow == VLM_EMUL_SHADOW_STI)
		now |= GUEST_INTR_STATE_STI;
	else if (vcpu->emul.out.shadow == VLM_EMUL_SHADOW_MOV_SS)
		now |= GUEST_INTR_STATE_MOV_SS;
	if (vcpu->emul.out.nmi_unblock)
		now &= ~GUEST_INTR_STATE_NMI;
	if (now != state)
		vlm_vmx_set_interruptibility(&vcpu->vmx, now);
}

/* A write that user space must carry out: kvm_run is filled. */
static bool queued(const struct vlm_vcpu *vcpu)
{
	return vcpu->io.kind == VLM_IO_MMIO_WRITE || vcpu->io.kind == VLM_IO_STRING_OUT;
}

static int done(struct vlm_vcpu *vcpu, u64 old_rip, u64 old_rflags)
{
	struct vlm_emul *e = &vcpu->emul;
	int step = VLM_RESUME;

	vlm_vmx_set_rip(&vcpu->vmx, e->rip);
	vlm_vmx_set_rflags(&vcpu->vmx, e->rflags);
	set_shadow(vcpu);
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	if (queued(vcpu)) {
		/* The trap that follows the instruction is delivered after the exit. */
		if ((old_rflags & X86_EFLAGS_TF) && e->rip != old_rip &&
		    !(vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP))
			vlm_raise_db(vcpu, VLM_DR6_BS);
		return VLM_TO_USER;
	}
	if (e->out.halted)
		return vlm_halt(vcpu);
	if (e->rip != old_rip)
		step = vlm_step_done(vcpu, old_rflags);
	return step;
}

static void inject_fault(struct vlm_vcpu *vcpu)
{
	const struct vlm_emul_fault *fault = &vcpu->emul.fault;

	if (fault->vector == VLM_PF)
		vlm_raise_pf(vcpu, fault->address, fault->error);
	else if (fault->has_error)
		vlm_raise_error(vcpu, fault->vector, fault->error);
	else
		vlm_raise(vcpu, fault->vector);
}

/* KVM_INTERNAL_ERROR_EMULATION with the bytes that were fetched. */
static int report_failure(struct vlm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const struct vlm_emul *e = &vcpu->emul;
	u32 len = min_t(u32, e->insn_len, sizeof(run->emulation_failure.insn_bytes));

	vlm_vcpu_count(vcpu, VLM_VCPU_INSN_EMULATION_FAIL);
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.flags = 0;
	/* The flags word, the instruction's two, and the exit's two. */
	run->emulation_failure.ndata = 5;
	run->emulation_failure.insn_size = 0;
	memset(run->emulation_failure.insn_bytes, 0, sizeof(run->emulation_failure.insn_bytes));
	if (len) {
		run->emulation_failure.flags =
			KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
		run->emulation_failure.insn_size = len;
		memcpy(run->emulation_failure.insn_bytes, e->insn, len);
	}
	run->internal.data[3] = vcpu->exit.reason;
	run->internal.data[4] = vcpu->exit.gpa;
	return VLM_TO_USER;
}

static int act_on(struct vlm_vcpu *vcpu, enum vlm_emul_result result, u64 rip, u64 rflags)
{
	switch (result) {
	case VLM_EMUL_DONE:
		return done(vcpu, rip, rflags);
	case VLM_EMUL_FAULT:
		inject_fault(vcpu);
		return VLM_RESUME;
	case VLM_EMUL_USER:
		return VLM_TO_USER;
	case VLM_EMUL_ABORT:
		if (vcpu->emul_errno)
			return vcpu->emul_errno;
		return report_failure(vcpu);
	case VLM_EMUL_UNHANDLED:
		if (vlm_shadow_give_way(vcpu))
			return VLM_RESUME;
		break;
	}
	return report_failure(vcpu);
}

int vlm_emulate_again(struct vlm_vcpu *vcpu)
{
	struct vlm_emul *e = &vcpu->emul;
	enum vlm_emul_result result;
	u64 rip, rflags;

	if (vcpu->io.disturbed)
		fill(vcpu);
	rip = e->rip;
	rflags = e->rflags;
	vcpu->emul_errno = 0;
	result = vcpu->io.disturbed ? vlm_emul_run(e) : vlm_emul_resume(e);
	return act_on(vcpu, result, rip, rflags);
}

static int emulate(struct vlm_vcpu *vcpu)
{
	struct vlm_emul *e = &vcpu->emul;
	u64 rip, rflags;

	vlm_vcpu_count(vcpu, VLM_VCPU_INSN_EMULATION);
	vcpu->io.kind = VLM_IO_NONE;
	vlm_emul_begin(e);
	fill(vcpu);
	rip = e->rip;
	rflags = e->rflags;
	vcpu->emul_errno = 0;
	return act_on(vcpu, vlm_emul_run(e), rip, rflags);
}

int vlm_emulate(struct vlm_vcpu *vcpu)
{
	vcpu->io.known = VLM_KNOWN_NOTHING;
	return emulate(vcpu);
}

int vlm_emulate_access(struct vlm_vcpu *vcpu, enum vlm_io_known known)
{
	vcpu->io.known = known;
	vcpu->io.known_gpa = vcpu->exit.gpa;
	return emulate(vcpu);
}
