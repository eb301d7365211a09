// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a VMCS: creation, loading on a CPU, moving to another, and its control
 * fields. SDM "Virtual Machine Control Structures".
 *
 * A CPU may keep parts of a VMCS to itself from VMPTRLD to VMCLEAR. So a VMCS is on
 * the list of at most one CPU, and leaves it with VMCLEAR executed there, before
 * another CPU loads it or its memory is freed.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/gfp.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/smp.h>

#include <asm/nospec-branch.h>
#include <asm/trapnr.h>

#include "cpu.h"

/* Upper bounds in TSC cycles for SDM "PAUSE-Loop Exiting": one loop is a spin at this pace... */
#define VLM_PLE_GAP	128
/* ... and exits after this long. */
#define VLM_PLE_WINDOW	4096

/* IA32_PAT at power-up: WB, WT, UC-, UC, twice. */
#define VLM_PAT_RESET	0x0007040600070406ULL

void vlm_vmcs_access_failed(unsigned long field, bool write)
{
	if (READ_ONCE(vlm_vmx_vanishing))
		return;
	pr_err_ratelimited("VM%s of field %#lx failed\n", write ? "WRITE" : "READ", field);
}

void vlm_vmcs_clear_local(struct vlm_vmx *vmx)
{
	struct vlm_cpu *pc = this_cpu_ptr(&vlm_cpus);

	if (vmx->cpu != smp_processor_id())
		return;
	if (vlm_insn_vmclear(__pa(vmx->vmcs)) && !READ_ONCE(vlm_vmx_vanishing))
		pr_err_ratelimited("VMCLEAR failed\n");
	if (pc->current_vmx == vmx)
		pc->current_vmx = NULL;
	list_del_rcu(&vmx->link);
	vmx->launched = false;
	/* Whoever sees -1 may put the VMCS on another list. */
	smp_store_release(&vmx->cpu, -1);
}

static void clear_ipi(void *arg)
{
	vlm_vmcs_clear_local(arg);
}

/* IRQs on. When the CPU went down meanwhile, its callback has done the work. */
static void vmcs_clear(struct vlm_vmx *vmx)
{
	int cpu = smp_load_acquire(&vmx->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_ipi, vmx, 1);
}

/*
 * Make the VMCS current. The branch predictor holds what another vCPU's guest
 * trained: the barrier keeps it from steering this one.
 */
static void make_current(struct vlm_cpu *pc, struct vlm_vmx *vmx)
{
	if (vlm_insn_vmptrld(__pa(vmx->vmcs)) && !READ_ONCE(vlm_vmx_vanishing))
		pr_err_ratelimited("VMPTRLD failed\n");
	pc->current_vmx = vmx;
	indirect_branch_prediction_barrier();
}

void vlm_vmx_load(struct vlm_vmx *vmx, int cpu)
{
	struct vlm_cpu *pc = this_cpu_ptr(&vlm_cpus);
	bool moved = smp_load_acquire(&vmx->cpu) != cpu;
	unsigned long flags;

	if (moved) {
		vmcs_clear(vmx);
		local_irq_save(flags);
		list_add_rcu(&vmx->link, &pc->loaded);
		WRITE_ONCE(vmx->cpu, cpu);
		local_irq_restore(flags);
	}
	if (moved || pc->current_vmx != vmx)
		make_current(pc, vmx);
	if (moved) {
		vlm_host_state_set_cpu(vmx, cpu);
		/*
		 * Flushes reach the CPU that a vCPU is on, so this one may remember
		 * translations from before the vCPU left it.
		 */
		vmx->flush = true;
	}
	vmx->l1d_dirty = true;
}

void vlm_vmx_put(struct vlm_vmx *vmx)
{
	vlm_host_state_restore(vmx);
}

static void write_controls(struct vlm_vmx *vmx)
{
	const struct vlm_vmx_controls *c = &vlm_vmx_controls;

	vmx->pin = c->pin;
	vmx->cpu_based = c->cpu_based;
	vmx->secondary = c->secondary;
	if (!vmx->vpid)
		vmx->secondary &= ~SECONDARY_EXEC_ENABLE_VPID;
	if (vmx->pml)
		vmx->secondary |= SECONDARY_EXEC_ENABLE_PML;
	vmx->exit_ctls = c->exit_ctls;

	vlm_vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, vmx->pin);
	vlm_vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, vmx->cpu_based);
	vlm_vmcs_write32(SECONDARY_VM_EXEC_CONTROL, vmx->secondary);
	vlm_vmcs_write32(VM_EXIT_CONTROLS, vmx->exit_ctls);
	vlm_vmcs_write32(VM_ENTRY_CONTROLS, c->entry_ctls);

	if (vmx->vpid)
		vlm_vmcs_write16(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	vlm_vmcs_write64(MSR_BITMAP, __pa(vmx->msr_bitmap));
	vlm_vmcs_write64(VMCS_LINK_POINTER, ~0ULL);
	vlm_vmcs_write64(TSC_OFFSET, 0);
	vlm_vmcs_write32(EXCEPTION_BITMAP, 1u << X86_TRAP_MC);
	vlm_vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vlm_vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vlm_vmcs_write32(CR3_TARGET_COUNT, 0);
	vlm_vmcs_write32(VM_EXIT_MSR_STORE_COUNT, 0);
	vlm_vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, 0);
	vlm_vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vlm_vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);

	if (vmx->pml) {
		vlm_vmcs_write64(PML_ADDRESS, __pa(vmx->pml));
		vlm_vmx_pml_reset(vmx);
	}
	if (vmx->secondary & SECONDARY_EXEC_PAUSE_LOOP_EXITING) {
		vlm_vmcs_write32(PLE_GAP, VLM_PLE_GAP);
		vlm_vmcs_write32(PLE_WINDOW, VLM_PLE_WINDOW);
	}
	if (vmx->secondary & VMCS_CONTROL_BIT(XSAVES))
		vlm_vmcs_write64(XSS_EXIT_BITMAP, 0);
	if (vmx->secondary & SECONDARY_EXEC_ENCLS_EXITING)
		vlm_vmcs_write64(ENCLS_EXITING_BITMAP, ~0ULL);
	if (vlm_vmx_caps.load_perf_global_ctrl)
		vlm_vmcs_write64(GUEST_IA32_PERF_GLOBAL_CTRL, 0);
	vlm_vmcs_write64(GUEST_IA32_PAT, VLM_PAT_RESET);
	vmx->shadow.pat = VLM_PAT_RESET;
}

