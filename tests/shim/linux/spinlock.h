/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/spinlock.h>: locks that know their holder. */
#ifndef SHIM_LINUX_SPINLOCK_H
#define SHIM_LINUX_SPINLOCK_H

#include <linux/types.h>
#include <shim.h>

#include <pthread.h>

typedef struct {
	pthread_mutex_t m;
} spinlock_t;

typedef struct {
	pthread_rwlock_t l;
} rwlock_t;

static inline void spin_lock_init(spinlock_t *lock)
{
	pthread_mutex_init(&lock->m, NULL);
}

static inline void spin_lock(spinlock_t *lock)
{
	if (shim_scheduler)
		shim_scheduler->lock(lock, SHIM_HELD_WRITE);
	else
		pthread_mutex_lock(&lock->m);
	shim_lock_taken(lock, SHIM_HELD_WRITE);
}

static inline void spin_unlock(spinlock_t *lock)
{
	shim_lock_dropped(lock);
	if (shim_scheduler)
		shim_scheduler->unlock(lock);
	else
		pthread_mutex_unlock(&lock->m);
}

static inline void rwlock_init(rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	/* As the kernel's: readers that come do not starve a writer that waits. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&lock->l, &attr);
	pthread_rwlockattr_destroy(&attr);
}

static inline void read_lock(rwlock_t *lock)
{
	if (shim_scheduler)
		shim_scheduler->lock(lock, SHIM_HELD_READ);
	else
		pthread_rwlock_rdlock(&lock->l);
	shim_lock_taken(lock, SHIM_HELD_READ);
}

static inline void read_unlock(rwlock_t *lock)
{
	shim_lock_dropped(lock);
	if (shim_scheduler)
		shim_scheduler->unlock(lock);
	else
		pthread_rwlock_unlock(&lock->l);
}

static inline void write_lock(rwlock_t *lock)
{
	if (shim_scheduler)
		shim_scheduler->lock(lock, SHIM_HELD_WRITE);
	else
		pthread_rwlock_wrlock(&lock->l);
	shim_lock_taken(lock, SHIM_HELD_WRITE);
}

static inline void write_unlock(rwlock_t *lock)
{
	shim_lock_dropped(lock);
	if (shim_scheduler)
		shim_scheduler->unlock(lock);
	else
		pthread_rwlock_unlock(&lock->l);
}

#endif
