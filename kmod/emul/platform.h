/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Everything emul/ needs from outside: three kernel headers, and the services
 * below, which are bound at link time (the vCPU in the kernel, a fake machine
 * in the tests).  Nothing else of the kernel is visible to emul/.
 *
 * A service runs in the context of vlm_emul_run() and may sleep if its caller
 * may.  It must not touch the struct vlm_emul, except ->fault when it returns
 * VLM_EMUL_IO_FAULT.
 */
#ifndef VLM_EMUL_PLATFORM_H
#define VLM_EMUL_PLATFORM_H

#include <linux/types.h>
#include <linux/string.h>

#ifndef __aligned
#define __aligned(x) __attribute__((__aligned__(x)))
#endif

struct vlm_emul;

enum vlm_emul_io {
	VLM_EMUL_IO_OK,
	/*
	 * Writes only: accepted, to be carried out by user space after the
	 * instruction committed.  Ends a repeated string instruction after the
	 * current iteration.  At most one access per instruction or iteration
	 * is answered so.
	 */
	VLM_EMUL_IO_QUEUED,
	/* cmpxchg only: memory no longer holds the old value. */
	VLM_EMUL_IO_RETRY,
	/* An exception; the service filled ->fault. */
	VLM_EMUL_IO_FAULT,
	/*
	 * Reads only: user space must produce the value.  The instruction ends
	 * with VLM_EMUL_USER and no state change; when it is run again it asks
	 * for the same access again, and the service answers OK then.
	 */
	VLM_EMUL_IO_USER,
	/* Give up: VLM_EMUL_ABORT.  The owner knows why. */
	VLM_EMUL_IO_ABORT,
};

/* Access flags of the memory services. */
#define VLM_EMUL_ACC_WRITE	0x1u	/* check for (and report as) a write */
#define VLM_EMUL_ACC_IMPLICIT	0x2u	/* system structure: supervisor whatever the CPL */

/*
 * Memory by linear address; segmentation was applied, paging was not.
 * 1 <= len <= VLM_EMUL_BATCH_BYTES; lin + len - 1 does not wrap.  An access
 * may cross one page boundary: translate both pages before touching either,
 * lower page first, and report the first faulting byte in ->fault.address.
 */

/* Read instruction bytes; never crosses a page. */
enum vlm_emul_io vlm_emul_mem_fetch(struct vlm_emul *e, u64 lin, void *buf, u32 len);

/* ACC_WRITE in acc: the instruction is going to write the same bytes. */
enum vlm_emul_io vlm_emul_mem_read(struct vlm_emul *e, u64 lin, void *buf, u32 len, u32 acc);

/* OK, QUEUED, FAULT or ABORT. */
enum vlm_emul_io vlm_emul_mem_write(struct vlm_emul *e, u64 lin, const void *buf, u32 len, u32 acc);

/* Translate and check permissions as the access would; touch no data. OK, FAULT or ABORT. */
enum vlm_emul_io vlm_emul_mem_probe(struct vlm_emul *e, u64 lin, u32 len, u32 acc);

/*
 * Atomically replace old by val if memory holds old; len is 1, 2, 4, 8 or 16.
 * OK, QUEUED (device memory, written like mem_write), RETRY, FAULT or ABORT.
 * An access that cannot be atomic (crosses a page) may be carried out as a
 * plain write or refused with ABORT.
 */
enum vlm_emul_io vlm_emul_mem_cmpxchg(struct vlm_emul *e, u64 lin, const void *old,
				      const void *val, u32 len, u32 acc);

/*
 * Ports.  size is 1, 2 or 4; count elements are packed in buf.  Permission was
 * checked.  port_in may lower *count to what it has (at least 1): after USER
 * the registers may have been changed from outside, so a restarted request can
 * ask for another count than the one user space completed.
 * port_out: OK, QUEUED, FAULT or ABORT.
 */
