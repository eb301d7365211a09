// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's side of a VMCS, and what a VM exit does not bring back by itself.
 * SDM "Host-State Area" and "Loading Host State".
 *
 * A VM exit loads null or flat selectors, bases from the VMCS, GDTR and IDTR limits of
 * 0xffff, a TSS limit of 0x67 and no LDT. Kernel code lives with all of that, even
 * interrupts. Only the way to user space and the next context switch need the
 * rest, so it waits for vlm_vmx_put(). The IDTR limit stays: vectors end at 255.
 */
#include <linux/cpufeature.h>
#include <linux/percpu.h>

#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/msr.h>
#include <asm/segment.h>

#include "cpu.h"
#include "entry.h"

/* The same on every CPU and for ever. */
void vlm_host_state_set_constant(void)
{
	struct desc_ptr idt;
	u64 msr;

	store_idt(&idt);
	vlm_vmcs_write_natural(HOST_IDTR_BASE, idt.address);
	vlm_vmcs_write_natural(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vlm_vmcs_write_natural(HOST_RIP, (unsigned long)vlm_vmx_exit_point);

	vlm_vmcs_write16(HOST_CS_SELECTOR, __KERNEL_CS);
	vlm_vmcs_write16(HOST_SS_SELECTOR, __KERNEL_DS);
	vlm_vmcs_write16(HOST_DS_SELECTOR, 0);
	vlm_vmcs_write16(HOST_ES_SELECTOR, 0);
	/* Selectors of user space have RPL 3, which the host area may not hold. */
	vlm_vmcs_write16(HOST_FS_SELECTOR, 0);
	vlm_vmcs_write16(HOST_GS_SELECTOR, 0);
	vlm_vmcs_write16(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);

	rdmsrl(MSR_IA32_SYSENTER_CS, msr);
	vlm_vmcs_write32(HOST_IA32_SYSENTER_CS, (u32)msr);
	rdmsrl(MSR_IA32_SYSENTER_EIP, msr);
	vlm_vmcs_write_natural(HOST_IA32_SYSENTER_EIP, msr);
	vlm_vmcs_write64(HOST_IA32_EFER, vlm_vmx_controls.host_efer);
	vlm_vmcs_write64(HOST_IA32_PAT, vlm_vmx_controls.host_pat);
}

/* What differs from CPU to CPU. The VMCS is current on @cpu, this one. */
void vlm_host_state_set_cpu(struct vlm_vmx *vmx, int cpu)
{
	u64 msr;

	vlm_vmcs_write_natural(HOST_TR_BASE,
			       (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vlm_vmcs_write_natural(HOST_GDTR_BASE, (unsigned long)get_current_gdt_ro());
	rdmsrl(MSR_GS_BASE, msr);
	vlm_vmcs_write_natural(HOST_GS_BASE, msr);
	rdmsrl(MSR_IA32_SYSENTER_ESP, msr);
	vlm_vmcs_write_natural(HOST_IA32_SYSENTER_ESP, msr);
	/* Whatever the fields hold, enter.c writes them before the next entry. */
	vmx->host_cr3 = 0;
	vmx->host_cr4 = 0;
	vmx->host_perf_ctrl = ~0ULL;
}

static u64 read_fs_base(void)
{
	u64 base;

	if (boot_cpu_has(X86_FEATURE_FSGSBASE))
		return rdfsbase();
	rdmsrl(MSR_FS_BASE, base);
	return base;
}

/* Remember this task's state and load the guest's. Preemption off. */
void vlm_host_state_save(struct vlm_vmx *vmx)
{
	savesegment(fs, vmx->host_fs);
	savesegment(gs, vmx->host_gs);
	savesegment(ds, vmx->host_ds);
	savesegment(es, vmx->host_es);
	store_ldt(vmx->host_ldt);
	vmx->host_fs_base = read_fs_base();
	vlm_vmcs_write_natural(HOST_FS_BASE, vmx->host_fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->host_kernel_gs_base);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	vlm_lazy_msrs_load(vmx);
	vmx->host_loaded = false;
}

/* The way back. Preemption off. */
void vlm_host_state_restore(struct vlm_vmx *vmx)
{
	if (vmx->host_loaded)
		return;
	vmx->host_loaded = true;

	/* SWAPGS does not exit, so only the MSR knows the guest's value. */
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	if (vmx->host_ldt)
		asm volatile("lldt %0" : : "m" (vmx->host_ldt));
	if (vmx->host_gs)
		load_gs_index(vmx->host_gs);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->host_kernel_gs_base);
	if (vmx->host_fs) {
		loadsegment(fs, vmx->host_fs);
		/* The base came from a descriptor just now; the task may have set another. */
		wrmsrl(MSR_FS_BASE, vmx->host_fs_base);
	}
	if (vmx->host_ds | vmx->host_es) {
		loadsegment(ds, vmx->host_ds);
		loadsegment(es, vmx->host_es);
	}
	/* The TSS limit matters only to a task with an I/O permission bitmap. */
	invalidate_tss_limit();
	load_fixmap_gdt(raw_smp_processor_id());
}
