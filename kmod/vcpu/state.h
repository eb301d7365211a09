/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual CPU. Private to vcpu/: the other folders know struct vlm_vcpu_head
 * (request.h), abi/ the functions of vcpu.h.
 *
 * Everything is protected by vlm_vcpu::lock, which the vCPU's ioctls hold from
 * vlm_vcpu_load() to vlm_vcpu_put(), unless a comment says otherwise.
 */
#ifndef VLM_VCPU_STATE_H
#define VLM_VCPU_STATE_H

#include <linux/kvm.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/signal.h>
#include <linux/types.h>
#include <asm/fpu/types.h>

#include "emul/emul.h"
#include "mmu/guest_walk.h"
#include "mmu/mmu.h"
#include "mmu/shadow_vcpu.h"
#include "vm/vm.h"
#include "vmx/vmx.h"

#include "request.h"
#include "stats.h"
#include "vcpu.h"

/* What an exit handler or a step of the loop returns; a negative errno beside it. */
enum vlm_next {
	VLM_TO_USER = 0,	/* kvm_run is filled: return from KVM_RUN */
	VLM_RESUME = 1,		/* enter the guest again */
};

/* Feature words of CPUID that are asked for at run time. */
enum vlm_cpuid_word {
	VLM_CPUID_1_ECX,
	VLM_CPUID_1_EDX,
	VLM_CPUID_7_EBX,
	VLM_CPUID_7_ECX,
	VLM_CPUID_7_EDX,
	VLM_CPUID_D_1_EAX,
	VLM_CPUID_80000001_ECX,
	VLM_CPUID_80000001_EDX,
	VLM_CPUID_WORDS
};

/**
 * struct vlm_cpuid - the CPU model that user space chose
 * @entries:	as KVM_SET_CPUID2 gave them, dynamic bits up to date; NULL before
 * @nent:	their number
 * @words:	feature words out of @entries
 * @set:	KVM_SET_CPUID2 was called: features are enforced from then on
 * @frozen:	the guest has run: the model cannot change any more
 * @maxphyaddr:	width of guest-physical addresses, 32 to 52
 * @xcr0:	bits that XSETBV may set
 */
struct vlm_cpuid {
	struct kvm_cpuid_entry2 *entries;
	u32 nent;
	u32 words[VLM_CPUID_WORDS];
	bool set;
	bool frozen;
	u8 maxphyaddr;
	u64 xcr0;
};

#define VLM_MCE_BANKS		32
#define VLM_MTRR_VARIABLE	8
#define VLM_MTRR_FIXED		11

/**
 * struct vlm_msrs - model-specific registers that live neither in the VMCS nor in the local APIC
 * @apic_base:	IA32_APIC_BASE when the local APIC is user space's
 * @mtrr_fixed:	64K, 16K and 4K ranges in the order of their indices
 * @mtrr_var:	base and mask in turn
 * @mce:	CTL, STATUS, ADDR, MISC of each bank
 * @unknown:	accesses to registers that do not exist, for statistics
 */
struct vlm_msrs {
	u64 apic_base;
	u64 misc_enable;
	u64 misc_features;
	u64 platform_info;
	u64 feature_control;
	u64 arch_capabilities;
	u64 microcode;
	u64 hwcr;
	u64 xss;
	u64 smi_count;
	u64 power_ctl;
	u64 mtrr_def;
	u64 mtrr_fixed[VLM_MTRR_FIXED];
	u64 mtrr_var[2 * VLM_MTRR_VARIABLE];
	u64 mcg_cap;
	u64 mcg_status;
	u64 mcg_ctl;
	u64 mce[4 * VLM_MCE_BANKS];
	u64 unknown;
};

/**
 * struct vlm_exception - at most one exception on its way to the guest
 * @pending:	raised by emulation, side effects (CR2, DR6) still to come
 * @injected:	handed to the CPU, which has not finished delivering it
 * @soft:	INT3, INTO or INT1: @insn_len is meaningful
 * @has_payload: @payload becomes CR2 (#PF) or DR6 bits (#DB) on delivery
 */
struct vlm_exception {
	bool pending;
	bool injected;
	bool soft;
	bool has_error;
	bool has_payload;
	u8 vector;
	u8 insn_len;
	u32 error;
	u64 payload;
};

