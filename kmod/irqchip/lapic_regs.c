// SPDX-License-Identifier: GPL-2.0-only
/*
 * Register file of the local APIC: reset, modes, reads and writes.
 * SDM "Local APIC", "Extended XAPIC (x2APIC)".
 */
#include "lapic_regs.h"

/* Version 0x14 with six LVT entries, as integrated APICs report. */
#define VERSION_VALUE		0x00050014u

#define LVT_VECTOR		0x000000ffu
#define LVT_MODE		0x00000700u
#define LVT_POLARITY		0x00002000u
#define LVT_LEVEL		0x00008000u
#define LVT_COMMON		(LVT_VECTOR | VLM_LVT_MASKED)
#define LVT_LINT		(LVT_COMMON | LVT_MODE | LVT_POLARITY | LVT_LEVEL)

#define LVT_EXTINT		0x00000700u

/* Reserved bits of the ICR in x2APIC mode. Bit 12, busy in xAPIC mode, is tolerated. */
#define X2APIC_ICR_RESERVED	0xfff32000ull

enum access {
	NONE = 0,
	RO = 1,
	WO = 2,
	RW = RO | WO,
};

/**
 * struct reg_desc - one register
 * @xapic:	access in xAPIC mode
 * @x2apic:	access in x2APIC mode
 * @writable:	bits that a write changes; the others keep their value
 */
struct reg_desc {
	u8 xapic;
	u8 x2apic;
	u32 writable;
};

/* Index: offset >> 4. */
static const struct reg_desc regs[0x40] = {
	[VLM_LAPIC_ID >> 4]		= { RW, RO, 0xff000000u },
	[VLM_LAPIC_VERSION >> 4]	= { RO, RO, 0 },
	[VLM_LAPIC_TPR >> 4]		= { RW, RW, 0xff },
	[VLM_LAPIC_APR >> 4]		= { RO, NONE, 0 },
	[VLM_LAPIC_PPR >> 4]		= { RO, RO, 0 },
	[VLM_LAPIC_EOI >> 4]		= { WO, WO, 0 },
	[VLM_LAPIC_LDR >> 4]		= { RW, RO, 0xff000000u },
	[VLM_LAPIC_DFR >> 4]		= { RW, NONE, 0xf0000000u },
	[VLM_LAPIC_SVR >> 4]		= { RW, RW, 0x3ff },
	[0x10 ... 0x17]			= { RO, RO, 0 },	/* ISR */
	[0x18 ... 0x1f]			= { RO, RO, 0 },	/* TMR */
	[0x20 ... 0x27]			= { RO, RO, 0 },	/* IRR */
	[VLM_LAPIC_ESR >> 4]		= { RW, RW, 0 },
	[VLM_LAPIC_ICR >> 4]		= { RW, RW, 0xffffefffu },
	[VLM_LAPIC_ICR2 >> 4]		= { RW, NONE, 0xff000000u },
	[VLM_LAPIC_LVTT >> 4]		= { RW, RW, LVT_COMMON },
	[VLM_LAPIC_LVT_THERMAL >> 4]	= { RW, RW, LVT_COMMON | LVT_MODE },
	[VLM_LAPIC_LVT_PERF >> 4]	= { RW, RW, LVT_COMMON | LVT_MODE },
	[VLM_LAPIC_LVT_LINT0 >> 4]	= { RW, RW, LVT_LINT },
	[VLM_LAPIC_LVT_LINT1 >> 4]	= { RW, RW, LVT_LINT },
	[VLM_LAPIC_LVT_ERROR >> 4]	= { RW, RW, LVT_COMMON },
	[VLM_LAPIC_TMICT >> 4]		= { RW, RW, 0xffffffffu },
	[VLM_LAPIC_TMCCT >> 4]		= { RO, RO, 0 },
	[VLM_LAPIC_TDCR >> 4]		= { RW, RW, 0xb },
	[VLM_LAPIC_SELF_IPI >> 4]	= { NONE, WO, 0 },
};

static const u16 lvt_regs[] = {
	VLM_LAPIC_LVTT, VLM_LAPIC_LVT_THERMAL, VLM_LAPIC_LVT_PERF,
	VLM_LAPIC_LVT_LINT0, VLM_LAPIC_LVT_LINT1, VLM_LAPIC_LVT_ERROR,
};

