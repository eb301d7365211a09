// SPDX-License-Identifier: GPL-2.0-only
/* Ioctls of the device: what the module offers, and new machines. */

#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../vcpu/vcpu.h"
#include "call.h"

/* Limit on entries of one KVM_GET_MSRS or KVM_SET_MSRS, KVM's. */
#define MAX_IO_MSRS 256

static long get_api_version(struct vlm_call *call)
{
	return KVM_API_VERSION;
}

static long create_vm(struct vlm_call *call)
{
	return vlm_open_vm(call->arg);
}

static long check_extension(struct vlm_call *call)
{
	return vlm_capability(call->arg);
}

static long get_vcpu_mmap_size(struct vlm_call *call)
{
	return VLM_VCPU_MMAP_PAGES * PAGE_SIZE;
}

static long get_supported_cpuid(struct vlm_call *call)
{
	struct kvm_cpuid2 __user *user = vlm_call_user(call);
	struct kvm_cpuid2 *cpuid = call->data;
	struct kvm_cpuid_entry2 *entries;
	u32 max = min_t(u32, cpuid->nent, VLM_MAX_CPUID_ENTRIES);
	long ret;

	if (!max)
		return -E2BIG;
	entries = kvcalloc(max, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	ret = vlm_cpuid_supported(entries, max);
	if (ret < 0)
		goto out;
	cpuid->nent = ret;
	ret = 0;
	if (copy_to_user(user->entries, entries, array_size(cpuid->nent, sizeof(*entries))))
		ret = -EFAULT;
out:
	kvfree(entries);
	return ret;
}

/* Nothing is emulated beyond what the hardware has. */
static long get_emulated_cpuid(struct vlm_call *call)
{
	struct kvm_cpuid2 *cpuid = call->data;

	if (!cpuid->nent)
		return -E2BIG;
	cpuid->nent = 0;
	return 0;
}

/* The number of indices is written back even when there is no room for them. */
static long copy_index_list(struct vlm_call *call, const u32 *list, u32 nr)
{
	struct kvm_msr_list __user *user = vlm_call_user(call);
	struct kvm_msr_list *head = call->data;
	u32 room = head->nmsrs;

	head->nmsrs = nr;
	if (copy_to_user(user, head, sizeof(*head)))
		return -EFAULT;
	if (room < nr)
		return -E2BIG;
	if (copy_to_user(user->indices, list, array_size(nr, sizeof(*list))))
		return -EFAULT;
	return 0;
}

static long get_msr_index_list(struct vlm_call *call)
{
	const u32 *list;
	u32 nr = vlm_msr_index_list(&list);

	return copy_index_list(call, list, nr);
}

static long get_msr_feature_index_list(struct vlm_call *call)
{
	const u32 *list;
	u32 nr = vlm_msr_feature_list(&list);

	return copy_index_list(call, list, nr);
}

long vlm_msr_io(struct vlm_call *call, int (*io)(struct vlm_vcpu *vcpu,
						 struct kvm_msr_entry *entries, u32 nr))
{
	struct kvm_msrs __user *user = vlm_call_user(call);
	struct kvm_msrs *head = call->data;
	struct kvm_msr_entry *entries;
	size_t size;
	long ret;

	if (head->nmsrs >= MAX_IO_MSRS)
		return -E2BIG;
	size = array_size(head->nmsrs, sizeof(*entries));
	entries = vmemdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = io(call->vcpu, entries, head->nmsrs);
	if (ret >= 0 && call->cmd == KVM_GET_MSRS && copy_to_user(user->entries, entries, size))
		ret = -EFAULT;
	kvfree(entries);
	return ret;
}

static int get_features(struct vlm_vcpu *unused, struct kvm_msr_entry *entries, u32 nr)
{
	return vlm_msr_get_features(entries, nr);
}

static long get_feature_msrs(struct vlm_call *call)
{
	return vlm_msr_io(call, get_features);
}

static long get_mce_cap_supported(struct vlm_call *call)
{
	u64 *cap = call->data;

	*cap = vlm_mce_cap_supported();
	return 0;
}

const struct vlm_ioctl vlm_system_ioctls[] = {
	{ KVM_GET_API_VERSION, VLM_NO_ARG, get_api_version },
	{ KVM_CREATE_VM, 0, create_vm },
	{ KVM_CHECK_EXTENSION, 0, check_extension },
	{ KVM_GET_VCPU_MMAP_SIZE, VLM_NO_ARG, get_vcpu_mmap_size },
	{ KVM_GET_SUPPORTED_CPUID, VLM_IN | VLM_OUT, get_supported_cpuid },
	{ KVM_GET_EMULATED_CPUID, VLM_IN | VLM_OUT, get_emulated_cpuid },
	{ KVM_GET_MSR_INDEX_LIST, VLM_IN, get_msr_index_list },
	{ KVM_GET_MSR_FEATURE_INDEX_LIST, VLM_IN, get_msr_feature_index_list },
	{ KVM_GET_MSRS, VLM_IN, get_feature_msrs },
	{ KVM_X86_GET_MCE_CAP_SUPPORTED, VLM_OUT, get_mce_cap_supported },
	{}
};
