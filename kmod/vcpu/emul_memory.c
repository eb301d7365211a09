// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory for the emulator: translated, then RAM or a device. Services of emul/platform.h. */

#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mmu/guest_walk.h"
#include "vm/memory.h"

#include "private.h"

static u32 walk_access(struct vlm_emul *e, u32 acc)
{
	u32 access = acc & VLM_EMUL_ACC_WRITE ? VLM_ACCESS_WRITE : VLM_ACCESS_READ;

	if (acc & VLM_EMUL_ACC_IMPLICIT)
		return access | VLM_ACCESS_IMPLICIT;
	return e->cpl == 3 ? access | VLM_ACCESS_USER : access;
}

/*
 * The CPU has translated the operand already, found the access allowed and told where it
 * leads. An instruction with several operands in memory may mean another one, and so may one
 * that crosses into the next page.
 */
static bool is_known(struct vlm_emul *e, u64 lin, u32 len)
{
	const struct vlm_user_io *io = &vlm_emul_owner(e)->io;

	return io->known != VLM_KNOWN_NOTHING && offset_in_page(lin) == offset_in_page(io->known_gpa) &&
	       offset_in_page(lin) + len <= PAGE_SIZE && vlm_emul_one_place(e);
}

/* Split at the page boundary and translate both halves. OK or FAULT. */
static enum vlm_emul_io translate(struct vlm_emul *e, u64 lin, u32 len, u32 access)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);
	struct vlm_user_io *io = &vcpu->io;
	u32 first;

	if (is_known(e, lin, len)) {
		io->len = len;
		io->part[0].gpa = io->known_gpa;
		io->part[0].len = len;
		io->part[1].len = 0;
		io->device = io->known == VLM_KNOWN_DEVICE;
		return VLM_EMUL_IO_OK;
	}
	io->device = false;
	first = min_t(u32, len, PAGE_SIZE - offset_in_page(lin));

	io->len = len;
	io->part[0].len = first;
	io->part[1].len = len - first;
	if (vlm_gva_to_gpa(vcpu, lin, access, &io->part[0].gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	if (len > first && vlm_gva_to_gpa(vcpu, lin + first, access, &io->part[1].gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	return VLM_EMUL_IO_OK;
}

static bool is_memory(struct vlm_vcpu *vcpu)
{
	struct vlm_user_io *io = &vcpu->io;
	struct vlm_vm *vm = vcpu->head.vm;

	if (io->device)
		return false;
	if (!vlm_vm_gpa_is_memory(vm, io->part[0].gpa)) {
		io->device = !io->part[1].len;
		return false;
	}
	return !io->part[1].len || vlm_vm_gpa_is_memory(vm, io->part[1].gpa);
}

static int copy_from_parts(struct vlm_vcpu *vcpu, void *buf)
{
	const struct vlm_user_io *io = &vcpu->io;
	struct vlm_vm *vm = vcpu->head.vm;

	if (vlm_vm_read_guest(vm, io->part[0].gpa, buf, io->part[0].len))
		return -EFAULT;
	if (!io->part[1].len)
		return 0;
	return vlm_vm_read_guest(vm, io->part[1].gpa, buf + io->part[0].len, io->part[1].len);
}

static int copy_to_parts(struct vlm_vcpu *vcpu, const void *buf)
{
	const struct vlm_user_io *io = &vcpu->io;
	struct vlm_vm *vm = vcpu->head.vm;

	if (vlm_vm_write_guest(vm, io->part[0].gpa, buf, io->part[0].len))
		return -EFAULT;
	if (!io->part[1].len)
		return 0;
	return vlm_vm_write_guest(vm, io->part[1].gpa, buf + io->part[0].len, io->part[1].len);
}

enum vlm_emul_io vlm_emul_mem_fetch(struct vlm_emul *e, u64 lin, void *buf, u32 len)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);
	u32 access = VLM_ACCESS_EXEC | (e->cpl == 3 ? VLM_ACCESS_USER : 0);
	u64 gpa;

	if (vlm_gva_to_gpa(vcpu, lin, access, &gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	/* Code in device memory cannot be run. */
	if (vlm_vm_read_guest(vcpu->head.vm, gpa, buf, len))
		return VLM_EMUL_IO_ABORT;
	return VLM_EMUL_IO_OK;
}

/*
 * The read that user space completed is asked for again: hand it over once. It was
 * translated and allowed when it left.
 */
static bool take_result(struct vlm_vcpu *vcpu, u64 lin, u32 len, void *buf)
{
	struct vlm_user_io *io = &vcpu->io;

	if (io->kind != VLM_IO_MMIO_READ || !io->done)
		return false;
	io->kind = VLM_IO_NONE;
	io->done = false;
	if (io->lin != lin || io->len != len)
		return false;
	memcpy(buf, io->data, len);
	return true;
}

enum vlm_emul_io vlm_emul_mem_read(struct vlm_emul *e, u64 lin, void *buf, u32 len, u32 acc)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);
	enum vlm_emul_io ret;

	if (take_result(vcpu, lin, len, buf))
		return VLM_EMUL_IO_OK;
	ret = translate(e, lin, len, walk_access(e, acc));
	if (ret != VLM_EMUL_IO_OK)
		return ret;
	if (is_memory(vcpu) && !copy_from_parts(vcpu, buf))
		return VLM_EMUL_IO_OK;
	vcpu->io.lin = lin;
	return vlm_mmio_read(vcpu, buf);
}

enum vlm_emul_io vlm_emul_mem_write(struct vlm_emul *e, u64 lin, const void *buf, u32 len,
				    u32 acc)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);
	enum vlm_emul_io ret;

	ret = translate(e, lin, len, walk_access(e, acc | VLM_EMUL_ACC_WRITE));
	if (ret != VLM_EMUL_IO_OK)
		return ret;
	/* A read-only slot is memory for reads and a device for writes. */
	if (is_memory(vcpu) && !copy_to_parts(vcpu, buf))
		return VLM_EMUL_IO_OK;
	return vlm_mmio_write(vcpu, buf);
}

