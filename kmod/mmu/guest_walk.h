/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Translate a guest virtual address by the guest's own page tables, as the CPU
 * would: SDM volume 3, chapter "Paging". For the emulator and for KVM_TRANSLATE.
 */
#ifndef VLM_MMU_GUEST_WALK_H
#define VLM_MMU_GUEST_WALK_H

#include "mmu.h"

/* Besides VLM_ACCESS_* of mmu.h. */
#define VLM_ACCESS_IMPLICIT	16u	/* supervisor access by the CPU itself: RFLAGS.AC does not help */
#define VLM_ACCESS_PEEK		32u	/* leave accessed and dirty flags alone */

/* Bits of a page-fault error code, SDM "Page-Fault Exceptions". */
#define VLM_PFEC_PRESENT	BIT(0)
#define VLM_PFEC_WRITE		BIT(1)
#define VLM_PFEC_USER		BIT(2)
#define VLM_PFEC_RSVD		BIT(3)
#define VLM_PFEC_FETCH		BIT(4)
#define VLM_PFEC_PK		BIT(5)

/**
 * struct vlm_guest_paging - registers that govern translation
 * @as_id:	address space, 1 in system-management mode
 * @cr3:	as the guest wrote it; PCID bits are ignored
 * @rflags:	only AC is looked at
 * @pdptrs:	the four PDPTE registers, used with PAE paging only
 * @pkru:	used with CR4.PKE and 4-level or 5-level paging
 * @pkrs:	IA32_PKRS, used with CR4.PKS likewise
 * @maxphyaddr:	of the guest, 32 to 52: higher bits of an entry are reserved
 * @gbpages:	the guest's CPUID reports 1-GiB pages
 */
struct vlm_guest_paging {
	unsigned int as_id;
	u64 cr0;
	u64 cr3;
	u64 cr4;
	u64 efer;
	u64 rflags;
	u64 pdptrs[4];
	u32 pkru;
	u32 pkrs;
	u8 maxphyaddr;
	bool gbpages;
};

enum vlm_walk_status {
	VLM_WALK_OK = 1,	/* gpa and page_bytes are valid */
	VLM_WALK_FAULT,		/* inject #PF with pfec, CR2 = the address asked for */
};

/**
 * struct vlm_guest_walk - outcome of a walk
 * @gpa:	guest-physical address of the byte asked for
 * @page_bytes:	size of the guest page, 4 KiB without paging
 * @writable, @user, @executable: what the entries allow, control registers aside
 * @dirty:	the leaf's dirty flag after the walk (true without paging)
 * @pfec:	error code of the fault
 */
struct vlm_guest_walk {
	u64 gpa;
	u64 page_bytes;
	bool writable;
	bool user;
	bool executable;
	bool dirty;
	u32 pfec;
};

/*
 * Translate @gva for @access: one of READ, WRITE, EXEC, optionally with USER,
 * IMPLICIT (not with USER), PEEK; 0 stands for READ. @gva is canonical, or 32 bits
 * wide outside 64-bit mode; both are the caller's to check. Sets accessed and dirty flags
 * as the CPU does, restarting when the guest changes an entry meanwhile. A table that
 * is not in memory faults as not present. Sleeps. Caller: slots read section.
 */
enum vlm_walk_status vlm_guest_walk(struct vlm_mmu *mmu, const struct vlm_guest_paging *paging,
				    u64 gva, u32 access, struct vlm_guest_walk *out);

/*
 * Fetch the PDPTEs that CR3 = @cr3 points at for PAE paging. Return 0, -EFAULT
 * (not in memory), -EINVAL (a reserved bit is set in a present one: #GP).
 */
int vlm_guest_load_pdptrs(struct vlm_mmu *mmu, unsigned int as_id, u64 cr3, u8 maxphyaddr,
			  u64 pdptrs[4]);

#endif
