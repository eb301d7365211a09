/* SPDX-License-Identifier: GPL-2.0-only */
/* How opcodes are described: one table entry says operands and legality. */
#ifndef VLM_EMUL_DECODE_H
#define VLM_EMUL_DECODE_H

#include "emul.h"

/* Where an operand comes from (letters as in the SDM's opcode map). */
enum vlm_emul_spec {
	S_NONE,
	S_E,		/* r/m, operand size */
	S_EB,		/* r/m, 8 bits */
	S_EW,		/* r/m, 16 bits */
	S_ED,		/* r/m, 32 bits */
	S_M,		/* memory only; the handler chooses the size */
	S_G,		/* modrm.reg */
	S_A,		/* accumulator */
	S_Z,		/* register in the opcode's low bits */
	S_IB,		/* imm8, sign-extended */
	S_IUB,		/* imm8, zero-extended */
	S_IW,		/* imm16, zero-extended */
	S_IZ,		/* immediate of operand size, at most 32 bits, sign-extended */
	S_IV,		/* immediate of full operand size */
	S_J,		/* branch displacement, sign-extended */
	S_O,		/* memory at an immediate offset */
	S_S,		/* segment register in modrm.reg */
	S_C,		/* control register in modrm.reg */
	S_D,		/* debug register in modrm.reg */
	S_R,		/* general register in modrm.rm whatever mod is, native size */
	S_V,		/* xmm in modrm.reg */
	S_W,		/* xmm or memory in modrm.rm, 16 bytes */
	S_ONE,		/* the constant 1 */
	S_CL,
	S_DX,		/* the 16-bit port number */
	S_P,		/* far pointer: offset in val, selector in off */
};

#define OP_DST(s)	((u32)(s))
#define OP_SRC(s)	((u32)(s) << 5)
#define OP_SRC2(s)	((u32)(s) << 10)
#define OP_DST_OF(f)	((f) & 31)
#define OP_SRC_OF(f)	(((f) >> 5) & 31)
#define OP_SRC2_OF(f)	(((f) >> 10) & 31)
#define OPS(d, s)	(OP_DST(d) | OP_SRC(s))
#define OPS3(d, s, t)	(OP_DST(d) | OP_SRC(s) | OP_SRC2(t))

#define I_MODRM		(1u << 15)
#define I_BYTE		(1u << 16)	/* operands are 8 bits wide */
#define I_LOCK		(1u << 17)	/* LOCK is legal if dst is memory */
#define I_WRITE_ONLY	(1u << 18)	/* dst is not loaded */
#define I_READ_ONLY	(1u << 19)	/* dst is not stored */
#define I_RAW		(1u << 20)	/* the handler loads and stores by itself */
#define I_DEF64		(1u << 21)	/* 64-bit operands by default in LONG64 */
#define I_NEAR64	(1u << 22)	/* always 64-bit operands in LONG64 */
#define I_NO64		(1u << 23)	/* #UD in LONG64 */
#define I_ONLY64	(1u << 24)	/* another instruction outside LONG64 */
#define I_CPL0		(1u << 25)	/* #GP(0) unless CPL is 0 */
#define I_PROT		(1u << 26)	/* #UD in REAL and VM86 */
#define I_STRING	(1u << 27)	/* repeated by F2 and F3 */
#define I_NO_PREFIX	(1u << 28)	/* 66, F2 and F3 select other instructions */
#define I_NO_REP	(1u << 29)	/* F2 and F3 select other instructions */
#define I_DWORD		(1u << 31)	/* operands are 32 or 64 bits wide in all modes */
#define I_SSE		(1u << 30)	/* sse.c knows which prefixes it understands */

struct vlm_emul_opcode {
	enum vlm_emul_result (*exec)(struct vlm_emul *e);
	/* Eight entries chosen by modrm.reg, whose flags are or-ed to these. */
	const struct vlm_emul_opcode *group;
	u32 flags;
};

/* Progress through the instruction bytes; lives only while decoding. */
struct vlm_emul_cursor {
	struct vlm_emul *e;
	enum vlm_emul_result failed;	/* DONE while all is well */
	bool rip_relative;		/* the end of the instruction is yet to be added */
};

