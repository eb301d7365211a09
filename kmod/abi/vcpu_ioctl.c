// SPDX-License-Identifier: GPL-2.0-only
/* Ioctls of a vCPU. */

#include <linux/kvm.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "../vcpu/vcpu.h"
#include "call.h"

static long run(struct vlm_call *call)
{
	return vlm_vcpu_run(call->vcpu);
}

/* Handlers that only pass the struct on. */
#define PASS_ON(name)						\
	static long name(struct vlm_call *call)			\
	{							\
		return vlm_vcpu_##name(call->vcpu, call->data);	\
	}

PASS_ON(get_regs)
PASS_ON(set_regs)
PASS_ON(get_sregs)
PASS_ON(set_sregs)
PASS_ON(get_sregs2)
PASS_ON(set_sregs2)
PASS_ON(get_fpu)
PASS_ON(set_fpu)
PASS_ON(get_xsave)
PASS_ON(set_xsave)
PASS_ON(get_xcrs)
PASS_ON(set_xcrs)
PASS_ON(get_debugregs)
PASS_ON(set_debugregs)
PASS_ON(get_events)
PASS_ON(set_events)
PASS_ON(get_mp_state)
PASS_ON(set_mp_state)
PASS_ON(interrupt)
PASS_ON(set_guest_debug)
PASS_ON(translate)
PASS_ON(enable_cap)
PASS_ON(get_lapic)
PASS_ON(set_lapic)
PASS_ON(tpr_access_reporting)
PASS_ON(set_vapic_addr)

static long nmi(struct vlm_call *call)
{
	return vlm_vcpu_nmi(call->vcpu);
}

static long set_tsc_khz(struct vlm_call *call)
{
	return vlm_vcpu_set_tsc_khz(call->vcpu, call->arg);
}

static long get_tsc_khz(struct vlm_call *call)
{
	return vlm_vcpu_tsc_khz(call->vcpu);
}

static long setup_mce(struct vlm_call *call)
{
	return vlm_vcpu_setup_mce(call->vcpu, *(u64 *)call->data);
}

static long kvmclock_ctrl(struct vlm_call *call)
{
	return vlm_vcpu_kvmclock_ctrl(call->vcpu);
}

static long set_signal_mask(struct vlm_call *call)
{
	struct kvm_signal_mask __user *user = vlm_call_user(call);
	struct kvm_signal_mask head;
	sigset_t mask;

	if (!user)
		return vlm_vcpu_set_signal_mask(call->vcpu, NULL);
	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.len != sizeof(mask))
		return -EINVAL;
	/* 32-bit and 64-bit callers lay out the 64 bits alike. */
	if (copy_from_user(&mask, user->sigset, sizeof(mask)))
		return -EFAULT;
	return vlm_vcpu_set_signal_mask(call->vcpu, &mask);
}

