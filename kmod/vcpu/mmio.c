// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory: the local APIC's page, devices of the kernel, user space. An access is
 * one or two guest-physical pieces (one per page), carried out front to back in
 * fragments of at most eight bytes. vcpu->io holds how far it got, so that it can go to
 * user space and back any number of times.
 */

#include <linux/minmax.h>
#include <linux/string.h>

#include "vm/iobus.h"
#include "vm/memory.h"

#include "private.h"

static u32 fragment_size(u64 gpa, u32 left)
{
	/* Natural sizes: devices know 1, 2, 4 and 8 bytes. */
	if (left >= 8)
		return 8;
	if (left >= 4)
		return 4;
	if (left >= 2)
		return 2;
	return 1;
}

/* Carry out one fragment without user space, if somebody in the kernel answers. */
static bool in_kernel(struct vlm_vcpu *vcpu, bool write, u64 gpa, u32 len, void *data)
{
	struct vlm_vm *vm = vcpu->head.vm;

	if (vlm_has_lapic(vcpu) && vlm_lapic_claims(&vcpu->head, gpa)) {
		if (write)
			vlm_lapic_mmio_write(&vcpu->head, gpa, len, data);
		else
			vlm_lapic_mmio_read(&vcpu->head, gpa, len, data);
		return true;
	}
	if (!vcpu->io.device && !(write ? vlm_vm_write_guest(vm, gpa, data, len) :
					  vlm_vm_read_guest(vm, gpa, data, len)))
		return true;
	if (write)
		return !vlm_iobus_write(vm, &vm->mmio, &vcpu->head, gpa, len, data);
	return !vlm_iobus_read(vm, &vm->mmio, &vcpu->head, gpa, len, data);
}

static void step_over_fragment(struct vlm_user_io *io, u32 len)
{
	io->off += len;
	io->pos += len;
	if (io->off == io->part[io->cur].len) {
		io->cur++;
		io->off = 0;
	}
}

/* Go on until the end (true) or until user space is needed, with kvm_run filled (false). */
static bool advance(struct vlm_vcpu *vcpu)
{
	struct vlm_user_io *io = &vcpu->io;
	bool write = io->kind == VLM_IO_MMIO_WRITE;
	struct kvm_run *run = vcpu->run;

	while (io->pos < io->len) {
		u64 gpa = io->part[io->cur].gpa + io->off;
		u32 len = fragment_size(gpa, io->part[io->cur].len - io->off);

		if (!in_kernel(vcpu, write, gpa, len, io->data + io->pos)) {
			vlm_vcpu_count(vcpu, VLM_VCPU_MMIO_EXITS);
			io->frag = len;
			run->exit_reason = KVM_EXIT_MMIO;
			run->mmio.phys_addr = gpa;
			run->mmio.len = len;
			run->mmio.is_write = write;
			if (write)
				memcpy(run->mmio.data, io->data + io->pos, len);
			return false;
		}
		step_over_fragment(io, len);
	}
	return true;
}

static void start(struct vlm_vcpu *vcpu, enum vlm_io_kind kind)
{
	struct vlm_user_io *io = &vcpu->io;

	io->kind = kind;
	io->done = false;
	io->disturbed = false;
	io->cur = 0;
	io->off = 0;
	io->pos = 0;
}

/* The caller has set up io->part and io->len, unless an earlier read is finished. */
enum vlm_emul_io vlm_mmio_read(struct vlm_vcpu *vcpu, void *buf)
{
	struct vlm_user_io *io = &vcpu->io;

	start(vcpu, VLM_IO_MMIO_READ);
	if (!advance(vcpu))
		return VLM_EMUL_IO_USER;
	io->kind = VLM_IO_NONE;
	memcpy(buf, io->data, io->len);
	return VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_mmio_write(struct vlm_vcpu *vcpu, const void *buf)
{
	struct vlm_user_io *io = &vcpu->io;

	memcpy(io->data, buf, io->len);
	start(vcpu, VLM_IO_MMIO_WRITE);
	if (!advance(vcpu))
		return VLM_EMUL_IO_QUEUED;
	io->kind = VLM_IO_NONE;
	return VLM_EMUL_IO_OK;
}

int vlm_mmio_continue(struct vlm_vcpu *vcpu)
{
	struct vlm_user_io *io = &vcpu->io;

	if (io->kind == VLM_IO_MMIO_READ)
		memcpy(io->data + io->pos, vcpu->run->mmio.data, io->frag);
	step_over_fragment(io, io->frag);
	if (!advance(vcpu))
		return VLM_TO_USER;
	if (io->kind == VLM_IO_MMIO_READ)
		io->done = true;
	else
		io->kind = VLM_IO_NONE;
	return VLM_RESUME;
}
