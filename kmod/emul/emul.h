/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Face of the x86 instruction emulator.
 *
 * One struct vlm_emul is one instruction in flight.  It is embedded in its
 * owner (a vCPU, or a test), used by one thread at a time, takes no lock and
 * allocates nothing.  All access to memory, ports, segments and control
 * registers goes through the services declared in platform.h, which receive
 * the struct and find the owner with container_of().
 *
 * Life of an instruction:
 *
 *	vlm_emul_begin(e);		forget the previous instruction
 *	fill the "in" fields;
 *	r = vlm_emul_run(e);		decode and execute
 *	while (r == VLM_EMUL_USER) {
 *		let user space complete the read that a service asked for;
 *		refresh the "in" fields;
 *		r = vlm_emul_run(e);	the same instruction, from its start
 *	}
 *
 * Contract:
 * - Registers, rip, rflags and service-held state change only with
 *   VLM_EMUL_DONE, except that a repeated string instruction keeps the
 *   iterations that completed before a later one returned something else:
 *   after any result regs[] and ->rflags are what the vCPU has.
 * - Memory, ports and control registers are written last, after everything
 *   that can fault.
 * - VLM_EMUL_UNHANDLED is returned rather than a guess.
 * - VLM_EMUL_DONE with an unchanged rip is legal: a repeated string
 *   instruction stops after a bounded number of iterations (so that interrupts
 *   are taken), and a locked one that lost a race wants to be started again.
 *   Enter the guest or call begin/run again.
 */
#ifndef VLM_EMUL_EMUL_H
#define VLM_EMUL_EMUL_H

#include "platform.h"

/* Largest transfer of one rep ins/outs step, in bytes. */
#define VLM_EMUL_BATCH_BYTES	1024u
/* Most iterations of a repeated string instruction in one call. */
#define VLM_EMUL_REP_MAX	1024u
/* Longest instruction, in bytes; longer ones are #GP (SDM "Instruction Format"). */
#define VLM_EMUL_INSN_MAX	15u

/* How the instruction stream is read; see vlm_emul_mode_of(). */
enum vlm_emul_mode {
	VLM_EMUL_REAL,		/* CR0.PE = 0 */
	VLM_EMUL_VM86,		/* protected, RFLAGS.VM = 1 */
	VLM_EMUL_PROT16,	/* protected or compatibility, CS.D = 0 */
	VLM_EMUL_PROT32,	/* protected or compatibility, CS.D = 1 */
	VLM_EMUL_LONG64,	/* EFER.LMA = 1, CS.L = 1 */
};

/* What became of the instruction. */
enum vlm_emul_result {
	VLM_EMUL_DONE,		/* executed; rip, rflags, regs, out are valid */
	VLM_EMUL_FAULT,		/* inject ->fault at the unchanged rip */
	VLM_EMUL_USER,		/* a service needs user space; run again later */
	VLM_EMUL_UNHANDLED,	/* not an instruction emulated here */
	VLM_EMUL_ABORT,		/* a service gave up, and told its owner why */
};

/* Exception to inject; filled here, or by a service that returns FAULT. */
struct vlm_emul_fault {
	u8 vector;		/* 0..31 */
	bool has_error;
	u32 error;		/* valid if has_error */
	u64 address;		/* new CR2; valid if vector is #PF (14) */
};

/* Interruptibility after the instruction (SDM "Guest Non-Register State"). */
enum vlm_emul_shadow {
	VLM_EMUL_SHADOW_NONE,
	VLM_EMUL_SHADOW_STI,
	VLM_EMUL_SHADOW_MOV_SS,
};

/* Consequences that the owner acts on after VLM_EMUL_DONE. */
struct vlm_emul_out {
	enum vlm_emul_shadow shadow;
	bool halted;		/* HLT was executed */
	bool nmi_unblock;	/* IRET ended NMI blocking */
	bool partial;		/* repeated instruction with iterations left */
};

/* What a decoded operand is. */
enum vlm_emul_kind {
	VLM_EMUL_OP_NONE,
	VLM_EMUL_OP_GPR,	/* reg; high8 selects AH..BH */
	VLM_EMUL_OP_MEM,	/* seg:off */
	VLM_EMUL_OP_IMM,	/* val */
	VLM_EMUL_OP_SEG,	/* reg = enum vlm_emul_sreg */
	VLM_EMUL_OP_CR,
	VLM_EMUL_OP_DR,
	VLM_EMUL_OP_XMM,
};

