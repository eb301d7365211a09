/* SPDX-License-Identifier: GPL-2.0-only */
/* The thread that gives back defunct page tables, and recovers huge pages. */
#ifndef VLM_VM_RECLAIMER_H
#define VLM_VM_RECLAIMER_H

#include <linux/types.h>

struct task_struct;
struct vlm_vm;

/**
 * struct vlm_reclaimer - embedded in struct vlm_vm
 * @task:	started with the first vCPU; slots_lock, and the last reference
 * @owner:	whose cgroups the thread is to join; taken atomically, NULL once it has
 * @wanted:	there is work; atomic
 */
struct vlm_reclaimer {
	struct task_struct *task;
	struct task_struct *owner;
	bool wanted;
};

/* Have a thread early, as to make one takes long. Nothing is lost if that fails. Sleeps. */
void vlm_reclaimer_start(struct vlm_vm *vm);
/* Have the thread run vlm_mmu_reclaim(). slots_lock held. False if no thread can be had. */
bool vlm_reclaimer_wake(struct vlm_vm *vm);
/* Wait for it and end it. No ioctl runs any more. */
void vlm_reclaimer_stop(struct vlm_vm *vm);

#endif
