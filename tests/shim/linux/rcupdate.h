/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/rcupdate.h>: grace periods end only when every reader that could see has left. */
#ifndef SHIM_LINUX_RCUPDATE_H
#define SHIM_LINUX_RCUPDATE_H

#include <linux/compiler.h>
#include <shim.h>

#define __rcu
/* For sparse. */
#ifndef __acquire
#define __acquire(x) ((void)0)
#define __release(x) ((void)0)
#endif

/* As large as the kernel's. */
struct rcu_head {
	u64 epoch;		/* of call_rcu(), 0 before */
	void (*func)(struct rcu_head *head);
};

#define rcu_read_lock() shim_rcu_read_lock()
#define rcu_read_unlock() shim_rcu_read_unlock()
#define call_rcu(head, func) shim_call_rcu((head), (func))
#define rcu_barrier() shim_rcu_barrier()
#define rcu_dereference_check(p, cond)                                               \
	(shim_point(SHIM_READ, &(p)), __atomic_load_n(&(p), __ATOMIC_ACQUIRE))
#define rcu_dereference(p) rcu_dereference_check(p, true)
#define rcu_assign_pointer(p, v)                                                     \
	(shim_point(SHIM_WRITE, &(p)), __atomic_store_n(&(p), (v), __ATOMIC_RELEASE))
#define RCU_INIT_POINTER(p, v) __atomic_store_n(&(p), (v), __ATOMIC_RELAXED)

#endif
