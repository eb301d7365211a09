// SPDX-License-Identifier: GPL-2.0-or-later
// The guest's init, inside the VMM's binary.
	.section .rodata
	.balign 16
	.globl vmm_guest_init_start
vmm_guest_init_start:
	.incbin VMM_GUEST_INIT
	.globl vmm_guest_init_end
vmm_guest_init_end:
	.section .note.GNU-stack,"",@progbits
