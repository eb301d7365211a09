// SPDX-License-Identifier: GPL-2.0-only
/* What the emulator asks of a vCPU: the services of emul/platform.h. */

#include <linux/string.h>
#include <linux/uaccess.h>

#include "mmu/guest_walk.h"
#include "vm/memory.h"

#include "private.h"

static struct vlm_vcpu *owner(struct vlm_emul *e)
{
	return container_of(e, struct vlm_vcpu, emul);
}

static u32 walk_access(struct vlm_emul *e, u32 acc)
{
	u32 access = acc & VLM_EMUL_ACC_WRITE ? VLM_ACCESS_WRITE : VLM_ACCESS_READ;

	if (acc & VLM_EMUL_ACC_IMPLICIT)
		return access | VLM_ACCESS_IMPLICIT;
	return e->cpl == 3 ? access | VLM_ACCESS_USER : access;
}

/* Split at the page boundary and translate both halves. OK or FAULT. */
static enum vlm_emul_io translate(struct vlm_emul *e, u64 lin, u32 len, u32 access)
{
	struct vlm_vcpu *vcpu = owner(e);
	struct vlm_user_io *io = &vcpu->io;
	u32 first = min_t(u32, len, PAGE_SIZE - offset_in_page(lin));

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
	const struct vlm_user_io *io = &vcpu->io;
	struct vlm_vm *vm = vcpu->head.vm;

	return vlm_vm_gpa_is_memory(vm, io->part[0].gpa) &&
	       (!io->part[1].len || vlm_vm_gpa_is_memory(vm, io->part[1].gpa));
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
	struct vlm_vcpu *vcpu = owner(e);
	u32 access = VLM_ACCESS_EXEC | (e->cpl == 3 ? VLM_ACCESS_USER : 0);
	u64 gpa;

