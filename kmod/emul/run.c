// SPDX-License-Identifier: GPL-2.0-only
/* One instruction from its start to its commit. */
#include "handlers.h"
#include "repeat.h"

enum vlm_emul_mode vlm_emul_mode_of(u64 cr0, u64 efer, u64 rflags, u32 cs_ar)
{
	if (!(cr0 & CR0_PE))
		return VLM_EMUL_REAL;
	if ((efer & EFER_LMA) && (cs_ar & VLM_EMUL_AR_L))
		return VLM_EMUL_LONG64;
	if (!(efer & EFER_LMA) && (rflags & FL_VM))
		return VLM_EMUL_VM86;
	return cs_ar & VLM_EMUL_AR_DB ? VLM_EMUL_PROT32 : VLM_EMUL_PROT16;
}

/* Real mode pushes no error codes. */
static bool has_error_code(const struct vlm_emul *e, u8 vector)
{
	return e->mode != VLM_EMUL_REAL &&
	       (vector == 8 || (vector >= 10 && vector <= 14) || vector == VEC_AC);
}

enum vlm_emul_result vlm_emul_raise_error(struct vlm_emul *e, u8 vector, u32 error)
{
	e->fault.vector = vector;
	e->fault.has_error = has_error_code(e, vector);
	e->fault.error = e->fault.has_error ? error : 0;
	e->fault.address = 0;
	return VLM_EMUL_FAULT;
}

enum vlm_emul_result vlm_emul_raise(struct vlm_emul *e, u8 vector)
{
	return vlm_emul_raise_error(e, vector, 0);
}

void vlm_emul_begin(struct vlm_emul *e)
{
	e->insn_len = 0;
	e->op = NULL;
	vlm_emul_log_clear(e);
}

/* Make the iterations of a repeated instruction that completed visible. */
static void commit_iterations(struct vlm_emul *e)
{
	memcpy(e->regs, e->work, sizeof(e->work));
	/* RF goes when the instruction ends: its breakpoint was taken already. */
	e->rflags = e->new_rflags | (e->rflags & FL_RF);
}

static void commit(struct vlm_emul *e)
{
	memcpy(e->regs, e->work, sizeof(e->work));
	e->rflags = e->new_rflags;
	e->rip = e->next_rip;
}

enum vlm_emul_result vlm_emul_repeat(struct vlm_emul *e, vlm_emul_step *step, bool until_flag)
{
	enum vlm_emul_result r;
	u64 budget = VLM_EMUL_REP_MAX;
	u64 left, count;

	if (!e->rep) {
		count = 1;
		return step(e, &count);
	}
	left = vlm_emul_gpr(e, R_CX, e->ad_bytes);
	while (left) {
		if (!budget || e->stop) {
			e->out.partial = true;
			e->next_rip = e->rip;
			e->new_rflags = e->rflags;
			return VLM_EMUL_DONE;
		}
		count = left < budget ? left : budget;
		r = step(e, &count);
		if (r != VLM_EMUL_DONE)
			return r;
		left -= count;
		budget -= count;
		vlm_emul_set_gpr(e, R_CX, e->ad_bytes, left);
		vlm_emul_log_clear(e);
		commit_iterations(e);
		/* REPE goes on while equal, REPNE while not. */
		if (until_flag && !(e->new_rflags & FL_ZF) == (e->rep == 0xf3))
			break;
	}
	return VLM_EMUL_DONE;
}

/* Operands that the handler wants loaded, in the order that faults are due. */
static enum vlm_emul_result load_operands(struct vlm_emul *e)
{
	u32 acc = e->flags & I_READ_ONLY ? 0 : VLM_EMUL_ACC_WRITE;
	enum vlm_emul_result r;

	r = vlm_emul_load(e, &e->src, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	r = vlm_emul_load(e, &e->src2, 0);
	if (r != VLM_EMUL_DONE || (e->flags & I_WRITE_ONLY))
		return r;
	r = vlm_emul_load(e, &e->dst, acc);
	e->dst_old = e->dst.val;
	return r;
}

static enum vlm_emul_result execute(struct vlm_emul *e)
{
	enum vlm_emul_result r;

	if ((e->flags & I_PROT) && !vlm_emul_is_prot(e))
		return vlm_emul_ud(e);
	if ((e->flags & I_CPL0) && e->cpl)
		return vlm_emul_gp(e, 0);
	if (e->flags & I_RAW)
		return e->op->exec(e);
	r = load_operands(e);
	if (r != VLM_EMUL_DONE)
		return r;
	r = e->op->exec(e);
	if (r != VLM_EMUL_DONE || (e->flags & I_READ_ONLY))
		return r;
	return vlm_emul_store(e, &e->dst);
}

/* Make of what execute() says what the owner sees. */
static enum vlm_emul_result finish(struct vlm_emul *e, enum vlm_emul_result r)
{
	if (r == VLM_EMUL_DONE)
		commit(e);
	if (r == VLM_EMUL_USER)
		return r;
	vlm_emul_log_clear(e);
	e->op = NULL;
	return r;
}

enum vlm_emul_result vlm_emul_execute(struct vlm_emul *e)
{
	if (!e->op || !e->op->exec)
		return VLM_EMUL_UNHANDLED;
	memset(&e->out, 0, sizeof(e->out));
	memcpy(e->work, e->regs, sizeof(e->work));
	e->new_rflags = e->rflags & ~FL_RF;
	e->stop = false;
	vlm_emul_log_start(e);
	return finish(e, execute(e));
}

enum vlm_emul_result vlm_emul_resume(struct vlm_emul *e)
{
	/* Handlers that load by themselves may have changed operands and work[] meanwhile. */
	if (!e->op || (e->flags & I_RAW))
		return vlm_emul_run(e);
	vlm_emul_log_start(e);
	return finish(e, execute(e));
}

bool vlm_emul_one_place(const struct vlm_emul *e)
{
	return e->op && !(e->flags & I_RAW);
}

enum vlm_emul_result vlm_emul_run(struct vlm_emul *e)
{
	enum vlm_emul_result r = vlm_emul_decode(e);

	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_execute(e);
}
