// SPDX-License-Identifier: GPL-2.0-only
/*
 * One entry into the guest and the exit that follows. The running order is
 * vlm_vmx_enter(), top to bottom.
 */
#include <linux/build_bug.h>
#include <linux/kernel.h>
#include <linux/percpu.h>

#include <asm/processor.h>
#include <asm/debugreg.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/spec-ctrl.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>

#include "../compat/compat.h"
#include "cpu.h"
#include "entry.h"

static_assert(offsetof(struct vlm_vmx_switch, regs) == VLM_SWITCH_REGS);
static_assert(offsetof(struct vlm_vmx_switch, host_rsp) == VLM_SWITCH_HOST_RSP);
static_assert(offsetof(struct vlm_vmx_switch, spec_ctrl) == VLM_SWITCH_SPEC_CTRL);
static_assert(offsetof(struct vlm_vmx_switch, host_spec_ctrl) == VLM_SWITCH_HOST_SPEC_CTRL);
static_assert(offsetof(struct vlm_vmx_switch, flags) == VLM_SWITCH_FLAGS);
static_assert(VLM_FIELD_HOST_RSP == HOST_RSP);
static_assert(VLM_RAX == 0 && VLM_RCX == 1 && VLM_RDX == 2 && VLM_RBX == 3 && VLM_RSP == 4 &&
	      VLM_RBP == 5 && VLM_RSI == 6 && VLM_RDI == 7 && VLM_R15 == 15);

/* Which fields an exit reason fills: SDM "VM-Exit Information Fields". */
#define HAS_QUAL	BIT(0)
#define HAS_GPA		BIT(1)
#define HAS_GLA		BIT(2)
#define HAS_LEN		BIT(3)
#define HAS_INFO	BIT(4)
#define HAS_INTR	BIT(5)
#define KNOWN		BIT(7)	/* the others are read in full */

static const u8 exit_fields[] = {
	[EXIT_REASON_EXCEPTION_NMI] = KNOWN | HAS_QUAL | HAS_LEN | HAS_INTR,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = KNOWN,
	[EXIT_REASON_TRIPLE_FAULT] = KNOWN,
	[EXIT_REASON_INTERRUPT_WINDOW] = KNOWN,
	[EXIT_REASON_NMI_WINDOW] = KNOWN,
	[EXIT_REASON_CPUID] = KNOWN | HAS_LEN,
	[EXIT_REASON_HLT] = KNOWN | HAS_LEN,
	[EXIT_REASON_CR_ACCESS] = KNOWN | HAS_QUAL | HAS_LEN,
	[EXIT_REASON_DR_ACCESS] = KNOWN | HAS_QUAL | HAS_LEN,
	[EXIT_REASON_IO_INSTRUCTION] = KNOWN | HAS_QUAL | HAS_GLA | HAS_LEN | HAS_INFO,
	[EXIT_REASON_MSR_READ] = KNOWN | HAS_LEN,
	[EXIT_REASON_MSR_WRITE] = KNOWN | HAS_LEN,
	[EXIT_REASON_PAUSE_INSTRUCTION] = KNOWN | HAS_LEN,
	[EXIT_REASON_EPT_VIOLATION] = KNOWN | HAS_QUAL | HAS_GPA | HAS_GLA,
	[EXIT_REASON_EPT_MISCONFIG] = KNOWN | HAS_GPA,
	[EXIT_REASON_PREEMPTION_TIMER] = KNOWN,
	[EXIT_REASON_PML_FULL] = KNOWN | HAS_QUAL,
};