/**
 * struct vlm_events - what is to be delivered to the guest
 * @irq_injected: an interrupt was handed to the CPU and is not delivered yet
 * @irq_soft:	that interrupt is INT n, of @irq_insn_len bytes
 * @user_irq:	vector of KVM_INTERRUPT waiting for a window, or -1
 * @nmi_pending: NMIs waiting, 0 to 2
 * @nmi_injected: an NMI was handed to the CPU and is not delivered yet
 * @triple_fault: shut down before the next entry
 * @handed:	which of the three "injected" events is in the VM-entry fields
 */
struct vlm_events {
	struct vlm_exception ex;
	bool irq_injected;
	bool irq_soft;
	u8 irq_vector;
	u8 irq_insn_len;
	int user_irq;
	u8 nmi_pending;
	bool nmi_injected;
	bool triple_fault;
	enum {
		VLM_HANDED_NONE,
		VLM_HANDED_EXCEPTION,
		VLM_HANDED_NMI,
		VLM_HANDED_IRQ,
	} handed;
};

/* What user space is asked to carry out, or has just carried out. */
enum vlm_io_kind {
	VLM_IO_NONE,
	VLM_IO_PORT_IN,		/* IN: store to RAX, step over */
	VLM_IO_PORT_OUT,	/* OUT: step over */
	VLM_IO_STRING_IN,	/* INS: run the emulator again */
	VLM_IO_STRING_OUT,	/* OUTS: state is committed, nothing to do */
	VLM_IO_MMIO_READ,	/* next fragment, then run the emulator again */
	VLM_IO_MMIO_WRITE,	/* next fragment; state is committed */
};

#define VLM_MMIO_FRAGMENT	8	/* bytes in kvm_run::mmio::data */

/* What an EPT exit says of the access that is emulated. */
enum vlm_io_known {
	VLM_KNOWN_NOTHING,
	VLM_KNOWN_GPA,		/* translation and permission, as known_gpa */
	VLM_KNOWN_DEVICE,	/* and that no slot is there */
};

/**
 * struct vlm_user_io - an access that user space completes
 * @done:	the data of a read is here: the emulator's next request takes it
 * @known, @known_gpa: what the exit said, for the first access of the instruction that left
 * @device:	the memory access has one piece, and no slot is there
 * @disturbed:	user space set registers since the instruction left
 * @lip:	if so, linear address of the instruction before; a different one
 *		at completion means that user space moved the vCPU elsewhere
 * @port, @size, @count: of port I/O
 * @lin:	linear address of a memory read
 * @part:	guest-physical pieces of a memory access, one per page
 * @cur, @off:	piece and offset inside it that is being worked on
 * @pos:	bytes of @data done
 * @len:	bytes of the whole memory access
 * @frag:	bytes that kvm_run asked for
 */
struct vlm_user_io {
	enum vlm_io_kind kind;
	enum vlm_io_known known;
	u64 known_gpa;
	bool device;
	bool done;
	bool disturbed;
	u64 lip;
	u16 port;
	u8 size;
	u32 count;
	u64 lin;
	struct {
		u64 gpa;
		u32 len;
	} part[2];
	u32 cur;
	u32 off;
	u32 pos;
	u32 len;
	u32 frag;
	u8 data[VLM_EMUL_BATCH_BYTES];
};

/**
 * struct vlm_fpu - extended state of the guest
 * @guest:	container of the kernel's FPU switch
 * @loaded:	the guest's container is current's (between KVM_RUN's ends)
 * @xcr0:	guest XCR0
 * @xcr0_swapped: it is in the register, from the entry to the exit
 * @pkru:	guest PKRU, valid while the guest does not run
 * @host_pkru:	the thread's, valid while the guest runs
 */
struct vlm_fpu {
	struct fpu_guest guest;
	bool loaded;
	u64 xcr0;
	bool xcr0_swapped;
	u32 pkru;
	u32 host_pkru;
};

/**
 * struct vlm_tsc - time-stamp counter: guest = (host * multiplier >> 48) + offset
 * @offset:	IA32_TSC's distance
 * @adjust:	IA32_TSC_ADJUST
 * @multiplier:	1 << 48 without scaling
 * @khz:	frequency that the guest sees
 * @last_write:	value, host time and offset of the machine's latest host write;
 *		only vCPU 0's is used, under the lock of tsc.c
 */
struct vlm_tsc {
	u64 offset;
	u64 adjust;
	u64 multiplier;
	u32 khz;
	struct {
		u64 value;
		u64 host;
		u64 offset;
		u32 khz;
		bool valid;
	} last_write;
};

