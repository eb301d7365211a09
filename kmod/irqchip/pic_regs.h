/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The pair of 8259A interrupt controllers of a PC: Intel 8259A data sheet, with the
 * edge/level control registers of the PIIX. The slave's output is the master's input 2.
 */
#ifndef VLM_IRQCHIP_PIC_REGS_H
#define VLM_IRQCHIP_PIC_REGS_H

#include "platform.h"

#define VLM_PIC_PINS	16

/**
 * struct vlm_pic_regs - state of both chips; the caller serialises everything
 * @chip:	master and slave. Of the fields of the ABI, @last_irr holds the levels of
 *		the inputs, @irr the requests, and the master's request 2 follows the
 *		slave's output
 * @output:	level of the master's INT pin; valid after every function below
 * @ended:	inputs whose service ended since somebody cleared this
 */
struct vlm_pic_regs {
	struct kvm_pic_state chip[2];
	bool output;
	u16 ended;
};

void vlm_pic_regs_reset(struct vlm_pic_regs *p);
/* Drive input @pin, 0 to 15. 1: requested; 0: was requested already; -1: masked. */
int vlm_pic_regs_set_line(struct vlm_pic_regs *p, u32 pin, int level);
/* The vector an acknowledge would return now, or -1 while the output is low. */
int vlm_pic_regs_peek(const struct vlm_pic_regs *p);
/* Interrupt acknowledge cycle. Always a vector: input 7's when the request went away. */
int vlm_pic_regs_ack(struct vlm_pic_regs *p);
/* One byte at ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1. Other ports read 0. */
u8 vlm_pic_regs_read(struct vlm_pic_regs *p, u16 port);
void vlm_pic_regs_write(struct vlm_pic_regs *p, u16 port, u8 val);
/* @nr 0 master, 1 slave. Any input is taken without harm. */
void vlm_pic_regs_load(struct vlm_pic_regs *p, u32 nr, const struct kvm_pic_state *s);

#endif
