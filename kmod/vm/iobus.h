/* SPDX-License-Identifier: GPL-2.0-only */
/* Buses of in-kernel devices: ports and memory-mapped ranges. */
#ifndef VLM_VM_IOBUS_H
#define VLM_VM_IOBUS_H

#include <linux/types.h>

struct vlm_vm;
struct vlm_vcpu_head;

/**
 * struct vlm_iodev - a device on a bus
 * @read:  @len is 1, 2, 4 or 8; return 0 when handled, -EOPNOTSUPP to pass on
 * @write: likewise
 * Called in the vCPU thread under vm->srcu, no other lock held. May sleep.
 */
struct vlm_iodev {
	int (*read)(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len, void *val);
	int (*write)(struct vlm_iodev *dev, struct vlm_vcpu_head *v, u64 addr, u32 len,
		     const void *val);
};

struct vlm_iobus_ranges;

struct vlm_iobus {
	struct vlm_iobus_ranges __rcu *ranges;	/* sorted, replaced as a whole */
};

/* Caller holds vm->slots_lock. Range is [addr, addr + len). Return 0, -ENOMEM, -ENOSPC. */
int vlm_iobus_add(struct vlm_vm *vm, struct vlm_iobus *bus, u64 addr, u64 len,
		  struct vlm_iodev *dev);
/* Caller holds vm->slots_lock. On return no reader uses @dev any more. */
void vlm_iobus_remove(struct vlm_vm *vm, struct vlm_iobus *bus, struct vlm_iodev *dev);
void vlm_iobus_destroy(struct vlm_iobus *bus);

/* Return 0 when a device took the access, -EOPNOTSUPP when none did. */
int vlm_iobus_read(struct vlm_vm *vm, struct vlm_iobus *bus, struct vlm_vcpu_head *v, u64 addr,
		   u32 len, void *val);
int vlm_iobus_write(struct vlm_vm *vm, struct vlm_iobus *bus, struct vlm_vcpu_head *v, u64 addr,
		    u32 len, const void *val);

#endif
