/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The 8254 programmable interval timer and the speaker port of a PC: Intel 8254 data
 * sheet. Counters are not stepped but computed from the time since they were loaded.
 */
#ifndef VLM_IRQCHIP_PIT_REGS_H
#define VLM_IRQCHIP_PIT_REGS_H

#include "platform.h"

#define VLM_PIT_HZ		1193182ull
#define VLM_PIT_PORT		0x40
#define VLM_PIT_PORT_SPEAKER	0x61

/**
 * struct vlm_pit_channel - one counter
 * @s:		registers as the ABI has them; @s.count is 1 to 0x10000 input clocks,
 *		@s.count_load_time the host time in ns when counting began
 * @held_ns:	time that had been counted when the gate stopped the counter
 * @held:	the gate stops the counter
 * @loaded:	a count was written since the last control word
 * @triggered:	modes 1 and 5: the gate rose since the last control word
 */
struct vlm_pit_channel {
	struct kvm_pit_channel_state s;
	u64 held_ns;
	u8 held;
	u8 loaded;
	u8 triggered;
};

/**
 * struct vlm_pit_regs - the chip; the caller serialises everything
 * @ch:		counters: 0 drives the timer interrupt, 2 the speaker
 * @speaker:	bit 1 of port 0x61
 * @hpet_legacy: the HPET replaces the timer interrupt of channel 0
 */
struct vlm_pit_regs {
	struct vlm_pit_channel ch[3];
	u8 speaker;
	u8 hpet_legacy;
};

void vlm_pit_regs_reset(struct vlm_pit_regs *p, u64 now);
/* @port 0 to 3, relative to VLM_PIT_PORT. */
u8 vlm_pit_regs_read(struct vlm_pit_regs *p, u32 port, u64 now);
/* True if the timer interrupt of channel 0 must be set up anew. */
bool vlm_pit_regs_write(struct vlm_pit_regs *p, u32 port, u8 val, u64 now);
u8 vlm_pit_regs_speaker_read(const struct vlm_pit_regs *p, u64 now);
void vlm_pit_regs_speaker_write(struct vlm_pit_regs *p, u8 val, u64 now);
/* Output pin of channel @nr. */
bool vlm_pit_regs_out(const struct vlm_pit_regs *p, u32 nr, u64 now);
/* Counter of channel @nr in binary, 0 to 0xffff. */
u32 vlm_pit_regs_count(const struct vlm_pit_regs *p, u32 nr, u64 now);
/*
 * When channel 0 first raises its interrupt after the last set-up, in ns, and its
 * @period, 0 if it comes once. Returns 0 if it raises none.
 */
u64 vlm_pit_regs_expiry(const struct vlm_pit_regs *p, u64 *period);
void vlm_pit_regs_save(const struct vlm_pit_regs *p, struct kvm_pit_state2 *s);
/* Any input is taken without harm; counting starts over. Set up the timer afterwards. */
void vlm_pit_regs_load(struct vlm_pit_regs *p, const struct kvm_pit_state2 *s, u64 now);

#endif
