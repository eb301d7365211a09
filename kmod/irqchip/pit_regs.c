// SPDX-License-Identifier: GPL-2.0-only
/* Register logic of the 8254. */
#include "pit_regs.h"

/* Which byte of a count is transferred next. The first three are the RW field of control words. */
enum {
	BYTE_LOW = 1,
	BYTE_HIGH = 2,
	WORD_LOW = 3,
	WORD_HIGH = 4,
};

#define FULL_COUNT	0x10000u
#define FULL_COUNT_BCD	10000u

static u64 ns_to_clocks(u64 ns)
{
	return ns / VLM_NSEC_PER_SEC * VLM_PIT_HZ +
	       ns % VLM_NSEC_PER_SEC * VLM_PIT_HZ / VLM_NSEC_PER_SEC;
}

/* Round up: an interrupt must not come before the counter says so. */
static u64 clocks_to_ns(u32 clocks)
{
	return (clocks * VLM_NSEC_PER_SEC + VLM_PIT_HZ - 1) / VLM_PIT_HZ;
}

static u32 to_bcd(u32 val)
{
	return val % 10 | val / 10 % 10 << 4 | val / 100 % 10 << 8 | val / 1000 % 10 << 12;
}

static u32 from_bcd(u32 val)
{
	return (val & 0xf) + (val >> 4 & 0xf) * 10 + (val >> 8 & 0xf) * 100 +
	       (val >> 12 & 0xf) * 1000;
}

static u64 elapsed_ns(const struct vlm_pit_channel *c, u64 now)
{
	u64 start = (u64)c->s.count_load_time;

	if (c->held)
		return c->held_ns;
	return now > start ? now - start : 0;
}

/* Modes 1 and 5 wait for a rise of the gate, the others for a count. */
static bool is_running(const struct vlm_pit_channel *c)
{
	if (!c->loaded)
		return false;
	return (c->s.mode != 1 && c->s.mode != 5) || c->triggered;
}

u32 vlm_pit_regs_count(const struct vlm_pit_regs *p, u32 nr, u64 now)
{
	const struct vlm_pit_channel *c = &p->ch[nr];
	u64 full = c->s.bcd ? FULL_COUNT_BCD : FULL_COUNT;
	u64 count = c->s.count;
	u64 t;

	if (!is_running(c))
		return (u32)(count % full);
	t = ns_to_clocks(elapsed_ns(c, now));
	switch (c->s.mode) {
	case 2:
		return (u32)((count - t % count) % full);
	case 3:	/* counts down by two, twice a period */
		return (u32)((count - 2 * t % count) % full);
	default:	/* wraps and goes on after 0 */
		return (u32)((count % full + full - t % full) % full);
	}
}

bool vlm_pit_regs_out(const struct vlm_pit_regs *p, u32 nr, u64 now)
{
	const struct vlm_pit_channel *c = &p->ch[nr];
	u64 count = c->s.count;
	u64 t;

	if (!is_running(c))
		return c->s.mode != 0;
	t = ns_to_clocks(elapsed_ns(c, now));
	switch (c->s.mode) {
	case 0:
	case 1:
		return t >= count;
	case 2:	/* low for the last clock of a period, high while the gate is low */
		return c->held || count == 1 || t % count != count - 1;
	case 3:
		return c->held || t % count < (count + 1) / 2;
	default:
		return t != count;
	}
}

static void load_count(struct vlm_pit_channel *c, u32 val, u64 now)
{
	if (c->s.bcd)
		val = from_bcd(val);
	if (!val)
		val = c->s.bcd ? FULL_COUNT_BCD : FULL_COUNT;
	c->s.count = val;
	c->loaded = 1;
	/* A one-shot that was triggered goes on with its old count; take the new at once. */
	if (c->s.mode != 1 && c->s.mode != 5) {
		c->s.count_load_time = (s64)now;
		c->held_ns = 0;
		c->held = !c->s.gate;
	}
}

static void set_gate(struct vlm_pit_channel *c, u8 gate, u64 now)
{
	bool rise = gate && !c->s.gate;
	bool fall = !gate && c->s.gate;

	c->s.gate = gate;
	switch (c->s.mode) {
	case 0:
	case 4:	/* the gate stops and continues */
		if (fall) {
			c->held_ns = elapsed_ns(c, now);
			c->held = 1;
		} else if (rise && c->held) {
			c->s.count_load_time = (s64)(now - c->held_ns);
			c->held = 0;
		}
		break;
	case 1:
	case 5:	/* the gate triggers */
		if (rise) {
			c->s.count_load_time = (s64)now;
			c->triggered = 1;
			c->held = 0;
		}
		break;
	default:	/* the gate stops and starts over */
		if (fall) {
			c->held_ns = elapsed_ns(c, now);
			c->held = 1;
		} else if (rise) {
			c->s.count_load_time = (s64)now;
			c->held = 0;
		}
	}
}