static bool is_lvt(u32 off)
{
	return off >= VLM_LAPIC_LVTT && off <= VLM_LAPIC_LVT_ERROR;
}

static u8 access_of(const struct vlm_lapic_regs *r, u32 off)
{
	if (off >= VLM_LAPIC_PAGE_BYTES / 4 || (off & 0xf))
		return NONE;
	return vlm_lapic_is_x2apic(r) ? regs[off >> 4].x2apic : regs[off >> 4].xapic;
}

u32 vlm_lapic_regs_writable(const struct vlm_lapic_regs *r, u32 off)
{
	u32 mask = regs[off >> 4].writable;

	if (off == VLM_LAPIC_LVTT)
		mask |= r->tsc_deadline_offered ? VLM_LVT_TIMER_MODE : VLM_LVT_TIMER_PERIODIC;
	if (off == VLM_LAPIC_SVR &&
	    (vlm_lapic_reg(r, VLM_LAPIC_VERSION) & VLM_LAPIC_VERSION_NO_EOI))
		mask |= VLM_LAPIC_SVR_NO_EOI;
	return mask;
}

void vlm_lapic_regs_set_id(struct vlm_lapic_regs *r)
{
	if (vlm_lapic_is_x2apic(r)) {
		vlm_lapic_reg_set(r, VLM_LAPIC_ID, r->x2apic_id);
		vlm_lapic_reg_set(r, VLM_LAPIC_LDR,
				  (r->x2apic_id >> 4) << 16 | 1u << (r->x2apic_id & 0xf));
	} else {
		vlm_lapic_reg_set(r, VLM_LAPIC_ID, r->x2apic_id << 24);
	}
}

void vlm_lapic_regs_init(struct vlm_lapic_regs *r, union vlm_lapic_page *page, u32 id, bool bsp)
{
	memset(r, 0, sizeof(*r));
	r->page = page;
	r->x2apic_id = id;
	r->bsp = bsp;
	r->tsc_deadline_offered = 1;
	vlm_lapic_reg_set(r, VLM_LAPIC_VERSION, VERSION_VALUE);
	vlm_lapic_regs_reset(r, false);
}

void vlm_lapic_regs_reset(struct vlm_lapic_regs *r, bool init_event)
{
	u32 i;

	if (!init_event) {
		WRITE_ONCE(r->base, VLM_LAPIC_DEFAULT_BASE | VLM_APIC_BASE_ENABLE |
			   (r->bsp ? VLM_APIC_BASE_BSP : 0));
		vlm_lapic_regs_set_id(r);
	}
	vlm_lapic_reg_set(r, VLM_LAPIC_TPR, 0);
	if (!vlm_lapic_is_x2apic(r))
		vlm_lapic_reg_set(r, VLM_LAPIC_LDR, 0);
	vlm_lapic_reg_set(r, VLM_LAPIC_DFR, 0xffffffffu);
	vlm_lapic_reg_set(r, VLM_LAPIC_SVR, 0xff);
	for (i = 0; i < 8; i++) {
		vlm_lapic_reg_set(r, VLM_LAPIC_ISR + i * 16, 0);
		vlm_lapic_reg_set(r, VLM_LAPIC_TMR + i * 16, 0);
		vlm_lapic_reg_set(r, VLM_LAPIC_IRR + i * 16, 0);
	}
	vlm_lapic_reg_set(r, VLM_LAPIC_ESR, 0);
	WRITE_ONCE(r->errors, 0);
	vlm_lapic_reg_set(r, VLM_LAPIC_ICR, 0);
	vlm_lapic_reg_set(r, VLM_LAPIC_ICR2, 0);
	for (i = 0; i < sizeof(lvt_regs) / sizeof(lvt_regs[0]); i++)
		vlm_lapic_reg_set(r, lvt_regs[i], VLM_LVT_MASKED);
	vlm_lapic_reg_set(r, VLM_LAPIC_TMICT, 0);
	vlm_lapic_reg_set(r, VLM_LAPIC_TDCR, 0);
	vlm_lapic_timer_stop(r);
}

