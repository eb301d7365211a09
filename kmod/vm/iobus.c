// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buses of in-kernel devices. The ranges of a bus are one sorted array that is
 * replaced as a whole: readers walk it under vm->srcu, writers hold slots_lock.
 */

#include <linux/lockdep.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "iobus.h"
#include "vm.h"

/* Limit on ranges per bus, so that user space cannot grow it without bound. */
#define MAX_RANGES 1000

struct iobus_range {
	u64 start;
	u64 end;	/* exclusive; equal to start for a range that takes any length */
	u64 reach;	/* largest end of this range and all before it */
	struct vlm_iodev *dev;
};

struct vlm_iobus_ranges {
	unsigned int nr;
	struct iobus_range range[];
};

static struct vlm_iobus_ranges *locked_ranges(struct vlm_vm *vm, struct vlm_iobus *bus)
{
	return rcu_dereference_protected(bus->ranges, lockdep_is_held(&vm->slots_lock));
}

static void compute_reach(struct vlm_iobus_ranges *ranges)
{
	u64 reach = 0;
	unsigned int i;

	for (i = 0; i < ranges->nr; i++) {
		/* Count a range of length 0 as one byte, to find it by its start. */
		reach = max3(reach, ranges->range[i].end, ranges->range[i].start + 1);
		ranges->range[i].reach = reach;
	}
}

static void replace(struct vlm_vm *vm, struct vlm_iobus *bus, struct vlm_iobus_ranges *ranges)
{
	struct vlm_iobus_ranges *old = locked_ranges(vm, bus);

	rcu_assign_pointer(bus->ranges, ranges);
	synchronize_srcu_expedited(&vm->srcu);
	kfree(old);
}

int vlm_iobus_add(struct vlm_vm *vm, struct vlm_iobus *bus, u64 addr, u64 len,
		  struct vlm_iodev *dev)
{
	struct vlm_iobus_ranges *old, *new;
	unsigned int nr, at;
	u64 end;

	lockdep_assert_held(&vm->slots_lock);

	if (check_add_overflow(addr, len, &end) || addr == U64_MAX)
		return -EINVAL;
	old = locked_ranges(vm, bus);
	nr = old ? old->nr : 0;
	if (nr >= MAX_RANGES)
		return -ENOSPC;
	new = kmalloc(struct_size(new, range, nr + 1), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;

	for (at = 0; at < nr && old->range[at].start <= addr; at++)
		new->range[at] = old->range[at];
	new->range[at] = (struct iobus_range){ .start = addr, .end = end, .dev = dev };
	for (; at < nr; at++)
		new->range[at + 1] = old->range[at];
	new->nr = nr + 1;
	compute_reach(new);
	replace(vm, bus, new);
	return 0;
}

/* Without memory for a smaller array, blank the device where it stands. */
static int refuse_read(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
		       void *val)
{
	return -EOPNOTSUPP;
}

static int refuse_write(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
			const void *val)
{
	return -EOPNOTSUPP;
}

static struct vlm_iodev blank_dev = {
	.read = refuse_read,
	.write = refuse_write,
};

void vlm_iobus_remove(struct vlm_vm *vm, struct vlm_iobus *bus, struct vlm_iodev *dev)
{
	struct vlm_iobus_ranges *old, *new;
	unsigned int i, found = 0;

	lockdep_assert_held(&vm->slots_lock);

	old = locked_ranges(vm, bus);
	if (!old)
		return;
	for (i = 0; i < old->nr; i++)
		found += old->range[i].dev == dev;
	if (!found)
		return;
	new = kmalloc(struct_size(new, range, old->nr - found), GFP_KERNEL_ACCOUNT);
	if (!new) {
		for (i = 0; i < old->nr; i++) {
			if (old->range[i].dev == dev)
				WRITE_ONCE(old->range[i].dev, &blank_dev);
		}
		synchronize_srcu_expedited(&vm->srcu);
		return;
	}
	new->nr = 0;
	for (i = 0; i < old->nr; i++) {
		if (old->range[i].dev != dev)
			new->range[new->nr++] = old->range[i];
	}
	compute_reach(new);
	replace(vm, bus, new);
}

void vlm_iobus_destroy(struct vlm_iobus *bus)
{
	/* The VM has no users left, hence no readers and no writers. */
	kfree(rcu_dereference_protected(bus->ranges, true));
	RCU_INIT_POINTER(bus->ranges, NULL);
}

static bool covers(const struct iobus_range *range, u64 addr, u32 len)
{
	if (range->start == range->end)
		return addr == range->start;
	return addr >= range->start && len <= range->end - range->start &&
	       addr - range->start <= range->end - range->start - len;
}

/* Index of the first range that starts after @addr. */
static unsigned int first_after(const struct vlm_iobus_ranges *ranges, u64 addr)
{
	unsigned int low = 0, high = ranges->nr;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (ranges->range[mid].start <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/*
 * The next device at or before index *@i that covers the access, or NULL. Ranges
 * may overlap (several eventfds on one address), so go on while any range before
 * can still reach @addr.
 */
static struct vlm_iodev *next_device(const struct vlm_iobus_ranges *ranges, unsigned int *i,
				     u64 addr, u32 len)
{
	while (*i && ranges->range[*i - 1].reach > addr) {
		const struct iobus_range *range = &ranges->range[--*i];

		if (covers(range, addr, len))
			return READ_ONCE(range->dev);
	}
	return NULL;
}

int vlm_iobus_read(struct vlm_vm *vm, struct vlm_iobus *bus, struct vlm_vcpu_head *v, u64 addr,
		   u32 len, void *val)
{
	const struct vlm_iobus_ranges *ranges = srcu_dereference(bus->ranges, &vm->srcu);
	struct vlm_iodev *dev;
	unsigned int i;

	if (!ranges)
		return -EOPNOTSUPP;
	i = first_after(ranges, addr);
	while ((dev = next_device(ranges, &i, addr, len))) {
		if (!dev->read(dev, v, addr, len, val))
			return 0;
	}
	return -EOPNOTSUPP;
}

int vlm_iobus_write(struct vlm_vm *vm, struct vlm_iobus *bus, struct vlm_vcpu_head *v, u64 addr,
		    u32 len, const void *val)
{
	const struct vlm_iobus_ranges *ranges = srcu_dereference(bus->ranges, &vm->srcu);
	struct vlm_iodev *dev;
	unsigned int i;

	if (!ranges)
		return -EOPNOTSUPP;
	i = first_after(ranges, addr);
	while ((dev = next_device(ranges, &i, addr, len))) {
		if (!dev->write(dev, v, addr, len, val))
			return 0;
	}
	return -EOPNOTSUPP;
}