static void latch_count(struct vlm_pit_regs *p, u32 nr, u64 now)
{
	struct kvm_pit_channel_state *s = &p->ch[nr].s;
	u32 count;

	if (s->count_latched)
		return;
	count = vlm_pit_regs_count(p, nr, now);
	s->latched_count = (u16)(s->bcd ? to_bcd(count) : count);
	s->count_latched = s->rw_mode;
}

static void latch_status(struct vlm_pit_regs *p, u32 nr, u64 now)
{
	struct vlm_pit_channel *c = &p->ch[nr];

	if (c->s.status_latched)
		return;
	/* OUT, null count, RW, mode, BCD. */
	c->s.status = (u8)(vlm_pit_regs_out(p, nr, now) << 7 | !c->loaded << 6 |
			   c->s.rw_mode << 4 | c->s.mode << 1 | c->s.bcd);
	c->s.status_latched = 1;
}

static void read_back(struct vlm_pit_regs *p, u8 val, u64 now)
{
	u32 nr;

	for (nr = 0; nr < 3; nr++) {
		if (!(val & 2u << nr))
			continue;
		if (!(val & 0x20))
			latch_count(p, nr, now);
		if (!(val & 0x10))
			latch_status(p, nr, now);
	}
}

/* True if the channel was programmed, false for the latch commands. */
static bool write_control(struct vlm_pit_regs *p, u8 val, u64 now)
{
	u32 nr = val >> 6;
	u8 rw = (val >> 4) & 3;
	struct vlm_pit_channel *c;

	if (nr == 3) {
		read_back(p, val, now);
		return false;
	}
	if (rw == 0) {
		latch_count(p, nr, now);
		return false;
	}
	c = &p->ch[nr];
	c->s.rw_mode = rw;
	c->s.read_state = rw;
	c->s.write_state = rw;
	c->s.mode = (val >> 1) & 7;
	/* Modes 6 and 7 are modes 2 and 3. */
	if (c->s.mode > 5)
		c->s.mode = (u8)(c->s.mode - 4);
	c->s.bcd = val & 1;
	c->s.count_latched = 0;
	c->s.status_latched = 0;
	c->loaded = 0;
	c->triggered = 0;
	c->held = 0;
	return true;
}

static void write_count(struct vlm_pit_channel *c, u8 val, u64 now)
{
	switch (c->s.write_state) {
	case BYTE_HIGH:
		load_count(c, (u32)val << 8, now);
		break;
	case WORD_LOW:
		c->s.write_latch = val;
		c->s.write_state = WORD_HIGH;
		/* The first byte of a new count stops mode 0. */
		if (c->s.mode == 0)
			c->loaded = 0;
		break;
	case WORD_HIGH:
		c->s.write_state = WORD_LOW;
		load_count(c, c->s.write_latch | (u32)val << 8, now);
		break;
	default:
		load_count(c, val, now);
	}
}

bool vlm_pit_regs_write(struct vlm_pit_regs *p, u32 port, u8 val, u64 now)
{
	bool was_loaded;

	port &= 3;
	if (port == 3)
		return write_control(p, val, now) && val >> 6 == 0;
	was_loaded = p->ch[port].loaded;
	write_count(&p->ch[port], val, now);
	/* Also when the first byte stopped mode 0. */
	return port == 0 && (p->ch[0].s.write_state != WORD_HIGH ||
			     p->ch[0].loaded != was_loaded);
}

u8 vlm_pit_regs_read(struct vlm_pit_regs *p, u32 port, u64 now)
{
	struct kvm_pit_channel_state *s;
	u32 count;

	port &= 3;
	if (port == 3)
		return 0;
	s = &p->ch[port].s;
	if (s->status_latched) {
		s->status_latched = 0;
		return s->status;
	}
	if (s->count_latched) {
		u8 state = s->count_latched;

		s->count_latched = state == WORD_LOW ? BYTE_HIGH : 0;
		return (u8)(state == BYTE_HIGH ? s->latched_count >> 8 : s->latched_count);
	}
	count = vlm_pit_regs_count(p, port, now);
	if (s->bcd)
		count = to_bcd(count);
	switch (s->read_state) {
	case BYTE_HIGH:
		return (u8)(count >> 8);
	case WORD_LOW:
		s->read_state = WORD_HIGH;
		return (u8)count;
	case WORD_HIGH:
		s->read_state = WORD_LOW;
		return (u8)(count >> 8);
	default:
		return (u8)count;
	}
}