int vlm_lapic_regs_set_base(struct vlm_lapic_regs *r, u64 base, bool host, struct vlm_lapic_fx *fx)
{
	const u64 known = VLM_APIC_BASE_ADDR | VLM_APIC_BASE_BSP | VLM_APIC_BASE_X2APIC |
			  VLM_APIC_BASE_ENABLE;
	const u64 mode = VLM_APIC_BASE_X2APIC | VLM_APIC_BASE_ENABLE;
	u64 from = r->base & mode;
	u64 to = base & mode;

	if (base & ~known)
		return -EINVAL;
	if (to == VLM_APIC_BASE_X2APIC)
		return -EINVAL;
	if (!host && from == mode && to == VLM_APIC_BASE_ENABLE)
		return -EINVAL;
	if (!host && from == 0 && to == mode)
		return -EINVAL;

	WRITE_ONCE(r->base, base);
	if (from == to)
		return 0;
	fx->flags |= VLM_LAPIC_FX_EVENT | VLM_LAPIC_FX_TIMER;
	/* Leaving the disabled state is like power-up; state user space set must survive. */
	if (!host && from == 0)
		vlm_lapic_regs_reset(r, true);
	if (to == 0)
		vlm_lapic_timer_stop(r);
	if (from == 0 || to == mode || from == mode)
		vlm_lapic_regs_set_id(r);
	return 0;
}

int vlm_lapic_regs_read(struct vlm_lapic_regs *r, u32 off, u64 now, u32 *val)
{
	if (!(access_of(r, off) & RO))
		return -EINVAL;
	switch (off) {
	case VLM_LAPIC_APR:
	case VLM_LAPIC_PPR:
		*val = vlm_lapic_regs_ppr(r);
		break;
	case VLM_LAPIC_TMCCT:
		*val = vlm_lapic_timer_count(r, now);
		break;
	default:
		*val = vlm_lapic_reg(r, off);
	}
	return 0;
}

static void write_svr(struct vlm_lapic_regs *r, u32 val)
{
	u32 i;

	vlm_lapic_reg_set(r, VLM_LAPIC_SVR, val);
	if (val & VLM_LAPIC_SVR_ENABLE)
		return;
	for (i = 0; i < sizeof(lvt_regs) / sizeof(lvt_regs[0]); i++)
		vlm_lapic_reg_set(r, lvt_regs[i], vlm_lapic_reg(r, lvt_regs[i]) | VLM_LVT_MASKED);
}

static void latch_errors(struct vlm_lapic_regs *r)
{
	u32 seen = 0;
	u32 bit;

	for (bit = 0; bit < 8; bit++)
		if (test_and_clear_bit(bit, &r->errors))
			seen |= 1u << bit;
	vlm_lapic_reg_set(r, VLM_LAPIC_ESR, seen);
}

static void send_ipi(struct vlm_lapic_regs *r, u32 icr, u32 dest, bool wide,
		     struct vlm_lapic_fx *fx)
{
	vlm_lapic_icr_decode(icr, dest, wide, &fx->ipi);
	if (fx->ipi.vector < 16 &&
	    (fx->ipi.mode == VLM_APIC_FIXED || fx->ipi.mode == VLM_APIC_LOWEST)) {
		vlm_lapic_regs_error(r, VLM_LAPIC_ESR_SEND_ILLEGAL);
		fx->flags |= VLM_LAPIC_FX_EVENT;
		return;
	}
	fx->flags |= VLM_LAPIC_FX_IPI;
}

int vlm_lapic_regs_write(struct vlm_lapic_regs *r, u32 off, u32 val, u64 now,
			 struct vlm_lapic_fx *fx)
{
	u32 keep;

	if (!(access_of(r, off) & WO))
		return -EINVAL;
	keep = vlm_lapic_regs_writable(r, off);
	val &= keep;
	if (is_lvt(off) && !(vlm_lapic_reg(r, VLM_LAPIC_SVR) & VLM_LAPIC_SVR_ENABLE))
		val |= VLM_LVT_MASKED;

