// SPDX-License-Identifier: GPL-2.0-or-later
// The MMU's headers, as C++ sees them.
#ifndef TESTS_FAKES_KMOD_MMU_H_
#define TESTS_FAKES_KMOD_MMU_H_

extern "C" {
#include "mmu/dump.h"
#include "mmu/generation.h"
#include "mmu/guest_pt.h"
#include "mmu/guest_walk.h"
#include "mmu/memslot_change.h"
#include "mmu/mmu.h"
#include "mmu/notifier.h"
#include "mmu/nx.h"
#include "mmu/page.h"
#include "mmu/ptr_chain.h"
#include "mmu/rmap.h"
#include "mmu/root.h"
#include "mmu/shadow.h"
#include "mmu/shadow_page.h"
#include "mmu/spte.h"
#include "mmu/spte_store.h"
#include "mmu/tdp.h"
#include "mmu/trace.h"
#include "mmu/zap.h"
#include "shim.h"
}

#endif  // TESTS_FAKES_KMOD_MMU_H_
