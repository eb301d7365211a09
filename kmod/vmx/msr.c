// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that the VMCS holds, MSRs that are switched lazily, and the bitmap that says
 * which exit. SDM "MSR-Bitmap Address".
 *
 * The kernel itself uses none of the lazily switched MSRs while it runs on behalf of
 * a vCPU: they matter to SYSCALL, SYSRET and RDTSCP of user space. So the guest's
 * values stay until the CPU returns to user mode, through whatever task.
 */
#include <linux/kernel.h>

#include <asm/msr.h>

#include "cpu.h"

static const u32 lazy_msrs[VLM_NR_LAZY_MSRS] = {
	[VLM_LAZY_STAR] = MSR_STAR,
	[VLM_LAZY_LSTAR] = MSR_LSTAR,
	[VLM_LAZY_CSTAR] = MSR_CSTAR,
	[VLM_LAZY_FMASK] = MSR_SYSCALL_MASK,
	[VLM_LAZY_TSC_AUX] = MSR_TSC_AUX,
};

static bool lazy_msr_exists(int i)
{
	return i != VLM_LAZY_TSC_AUX || vlm_vmx_caps.rdtscp;
}

static void restore_host(struct vlm_cpu *pc)
{
	int i;

	for (i = 0; i < VLM_NR_LAZY_MSRS; i++) {
		if (pc->msr[i] == pc->host_msr[i])
			continue;
		wrmsrl(lazy_msrs[i], pc->host_msr[i]);
		pc->msr[i] = pc->host_msr[i];
	}
}

/* Going down and the return to user mode may meet on one CPU: the flag decides. */
void vlm_lazy_msrs_restore_host(struct vlm_cpu *pc)
{
	unsigned long flags;

	local_irq_save(flags);
	if (pc->notifier_on) {
		pc->notifier_on = false;
		user_return_notifier_unregister(&pc->notifier);
	}
	restore_host(pc);
	local_irq_restore(flags);
}

static void on_user_return(struct user_return_notifier *notifier)
{
	vlm_lazy_msrs_restore_host(container_of(notifier, struct vlm_cpu, notifier));
}

/* On this CPU, before the first guest. */
void vlm_lazy_msrs_read_host(struct vlm_cpu *pc)
{
	int i;

	pc->notifier.on_user_return = on_user_return;
	for (i = 0; i < VLM_NR_LAZY_MSRS; i++) {
		pc->host_msr[i] = 0;
		if (lazy_msr_exists(i))
			rdmsrl(lazy_msrs[i], pc->host_msr[i]);
		pc->msr[i] = pc->host_msr[i];
	}
}

/* IRQs off. Return -EINVAL if the CPU refuses the value. */
static int load_one(struct vlm_cpu *pc, int i, u64 value)
{
	if (!lazy_msr_exists(i))
		return 0;
	if (wrmsrl_safe(lazy_msrs[i], value))
		return -EINVAL;
	pc->msr[i] = value;
	if (!pc->notifier_on) {
		pc->notifier_on = true;
		user_return_notifier_register(&pc->notifier);
	}
	return 0;
}

/* Preemption off. */
void vlm_lazy_msrs_load(struct vlm_vmx *vmx)
{
	struct vlm_cpu *pc = this_cpu_ptr(&vlm_cpus);
	unsigned long flags;
	int i;

	local_irq_save(flags);
	for (i = vmx->first_lazy; i < VLM_NR_LAZY_MSRS; i++) {
		if (pc->msr[i] != vmx->lazy[i])
			load_one(pc, i, vmx->lazy[i]);
	}
	local_irq_restore(flags);
}

/* Without EFER.SCE the guest's SYSCALL and SYSRET fault, and what they would use stays the host's. */
void vlm_lazy_msrs_set_syscall(struct vlm_vmx *vmx, bool on)
{
	vmx->first_lazy = on ? 0 : VLM_LAZY_TSC_AUX;
	preempt_disable();
	if (!vmx->host_loaded)
		vlm_lazy_msrs_load(vmx);
	preempt_enable();
}

/* The position of @msr in lazy_msrs, or -1. */
static int lazy_index(u32 msr)
{
	int i;

	for (i = 0; i < VLM_NR_LAZY_MSRS; i++)
		if (lazy_msrs[i] == msr)
			return lazy_msr_exists(i) ? i : -1;
	return -1;
}

/* Load the value at once, whether the guest's are loaded or not: the CPU knows best if it is valid. */
static int set_lazy(struct vlm_vmx *vmx, int i, u64 data)
{
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = 0;
	if (this_cpu_ptr(&vlm_cpus)->msr[i] != data)
		ret = load_one(this_cpu_ptr(&vlm_cpus), i, data);
	local_irq_restore(flags);
	if (!ret)
		vmx->lazy[i] = data;
	return ret;
}

