# SPDX-License-Identifier: GPL-2.0-only
# Objects of mmu/, for kmod/Kbuild.
vellum-y += mmu/mmu.o mmu/spte.o mmu/page.o mmu/root.o mmu/tdp_iter.o mmu/tdp.o \
	    mmu/tdp_range.o mmu/tdp_log.o mmu/fault.o mmu/fault_fast.o mmu/zap.o mmu/generation.o mmu/notifier.o \
	    mmu/memslot.o mmu/slot_set.o mmu/dirty.o mmu/dirty_ring.o mmu/guest_walk.o mmu/stats.o mmu/nx.o \
	    mmu/collapse.o mmu/zap_slot.o mmu/ptr_chain.o mmu/rmap.o mmu/shadow.o mmu/shadow_page.o \
	    mmu/shadow_fault.o mmu/shadow_sync.o mmu/shadow_write.o mmu/shadow_zap.o mmu/unsync.o \
	    mmu/dump.o
