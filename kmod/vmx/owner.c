// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds VMX: VMXON on each online CPU, VMXOFF when a CPU goes, when the machine
 * sleeps, reboots or panics. SDM "Restrictions on VMX Operation".
 *
 * VMXON goes through cr4_set_bits(): the kernel keeps CR4.VMXE in its shadow, and
 * kvm_intel sees the bit and stays away. The kernel has one slot for the panic callback;
 * kvm_intel, if loaded in spite of the bit, fails, but has the kernel warn of that first.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/rculist.h>
#include <linux/syscore_ops.h>

#include <asm/perf_event.h>
#include <asm/reboot.h>
#include <asm/tlbflush.h>

#include "../compat/compat.h"
#include "cpu.h"

DEFINE_PER_CPU(struct vlm_cpu, vlm_cpus);
bool vlm_vmx_vanishing;

/* The first failure to turn VMX on, for a hotplug state whose callbacks may not report it. */
static atomic_t enable_error;

static int cpu_on(void)
{
	struct vlm_cpu *pc = this_cpu_ptr(&vlm_cpus);
	u64 basic, feat;
	int ret;

	if (__read_cr4() & X86_CR4_VMXE) {
		pr_err("CPU %d: another hypervisor holds VMX\n", smp_processor_id());
		return -EBUSY;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat) ||
	    (feat & (FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) !=
	    (FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX) ||
	    rdmsrl_safe(MSR_IA32_VMX_BASIC, &basic) ||
	    vmx_basic_vmcs_revision_id(basic) != vlm_vmx_caps.vmcs_revision) {
		pr_err("CPU %d: VMX is disabled or differs from the other CPUs'\n",
		       smp_processor_id());
		return -EIO;
	}

	/* First, so that a panic right after VMXON leaves VMX operation again. */
	WRITE_ONCE(pc->on, true);
	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	ret = vlm_insn_vmxon(__pa(pc->vmxon));
	if (ret) {
		WRITE_ONCE(pc->on, false);
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		pr_err("CPU %d: VMXON failed (%d)\n", smp_processor_id(), ret);
		return -EIO;
	}
	vlm_lazy_msrs_read_host(pc);
	vlm_flush_all_on_cpu();
	return 0;
}

/* IRQs off or not. No task with a loaded vCPU is left on this CPU, but for shut_down(). */
static void cpu_off(void)
{
	struct vlm_cpu *pc = this_cpu_ptr(&vlm_cpus);
	struct vlm_vmx *vmx, *next;
	unsigned long flags;

	if (!pc->on)
		return;
	local_irq_save(flags);
	vlm_lazy_msrs_restore_host(pc);
	list_for_each_entry_safe(vmx, next, &pc->loaded, link)
		vlm_vmcs_clear_local(vmx);
	vlm_insn_vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
	intel_pt_handle_vmx(0);
	WRITE_ONCE(pc->on, false);
	local_irq_restore(flags);
}

static int cpu_up_callback(unsigned int cpu)
{
	int ret;

	preempt_disable();
	ret = cpu_on();
	preempt_enable();
	if (ret)
		atomic_cmpxchg(&enable_error, 0, ret);
	return VLM_COMPAT_CPUHP_MAY_FAIL ? ret : 0;
}

static int cpu_down_callback(unsigned int cpu)
{
	preempt_disable();
	cpu_off();
	preempt_enable();
	return 0;
}

/*
 * The last breath of this CPU: panic, kexec or emergency restart, possibly from an
 * NMI. Memory that the VMCS cache still owes must be written, and INIT, which VMX
 * operation blocks, must work again.
 */
static void emergency_callback(void)
{
	struct vlm_cpu *pc = this_cpu_ptr(&vlm_cpus);
	struct vlm_vmx *vmx;

	WRITE_ONCE(vlm_vmx_vanishing, true);
	if (!(__read_cr4() & X86_CR4_VMXE) || !READ_ONCE(pc->on))
		return;
	list_for_each_entry_rcu(vmx, &pc->loaded, link, true)
		vlm_insn_vmclear(__pa(vmx->vmcs));
	vlm_insn_vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
}

/* Suspend: the boot CPU alone is left, IRQs are off. */
static int suspend_boot_cpu(void)
{
	cpu_off();
	return 0;
}

static void resume_boot_cpu(void)
{
	WARN_ON_ONCE(cpu_on());
}

static void shutdown_cpu(void *unused)
{
	cpu_off();
}

/* Reboot, power-off, kexec. Tasks may still run guests: their VMX instructions fault. */
static void shut_down(void)
{
	WRITE_ONCE(vlm_vmx_vanishing, true);
	on_each_cpu(shutdown_cpu, NULL, 1);
}

VLM_COMPAT_SYSCORE(vlm_syscore, suspend_boot_cpu, resume_boot_cpu, shut_down);

static void free_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_page((unsigned long)per_cpu(vlm_cpus, cpu).vmxon);
		per_cpu(vlm_cpus, cpu).vmxon = NULL;
	}
}

static int alloc_regions(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vlm_cpu *pc = &per_cpu(vlm_cpus, cpu);
		struct page *page;

		INIT_LIST_HEAD(&pc->loaded);
		page = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);
		if (!page) {
			free_regions();
			return -ENOMEM;
		}
		pc->vmxon = page_address(page);
		pc->vmxon->revision = vlm_vmx_caps.vmcs_revision;
	}
	return 0;
}

int vlm_vmx_enable(void)
{
	int ret;

	ret = alloc_regions();
	if (ret)
		return ret;
	ret = vlm_l1d_init();
	if (ret)
		goto free;
	/* Before the first VMXON, so that a panic at any time finds its way back. */
	cpu_emergency_register_virt_callback(emergency_callback);
	ret = cpuhp_setup_state(VLM_COMPAT_CPUHP_STATE, "vellum/vmx:online",
				cpu_up_callback, cpu_down_callback);
	if (ret < 0)
		goto unregister;
	ret = atomic_read(&enable_error);
	if (ret)
		goto remove;
	vlm_compat_syscore_register(&vlm_syscore);
	return 0;

remove:
	cpuhp_remove_state(VLM_COMPAT_CPUHP_STATE);
unregister:
	cpu_emergency_unregister_virt_callback(emergency_callback);
	vlm_l1d_exit();
free:
	free_regions();
	return ret;
}

void vlm_vmx_disable(void)
{
	vlm_compat_syscore_unregister(&vlm_syscore);
	cpuhp_remove_state(VLM_COMPAT_CPUHP_STATE);
	cpu_emergency_unregister_virt_callback(emergency_callback);
	vlm_l1d_exit();
	free_regions();
}
