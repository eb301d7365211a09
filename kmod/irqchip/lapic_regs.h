/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Registers of one local APIC. SDM "Advanced Programmable Interrupt Controller (APIC)".
 *
 * Threads: the owner (the vCPU thread, or whoever holds the vCPU lock) calls
 * everything. Functions marked [any] may run at the same time on any CPU in any
 * context; they use single atomic accesses only.
 */
#ifndef VLM_IRQCHIP_LAPIC_REGS_H
#define VLM_IRQCHIP_LAPIC_REGS_H

#include "msg.h"

/* Register offsets in the xAPIC page; x2APIC MSR 0x800 + n is offset n << 4. */
#define VLM_LAPIC_ID		0x020
#define VLM_LAPIC_VERSION	0x030
#define VLM_LAPIC_TPR		0x080
#define VLM_LAPIC_APR		0x090
#define VLM_LAPIC_PPR		0x0a0
#define VLM_LAPIC_EOI		0x0b0
#define VLM_LAPIC_LDR		0x0d0
#define VLM_LAPIC_DFR		0x0e0
#define VLM_LAPIC_SVR		0x0f0
#define VLM_LAPIC_ISR		0x100	/* eight registers each */
#define VLM_LAPIC_TMR		0x180
#define VLM_LAPIC_IRR		0x200
#define VLM_LAPIC_ESR		0x280
#define VLM_LAPIC_ICR		0x300
#define VLM_LAPIC_ICR2		0x310
#define VLM_LAPIC_LVTT		0x320	/* timer */
#define VLM_LAPIC_LVT_THERMAL	0x330
#define VLM_LAPIC_LVT_PERF	0x340
#define VLM_LAPIC_LVT_LINT0	0x350
#define VLM_LAPIC_LVT_LINT1	0x360
#define VLM_LAPIC_LVT_ERROR	0x370
#define VLM_LAPIC_TMICT		0x380	/* initial count */
#define VLM_LAPIC_TMCCT		0x390	/* current count */
#define VLM_LAPIC_TDCR		0x3e0	/* divide configuration */
#define VLM_LAPIC_SELF_IPI	0x3f0

#define VLM_LAPIC_PAGE_BYTES	4096
#define VLM_LAPIC_DEFAULT_BASE	0xfee00000ull

/* IA32_APIC_BASE. */
#define VLM_APIC_BASE_BSP	(1ull << 8)
#define VLM_APIC_BASE_X2APIC	(1ull << 10)
#define VLM_APIC_BASE_ENABLE	(1ull << 11)
#define VLM_APIC_BASE_ADDR	0x000ffffffffff000ull

#define VLM_LAPIC_SVR_ENABLE	(1u << 8)
#define VLM_LAPIC_SVR_NO_EOI	(1u << 12)	/* suppress EOI broadcasts */
#define VLM_LAPIC_VERSION_NO_EOI (1u << 24)	/* the version register offers that */

/* LVT entries. */
#define VLM_LVT_MASKED		(1u << 16)
#define VLM_LVT_TIMER_MODE	(3u << 17)
#define VLM_LVT_TIMER_ONESHOT	(0u << 17)
#define VLM_LVT_TIMER_PERIODIC	(1u << 17)
#define VLM_LVT_TIMER_DEADLINE	(2u << 17)

#define VLM_LAPIC_ICR_BUSY	(1u << 12)

/* ESR. */
#define VLM_LAPIC_ESR_SEND_ILLEGAL	5	/* bit numbers */
#define VLM_LAPIC_ESR_RECV_ILLEGAL	6
#define VLM_LAPIC_ESR_REGISTER		7

union vlm_lapic_page {
	u32 words[VLM_LAPIC_PAGE_BYTES / 4];
	unsigned long longs[VLM_LAPIC_PAGE_BYTES / sizeof(unsigned long)];
};

/**
 * struct vlm_lapic_regs - state of one local APIC
 * @page:	the register page as the guest reads it; IRR and TMR words are changed
 *		with atomic operations by anybody, the rest by the owner
 * @base:	IA32_APIC_BASE; changed by the owner, read by anybody
 * @x2apic_id:	ID in x2APIC mode and xAPIC ID after reset; constant
 * @bsp:	this is the boot processor; constant
 * @tsc_deadline_offered: CPUID offers TSC-deadline mode
 * @errors:	bits for the next latch of ESR; atomic
 * @timer_expiry: when the running count reaches 0, ns; 0 when stopped. Changed by the
 *		owner while the host timer is cancelled, else by the host timer
 * @timer_period: length of a full count, ns; 0 when TMICT is 0
 * @tsc_deadline: IA32_TSC_DEADLINE, 0 when disarmed; changed like @timer_expiry
 */
