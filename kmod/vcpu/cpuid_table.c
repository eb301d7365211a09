// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_SUPPORTED_CPUID: the host's leaves, masked by what works in a guest. */

#include <linux/bitops.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include <uapi/linux/kvm_para.h>
#include <asm/processor.h>

#include "private.h"

/* A list that counts entries beyond its end. */
struct list {
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	u32 max;
};

static struct kvm_cpuid_entry2 *add(struct list *list, u32 leaf, u32 index, u32 flags)
{
	static struct kvm_cpuid_entry2 nowhere;
	struct kvm_cpuid_entry2 *e = &nowhere;

	if (list->nent < list->max)
		e = &list->entries[list->nent];
	list->nent++;
	if (e == &nowhere)
		return NULL;
	memset(e, 0, sizeof(*e));
	e->function = leaf;
	e->index = index;
	e->flags = flags;
	return e;
}

/* A copy of the host's leaf, or NULL when the list is full. */
static struct kvm_cpuid_entry2 *add_host(struct list *list, u32 leaf, u32 index, u32 flags)
{
	struct kvm_cpuid_entry2 *e = add(list, leaf, index, flags);

	if (e)
		cpuid_count(leaf, index, &e->eax, &e->ebx, &e->ecx, &e->edx);
	return e;
}

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static void add_features(struct list *list)
{
	struct kvm_cpuid_entry2 *e = add_host(list, 1, 0, 0);

	if (e) {
		/* Number of logical processors and APIC ID are user space's. */
		e->ebx &= 0xffff;
		e->ecx = vlm_cpuid_cap(VLM_CPUID_1_ECX);
		e->edx = vlm_cpuid_cap(VLM_CPUID_1_EDX);
	}
}

static void add_caches(struct list *list)
{
	u32 i;

	for (i = 0; i < 8; i++) {
		u32 type = cpuid_eax(4), ebx, ecx, edx;
		struct kvm_cpuid_entry2 *e;

		cpuid_count(4, i, &type, &ebx, &ecx, &edx);
		e = add_host(list, 4, i, INDEXED);
		/* One core per package, until user space says otherwise. */
		if (e)
			e->eax &= 0x3fff;
		if (!(type & 0x1f))
			break;
	}
}

static void add_structured(struct list *list)
{
	struct kvm_cpuid_entry2 *e = add(list, 7, 0, INDEXED);
	u32 eax = 0, ebx, ecx, edx;

	/* AVX_VNNI, AVX512_BF16 */
	if (cpuid_eax(7) >= 1) {
		cpuid_count(7, 1, &eax, &ebx, &ecx, &edx);
		eax &= BIT(4) | BIT(5);
	}
	if (e) {
		e->eax = eax ? 1 : 0;
		e->ebx = vlm_cpuid_cap(VLM_CPUID_7_EBX);
		e->ecx = vlm_cpuid_cap(VLM_CPUID_7_ECX);
		e->edx = vlm_cpuid_cap(VLM_CPUID_7_EDX);
	}
	if (!eax)
		return;
	e = add(list, 7, 1, INDEXED);
	if (e)
		e->eax = eax;
}

static void add_xstate(struct list *list)
{
	u64 xcr0 = vlm_supported_xcr0();
	struct kvm_cpuid_entry2 *e;
	u32 i;

	if (!xcr0)
		return;
	e = add(list, 0xd, 0, INDEXED);
	if (e) {
		e->eax = xcr0;
		e->edx = xcr0 >> 32;
		e->ebx = vlm_xstate_bytes(xcr0, false);
		e->ecx = e->ebx;
	}
	e = add(list, 0xd, 1, INDEXED);
	if (e) {
		e->eax = vlm_cpuid_cap(VLM_CPUID_D_1_EAX);
		if (e->eax & (BIT(1) | BIT(3)))
			e->ebx = vlm_xstate_bytes(xcr0, true);
	}
	for (i = 2; i < 63; i++) {
		if (!(xcr0 & BIT_ULL(i)))
			continue;
		e = add_host(list, 0xd, i, INDEXED);
		if (e)
			e->edx = 0;
	}
}

static void add_basic(struct list *list)
{
	u32 max = min(cpuid_eax(0), 0x16u);
	struct kvm_cpuid_entry2 *e;
	u32 leaf;

	e = add_host(list, 0, 0, 0);
	if (e)
		e->eax = max;
	for (leaf = 1; leaf <= max; leaf++) {
		switch (leaf) {
		case 1:
			add_features(list);
			break;
		case 2:
			add_host(list, 2, 0, 0);
			break;
		case 4:
			add_caches(list);
			break;
		case 6:
			/* ARAT: the timer runs in every sleep state. */
			e = add(list, 6, 0, 0);
			if (e)
				e->eax = BIT(2);
			break;
		case 7:
			add_structured(list);
			break;
		case 0xb:
			/* No topology, until user space describes one. */
			add(list, 0xb, 0, INDEXED);
			break;
		case 0xd:
			add_xstate(list);
			break;
		default:
			/* MONITOR, PMU, RDT, SGX, PT, frequencies: nothing to offer. */
			add(list, leaf, 0, 0);
			break;
		}
	}
}

/* KVM's signature: guests look for it before they use KVM's paravirtual interface. */
static void add_hypervisor(struct list *list)
{
	struct kvm_cpuid_entry2 *e = add(list, KVM_CPUID_SIGNATURE, 0, 0);
	u32 signature[3];

	if (e) {
		memcpy(signature, "KVMKVMKVM\0\0\0", 12);
		e->eax = KVM_CPUID_FEATURES;
		e->ebx = signature[0];
		e->ecx = signature[1];
		e->edx = signature[2];
	}
	e = add(list, KVM_CPUID_FEATURES, 0, 0);
	/* Ports need no delay between accesses. Nothing else is paravirtual. */
	if (e)
		e->eax = BIT(KVM_FEATURE_NOP_IO_DELAY);
}

static void add_extended(struct list *list)
{
	u32 max = min(cpuid_eax(0x80000000), 0x80000008u);
	struct kvm_cpuid_entry2 *e;
	u32 leaf;

	e = add(list, 0x80000000, 0, 0);
	if (e)
		e->eax = max;
	for (leaf = 0x80000001; leaf <= max; leaf++) {
		e = add_host(list, leaf, 0, 0);
		if (!e)
			continue;
		switch (leaf) {
		case 0x80000001:
			e->ebx = 0;
			e->ecx = vlm_cpuid_cap(VLM_CPUID_80000001_ECX);
			e->edx = vlm_cpuid_cap(VLM_CPUID_80000001_EDX);
			break;
		case 0x80000007:
			e->eax = 0;
			e->ebx = 0;
			e->ecx = 0;
			/* Invariant TSC. */
			e->edx &= BIT(8);
			break;
		case 0x80000008:
			e->eax = (e->eax & 0xff00) | vlm_host_maxphyaddr();
			if (!(vlm_cpuid_cap(VLM_CPUID_7_ECX) & BIT(16)))
				e->eax = 48 << 8 | vlm_host_maxphyaddr();
			e->ebx = 0;
			e->ecx = 0;
			e->edx = 0;
			break;
		}
	}
}

int vlm_cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 max)
{
	struct list list = { .entries = entries, .max = max };

	add_basic(&list);
	add_hypervisor(&list);
	add_extended(&list);
	return list.nent > max ? -E2BIG : list.nent;
}
