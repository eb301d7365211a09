/* SPDX-License-Identifier: GPL-2.0-only */
/* The loop around string instructions. */
#ifndef VLM_EMUL_REPEAT_H
#define VLM_EMUL_REPEAT_H

#include "access.h"

/*
 * Carry out at least one iteration, and change work[] and new_rflags only if
 * that succeeds.  *count comes in as the most iterations allowed and leaves as
 * the number carried out.
 */
typedef enum vlm_emul_result vlm_emul_step(struct vlm_emul *e, u64 *count);

/*
 * Repeat step as REP says, at most VLM_EMUL_REP_MAX iterations in one call.
 * Iterations that completed stay, whatever comes after them.
 */
enum vlm_emul_result vlm_emul_repeat(struct vlm_emul *e, vlm_emul_step *step, bool until_flag);

/* rSI or rDI in the address size. */
static inline u64 vlm_emul_index(const struct vlm_emul *e, u8 reg)
{
	return vlm_emul_gpr(e, reg, e->ad_bytes);
}

static inline void vlm_emul_advance(struct vlm_emul *e, u8 reg, u64 bytes)
{
	u64 val = e->work[reg];

	vlm_emul_set_gpr(e, reg, e->ad_bytes, e->rflags & FL_DF ? val - bytes : val + bytes);
}

#endif