struct vlm_lapic_regs {
	union vlm_lapic_page *page;
	u64 base;
	u32 x2apic_id;
	u8 bsp;
	u8 tsc_deadline_offered;
	unsigned long errors;
	u64 timer_expiry;
	u64 timer_period;
	u64 tsc_deadline;
};

/* What the owner must do after a register write. */
#define VLM_LAPIC_FX_IPI	(1u << 0)	/* send @ipi */
#define VLM_LAPIC_FX_EOI	(1u << 1)	/* tell the I/O APICs about @eoi_vector */
#define VLM_LAPIC_FX_TIMER	(1u << 2)	/* host timer: start from the timer fields, or stop */
#define VLM_LAPIC_FX_EVENT	(1u << 3)	/* what may be injected changed */

struct vlm_lapic_fx {
	u32 flags;
	u8 eoi_vector;
	struct vlm_apic_msg ipi;
};

static inline u32 vlm_lapic_reg(const struct vlm_lapic_regs *r, u32 off)
{
	return READ_ONCE(r->page->words[off / 4]);
}

static inline void vlm_lapic_reg_set(struct vlm_lapic_regs *r, u32 off, u32 val)
{
	WRITE_ONCE(r->page->words[off / 4], val);
}

/* [any] Globally enabled: the processor has a local APIC. */
static inline bool vlm_lapic_is_hw_enabled(const struct vlm_lapic_regs *r)
{
	return READ_ONCE(r->base) & VLM_APIC_BASE_ENABLE;
}

/* [any] */
static inline bool vlm_lapic_is_x2apic(const struct vlm_lapic_regs *r)
{
	const u64 both = VLM_APIC_BASE_ENABLE | VLM_APIC_BASE_X2APIC;

	return (READ_ONCE(r->base) & both) == both;
}

/* [any] Globally and software enabled: accepts fixed interrupts. */
static inline bool vlm_lapic_is_enabled(const struct vlm_lapic_regs *r)
{
	return vlm_lapic_is_hw_enabled(r) && (vlm_lapic_reg(r, VLM_LAPIC_SVR) & VLM_LAPIC_SVR_ENABLE);
}

/* @page: VLM_LAPIC_PAGE_BYTES zeroed bytes, aligned to 8. State is that of power-up. */
void vlm_lapic_regs_init(struct vlm_lapic_regs *r, union vlm_lapic_page *page, u32 id, bool bsp);
/* INIT (@init_event) keeps ID and IA32_APIC_BASE. The host timer is cancelled. */
void vlm_lapic_regs_reset(struct vlm_lapic_regs *r, bool init_event);
/*
 * Write IA32_APIC_BASE by SDM "Local APIC State Transitions"; @host may make any
 * transition between valid states. -EINVAL: #GP, nothing changed. The caller checks
 * address bits above MAXPHYADDR and whether CPUID offers x2APIC. Host timer cancelled.
 */
int vlm_lapic_regs_set_base(struct vlm_lapic_regs *r, u64 base, bool host,
			    struct vlm_lapic_fx *fx);

/* Bits that a write to @off changes. @off names a register. */
u32 vlm_lapic_regs_writable(const struct vlm_lapic_regs *r, u32 off);
/* ID, and in x2APIC mode the logical ID, of the current mode. */
void vlm_lapic_regs_set_id(struct vlm_lapic_regs *r);
/* True if the host timer must be cancelled before a write to @off. */
bool vlm_lapic_is_timer_reg(u32 off);
/*
 * A 32-bit register at @off (multiple of 16, below the page's end). -EINVAL for
 * registers that do not exist in the current mode or cannot be accessed that way:
 * #GP in x2APIC mode, illegal register address in xAPIC mode.
 */
int vlm_lapic_regs_read(struct vlm_lapic_regs *r, u32 off, u64 now, u32 *val);
int vlm_lapic_regs_write(struct vlm_lapic_regs *r, u32 off, u32 val, u64 now,
			 struct vlm_lapic_fx *fx);