/* fetch.c: as vlm_emul_take() of access.h, which calls it when bytes must be fetched. */
u64 vlm_emul_take_more(struct vlm_emul_cursor *c, u32 size);
/* address.c: seg and off of the memory operand that ModRM names. */
void vlm_emul_decode_address(struct vlm_emul_cursor *c, struct vlm_emul_operand *op);

extern const struct vlm_emul_opcode vlm_emul_map0[256];
extern const struct vlm_emul_opcode vlm_emul_map1[256];
extern const struct vlm_emul_opcode vlm_emul_movq_load;	/* F3 0F 7E */

#define FL_CF		(1ull << 0)
#define FL_FIXED	(1ull << 1)
#define FL_PF		(1ull << 2)
#define FL_AF		(1ull << 4)
#define FL_ZF		(1ull << 6)
#define FL_SF		(1ull << 7)
#define FL_TF		(1ull << 8)
#define FL_IF		(1ull << 9)
#define FL_DF		(1ull << 10)
#define FL_OF		(1ull << 11)
#define FL_IOPL		(3ull << 12)
#define FL_NT		(1ull << 14)
#define FL_RF		(1ull << 16)
#define FL_VM		(1ull << 17)
#define FL_AC		(1ull << 18)
#define FL_VIF		(1ull << 19)
#define FL_VIP		(1ull << 20)
#define FL_ID		(1ull << 21)
#define FL_STATUS	(FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

#define CR0_PE		(1ull << 0)
#define CR0_MP		(1ull << 1)
#define CR0_EM		(1ull << 2)
#define CR0_TS		(1ull << 3)
#define CR0_AM		(1ull << 18)
#define CR4_VME		(1ull << 0)
#define CR4_PVI		(1ull << 1)
#define CR4_DE		(1ull << 3)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_UMIP	(1ull << 11)
#define CR4_LA57	(1ull << 12)
#define CR4_CET		(1ull << 23)
#define EFER_LMA	(1ull << 10)

#define VEC_DE		0
#define VEC_UD		6
#define VEC_NM		7
#define VEC_NP		11
#define VEC_SS		12
#define VEC_GP		13
#define VEC_AC		17

enum vlm_emul_reg {
	R_AX, R_CX, R_DX, R_BX, R_SP, R_BP, R_SI, R_DI,
};

static inline bool vlm_emul_is64(const struct vlm_emul *e)
{
	return e->mode == VLM_EMUL_LONG64;
}

/* Bit 3 of a register number, from bit 0 (B), 1 (X) or 2 (R) of REX. */
static inline u8 vlm_emul_rex_bit(const struct vlm_emul *e, u32 bit)
{
	return (u8)((e->rex >> bit & 1) << 3);
}

/* Protected mode with descriptors: neither real nor virtual-8086. */
static inline bool vlm_emul_is_prot(const struct vlm_emul *e)
{
	return e->mode != VLM_EMUL_REAL && e->mode != VLM_EMUL_VM86;
}

/* Misaligned operands raise #AC. */
static inline bool vlm_emul_align_checked(const struct vlm_emul *e)
{
	return e->cpl == 3 && (e->cr0 & CR0_AM) && (e->rflags & FL_AC);
}

/* All ones in the low size bytes; size is 1, 2, 4 or 8. */
static inline u64 vlm_emul_mask(u32 size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

static inline u64 vlm_emul_sext(u64 val, u32 size)
{
	u64 sign = 1ull << (size * 8 - 1);

	val &= vlm_emul_mask(size);
	return (val ^ sign) - sign;
}

/* Exceptions; all return VLM_EMUL_FAULT. */
enum vlm_emul_result vlm_emul_raise(struct vlm_emul *e, u8 vector);
enum vlm_emul_result vlm_emul_raise_error(struct vlm_emul *e, u8 vector, u32 error);

static inline enum vlm_emul_result vlm_emul_ud(struct vlm_emul *e)
{
	return vlm_emul_raise(e, VEC_UD);
}

static inline enum vlm_emul_result vlm_emul_gp(struct vlm_emul *e, u32 error)
{
	return vlm_emul_raise_error(e, VEC_GP, error);
}

#endif
