// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory access: segmentation here, paging in the services, and the log that
 * makes a restarted instruction see the reads it has already completed.
 */
#include "access.h"

bool vlm_emul_canonical(const struct vlm_emul *e, u64 lin)
{
	u32 shift = e->cr4 & CR4_LA57 ? 7 : 16;

	return (u64)((s64)(lin << shift) >> shift) == lin;
}

static enum vlm_emul_result seg_fault(struct vlm_emul *e, u8 seg)
{
	return vlm_emul_raise_error(e, seg == VLM_EMUL_SS ? VEC_SS : VEC_GP, 0);
}

/* Descriptor type against the access, for protected mode. */
static bool type_allows(const struct vlm_emul_seg *s, u32 acc)
{
	if (s->ar & VLM_EMUL_AR_UNUSABLE)
		return false;
	if (s->ar & 8)			/* code: never writable, maybe readable */
		return !(acc & VLM_EMUL_ACC_WRITE) && (s->ar & 2);
	return !(acc & VLM_EMUL_ACC_WRITE) || (s->ar & 2);
}

static bool within_limit(const struct vlm_emul *e, const struct vlm_emul_seg *s, u64 off, u32 len)
{
	u64 last = off + len - 1;

	if (vlm_emul_is_prot(e) && (s->ar & 0xc) == 4)	/* expand-down data */
		return off > s->limit && last <= (s->ar & VLM_EMUL_AR_DB ? 0xffffffffull : 0xffff);
	return last <= s->limit;
}

static enum vlm_emul_result linear64(struct vlm_emul *e, u8 seg, u64 off, u32 len, u64 *lin)
{
	struct vlm_emul_seg s;

	if (seg == VLM_EMUL_FS || seg == VLM_EMUL_GS) {
		vlm_emul_seg_read(e, seg, &s);
		off += s.base;
	}
	if (off + len - 1 < off)
		return VLM_EMUL_UNHANDLED;
	if (!vlm_emul_canonical(e, off) || !vlm_emul_canonical(e, off + len - 1))
		return seg_fault(e, seg);
	*lin = off;
	return VLM_EMUL_DONE;
}

enum vlm_emul_result vlm_emul_linear_any(struct vlm_emul *e, u8 seg, u64 off, u32 len, u32 acc,
					 u64 *lin)
{
	struct vlm_emul_seg s;

	if (vlm_emul_is64(e))
		return linear64(e, seg, off, len, lin);

	vlm_emul_seg_read(e, seg, &s);
	if (vlm_emul_is_prot(e) && !type_allows(&s, acc))
		return seg_fault(e, seg);
	if (!within_limit(e, &s, off, len))
		return seg_fault(e, seg);
	*lin = (u32)(s.base + off);
	if (*lin + len - 1 > 0xffffffffull)
		return VLM_EMUL_UNHANDLED;
	return VLM_EMUL_DONE;
}

enum vlm_emul_result vlm_emul_linear(struct vlm_emul *e, u8 seg, u64 off, u32 len, u32 acc,
				     u64 *lin)
{
	enum vlm_emul_result r = vlm_emul_linear_any(e, seg, off, len, acc, lin);

	if (r != VLM_EMUL_DONE)
		return r;
	if (!vlm_emul_align_checked(e) || len > 8)
		return VLM_EMUL_DONE;
	if (len & (len - 1))		/* far pointers, table images */
		return VLM_EMUL_UNHANDLED;
	return *lin & (len - 1) ? vlm_emul_raise_error(e, VEC_AC, 0) : VLM_EMUL_DONE;
}

enum vlm_emul_result vlm_emul_linear_system(struct vlm_emul *e, u64 base, u32 off, u32 len,
					    u64 *lin)
{
	*lin = base + off;
	if (!(e->efer & EFER_LMA)) {
		*lin = (u32)*lin;
		return *lin + len - 1 > 0xffffffffull ? VLM_EMUL_UNHANDLED : VLM_EMUL_DONE;
	}
	if (!vlm_emul_canonical(e, *lin) || !vlm_emul_canonical(e, *lin + len - 1))
		return VLM_EMUL_UNHANDLED;
	return VLM_EMUL_DONE;
}

