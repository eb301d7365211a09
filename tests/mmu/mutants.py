#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Known bugs of the MMU, each seeded into a copy of its sources: proof that the tests can fail.

  mutants.py list                       NAME:FILE,FILE one a line, FILE being what must be compiled anew, or * for all
  mutants.py make NAME SOURCES OUT      copy the folder SOURCES to OUT with the bug of that name
  mutants.py check NAME PROGRAM         run the tests that must catch it; 0 if they do, for the right reason
  mutants.py random FOLDER [NAME...]    how many random operations it takes to find them, all that RANDOM_FINDS names
                                        by default, with the programs in FOLDER; 0 if they are found

After list and check, without-races leaves out the tests of races, which a program for TSan does not have.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys


class Mutant:
    """`tests` and each race must catch it by themselves; races are pairs of a test and what it says.

    A test with threads may say one of several things, whoever notices first.
    """

    def __init__(self, what, edits, tests=None, caught_by=None, races=()):
        self.what, self.edits = what, edits
        self.races = list(races)
        self.tests = [(tests, caught_by)] if tests else []


# Whether the log misses a write, or an entry is found that would let the guest write unseen.
WRITE_LOST = ("were lost", "a writable leaf of a logged slot is not marked")

MUTANTS = {
    "notifier_retry": Mutant(
        "the fault path does not ask whether the host took the page back meanwhile",
        [("fault.c", "mv->root->invalid || vlm_notifier_must_retry(mmu, seq, f->hva)", "mv->root->invalid")],
        "FaultTest.InvalidationBetweenLookupAndInstallRetries", "VIOLATION G1",
        races=[("FaultRace.NotifierBeginAndEnd", "VIOLATION G1")]),
    "notifier_no_in_progress": Mutant(
        "only invalidations that ended are looked at, not those in progress",
        [("notifier.h", "if (n->in_progress && hva >= n->start && hva < n->end)", "if (false)")],
        races=[("FaultRace.NotifierBeginAndEnd", "VIOLATION G1")]),
    "notifier_snapshot_late": Mutant(
        "the sequence is read after the host page was resolved",
        [("fault.c", "	seq = vlm_notifier_snapshot(mmu);\n	err = vlm_platform_host_get",
          "	err = vlm_platform_host_get"),
         ("fault.c", "	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_NEVER_YIELD);\n	if (mv->root->invalid || ",
          "	seq = vlm_notifier_snapshot(mmu);\n"
          "	vlm_tdp_begin(&op, mmu, VLM_LOCK_SHARED, VLM_NEVER_YIELD);\n	if (mv->root->invalid || ")],
        races=[("FaultRace.NotifierBeginAndEnd", "VIOLATION G1")]),
    "compare_then_store": Mutant(
        "an entry is compared and then written, in two steps",
        [("spte_store.h", "	if (!try_cmpxchg64(sptep, old, val))\n		return false;\n"
          "	vlm_spte_observe(sptep, *old, val, VLM_STORE_SHARED);\n",
          "	u64 now = READ_ONCE(*sptep);\n	if (now != *old) {\n		*old = now;\n		return false;\n	}\n"
          "	WRITE_ONCE(*sptep, val);\n	vlm_spte_observe(sptep, *old, val, VLM_STORE_SHARED);\n")],
        races=[("FaultRace.SameFrameAndTables", "VIOLATION")]),
    "notifier_no_sequence": Mutant(
        "only invalidations in progress are looked at, not those that ended",
        [("notifier.h", "return READ_ONCE(n->seq) != seq;", "return false;")],
        "FaultTest.InvalidationBetweenLookupAndInstallRetries", "VIOLATION G1",
        races=[("FaultRace.NotifierBeginAndEnd", "VIOLATION G1")]),
    "notifier_skips_invalid_roots": Mutant(
        "the notifier passes over roots that wait for their zapper",
        [("notifier.c", "vlm_for_each_root(op->mmu, root, VLM_ROOTS_ALL)",
          "vlm_for_each_root(op->mmu, root, VLM_ROOTS_VALID)")],
        "ZapTest.NotifierInTheMiddleOfADeleteFindsTheRest", "Expected equality",
        races=[("RootRace.ReclaimerAndNotifier", "VIOLATION G1")]),
    "split_link_before_fill": Mutant(
        "the table of a split huge page is linked before it is filled",
        [("tdp.c", "	/* Fill first, then publish: a vCPU sees the old translation or the same one again. */\n",
          "	if (!vlm_spte_try_cmpxchg(sptep, &old, val))\n		return false;\n"),
         ("tdp.c", "	op->visited += VLM_TABLE_ENTRIES;\n	if (!vlm_spte_try_cmpxchg(sptep, &old, val))\n"
          "		return false;\n", "	op->visited += VLM_TABLE_ENTRIES;\n")],
        "DirtyTest.StartOnHugePagesSplitsAndProtects", "VIOLATION G3"),
    "unlocked_store": Mutant(
        "a leaf is aged without the mmu lock by the exchange that is meant for lock holders",
        [("tdp_range.c", "vlm_spte_try_cmpxchg_lockless(sptep", "vlm_spte_try_cmpxchg(sptep")],
        "DirtyTest.AgingSeesAccessesAndForgetsThem", "VIOLATION LOCK"),
    "aging_without_flush": Mutant(
        "permissions that aging took stay in the TLBs",
        [("notifier.c", "	if (young && what == VLM_AGE_CLEAR && !vlm_spte_ept.accessed)\n		vlm_flush_now(mmu);\n", "")],
        "NoAdFastFaultTest.AgedPageIsRestored", "Expected",
        races=[("FastRace.WriteAndAging", "VIOLATION G6")]),
    "age_plain_store": Mutant(
        "a leaf is made old by a store that does not look at what stands there now",
        [("tdp_range.c", "		if (vlm_spte_try_cmpxchg_lockless(sptep, &old, vlm_spte_make_old(&vlm_spte_ept, old)))\n			return;\n",
          "		u64 val = vlm_spte_make_old(&vlm_spte_ept, old);\n\n		WRITE_ONCE(*sptep, val);\n"
          "		vlm_spte_observe(sptep, old, val, VLM_STORE_LOCKLESS);\n		return;\n")],
        races=[("FaultRace.AgingAndNotifier", "VIOLATION STATS"), ("FaultRace.AgingAndAccess", "VIOLATION")]),
    "age_without_end": Mutant(
        "aging of a large page of the host goes through all its small entries, under the host's lock",
        [("tdp_range.c", "		if (!*budget)\n			break;\n		--*budget;\n", "")],
        "NotifierAgingTest.AgingOfAGigabyteIsBounded", "Expected"),
    "age_budget_per_slot": Mutant(
        "aging of a page that stands in many slots goes through all of them, under the host's lock",
        [("notifier.c", "			if (!budget)\n				break;\n			budget--;\n", "			budget = VLM_AGE_BUDGET;\n")],
        "NotifierAgingTest.AgingOfAPageInManySlotsIsBounded", "Expected"),
    "age_past_rcu": Mutant(
        "aging keeps an entry past the RCU section in which it was found",
        [("tdp_range.c", "		young = true;\n", "		young = true;\n		rcu_read_unlock();\n		rcu_read_lock();\n")],
        races=[("RootRace.ReclaimerAndWalkerInRcu", "AddressSanitizer")]),
    "fast_plain_store": Mutant(
        "a leaf is repaired by a store that does not look at what stands there now",
        [("fault_fast.c", "		done = vlm_spte_try_cmpxchg_lockless(sptep, &old, val);\n",
          "		WRITE_ONCE(*sptep, val);\n		vlm_spte_observe(sptep, old, val, VLM_STORE_LOCKLESS);\n		done = true;\n")],
        races=[("FastRace.WriteAndNotifier", "VIOLATION G1")]),
    "fault_ignores_freeze": Mutant(
        "a fault installs over an entry that another thread froze",
        [("fault.c", "		if (vlm_spte_is_frozen(old))\n			return VLM_FAULT_RETRY;\n", ""),
         ("tdp.c", "	if (vlm_spte_is_frozen(old) || !vlm_spte_try_cmpxchg(sptep, &old, val))\n		return false;\n"
          "	entry_changed", "	if (!vlm_spte_try_cmpxchg(sptep, &old, val))\n		return false;\n	entry_changed")],
        races=[("FastRace.FreezeAndFaultAndRepair", "VIOLATION FREEZE")]),
    "fast_ignores_host": Mutant(
        "a fault without the mmu lock makes a page writable that the host protects",
        [("spte.c", "(access & VLM_ACCESS_WRITE) && (leaf & may_write) == may_write", "(access & VLM_ACCESS_WRITE) && may_write")],
        "FastFaultTest.PageThatTheHostProtectsIsLeftToTheHost", "VIOLATION BITS"),
    "fast_takes_huge": Mutant(
        "a fault without the mmu lock makes a huge page of a logged slot writable",
        [("fault_fast.c", "return level == VLM_LEVEL_4K || !(slot->flags & VLM_MEMSLOT_LOG_DIRTY);", "return true;")],
        "FastFaultTest.HugePageOfALoggedSlotIsSplitFirst", "Expected"),
    "fast_on_invalid_slot": Mutant(
        "a slot that is going is served without the mmu lock",
        [("fault.c", "	if (f.slot && (f.slot->flags & VLM_MEMSLOT_INVALID))\n		return VLM_FAULT_RETRY;\n", "")],
        "ThreeSlotsTest.FaultInTheMiddleInstallsNothing", "Expected equality"),
    "fast_owes_the_host": Mutant(
        "a page is marked dirty for the host only if it is writable when it is mapped",
        [("fault.c", "res == VLM_FAULT_FIXED && (f->flags & VLM_LEAF_HOST_W)", "res == VLM_FAULT_FIXED && (f->flags & VLM_LEAF_WRITABLE)")],
        "FastFaultTest.HostLearnsOfWritesToCome", "Value of"),
    "fast_marks_first": Mutant(
        "a fault without the mmu lock marks the page dirty before it makes it writable",
        [("fault_fast.c", "		done = vlm_spte_try_cmpxchg_lockless(sptep, &old, val);\n",
          "		if (access & VLM_ACCESS_WRITE)\n			vlm_memslot_mark_dirty(mv->mmu, slot, gfn);\n		cpu_relax();\n"
          "		done = vlm_spte_try_cmpxchg_lockless(sptep, &old, val);\n"),
         ("fault_fast.c", "		if (access & VLM_ACCESS_WRITE)\n			vlm_memslot_mark_dirty(mv->mmu, slot, gfn);\n		*res", "		*res")],
        races=[("FastRace.WriteAndHarvest", "lost")]),
    "free_before_grace_period": Mutant(
        "an unlinked table is freed at once",
        [("page.c", "call_rcu(&sp->rcu, page_rcu);", "page_rcu(&sp->rcu);")],
        "ZapTest.DeleteLeavesNothing", "VIOLATION G2",
        races=[("RootRace.ReclaimerAndDestruction", "VIOLATION G2"), ("RootRace.ReclaimerAndWalkerInRcu", "VIOLATION G2")]),
    "exit_without_barrier": Mutant(
        "the module goes while tables still wait for their grace period",
        [("page.c", "	rcu_barrier();\n", "")],
        races=[("RootRace.DestructionAndGracePeriods", "VIOLATION LEAK")]),
    "no_flush": Mutant(
        "what was zapped is not flushed",
        [("flush.h", "	if (flush->needed)\n		vlm_flush_now(mmu);\n", "")],
        "NotifierTest.PartOfAHugePageTakesAllOfIt", "VIOLATION G"),
    "table_freed_before_flush": Mutant(
        "a replaced table is handed to RCU without the flush of the freeze",
        [("tdp.c", "	vlm_flush_now(op->mmu);\n	vlm_spte_unfreeze", "	vlm_spte_unfreeze")],
        "FaultTest.HugeLeafReplacesTableAsItStands", "VIOLATION G",
        races=[("DirtyRace.HugeLeafOverATableInUse", "VIOLATION G"), ("FastRace.FreezeAndFaultAndRepair", "VIOLATION G")]),
    "replace_without_freeze": Mutant(
        "a huge leaf is written over a table in one step",
        [("tdp.c", "return !vlm_spte_is_frozen(old) && freeze_and_write(op, sptep, old, val, level);",
          "return vlm_tdp_set(op, sptep, old, val, level);")],
        "FaultTest.HugeLeafReplacesTableWhenTheHostCollapsed", "VIOLATION G3",
        races=[("DirtyRace.HugeLeafOverATableInUse", "VIOLATION G3")]),
    "fault_on_obsolete_root": Mutant(
        "a fault installs into a root that was invalidated",
        [("fault.c", "mv->root->invalid || vlm_notifier_must_retry", "vlm_notifier_must_retry")],
        "ZapTest.FaultOnAnObsoleteRootInstallsNothing", "VIOLATION R5",
        races=[("FaultRace.CutOffAndReload", "VIOLATION R5")]),
    "root_without_mmu_reference": Mutant(
        "a root is born with its creator's reference only",
        [("root.c", "refcount_set(&made->refs, 2);", "refcount_set(&made->refs, 1);")],
        "ZapTest.InvalidRootIsNeverGivenOutAgain", "VIOLATION"),
    "zap_does_not_count": Mutant(
        "entries of unlinked tables do not count against the budget: the zap never yields",
        [("tdp.c", "	op->visited += VLM_TABLE_ENTRIES;\n	if (leaves)", "	if (leaves)")],
        "ZapTest.HoldIsBoundedWhateverTheSize", "Expected: "),
    "dump_joins_across_holes": Mutant(
        "the dump takes frames with a hole between them for neighbours",
        [("dump.c", "next->start != run->end || ", "")],
        "DumpTest.WhatIsMappedAtRandomIsWhatTheOracleFinds", "Expected"),
    "zap_is_not_traced": Mutant(
        "tables go away and the traces do not say so",
        [("tdp.c", "	vlm_trace_page_zap(op->mmu, sp);\n", "")],
        "StatsTest.TracesBalance", "Expected equality"),
    "hold_counts_on_where_nobody_waits": Mutant(
        "a hold of the lock is counted from lock to unlock, though nobody waited in between",
        [("tdp.c", "	account_hold(op);\n	return false;\n", "	return false;\n")],
        "StatsTest.AHoldEndsWhereNobodyWaits", "Expected"),
    "host_range_of_a_slot_is_too_long": Mutant(
        "a slot is found for the page behind its host memory",
        [("slot_set.c", "(slot->npages << PAGE_SHIFT) - 1;", "(slot->npages << PAGE_SHIFT);")],
        "MemslotTest.BothSearchesSurviveEveryOrder", "Expected equality"),
    "search_by_host_range_reaches_too_far": Mutant(
        "the end of a host range belongs to it",
        [("slot_set.c", "interval_tree_iter_next(node, start, end - 1)", "interval_tree_iter_next(node, start, end)")],
        "MemslotTest.BothSearchesSurviveEveryOrder", "Expected equality"),
    "overlap_looks_at_itself_alone": Mutant(
        "a slot that moves is compared with itself and not with the one below",
        [("memslot.c", "		other = vlm_memslot_prev(slots, other);\n", "		return false;\n")],
        "MemslotTest.AMoveMayNotOverlapTheOneBelow", "Expected equality"),
    "no_break_between_parts": Mutant(
        "a notifier walks over one small slot after another without a look at who waits",
        [("notifier.c", "		op->visited++;\n		vlm_tdp_try_break(op);\n", "		op->visited++;\n")],
        "NotifierTest.ManySmallSlotsDoNotAddUpToOneLongHold", "Expected: "),
    "no_break_between_slots": Mutant(
        "slots that map nothing are no work",
        [("notifier.c", "		op->visited++;\n		vlm_tdp_try_break(op);\n", "		vlm_tdp_try_break(op);\n")],
        "NotifierTest.SlotsThatMapNothingDoNotAddUpToOneLongHold", "Expected: "),
    "no_break_between_passes": Mutant(
        "a zapper begins the next pass over a root without a look at who waits",
        [("tdp_range.c", "level++) {\n		vlm_tdp_try_break(op);\n", "level++) {\n")],
        "ReclaimTest.EmptyRootsDoNotAddUpToOneLongHold", "Expected: "),
    "generation_wrap_ignored": Mutant(
        "mmio entries of an earlier round of the generation are believed",
        [("generation.c", "return !(gen & VLM_MMIO_GEN_MASK & ~(u64)(VLM_AS_NUM - 1));", "return false;")],
        "MemslotTest.MmioGenerationWrapZapsOnceAndNothingStaleHits", "Expected equality"),
    "mmio_cached_during_update": Mutant(
        "an mmio entry is made while an update runs, after the zap of a wrap",
        [("fault.c", "	if (generation & VLM_GEN_UPDATING)\n		return VLM_FAULT_EMULATE;\n", "")],
        "MemslotTest.MmioAccessDuringTheWrapLeavesNothingBehind", "Expected equality"),
    "publish_without_waiting": Mutant(
        "slots are published while an invalidation is between begin and end",
        [("notifier.c", "	idle = !n->active;\n", "	idle = true;\n")],
        "NotifierTest.SlotUpdateWaitsForAnActiveInvalidation", "published",
        races=[("SlotRace.CreateInTheMiddleOfAnInvalidation", "VIOLATION G1")]),
    "cut_without_flush": Mutant(
        "tables of a slot are unlinked, and CPUs go on using them",
        [("tdp.c", "	op->flush.needed = true;\n	/* Who climbs", "	/* Who climbs")],
        "ZapSlotTest.CostDoesNotGrowWithTheSlot", "VIOLATION G",
        races=[("SlotRace.DeleteAloneAndFault", "VIOLATION G"),
               ("SlotRace.DeleteAloneAndNotifierAndReclaimer", "VIOLATION G"),
               ("FastRace.WriteAndDeleteOfTheSlotAlone", "VIOLATION G")]),
    "cut_taken_apart_at_once": Mutant(
        "the caller of a delete takes the slot's tables apart, under the lock for write",
        [("zap_slot.c", "done = move_table(op, root, &defunct, &iter, cache);",
          "vlm_tdp_zap_entry(op, root, iter.sptep, iter.old, iter.level);")],
        "ZapSlotTest.CostDoesNotGrowWithTheSlot", "Expected"),
    "cut_not_handed_over": Mutant(
        "the defunct root with the slot's tables is given to no zapper",
        [("zap_slot.c", "		vlm_root_schedule(op->mmu, defunct);", "		(void)defunct;")],
        "ThreeSlotsTest.WhatWasCutOffWaitsForTheReclaimer", "Expected"),
    "cut_takes_neighbours": Mutant(
        "a table that a slot covers in part is cut off with it",
        [("zap_slot.c", "iter.gfn >= start &&", "iter.gfn + 511 >= start &&")],
        "ThreeSlotsTest.NeighboursStayMapped", "Expected equality"),
    "cut_forgets_parent": Mutant(
        "a table that was moved still names its old place",
        [("tdp.c", "	WRITE_ONCE(vlm_page_of_spte(spte)->parent, to);\n", "")],
        "ThreeSlotsTest.NeighboursStayMapped", "does not know the entry"),
    "slot_not_published_invalid": Mutant(
        "a slot that goes is still served while it is cut off",
        [("memslot.c", "	invalid->flags |= VLM_MEMSLOT_INVALID;\n", "")],
        "ThreeSlotsTest.FaultInTheMiddleInstallsNothing", "Expected equality"),
    "mark_before_install": Mutant(
        "the page is marked dirty before the entry becomes writable",
        [("fault.c", "	bool done;\n\n	if (vlm_spte_is_leaf(old, level) && vlm_spte_pfn(old) == pfn) {",
          "	bool done;\n\n	if (f->flags & VLM_LEAF_WRITABLE)\n		vlm_memslot_mark_dirty(f->mv->mmu, f->slot, f->gfn);\n"
          "	cpu_relax();\n	if (vlm_spte_is_leaf(old, level) && vlm_spte_pfn(old) == pfn) {"),
         ("fault.c", "	if (f->flags & VLM_LEAF_WRITABLE)\n		vlm_memslot_mark_dirty(f->mv->mmu, f->slot, f->gfn);\n"
          "	return VLM_FAULT_FIXED;", "	return VLM_FAULT_FIXED;")],
        "DirtyThreadTest.NoWriteIsLostByHarvests", WRITE_LOST),
    "clear_without_flush": Mutant(
        "pages are protected by a clear, and stale translations stay",
        [("tdp_log.c", "			op->flush.needed = true;\n			return;", "			return;"),
         ("tdp_log.c", "	op->flush.needed |= taken;\n", ""),
         ("dirty.c", "asked, n);\n		p.op.flush.needed = true;\n", "asked, n);\n")],
        "DirtyTest.ClearProtectsWhatItClearsAndNothingElse", "VIOLATION G6"),
    "clear_trusts_the_other_thread": Mutant(
        "a clear that finds no bit set leaves protection and flush to whoever cleared it",
        [("dirty.c", "			asked[j] = bits[i + j] & pages_of_word(slot, first + i + j);",
          "			asked[j] = bits[i + j] & READ_ONCE(slot->dirty[first + i + j]);")],
        "DirtyTest.ClearFlushesEvenIfAnotherThreadWasFaster", "may not have flushed yet",
        races=[("DirtyRace.TwoClears", "VIOLATION DIRTY")]),
    "protect_stale_level": Mutant(
        "what was read as a huge leaf is protected as one, though it leads to a table by now",
        [("tdp_log.c", "	while (vlm_spte_is_leaf(old, level) && ", "	while (")],
        races=[("DirtyRace.SplitAndClear", "VIOLATION BITS")]),
    "protect_stops_at_a_split": Mutant(
        "a huge leaf that another thread split after a clear read it is taken for protected",
        [("tdp_log.c", "		iter->old = vlm_spte_read(iter->sptep);\n", "		return;\n")],
        races=[("DirtyRace.SplitAndClear", "was lost")]),
    "pml_no_sync": Mutant(
        "a harvest leaves what the hardware logged where it is",
        [("dirty.c", "	if (vlm_spte_hardware_logs(&vlm_spte_ept))\n		vlm_platform_drain_logs(mmu);\n", "")],
        "PmlTest.FirstWriteAfterAHarvestIsNoExit", "Expected equality",
        races=[("PmlRace.HarvestAndExit", "a write from before is missing")]),
    "pml_last_word": Mutant(
        "the pages of the last word of a hardware log are forgotten",
        [("dirty.c", "	}\n	marks_commit(&marks);\n}", "	}\n}")],
        "PmlTest.LogsOfAllVcpusCount", "Expected equality"),
    "pml_huge_loses_d": Mutant(
        "logging takes D from huge pages, too, so that one write is logged for all pages",
        [("spte.h", "return level == VLM_LEVEL_4K ? fmt->log : fmt->w;", "return fmt->log;")],
        "PmlTest.AHugePageLosesWAndIsSplitByTheFirstWrite", "VIOLATION BITS"),
    "pml_read_maps_dirty": Mutant(
        "a read maps a page that hardware does not log",
        [("spte.c", "	else if (flags & VLM_LEAF_CLEAN)\n		spte |= fmt->w;\n",
          "	else if (flags & VLM_LEAF_CLEAN)\n		spte |= fmt->w | fmt->dirty;\n")],
        "PmlTest.AReadMapsAPageThatIsCleanAndCanBeWritten", "Expected equality",
        races=[("PmlRace.HarvestAndTwoFirstAccesses", "lost")]),
    "pml_no_flush": Mutant(
        "D is taken and stays in the TLBs",
        [("tdp_log.c", "			op->flush.needed = true;\n			return;", "			return;"),
         ("tdp_log.c", "	op->flush.needed |= taken;\n", ""),
         ("dirty.c", "out + i, n);\n		/* Another pass may have taken a permission and not flushed yet. */\n"
          "		p.op.flush.needed = true;\n", "out + i, n);\n")],
        "PmlTest.FirstWriteAfterAHarvestIsNoExit", "VIOLATION G6",
        races=[("PmlRace.HarvestAndWrite", "VIOLATION G6")]),
    "pml_no_reserve": Mutant(
        "a dirty ring has no room for what the hardware logged",
        [("dirty_ring.c", "(vlm_spte_hardware_logs(&vlm_spte_ept) ? VLM_HARDWARE_LOG : 0)", "0")],
        "PmlTest.RingsAreToldInOrderAndHaveRoomForAFullLog", "Expected"),
    "pml_newest_first": Mutant(
        "a hardware log is read from its newest entry on",
        [("dirty.c", "	while (n--) {\n		u64 gfn = gpas[n] >> PAGE_SHIFT;", "	unsigned int i;\n\n	for (i = 0; i < n; i++) {\n		u64 gfn = gpas[i] >> PAGE_SHIFT;")],
        "PmlTest.RingsAreToldInOrderAndHaveRoomForAFullLog", "Expected equality"),
    "pml_any_slot": Mutant(
        "what the hardware logged is marked wherever it was, logged or not",
        [("dirty.c", "		if (!slot || !(slot->flags & VLM_MEMSLOT_LOG_DIRTY))\n			continue;\n", "		if (!slot)\n			continue;\n")],
        "PmlTest.OnlyLoggedSlotsAreToldOf", "SEGV"),
    "clear_protects_too_much": Mutant(
        "a clear protects all pages of a word, also those whose bits stay",
        [("dirty.c", "			any |= asked[j];\n			clear_bits(slot->dirty + first + i + j, asked[j]);\n",
          "			any |= asked[j];\n			clear_bits(slot->dirty + first + i + j, asked[j]);\n"
          "			if (asked[j])\n				asked[j] = ~0ul;\n")],
        "DirtyTest.ClearProtectsWhatItClearsAndNothingElse", "their bits stayed"),
    "ring_flag_before_offset": Mutant(
        "an entry of a dirty ring is published before it says which page",
        [("dirty_ring.c", "	WRITE_ONCE(entry->slot, slot);\n	WRITE_ONCE(entry->offset, offset);\n", ""),
         ("dirty_ring.c", "	smp_store_release(&entry->flags, VLM_DIRTY_PUBLISHED);\n",
          "	smp_store_release(&entry->flags, VLM_DIRTY_PUBLISHED);\n	cpu_relax();\n"
          "	WRITE_ONCE(entry->slot, slot);\n	WRITE_ONCE(entry->offset, offset);\n")],
        "DirtyThreadTest.NoWriteIsLostByRings", WRITE_LOST),
    "ring_believes_free_entries": Mutant(
        "a reset takes entries back that were never published",
        [("dirty_ring.c", "	if (ring->reset == smp_load_acquire(&ring->pushed))\n		return false;\n", "")],
        "RingTest.FlagsOfFreeEntriesMeanNothing", "Expected equality"),
    "ring_trusts_the_page": Mutant(
        "a reset protects whatever page user space names",
        [("dirty.c", " ||\n	    run->word > (slot->npages - 1) / BITS_PER_LONG)\n		return;", ")\n		return;"),
         ("dirty.c", "	mask = run->mask & pages_of_word(slot, run->word);\n", "	mask = run->mask;\n")],
        "RingTest.EntriesAreCheckedWhenTheyComeBack", "beyond the slot"),
    "protect_before_fetch": Mutant(
        "pages are protected before their bits are cleared",
        [("dirty.c", "			any |= asked[j];\n",
          "			any |= asked[j];\n			if (asked[j])\n				protect(&p, first + i + j, asked + j, 1);\n			cpu_relax();\n"),
         ("dirty.c", "		protect(&p, first + i, asked, n);\n", "")],
        "DirtyThreadTest.NoWriteIsLostByCopyAndClear", WRITE_LOST,
        races=[("DirtyRace.CopyThenClearAndWrite", "VIOLATION DIRTY")]),
    "nx_two_counters": Mutant(
        "tables are counted in one place and the size of a run is taken from another",
        [("nx.c", "		list_add_tail(&sp->link, &mmu->nx_pages);\n		vlm_stat_add(&mmu->stats, VLM_STAT_NX_LPAGE_SPLITS, 1);\n",
          "		list_add_tail(&sp->link, &mmu->nx_pages);\n		vlm_stat_add(&mmu->stats, VLM_STAT_NX_RECOVERIES, 1);\n"),
         ("nx.c", "		vlm_stat_add(&mmu->stats, VLM_STAT_NX_LPAGE_SPLITS, -1);\n",
          "		vlm_stat_add(&mmu->stats, VLM_STAT_NX_RECOVERIES, -1);\n")],
        "NxTest.ReadTwoExecuteOneExecuteAThird", "VIOLATION NX2"),
    "nx_switched_after_the_cut_off": Mutant(
        "the mitigation is switched after the write section of the cut-off: new roots are filled by the old rule",
        [("zap.c", "	mmu->nx = nx;\n", ""),
         ("zap.c", "	vlm_root_invalidate_all(mmu);\n	vlm_tdp_end(&op);\n",
          "	vlm_root_invalidate_all(mmu);\n	vlm_tdp_end(&op);\n	cpu_relax();\n	mmu->nx = nx;\n")],
        "CutOffTest.SwitchOfTheNxMitigationIsOne", "Value of: s.mmu()->nx",
        races=[("NxRace.SwitchAndExecution", "VIOLATION NX1")]),
    "nx_switch_spares_shadow_pages": Mutant(
        "the cut-off leaves the generation of the shadow MMU as it is",
        [("zap.c", "		vlm_shadow_obsolete_all(mmu->shadow);\n", "		;\n")],
        "CutOffTest.SwitchOfTheNxMitigationIsOne", "Expected equality"),
    "nx_listed_unseen": Mutant(
        "a table is listed without a look at whether it was unlinked meanwhile",
        [("nx.c", "	if (READ_ONCE(sp->nx) == VLM_NX_NONE)\n		return;\n", ""),
         ("nx.c", "	if (sp->nx == VLM_NX_KEPT) {", "	{")],
        "NxTest.TableThatGoesBeforeItIsListedStaysOffTheList", "Value of: vlm_nx_is_kept(table)"),
    "nx_table_gives_way": Mutant(
        "a fault puts a huge leaf over a table with executable pages",
        [("fault.c", "if (level <= f->level && vlm_nx_is_kept(vlm_page_of_spte(old)))", "if (0)")],
        "NxTest.DataAccessDoesNotPutAHugeLeafOverCode", "Expected equality"),
    "nx_lists_everything": Mutant(
        "tables that host or slot need anyway are listed",
        [("fault.c", "nx_splits(f) && level <= f->fit_level ?", "nx_splits(f) ?")],
        "NxTest.OnlyWhatNxAloneKeepsIsListed", "Expected equality"),
    "nx_executable_huge_leaf": Mutant(
        "an execute fault maps a huge page",
        [("fault.c", "	if (f->mv->mmu->nx)\n		flags |= VLM_LEAF_NX;\n", "")],
        "NxTest.HugeLeavesAreNotExecutableSmallOnesAre", "VIOLATION NX1"),
    "nx_split_stays_nx": Mutant(
        "the small pages of a split are not executable",
        [("spte.c", "	return spte | (vlm_spte_is_tracked(fmt, spte) ? VLM_SPTE_SAVED_X : fmt->x);\n", "	return spte;\n")],
        "NxTest.HugeLeavesAreNotExecutableSmallOnesAre", "Expected equality"),
    "nx_flush_forgotten": Mutant(
        "each table of a run overwrites what the earlier ones owe",
        [("nx.c", "		quota--;\n		recover_page(&op, sp, how);\n",
          "		quota--;\n		op.flush.needed = false;\n		recover_page(&op, sp, how);\n")],
        "NxTest.FlushIsNotForgottenByTheNextTable", "VIOLATION G"),
    "nx_wrong_address_space": Mutant(
        "the slot of a table is looked up in the first address space",
        [("nx.c", "vlm_memslots_get(op->mmu, sp->role.as_id)", "vlm_memslots_get(op->mmu, 0)")],
        "NxTest.LoggedSlotOfTheOtherAddressSpace", "Expected equality"),
    "nx_stays_counted": Mutant(
        "a table that is taken off the list is still counted",
        [("nx.c", "		vlm_stat_add(&mmu->stats, VLM_STAT_NX_LPAGE_SPLITS, -1);\n", "")],
        "NxTest.DeletedSlotLeavesTheListEmpty", "VIOLATION NX2",
        races=[("NxRace.RecoveryAndExecution", "VIOLATION NX2"), ("NxRace.RecoveryAndTheEndOfLogging", "Expected equality")]),
    "collapse_in_an_invalidation": Mutant(
        "a collapse does not ask whether the host changes the range right now",
        [("collapse.c", "	if (vlm_notifier_is_changing(mmu,", "	if (0 && vlm_notifier_is_changing(mmu,")],
        "NxTest.InvalidationInProgressPutsRecoveryOff", "Expected equality"),
    "collapse_of_a_logged_slot": Mutant(
        "a slot with dirty logging is collapsed",
        [("collapse.c", "(VLM_MEMSLOT_INVALID | VLM_MEMSLOT_LOG_DIRTY)", "VLM_MEMSLOT_INVALID")],
        "NxTest.LoggedSlotIsOnlyUnaccounted", "Expected equality"),
    "collapse_grants_write": Mutant(
        "the huge leaf is writable whatever the table allowed",
        [("collapse.c", "	if (vlm_spte_is_writable(&vlm_spte_ept, s->rights))\n		flags", "	if (s->rights)\n		flags")],
        "DirtyTest.StopGivesNoPermissionOfItsOwn", "VIOLATION G3",
        races=[("NxRace.EndOfLoggingAndAWrite", "VIOLATION G3")]),
    "collapse_without_flush": Mutant(
        "a table is replaced by a huge leaf, and never flushed",
        [("tdp.c", "	op->flush.needed = true;\n	entry_changed(op, old, val, level);\n", "	entry_changed(op, old, val, level);\n")],
        "NxTest.RecoversInPlace", "VIOLATION G",
        races=[("NxRace.RecoveryAndInvalidation", "VIOLATION G2"), ("FastRace.WriteAndCollapse", "VIOLATION G")]),
    "shadow_soft_bits_reserved": Mutant(
        "software's bits of a shadow entry stand where PAE paging ignores nothing",
        [("spte.c", "		.host_w = PT_SOFT_9,\n		.mmu_w = PT_SOFT_10,\n",
          "		.host_w = VLM_SPTE_HOST_W,\n		.mmu_w = VLM_SPTE_MMU_W,\n")],
        "ShadowFaultTest.NoPagingAtAll", "VIOLATION"),
    "shadow_unprotect_forgets_to_say": Mutant(
        "who lets go of a guest table does not say that there was one",
        [("shadow_write.c", "		found = true;\n", "")],
        "ShadowFaultTest.UnprotectedFrameIsMemory", "Actual: false"),
    "shadow_limit_waits_for_faults": Mutant(
        "a lower limit on shadow pages is not met until the next fault",
        [("mmu.c", "	if (excess)\n		vlm_shadow_shrink(sh, excess);\n", "	(void)excess;\n")],
        "ShadowListTest.LowerLimitTakesTheOldest", "Expected equality"),
    "huge_beyond_the_slot": Mutant(
        "a huge leaf reaches beyond the end of its slot",
        [("memslot.c", "base + pages <= slot->base_gfn + slot->npages &&", "true &&")],
        "HugeTest.EndsOfASlotStaySmall", "VIOLATION TABLES"),
    "huge_before_the_slot": Mutant(
        "a huge leaf begins before its slot",
        [("memslot.c", "if (base >= slot->base_gfn &&", "if (true &&")],
        "HugeTest.EndsOfASlotStaySmall", "VIOLATION TABLES"),
    "huge_incongruent": Mutant(
        "leaves are collapsed though the frames of host and guest are not congruent",
        [("memslot.c", "!((slot->base_gfn ^ (slot->hva >> PAGE_SHIFT)) & (pages - 1))", "true"),
         ("collapse.c", "	if (s->pfn & (vlm_level_pages(level + 1) - 1))\n		s->alike = false;\n", "")],
        "HugeTest.IncongruentSlotStaysSmall", "VIOLATION"),
    "huge_in_a_logged_slot": Mutant(
        "a fault maps a huge leaf in a slot with dirty logging",
        [("fault.c", "f->host.device || (f->slot->flags & VLM_MEMSLOT_LOG_DIRTY)", "f->host.device")],
        "HugeTest.LoggedSlotIsMappedSmall", "VIOLATION DIRTY"),
    "huge_read_only_slot_written": Mutant(
        "a leaf of a read-only slot is writable",
        [("fault.c", "	if (!f->host.writable || (f->slot->flags & VLM_MEMSLOT_READONLY))\n", "	if (!f->host.writable)\n")],
        "HugeTest.ReadOnlySlotIsMappedHugeWithoutWrites", "VIOLATION TABLES"),
    "huge_table_of_tables_taken_down": Mutant(
        "a fault takes down a table with tables below in one step",
        [("fault.c", "		if (vlm_spte_is_nonleaf(vlm_spte_read(table + i), level))\n			return false;\n", "")],
        "FaultTest.GigabyteLeafDoesNotTakeDownDeepTables", "Expected"),
    "collapse_beyond_the_host": Mutant(
        "a huge leaf takes the place of a table where the host has small pages",
        [("collapse.c", "	if (vlm_platform_host_level(mmu, hva) < level)\n		return VLM_COLLAPSE_UNFIT;\n", "")],
        "NxTest.HostThatSplitItsPageKeepsTheTable", "VIOLATION TABLES"),
    "collapse_beyond_the_cpu": Mutant(
        "a collapse makes leaves of a size that the CPU does not know",
        [("collapse.c", "level <= vlm_spte_ept.max_level; level++", "level <= VLM_LEVEL_1G; level++"),
         ("collapse.c", "vlm_memslot_fit_level(slot, gfn, vlm_spte_ept.max_level)", "vlm_memslot_fit_level(slot, gfn, VLM_LEVEL_1G)")],
        "NoGigabytesTest.CollapseStopsAtTwoMegabytes", "Expected equality"),
    "collapse_stops_at_2m": Mutant(
        "a collapse makes 2-MiB leaves and never 1-GiB ones",
        [("collapse.c", "level <= vlm_spte_ept.max_level; level++", "level < vlm_spte_ept.max_level; level++")],
        "HugeTest.OnePageOfAGigabyteIsPromotedTwice", "Expected equality"),
    "collapse_takes_frames_for_granted": Mutant(
        "a table is collapsed without a look at whether its leaves are one run of frames",
        [("collapse.c", "	if (!s.alike)\n		return VLM_COLLAPSE_UNFIT;\n", ""),
         ("collapse.c", "	if (vlm_platform_host_level(mmu, hva) < level)\n		return VLM_COLLAPSE_UNFIT;\n", "")],
        "HugeTest.RegionsCollapseEachAsTheHostHasThem", "VIOLATION"),
    "split_without_memory_protects_nothing": Mutant(
        "a slot whose huge pages cannot be split stays writable when logging starts",
        [("dirty.c", "		vlm_tdp_split_range(&p.op, root, start, end, &p.cache);\n		vlm_tdp_protect_range(",
          "		if (vlm_tdp_split_range(&p.op, root, start, end, &p.cache))\n			break;\n		vlm_tdp_protect_range(")],
        "HugeTest.SplitRunsOutOfMemoryAnywhere", "VIOLATION DIRTY"),
    "split_leaves_the_rest": Mutant(
        "a split goes on behind a break where the next huge page begins, and leaves out what was to come",
        [("tdp_range.c", "			vlm_tdp_resume(op);\n			if (err)\n				return err;\n			iter.yielded = true;\n			continue;",
          "			vlm_tdp_resume(op);\n			if (err)\n				return err;\n			continue;")],
        "HugeTest.SplitAndCollapseThroughEverySizeWithoutAHole", "Expected equality"),
    "shadow_zap_counts_children_only": Mutant(
        "only pages that take others with them count against the budget: a flat list is zapped in one hold",
        [("shadow_zap.c", "	op->visited += VLM_TABLE_ENTRIES + vlm_ptr_chain_count(&sp->parents);\n",
          "	op->visited += vlm_ptr_chain_count(&sp->parents) ? VLM_TABLE_ENTRIES : 0;\n")],
        "ShadowListTest.TwentyFiveFlatPagesYieldTwice", "Expected equality"),
    "shadow_zap_skips_work_on_roots": Mutant(
        "pages that a vCPU has loaded do not count against the budget",
        [("shadow_zap.c", "	op->visited += VLM_TABLE_ENTRIES +", "	op->visited += sp->root_count ? 0 : VLM_TABLE_ENTRIES +")],
        "ShadowListTest.PagesInUseCountToo", "Expected equality"),
    "shadow_parked_pages_forgotten": Mutant(
        "reclaim evicts live pages while zapped ones wait for the end of a zap",
        [("shadow_zap.c", "	if (!release_parked(sh))\n		recycle(sh, &op, nr);", "	recycle(sh, &op, nr);")],
        "ShadowListTest.ReclaimTakesWhatIsParkedFirst", "Expected equality"),
    "shadow_lookup_finds_obsolete": Mutant(
        "a lookup gives out a page of the former generation",
        [("shadow_page.c", "		if (sp->page.gfn == gfn && sp->role.word == role.word &&\n		    !vlm_shadow_is_obsolete(sh, sp))",
          "		if (sp->page.gfn == gfn && sp->role.word == role.word)")],
        "CutOffTest.LookupsSkipObsoletePages", "VIOLATION"),
    "shadow_root_freed_in_use": Mutant(
        "a zapped root is freed while a vCPU has it loaded",
        [("shadow_page.c", "	if (!sp->root_count)\n		list_add_tail", "	if (true)\n		list_add_tail")],
        "CutOffTest.RootInUseIsOffTheListAndFreedByTheLastPut", "Failure"),
    "unsync_fails_when_full": Mutant(
        "a full vector drops the page whose bit is cleared already",
        [("unsync.c", "			if (vec_is_full(vec))\n				return false;\n			vec_add(vec, child);",
          "			if (!vec_is_full(vec))\n				vec_add(vec, child);")],
        "UnsyncGraphTest.FullVectorLosesNobody", "is lost"),
    "unsync_does_not_climb": Mutant(
        "a mark stops at the first table above",
        [("unsync.c", "	if (sp->unsync_children > 1)\n		return;", "	return;")],
        "UnsyncGraphTest.RandomGraphs", "is lost"),
    "sync_reads_before_flush": Mutant(
        "guest tables are read while a TLB still lets the guest write to them",
        [("shadow_sync.c", "	if (protect)\n		vlm_flush_now(sh->mmu);\n", "")],
        "UnsyncTest.ProtectionIsFlushedThoughNothingChanged", "VIOLATION G6"),
    "sync_without_protection": Mutant(
        "tables become current but stay writable",
        [("shadow_sync.c", "		protect |= vlm_shadow_wrprot_gfn(sh, vec->pages[i]->page.gfn);\n", "		;\n")],
        "UnsyncTest.FlushOfEverything", "VIOLATION G4"),
    "flush_without_sync": Mutant(
        "a flush by the guest makes nothing current",
        [("shadow_sync.c", "		if (!root || is_current(sh, root))", "		if (true)")],
        "UnsyncTest.FlushOfEverything", "VIOLATION STALE"),
    "load_without_sync": Mutant(
        "a load of CR3 makes nothing current",
        [("shadow.c", "		if (sv->roots[i] && !vlm_shadow_is_obsolete(sh, sv->roots[i]))\n			vlm_shadow_sync",
          "		if (!sv->roots[i])\n			vlm_shadow_sync")],
        "UnsyncTest.LoadOfCr3", "VIOLATION STALE"),
    "invlpg_without_sync": Mutant(
        "a flush of one page leaves the shadow of its entry as it is",
        [("shadow_sync.c", "	if (sp && sp->unsync && vlm_spte_is_present", "	if (sp && !sp && vlm_spte_is_present")],
        "UnsyncTest.FlushOfOnePage", "VIOLATION STALE"),
    "link_without_sync": Mutant(
        "an unsync table is linked as it is",
        [("shadow_fault.c", "	if (sp && sp->unsync && !vlm_shadow_sync_page(sh, sp, &sv->paging, flush))\n		sp = NULL;\n", "")],
        "UnsyncTest.TableIsCurrentBeforeItIsLinkedAgain", "VIOLATION STALE"),
    "table_without_protection": Mutant(
        "a guest table that is shadowed stays writable",
        [("shadow_fault.c", "	if (vlm_shadow_wrprot_gfn(sh, gfn))\n		vlm_flush_now(sh->mmu);\n", "")],
        "ShadowFaultTest.UnsyncTableThatBecomesADirectoryGoes", "VIOLATION G4"),
    "unsync_table_below_a_directory": Mutant(
        "a frame becomes a directory while an unsync table shadows it",
        [("shadow_fault.c", "	if (!role.direct && role.level > VLM_LEVEL_4K)\n		zap_unsync_of(sh, gfn, flush);\n", "")],
        "ShadowFaultTest.UnsyncTableThatBecomesADirectoryGoes", "Expected: false"),
    "written_table_not_updated": Mutant(
        "an emulated write to a guest table is not told to its shadow",
        [("shadow_write.c", "	for (n = entries_of(sp, gpa & (PAGE_SIZE - 1), &first); n; n--)\n		vlm_shadow_drop",
          "	for (n = entries_of(sp, gpa & (PAGE_SIZE - 1), &first); !n; n--)\n		vlm_shadow_drop")],
        "ShadowFaultTest.UpperTableIsWrittenByEmulation", "VIOLATION STALE"),
    "half_of_a_directory_entry": Mutant(
        "a write to a 4-byte directory entry updates one of its two shadows",
        [("shadow_write.c", "sp->role.quadrant ? 2 : 0;", "sp->role.quadrant ? 1 : 0;")],
        "ShadowFaultTest.ThirtyTwoBitsInQuadrants", "VIOLATION STALE"),
    "huge_leaf_over_a_table": Mutant(
        "a huge leaf covers a guest table",
        [("shadow_fault.c", "		*vlm_slot_tables(f->slot, f->gfn, level)))", "		false))")],
        "ShadowHugeTest.NoHugeLeafOverAGuestTable", "VIOLATION G4"),
    "smep_forgotten_without_wp": Mutant(
        "a user page that the kernel wrote with WP = 0 can be executed by it despite SMEP",
        [("shadow_fault.c", "		f->rights &= ~VLM_GACC_EXEC;\n", "		;\n")],
        "ShadowFaultTest.WithoutWpSmepAndSmapStillHold", "VIOLATION STALE"),
    "smap_forgotten_without_wp": Mutant(
        "a user page that the kernel wrote with WP = 0 can be read by it despite SMAP",
        [("shadow_fault.c", "		return VLM_SHADOW_EMULATE;\n	/* SMEP looks", "		;\n	/* SMEP looks")],
        "ShadowFaultTest.WithoutWpSmepAndSmapStillHold", "Expected"),
    "dirty_flag_forgotten": Mutant(
        "a page is writable before the guest's dirty flag is set",
        [("shadow_fault.c", "	if (!f->walk->dirty)\n", "	if (false)\n")],
        "ShadowFaultTest.FirstWriteComesBackToSetTheDirtyFlag", "VIOLATION STALE"),
    "shadow_notifier_retry": Mutant(
        "a shadow fault does not ask whether the host took the page back meanwhile",
        [("shadow_fault.c", " ||\n	       vlm_notifier_must_retry(sh->mmu, seq, vlm_memslot_hva_of(f->slot, f->gfn));", ";")],
        "ShadowFaultTest.InvalidationBetweenLookupAndInstallRetries", "VIOLATION G1"),
    "shadow_notifier_forgotten": Mutant(
        "a host invalidation does not look into the reverse map",
        [("notifier.c", "		if (op->mmu->shadow)\n", "		if (false)\n")],
        "ShadowFaultTest.HostInvalidationReachesShadowLeaves", "Expected equality"),
    "notifier_sequence_at_begin": Mutant(
        "the sequence advances when an invalidation begins, not when it ends",
        [("notifier.c", "		WRITE_ONCE(n->seq, n->seq + 1);\n", ""),
         ("notifier.c", "	range_enter(&mmu->notifier, start, end);\n",
          "	range_enter(&mmu->notifier, start, end);\n	WRITE_ONCE(mmu->notifier.seq, mmu->notifier.seq + 1);\n")],
        races=[("FaultRace.NotifierBeginAndEnd", "VIOLATION G1")]),
    "flush_after_unlock": Mutant(
        "what is owed is paid after the lock was dropped",
        [("tdp.c", "	vlm_flush_commit(op->mmu, &op->flush);\n", ""),
         ("tdp.c", "		read_unlock(&op->mmu->lock);\n}\n",
          "		read_unlock(&op->mmu->lock);\n	vlm_flush_commit(op->mmu, &op->flush);\n}\n")],
        races=[("FaultRace.NotifierBeginAndEnd", "VIOLATION G6"), ("DirtyRace.HarvestAndWrite", "VIOLATION G6")]),
    "zap_at_zero": Mutant(
        "a root is torn down, with yields, after its last reference is gone",
        [("zap.c", "		if (claimed || filter == VLM_ROOTS_ALL)\n			vlm_tdp_zap_root(&op, root);\n",
          "		if (claimed)\n			WRITE_ONCE(root->refs.refs, 0);\n		if (claimed || filter == VLM_ROOTS_ALL)\n"
          "			vlm_tdp_zap_root(&op, root);\n		if (claimed)\n			WRITE_ONCE(root->refs.refs, 2);\n")],
        races=[("RootRace.ReclaimerAndNotifier", "VIOLATION G1")]),
    "dec_unless_one": Mutant(
        "a reference is dropped by decrementing unless it is the only one, which ends the root",
        [("root.c", "	if (!refcount_dec_and_test(&root->refs))\n		return;\n",
          "	int refs = READ_ONCE(root->refs.refs);\n\n	while (refs != 1)\n"
          "		if (try_cmpxchg(&root->refs.refs, &refs, refs - 1))\n			return;\n"
          "	WRITE_ONCE(root->refs.refs, 0);\n")],
        races=[("RootRace.LastPutAndWalker", "AddressSanitizer")]),
    "get_from_zero": Mutant(
        "a reference is taken without asking whether there is one left",
        [("root.c", "	return refcount_inc_not_zero(&root->refs);\n",
          "	refcount_inc(&root->refs);\n	return true;\n")],
        races=[("RootRace.ReclaimerAndDestruction", "VIOLATION REF")]),
    "claim_without_lock": Mutant(
        "two zappers may claim one root",
        [("root.c", "	spin_lock(&mmu->pages_lock);\n	claimed = root->scheduled;\n"
          "	WRITE_ONCE(root->scheduled, false);\n	spin_unlock(&mmu->pages_lock);\n",
          "	claimed = READ_ONCE(root->scheduled);\n	WRITE_ONCE(root->scheduled, false);\n")],
        races=[("RootRace.TwoReclaimers", "VIOLATION REF")]),
    "flag_after_request": Mutant(
        "vCPUs are told to reload before their root is marked invalid",
        [("root.c", "	spin_unlock(&mmu->pages_lock);\n	vlm_platform_reload_all(mmu);\n", "	spin_unlock(&mmu->pages_lock);\n"),
         ("root.c", "	/* Taken for list_del_rcu()", "	vlm_platform_reload_all(mmu);\n	/* Taken for list_del_rcu()")],
        races=[("FaultRace.CutOffAndReload", "VIOLATION R2")]),
    "request_after_unlock": Mutant(
        "vCPUs are told to reload after the write section in which their root became invalid",
        [("root.c", "	spin_unlock(&mmu->pages_lock);\n	vlm_platform_reload_all(mmu);\n", "	spin_unlock(&mmu->pages_lock);\n"),
         ("zap.c", "	vlm_root_invalidate_all(mmu);\n	vlm_tdp_end(&op);\n",
          "	vlm_root_invalidate_all(mmu);\n	vlm_tdp_end(&op);\n	vlm_platform_reload_all(mmu);\n")],
        races=[("FaultRace.CutOffAndReload", "VIOLATION R2")]),
    "flag_after_ref": Mutant(
        "a root is given to a zapper, and vCPUs are told, before it is marked invalid",
        [("root.c", "		WRITE_ONCE(root->invalid, true);\n", ""),
         ("zap.c", "	vlm_root_invalidate_all(mmu);\n	vlm_tdp_end(&op);\n",
          "	vlm_root_invalidate_all(mmu);\n	vlm_tdp_end(&op);\n	cpu_relax();\n	{\n		struct vlm_mmu_page *root;\n\n"
          "		list_for_each_entry(root, &mmu->roots, link)\n			WRITE_ONCE(root->invalid, true);\n	}\n")],
        races=[("RootRace.GetAndInvalidateAndPut", "VIOLATION R2")]),
    "invalidated_twice": Mutant(
        "a root that waits for its zapper is given away once more by the next cut-off",
        [("root.c", "		if (root->invalid)\n			continue;\n", "")],
        races=[("RootRace.TwoCutOffs", "Expected equality")]),
    "destruction_claims_nothing": Mutant(
        "who destroys the machine drops the MMU's reference of roots that another zapper claimed",
        [("zap.c", "		if (!claimed)\n			continue;\n", "		if (!claimed && filter != VLM_ROOTS_ALL)\n			continue;\n")],
        races=[("RootRace.CutOffAndRelease", "VIOLATION REF")]),
    "find_invalid_root": Mutant(
        "a vCPU may be given a root that was cut off",
        [("root.c", "if (!root->invalid && root->role.word", "if (root->role.word")],
        races=[("RootRace.GetAndInvalidateAndPut", "VIOLATION R2")]),
    "no_second_look": Mutant(
        "a new root is put on the list without asking whether another vCPU made one",
        [("root.c", "	spin_lock(&mmu->pages_lock);\n	root = root_find(mmu, role);\n",
          "	spin_lock(&mmu->pages_lock);\n	root = NULL;\n")],
        races=[("RootRace.TwoVcpusMakeOneRoot", "two roots with one role")]),
    "zap_waits_for_frozen": Mutant(
        "a zapper waits for an entry that another one froze for good",
        [("tdp_range.c", "while (iter.old && !vlm_spte_is_frozen(iter.old) &&", "while (iter.old &&")],
        races=[("RootRace.ReclaimerAndDestruction", "VIOLATION PROGRESS")]),
    "detach_leaves_empty": Mutant(
        "the entries of an unlinked table are emptied, not frozen: a late fault installs there",
        [("tdp.c", "vlm_spte_xchg_detached(sptep, VLM_SPTE_FROZEN)", "vlm_spte_xchg_detached(sptep, 0)")],
        races=[("DirtyRace.HugeLeafOverATableInUse", "VIOLATION")]),
    "split_plain_store": Mutant(
        "the table of a split huge leaf is linked without comparing",
        [("tdp.c", "	op->visited += VLM_TABLE_ENTRIES;\n	if (!vlm_spte_try_cmpxchg(sptep, &old, val))\n		return false;\n",
          "	op->visited += VLM_TABLE_ENTRIES;\n	WRITE_ONCE(*sptep, val);\n"
          "	vlm_spte_observe(sptep, old, val, VLM_STORE_SHARED);\n")],
        races=[("DirtyRace.TwoFaultsSplitOneLeaf", "VIOLATION")]),
    "log_after_protect": Mutant(
        "a slot is protected before faults know that it is logged",
        [("memslot.c", "	publish(mmu, old->as_id, old, slot);\n	if (slot->flags & VLM_MEMSLOT_LOG_DIRTY)\n"
          "		vlm_memslot_start_logging(mmu, slot);\n	else\n",
          "	if (slot->flags & VLM_MEMSLOT_LOG_DIRTY)\n		vlm_memslot_start_logging(mmu, slot);\n"
          "	publish(mmu, old->as_id, old, slot);\n	if (!(slot->flags & VLM_MEMSLOT_LOG_DIRTY))\n")],
        races=[("DirtyRace.SplitAndFault", "REPEAT")]),
    "no_wake": Mutant(
        "the end of an invalidation does not wake the slot update that waits for it",
        [("notifier.c", "	if (last)\n		wake_up_all(&n->wait);\n", "")],
        races=[("SlotRace.CreateInTheMiddleOfAnInvalidation", "VIOLATION DEADLOCK")]),
    "delete_without_invalid": Mutant(
        "a slot goes without having been published as invalid before the cut-off",
        [("memslot.c", "	publish(mmu, old->as_id, old, invalid);\n", ""),
         ("memslot.c", "	publish(mmu, old->as_id, invalid, fresh);\n",
          "	publish(mmu, old->as_id, old, fresh);\n")],
        races=[("SlotRace.DeleteAndFault", "VIOLATION"), ("SlotRace.DeleteAloneAndFault", "VIOLATION")]),
    "cut_off_before_invalid": Mutant(
        "a slot is published as invalid after the cut-off",
        [("memslot.c", "	publish(mmu, old->as_id, old, invalid);\n	if (zap", "	if (zap"),
         ("memslot.c", "		vlm_zap_cut_off(mmu);\n	mmu->space",
          "		vlm_zap_cut_off(mmu);\n	publish(mmu, old->as_id, old, invalid);\n	mmu->space")],
        races=[("SlotRace.DeleteAndFault", "VIOLATION")]),
    "any_generation_matches": Mutant(
        "an mmio entry is believed whatever its generation",
        [("generation.c", "(gen & VLM_MMIO_GEN_MASK) == vlm_spte_mmio_gen(spte);", "true;")],
        races=[("SlotRace.CreateOverCachedMmio", "stale mmio entry")]),
}


