// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port I/O. IN and OUT need no decoding: the exit says it all. INS and OUTS go through
 * the emulator, which asks for as many elements at once as fit.
 */

#include <linux/string.h>

#include <asm/vmx.h>

#include "vm/iobus.h"

#include "private.h"

/* SDM table "Exit Qualification for I/O Instructions". */
#define IO_SIZE(q)	(((q) & 7) + 1)
#define IO_IS_IN	BIT(3)
#define IO_IS_STRING	BIT(4)
#define IO_PORT(q)	(((q) >> 16) & 0xffff)

/* Ask user space. The data of a write is in the page already. Returns a step. */
static int to_user(struct vlm_vcpu *vcpu, enum vlm_io_kind kind, u16 port, u32 size, u32 count)
{
	struct kvm_run *run = vcpu->run;
	bool in = kind == VLM_IO_PORT_IN || kind == VLM_IO_STRING_IN;

	vcpu->io.kind = kind;
	vcpu->io.done = false;
	vcpu->io.disturbed = false;
	vcpu->io.port = port;
	vcpu->io.size = size;
	vcpu->io.count = count;
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = size;
	run->io.port = port;
	run->io.count = count;
	run->io.data_offset = PAGE_SIZE;
	return VLM_TO_USER;
}

/* IN leaves the upper bytes of RAX alone, except that a 32-bit result clears them. */
static void store_rax(struct vlm_vcpu *vcpu, const void *data, u32 size)
{
	if (size == 4)
		vcpu->regs[VLM_RAX] = 0;
	memcpy(&vcpu->regs[VLM_RAX], data, size);
}

int vlm_exit_io(struct vlm_vcpu *vcpu)
{
	struct vlm_vm *vm = vcpu->head.vm;
	u64 q = vcpu->exit.qualification;
	u16 port = IO_PORT(q);
	u32 size = IO_SIZE(q);
	u32 data = vcpu->regs[VLM_RAX];

	vlm_vcpu_count(vcpu, VLM_VCPU_IO_EXITS);
	if (q & IO_IS_STRING)
		return vlm_emulate(vcpu);
	if (q & IO_IS_IN) {
		if (vlm_iobus_read(vm, &vm->pio, &vcpu->head, port, size, &data))
			return to_user(vcpu, VLM_IO_PORT_IN, port, size, 1);
		store_rax(vcpu, &data, size);
		return vlm_skip_insn(vcpu);
	}
	if (vlm_iobus_write(vm, &vm->pio, &vcpu->head, port, size, &data)) {
		memcpy(vcpu->pio_data, &data, size);
		return to_user(vcpu, VLM_IO_PORT_OUT, port, size, 1);
	}
	return vlm_skip_insn(vcpu);
}

/*
 * A second run of an INS takes what user space delivered. The guest's count register
 * may have been changed meanwhile, so never take more than there is.
 */
static bool take_result(struct vlm_vcpu *vcpu, u16 port, u32 size, u32 *count, void *buf)
{
	struct vlm_user_io *io = &vcpu->io;

	if (io->kind != VLM_IO_STRING_IN || !io->done)
		return false;
	io->kind = VLM_IO_NONE;
	if (io->port != port || io->size != size)
		return false;
	*count = min(*count, io->count);
	memcpy(buf, vcpu->pio_data, (size_t)*count * size);
	return true;
}

enum vlm_emul_io vlm_pio_string_in(struct vlm_vcpu *vcpu, u16 port, u32 size, u32 *count,
				   void *buf)
{
	struct vlm_vm *vm = vcpu->head.vm;
	u32 i;

	if (take_result(vcpu, port, size, count, buf))
		return VLM_EMUL_IO_OK;
	for (i = 0; i < *count; i++) {
		if (vlm_iobus_read(vm, &vm->pio, &vcpu->head, port, size, buf + i * size))
			break;
	}
	if (i) {
		*count = i;
		return VLM_EMUL_IO_OK;
	}
	to_user(vcpu, VLM_IO_STRING_IN, port, size, min_t(u32, *count, PAGE_SIZE / size));
	return VLM_EMUL_IO_USER;
}

enum vlm_emul_io vlm_pio_string_out(struct vlm_vcpu *vcpu, u16 port, u32 size, u32 count,
				    const void *buf)
{
	struct vlm_vm *vm = vcpu->head.vm;
	u32 i;

	for (i = 0; i < count; i++) {
		if (vlm_iobus_write(vm, &vm->pio, &vcpu->head, port, size, buf + i * size))
			break;
	}
	if (i == count)
		return VLM_EMUL_IO_OK;
	/* The emulator never passes more than VLM_EMUL_BATCH_BYTES, a quarter of the page. */
	memcpy(vcpu->pio_data, buf + i * size, (size_t)(count - i) * size);
	to_user(vcpu, VLM_IO_STRING_OUT, port, size, count - i);
	return VLM_EMUL_IO_QUEUED;
}
