/* SPDX-License-Identifier: GPL-2.0-only */
/* An interrupt message on its way to local APICs: from an ICR, an I/O APIC pin or an MSI. */
#ifndef VLM_IRQCHIP_MSG_H
#define VLM_IRQCHIP_MSG_H

#include "platform.h"

/* Delivery modes, as encoded in the ICR, LVT entries, redirection entries and MSI data. */
enum vlm_apic_mode {
	VLM_APIC_FIXED		= 0,
	VLM_APIC_LOWEST		= 1,	/* lowest priority */
	VLM_APIC_SMI		= 2,
	VLM_APIC_REMRD		= 3,	/* reserved today */
	VLM_APIC_NMI		= 4,
	VLM_APIC_INIT		= 5,
	VLM_APIC_STARTUP	= 6,
	VLM_APIC_EXTINT		= 7,
};

enum vlm_apic_shorthand {
	VLM_APIC_TO_DEST	= 0,
	VLM_APIC_TO_SELF	= 1,
	VLM_APIC_TO_ALL		= 2,
	VLM_APIC_TO_OTHERS	= 3,
};

/* Destinations that mean everybody. */
#define VLM_APIC_BROADCAST	0xffu
#define VLM_X2APIC_BROADCAST	0xffffffffu

/**
 * struct vlm_apic_msg - one interrupt message
 * @dest:	APIC ID, or logical destination when @logical
 * @vector:	interrupt vector, or page of the start-up code
 * @mode:	enum vlm_apic_mode
 * @shorthand:	enum vlm_apic_shorthand; always TO_DEST unless from an ICR
 * @logical:	1 for logical destination mode
 * @level:	1 asserts; 0 is the de-assert message of INIT
 * @trig:	1 level-triggered, 0 edge-triggered
 * @wide:	1 when @dest has 32 bits, from the ICR of an x2APIC: 0xff is then an ID
 *		like any other for targets in x2APIC mode
 */
struct vlm_apic_msg {
	u32 dest;
	u8 vector;
	u8 mode;
	u8 shorthand;
	u8 logical;
	u8 level;
	u8 trig;
	u8 wide;
};

#endif
