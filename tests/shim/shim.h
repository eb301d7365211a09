/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands behind the stand-in kernel headers: lock sets, grace periods, an
 * allocator. A broken rule ends the test at once, by name.
 */
#ifndef SHIM_H
#define SHIM_H

#include <linux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rcu_head;

/* Print "VIOLATION rule: detail" and abort. */
__attribute__((__noreturn__)) void shim_violation(const char *rule, const char *detail);

/* Called before that, to say how to repeat the test; NULL for none. */
extern void (*shim_on_violation)(void);

/* Lock sets. */
enum shim_held {
	SHIM_HELD_ANY,
	SHIM_HELD_READ,
	SHIM_HELD_WRITE,
};

void shim_lock_taken(const void *lock, enum shim_held mode);
void shim_lock_dropped(const void *lock);
bool shim_is_held(const void *lock, enum shim_held mode);
void shim_assert_held(const void *lock, enum shim_held mode, const char *where);
/* No lock is held and no RCU read section is open. */
void shim_assert_may_sleep(const char *where);
/* Called when a lock is about to be dropped; NULL for none. Not thread safe to set. */
extern void (*shim_on_unlock)(const void *lock);

/* Grace periods. */
void shim_rcu_read_lock(void);
void shim_rcu_read_unlock(void);
void shim_rcu_assert_read(void);
void shim_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
/* Wait for all readers, then run all callbacks. */
void shim_rcu_barrier(void);
/* A point in time: readers that begin later cannot see what was unlinked before. */
u64 shim_rcu_now(void);
/* True if a reader that began before @when is still inside. */
bool shim_rcu_reader_since(u64 when);

/* Allocator. */
void *shim_alloc(size_t size, bool sleeps);
void shim_free(const void *p);
/* Objects that live. */
long shim_alloc_live(void);
/* The allocation after @n more fails, and with it every one until set again; -1: none. */
void shim_alloc_fail_after(long n);
/* True if the next allocation must fail; counts it. For allocators of their own. */
bool shim_alloc_must_fail(void);

/* Let other threads run. */
void shim_wait(void);

#ifdef __cplusplus
}
#endif

#endif