	switch (off) {
	case VLM_LAPIC_TPR:
		vlm_lapic_reg_set(r, off, val);
		fx->flags |= VLM_LAPIC_FX_EVENT;
		break;
	case VLM_LAPIC_EOI:
		vlm_lapic_regs_eoi(r, fx);
		break;
	case VLM_LAPIC_DFR:
		vlm_lapic_reg_set(r, off, val | ~keep);
		break;
	case VLM_LAPIC_SVR:
		write_svr(r, val);
		fx->flags |= VLM_LAPIC_FX_EVENT;
		break;
	case VLM_LAPIC_ESR:
		latch_errors(r);
		break;
	case VLM_LAPIC_ICR:
		vlm_lapic_reg_set(r, off, val);
		send_ipi(r, val, vlm_lapic_reg(r, VLM_LAPIC_ICR2) >> 24, false, fx);
		break;
	case VLM_LAPIC_LVTT:
		vlm_lapic_timer_set_lvtt(r, val, now);
		fx->flags |= VLM_LAPIC_FX_TIMER;
		break;
	case VLM_LAPIC_LVT_LINT0:
		vlm_lapic_reg_set(r, off, val);
		fx->flags |= VLM_LAPIC_FX_EVENT;
		break;
	case VLM_LAPIC_TMICT:
		vlm_lapic_timer_set_initial(r, val, now);
		fx->flags |= VLM_LAPIC_FX_TIMER;
		break;
	case VLM_LAPIC_TDCR:
		vlm_lapic_timer_set_divide(r, val, now);
		fx->flags |= VLM_LAPIC_FX_TIMER;
		break;
	default:
		vlm_lapic_reg_set(r, off, val);
	}
	return 0;
}

bool vlm_lapic_is_timer_reg(u32 off)
{
	return off == VLM_LAPIC_LVTT || off == VLM_LAPIC_TMICT || off == VLM_LAPIC_TDCR;
}

void vlm_lapic_regs_mmio_read(struct vlm_lapic_regs *r, u32 off, u32 len, u64 now, void *data)
{
	u32 val = 0;

	memset(data, 0, len);
	/* Only bytes 0 to 3 of every 16 exist. */
	if ((off & 0xf) + len > 4)
		return;
	if (vlm_lapic_regs_read(r, off & ~0xfu, now, &val)) {
		vlm_lapic_regs_error(r, VLM_LAPIC_ESR_REGISTER);
		return;
	}
	memcpy(data, (const u8 *)&val + (off & 0xf), len);
}

void vlm_lapic_regs_mmio_write(struct vlm_lapic_regs *r, u32 off, u32 len, u64 now,
			       const void *data, struct vlm_lapic_fx *fx)
{
	u32 val;

	if (len != 4 || (off & 0xf))
		return;
	memcpy(&val, data, 4);
	if (vlm_lapic_regs_write(r, off, val, now, fx)) {
		vlm_lapic_regs_error(r, VLM_LAPIC_ESR_REGISTER);
		fx->flags |= VLM_LAPIC_FX_EVENT;
	}
}

int vlm_lapic_regs_msr_read(struct vlm_lapic_regs *r, u32 index, u64 now, u64 *data)
{
	u32 low;

	if (!vlm_lapic_is_x2apic(r) || vlm_lapic_regs_read(r, index << 4, now, &low))
		return -EINVAL;
	*data = low;
	if (index << 4 == VLM_LAPIC_ICR)
		*data |= (u64)vlm_lapic_reg(r, VLM_LAPIC_ICR2) << 32;
	return 0;
}

int vlm_lapic_regs_msr_write(struct vlm_lapic_regs *r, u32 index, u64 data, u64 now,
			     struct vlm_lapic_fx *fx)
{
	u32 off = index << 4;

	if (!vlm_lapic_is_x2apic(r))
		return -EINVAL;
	switch (off) {
	case VLM_LAPIC_ICR:
		if (data & X2APIC_ICR_RESERVED)
			return -EINVAL;
		vlm_lapic_reg_set(r, VLM_LAPIC_ICR, (u32)data & ~VLM_LAPIC_ICR_BUSY);
		vlm_lapic_reg_set(r, VLM_LAPIC_ICR2, (u32)(data >> 32));
		send_ipi(r, (u32)data, (u32)(data >> 32), true, fx);
		return 0;
	case VLM_LAPIC_SELF_IPI:
		if (data & ~0xffull)
			return -EINVAL;
		/* Edge-triggered, fixed, to itself. */
		send_ipi(r, (u32)data | 1u << 14 | VLM_APIC_TO_SELF << 18, 0, true, fx);
		return 0;
	case VLM_LAPIC_ESR:
		if (data)
			return -EINVAL;
		break;
	}
	if (data >> 32)
		return -EINVAL;
	return vlm_lapic_regs_write(r, off, (u32)data, now, fx);
}
