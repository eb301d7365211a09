/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the other folders may know of a vCPU: its identity, its request word
 * and how to kick it. Everything else of a vCPU is private to vcpu/.
 */
#ifndef VLM_VCPU_REQUEST_H
#define VLM_VCPU_REQUEST_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/rcuwait.h>
#include <linux/types.h>

#include "mmu/dirty_ring.h"
#include "mmu/stats.h"

#include "stats.h"

struct vlm_lapic;
struct vlm_vm;

/* Work that a vCPU must do before it next enters the guest. */
enum vlm_request {
	VLM_REQ_TLB_FLUSH,	/* drop all guest translations of this vCPU */
	VLM_REQ_MMU_RELOAD,	/* the root may be obsolete: look up a new one */
	VLM_REQ_EVENT,		/* interrupt, NMI, INIT or SIPI state changed */
	VLM_REQ_VM_DEAD,	/* an invariant broke: leave with -EIO */
	VLM_REQ_CLOCK,		/* TSC offset or paravirtual clock changed */
	VLM_REQ_KICK,		/* nothing but an exit: re-read the run page */
	VLM_REQ_SCAN_IOAPIC,	/* EOI exit bitmap or routing changed */
};

/* Where a vCPU is. Pairs with the request word as a Dekker pair. */
enum vlm_vcpu_mode {
	VLM_OUTSIDE_GUEST,
	VLM_IN_GUEST,		/* from the last request check to the VM exit */
	VLM_EXITING,		/* kicked: an IPI is on its way */
	VLM_READING_TABLES,	/* lockless walk of shadow tables, IRQs off */
};

/* Bits of vlm_vcpu_head::events. */
enum vlm_event {
	VLM_EVENT_INIT,
	VLM_EVENT_SIPI,
	VLM_EVENT_NMI,
	VLM_EVENT_SMI,
};

/**
 * struct vlm_vcpu_head - the public part of a vCPU, first member of struct vlm_vcpu
 * @vm:		the machine; constant
 * @id:		KVM_CREATE_VCPU argument, the APIC ID; constant
 * @idx:	position in vlm_vm::vcpus; constant
 * @requests:	bits of enum vlm_request; atomic
 * @mode:	enum vlm_vcpu_mode; written by the vCPU thread, and by a kicker
 *		from IN_GUEST to EXITING with cmpxchg
 * @cpu:	physical CPU that the vCPU is loaded on, -1 when on none
 * @events:	bits of enum vlm_event; atomic
 * @sipi_vector: start-up vector; written before VLM_EVENT_SIPI is set
 * @wait:	where the vCPU thread sleeps when halted
 * @stats:	where its counters are; constant
 * @lapic:	in-kernel local APIC or NULL; constant after creation
 * @ring:	dirty ring, without entries unless the machine has rings
 */
struct vlm_vcpu_head {
	struct vlm_vm *vm;
	u32 id;
	u32 idx;
	unsigned long requests;
	int mode;
	int cpu;
	unsigned long events;
	u8 sipi_vector;
	struct rcuwait wait;
	struct vlm_stat_block stats[VLM_VCPU_STAT_BLOCKS];
	struct vlm_lapic *lapic;
	struct vlm_dirty_ring ring;
};

/* Set @req without waking or interrupting the vCPU. Full barrier. */
static inline void vlm_request_set(struct vlm_vcpu_head *v, enum vlm_request req)
{
	smp_mb__before_atomic();
	set_bit(req, &v->requests);
	smp_mb__after_atomic();
}

static inline bool vlm_request_any(const struct vlm_vcpu_head *v)
{
	return READ_ONCE(v->requests) != 0;
}

static inline bool vlm_request_test(const struct vlm_vcpu_head *v, enum vlm_request req)
{
	return test_bit(req, &v->requests);
}

/* Consume @req. What the requester stored before vlm_request_set() is visible after. */
static inline bool vlm_request_take(struct vlm_vcpu_head *v, enum vlm_request req)
{
	if (!test_bit(req, &v->requests))
		return false;
	clear_bit(req, &v->requests);
	smp_mb__after_atomic();
	return true;
}

/*
 * Wake the vCPU if it sleeps, interrupt it if it runs guest code. Any context,
 * IRQs on or off. Does not wait.
 */
void vlm_vcpu_kick(struct vlm_vcpu_head *v);

/* Set an event bit, raise VLM_REQ_EVENT and kick. Any context. */
void vlm_vcpu_post_event(struct vlm_vcpu_head *v, enum vlm_event event);

#endif
