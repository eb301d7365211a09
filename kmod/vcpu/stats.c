// SPDX-License-Identifier: GPL-2.0-only
/* Names of the counters of a vCPU. */

#include <linux/build_bug.h>
#include <linux/kernel.h>

#include "private.h"

#define ONE(index, label, type, of)						\
	{ .name = (label), .kind = (type), .unit = (of), .nr = 1, .word = (index) }
#define EVENTS(index, label)	ONE(index, label, VLM_STAT_CUMULATIVE, VLM_UNIT_NONE)

static const struct vlm_stat_desc descs[] = {
	EVENTS(VLM_VCPU_EXITS, "exits"),
	EVENTS(VLM_VCPU_IO_EXITS, "io_exits"),
	EVENTS(VLM_VCPU_MMIO_EXITS, "mmio_exits"),
	EVENTS(VLM_VCPU_SIGNAL_EXITS, "signal_exits"),
	EVENTS(VLM_VCPU_IRQ_WINDOW_EXITS, "irq_window_exits"),
	EVENTS(VLM_VCPU_NMI_WINDOW_EXITS, "nmi_window_exits"),
	EVENTS(VLM_VCPU_REQUEST_IRQ_EXITS, "request_irq_exits"),
	EVENTS(VLM_VCPU_IRQ_EXITS, "irq_exits"),
	EVENTS(VLM_VCPU_HALT_EXITS, "halt_exits"),
	EVENTS(VLM_VCPU_HALT_WAKEUP, "halt_wakeup"),
	ONE(VLM_VCPU_HALT_WAIT_NS, "halt_wait_ns", VLM_STAT_CUMULATIVE, VLM_UNIT_NS),
	ONE(VLM_VCPU_BLOCKING, "blocking", VLM_STAT_INSTANT, VLM_UNIT_BOOL),
	EVENTS(VLM_VCPU_TLB_FLUSH, "tlb_flush"),
	EVENTS(VLM_VCPU_INVLPG, "invlpg"),
	EVENTS(VLM_VCPU_INSN_EMULATION, "insn_emulation"),
	EVENTS(VLM_VCPU_INSN_EMULATION_FAIL, "insn_emulation_fail"),
	EVENTS(VLM_VCPU_HYPERCALLS, "hypercalls"),
	EVENTS(VLM_VCPU_IRQ_INJECTIONS, "irq_injections"),
	EVENTS(VLM_VCPU_NMI_INJECTIONS, "nmi_injections"),
	EVENTS(VLM_VCPU_REQ_EVENT, "req_event"),
	EVENTS(VLM_VCPU_FPU_RELOAD, "fpu_reload"),
	{ .name = "halt_wait_hist", .kind = VLM_STAT_LOG_HIST, .unit = VLM_UNIT_NS,
	  .nr = VLM_HALT_WAIT_BUCKETS, .word = VLM_NR_VCPU_STATS },
};

void vlm_vcpu_stat_blocks(struct vlm_vcpu *vcpu, struct vlm_stat_block *blocks)
{
	BUILD_BUG_ON(sizeof(vcpu->stats) !=
		     (VLM_NR_VCPU_STATS + VLM_HALT_WAIT_BUCKETS) * sizeof(u64));
	blocks[0] = (struct vlm_stat_block){
		.descs = descs,
		.nr_descs = ARRAY_SIZE(descs),
		.words = (const u64 *)&vcpu->stats,
	};
	vlm_pf_stat_block(vlm_is_shadowed(vcpu) ? &vcpu->shadow.mmu.stats : &vcpu->mmu.stats,
			  &blocks[1]);
}

void vlm_vcpu_count_wait(struct vlm_vcpu *vcpu, u64 ns)
{
	u64 *bucket = &vcpu->stats.halt_wait[vlm_hist_bucket(ns, VLM_HALT_WAIT_BUCKETS)];
	u64 *sum = &vcpu->stats.v[VLM_VCPU_HALT_WAIT_NS];

	WRITE_ONCE(*sum, *sum + ns);
	WRITE_ONCE(*bucket, *bucket + 1);
}
