/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the whole module holds at this moment, all machines together. Every counter
 * reads zero when no machine exists; /sys/kernel/debug/vellum/counters shows them.
 */
#ifndef VLM_VM_COUNTERS_H
#define VLM_VM_COUNTERS_H

#include <linux/atomic.h>

enum vlm_counter {
	VLM_COUNT_VMS,
	VLM_COUNT_VCPUS,
	VLM_COUNT_TABLES,	/* table pages of the MMU */
	VLM_COUNT_HOST_PAGES,	/* references on host pages, between get and put */
	VLM_NR_COUNTERS
};

extern atomic_long_t vlm_counters[VLM_NR_COUNTERS];

/* Any context. */
static inline void vlm_count(enum vlm_counter counter, long delta)
{
	atomic_long_add(delta, &vlm_counters[counter]);
}

#endif
