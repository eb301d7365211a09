/* SPDX-License-Identifier: GPL-2.0-only */
/* Registers, memory and operands, as the instruction handlers see them. */
#ifndef VLM_EMUL_ACCESS_H
#define VLM_EMUL_ACCESS_H

#include "decode.h"

/* linear.c: segmentation, and memory through the services. */

/* Translate seg:off; acc says read or write.  Raises #GP, #SS or #AC. */
enum vlm_emul_result vlm_emul_linear(struct vlm_emul *e, u8 seg, u64 off, u32 len, u32 acc,
				     u64 *lin);
/* The same without the #AC of misaligned operands. */
enum vlm_emul_result vlm_emul_linear_any(struct vlm_emul *e, u8 seg, u64 off, u32 len, u32 acc,
					 u64 *lin);
/* Address of len bytes at off in a system structure at base; its limit was checked. */
enum vlm_emul_result vlm_emul_linear_system(struct vlm_emul *e, u64 base, u32 off, u32 len,
					    u64 *lin);
bool vlm_emul_canonical(const struct vlm_emul *e, u64 lin);
enum vlm_emul_result vlm_emul_read_lin(struct vlm_emul *e, u64 lin, void *buf, u32 len, u32 acc);
enum vlm_emul_result vlm_emul_write_lin(struct vlm_emul *e, u64 lin, const void *buf, u32 len,
					u32 acc);
enum vlm_emul_result vlm_emul_read_seg(struct vlm_emul *e, u8 seg, u64 off, void *buf, u32 len,
				       u32 acc);
enum vlm_emul_result vlm_emul_write_seg(struct vlm_emul *e, u8 seg, u64 off, const void *buf,
					u32 len);
enum vlm_emul_result vlm_emul_of_io(struct vlm_emul *e, enum vlm_emul_io io);
void vlm_emul_log_start(struct vlm_emul *e);
void vlm_emul_log_clear(struct vlm_emul *e);

/* operand.c: registers and decoded operands. */
u64 vlm_emul_gpr(const struct vlm_emul *e, u8 reg, u32 size);
void vlm_emul_set_gpr(struct vlm_emul *e, u8 reg, u32 size, u64 val);
enum vlm_emul_result vlm_emul_load(struct vlm_emul *e, struct vlm_emul_operand *op, u32 acc);
enum vlm_emul_result vlm_emul_store(struct vlm_emul *e, struct vlm_emul_operand *op);
/* A locked write met other bytes than were read: undo, and keep rip. */
enum vlm_emul_result vlm_emul_lost_race(struct vlm_emul *e);

/* branch.c */
enum vlm_emul_result vlm_emul_jump(struct vlm_emul *e, u64 target);

/* stack.c */
u32 vlm_emul_stack_bytes(struct vlm_emul *e);
/* Push len bytes (one or more values) at once; the new rsp goes to work[]. */
enum vlm_emul_result vlm_emul_push_bytes(struct vlm_emul *e, const void *buf, u32 len);
enum vlm_emul_result vlm_emul_push(struct vlm_emul *e, u64 val, u32 size);
/* Read len bytes at skip bytes above the top; rsp stays. */
enum vlm_emul_result vlm_emul_peek(struct vlm_emul *e, u32 skip, void *buf, u32 len);
void vlm_emul_drop(struct vlm_emul *e, u64 bytes);
/* Flags that POPF and IRET may change at this privilege. */
u64 vlm_emul_popf_mask(const struct vlm_emul *e, u32 size);

/* segment.c */
enum vlm_emul_result vlm_emul_load_seg(struct vlm_emul *e, u8 sreg, u16 sel);
/*
 * Find the code segment and target of a far transfer within the current
 * privilege level; returning says that it is a RETF.  Nothing is changed but
 * the descriptor's accessed bit; vlm_emul_seg_write() completes the transfer.
 */
enum vlm_emul_result vlm_emul_prepare_cs(struct vlm_emul *e, u16 sel, u64 off, bool returning,
					 struct vlm_emul_seg *seg);
/* LLDT, LTR; descriptor of 8 or 16 bytes. */
enum vlm_emul_result vlm_emul_load_system(struct vlm_emul *e, u8 sreg, u16 sel);

/* port.c */
enum vlm_emul_result vlm_emul_port_check(struct vlm_emul *e, u16 port, u32 size);

/* sse.c: is this form with these prefixes one of those emulated? */
bool vlm_emul_sse_known(const struct vlm_emul *e);

/* Little-endian values in byte buffers. */
static inline u64 vlm_emul_get_le(const void *buf, u32 size)
{
	u64 val = 0;

	memcpy(&val, buf, size);
	return val;
}

/* Take size bytes of the instruction; 0, with ->failed set, when there are none. */
static __always_inline u64 vlm_emul_take(struct vlm_emul_cursor *c, u32 size)
{
	struct vlm_emul *e = c->e;
	u64 val;

	if (c->failed != VLM_EMUL_DONE || e->len + size > e->insn_len)
		return vlm_emul_take_more(c, size);
	val = vlm_emul_get_le(e->insn + e->len, size);
	e->len += size;
	return val;
}

static inline void vlm_emul_put_le(void *buf, u64 val, u32 size)
{
	memcpy(buf, &val, size);
}

#endif
