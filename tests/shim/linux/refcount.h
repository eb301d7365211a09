/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/refcount.h>: misuse fails the test. */
#ifndef SHIM_LINUX_REFCOUNT_H
#define SHIM_LINUX_REFCOUNT_H

#include <linux/types.h>
#include <shim.h>

typedef struct {
	int refs;
} refcount_t;

static inline void refcount_set(refcount_t *r, int n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELAXED);
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return (unsigned int)__atomic_load_n(&r->refs, __ATOMIC_RELAXED);
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	int old;

	shim_point(SHIM_WRITE, r);
	old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);
	do {
		if (!old)
			return false;
	} while (!__atomic_compare_exchange_n(&r->refs, &old, old + 1, false, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	if (old < 0)
		shim_violation("REF", "reference taken on a freed object");
	return true;
}

static inline void refcount_inc(refcount_t *r)
{
	if (!refcount_inc_not_zero(r))
		shim_violation("REF", "increment from zero");
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	int old;

	shim_point(SHIM_WRITE, r);
	old = __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL);
	if (old <= 0)
		shim_violation("REF", "reference count fell below zero");
	return old == 1;
}

#endif
