// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread that gives back the tables of cut-off roots and recovers huge pages from the
 * NX mitigation, one per machine with a vCPU. It runs in the cgroups, on the CPUs and
 * with the weight of the task whose ioctl made the first vCPU, so that the work is paid for by the
 * machine's owner; but as a batch task, which does not preempt the ioctl that wakes it.
 */
#include <linux/cgroup.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <uapi/linux/sched/types.h>

#include "reclaimer.h"
#include "vm.h"

static void drop_owner(struct task_struct *owner)
{
	if (owner)
		put_task_struct(owner);
}

/* Done by the thread itself: to change cgroups waits for a grace period. */
static void join_owner(struct vlm_vm *vm)
{
	struct task_struct *owner = xchg(&vm->reclaimer.owner, NULL);

	/* Best effort: a wrong account is better than tables that stay. */
	if (owner)
		cgroup_attach_task_all(owner, current);
	drop_owner(owner);
}

static int reclaimer_main(void *data)
{
	struct vlm_vm *vm = data;
	long left;

	join_owner(vm);
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
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_policy = SCHED_BATCH,
		.sched_nice = task_nice(current),
	};
	struct task_struct *task;

	task = kthread_create(reclaimer_main, vm, "vellum-reclaim/%d", task_tgid_nr(current));
	if (IS_ERR(task))
		return NULL;
	vm->reclaimer.owner = get_task_struct(current);
	set_cpus_allowed_ptr(task, current->cpus_ptr);
	sched_setattr_nocheck(task, &attr);
	return task;
}

static bool have_thread(struct vlm_vm *vm)
{
	lockdep_assert_held(&vm->slots_lock);
	if (!vm->reclaimer.task)
		vm->reclaimer.task = start(vm);
	return vm->reclaimer.task;
}

bool vlm_reclaimer_wake(struct vlm_vm *vm)
{
	if (!have_thread(vm))
		return false;
	WRITE_ONCE(vm->reclaimer.wanted, true);
	wake_up_process(vm->reclaimer.task);
	return true;
}

void vlm_reclaimer_start(struct vlm_vm *vm)
{
	mutex_lock(&vm->slots_lock);
	if (have_thread(vm))
		wake_up_process(vm->reclaimer.task);
	mutex_unlock(&vm->slots_lock);
}

void vlm_reclaimer_stop(struct vlm_vm *vm)
{
	if (vm->reclaimer.task)
		kthread_stop(vm->reclaimer.task);
	vm->reclaimer.task = NULL;
	/* A thread that is stopped before its first step takes none. */
	drop_owner(xchg(&vm->reclaimer.owner, NULL));
}