/**
 * struct vlm_debug - debug registers and user space's debugger
 * @db, @dr6, @dr7: the guest's
 * @control:	KVM_GUESTDBG_* of KVM_SET_GUEST_DEBUG
 * @host_db, @host_dr7: breakpoints of KVM_GUESTDBG_USE_HW_BP
 */
struct vlm_debug {
	u64 db[4];
	u64 dr6;
	u64 dr7;
	u32 control;
	u64 host_db[4];
	u64 host_dr7;
};

/**
 * struct vlm_vcpu_shadow - what a vCPU without EPT has, shadow.c
 * @mmu:	its part of the shadow MMU; @mmu.sh is NULL with EPT
 * @pdpt:	the table that CR3 points at outside of IA-32e mode, below 4 GiB
 * @protected_gfn: frame of a guest table that the instruction being emulated writes to, or ~0
 */
struct vlm_vcpu_shadow {
	struct vlm_shadow_vcpu mmu;
	u64 *pdpt;
	u64 protected_gfn;
};

/**
 * struct vlm_vcpu - see the top of the file
 * @head:	public part, first
 * @lock:	taken by every ioctl of the vCPU; outermost of the module's locks
 * @run:	page shared with user space; its content is hostile
 * @pio_page:	data of KVM_EXIT_IO, page 1 of the mapping
 * @ring_page:	page 2 of the mapping, unused
 * @regs:	general registers by enum vlm_gpr; RIP and RFLAGS are in the VMCS
 * @cr8:	task priority when the local APIC is user space's
 * @stats:	see there
 * @vmx:	VMCS and what belongs to it
 * @exit:	the latest VM exit
 * @mmu:	the loaded EPT root
 * @shadow:	the loaded shadow roots, in a machine without EPT
 * @emul:	the instruction being emulated
 * @emul_errno:	why a service of the emulator gave up; 0 for "not emulated"
 * @paging:	registers for a walk of the guest's tables, collected anew each time
 * @mp_state:	KVM_MP_STATE_*
 * @notifier:	preemption: VMCS and host state follow the task
 * @last_cpu:	CPU that the vCPU was loaded on last, for reports
 * @srcu_idx:	of the section of vm->srcu held by the thread, see run.c
 * @sigmask:	KVM_SET_SIGNAL_MASK, when @sigmask_set
 */
struct vlm_vcpu {
	struct vlm_vcpu_head head;
	struct mutex lock;
	struct kvm_run *run;
	struct page *run_page;
	void *pio_data;
	struct page *pio_page;
	struct page *ring_page;
	u64 regs[VLM_NR_GPRS];
	u64 cr8;
	struct vlm_vcpu_stats stats;
	struct vlm_vmx vmx;
	struct vlm_exit exit;
	struct vlm_mmu_vcpu mmu;
	struct vlm_vcpu_shadow shadow;
	struct vlm_emul emul;
	int emul_errno;
	struct vlm_cpuid cpuid;
	struct vlm_msrs msrs;
	struct vlm_events events;
	struct vlm_user_io io;
	struct vlm_guest_paging paging;
	struct vlm_fpu fpu;
	struct vlm_tsc tsc;
	struct vlm_debug debug;
	u32 mp_state;
	struct preempt_notifier notifier;
	int last_cpu;
	int srcu_idx;
	sigset_t sigmask;
	bool sigmask_set;
};

static inline struct vlm_vcpu *vlm_vcpu_of(struct vlm_vcpu_head *v)
{
	return container_of(v, struct vlm_vcpu, head);
}

/* The machine has local APICs in the kernel. */
static inline bool vlm_has_lapic(const struct vlm_vcpu *vcpu)
{
	return vcpu->head.lapic;
}

/* The machine has no EPT: the guest's tables are shadowed. */
static inline bool vlm_is_shadowed(const struct vlm_vcpu *vcpu)
{
	return vcpu->shadow.mmu.sh;
}

static inline void vlm_vcpu_count(struct vlm_vcpu *vcpu, enum vlm_vcpu_stat stat)
{
	WRITE_ONCE(vcpu->stats.v[stat], vcpu->stats.v[stat] + 1);
}

static inline bool vlm_cpuid_has(const struct vlm_vcpu *vcpu, enum vlm_cpuid_word word, u32 bit)
{
	return vcpu->cpuid.words[word] & bit;
}

#endif