/* CPUID. The older struct has neither sub-leaves nor flags. */
static long set_cpuid(struct vlm_call *call)
{
	struct kvm_cpuid __user *user = vlm_call_user(call);
	const struct kvm_cpuid *head = call->data;
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid_entry *old;
	long ret;
	u32 i;

	if (head->nent > VLM_MAX_CPUID_ENTRIES)
		return -E2BIG;
	old = vmemdup_user(user->entries, array_size(head->nent, sizeof(*old)));
	if (IS_ERR(old))
		return PTR_ERR(old);
	ret = -ENOMEM;
	entries = kvcalloc(max(head->nent, 1u), sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		goto out;
	for (i = 0; i < head->nent; i++) {
		entries[i].function = old[i].function;
		entries[i].eax = old[i].eax;
		entries[i].ebx = old[i].ebx;
		entries[i].ecx = old[i].ecx;
		entries[i].edx = old[i].edx;
	}
	ret = vlm_vcpu_set_cpuid(call->vcpu, entries, head->nent);
	kvfree(entries);
out:
	kvfree(old);
	return ret;
}

static long set_cpuid2(struct vlm_call *call)
{
	struct kvm_cpuid2 __user *user = vlm_call_user(call);
	const struct kvm_cpuid2 *head = call->data;
	struct kvm_cpuid_entry2 *entries;
	long ret;

	if (head->nent > VLM_MAX_CPUID_ENTRIES)
		return -E2BIG;
	entries = vmemdup_user(user->entries, array_size(head->nent, sizeof(*entries)));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	ret = vlm_vcpu_set_cpuid(call->vcpu, entries, head->nent);
	kvfree(entries);
	return ret;
}

static long get_cpuid2(struct vlm_call *call)
{
	struct kvm_cpuid2 __user *user = vlm_call_user(call);
	struct kvm_cpuid2 *head = call->data;
	struct kvm_cpuid_entry2 *entries;
	u32 max = min_t(u32, head->nent, VLM_MAX_CPUID_ENTRIES);
	long ret;

	entries = kvcalloc(VLM_MAX_CPUID_ENTRIES, sizeof(*entries), GFP_KERNEL_ACCOUNT);
	if (!entries)
		return -ENOMEM;
	ret = vlm_vcpu_get_cpuid(call->vcpu, entries, max);
	if (ret < 0)
		goto out;
	head->nent = ret;
	ret = 0;
	if (copy_to_user(user->entries, entries, array_size(head->nent, sizeof(*entries))))
		ret = -EFAULT;
out:
	kvfree(entries);
	return ret;
}

static long get_msrs(struct vlm_call *call)
{
	return vlm_msr_io(call, vlm_vcpu_get_msrs);
}

static int set_entries(struct vlm_vcpu *vcpu, struct kvm_msr_entry *entries, u32 nr)
{
	return vlm_vcpu_set_msrs(vcpu, entries, nr);
}

static long set_msrs(struct vlm_call *call)
{
	return vlm_msr_io(call, set_entries);
}

/* Counters are read without the vCPU's lock: a vCPU that runs can be watched. */
static long get_stats_fd(struct vlm_call *call)
{
	return vlm_open_vcpu_stats(call->vcpu);
}

#define GET	(VLM_OUT | VLM_LOAD_VCPU)
#define SET	(VLM_IN | VLM_LOAD_VCPU)

const struct vlm_ioctl vlm_vcpu_ioctls[] = {
	{ KVM_RUN, VLM_NO_ARG | VLM_LOAD_VCPU, run },
	{ KVM_GET_REGS, GET, get_regs },
	{ KVM_SET_REGS, SET, set_regs },
	{ KVM_GET_SREGS, GET, get_sregs },
	{ KVM_SET_SREGS, SET, set_sregs },
	{ KVM_GET_SREGS2, GET, get_sregs2 },
	{ KVM_SET_SREGS2, SET, set_sregs2 },
	{ KVM_GET_FPU, GET, get_fpu },
	{ KVM_SET_FPU, SET, set_fpu },
	{ KVM_GET_XSAVE, GET, get_xsave },
	{ KVM_GET_XSAVE2, GET, get_xsave },	/* never larger: see KVM_CAP_XSAVE2 */
	{ KVM_SET_XSAVE, SET, set_xsave },
	{ KVM_GET_XCRS, GET, get_xcrs },
	{ KVM_SET_XCRS, SET, set_xcrs },
	{ KVM_GET_DEBUGREGS, GET, get_debugregs },
	{ KVM_SET_DEBUGREGS, SET, set_debugregs },
	{ KVM_GET_VCPU_EVENTS, GET, get_events },
	{ KVM_SET_VCPU_EVENTS, SET, set_events },
	{ KVM_GET_MP_STATE, GET, get_mp_state },
	{ KVM_SET_MP_STATE, SET, set_mp_state },
	{ KVM_INTERRUPT, SET, interrupt },
	{ KVM_NMI, VLM_LOAD_VCPU, nmi },
	{ KVM_SET_GUEST_DEBUG, SET, set_guest_debug },
	{ KVM_TRANSLATE, SET | GET, translate },
	{ KVM_SET_SIGNAL_MASK, VLM_LOAD_VCPU, set_signal_mask },
	{ KVM_SET_TSC_KHZ, VLM_LOAD_VCPU, set_tsc_khz },
	{ KVM_GET_TSC_KHZ, VLM_LOAD_VCPU, get_tsc_khz },
	{ KVM_ENABLE_CAP, SET, enable_cap },
	{ KVM_X86_SETUP_MCE, SET, setup_mce },
	{ KVM_KVMCLOCK_CTRL, VLM_LOAD_VCPU, kvmclock_ctrl },
	{ KVM_GET_LAPIC, GET, get_lapic },
	{ KVM_SET_LAPIC, SET, set_lapic },
	{ KVM_TPR_ACCESS_REPORTING, SET | GET, tpr_access_reporting },
	{ KVM_SET_VAPIC_ADDR, SET, set_vapic_addr },
	{ KVM_SET_CPUID, SET, set_cpuid },
	{ KVM_SET_CPUID2, SET, set_cpuid2 },
	{ KVM_GET_CPUID2, SET | VLM_OUT, get_cpuid2 },
	{ KVM_GET_MSRS, SET, get_msrs },
	{ KVM_SET_MSRS, SET, set_msrs },
	{ KVM_GET_STATS_FD, 0, get_stats_fd },
	{}
};
