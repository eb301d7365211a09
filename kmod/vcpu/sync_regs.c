// SPDX-License-Identifier: GPL-2.0-only
/* KVM_CAP_SYNC_REGS: registers through the run page, which user space may write meanwhile. */

#include <linux/string.h>

#include "private.h"

int vlm_sync_regs_check(const struct kvm_run *run)
{
	u64 fields = READ_ONCE(run->kvm_valid_regs) | READ_ONCE(run->kvm_dirty_regs);

	return fields & ~(u64)KVM_SYNC_X86_VALID_FIELDS ? -EINVAL : 0;
}

/* One copy first: what is checked is what is used. */
union sync_copy {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
};

/* The copies are large, and clearing the stack for them would cost those who have nothing to sync. */
static noinline int load(struct vlm_vcpu *vcpu, u64 dirty)
{
	struct kvm_run *run = vcpu->run;
	union sync_copy copy;

	if (dirty & KVM_SYNC_X86_REGS) {
		memcpy(&copy.regs, &run->s.regs.regs, sizeof(copy.regs));
		vlm_vcpu_set_regs(vcpu, &copy.regs);
		run->kvm_dirty_regs &= ~(u64)KVM_SYNC_X86_REGS;
	}
	if (dirty & KVM_SYNC_X86_SREGS) {
		memcpy(&copy.sregs, &run->s.regs.sregs, sizeof(copy.sregs));
		barrier();
		if (vlm_vcpu_set_sregs(vcpu, &copy.sregs))
			return -EINVAL;
		run->kvm_dirty_regs &= ~(u64)KVM_SYNC_X86_SREGS;
	}
	if (dirty & KVM_SYNC_X86_EVENTS) {
		memcpy(&copy.events, &run->s.regs.events, sizeof(copy.events));
		barrier();
		if (vlm_vcpu_set_events(vcpu, &copy.events))
			return -EINVAL;
		run->kvm_dirty_regs &= ~(u64)KVM_SYNC_X86_EVENTS;
	}
	return 0;
}

int vlm_sync_regs_load(struct vlm_vcpu *vcpu)
{
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);

	return unlikely(dirty) ? load(vcpu, dirty) : 0;
}

static noinline void store(struct vlm_vcpu *vcpu, u64 valid)
{
	struct kvm_run *run = vcpu->run;
	union sync_copy copy;

	if (valid & KVM_SYNC_X86_REGS) {
		vlm_vcpu_get_regs(vcpu, &copy.regs);
		memcpy(&run->s.regs.regs, &copy.regs, sizeof(copy.regs));
	}
	if (valid & KVM_SYNC_X86_SREGS) {
		vlm_vcpu_get_sregs(vcpu, &copy.sregs);
		memcpy(&run->s.regs.sregs, &copy.sregs, sizeof(copy.sregs));
	}
	if (valid & KVM_SYNC_X86_EVENTS) {
		vlm_vcpu_get_events(vcpu, &copy.events);
		memcpy(&run->s.regs.events, &copy.events, sizeof(copy.events));
	}
}

void vlm_sync_regs_store(struct vlm_vcpu *vcpu)
{
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);

	if (unlikely(valid))
		store(vcpu, valid);
}
