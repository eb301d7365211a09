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
struct shim_thread;

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

/* What a thread is about to do, or has just done with SHIM_UNLOCK. */
enum shim_event {
	SHIM_STEP,
	SHIM_READ,
	SHIM_WRITE,
	SHIM_LOCK,
	SHIM_UNLOCK,
	SHIM_RCU,
};

/*
 * Who decides which thread runs, in place of the host: every function may switch to
 * another thread before it returns. All threads are then threads of this program's own
 * making, and locks are what the scheduler says they are.
 */
struct shim_scheduler_ops {
	void (*point)(enum shim_event what, const void *object);
	void (*lock)(const void *lock, enum shim_held mode);
	void (*unlock)(const void *lock);
	/* Sleep until *@wakes differs from @seen. */
	void (*wait)(const unsigned long *wakes, unsigned long seen);
	/* There is nothing to do until another thread has moved. */
	void (*relax)(void);
};

/* NULL: real threads and locks. Set only while there is one thread. */
extern const struct shim_scheduler_ops *shim_scheduler;

static inline void shim_point(enum shim_event what, const volatile void *object)
{
	if (__builtin_expect(shim_scheduler != NULL, 0))
		shim_scheduler->point(what, (const void *)object);
}

/* The lock set and the read sections of a thread that a scheduler makes. */
struct shim_thread *shim_thread_new(void);
void shim_thread_free(struct shim_thread *thread);
/* Who runs from now on; NULL: the host's thread. */
void shim_thread_use(struct shim_thread *thread);
/* How deep the running thread is in read sections of memslots. */
int *shim_slots_depth(void);

/* Grace periods. */
void shim_rcu_read_lock(void);
void shim_rcu_read_unlock(void);
void shim_rcu_assert_read(void);
void shim_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));
/* Wait for all readers, then run all callbacks. */
void shim_rcu_barrier(void);
/* Run the callbacks whose grace period is over. */
void shim_rcu_poll(void);
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

/* Let other threads run: a while, and a moment. */
void shim_wait(void);
void shim_relax(void);
/* Return when *@wakes may differ from @seen; the caller looks again. */
void shim_wait_for(const unsigned long *wakes, unsigned long seen);

#ifdef __cplusplus
}
#endif

#endif