struct vlm_emul_operand {
	enum vlm_emul_kind kind;
	u8 reg;
	u8 size;		/* bytes; 0 for a memory operand never accessed */
	bool high8;
	u8 seg;			/* enum vlm_emul_sreg, for MEM */
	u64 off;		/* offset within seg, wrapped to the address size */
	u64 val;		/* value once loaded, zero-extended */
};

/* Reads that completed, so that a restarted instruction sees them again. */
#define VLM_EMUL_LOG_READS	8u
#define VLM_EMUL_LOG_BYTES	128u

struct vlm_emul_log {
	struct {
		u64 lin;
		u32 len;
	} read[VLM_EMUL_LOG_READS];
	u8 data[VLM_EMUL_LOG_BYTES];
	u8 reads;		/* entries recorded */
	u8 next;		/* entries replayed so far in this run */
	u16 bytes;		/* bytes recorded */
	u16 pos;		/* bytes replayed so far in this run */
	u64 rip;		/* instruction that the entries belong to */
};

struct vlm_emul_opcode;

struct vlm_emul {
	/* In: filled by the owner before each vlm_emul_run(). */
	u64 *regs;		/* 16 GPRs: rax rcx rdx rbx rsp rbp rsi rdi r8..r15; written at commit */
	u64 rip;		/* offset in CS; advanced at commit */
	u64 rflags;		/* RF is cleared at commit; #DB for TF is the owner's */
	u64 cr0;
	u64 cr4;
	u64 efer;
	enum vlm_emul_mode mode;
	u8 cpl;			/* 0..3; 0 in REAL, 3 in VM86 */
	u8 insn_len;		/* bytes of insn[] already there, or 0 to fetch */
	u8 insn[VLM_EMUL_INSN_MAX + 1];

	/* Out. */
	struct vlm_emul_fault fault;
	struct vlm_emul_out out;

	/* Decoded: valid after vlm_emul_decode() returned DONE. */
	const struct vlm_emul_opcode *op;
	u8 len;			/* instruction length in bytes, 1..15 */
	u8 opcode;		/* last opcode byte */
	u8 map;			/* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	u8 op_bytes;		/* effective operand size: 2, 4, 8 */
	u8 ad_bytes;		/* effective address size: 2, 4, 8 */
	u8 rex;			/* REX prefix byte or 0 */
	u8 rep;			/* 0xf2, 0xf3 or 0 */
	bool lock;
	bool opsize_prefix;	/* 66 was present */
	bool has_modrm;
	u8 modrm;
	s8 seg_override;	/* enum vlm_emul_sreg or -1 */
	struct vlm_emul_operand dst;
	struct vlm_emul_operand src;
	struct vlm_emul_operand src2;	/* imm or CL of three-operand forms */

	/* Private to emul/. */
	u64 work[16];		/* registers while executing */
	u64 next_rip;
	u64 new_rflags;
	u64 dst_old;		/* dst as loaded, for a locked write-back */
	u32 flags;		/* op->flags after group resolution */
	bool stop;		/* a write was queued: end the rep after it */
	bool rsp_base;		/* the memory operand is relative to rsp */
	struct vlm_emul_log log;
	u8 buf[VLM_EMUL_BATCH_BYTES] __aligned(16);
};

/*
 * Say how instructions are read for these registers.  cs_ar has the format of
 * struct vlm_emul_seg::ar.
 */
enum vlm_emul_mode vlm_emul_mode_of(u64 cr0, u64 efer, u64 rflags, u32 cs_ar);

/* Forget the previous instruction: its bytes, its decoding, its read log. */
void vlm_emul_begin(struct vlm_emul *e);

/*
 * Decode the instruction at rip.  Reads instruction bytes (from insn[], then
 * from the fetch service) and segment registers; changes nothing else.
 *
 * DONE: the decoded fields are valid.  FAULT: #UD, #GP (too long, beyond the
 * CS limit) or what the fetch service reported.  UNHANDLED, USER, ABORT as
 * for vlm_emul_run().
 */
enum vlm_emul_result vlm_emul_decode(struct vlm_emul *e);

/* Execute what vlm_emul_decode() decoded.  Call at most once per decode. */
enum vlm_emul_result vlm_emul_execute(struct vlm_emul *e);

/* Decode, then execute. */
enum vlm_emul_result vlm_emul_run(struct vlm_emul *e);

/*
 * After VLM_EMUL_USER, in place of vlm_emul_run(), if nothing that the owner fills in has
 * changed: what was decoded need not be decoded again.
 */
enum vlm_emul_result vlm_emul_resume(struct vlm_emul *e);

/* True while an instruction executes whose only accesses to memory are to one operand. */
bool vlm_emul_one_place(const struct vlm_emul *e);

#endif
