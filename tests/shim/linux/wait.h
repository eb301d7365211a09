/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/wait.h>: threads of the host poll, those of a scheduler must be woken. */
#ifndef SHIM_LINUX_WAIT_H
#define SHIM_LINUX_WAIT_H

#include <shim.h>

typedef struct {
	unsigned long wakes;
} wait_queue_head_t;

static inline void init_waitqueue_head(wait_queue_head_t *wq)
{
	wq->wakes = 0;
}

static inline void wake_up_all(wait_queue_head_t *wq)
{
	shim_point(SHIM_WRITE, wq);
	__atomic_add_fetch(&wq->wakes, 1, __ATOMIC_RELEASE);
}

#define wait_event(wq, cond)                                                         \
	do {                                                                         \
		shim_assert_may_sleep(__func__);                                     \
		for (;;) {                                                           \
			unsigned long seen_ = __atomic_load_n(&(wq).wakes, __ATOMIC_ACQUIRE); \
			if (cond)                                                    \
				break;                                               \
			shim_wait_for(&(wq).wakes, seen_);                           \
		}                                                                    \
	} while (0)

#endif