enum vlm_emul_io vlm_emul_mem_probe(struct vlm_emul *e, u64 lin, u32 len, u32 acc)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);
	u32 first = min_t(u32, len, PAGE_SIZE - offset_in_page(lin));
	u32 access = walk_access(e, acc);
	u64 gpa;

	if (vlm_gva_to_gpa(vcpu, lin, access, &gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	if (len > first && vlm_gva_to_gpa(vcpu, lin + first, access, &gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	return VLM_EMUL_IO_OK;
}

/*
 * 1: exchanged, 0: memory holds something else, -EFAULT. Functions, not macros: names such as
 * __new belong to the kernel's own macro inside.
 */
#define DEFINE_CMPXCHG(type)							\
static int cmpxchg_##type(unsigned long hva, const void *old, const void *val)	\
{										\
	type __user *p = (type __user *)hva;					\
	type expected = *(const type *)old;					\
	type wanted = *(const type *)val;					\
	int done;								\
										\
	if (!user_access_begin(p, sizeof(type)))				\
		return -EFAULT;							\
	done = unsafe_try_cmpxchg_user(p, &expected, wanted, fault);		\
	user_access_end();							\
	return done;								\
fault:										\
	user_access_end();							\
	return -EFAULT;								\
}
DEFINE_CMPXCHG(u8)
DEFINE_CMPXCHG(u16)
DEFINE_CMPXCHG(u32)
DEFINE_CMPXCHG(u64)

static int cmpxchg_hva(unsigned long hva, const void *old, const void *val, u32 len)
{
	switch (len) {
	case 1:
		return cmpxchg_u8(hva, old, val);
	case 2:
		return cmpxchg_u16(hva, old, val);
	case 4:
		return cmpxchg_u32(hva, old, val);
	case 8:
		return cmpxchg_u64(hva, old, val);
	default:
		return -EFAULT;
	}
}

enum vlm_emul_io vlm_emul_mem_cmpxchg(struct vlm_emul *e, u64 lin, const void *old,
				      const void *val, u32 len, u32 acc)
{
	struct vlm_vcpu *vcpu = vlm_emul_owner(e);
	struct vlm_vm *vm = vcpu->head.vm;
	enum vlm_emul_io ret;
	unsigned long hva;
	int done;

	ret = translate(e, lin, len, walk_access(e, acc | VLM_EMUL_ACC_WRITE));
	if (ret != VLM_EMUL_IO_OK)
		return ret;
	if (!is_memory(vcpu))
		return vlm_mmio_write(vcpu, val);
	/* Not atomic on two pages, nor in 16 bytes: plain writes, as the face allows. */
	hva = 0;
	if (!vcpu->io.part[1].len && len <= 8)
		hva = vlm_vm_gpa_to_hva(vm, vcpu->io.part[0].gpa, true);
	if (!hva)
		return vlm_emul_mem_write(e, lin, val, len, acc);
	done = cmpxchg_hva(hva, old, val, len);
	if (done < 0)
		return vlm_emul_mem_write(e, lin, val, len, acc);
	vlm_vm_written(vm, vcpu->io.part[0].gpa, len);
	return done ? VLM_EMUL_IO_OK : VLM_EMUL_IO_RETRY;
}