/* Host state that can change between two entries of one load. IRQs off. */
static void refresh_host_state(struct vlm_vmx *vmx)
{
	unsigned long cr3 = __read_cr3();
	unsigned long cr4 = __read_cr4();
	u64 ctrl;

	if (vmx->host_loaded)
		vlm_host_state_save(vmx);
	if (cr3 != vmx->host_cr3) {
		vlm_vmcs_write_natural(HOST_CR3, cr3);
		vmx->host_cr3 = cr3;
	}
	if (cr4 != vmx->host_cr4) {
		vlm_vmcs_write_natural(HOST_CR4, cr4);
		vmx->host_cr4 = cr4;
	}
	if (vlm_vmx_caps.load_perf_global_ctrl) {
		rdmsrl(MSR_CORE_PERF_GLOBAL_CTRL, ctrl);
		if (ctrl != vmx->host_perf_ctrl) {
			vlm_vmcs_write64(HOST_IA32_PERF_GLOBAL_CTRL, ctrl);
			vmx->host_perf_ctrl = ctrl;
		}
	}
}

static void set_switch_flags(struct vlm_vmx *vmx)
{
	u32 flags = vmx->launched ? VLM_SWITCH_RESUME : 0;

	if (vlm_vmx_controls.spec_ctrl) {
		flags |= VLM_SWITCH_SPEC;
		if (vmx->spec_ctrl_passed)
			flags |= VLM_SWITCH_SPEC_SAVE;
		if (cpu_feature_enabled(X86_FEATURE_KERNEL_IBRS))
			flags |= VLM_SWITCH_SPEC_FORCE;
		vmx->sw.host_spec_ctrl = this_cpu_read(x86_spec_ctrl_current);
	}
	vmx->sw.flags = flags;
}

static __always_inline bool is_event(u32 intr_info, u32 type)
{
	return (intr_info & (INTR_INFO_VALID_MASK | INTR_INFO_INTR_TYPE_MASK)) ==
	       (INTR_INFO_VALID_MASK | type);
}

/*
 * From here to the return the CPU counts as being in the guest: nothing traced,
 * nothing that needs RCU. CR2 is the guest's until it is read: the NMI handler
 * preserves it. Returns the exit reason and, above it, VM_EXIT_INTR_INFO.
 */
#define ENTRY_FAILED	(~0ULL)

static noinstr u64 run_guest(struct vlm_vmx *vmx)
{
	u32 reason, intr_info = 0;
	u64 ret = ENTRY_FAILED;
	bool failed;

	vlm_compat_guest_state_enter(&vmx->rcu_noted);
	vlm_l1d_flush(vmx);
	if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();
	if (vmx->cr2 != native_read_cr2())
		native_write_cr2(vmx->cr2);

	failed = vlm_vmx_world_switch(&vmx->sw);

	vmx->cr2 = native_read_cr2();
	if (likely(!failed)) {
		reason = vlm_vmcs_read32(VM_EXIT_REASON);
		if ((u16)reason == EXIT_REASON_EXCEPTION_NMI) {
			intr_info = vlm_vmcs_read32(VM_EXIT_INTR_INFO);
			/* NMIs are blocked since the exit; the handler's IRET unblocks them. */
			if (is_event(intr_info, INTR_TYPE_NMI_INTR))
				asm volatile("int $2" : : : "memory");
		}
		ret = reason | (u64)intr_info << 32;
	}
	vlm_compat_guest_state_exit();
	return ret;
}

/* What the VM exit cleared in the host and the next interrupt may want. */
static void restore_after_exit(u64 debugctl)
{
	if (debugctl)
		wrmsrl(MSR_IA32_DEBUGCTLMSR, debugctl);
	/* The guest trained the branch predictor: user space gets a clean one. */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}

