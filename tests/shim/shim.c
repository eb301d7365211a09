/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shim.h"

#include <linux/rcupdate.h>
#include <linux/slab.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct shim_scheduler_ops *shim_scheduler;
void (*shim_on_violation)(void);

void shim_violation(const char *rule, const char *detail)
{
	fprintf(stderr, "VIOLATION %s: %s\n", rule, detail);
	if (shim_on_violation)
		shim_on_violation();
	fflush(NULL);
	abort();
}

/* --- threads --- */

#define MAX_HELD 8

/* What belongs to one thread, the host's or a scheduler's. */
struct shim_thread {
	struct {
		const void *lock;
		enum shim_held mode;
	} held[MAX_HELD];
	int nheld;
	struct reader *reader;
	int nesting;
	int slots_depth;
};

static _Thread_local struct shim_thread own;
static _Thread_local struct shim_thread *chosen;

static struct shim_thread *me(void)
{
	return chosen ? chosen : &own;
}

struct shim_thread *shim_thread_new(void)
{
	return calloc(1, sizeof(struct shim_thread));
}

void shim_thread_free(struct shim_thread *thread)
{
	free(thread);
}

void shim_thread_use(struct shim_thread *thread)
{
	chosen = thread;
}

int *shim_slots_depth(void)
{
	return &me()->slots_depth;
}

/* --- lock sets --- */

void (*shim_on_unlock)(const void *lock);

void shim_lock_taken(const void *lock, enum shim_held mode)
{
	struct shim_thread *t = me();

	if (t->nheld == MAX_HELD)
		shim_violation("LOCK", "too many locks held");
	t->held[t->nheld].lock = lock;
	t->held[t->nheld++].mode = mode;
}

void shim_lock_dropped(const void *lock)
{
	struct shim_thread *t = me();
	int i;

	if (shim_on_unlock)
		shim_on_unlock(lock);
	for (i = t->nheld - 1; i >= 0; i--) {
		if (t->held[i].lock == lock) {
			t->held[i] = t->held[--t->nheld];
			return;
		}
	}
	shim_violation("LOCK", "dropped a lock that is not held");
}

bool shim_is_held(const void *lock, enum shim_held mode)
{
	const struct shim_thread *t = me();
	int i;

	for (i = 0; i < t->nheld; i++)
		if (t->held[i].lock == lock && (mode == SHIM_HELD_ANY || t->held[i].mode == mode))
			return true;
	return false;
}

void shim_assert_held(const void *lock, enum shim_held mode, const char *where)
{
	if (!shim_is_held(lock, mode))
		shim_violation("LOCK", where);
}

/* --- grace periods --- */

/* A thread that ever was a reader. Never freed: a thread may end while others look. */
struct reader {
	u64 since;		/* epoch of the outermost read section, 0 outside */
	struct reader *next;
	int in_use;
};

static struct reader *readers;
static u64 epoch = 1;
static pthread_mutex_t callbacks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct callback {
	struct callback *next;
	struct rcu_head *head;
} *callbacks;	/* newest first */
static pthread_key_t reader_key;
static pthread_once_t reader_once = PTHREAD_ONCE_INIT;

static void reader_gone(void *r)
{
	__atomic_store_n(&((struct reader *)r)->in_use, 0, __ATOMIC_RELEASE);
}

static void make_key(void)
{
	pthread_key_create(&reader_key, reader_gone);
}

static struct reader *reader_get(void)
{
	struct shim_thread *t = me();
	struct reader *r;

