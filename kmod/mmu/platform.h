/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that mmu/ needs from outside: the kernel headers below and the services
 * declared here, which are bound at link time (vm/platform.c in the kernel, fakes
 * in the tests). No other file of mmu/ includes a kernel header.
 *
 * Units: pfn and gfn count 4 KiB pages; pa, gpa and hva are bytes. A level is
 * 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
 */
#ifndef VLM_MMU_PLATFORM_H
#define VLM_MMU_PLATFORM_H

#include <linux/types.h>
#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/cache.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/errno.h>
#include <linux/interval_tree.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/wait.h>

struct vlm_mmu;

/*
 * Table pages: 512 entries of 8 bytes, page aligned, zeroed.
 */

/* Charged to the VM owner's memory cgroup. May sleep. NULL when out of memory. */
u64 *vlm_platform_table_alloc(struct vlm_mmu *mmu);
/* Any context that may run an RCU callback. The caller waited for all walkers. */
void vlm_platform_table_free(u64 *table);
/* Physical address as it stands in an entry, and back. */
u64 vlm_platform_table_pa(const u64 *table);
u64 *vlm_platform_table_va(u64 pa);
/* One pointer kept with each table page: its header. */
void vlm_platform_table_set_owner(u64 *table, void *owner);
void *vlm_platform_table_owner(const u64 *table);

/*
 * Host memory.
 */

/**
 * struct vlm_host_page - where an hva leads to
 * @pfn:	host frame
 * @writable:	the host mapping allows writes
 * @device:	not RAM: map uncached, never huge, no reference is held
 * @ref:	private to the platform until vlm_platform_host_put()
 */
struct vlm_host_page {
	u64 pfn;
	bool writable;
	bool device;
	void *ref;
};

/*
 * Resolve @hva for an access, faulting it in; with @write the page is made private
 * and writable. A read of a writable mapping reports @writable when that costs
 * nothing. Sleeps, no lock held. The result may be stale on return: only the notifier
 * protocol makes it usable (see notifier.h). Return 0, -EFAULT (no mapping or no
 * permission), -EHWPOISON, -EINTR (a signal is pending), -ENOMEM, -EAGAIN (raced with a
 * change of the mapping, try again).
 */
int vlm_platform_host_get(struct vlm_mmu *mmu, unsigned long hva, bool write,
			  struct vlm_host_page *out);
/* Mark the page accessed, and dirty with @dirty, and drop the reference. mmu lock may be held. */
void vlm_platform_host_put(struct vlm_host_page *host, bool dirty);
/*
 * Level at which the host maps @hva, 1 when in doubt. Never sleeps. Meaningful
 * only while the mmu lock is held and the notifier test passed.
 */
int vlm_platform_host_level(struct vlm_mmu *mmu, unsigned long hva);

/*
 * vCPUs.
 */

/*
 * Make every vCPU drop all translations of guest-physical addresses before it next
 * runs guest code; wait for those that run it now. True if there was one to interrupt. mmu
 * lock may be held, IRQs on.
 */
bool vlm_platform_flush_tlbs(struct vlm_mmu *mmu);
/* Make every vCPU call vlm_mmu_reload() before it next runs guest code; wait likewise. */
void vlm_platform_reload_all(struct vlm_mmu *mmu);
/*
 * Have every vCPU that runs guest code leave it, which gives what the hardware logged for it to
 * vlm_dirty_log_drain(), and wait for that. Those that do not run have done so. IRQs on, no mmu lock.
 */
void vlm_platform_drain_logs(struct vlm_mmu *mmu);
/*
 * Have vlm_mmu_reclaim() called soon by a thread of the machine's own. Slots lock held,
 * no mmu lock; sleeps. False: there is no such thread, the caller must do the work.
 */
bool vlm_platform_reclaim_later(struct vlm_mmu *mmu);
/* An invariant broke: set vlm_mmu::dead, no vCPU may run again. Any context. */
void vlm_platform_kill(struct vlm_mmu *mmu, const char *why);

struct vlm_dirty_ring;

/* The dirty ring of the vCPU that this thread runs, NULL on other threads. */
struct vlm_dirty_ring *vlm_platform_dirty_ring(struct vlm_mmu *mmu);

/*
 * Scheduling and time.
 */

/* Somebody waits for the mmu lock, or this task should yield the CPU. Lock held. */
bool vlm_platform_break_wanted(struct vlm_mmu *mmu);
/* Yield the CPU if asked to. No lock held. */
void vlm_platform_resched(void);
/* Monotonic time in nanoseconds. */
u64 vlm_platform_now_ns(void);
/* The time-stamp counter. */
u64 vlm_platform_ticks(void);

/*
 * Memslots: readers are in the platform's read section (SRCU); this waits until
 * all sections that were open have ended. Sleeps. No mmu lock.
 */
void vlm_platform_slots_sync(struct vlm_mmu *mmu);

/*
 * Guest memory of address space @as_id for the guest page walker. Caller is in the
 * slots read section and may sleep.
 */

/* Copy @len bytes that do not cross a page. 0 or -EFAULT. */
int vlm_platform_guest_read(struct vlm_mmu *mmu, unsigned int as_id, u64 gpa, void *data,
			    unsigned int len);
/* The same without sleeping: -EFAULT also where the page is not at hand. mmu lock may be held. */
int vlm_platform_guest_peek(struct vlm_mmu *mmu, unsigned int as_id, u64 gpa, void *data,
			    unsigned int len);
/*
 * Atomically replace *@old by @val at @gpa, naturally aligned, @size 4 or 8, and mark
 * the page dirty. Return 0; -EAGAIN when memory holds something else, stored to *@old;
 * -EFAULT.
 */
int vlm_platform_guest_cmpxchg(struct vlm_mmu *mmu, unsigned int as_id, u64 gpa, u64 *old,
			       u64 val, unsigned int size);

#endif