enum vlm_emul_io vlm_emul_port_in(struct vlm_emul *e, u16 port, u32 size, u32 *count, void *buf);
enum vlm_emul_io vlm_emul_port_out(struct vlm_emul *e, u16 port, u32 size, u32 count,
				   const void *buf);

/* Segment registers in the order of their encoding, then the system ones. */
enum vlm_emul_sreg {
	VLM_EMUL_ES,
	VLM_EMUL_CS,
	VLM_EMUL_SS,
	VLM_EMUL_DS,
	VLM_EMUL_FS,
	VLM_EMUL_GS,
	VLM_EMUL_TR,
	VLM_EMUL_LDTR,
};

/* Bits of ar: the format of the VMCS (SDM "Guest Register State"). */
#define VLM_EMUL_AR_TYPE	0x0000fu
#define VLM_EMUL_AR_S		0x00010u
#define VLM_EMUL_AR_DPL_SHIFT	5
#define VLM_EMUL_AR_DPL		0x00060u
#define VLM_EMUL_AR_P		0x00080u
#define VLM_EMUL_AR_AVL		0x01000u
#define VLM_EMUL_AR_L		0x02000u
#define VLM_EMUL_AR_DB		0x04000u
#define VLM_EMUL_AR_G		0x08000u
#define VLM_EMUL_AR_UNUSABLE	0x10000u

struct vlm_emul_seg {
	u64 base;
	u32 limit;		/* in bytes, granularity applied */
	u32 ar;			/* VLM_EMUL_AR_* */
	u16 sel;
};

struct vlm_emul_table {		/* GDTR, IDTR */
	u64 base;
	u16 limit;
};

void vlm_emul_seg_read(struct vlm_emul *e, enum vlm_emul_sreg sreg, struct vlm_emul_seg *seg);
void vlm_emul_seg_write(struct vlm_emul *e, enum vlm_emul_sreg sreg,
			const struct vlm_emul_seg *seg);
void vlm_emul_gdt_read(struct vlm_emul *e, struct vlm_emul_table *table);
void vlm_emul_gdt_write(struct vlm_emul *e, const struct vlm_emul_table *table);
void vlm_emul_idt_read(struct vlm_emul *e, struct vlm_emul_table *table);
void vlm_emul_idt_write(struct vlm_emul *e, const struct vlm_emul_table *table);

/* nr is 0, 2, 3, 4 or 8; CPL was checked.  write: OK, FAULT (#GP for reserved bits) or ABORT. */
enum vlm_emul_io vlm_emul_cr_read(struct vlm_emul *e, u32 nr, u64 *val);
enum vlm_emul_io vlm_emul_cr_write(struct vlm_emul *e, u32 nr, u64 val);

/* nr is 0..3, 6 or 7; CPL was checked, DR7.GD is the service's.  OK, FAULT or ABORT. */
enum vlm_emul_io vlm_emul_dr_read(struct vlm_emul *e, u32 nr, u64 *val);
enum vlm_emul_io vlm_emul_dr_write(struct vlm_emul *e, u32 nr, u64 val);

/* CPL was checked.  Both may answer USER; a write answered OK after that is complete. */
enum vlm_emul_io vlm_emul_msr_read(struct vlm_emul *e, u32 msr, u64 *val);
enum vlm_emul_io vlm_emul_msr_write(struct vlm_emul *e, u32 msr, u64 val);

/* eax and ecx are in and out; OK, FAULT or ABORT. */
enum vlm_emul_io vlm_emul_cpuid(struct vlm_emul *e, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

/* Drop translations of the page at lin. */
void vlm_emul_invlpg(struct vlm_emul *e, u64 lin);
/* WBINVD, and INVD which is carried out as WBINVD. */
void vlm_emul_wbinvd(struct vlm_emul *e);

/* nr is 0..15; buf has 16 bytes.  CR0.EM, CR0.TS and CR4.OSFXSR were checked. */
void vlm_emul_xmm_read(struct vlm_emul *e, u32 nr, void *buf);
void vlm_emul_xmm_write(struct vlm_emul *e, u32 nr, const void *buf);

#endif
