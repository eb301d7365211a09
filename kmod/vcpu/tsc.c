// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's time-stamp counter. vCPUs of one machine count alike unless they are told
 * otherwise: a new one takes over the offset of the first, and values that user space
 * writes to all of them in turn count as one.
 */

#include <linux/math64.h>
#include <linux/spinlock.h>

#include <asm/tsc.h>

#include "private.h"

#define UNITY		VLM_TSC_MULTIPLIER_ONE
/* Frequencies this close need no scaling: 250 parts in a million, as NTP corrects at most. */
#define TOLERANCE_PPM	250

/* vlm_tsc::last_write of each machine's first vCPU. */
static DEFINE_SPINLOCK(tsc_lock);

static u64 scaled(const struct vlm_tsc *tsc, u64 host)
{
	return tsc->multiplier == UNITY ? host : mul_u64_u64_shr(host, tsc->multiplier, 48);
}

u64 vlm_tsc_read(struct vlm_vcpu *vcpu)
{
	return scaled(&vcpu->tsc, rdtsc()) + vcpu->tsc.offset;
}

void vlm_tsc_apply(struct vlm_vcpu *vcpu)
{
	vlm_vmx_set_tsc_offset(&vcpu->vmx, vcpu->tsc.offset);
	if (vlm_vmx_caps.tsc_scaling)
		vlm_vmx_set_tsc_multiplier(&vcpu->vmx, vcpu->tsc.multiplier);
	if (vlm_has_lapic(vcpu))
		vlm_lapic_set_tsc(&vcpu->head, vcpu->tsc.multiplier, vcpu->tsc.offset, vcpu->tsc.khz);
}

static struct vlm_tsc *machine_tsc(struct vlm_vcpu *vcpu)
{
	struct vlm_vcpu_head *first = vlm_vm_vcpu(vcpu->head.vm, 0);

	return first ? &vlm_vcpu_of(first)->tsc : &vcpu->tsc;
}

/*
 * A write that lands within a second of where the last one would be by now is meant to
 * be the same moment: take the same offset, so that the vCPUs agree to the tick.
 */
static u64 host_write_offset(struct vlm_vcpu *vcpu, u64 value)
{
	struct vlm_tsc *tsc = &vcpu->tsc, *vm = machine_tsc(vcpu);
	u64 now = scaled(tsc, rdtsc());
	u64 second = (u64)tsc->khz * 1000;
	u64 offset = value - now;
	s64 distance;

	spin_lock(&tsc_lock);
	if (vm->last_write.valid && vm->last_write.khz == tsc->khz) {
		distance = value - (vm->last_write.value + (now - vm->last_write.host));
		/* Zero is what a reset writes, at whatever moment. */
		if (!value || value == vm->last_write.value ||
		    (distance < (s64)second && distance > -(s64)second))
			offset = vm->last_write.offset;
	}
	if (!vm->last_write.valid || offset != vm->last_write.offset) {
		vm->last_write.value = value;
		vm->last_write.host = now;
		vm->last_write.offset = offset;
		vm->last_write.khz = tsc->khz;
		vm->last_write.valid = true;
	}
	spin_unlock(&tsc_lock);
	return offset;
}

void vlm_tsc_init(struct vlm_vcpu *vcpu)
{
	vcpu->tsc.multiplier = UNITY;
	vcpu->tsc.khz = tsc_khz;
	vcpu->tsc.offset = host_write_offset(vcpu, 0);
}

/* A write by the guest moves IA32_TSC_ADJUST along, one by user space does not. */
void vlm_tsc_write(struct vlm_vcpu *vcpu, u64 value, bool host)
{
	u64 offset;

	if (host) {
		offset = host_write_offset(vcpu, value);
	} else {
		offset = value - scaled(&vcpu->tsc, rdtsc());
		vcpu->tsc.adjust += offset - vcpu->tsc.offset;
	}
	vcpu->tsc.offset = offset;
	vlm_tsc_apply(vcpu);
}

void vlm_tsc_set_adjust(struct vlm_vcpu *vcpu, u64 value, bool host)
{
	if (!host) {
		vcpu->tsc.offset += value - vcpu->tsc.adjust;
		vlm_tsc_apply(vcpu);
	}
	vcpu->tsc.adjust = value;
}

u32 vlm_vcpu_tsc_khz(struct vlm_vcpu *vcpu)
{
	return vcpu->tsc.khz;
}

int vlm_vcpu_set_tsc_khz(struct vlm_vcpu *vcpu, u32 khz)
{
	u64 tolerance = div_u64((u64)tsc_khz * TOLERANCE_PPM, 1000000);
	struct vlm_tsc *tsc = &vcpu->tsc;
	u64 now = rdtsc(), guest = scaled(tsc, now) + tsc->offset;
	u64 multiplier = UNITY;

	if (!khz)
		khz = tsc_khz;
	if (khz < tsc_khz - tolerance || khz > tsc_khz + tolerance) {
		if (!vlm_vmx_caps.tsc_scaling)
			return -EINVAL;
		/* Bounds of the field: SDM "TSC multiplier"; 16 bits before the binary point. */
		if (khz / tsc_khz >= BIT(16))
			return -EINVAL;
		multiplier = mul_u64_u32_div(UNITY, khz, tsc_khz);
		if (!multiplier)
			return -EINVAL;
	}
	tsc->multiplier = multiplier;
	tsc->khz = khz;
	/* The counter goes on from where it is. */
	tsc->offset = guest - scaled(tsc, now);
	vlm_tsc_apply(vcpu);
	return 0;
}
