// SPDX-License-Identifier: GPL-2.0-only
/* IN, OUT, INS, OUTS; a repeated transfer asks for many elements at once. */
#include "handlers.h"
#include "repeat.h"

/* I/O permission bitmap in the TSS (SDM "I/O Permission Bit Map"). */
static enum vlm_emul_result check_bitmap(struct vlm_emul *e, u16 port, u32 size)
{
	enum vlm_emul_result r;
	struct vlm_emul_seg tr;
	u16 base, bits;
	u64 lin;
	u32 off;

	vlm_emul_seg_read(e, VLM_EMUL_TR, &tr);
	/* Only a 32-bit or 64-bit TSS has the bitmap. */
	if ((tr.ar & VLM_EMUL_AR_UNUSABLE) || !(tr.ar & VLM_EMUL_AR_P) || !(tr.ar & 8) ||
	    tr.limit < 103)
		return vlm_emul_gp(e, 0);
	r = vlm_emul_linear_system(e, tr.base, 102, 2, &lin);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_lin(e, lin, &base, 2, VLM_EMUL_ACC_IMPLICIT);
	if (r != VLM_EMUL_DONE)
		return r;
	off = base + port / 8u;
	if (off + 1 > tr.limit)
		return vlm_emul_gp(e, 0);
	r = vlm_emul_linear_system(e, tr.base, off, 2, &lin);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_lin(e, lin, &bits, 2, VLM_EMUL_ACC_IMPLICIT);
	if (r != VLM_EMUL_DONE)
		return r;
	if (bits >> (port & 7) & ((1u << size) - 1))
		return vlm_emul_gp(e, 0);
	return VLM_EMUL_DONE;
}

enum vlm_emul_result vlm_emul_port_check(struct vlm_emul *e, u16 port, u32 size)
{
	if (e->mode == VLM_EMUL_REAL)
		return VLM_EMUL_DONE;
	if (e->mode != VLM_EMUL_VM86 && e->cpl <= (e->rflags & FL_IOPL) >> 12)
		return VLM_EMUL_DONE;
	return check_bitmap(e, port, size);
}

static u32 width(const struct vlm_emul *e)
{
	if (e->flags & I_BYTE)
		return 1;
	return e->op_bytes == 8 ? 4 : e->op_bytes;
}

HANDLER(in)
{
	u16 port = (u16)e->src.val;
	enum vlm_emul_result r;
	u32 count = 1;
	u64 val = 0;

	e->dst.size = width(e);
	r = vlm_emul_port_check(e, port, e->dst.size);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_of_io(e, vlm_emul_port_in(e, port, e->dst.size, &count, &val));
	e->dst.val = val;
	return r;
}

/* The port is dst, which is only read; the accumulator is src. */
HANDLER(out)
{
	u16 port = (u16)e->dst.val;
	u32 size = width(e);
	enum vlm_emul_result r;

	r = vlm_emul_port_check(e, port, size);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_of_io(e, vlm_emul_port_out(e, port, size, 1, &e->src.val));
}

/*
 * How many elements from off on go in one request: ascending, inside one page
 * and inside the buffer.  The count depends on registers only, so that a
 * restarted request is the same one.
 */
static u32 batch(const struct vlm_emul *e, u64 off, u64 lin, u64 count)
{
	u64 room = 0x1000 - (lin & 0xfff);
	u64 wrap = vlm_emul_mask(e->ad_bytes) - off;

	if ((e->rflags & FL_DF) || room < width(e))
		return 1;
	if (room > VLM_EMUL_BATCH_BYTES)
		room = VLM_EMUL_BATCH_BYTES;
	if (wrap < room)		/* the offset would wrap */
		return 1;
	room /= width(e);
	return count < room ? (u32)count : (u32)room;
}

/* Translate a batch; one that reaches over the limit is done singly. */
static enum vlm_emul_result batch_linear(struct vlm_emul *e, u8 seg, u64 off, u32 acc,
					 u64 count, u64 *lin, u32 *n)
{
	enum vlm_emul_result r;

	r = vlm_emul_linear(e, seg, off, width(e), acc, lin);
	if (r != VLM_EMUL_DONE)
		return r;
	*n = batch(e, off, *lin, count);
	if (*n > 1 && vlm_emul_linear_any(e, seg, off, *n * width(e), acc, lin) != VLM_EMUL_DONE)
		*n = 1;
	return vlm_emul_linear(e, seg, off, width(e), acc, lin);
}

static enum vlm_emul_result ins_step(struct vlm_emul *e, u64 *count)
{
	u16 port = (u16)e->work[R_DX];
	u32 size = width(e);
	enum vlm_emul_result r;
	u64 lin;
	u32 n;

	r = batch_linear(e, VLM_EMUL_ES, vlm_emul_index(e, R_DI), VLM_EMUL_ACC_WRITE, *count,
			 &lin, &n);
	if (r != VLM_EMUL_DONE)
		return r;
	/* Reading a port has effects: find out first whether the data can be stored. */
	r = vlm_emul_of_io(e, vlm_emul_mem_probe(e, lin, n * size, VLM_EMUL_ACC_WRITE));
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_of_io(e, vlm_emul_port_in(e, port, size, &n, e->buf));
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_write_lin(e, lin, e->buf, n * size, 0);
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_advance(e, R_DI, (u64)n * size);
	*count = n;
	e->stop = true;		/* one request per run, then interrupts get their turn */
	return r;
}

static enum vlm_emul_result outs_step(struct vlm_emul *e, u64 *count)
{
	u8 seg = e->seg_override >= 0 ? e->seg_override : VLM_EMUL_DS;
	u16 port = (u16)e->work[R_DX];
	u32 size = width(e);
	enum vlm_emul_result r;
	u64 lin;
	u32 n;

	r = batch_linear(e, seg, vlm_emul_index(e, R_SI), 0, *count, &lin, &n);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_read_lin(e, lin, e->buf, n * size, 0);
	if (r == VLM_EMUL_DONE)
		r = vlm_emul_of_io(e, vlm_emul_port_out(e, port, size, n, e->buf));
	if (r != VLM_EMUL_DONE)
		return r;
	vlm_emul_advance(e, R_SI, (u64)n * size);
	*count = n;
	e->stop = true;		/* one request per run, then interrupts get their turn */
	return r;
}

HANDLER(ins)
{
	enum vlm_emul_result r = vlm_emul_port_check(e, (u16)e->work[R_DX], width(e));

	return r == VLM_EMUL_DONE ? vlm_emul_repeat(e, ins_step, false) : r;
}

HANDLER(outs)
{
	enum vlm_emul_result r = vlm_emul_port_check(e, (u16)e->work[R_DX], width(e));

	return r == VLM_EMUL_DONE ? vlm_emul_repeat(e, outs_step, false) : r;
}