u8 vlm_pit_regs_speaker_read(const struct vlm_pit_regs *p, u64 now)
{
	/* Bit 4 toggles with the memory refresh, about every 15 us. */
	return (u8)(p->ch[2].s.gate | p->speaker << 1 | (now >> 14 & 1) << 4 |
		    vlm_pit_regs_out(p, 2, now) << 5);
}

void vlm_pit_regs_speaker_write(struct vlm_pit_regs *p, u8 val, u64 now)
{
	p->speaker = (val >> 1) & 1;
	set_gate(&p->ch[2], val & 1, now);
}

u64 vlm_pit_regs_expiry(const struct vlm_pit_regs *p, u64 *period)
{
	const struct vlm_pit_channel *c = &p->ch[0];
	u64 start = (u64)c->s.count_load_time;
	u64 length;

	*period = 0;
	if (!is_running(c) || p->hpet_legacy)
		return 0;
	length = clocks_to_ns(c->s.count);
	switch (c->s.mode) {
	case 0:
	case 4:
		return start + length;
	case 2:
	case 3:
		if (length < VLM_TIMER_MIN_PERIOD_NS)
			length = VLM_TIMER_MIN_PERIOD_NS;
		*period = length;
		return start + length;
	}
	return 0;
}

void vlm_pit_regs_reset(struct vlm_pit_regs *p, u64 now)
{
	u32 i;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < 3; i++) {
		struct vlm_pit_channel *c = &p->ch[i];

		/* As if nobody programmed it: no interrupt, OUT high. */
		c->s.mode = 3;
		c->s.gate = i != 2;
		c->s.count = FULL_COUNT;
		c->s.count_load_time = (s64)now;
		c->s.rw_mode = WORD_LOW;
		c->s.read_state = WORD_LOW;
		c->s.write_state = WORD_LOW;
	}
}

void vlm_pit_regs_save(const struct vlm_pit_regs *p, struct kvm_pit_state2 *s)
{
	u32 i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < 3; i++) {
		s->channels[i] = p->ch[i].s;
		/* 0 says that no count was loaded. */
		if (!p->ch[i].loaded)
			s->channels[i].count = 0;
	}
	if (p->hpet_legacy)
		s->flags |= KVM_PIT_FLAGS_HPET_LEGACY;
	if (p->speaker)
		s->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
}

static u8 checked_state(u8 state)
{
	return state >= BYTE_LOW && state <= WORD_HIGH ? state : BYTE_LOW;
}

void vlm_pit_regs_load(struct vlm_pit_regs *p, const struct kvm_pit_state2 *s, u64 now)
{
	u32 i;

	for (i = 0; i < 3; i++) {
		struct vlm_pit_channel *c = &p->ch[i];

		memset(c, 0, sizeof(*c));
		c->s = s->channels[i];
		/* No count, or a mode beyond the valid ones, is a channel that nobody programmed. */
		c->loaded = c->s.count && c->s.mode <= 7;
		c->triggered = 1;
		c->s.bcd &= 1;
		if (!c->s.count || c->s.count > FULL_COUNT)
			c->s.count = FULL_COUNT;
		if (c->s.bcd && c->s.count > FULL_COUNT_BCD)
			c->s.count = FULL_COUNT_BCD;
		if (c->s.mode > 7)
			c->s.mode = 3;
		if (c->s.mode > 5)
			c->s.mode = (u8)(c->s.mode - 4);
		c->s.gate = !!c->s.gate;
		c->s.rw_mode = (c->s.rw_mode & 3) ? c->s.rw_mode & 3 : WORD_LOW;
		c->s.read_state = checked_state(c->s.read_state);
		c->s.write_state = checked_state(c->s.write_state);
		if (c->s.count_latched)
			c->s.count_latched = checked_state(c->s.count_latched);
		if (c->s.count_latched > WORD_LOW)
			c->s.count_latched = BYTE_HIGH;
		c->s.status_latched = !!c->s.status_latched;
		c->s.count_load_time = (s64)now;
		c->held = !c->s.gate && c->s.mode != 1 && c->s.mode != 5;
	}
	p->speaker = !!(s->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	p->hpet_legacy = !!(s->flags & KVM_PIT_FLAGS_HPET_LEGACY);
}
