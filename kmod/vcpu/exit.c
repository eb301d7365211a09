// SPDX-License-Identifier: GPL-2.0-only
/* Which file handles which VM exit. SDM volume 3, appendix "VMX Basic Exit Reasons". */

#include <linux/kernel.h>
#include <linux/nospec.h>

#include <asm/vmx.h>

#include "private.h"

/* Not named by the kernel's header. */
#define EXIT_REASON_GETSEC	11
#define EXIT_REASON_RSM		17

/* Nothing to do but to enter again: the exit was its own purpose. */
static int exit_nothing(struct vlm_vcpu *vcpu)
{
	return VLM_RESUME;
}

static int exit_external_interrupt(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_count(vcpu, VLM_VCPU_IRQ_EXITS);
	return VLM_RESUME;
}

static int exit_event_window(struct vlm_vcpu *vcpu)
{
	vlm_request_set(&vcpu->head, VLM_REQ_EVENT);
	return VLM_RESUME;
}

static int exit_irq_window(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_count(vcpu, VLM_VCPU_IRQ_WINDOW_EXITS);
	return exit_event_window(vcpu);
}

static int exit_nmi_window(struct vlm_vcpu *vcpu)
{
	vlm_vcpu_count(vcpu, VLM_VCPU_NMI_WINDOW_EXITS);
	return exit_event_window(vcpu);
}

static int exit_triple_fault(struct vlm_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return VLM_TO_USER;
}

/* Hardware task switches are not emulated. */
static int exit_task_switch(struct vlm_vcpu *vcpu)
{
	return vlm_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION);
}

static int (*const handlers[])(struct vlm_vcpu *vcpu) = {
	[EXIT_REASON_EXCEPTION_NMI] = vlm_exit_exception,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = exit_external_interrupt,
	[EXIT_REASON_TRIPLE_FAULT] = exit_triple_fault,
	[EXIT_REASON_INTERRUPT_WINDOW] = exit_irq_window,
	[EXIT_REASON_NMI_WINDOW] = exit_nmi_window,
	[EXIT_REASON_TASK_SWITCH] = exit_task_switch,
	[EXIT_REASON_CPUID] = vlm_exit_cpuid,
	[EXIT_REASON_GETSEC] = vlm_exit_undefined,
	[EXIT_REASON_HLT] = vlm_exit_hlt,
	[EXIT_REASON_INVD] = vlm_exit_skip,
	[EXIT_REASON_INVLPG] = vlm_exit_invlpg,
	[EXIT_REASON_RDPMC] = vlm_exit_rdpmc,
	[EXIT_REASON_VMCALL] = vlm_exit_hypercall,
	[EXIT_REASON_VMCLEAR] = vlm_exit_undefined,
	[EXIT_REASON_VMLAUNCH] = vlm_exit_undefined,
	[EXIT_REASON_VMPTRLD] = vlm_exit_undefined,
	[EXIT_REASON_VMPTRST] = vlm_exit_undefined,
	[EXIT_REASON_VMREAD] = vlm_exit_undefined,
	[EXIT_REASON_VMRESUME] = vlm_exit_undefined,
	[EXIT_REASON_VMWRITE] = vlm_exit_undefined,
	[EXIT_REASON_VMOFF] = vlm_exit_undefined,
	[EXIT_REASON_VMON] = vlm_exit_undefined,
	[EXIT_REASON_CR_ACCESS] = vlm_exit_cr,
	[EXIT_REASON_DR_ACCESS] = vlm_exit_dr,
	[EXIT_REASON_IO_INSTRUCTION] = vlm_exit_io,
	[EXIT_REASON_MSR_READ] = vlm_exit_rdmsr,
	[EXIT_REASON_MSR_WRITE] = vlm_exit_wrmsr,
	[EXIT_REASON_MWAIT_INSTRUCTION] = vlm_exit_monitor,
	[EXIT_REASON_MONITOR_TRAP_FLAG] = exit_nothing,
	[EXIT_REASON_MONITOR_INSTRUCTION] = vlm_exit_monitor,
	[EXIT_REASON_PAUSE_INSTRUCTION] = vlm_exit_pause,
	[EXIT_REASON_TPR_BELOW_THRESHOLD] = exit_event_window,
	[EXIT_REASON_EPT_VIOLATION] = vlm_exit_ept_violation,
	[EXIT_REASON_EPT_MISCONFIG] = vlm_exit_ept_misconfig,
	[EXIT_REASON_INVEPT] = vlm_exit_undefined,
	[EXIT_REASON_PREEMPTION_TIMER] = exit_nothing,
	[EXIT_REASON_INVVPID] = vlm_exit_undefined,
	[EXIT_REASON_WBINVD] = vlm_exit_skip,
	[EXIT_REASON_XSETBV] = vlm_exit_xsetbv,
	[EXIT_REASON_RDRAND] = vlm_exit_undefined,
	[EXIT_REASON_INVPCID] = vlm_exit_undefined,
	[EXIT_REASON_VMFUNC] = vlm_exit_undefined,
	[EXIT_REASON_ENCLS] = vlm_exit_undefined,
	[EXIT_REASON_RDSEED] = vlm_exit_undefined,
	[EXIT_REASON_XSAVES] = vlm_exit_undefined,
	[EXIT_REASON_XRSTORS] = vlm_exit_undefined,
	[EXIT_REASON_PML_FULL] = exit_nothing,
	[EXIT_REASON_UMWAIT] = vlm_exit_undefined,
	[EXIT_REASON_TPAUSE] = vlm_exit_undefined,
};

int vlm_internal_error(struct vlm_vcpu *vcpu, u32 suberror)
{
	struct kvm_run *run = vcpu->run;
	u32 n = 0;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.data[n++] = vcpu->exit.idt_info;
	run->internal.data[n++] = vcpu->exit.reason;
	run->internal.data[n++] = vcpu->exit.qualification;
	if (vcpu->exit.reason == EXIT_REASON_EPT_MISCONFIG ||
	    vcpu->exit.reason == EXIT_REASON_EPT_VIOLATION)
		run->internal.data[n++] = vcpu->exit.gpa;
	run->internal.data[n++] = vcpu->last_cpu;
	run->internal.ndata = n;
	return VLM_TO_USER;
}

static int unexpected(struct vlm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	run->internal.ndata = 2;
	run->internal.data[0] = vcpu->exit.reason;
	run->internal.data[1] = vcpu->last_cpu;
	return VLM_TO_USER;
}

/* The guest was not entered: nothing of its state changed. */
static int entry_failure(struct vlm_vcpu *vcpu, u64 why)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = why;
	run->fail_entry.cpu = vcpu->last_cpu;
	vlm_vmx_dump(&vcpu->vmx);
	return VLM_TO_USER;
}

int vlm_handle_exit(struct vlm_vcpu *vcpu)
{
	const struct vlm_exit *exit = &vcpu->exit;
	u32 reason = exit->reason;

	if (exit->entry_error)
		return entry_failure(vcpu, exit->entry_error);
	if (exit->entry_failed)
		return entry_failure(vcpu, reason | VMX_EXIT_REASONS_FAILED_VMENTRY);
	if (reason >= ARRAY_SIZE(handlers))
		return unexpected(vcpu);
	reason = array_index_nospec(reason, ARRAY_SIZE(handlers));
	if (!handlers[reason])
		return unexpected(vcpu);
	return handlers[reason](vcpu);
}
