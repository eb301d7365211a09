// SPDX-License-Identifier: GPL-2.0-only
/* The nanosecond clock of a machine: CLOCK_BOOTTIME plus an offset that user space sets. */

#include <linux/ktime.h>

#include "vm.h"

void vlm_vm_get_clock(struct vlm_vm *vm, struct kvm_clock_data *data)
{
	mutex_lock(&vm->lock);
	data->clock = ktime_get_boottime_ns() + vm->clock_offset;
	data->realtime = ktime_get_real_ns();
	data->flags = KVM_CLOCK_REALTIME;
	mutex_unlock(&vm->lock);
}

int vlm_vm_set_clock(struct vlm_vm *vm, const struct kvm_clock_data *data)
{
	u64 clock = data->clock;

	/* The two other flags describe what KVM_GET_CLOCK returned; they ask for nothing. */
	if (data->flags & ~(KVM_CLOCK_REALTIME | KVM_CLOCK_TSC_STABLE | KVM_CLOCK_HOST_TSC))
		return -EINVAL;

	mutex_lock(&vm->lock);
	if (data->flags & KVM_CLOCK_REALTIME) {
		u64 now = ktime_get_real_ns();

		/* Account for the time the state was on its way, but never step back. */
		if (now > data->realtime)
			clock += now - data->realtime;
	}
	vm->clock_offset = clock - ktime_get_boottime_ns();
	mutex_unlock(&vm->lock);
	return 0;
}
