/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/atomic.h>. Orders as the kernel's or stronger; TSan understands all of it. */
#ifndef SHIM_LINUX_ATOMIC_H
#define SHIM_LINUX_ATOMIC_H

#include <linux/compiler.h>
#include <linux/types.h>

typedef struct {
	s64 counter;
} atomic64_t;

typedef struct {
	int counter;
} atomic_t;

#define ATOMIC_INIT(i) { (i) }
#define ATOMIC64_INIT(i) { (i) }

static inline s64 atomic64_read(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline void atomic64_set(atomic64_t *v, s64 i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic64_add(s64 i, atomic64_t *v)
{
	__atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic64_inc(atomic64_t *v)
{
	atomic64_add(1, v);
}

static inline void atomic64_dec(atomic64_t *v)
{
	atomic64_add(-1, v);
}

static inline bool atomic64_try_cmpxchg(atomic64_t *v, s64 *old, s64 val)
{
	return __atomic_compare_exchange_n(&v->counter, old, val, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static inline int atomic_read(const atomic_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline void atomic_set(atomic_t *v, int i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic_inc(atomic_t *v)
{
	__atomic_fetch_add(&v->counter, 1, __ATOMIC_RELAXED);
}

static inline void atomic_dec(atomic_t *v)
{
	__atomic_fetch_sub(&v->counter, 1, __ATOMIC_RELAXED);
}

typedef struct {
	long counter;
} atomic_long_t;

static inline long atomic_long_fetch_andnot(long i, atomic_long_t *v)
{
	shim_point(SHIM_WRITE, &v->counter);
	return __atomic_fetch_and(&v->counter, ~i, __ATOMIC_SEQ_CST);
}

static inline void atomic_long_or(long i, atomic_long_t *v)
{
	shim_point(SHIM_WRITE, &v->counter);
	__atomic_fetch_or(&v->counter, i, __ATOMIC_RELAXED);
}

#define xchg(ptr, val)                                                               \
	(shim_point(SHIM_WRITE, (ptr)), __atomic_exchange_n((ptr), (val), __ATOMIC_SEQ_CST))
#define try_cmpxchg(ptr, oldp, val)                                                  \
	(shim_point(SHIM_WRITE, (ptr)),                                              \
	 __atomic_compare_exchange_n((ptr), (oldp), (val), false, __ATOMIC_SEQ_CST,  \
				     __ATOMIC_ACQUIRE))
#define try_cmpxchg64(ptr, oldp, val) try_cmpxchg(ptr, oldp, val)
#define smp_store_release(ptr, val)                                                  \
	(shim_point(SHIM_WRITE, (ptr)), __atomic_store_n((ptr), (val), __ATOMIC_RELEASE))
#define smp_load_acquire(ptr)                                                        \
	(shim_point(SHIM_READ, (ptr)), __atomic_load_n((ptr), __ATOMIC_ACQUIRE))

/* x86 orders these by itself; only the compiler must be told. TSan has no fences. */
#define barrier() __asm__ __volatile__("" : : : "memory")
#define smp_rmb() barrier()
#define smp_wmb() barrier()
#define smp_mb() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define smp_mb__before_atomic() barrier()
#define smp_mb__after_atomic() barrier()

#endif