/* xAPIC page access of any shape; ill-formed ones read as 0 and write nothing. */
void vlm_lapic_regs_mmio_read(struct vlm_lapic_regs *r, u32 off, u32 len, u64 now, void *data);
void vlm_lapic_regs_mmio_write(struct vlm_lapic_regs *r, u32 off, u32 len, u64 now,
			       const void *data, struct vlm_lapic_fx *fx);
/* MSR 0x800 + @index, @index below 0x100. -EINVAL means #GP; also outside x2APIC mode. */
int vlm_lapic_regs_msr_read(struct vlm_lapic_regs *r, u32 index, u64 now, u64 *data);
int vlm_lapic_regs_msr_write(struct vlm_lapic_regs *r, u32 index, u64 data, u64 now,
			     struct vlm_lapic_fx *fx);

/* Interrupt flow: lapic_irq.c. */

/* [any] Put @vector into IRR. False when it was there already or is illegal. */
bool vlm_lapic_regs_post(struct vlm_lapic_regs *r, u8 vector, bool level_trig);
/* [any] Count an error and raise the error interrupt; @bit is VLM_LAPIC_ESR_*. */
void vlm_lapic_regs_error(struct vlm_lapic_regs *r, u32 bit);
/* [any] What the LVT entry at @off sends now; false when masked or disabled. */
bool vlm_lapic_regs_lvt(const struct vlm_lapic_regs *r, u32 off, struct vlm_apic_msg *msg);
/* [any] Highest vector in the IRR, ISR or TMR bank, or -1. */
int vlm_lapic_regs_highest(const struct vlm_lapic_regs *r, u32 bank);
u32 vlm_lapic_regs_ppr(const struct vlm_lapic_regs *r);
/* Highest vector above PPR, or -1. */
int vlm_lapic_regs_pending(const struct vlm_lapic_regs *r);
/* IRR to ISR of what vlm_lapic_regs_pending() offers; the vector or -1. */
int vlm_lapic_regs_accept(struct vlm_lapic_regs *r);
void vlm_lapic_regs_eoi(struct vlm_lapic_regs *r, struct vlm_lapic_fx *fx);
/* [any] Is this APIC a destination of @msg (shorthand ignored)? */
bool vlm_lapic_regs_match(const struct vlm_lapic_regs *r, const struct vlm_apic_msg *msg);
/* ICR to message. @dest: bits 63:32 of an x2APIC ICR (@wide), or bits 31:24 of ICR2. */
void vlm_lapic_icr_decode(u32 icr, u32 dest, bool wide, struct vlm_apic_msg *msg);

/* Timer: lapic_timer.c. One tick of the bus clock is 1 ns. */

static inline u32 vlm_lapic_timer_mode(const struct vlm_lapic_regs *r)
{
	return vlm_lapic_reg(r, VLM_LAPIC_LVTT) & VLM_LVT_TIMER_MODE;
}

/* [any] Bus ticks per count, 1 to 128. */
u32 vlm_lapic_timer_divisor(const struct vlm_lapic_regs *r);
u32 vlm_lapic_timer_count(const struct vlm_lapic_regs *r, u64 now);
void vlm_lapic_timer_set_lvtt(struct vlm_lapic_regs *r, u32 val, u64 now);
void vlm_lapic_timer_set_initial(struct vlm_lapic_regs *r, u32 count, u64 now);
void vlm_lapic_timer_set_divide(struct vlm_lapic_regs *r, u32 val, u64 now);
/* Run the timer from a saved current count. */
void vlm_lapic_timer_restore(struct vlm_lapic_regs *r, u32 current_count, u64 now);
void vlm_lapic_timer_stop(struct vlm_lapic_regs *r);
/* Value written to IA32_TSC_DEADLINE; ignored unless in that mode. */
void vlm_lapic_timer_set_deadline(struct vlm_lapic_regs *r, u64 tsc);
/*
 * The host timer fired; the owner is kept out. Return the next expiry, or 0, and
 * whether LVTT now holds a newly pending interrupt in @posted.
 */
u64 vlm_lapic_timer_fire(struct vlm_lapic_regs *r, u64 now, bool *posted);

/* State for user space: lapic_state.c. */

/* Registers in the layout of KVM_GET_LAPIC; x2APIC IDs appear in bits 31:24. */
void vlm_lapic_regs_save(const struct vlm_lapic_regs *r, u64 now, struct kvm_lapic_state *s);
/* Take any input without harm; the host timer is cancelled, start it from the timer fields. */
void vlm_lapic_regs_load(struct vlm_lapic_regs *r, u64 now, const struct kvm_lapic_state *s);

#endif
