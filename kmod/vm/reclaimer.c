// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread that gives back the tables of cut-off roots and recovers huge pages from the
 * NX mitigation, one per machine that ever needed it. It runs in the cgroups, on the CPUs and at the priority of the task whose
 * ioctl started it, so that the work is paid for by the machine's owner.
 */
#include <linux/cgroup.h>
#include <linux/kthread.h>
#include <linux/sched.h>

#include "reclaimer.h"
#include "vm.h"

static int reclaimer_main(void *data)
{
	struct vlm_vm *vm = data;
	long left;

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		/* Pairs with the wake-up: work is announced before it. */
		if (xchg(&vm->reclaimer.wanted, false)) {
			__set_current_state(TASK_RUNNING);
			vlm_mmu_reclaim(&vm->mmu);
			cond_resched();
			continue;
		}
		if (kthread_should_stop())
			break;
		left = vlm_nx_due(vm);
		if (left) {
			schedule_timeout(left);
			continue;
		}
		__set_current_state(TASK_RUNNING);
		vlm_nx_recover(vm);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static struct task_struct *start(struct vlm_vm *vm)
{
	struct task_struct *task;

	task = kthread_create(reclaimer_main, vm, "vellum-reclaim/%d", task_tgid_nr(current));
	if (IS_ERR(task))
		return NULL;
	/* Best effort: a wrong account is better than tables that stay. */
	cgroup_attach_task_all(current, task);
	set_cpus_allowed_ptr(task, current->cpus_ptr);
	set_user_nice(task, task_nice(current));
	return task;
}

bool vlm_reclaimer_wake(struct vlm_vm *vm)
{
	lockdep_assert_held(&vm->slots_lock);
	if (!vm->reclaimer.task)
		vm->reclaimer.task = start(vm);
	if (!vm->reclaimer.task)
		return false;
	WRITE_ONCE(vm->reclaimer.wanted, true);
	wake_up_process(vm->reclaimer.task);
	return true;
}

void vlm_reclaimer_stop(struct vlm_vm *vm)
{
	if (vm->reclaimer.task)
		kthread_stop(vm->reclaimer.task);
	vm->reclaimer.task = NULL;
}
