/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instruction handlers, one per table entry or family of entries.
 *
 * A handler finds its operands loaded (unless I_RAW), leaves the result in
 * e->dst.val, registers in e->work[] and flags in e->new_rflags.  Services with
 * effects are called last.
 */
#ifndef VLM_EMUL_HANDLERS_H
#define VLM_EMUL_HANDLERS_H

#include "access.h"

#define HANDLER(name) enum vlm_emul_result vlm_op_##name(struct vlm_emul *e)

/* arith.c */
HANDLER(alu);
HANDLER(test);
HANDLER(inc);
HANDLER(dec);
HANDLER(not);
HANDLER(neg);
HANDLER(shift);
HANDLER(shld);
HANDLER(mul);
HANDLER(imul);
HANDLER(div);
HANDLER(widen);
HANDLER(spread);

/* bits.c */
HANDLER(bt);
HANDLER(bsf);
HANDLER(bswap);
HANDLER(setcc);
HANDLER(cmovcc);
HANDLER(xadd);
HANDLER(cmpxchg);
HANDLER(cmpxchg_wide);

/* move.c */
HANDLER(mov);
HANDLER(movsx);
HANDLER(xchg);
HANDLER(lea);
HANDLER(mov_from_seg);
HANDLER(mov_to_seg);
HANDLER(load_far_pointer);
HANDLER(lahf);
HANDLER(sahf);
HANDLER(xlat);
HANDLER(flag);
HANDLER(nop);
HANDLER(hint);
HANDLER(prefetch);
HANDLER(fence);
HANDLER(ud);

/* string.c */
HANDLER(movs);
HANDLER(cmps);
HANDLER(stos);
HANDLER(lods);
HANDLER(scas);

/* port.c */
HANDLER(ins);
HANDLER(outs);
HANDLER(in);
HANDLER(out);

/* stack.c */
HANDLER(push);
HANDLER(pop);
HANDLER(push_seg);
HANDLER(pop_seg);
HANDLER(pusha);
HANDLER(popa);
HANDLER(pushf);
HANDLER(popf);
HANDLER(enter);
HANDLER(leave);

/* branch.c */
HANDLER(jmp);
HANDLER(jcc);
HANDLER(loop);
HANDLER(call);
HANDLER(ret);

/* far.c */
HANDLER(jmp_far);
HANDLER(call_far);
HANDLER(ret_far);
HANDLER(int);
HANDLER(iret);

/* system.c */
HANDLER(mov_from_cr);
HANDLER(mov_to_cr);
HANDLER(mov_from_dr);
HANDLER(mov_to_dr);
HANDLER(clts);
HANDLER(smsw);
HANDLER(lmsw);
HANDLER(store_table);
HANDLER(load_table);
HANDLER(invlpg);
HANDLER(wbinvd);
HANDLER(hlt);
HANDLER(cpuid);
HANDLER(rdmsr);
HANDLER(wrmsr);
HANDLER(store_sysseg);
HANDLER(load_sysseg);
HANDLER(sti);

/* sse.c */
HANDLER(sse_load);
HANDLER(sse_store);
HANDLER(movd);

#endif