	if (t->reader)
		return t->reader;
	pthread_once(&reader_once, make_key);
	for (r = __atomic_load_n(&readers, __ATOMIC_ACQUIRE); r; r = r->next) {
		int idle = 0;

		if (__atomic_compare_exchange_n(&r->in_use, &idle, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			break;
	}
	if (!r) {
		r = calloc(1, sizeof(*r));
		r->in_use = 1;
		r->next = __atomic_load_n(&readers, __ATOMIC_RELAXED);
		while (!__atomic_compare_exchange_n(&readers, &r->next, r, false,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			;
	}
	if (t == &own)
		pthread_setspecific(reader_key, r);
	t->reader = r;
	return r;
}

void shim_rcu_read_lock(void)
{
	struct reader *r = reader_get();

	shim_point(SHIM_RCU, NULL);
	if (me()->nesting++)
		return;
	__atomic_store_n(&r->since, __atomic_load_n(&epoch, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
}

void shim_rcu_read_unlock(void)
{
	struct shim_thread *t = me();

	if (t->nesting <= 0)
		shim_violation("RCU", "read section left that was not entered");
	if (--t->nesting)
		return;
	__atomic_store_n(&t->reader->since, 0, __ATOMIC_SEQ_CST);
	shim_point(SHIM_RCU, NULL);
}

void shim_rcu_assert_read(void)
{
	if (!me()->nesting)
		shim_violation("RCU", "list walked outside of a read section");
}

u64 shim_rcu_now(void)
{
	return __atomic_add_fetch(&epoch, 1, __ATOMIC_SEQ_CST);
}

bool shim_rcu_reader_since(u64 when)
{
	struct reader *r;

	for (r = __atomic_load_n(&readers, __ATOMIC_ACQUIRE); r; r = r->next) {
		u64 since = __atomic_load_n(&r->since, __ATOMIC_SEQ_CST);

		if (since && since < when)
			return true;
	}
	return false;
}

void shim_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct callback *cb = malloc(sizeof(*cb));

	cb->head = head;
	head->func = func;
	head->epoch = shim_rcu_now();
	pthread_mutex_lock(&callbacks_lock);
	cb->next = callbacks;
	callbacks = cb;
	pthread_mutex_unlock(&callbacks_lock);
}

void shim_rcu_barrier(void)
{
	struct callback *todo, *next;

	shim_assert_may_sleep("rcu_barrier");
	pthread_mutex_lock(&callbacks_lock);
	todo = callbacks;
	callbacks = NULL;
	pthread_mutex_unlock(&callbacks_lock);
	for (; todo; todo = next) {
		next = todo->next;
		while (shim_rcu_reader_since(todo->head->epoch))
			shim_wait();
		todo->head->func(todo->head);
		free(todo);
	}
}

void shim_rcu_poll(void)
{
	struct callback **at, *cb, *due = NULL;

	if (!__atomic_load_n(&callbacks, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&callbacks_lock);
	for (at = &callbacks; (cb = *at) != NULL;) {
		if (shim_rcu_reader_since(cb->head->epoch)) {
			at = &cb->next;
			continue;
		}
		*at = cb->next;
		cb->next = due;
		due = cb;
	}
	pthread_mutex_unlock(&callbacks_lock);
	for (; due; due = cb) {
		cb = due->next;
		due->head->func(due->head);
		free(due);
	}
}

void shim_assert_may_sleep(const char *where)
{
	const struct shim_thread *t = me();

	if (t->nheld || t->nesting) {
		fprintf(stderr, "in %s, %d locks, RCU nesting %d\n", where, t->nheld, t->nesting);
		shim_violation("SLEEP", "sleeping call in an atomic section");
	}
}

void shim_wait(void)
{
	if (shim_scheduler)
		shim_scheduler->relax();
	else
		usleep(10);
}

void shim_relax(void)
{
	if (shim_scheduler)
		shim_scheduler->relax();
	else
		sched_yield();
}

void shim_wait_for(const unsigned long *wakes, unsigned long seen)
{
	if (shim_scheduler)
		shim_scheduler->wait(wakes, seen);
	else
		usleep(10);
}

/* --- allocator --- */

static long live;
static long fail_after = -1;

void shim_alloc_fail_after(long n)
{
	__atomic_store_n(&fail_after, n, __ATOMIC_SEQ_CST);
}

bool shim_alloc_must_fail(void)
{
	long n = __atomic_load_n(&fail_after, __ATOMIC_SEQ_CST);

	if (n < 0)
		return false;
	if (!n)
		return true;
	__atomic_fetch_sub(&fail_after, 1, __ATOMIC_SEQ_CST);
	return false;
}

long shim_alloc_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_SEQ_CST);
}

void *shim_alloc(size_t size, bool sleeps)
{
	void *p;

	if (sleeps)
		shim_assert_may_sleep("an allocation");
	if (shim_alloc_must_fail())
		return NULL;
	p = calloc(1, size ? size : 1);
	if (p)
		__atomic_fetch_add(&live, 1, __ATOMIC_SEQ_CST);
	return p;
}

void shim_free(const void *p)
{
	if (!p)
		return;
	__atomic_fetch_sub(&live, 1, __ATOMIC_SEQ_CST);
	free((void *)p);
}

struct kmem_cache {
	unsigned int size;
	long live;
};

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     unsigned int flags, void (*ctor)(void *))
{
	struct kmem_cache *cache = shim_alloc(sizeof(*cache), true);

	(void)name;
	(void)align;
	(void)flags;
	(void)ctor;
	if (cache)
		cache->size = size;
	return cache;
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	if (!cache)
		return;
	if (cache->live)
		shim_violation("LEAK", "objects left in a cache that is destroyed");
	shim_free(cache);
}

void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *obj = shim_alloc(cache->size, gfp == GFP_KERNEL);

	if (obj)
		__atomic_fetch_add(&cache->live, 1, __ATOMIC_SEQ_CST);
	return obj;
}

void kmem_cache_free(struct kmem_cache *cache, void *obj)
{
	__atomic_fetch_sub(&cache->live, 1, __ATOMIC_SEQ_CST);
	shim_free(obj);
}
