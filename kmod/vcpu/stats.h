/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a vCPU counts. Each name means what it means in KVM. Written by the thread that
 * holds the vCPU's lock, readable at any time.
 */
#ifndef VLM_VCPU_STATS_H
#define VLM_VCPU_STATS_H

#include <linux/compiler.h>
#include <linux/types.h>

struct vlm_vcpu;

enum vlm_vcpu_stat {
	VLM_VCPU_EXITS,			/* VM exits */
	VLM_VCPU_IO_EXITS,		/* port instructions */
	VLM_VCPU_MMIO_EXITS,		/* device memory that user space had to serve */
	VLM_VCPU_SIGNAL_EXITS,		/* KVM_RUN interrupted by a signal */
	VLM_VCPU_IRQ_WINDOW_EXITS,
	VLM_VCPU_NMI_WINDOW_EXITS,
	VLM_VCPU_REQUEST_IRQ_EXITS,	/* user space asked for an interrupt window and got it */
	VLM_VCPU_IRQ_EXITS,		/* interrupts of the host */
	VLM_VCPU_HALT_EXITS,		/* HLT */
	VLM_VCPU_HALT_WAKEUP,		/* slept halted and was woken */
	VLM_VCPU_HALT_WAIT_NS,		/* slept altogether */
	VLM_VCPU_BLOCKING,		/* sleeps now */
	VLM_VCPU_TLB_FLUSH,		/* requests carried out */
	VLM_VCPU_INVLPG,
	VLM_VCPU_INSN_EMULATION,
	VLM_VCPU_INSN_EMULATION_FAIL,
	VLM_VCPU_HYPERCALLS,
	VLM_VCPU_IRQ_INJECTIONS,
	VLM_VCPU_NMI_INJECTIONS,
	VLM_VCPU_REQ_EVENT,
	VLM_VCPU_FPU_RELOAD,		/* guest state loaded for KVM_RUN */
	VLM_NR_VCPU_STATS
};

#define VLM_HALT_WAIT_BUCKETS	32

struct vlm_vcpu_stats {
	u64 v[VLM_NR_VCPU_STATS];
	u64 halt_wait[VLM_HALT_WAIT_BUCKETS];	/* sleeps by nanoseconds */
};

/* The vCPU's own counters, and those of its part of the MMU. */
#define VLM_VCPU_STAT_BLOCKS	2
struct vlm_stat_block;
void vlm_vcpu_stat_blocks(struct vlm_vcpu *vcpu, struct vlm_stat_block *blocks);

#endif
