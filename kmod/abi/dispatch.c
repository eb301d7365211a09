// SPDX-License-Identifier: GPL-2.0-only
/* One dispatcher for all ioctls: find the entry, move the struct, take the locks. */

#include <linux/ioctl.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "../vcpu/vcpu.h"
#include "../vm/vm.h"
#include "call.h"

/* Most structs are no larger than this; the others are allocated. */
#define SMALL_BYTES 192

static const struct vlm_ioctl *find(const struct vlm_ioctl *table, unsigned int cmd)
{
	for (; table->handler; table++) {
		if (table->cmd == cmd)
			return table;
	}
	return NULL;
}

static long locked_handler(const struct vlm_ioctl *entry, struct vlm_call *call)
{
	long ret;

	if (entry->flags & VLM_LOAD_VCPU) {
		ret = vlm_vcpu_load(call->vcpu);
		if (ret)
			return ret;
		ret = entry->handler(call);
		vlm_vcpu_put(call->vcpu);
		return ret;
	}
	if (entry->flags & VLM_LOCK_VM) {
		mutex_lock(&call->vm->lock);
		ret = entry->handler(call);
		mutex_unlock(&call->vm->lock);
		return ret;
	}
	return entry->handler(call);
}

/* Apart from the others, as kernels clear what a function has on the stack. */
static noinline long with_struct(const struct vlm_ioctl *entry, struct vlm_call *call)
{
	size_t size = _IOC_SIZE(call->cmd);
	u64 small[SMALL_BYTES / sizeof(u64)];
	void *large = NULL;
	long ret;

	if (size > sizeof(small)) {
		large = kmalloc(size, GFP_KERNEL_ACCOUNT);
		if (!large)
			return -ENOMEM;
	}
	call->data = large ?: small;
	/* A handler may leave holes: never let them show what was in memory before. */
	if (!(entry->flags & VLM_IN))
		memset(call->data, 0, size);

	ret = -EFAULT;
	if ((entry->flags & VLM_IN) && copy_from_user(call->data, vlm_call_user(call), size))
		goto out;
	ret = locked_handler(entry, call);
	if (ret >= 0 && (entry->flags & VLM_OUT) &&
	    copy_to_user(vlm_call_user(call), call->data, size))
		ret = -EFAULT;
out:
	kfree(large);
	return ret;
}

long vlm_dispatch(const struct vlm_ioctl *table, struct vlm_call *call)
{
	const struct vlm_ioctl *entry = find(table, call->cmd);

	if (!entry)
		return -ENOTTY;
	if ((entry->flags & VLM_NO_ARG) && call->arg)
		return -EINVAL;
	if (entry->flags & (VLM_IN | VLM_OUT))
		return with_struct(entry, call);
	return locked_handler(entry, call);
}