	if (vlm_gva_to_gpa(vcpu, lin, access, &gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	/* Code in device memory cannot be run. */
	if (vlm_vm_read_guest(vcpu->head.vm, gpa, buf, len))
		return VLM_EMUL_IO_ABORT;
	return VLM_EMUL_IO_OK;
}

/* The read that user space completed is asked for again: hand it over once. */
static bool take_result(struct vlm_vcpu *vcpu, u64 gpa, u32 len, void *buf)
{
	struct vlm_user_io *io = &vcpu->io;

	if (io->kind != VLM_IO_MMIO_READ || !io->done)
		return false;
	io->kind = VLM_IO_NONE;
	io->done = false;
	if (io->part[0].gpa != gpa || io->len != len)
		return false;
	memcpy(buf, io->data, len);
	return true;
}

enum vlm_emul_io vlm_emul_mem_read(struct vlm_emul *e, u64 lin, void *buf, u32 len, u32 acc)
{
	struct vlm_vcpu *vcpu = owner(e);
	enum vlm_emul_io ret;
	u64 gpa;

	if (vcpu->io.kind == VLM_IO_MMIO_READ && vcpu->io.done) {
		if (vlm_gva_to_gpa(vcpu, lin, walk_access(e, acc), &gpa, &e->fault))
			return VLM_EMUL_IO_FAULT;
		if (take_result(vcpu, gpa, len, buf))
			return VLM_EMUL_IO_OK;
	}
	ret = translate(e, lin, len, walk_access(e, acc));
	if (ret != VLM_EMUL_IO_OK)
		return ret;
	if (is_memory(vcpu) && !copy_from_parts(vcpu, buf))
		return VLM_EMUL_IO_OK;
	return vlm_mmio_read(vcpu, buf);
}

enum vlm_emul_io vlm_emul_mem_write(struct vlm_emul *e, u64 lin, const void *buf, u32 len,
				    u32 acc)
{
	struct vlm_vcpu *vcpu = owner(e);
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
	struct vlm_vcpu *vcpu = owner(e);
	u32 first = min_t(u32, len, PAGE_SIZE - offset_in_page(lin));
	u32 access = walk_access(e, acc);
	u64 gpa;

	if (vlm_gva_to_gpa(vcpu, lin, access, &gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	if (len > first && vlm_gva_to_gpa(vcpu, lin + first, access, &gpa, &e->fault))
		return VLM_EMUL_IO_FAULT;
	return VLM_EMUL_IO_OK;
}

/* 1: exchanged, 0: memory holds something else, -EFAULT. */
#define TRY_CMPXCHG(type)						\
({									\
	type __user *__p = (type __user *)hva;				\
	type __old, __new;						\
	int __ret;							\
									\
	memcpy(&__old, old, sizeof(type));				\
	memcpy(&__new, val, sizeof(type));				\
	if (user_access_begin(__p, sizeof(type))) {			\
		__ret = user_cmpxchg(__p, &__old, __new);		\
		user_access_end();					\
	} else {							\
		__ret = -EFAULT;					\
	}								\
	__ret;								\
})

#define user_cmpxchg(p, oldp, new)					\
({									\
	__label__ fault;						\
	int __r;							\
									\
	__r = unsafe_try_cmpxchg_user(p, oldp, new, fault);		\
	if (0) {							\
fault:									\
		__r = -EFAULT;						\
	}								\
	__r;								\
})

static int cmpxchg_hva(unsigned long hva, const void *old, const void *val, u32 len)
{
	switch (len) {
	case 1:
		return TRY_CMPXCHG(u8);
	case 2:
		return TRY_CMPXCHG(u16);
	case 4:
		return TRY_CMPXCHG(u32);
	case 8:
		return TRY_CMPXCHG(u64);
	default:
		return -EFAULT;
	}
}

enum vlm_emul_io vlm_emul_mem_cmpxchg(struct vlm_emul *e, u64 lin, const void *old,
				      const void *val, u32 len, u32 acc)
{
	struct vlm_vcpu *vcpu = owner(e);
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
	vlm_vm_mark_dirty(vm, vcpu->io.part[0].gpa);
	return done ? VLM_EMUL_IO_OK : VLM_EMUL_IO_RETRY;
}

enum vlm_emul_io vlm_emul_port_in(struct vlm_emul *e, u16 port, u32 size, u32 *count, void *buf)
{
	return vlm_pio_string_in(owner(e), port, size, count, buf);
}

enum vlm_emul_io vlm_emul_port_out(struct vlm_emul *e, u16 port, u32 size, u32 count,
				   const void *buf)
{
	return vlm_pio_string_out(owner(e), port, size, count, buf);
}

/* The emulator orders segments by encoding, the VMCS puts LDTR before TR. */
static const enum vlm_seg seg_of[] = {
	[VLM_EMUL_ES] = VLM_SEG_ES, [VLM_EMUL_CS] = VLM_SEG_CS, [VLM_EMUL_SS] = VLM_SEG_SS,
	[VLM_EMUL_DS] = VLM_SEG_DS, [VLM_EMUL_FS] = VLM_SEG_FS, [VLM_EMUL_GS] = VLM_SEG_GS,
	[VLM_EMUL_TR] = VLM_SEG_TR, [VLM_EMUL_LDTR] = VLM_SEG_LDTR,
};

void vlm_emul_seg_read(struct vlm_emul *e, enum vlm_emul_sreg sreg, struct vlm_emul_seg *seg)
{
	struct kvm_segment s;

	vlm_vmx_get_segment(&owner(e)->vmx, seg_of[sreg], &s);
	seg->base = s.base;
	seg->limit = s.limit;
	seg->sel = s.selector;
	seg->ar = s.type | s.s << 4 | s.dpl << 5 | s.present << 7 | s.avl << 12 | s.l << 13 |
		  s.db << 14 | s.g << 15 | (s.unusable ? VLM_EMUL_AR_UNUSABLE : 0);
}

void vlm_emul_seg_write(struct vlm_emul *e, enum vlm_emul_sreg sreg,
			const struct vlm_emul_seg *seg)
{
	struct kvm_segment s = {
		.base = seg->base,
		.limit = seg->limit,
		.selector = seg->sel,
		.type = seg->ar & VLM_EMUL_AR_TYPE,
		.s = !!(seg->ar & VLM_EMUL_AR_S),
		.dpl = (seg->ar & VLM_EMUL_AR_DPL) >> VLM_EMUL_AR_DPL_SHIFT,
		.present = !!(seg->ar & VLM_EMUL_AR_P),
		.avl = !!(seg->ar & VLM_EMUL_AR_AVL),
		.l = !!(seg->ar & VLM_EMUL_AR_L),
		.db = !!(seg->ar & VLM_EMUL_AR_DB),
		.g = !!(seg->ar & VLM_EMUL_AR_G),
		.unusable = !!(seg->ar & VLM_EMUL_AR_UNUSABLE),
	};

	vlm_vmx_set_segment(&owner(e)->vmx, seg_of[sreg], &s);
}

static void table_read(struct vlm_emul *e, bool idt, struct vlm_emul_table *table)
{
	struct kvm_dtable dt;

	vlm_vmx_get_dtable(&owner(e)->vmx, idt, &dt);
	table->base = dt.base;
	table->limit = dt.limit;
}

static void table_write(struct vlm_emul *e, bool idt, const struct vlm_emul_table *table)
{
	struct kvm_dtable dt = { .base = table->base, .limit = table->limit };

	vlm_vmx_set_dtable(&owner(e)->vmx, idt, &dt);
}

void vlm_emul_gdt_read(struct vlm_emul *e, struct vlm_emul_table *table)
{
	table_read(e, false, table);
}

void vlm_emul_gdt_write(struct vlm_emul *e, const struct vlm_emul_table *table)
{
	table_write(e, false, table);
}

void vlm_emul_idt_read(struct vlm_emul *e, struct vlm_emul_table *table)
{
	table_read(e, true, table);
}

void vlm_emul_idt_write(struct vlm_emul *e, const struct vlm_emul_table *table)
{
	table_write(e, true, table);
}

static enum vlm_emul_io general_protection(struct vlm_emul *e)
{
	e->fault = (struct vlm_emul_fault){ .vector = VLM_GP, .has_error = true };
	return VLM_EMUL_IO_FAULT;
}

enum vlm_emul_io vlm_emul_cr_read(struct vlm_emul *e, u32 nr, u64 *val)
{
	struct vlm_vcpu *vcpu = owner(e);

	switch (nr) {
	case 0:
		*val = vlm_vmx_cr0(&vcpu->vmx);
		break;
	case 2:
		*val = vlm_vmx_cr2(&vcpu->vmx);
		break;
	case 3:
		*val = vlm_vmx_cr3(&vcpu->vmx);
		break;
	case 4:
		*val = vlm_vmx_cr4(&vcpu->vmx);
		break;
	case 8:
		*val = vlm_get_cr8(vcpu);
		break;
	default:
		return VLM_EMUL_IO_ABORT;
	}
	return VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_cr_write(struct vlm_emul *e, u32 nr, u64 val)
{
	struct vlm_vcpu *vcpu = owner(e);
	int err = 0;

	switch (nr) {
	case 0:
		err = vlm_set_cr0(vcpu, val);
		break;
	case 2:
		vlm_vmx_set_cr2(&vcpu->vmx, val);
		break;
	case 3:
		err = vlm_set_cr3(vcpu, val);
		break;
	case 4:
		err = vlm_set_cr4(vcpu, val);
		break;
	case 8:
		err = vlm_set_cr8(vcpu, val);
		break;
	default:
		return VLM_EMUL_IO_ABORT;
	}
	return err ? general_protection(e) : VLM_EMUL_IO_OK;
}

/* DR7.GD guards the debug registers: #DB before the access. */
static enum vlm_emul_io general_detect(struct vlm_emul *e)
{
	owner(e)->debug.dr6 |= VLM_DR6_BD;
	e->fault = (struct vlm_emul_fault){ .vector = VLM_DB };
	return VLM_EMUL_IO_FAULT;
}

enum vlm_emul_io vlm_emul_dr_read(struct vlm_emul *e, u32 nr, u64 *val)
{
	if (owner(e)->debug.dr7 & VLM_DR7_GD)
		return general_detect(e);
	*val = vlm_get_dr(owner(e), nr);
	return VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_dr_write(struct vlm_emul *e, u32 nr, u64 val)
{
	if (owner(e)->debug.dr7 & VLM_DR7_GD)
		return general_detect(e);
	return vlm_set_dr(owner(e), nr, val) ? general_protection(e) : VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_msr_read(struct vlm_emul *e, u32 msr, u64 *val)
{
	return vlm_get_msr(owner(e), msr, val, false) ? general_protection(e) : VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_msr_write(struct vlm_emul *e, u32 msr, u64 val)
{
	return vlm_set_msr(owner(e), msr, val, false) ? general_protection(e) : VLM_EMUL_IO_OK;
}

enum vlm_emul_io vlm_emul_cpuid(struct vlm_emul *e, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx)
{
	vlm_cpuid(owner(e), eax, ebx, ecx, edx);
	return VLM_EMUL_IO_OK;
}

void vlm_emul_invlpg(struct vlm_emul *e, u64 lin)
{
	vlm_vmx_flush_gva(&owner(e)->vmx, lin);
}

/* No device of this machine bypasses the caches. */
void vlm_emul_wbinvd(struct vlm_emul *e)
{
}

void vlm_emul_xmm_read(struct vlm_emul *e, u32 nr, void *buf)
{
	vlm_fpu_xmm_read(owner(e), nr, buf);
}

void vlm_emul_xmm_write(struct vlm_emul *e, u32 nr, const void *buf)
{
	vlm_fpu_xmm_write(owner(e), nr, buf);
}
