/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/wait.h>: waiters poll. */
#ifndef SHIM_LINUX_WAIT_H
#define SHIM_LINUX_WAIT_H

#include <shim.h>

typedef struct {
	int unused;
} wait_queue_head_t;

static inline void init_waitqueue_head(wait_queue_head_t *wq)
{
	wq->unused = 0;
}

static inline void wake_up_all(wait_queue_head_t *wq)
{
	(void)wq;
}

#define wait_event(wq, cond)                                                         \
	do {                                                                         \
		shim_assert_may_sleep(__func__);                                     \
		while (!(cond))                                                      \
			shim_wait();                                                 \
	} while (0)

#endif