static void decode(struct vlm_exit *exit, u32 reason, u32 intr_info)
{
	u8 fields = 0;

	exit->reason = reason;
	exit->entry_failed = reason & VMX_EXIT_REASONS_FAILED_VMENTRY;
	exit->entry_error = 0;
	if (exit->reason < ARRAY_SIZE(exit_fields))
		fields = exit_fields[exit->reason];
	if (!(fields & KNOWN) || exit->entry_failed)
		fields = 0xff;

	exit->idt_info = vlm_vmcs_read32(IDT_VECTORING_INFO_FIELD);
	exit->idt_error = 0;
	if (exit->idt_info & VECTORING_INFO_VALID_MASK) {
		/* Software events are injected again with their length. */
		fields |= HAS_LEN;
		if (exit->idt_info & VECTORING_INFO_DELIVER_CODE_MASK)
			exit->idt_error = vlm_vmcs_read32(IDT_VECTORING_ERROR_CODE);
	}
	exit->qualification = fields & HAS_QUAL ? vlm_vmcs_read_natural(EXIT_QUALIFICATION) : 0;
	exit->gpa = fields & HAS_GPA ? vlm_vmcs_read64(GUEST_PHYSICAL_ADDRESS) : 0;
	exit->gla = fields & HAS_GLA ? vlm_vmcs_read_natural(GUEST_LINEAR_ADDRESS) : 0;
	exit->insn_len = fields & HAS_LEN ? vlm_vmcs_read32(VM_EXIT_INSTRUCTION_LEN) : 0;
	exit->insn_info = fields & HAS_INFO ? vlm_vmcs_read32(VMX_INSTRUCTION_INFO) : 0;
	exit->intr_info = 0;
	exit->intr_error = 0;
	if (fields & HAS_INTR) {
		exit->intr_info = intr_info ?: vlm_vmcs_read32(VM_EXIT_INTR_INFO);
		if (exit->intr_info & INTR_INFO_DELIVER_CODE_MASK)
			exit->intr_error = vlm_vmcs_read32(VM_EXIT_INTR_ERROR_CODE);
	}
}

/* Exits whose handling touches next to no data of the host. */
static bool is_trivial(u16 reason)
{
	switch (reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_INTERRUPT_WINDOW:
	case EXIT_REASON_NMI_WINDOW:
	case EXIT_REASON_PREEMPTION_TIMER:
	case EXIT_REASON_PAUSE_INSTRUCTION:
		return true;
	}
	return false;
}

void vlm_vmx_enter(struct vlm_vmx *vmx, struct vlm_exit *exit)
{
	u64 debugctl = 0, how;
	u32 intr_info;

	refresh_host_state(vmx);
	vlm_flush_pending(vmx);
	vlm_regs_flush(vmx);
	set_switch_flags(vmx);
	if (vlm_vmx_controls.debugctl)
		debugctl = get_debugctlmsr();

	how = run_guest(vmx);

	restore_after_exit(debugctl);
	vmx->cached_valid = 0;
	if (unlikely(how == ENTRY_FAILED)) {
		memset(exit, 0, sizeof(*exit));
		exit->reason = VLM_EXIT_NONE;
		/* 0 is what reads as long as VMX is off: the instruction faulted. */
		exit->entry_error = vlm_vmcs_read32(VM_INSTRUCTION_ERROR) ?: VLM_ENTRY_FAULTED;
		return;
	}

	intr_info = how >> 32;
	decode(exit, (u32)how, intr_info);
	/* Nearly every exit asks for these, and if only for the next entry. */
	vlm_cache_reg(vmx, VLM_CACHED_RIP, vlm_vmcs_read_natural(GUEST_RIP));
	vlm_cache_reg(vmx, VLM_CACHED_RFLAGS, vlm_vmcs_read_natural(GUEST_RFLAGS));
	vlm_cache_reg(vmx, VLM_CACHED_INTERRUPTIBILITY,
		      vlm_vmcs_read32(GUEST_INTERRUPTIBILITY_INFO));
	/* A failed entry loads no guest state, and leaves RSP and the launch state as they were. */
	if (likely(!exit->entry_failed)) {
		vmx->launched = true;
		vmx->sw.regs[VLM_RSP] = vlm_vmcs_read_natural(GUEST_RSP);
	}
	if (!is_trivial(exit->reason))
		vmx->l1d_dirty = true;
	if (exit->reason == EXIT_REASON_MCE_DURING_VMENTRY ||
	    (is_event(intr_info, INTR_TYPE_HARD_EXCEPTION) &&
	     (intr_info & INTR_INFO_VECTOR_MASK) == X86_TRAP_MC))
		vlm_compat_guest_machine_check();
}