int vlm_vmx_vcpu_init(struct vlm_vmx *vmx, u64 *regs)
{
	memset(vmx, 0, sizeof(*vmx));
	vmx->cpu = -1;
	vmx->host_loaded = true;
	vmx->sw.regs = regs;
	INIT_LIST_HEAD(&vmx->link);

	vmx->vmcs = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vmx->msr_bitmap = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (vlm_vmx_caps.pml)
		vmx->pml = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs || !vmx->msr_bitmap || (vlm_vmx_caps.pml && !vmx->pml)) {
		free_page((unsigned long)vmx->vmcs);
		free_page((unsigned long)vmx->msr_bitmap);
		free_page((unsigned long)vmx->pml);
		vmx->vmcs = NULL;
		return -ENOMEM;
	}
	vmx->vmcs->revision = vlm_vmx_caps.vmcs_revision;
	vlm_msr_bitmap_init(vmx);
	/* None left is no error: every entry flushes the vCPU's translations then. */
	vmx->vpid = vlm_vpid_alloc();

	vlm_insn_vmclear(__pa(vmx->vmcs));
	vlm_vmx_load(vmx, get_cpu());
	write_controls(vmx);
	vlm_host_state_set_constant();
	vlm_vmx_reset(vmx);
	vlm_vmx_put(vmx);
	put_cpu();
	return 0;
}

void vlm_vmx_vcpu_destroy(struct vlm_vmx *vmx)
{
	if (!vmx->vmcs)
		return;
	vmcs_clear(vmx);
	vlm_vpid_free(vmx->vpid);
	free_page((unsigned long)vmx->pml);
	free_page((unsigned long)vmx->msr_bitmap);
	free_page((unsigned long)vmx->vmcs);
	vmx->vmcs = NULL;
}

/* Set or clear a bit of a control word that struct vlm_vmx mirrors. */
static void change_control(unsigned long field, u32 *mirror, u32 bit, bool on)
{
	u32 value = on ? *mirror | bit : *mirror & ~bit;

	if (value == *mirror)
		return;
	*mirror = value;
	vlm_vmcs_write_any(field, value);
}

static void change_cpu_based(struct vlm_vmx *vmx, u32 bit, bool on)
{
	if (on && !(vlm_vmx_controls.cpu_based_all & bit))
		return;
	change_control(CPU_BASED_VM_EXEC_CONTROL, &vmx->cpu_based, bit, on);
}

void vlm_vmx_set_irq_window(struct vlm_vmx *vmx, bool on)
{
	change_cpu_based(vmx, CPU_BASED_INTR_WINDOW_EXITING, on);
}

void vlm_vmx_set_nmi_window(struct vlm_vmx *vmx, bool on)
{
	change_cpu_based(vmx, CPU_BASED_NMI_WINDOW_EXITING, on);
}

void vlm_vmx_set_dr_exiting(struct vlm_vmx *vmx, bool on)
{
	change_cpu_based(vmx, CPU_BASED_MOV_DR_EXITING, on);
}

void vlm_vmx_set_hlt_exiting(struct vlm_vmx *vmx, bool on)
{
	change_cpu_based(vmx, CPU_BASED_HLT_EXITING, on);
}

void vlm_vmx_set_pause_exiting(struct vlm_vmx *vmx, bool on)
{
	change_cpu_based(vmx, CPU_BASED_PAUSE_EXITING, on);
}

void vlm_vmx_set_monitor_trap(struct vlm_vmx *vmx, bool on)
{
	change_cpu_based(vmx, CPU_BASED_MONITOR_TRAP_FLAG, on);
}

void vlm_vmx_set_exception_bitmap(struct vlm_vmx *vmx, u32 bitmap)
{
	/* A machine check is the host's business whatever the guest wants. */
	vlm_vmcs_write32(EXCEPTION_BITMAP, bitmap | 1u << X86_TRAP_MC);
}

void vlm_vmx_set_tpr_threshold(struct vlm_vmx *vmx, u32 threshold)
{
	if (vmx->cpu_based & CPU_BASED_TPR_SHADOW)
		vlm_vmcs_write32(TPR_THRESHOLD, threshold);
}

void vlm_vmx_set_tsc_offset(struct vlm_vmx *vmx, u64 offset)
{
	vlm_vmcs_write64(TSC_OFFSET, offset);
}

void vlm_vmx_set_tsc_multiplier(struct vlm_vmx *vmx, u64 multiplier)
{
	bool on = multiplier != VLM_TSC_MULTIPLIER_ONE;

	if (!vlm_vmx_caps.tsc_scaling)
		return;
	if (on)
		vlm_vmcs_write64(TSC_MULTIPLIER, multiplier);
	change_control(SECONDARY_VM_EXEC_CONTROL, &vmx->secondary,
		       SECONDARY_EXEC_TSC_SCALING, on);
}