enum vlm_emul_result vlm_emul_of_io(struct vlm_emul *e, enum vlm_emul_io io)
{
	switch (io) {
	case VLM_EMUL_IO_OK:
		return VLM_EMUL_DONE;
	case VLM_EMUL_IO_QUEUED:
		e->stop = true;
		return VLM_EMUL_DONE;
	case VLM_EMUL_IO_FAULT:
		return VLM_EMUL_FAULT;
	case VLM_EMUL_IO_USER:
		return VLM_EMUL_USER;
	case VLM_EMUL_IO_RETRY:
	case VLM_EMUL_IO_ABORT:
		break;
	}
	return VLM_EMUL_ABORT;
}

void vlm_emul_log_clear(struct vlm_emul *e)
{
	e->log.reads = 0;
	e->log.next = 0;
	e->log.bytes = 0;
	e->log.pos = 0;
}

/* A run begins: replay from the first read, if it is still that instruction. */
void vlm_emul_log_start(struct vlm_emul *e)
{
	if (e->log.rip != e->rip)
		vlm_emul_log_clear(e);
	e->log.rip = e->rip;
	e->log.next = 0;
	e->log.pos = 0;
}

static bool log_replay(struct vlm_emul_log *log, u64 lin, void *buf, u32 len)
{
	if (log->next >= log->reads)
		return false;
	if (log->read[log->next].lin != lin || log->read[log->next].len != len) {
		/* Registers were changed meanwhile: what follows is void. */
		log->reads = log->next;
		log->bytes = log->pos;
		return false;
	}
	memcpy(buf, log->data + log->pos, len);
	log->next++;
	log->pos += len;
	return true;
}

/*
 * Reads too large to record are those of a batch of outs, which does nothing
 * after it that needs user space, so that they are never replayed.
 */
static void log_record(struct vlm_emul_log *log, u64 lin, const void *buf, u32 len)
{
	if (log->reads >= VLM_EMUL_LOG_READS || len > VLM_EMUL_LOG_BYTES - log->bytes)
		return;
	log->read[log->reads].lin = lin;
	log->read[log->reads].len = len;
	memcpy(log->data + log->bytes, buf, len);
	log->bytes += len;
	log->reads++;
	log->next = log->reads;
	log->pos = log->bytes;
}

enum vlm_emul_result vlm_emul_read_lin(struct vlm_emul *e, u64 lin, void *buf, u32 len, u32 acc)
{
	enum vlm_emul_result r;

	if (log_replay(&e->log, lin, buf, len))
		return VLM_EMUL_DONE;
	r = vlm_emul_of_io(e, vlm_emul_mem_read(e, lin, buf, len, acc));
	if (r == VLM_EMUL_DONE)
		log_record(&e->log, lin, buf, len);
	return r;
}

enum vlm_emul_result vlm_emul_write_lin(struct vlm_emul *e, u64 lin, const void *buf, u32 len,
					u32 acc)
{
	return vlm_emul_of_io(e, vlm_emul_mem_write(e, lin, buf, len, acc | VLM_EMUL_ACC_WRITE));
}

enum vlm_emul_result vlm_emul_read_seg(struct vlm_emul *e, u8 seg, u64 off, void *buf, u32 len,
				       u32 acc)
{
	enum vlm_emul_result r;
	u64 lin;

	r = vlm_emul_linear(e, seg, off, len, acc, &lin);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_read_lin(e, lin, buf, len, acc);
}

enum vlm_emul_result vlm_emul_write_seg(struct vlm_emul *e, u8 seg, u64 off, const void *buf,
					u32 len)
{
	enum vlm_emul_result r;
	u64 lin;

	r = vlm_emul_linear(e, seg, off, len, VLM_EMUL_ACC_WRITE, &lin);
	if (r != VLM_EMUL_DONE)
		return r;
	return vlm_emul_write_lin(e, lin, buf, len, 0);
}