def listing(names):
    """A bug in a header is in every file."""
    for name in names:
        files = sorted({file for file, _, _ in MUTANTS[name].edits})
        yield name + ":" + ("*" if any(file.endswith(".h") for file in files) else ",".join(files))


def make(name, sources, out):
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(sources, out)
    for file, old, new in MUTANTS[name].edits:
        path = pathlib.Path(out) / file
        text = path.read_text()
        if text.count(old) != 1:
            sys.exit(f"mutants.py: {name}: {file} has {text.count(old)} places like {old!r}, not 1: bring it up to date")
        path.write_text(text.replace(old, new))


# A race may need several runs of a test with threads to show; a test without threads always repeats itself.
ATTEMPTS = 60


def run_until_noticed(program, tests):
    """The first run that fails, or the last one."""
    for _ in range(ATTEMPTS if "ThreadTest." in tests else 1):
        run = subprocess.run([program, f"--gtest_filter={tests}", "--gtest_break_on_failure=0"],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
        if run.returncode != 0 or "Running 0 tests" in run.stdout:
            break
    return run


def check(name, program, with_races):
    mutant = MUTANTS[name]
    for tests, caught_by in mutant.tests + (mutant.races if with_races else []):
        run = run_until_noticed(program, tests)
        if "Running 0 tests" in run.stdout:
            print(f"{name}: there is no test {tests}")
            return 1
        if run.returncode == 0:
            print(run.stdout)
            print(f"{name}: not noticed by {tests}: {mutant.what}")
            return 1
        texts = (caught_by,) if isinstance(caught_by, str) else caught_by
        if not any(text in run.stdout for text in texts):
            print(run.stdout)
            print(f"{name}: {tests} failed, but not with {caught_by!r}")
            return 1
        repeat = [line for line in run.stdout.splitlines() if line.startswith("REPEAT")]
        print(f"{name}: {tests}: {caught_by}", *repeat)
    return 0


# What random operations find on their own, each within so many. Of the others some show with several threads only,
# and some are no bugs to a guest but waste.
RANDOM_LIMIT = 2000000
RANDOM_FINDS = (
    "notifier_retry", "notifier_no_sequence", "split_link_before_fill", "unlocked_store", "free_before_grace_period",
    "no_flush", "replace_without_freeze", "root_without_mmu_reference", "generation_wrap_ignored",
)


def operations_until_noticed(program):
    """(verdict, operations) of random operations from a fixed seed, or None if they find nothing."""
    env = dict(os.environ, VELLUM_SEED="1", VELLUM_OPS=str(RANDOM_LIMIT))
    run = subprocess.run([program, "--gtest_filter=*RandomTest*", "--gtest_break_on_failure=0"], env=env,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    verdict = re.search("VIOLATION .*|ERROR: AddressSanitizer.*|runtime error: .*", run.stdout)
    after = re.search(r"after (\d+) operations", run.stdout)
    return (verdict.group(), int(after.group(1))) if verdict and after else None


def check_random(folder, names):
    missed = 0
    for name in names:
        found = operations_until_noticed(pathlib.Path(folder) / f"mmu_mutant_{name}")
        missed += not found
        print(f"{name:30} {found[1]:8} operations: {found[0]}" if found else f"{name:30} not found")
    return 1 if missed else 0


def main():
    match sys.argv[1:]:
        case ["list"]:
            print("\n".join(listing(MUTANTS)))
        case ["list", "without-races"]:
            print("\n".join(listing(name for name, mutant in MUTANTS.items() if mutant.tests)))
        case ["make", name, sources, out]:
            make(name, sources, out)
        case ["check", name, program]:
            sys.exit(check(name, program, True))
        case ["check", name, program, "without-races"]:
            sys.exit(check(name, program, False))
        case ["random", folder, *names]:
            sys.exit(check_random(folder, names or RANDOM_FINDS))
        case _:
            sys.exit(__doc__)


main()