int vlm_vmx_get_msr(struct vlm_vmx *vmx, u32 msr, u64 *data)
{
	int lazy;

	switch (msr) {
	case MSR_FS_BASE:
		*data = vlm_vmcs_read_natural(GUEST_FS_BASE);
		return 0;
	case MSR_GS_BASE:
		*data = vlm_vmcs_read_natural(GUEST_GS_BASE);
		return 0;
	case MSR_KERNEL_GS_BASE:
		preempt_disable();
		if (!vmx->host_loaded)
			rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
		*data = vmx->kernel_gs_base;
		preempt_enable();
		return 0;
	case MSR_IA32_SYSENTER_CS:
		*data = vlm_vmcs_read32(GUEST_SYSENTER_CS);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		*data = vlm_vmcs_read_natural(GUEST_SYSENTER_ESP);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		*data = vlm_vmcs_read_natural(GUEST_SYSENTER_EIP);
		return 0;
	case MSR_IA32_CR_PAT:
		*data = vlm_vmx_caps.ept ? vlm_vmcs_read64(GUEST_IA32_PAT) : vmx->shadow.pat;
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		*data = vlm_vmcs_read64(GUEST_IA32_DEBUGCTL);
		return 0;
	case MSR_IA32_SPEC_CTRL:
		*data = vmx->sw.spec_ctrl;
		return 0;
	}
	lazy = lazy_index(msr);
	if (lazy < 0)
		return -ENOENT;
	*data = vmx->lazy[lazy];
	return 0;
}

int vlm_vmx_set_msr(struct vlm_vmx *vmx, u32 msr, u64 data)
{
	int lazy;

	switch (msr) {
	case MSR_FS_BASE:
		vlm_vmcs_write_natural(GUEST_FS_BASE, data);
		return 0;
	case MSR_GS_BASE:
		vlm_vmcs_write_natural(GUEST_GS_BASE, data);
		return 0;
	case MSR_KERNEL_GS_BASE:
		preempt_disable();
		vmx->kernel_gs_base = data;
		if (!vmx->host_loaded)
			wrmsrl(MSR_KERNEL_GS_BASE, data);
		preempt_enable();
		return 0;
	case MSR_IA32_SYSENTER_CS:
		vlm_vmcs_write32(GUEST_SYSENTER_CS, (u32)data);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		vlm_vmcs_write_natural(GUEST_SYSENTER_ESP, data);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		vlm_vmcs_write_natural(GUEST_SYSENTER_EIP, data);
		return 0;
	case MSR_IA32_CR_PAT:
		/* Without EPT it would change the memory types of the host's tables. */
		vmx->shadow.pat = data;
		if (vlm_vmx_caps.ept)
			vlm_vmcs_write64(GUEST_IA32_PAT, data);
		return 0;
	case MSR_IA32_DEBUGCTLMSR:
		vlm_vmcs_write64(GUEST_IA32_DEBUGCTL, data);
		return 0;
	case MSR_IA32_SPEC_CTRL:
		vmx->sw.spec_ctrl = data;
		return 0;
	}
	lazy = lazy_index(msr);
	if (lazy < 0)
		return -ENOENT;
	return set_lazy(vmx, lazy, data);
}

/* Byte offset of the four parts of the bitmap page. */
#define VLM_BITMAP_READ		0
#define VLM_BITMAP_WRITE	2048
#define VLM_BITMAP_HIGH		1024
#define VLM_BITMAP_MSRS		0x2000	/* of each part */

static void set_intercept(unsigned long *bitmap, unsigned int part, u32 msr, bool on)
{
	unsigned int bit = 8 * part + msr % VLM_BITMAP_MSRS;

	if (msr >= 0xc0000000)
		bit += 8 * VLM_BITMAP_HIGH;
	if (on)
		__set_bit(bit, bitmap);
	else
		__clear_bit(bit, bitmap);
}

void vlm_vmx_intercept_msr(struct vlm_vmx *vmx, u32 msr, bool read, bool write)
{
	/* MSRs outside of the two ranges always exit. */
	if (msr >= VLM_BITMAP_MSRS &&
	    (msr < 0xc0000000 || msr >= 0xc0000000 + VLM_BITMAP_MSRS))
		return;
	set_intercept(vmx->msr_bitmap, VLM_BITMAP_READ, msr, read);
	set_intercept(vmx->msr_bitmap, VLM_BITMAP_WRITE, msr, write);
	if (msr == MSR_IA32_SPEC_CTRL)
		vmx->spec_ctrl_passed = !write;
}

/* What the VMCS or host.c switches anyway needs no exit; the TSC has its offset. */
void vlm_msr_bitmap_init(struct vlm_vmx *vmx)
{
	static const u32 passed[] = {
		MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
		MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	};
	unsigned int i;

	memset(vmx->msr_bitmap, 0xff, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		vlm_vmx_intercept_msr(vmx, passed[i], false, false);
	vlm_vmx_intercept_msr(vmx, MSR_IA32_TSC, false, true);
}
