// SPDX-License-Identifier: GPL-2.0-only
/* KVM_RUN begins here: finish what user space was asked to do. */

#include <linux/string.h>

#include "private.h"

void vlm_user_io_disturb(struct vlm_vcpu *vcpu)
{
	struct vlm_user_io *io = &vcpu->io;

	if (io->kind == VLM_IO_NONE || io->disturbed)
		return;
	io->disturbed = true;
	io->known = VLM_KNOWN_NOTHING;
	io->lip = vlm_linear_rip(vcpu);
}

/* User space moved the vCPU while it had it: the instruction is none of its business any more. */
static bool moved(struct vlm_vcpu *vcpu)
{
	return vcpu->io.disturbed && vlm_linear_rip(vcpu) != vcpu->io.lip;
}

static int complete_port(struct vlm_vcpu *vcpu, bool in)
{
	struct vlm_user_io *io = &vcpu->io;

	io->kind = VLM_IO_NONE;
	if (in) {
		if (io->size == 4)
			vcpu->regs[VLM_RAX] = 0;
		memcpy(&vcpu->regs[VLM_RAX], vcpu->pio_data, io->size);
	}
	return vlm_skip_bytes(vcpu, vcpu->exit.insn_len);
}

int vlm_user_io_complete(struct vlm_vcpu *vcpu)
{
	struct vlm_user_io *io = &vcpu->io;
	int step;

	switch (io->kind) {
	case VLM_IO_NONE:
		return VLM_RESUME;
	case VLM_IO_STRING_OUT:
		/* The emulator committed the instruction before the exit. */
		io->kind = VLM_IO_NONE;
		return VLM_RESUME;
	case VLM_IO_MMIO_WRITE:
		return vlm_mmio_continue(vcpu);
	default:
		break;
	}
	if (moved(vcpu)) {
		io->kind = VLM_IO_NONE;
		return VLM_RESUME;
	}
	switch (io->kind) {
	case VLM_IO_PORT_IN:
		return complete_port(vcpu, true);
	case VLM_IO_PORT_OUT:
		return complete_port(vcpu, false);
	case VLM_IO_STRING_IN:
		io->done = true;
		return vlm_emulate_again(vcpu);
	case VLM_IO_MMIO_READ:
		step = vlm_mmio_continue(vcpu);
		return step == VLM_RESUME ? vlm_emulate_again(vcpu) : step;
	default:
		return VLM_RESUME;
	}
}
