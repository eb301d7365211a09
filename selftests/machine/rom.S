/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Boot ROM of the emulated machine: starts a 64-bit Linux kernel with its
 * initramfs, without a disk, a boot loader or a decompressor.
 *
 * The emulator runs it in place of the VGA BIOS.  The payload comes through
 * one "optramimage": Bochs maps guest RAM to host memory in blocks of
 * 128 KiB, in the order of first touch, and copies the image to consecutive
 * host blocks.  Only the first image block is therefore mapped where the image
 * was placed; the rest shows up in whatever guest block is touched next.
 * payload.py numbers the blocks before the kernel ("filler") and this ROM
 *
 *   1. touches scratch blocks until the last filler block has come up,
 *   2. touches the destination blocks of kernel and initramfs in order,
 *   3. enters the kernel's 64-bit entry point with a boot_params page.
 *
 * Header block, at physical HEADER (payload.py writes it):
 *   +0  magic "VLMB"        +4  number of filler blocks
 *   +8  kernel base         +12 number of kernel and initramfs blocks
 *   +16 initramfs base      +20 initramfs size in bytes
 *   +24 entry point         +28 first scratch block
 *   +64 command line, NUL-terminated, at most 2 KiB
 * A filler block holds "FILL" and its number, from 1, at +1024.
 *
 * A failed step writes one letter and '!' to port 0xE9 and powers off:
 * H no header, F filler blocks out of order, R the machine was reset.
 */
#ifndef HEADER
#define HEADER		0x00800000
#endif
#define ROM		0xc0000
#define ROM_BYTES	4096
#define BLOCK		0x20000
#define FILLER_MARK	1024

#define BOOT_PARAMS	0x10000
#define CMDLINE		0x12000
#define STACK		0x90000
#define PAGE_TABLES	0x20000

#define E9		0xe9
#define POWER_OFF	0x8900

/* Offsets in struct boot_params (Documentation/x86/zero-page). */
#define BP_E820_ENTRIES	0x1e8
#define BP_E820_TABLE	0x2d0

	.code16
	.section .text
	.globl	_start
_start:
	.byte	0x55, 0xaa, ROM_BYTES / 512
	cli
	cld
	inb	$0x92, %al		/* A20 on */
	orb	$2, %al
	outb	%al, $0x92

	movw	$(BOOT_PARAMS >> 4), %ax
	movw	%ax, %es
	xorw	%di, %di
	xorl	%eax, %eax
	movw	$1024, %cx
	rep stosl

	xorl	%ebx, %ebx		/* memory map from the BIOS */
	xorw	%bp, %bp
	movw	$BP_E820_TABLE, %di
next_range:
	movl	$0xe820, %eax
	movl	$20, %ecx
	movl	$0x534d4150, %edx
	int	$0x15
	jc	ranges_done
	addw	$20, %di
	incw	%bp
	testl	%ebx, %ebx
	jnz	next_range
ranges_done:
	cli
	movw	%bp, %ax
	movb	%al, %es:BP_E820_ENTRIES

	lgdtl	%cs:(gdt_ptr - _start)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$0x10, $(ROM + protected - _start)

	.code32
protected:
	movw	$0x18, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$STACK, %esp

	movl	$HEADER, %ebp
	movb	$'R', %al
	cmpl	$0x44455355, (%ebp)	/* "USED": a second start is a reset */
	je	die
	movb	$'H', %al
	cmpl	$0x424d4c56, (%ebp)	/* "VLMB" */
	jne	die
	movl	$0x44455355, (%ebp)

	movl	28(%ebp), %esi
	movl	4(%ebp), %edx
	movb	$'F', %al
next_filler:
	cmpl	$0x4c4c4946, FILLER_MARK(%esi)	/* "FILL" */
	jne	die
	movl	FILLER_MARK + 4(%esi), %ecx
	movl	$0, FILLER_MARK(%esi)
	addl	$BLOCK, %esi
	cmpl	%edx, %ecx
	jb	next_filler

	movl	8(%ebp), %esi
	movl	12(%ebp), %ecx
next_block:
	movl	(%esi), %eax
	addl	$BLOCK, %esi
	loop	next_block

	leal	64(%ebp), %esi
	movl	$CMDLINE, %edi
	movl	$512, %ecx
	rep movsl

	movl	$BOOT_PARAMS, %ebx
	movw	$0xaa55, 0x1fe(%ebx)
	movl	$0x53726448, 0x202(%ebx)	/* "HdrS" */
	movw	$0x020f, 0x206(%ebx)	/* protocol version */
	movb	$0xff, 0x210(%ebx)	/* loader: unknown */
	movb	$0x01, 0x211(%ebx)	/* loaded high */
	movl	16(%ebp), %eax
	movl	%eax, 0x218(%ebx)
	movl	20(%ebp), %eax
	movl	%eax, 0x21c(%ebx)
	movl	$CMDLINE, 0x228(%ebx)
	movl	$0x7fffffff, 0x22c(%ebx)
	movl	$0x200000, 0x230(%ebx)
	movb	$1, 0x234(%ebx)
	movl	$2047, 0x238(%ebx)

	/* Identity map of the first 4 GiB with 2 MiB pages. */
	movl	$PAGE_TABLES, %edi
	xorl	%eax, %eax
	movl	$(6 * 1024), %ecx
	rep stosl
	movl	$(PAGE_TABLES + 0x1000 + 3), PAGE_TABLES
	movl	$(PAGE_TABLES + 0x2000 + 3), PAGE_TABLES + 0x1000
	movl	$(PAGE_TABLES + 0x3000 + 3), PAGE_TABLES + 0x1008
	movl	$(PAGE_TABLES + 0x4000 + 3), PAGE_TABLES + 0x1010
	movl	$(PAGE_TABLES + 0x5000 + 3), PAGE_TABLES + 0x1018
	movl	$(PAGE_TABLES + 0x2000), %edi
	movl	$0x83, %eax
	movl	$2048, %ecx
next_pde:
	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	loop	next_pde

	movl	$PAGE_TABLES, %eax
	movl	%eax, %cr3
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmpl	$0x20, $(ROM + long_mode - _start)

die:					/* al: the letter that names the step */
	movw	$E9, %dx
	outb	%al, %dx
	movb	$'!', %al
	outb	%al, %dx
	movb	$'\n', %al
	outb	%al, %dx
	movl	$(ROM + shutdown - _start), %esi
	movw	$POWER_OFF, %dx
	movl	$8, %ecx
	rep outsb
halt:
	hlt
	jmp	halt
shutdown:
	.ascii	"Shutdown"

	.code64
long_mode:
	movl	$BOOT_PARAMS, %esi
	movl	$HEADER, %ebp
	movl	24(%rbp), %eax
	movl	$0x18, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	%ecx, %ss
	jmp	*%rax

	.balign	8
gdt:
	.quad	0, 0
	.quad	0x00cf9a000000ffff	/* 0x10: 32-bit code */
	.quad	0x00cf92000000ffff	/* 0x18: data */
	.quad	0x00af9a000000ffff	/* 0x20: 64-bit code */
gdt_end:
gdt_ptr:
	.word	gdt_end - gdt - 1
	.long	ROM + gdt - _start

	.org	ROM_BYTES - 1
	.byte	0			/* checksum, set by payload.py */
