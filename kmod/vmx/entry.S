/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The world switch. Nothing here may use memory through %gs or call C: between the
 * VM exit and the restored IA32_SPEC_CTRL no return or indirect branch may be
 * predicted from what the guest trained.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>

#include <asm/asm.h>
#include <asm/bitsperlong.h>
#include <asm/cpufeatures.h>
#include <asm/ibt.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

#include "entry.h"

#define GPR(n)	(8 * (n))

.section .noinstr.text, "ax"

/* bool vlm_vmx_world_switch(struct vlm_vmx_switch *sw) */
SYM_FUNC_START(vlm_vmx_world_switch)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi			/* sw, 0(%rsp) from here on */

	/* The kernel stack differs from task to task, seldom between two entries. */
	cmp	%rsp, VLM_SWITCH_HOST_RSP(%rdi)
	je	.Lhost_rsp_set
	mov	$VLM_FIELD_HOST_RSP, %eax
.Lvmwrite:
	vmwrite	%rsp, %rax
	jbe	.Lentry_failed
	mov	%rsp, VLM_SWITCH_HOST_RSP(%rdi)
.Lhost_rsp_set:

	testl	$VLM_SWITCH_SPEC, VLM_SWITCH_FLAGS(%rdi)
	jz	.Lspec_loaded
	mov	VLM_SWITCH_SPEC_CTRL(%rdi), %rax
	cmp	%rax, VLM_SWITCH_HOST_SPEC_CTRL(%rdi)
	je	.Lspec_loaded
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lspec_loaded:

	/* CF chooses the instruction; VERW in between changes ZF only. */
	btl	$VLM_SWITCH_RESUME_BIT, VLM_SWITCH_FLAGS(%rdi)
	mov	VLM_SWITCH_REGS(%rdi), %rdi
	mov	GPR(0)(%rdi), %rax
	mov	GPR(1)(%rdi), %rcx
	mov	GPR(2)(%rdi), %rdx
	mov	GPR(3)(%rdi), %rbx
	mov	GPR(5)(%rdi), %rbp
	mov	GPR(6)(%rdi), %rsi
	mov	GPR(8)(%rdi), %r8
	mov	GPR(9)(%rdi), %r9
	mov	GPR(10)(%rdi), %r10
	mov	GPR(11)(%rdi), %r11
	mov	GPR(12)(%rdi), %r12
	mov	GPR(13)(%rdi), %r13
	mov	GPR(14)(%rdi), %r14
	mov	GPR(15)(%rdi), %r15
	mov	GPR(7)(%rdi), %rdi

	/* MDS and its relatives: drop the host's data from the CPU's buffers last. */
	CLEAR_CPU_BUFFERS

	/*
	 * The unwinder sees the exit point with the frame of this very place: the
	 * VM exit restores %rsp to what HOST_RSP holds.
	 */
	UNWIND_HINT_SAVE
	jnc	.Lvmlaunch

.Lvmresume:
	vmresume
	jmp	.Lentry_failed
.Lvmlaunch:
	vmlaunch
	jmp	.Lentry_failed

	_ASM_EXTABLE(.Lvmwrite, .Lentry_failed)
	_ASM_EXTABLE(.Lvmresume, .Lentry_failed)
	_ASM_EXTABLE(.Lvmlaunch, .Lentry_failed)

SYM_INNER_LABEL(vlm_vmx_exit_point, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR

	/* All GPRs but %rsp hold the guest's values. */
	push	%rdi
	mov	8(%rsp), %rdi
	mov	VLM_SWITCH_REGS(%rdi), %rdi
	mov	%rax, GPR(0)(%rdi)
	mov	%rcx, GPR(1)(%rdi)
	mov	%rdx, GPR(2)(%rdi)
	mov	%rbx, GPR(3)(%rdi)
	mov	%rbp, GPR(5)(%rdi)
	mov	%rsi, GPR(6)(%rdi)
	mov	%r8, GPR(8)(%rdi)
	mov	%r9, GPR(9)(%rdi)
	mov	%r10, GPR(10)(%rdi)
	mov	%r11, GPR(11)(%rdi)
	mov	%r12, GPR(12)(%rdi)
	mov	%r13, GPR(13)(%rdi)
	mov	%r14, GPR(14)(%rdi)
	mov	%r15, GPR(15)(%rdi)
	pop	GPR(7)(%rdi)
	xor	%ebx, %ebx		/* the result: no failure */

.Lback:
	/* Leave no guest value behind that a mispredicted path could use. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE

	mov	(%rsp), %rdi
	testl	$VLM_SWITCH_SPEC, VLM_SWITCH_FLAGS(%rdi)
	jz	.Lspec_done
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	testl	$VLM_SWITCH_SPEC_SAVE, VLM_SWITCH_FLAGS(%rdi)
	jz	.Lspec_kept
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, VLM_SWITCH_SPEC_CTRL(%rdi)
.Lspec_kept:
	mov	VLM_SWITCH_HOST_SPEC_CTRL(%rdi), %rax
	testl	$VLM_SWITCH_SPEC_FORCE, VLM_SWITCH_FLAGS(%rdi)
	jnz	.Lspec_write
	cmp	%rax, VLM_SWITCH_SPEC_CTRL(%rdi)
	je	.Lspec_done
.Lspec_write:
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lspec_done:
	/* The branches above must not be guessed past with the guest's restrictions. */
	lfence

	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%ebx, %eax
	add	$8, %rsp		/* sw */
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lentry_failed:
	mov	$1, %ebx
	jmp	.Lback
SYM_FUNC_END(vlm_vmx_world_switch)
