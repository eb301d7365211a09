/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The NX huge page mitigation of iTLB multihit: what the administrator wants, and when
 * a machine recovers huge pages. How it is done stands in mmu/nx.h.
 */
#ifndef VLM_VM_NX_H
#define VLM_VM_NX_H

#include <linux/types.h>

struct vlm_vm;

/**
 * struct vlm_nx - embedded in struct vlm_vm
 * @opt_out:	KVM_CAP_VM_DISABLE_NX_HUGE_PAGES; slots_lock
 * @on:		the mitigation is on for this machine; written under slots_lock
 * @last:	jiffies of the last recovery, or of the start; the machine's thread
 */
struct vlm_nx {
	bool opt_out;
	bool on;
	u64 last;
};

/* Make @vm follow the parameter and its own choice. Sleeps; takes slots_lock. */
void vlm_nx_apply(struct vlm_vm *vm);
/* KVM_CAP_VM_DISABLE_NX_HUGE_PAGES: 0, -EPERM without CAP_SYS_BOOT, -EINVAL once a vCPU exists. */
int vlm_nx_opt_out(struct vlm_vm *vm);

/* Jiffies until the next recovery of @vm: 0 now, MAX_SCHEDULE_TIMEOUT none. Its thread. */
long vlm_nx_due(struct vlm_vm *vm);
/* One run of recovery. Its thread. Sleeps. */
void vlm_nx_recover(struct vlm_vm *vm);

#endif
