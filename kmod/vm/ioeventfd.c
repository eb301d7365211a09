// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_IOEVENTFD: a guest's write to an address signals an eventfd, and user space
 * does not see an exit.
 */

#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "../compat/compat.h"
#include "ioeventfd.h"
#include "vm.h"

/**
 * struct ioeventfd - one binding; constant
 * @dev:	on @bus
 * @link:	in vm->ioeventfds, under slots_lock
 * @bus:	ports or memory
 * @eventfd:	one reference
 * @addr:	first byte
 * @len:	length that a write must have, 0 for any
 * @any:	every value signals
 * @match:	the value that signals, unless @any
 */
struct ioeventfd {
	struct vlm_iodev dev;
	struct list_head link;
	struct vlm_iobus *bus;
	struct eventfd_ctx *eventfd;
	u64 addr;
	u32 len;
	bool any;
	u64 match;
};

static int refuse_read(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
		       void *val)
{
	return -EOPNOTSUPP;
}

static int signal_write(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
			const void *val)
{
	struct ioeventfd *fd = container_of(dev, struct ioeventfd, dev);
	u64 data = 0;

	if (addr != fd->addr || (fd->len && len != fd->len))
		return -EOPNOTSUPP;
	if (!fd->any) {
		memcpy(&data, val, len);
		if (data != fd->match)
			return -EOPNOTSUPP;
	}
	vlm_compat_eventfd_signal(fd->eventfd);
	return 0;
}

/* Low @len bytes of @value: the guest cannot write more. */
static u64 truncate(u64 value, u32 len)
{
	return len < sizeof(value) ? value & ((1ull << (len * 8)) - 1) : value;
}

/* Could one write signal both? */
static bool collides(const struct ioeventfd *a, const struct ioeventfd *b)
{
	if (a->bus != b->bus || a->addr != b->addr)
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->any || b->any || a->match == b->match);
}

static int add(struct vlm_vm *vm, struct ioeventfd *fd)
{
	struct ioeventfd *other;
	int err;

	lockdep_assert_held(&vm->slots_lock);
	list_for_each_entry(other, &vm->ioeventfds, link) {
		if (collides(fd, other))
			return -EEXIST;
	}
	err = vlm_iobus_add(vm, fd->bus, fd->addr, fd->len, &fd->dev);
	if (!err)
		list_add_tail(&fd->link, &vm->ioeventfds);
	return err;
}

static void free_ioeventfd(struct ioeventfd *fd)
{
	eventfd_ctx_put(fd->eventfd);
	kfree(fd);
}

static int assign(struct vlm_vm *vm, struct vlm_iobus *bus, const struct kvm_ioeventfd *args)
{
	struct ioeventfd *fd;
	int err;

	fd = kzalloc(sizeof(*fd), GFP_KERNEL_ACCOUNT);
	if (!fd)
		return -ENOMEM;
	fd->eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(fd->eventfd)) {
		err = PTR_ERR(fd->eventfd);
		kfree(fd);
		return err;
	}
	fd->dev.read = refuse_read;
	fd->dev.write = signal_write;
	fd->bus = bus;
	fd->addr = args->addr;
	fd->len = args->len;
	fd->any = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	fd->match = truncate(args->datamatch, args->len);

	mutex_lock(&vm->slots_lock);
	err = add(vm, fd);
	mutex_unlock(&vm->slots_lock);
	if (err)
		free_ioeventfd(fd);
	return err;
}

static int deassign(struct vlm_vm *vm, struct vlm_iobus *bus, const struct kvm_ioeventfd *args)
{
	bool any = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	struct ioeventfd *fd, *found = NULL;
	struct eventfd_ctx *eventfd;

	eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);

	mutex_lock(&vm->slots_lock);
	list_for_each_entry(fd, &vm->ioeventfds, link) {
		if (fd->bus == bus && fd->eventfd == eventfd && fd->addr == args->addr &&
		    fd->len == args->len && fd->any == any &&
		    (any || fd->match == truncate(args->datamatch, args->len))) {
			found = fd;
			break;
		}
	}
	if (found) {
		list_del(&found->link);
		vlm_iobus_remove(vm, bus, &found->dev);
	}
	mutex_unlock(&vm->slots_lock);
	eventfd_ctx_put(eventfd);
	if (!found)
		return -ENOENT;
	free_ioeventfd(found);
	return 0;
}

int vlm_vm_ioeventfd(struct vlm_vm *vm, const struct kvm_ioeventfd *args)
{
	const u32 valid = KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO |
			  KVM_IOEVENTFD_FLAG_DEASSIGN;
	struct vlm_iobus *bus;

	switch (args->len) {
	case 0:
		/* A match needs to know how much to compare. */
		if (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH)
			return -EINVAL;
		break;
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return -EINVAL;
	}
	if (args->flags & ~valid || args->addr + args->len < args->addr)
		return -EINVAL;

	bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? &vm->pio : &vm->mmio;
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return deassign(vm, bus, args);
	return assign(vm, bus, args);
}

void vlm_ioeventfd_destroy(struct vlm_vm *vm)
{
	struct ioeventfd *fd, *next;

	/* No vCPU is left to write, and nobody to assign: the buses go next. */
	list_for_each_entry_safe(fd, next, &vm->ioeventfds, link)
		free_ioeventfd(fd);
	INIT_LIST_HEAD(&vm->ioeventfds);
}
