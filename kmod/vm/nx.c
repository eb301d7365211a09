// SPDX-License-Identifier: GPL-2.0-only
/*
 * The NX huge page mitigation. On CPUs with iTLB multihit an instruction fetch that meets two
 * sizes of one page may stop the host by a machine check, and the guest changes its
 * page tables as it likes; so what a guest executes is mapped by 4-KiB pages only.
 */
#include <linux/capability.h>
#include <linux/cpu.h>
#include <linux/jiffies.h>
#include <linux/kstrtox.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>
#include <linux/string.h>

#include <asm/processor.h>

#include "nx.h"
#include "vm.h"

enum nx_mode {
	NX_AUTO,	/* if this CPU needs it */
	NX_OFF,
	NX_FORCE,
	NX_NEVER,	/* off, for as long as the module is loaded */
};

/* Written with the lock of the module's parameters held, or before there is a machine. */
static enum nx_mode mode;
/* A real-time kernel would rather not be interrupted by recovery. */
static unsigned int ratio = IS_ENABLED(CONFIG_PREEMPT_RT) ? 0 : 60;
static unsigned int period_ms;
static bool in_place = true;

static bool is_on(void)
{
	switch (READ_ONCE(mode)) {
	case NX_FORCE:
		return true;
	case NX_AUTO:
		return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
	case NX_OFF:
	case NX_NEVER:
		break;
	}
	return false;
}

static int set_mode(const char *val, const struct kernel_param *kp)
{
	enum nx_mode to;
	bool on;

	if (mode == NX_NEVER)
		return -EPERM;
	if (sysfs_streq(val, "auto"))
		to = NX_AUTO;
	else if (sysfs_streq(val, "off"))
		to = NX_OFF;
	else if (sysfs_streq(val, "force"))
		to = NX_FORCE;
	else if (sysfs_streq(val, "never"))
		to = NX_NEVER;
	else if (!kstrtobool(val, &on))
		to = on ? NX_FORCE : NX_OFF;
	else
		return -EINVAL;
	/* Never means that no machine ever had it. */
	if (to == NX_NEVER && vlm_vm_count())
		return -EBUSY;
	WRITE_ONCE(mode, to);
	vlm_vm_for_each(vlm_nx_apply);
	return 0;
}

static int get_mode(char *buf, const struct kernel_param *kp)
{
	if (mode == NX_NEVER)
		return sysfs_emit(buf, "never\n");
	return sysfs_emit(buf, "%c\n", is_on() ? 'Y' : 'N');
}

static const struct kernel_param_ops mode_ops = {
	.set = set_mode,
	.get = get_mode,
};

module_param_cb(nx_huge_pages, &mode_ops, NULL, 0644);
MODULE_PARM_DESC(nx_huge_pages, "Map what guests execute by 4 KiB pages: auto (default: if the CPU has iTLB multihit), off, force, never");

static void wake(struct vlm_vm *vm)
{
	mutex_lock(&vm->slots_lock);
	if (vm->reclaimer.task)
		wake_up_process(vm->reclaimer.task);
	mutex_unlock(&vm->slots_lock);
}

static int set_recovery(const char *val, const struct kernel_param *kp)
{
	int err;

	if (mode == NX_NEVER)
		return -EPERM;
	err = param_set_uint(val, kp);
	if (!err)
		vlm_vm_for_each(wake);
	return err;
}

static const struct kernel_param_ops recovery_ops = {
	.set = set_recovery,
	.get = param_get_uint,
};

module_param_cb(nx_huge_pages_recovery_ratio, &recovery_ops, &ratio, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_ratio, "Each run gives one in this many split pages back to huge mappings (default 60, 0: none)");
module_param_cb(nx_huge_pages_recovery_period_ms, &recovery_ops, &period_ms, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_period_ms, "Milliseconds between two runs (default 0: an hour divided by the ratio)");

module_param_named(nx_huge_pages_recovery_in_place, in_place, bool, 0644);
MODULE_PARM_DESC(nx_huge_pages_recovery_in_place, "Recovery makes the huge mapping itself (default), or leaves that to the next access as KVM does");

void vlm_nx_apply(struct vlm_vm *vm)
{
	bool on;

	mutex_lock(&vm->slots_lock);
	on = is_on() && !vm->nx.opt_out;
	if (on != vm->nx.on) {
		vm->nx.last = get_jiffies_64();
		WRITE_ONCE(vm->nx.on, on);
		vlm_mmu_set_nx(&vm->mmu, on ? VLM_NX_ON : VLM_NX_OFF);
		/* Best effort: without the thread the pages stay small. */
		if (on)
			vlm_reclaimer_wake(vm);
	}
	mutex_unlock(&vm->slots_lock);
}

int vlm_nx_opt_out(struct vlm_vm *vm)
{
	int err = 0;

	/* A guest that may stop the host: for those who may do that anyway. */
	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		err = -EINVAL;
	else
		WRITE_ONCE(vm->nx.opt_out, true);
	mutex_unlock(&vm->lock);
	if (!err)
		vlm_nx_apply(vm);
	return err;
}

long vlm_nx_due(struct vlm_vm *vm)
{
	u64 period = vlm_nx_period_ms(READ_ONCE(ratio), READ_ONCE(period_ms));
	u64 elapsed;

	if (!period || !READ_ONCE(vm->nx.on))
		return MAX_SCHEDULE_TIMEOUT;
	period = nsecs_to_jiffies64(period * NSEC_PER_MSEC) ?: 1;
	elapsed = get_jiffies_64() - vm->nx.last;
	return elapsed < period ? (long)(period - elapsed) : 0;
}

void vlm_nx_recover(struct vlm_vm *vm)
{
	u64 quota = vlm_mmu_nx_quota(&vm->mmu, READ_ONCE(ratio));

	vm->nx.last = get_jiffies_64();
	/*
	 * Recovery looks at the host's page tables with IRQs off. They are freed after an
	 * interrupt to the CPUs that use the mm, so use it; and not when it is being taken apart.
	 */
	if (!quota || !mmget_not_zero(vm->mm))
		return;
	kthread_use_mm(vm->mm);
	while (quota && !kthread_should_stop()) {
		int idx = srcu_read_lock(&vm->srcu);

		quota = vlm_mmu_recover_nx(&vm->mmu, quota, READ_ONCE(in_place) ? VLM_NX_IN_PLACE :
									VLM_NX_BY_FAULT);
		srcu_read_unlock(&vm->srcu, idx);
		cond_resched();
	}
	kthread_unuse_mm(vm->mm);
	mmput_async(vm->mm);
}
