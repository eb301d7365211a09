// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CHECK_EXTENSION: what this module really does. A capability that stands
 * neither here nor in vcpu/'s list reads 0, and its ioctls fail as on a KVM that
 * lacks it.
 */

#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/kvm.h>

#include "../irqchip/irqchip.h"
#include "../vcpu/vcpu.h"
#include "../vm/vm.h"
#include "call.h"

struct capability {
	unsigned int cap;
	int value;
};

static const struct capability capabilities[] = {
	/* The API itself. */
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_BINARY_STATS_FD, 1 },
	/* Memory. */
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_NR_MEMSLOTS, VLM_MEMSLOTS_MAX },
	{ KVM_CAP_MULTI_ADDRESS_SPACE, VLM_AS_NUM },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	  KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET },
	{ KVM_CAP_DIRTY_LOG_RING, VLM_DIRTY_RING_BYTES },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, VLM_DIRTY_RING_BYTES },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	/* vCPUs. */
	{ KVM_CAP_MAX_VCPUS, VLM_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, VLM_MAX_VCPU_IDS },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_DISABLE_QUIRKS, 1 },
	{ KVM_CAP_DISABLE_QUIRKS2, VLM_VALID_QUIRKS },
	/* Interrupts. */
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_IRQ_ROUTING, VLM_MAX_IRQ_ROUTES },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	{ KVM_CAP_PIT, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	/* Time. */
	{ KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_REALTIME },
};

long vlm_capability(unsigned long cap)
{
	unsigned int i;

	if (cap == KVM_CAP_NR_VCPUS)
		return min_t(unsigned int, num_online_cpus(), VLM_MAX_VCPUS);
	for (i = 0; i < ARRAY_SIZE(capabilities); i++) {
		if (capabilities[i].cap == cap)
			return capabilities[i].value;
	}
	return vlm_vcpu_check_extension(cap);
}
