/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stand-in for the kernel's <linux/rculist.h>. */
#ifndef SHIM_LINUX_RCULIST_H
#define SHIM_LINUX_RCULIST_H

#include <linux/list.h>
#include <linux/rcupdate.h>

static inline void list_add_tail_rcu(struct list_head *entry, struct list_head *head)
{
	list_add_tail(entry, head);
}

/* The entry keeps its next pointer for readers that stand on it. */
static inline void list_del_rcu(struct list_head *entry)
{
	shim_list_unlink(entry);
	entry->prev = (struct list_head *)0x122;
}

static inline struct list_head *shim_list_next_rcu(const struct list_head *entry)
{
	shim_rcu_assert_read();
	shim_point(SHIM_READ, entry);
	return __atomic_load_n(&entry->next, __ATOMIC_ACQUIRE);
}

#define list_for_each_entry_rcu(pos, head, member)                                   \
	for ((pos) = list_entry(shim_list_next_rcu(head), __typeof__(*(pos)), member); \
	     &(pos)->member != (head);                                               \
	     (pos) = list_entry(shim_list_next_rcu(&(pos)->member), __typeof__(*(pos)), member))

#define list_next_or_null_rcu(head, ptr, type, member)                               \
	({                                                                           \
		struct list_head *next_ = shim_list_next_rcu(ptr);                   \
		next_ == (head) ? NULL : list_entry(next_, type, member);            \
	})
#define list_first_or_null_rcu(head, type, member)                                   \
	list_next_or_null_rcu(head, head, type, member)

#endif
