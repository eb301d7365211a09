/* SPDX-License-Identifier: GPL-2.0-only */
/* Private to abi/: what the dispatcher hands to a handler, and the tables. */
#ifndef VLM_ABI_CALL_H
#define VLM_ABI_CALL_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>

struct file;
struct vlm_vcpu;
struct vlm_vm;

/**
 * struct vlm_call - one ioctl on its way
 * @vm:		the machine, NULL at system level
 * @vcpu:	the vCPU, NULL above vCPU level
 * @cmd:	the command
 * @arg:	the argument as user space gave it
 * @data:	kernel copy of what @arg points to, _IOC_SIZE(@cmd) bytes, if the
 *		table entry has VLM_IN or VLM_OUT; else NULL
 */
struct vlm_call {
	struct vlm_vm *vm;
	struct vlm_vcpu *vcpu;
	unsigned int cmd;
	unsigned long arg;
	void *data;
};

/* The argument as a user pointer, for handlers of structs with a variable tail. */
static inline void __user *vlm_call_user(const struct vlm_call *call)
{
	return (void __user *)call->arg;
}

/*
 * Direction is stated here and not taken from the command: KVM_SET_PIT and
 * KVM_SET_IRQCHIP are read commands by number and write commands by meaning.
 */
#define VLM_IN		BIT(0)	/* copy the struct from user space before the handler */
#define VLM_OUT		BIT(1)	/* copy it back if the handler did not fail */
#define VLM_NO_ARG	BIT(2)	/* the argument must be zero, else -EINVAL */
#define VLM_LOCK_VM	BIT(3)	/* hold vm->lock around the handler */
#define VLM_LOAD_VCPU	BIT(4)	/* have the vCPU locked and loaded around the handler */

struct vlm_ioctl {
	unsigned int cmd;
	unsigned int flags;
	long (*handler)(struct vlm_call *call);
};

/* Tables end with an entry without handler. */
extern const struct vlm_ioctl vlm_system_ioctls[];
extern const struct vlm_ioctl vlm_vm_ioctls[];
extern const struct vlm_ioctl vlm_vcpu_ioctls[];

/*
 * Find @call->cmd in @table and run it. -ENOTTY when it is not there, -EFAULT for
 * a bad pointer, -ENOMEM, -EINTR (killed while waiting for the vCPU), else what
 * the handler returns. Needs no lock, may sleep.
 */
long vlm_dispatch(const struct vlm_ioctl *table, struct vlm_call *call);

/* KVM_CHECK_EXTENSION, the same answer on the device and on a VM. */
long vlm_capability(unsigned long cap);

/* Files. Each returns a new fd or a negative errno. */
long vlm_open_vm(unsigned long type);
long vlm_open_vcpu(struct vlm_vm *vm, unsigned long id);
long vlm_open_vm_stats(struct vlm_vm *vm);
long vlm_open_vcpu_stats(struct vlm_vcpu *vcpu);

/* Handlers shared by the system level and the vCPU level. */
struct kvm_msr_entry;
long vlm_msr_io(struct vlm_call *call, int (*io)(struct vlm_vcpu *vcpu,
						 struct kvm_msr_entry *entries, u32 nr));

#endif
