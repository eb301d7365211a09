/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The ABI of /dev/vellum is that of <linux/kvm.h>; what stands here beside its
 * inclusion are extensions, of which there are none yet, and what older headers lack.
 */
#ifndef _UAPI_VELLUM_H
#define _UAPI_VELLUM_H

#ifdef __cplusplus
/*
 * The kernel's macro puts an empty struct before a flexible array. An empty struct
 * takes a byte in C++, so struct kvm_cpuid2 and others would grow, and with them the
 * ioctl numbers that hold their size.
 */
#include <linux/stddef.h>
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(type, name) type name[]
#endif

#include <linux/kvm.h>

#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL (1 << 7)
#endif

#ifdef __cplusplus
static_assert(sizeof(struct kvm_cpuid2) == 8, "include this header before <linux/kvm.h>");
static_assert(sizeof(struct kvm_msrs) == 8, "include this header before <linux/kvm.h>");
static_assert(sizeof(struct kvm_irq_routing) == 8, "include this header before <linux/kvm.h>");
static_assert(sizeof(struct kvm_signal_mask) == 4, "include this header before <linux/kvm.h>");
#endif

#endif
