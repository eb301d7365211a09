// SPDX-License-Identifier: GPL-2.0-or-later
// Bits of entries, against the SDM's tables and not against spte.h.
#include <gtest/gtest.h>

#include "kmod_mmu.h"

namespace fakes {
namespace {

spte_format Format(bool ad) {
  vlm_mmu_caps caps{};
  caps.ept_ad = ad;
  caps.ept_2m = caps.ept_1g = true;
  caps.maxphyaddr = 46;
  spte_format fmt;
  vlm_spte_format_ept(&fmt, &caps);
  return fmt;
}

TEST(SpteTest, LeafOfRam) {
  const spte_format fmt = Format(true);
  const u64 e = vlm_spte_make_leaf(&fmt, 0x12345, 1, VLM_LEAF_HOST_W | VLM_LEAF_WRITABLE);
  EXPECT_EQ(e & 7, 7u);
  EXPECT_EQ(e >> 3 & 7, 6u) << "write-back";
  EXPECT_EQ(e >> 6 & 1, 1u) << "guest PAT ignored";
  EXPECT_EQ(e >> 7 & 1, 0u);
  EXPECT_EQ(e >> 8 & 3, 3u) << "accessed and dirty";
  EXPECT_EQ(e >> 12 & 0xffffff, 0x12345u);
  EXPECT_EQ(e >> 56 & 0x9f, 0u) << "bits 56, 57, 58, 60 and 63 have a meaning on some CPUs";
  EXPECT_TRUE(vlm_spte_is_sane(&fmt, e, 1));
}

TEST(SpteTest, ReadOnlyAndProtectedLeaves) {
  const spte_format fmt = Format(true);
  const u64 ro = vlm_spte_make_leaf(&fmt, 1, 1, 0);
  const u64 protect = vlm_spte_make_leaf(&fmt, 1, 1, VLM_LEAF_HOST_W);
  EXPECT_EQ(ro & 7, 5u);
  EXPECT_EQ(protect & 7, 5u);
  EXPECT_FALSE(ro & VLM_SPTE_HOST_W);
  EXPECT_FALSE(ro & VLM_SPTE_MMU_W);
  EXPECT_TRUE(protect & VLM_SPTE_HOST_W);
  EXPECT_TRUE(protect & VLM_SPTE_MMU_W);
  EXPECT_TRUE(vlm_spte_allows(&fmt, ro, VLM_ACCESS_READ | VLM_ACCESS_EXEC));
  EXPECT_FALSE(vlm_spte_allows(&fmt, ro, VLM_ACCESS_WRITE));
}

TEST(SpteTest, SplitKeepsTranslationAndFlags) {
  const spte_format fmt = Format(true);
  for (int level : {2, 3}) {
    const u64 huge = vlm_spte_make_leaf(&fmt, 0x40000, level, VLM_LEAF_HOST_W | VLM_LEAF_WRITABLE);
    ASSERT_TRUE(huge & 0x80);
    for (unsigned i : {0u, 1u, 511u}) {
      const u64 part = vlm_spte_make_split(&fmt, huge, level, i);
      EXPECT_EQ(vlm_spte_pfn(part), 0x40000 + i * vlm_level_pages(level - 1));
      EXPECT_EQ(!!(part & 0x80), level == 3);
      EXPECT_TRUE(vlm_spte_is_sane(&fmt, part, level - 1));
    }
  }
}

TEST(SpteTest, NxIsForHugeLeavesOnlyAndASplitToSmallOnesGainsX) {
  for (bool ad : {false, true}) {
    const spte_format fmt = Format(ad);
    EXPECT_EQ(vlm_spte_make_leaf(&fmt, 0x40000, 1, VLM_LEAF_NX) & 4, 4u);
    const u64 huge = vlm_spte_make_leaf(&fmt, 0x40000, 2, VLM_LEAF_NX);
    EXPECT_EQ(huge & 5, 1u);
    EXPECT_TRUE(vlm_spte_is_sane(&fmt, huge, 2));
    EXPECT_EQ(vlm_spte_make_split(&fmt, huge, 2, 7) & 5, 5u);
    EXPECT_EQ(
        vlm_spte_make_split(&fmt, vlm_spte_make_leaf(&fmt, 0x40000, 3, VLM_LEAF_NX), 3, 7) & 5, 1u)
        << "2 MiB stay not executable";
  }
  const spte_format fmt = Format(false);
  const u64 aged = vlm_spte_make_old(&fmt, vlm_spte_make_leaf(&fmt, 0x40000, 2, VLM_LEAF_NX));
  const u64 part = vlm_spte_make_split(&fmt, aged, 2, 1);
  EXPECT_EQ(part & 7, 0u) << "aged as before";
  EXPECT_TRUE(part & VLM_SPTE_SAVED_X);
}

TEST(SpteTest, MmioEntryRaisesAMisconfigurationAndHoldsTheGeneration) {
  const spte_format fmt = Format(true);
  for (u64 gen : {u64{0}, u64{1}, u64{0xff}, u64{0x100}, u64{0x12345}, u64{VLM_MMIO_GEN_MASK}}) {
    const u64 e = vlm_spte_make_mmio(&fmt, gen | u64{1} << 40);
    EXPECT_EQ(e & 7, 6u);
    EXPECT_EQ(vlm_spte_mmio_gen(e), gen);
    EXPECT_TRUE(vlm_spte_is_mmio(&fmt, e));
    EXPECT_FALSE(vlm_spte_is_present(e));
    EXPECT_FALSE(vlm_spte_is_frozen(e));
    EXPECT_EQ(e & VLM_SPTE_ADDR, 0u) << "no address for a terminal fault to load from";
  }
}

TEST(SpteTest, FrozenIsNothingElse) {
  const spte_format fmt = Format(true);
  const u64 e = VLM_SPTE_FROZEN;
  EXPECT_FALSE(vlm_spte_is_present(e));
  EXPECT_FALSE(vlm_spte_is_mmio(&fmt, e));
  EXPECT_EQ(e & 7, 0u) << "not present for the hardware";
  EXPECT_NE(e, 0u);
}

TEST(SpteTest, OldWithoutAccessedFlagsKeepsWhatToRestore) {
  const spte_format fmt = Format(false);
  const u64 leaf = vlm_spte_make_leaf(&fmt, 7, 1, VLM_LEAF_HOST_W | VLM_LEAF_WRITABLE);
  const u64 old = vlm_spte_make_old(&fmt, leaf);
  EXPECT_EQ(old & 7, 0u);
  EXPECT_TRUE(vlm_spte_is_present(old));
  EXPECT_FALSE(vlm_spte_is_accessed(&fmt, old));
  EXPECT_TRUE(vlm_spte_is_sane(&fmt, old, 1));
}

TEST(SpteTest, SanityFindsWhatTheMmuNeverWrites) {
  const spte_format fmt = Format(true);
  const u64 leaf = vlm_spte_make_leaf(&fmt, 0x200, 1, VLM_LEAF_HOST_W | VLM_LEAF_WRITABLE);
  EXPECT_FALSE(vlm_spte_is_sane(&fmt, leaf & ~VLM_SPTE_MMU_W, 1));
  EXPECT_FALSE(vlm_spte_is_sane(&fmt, leaf & ~VLM_SPTE_HOST_W, 1));
  EXPECT_FALSE(vlm_spte_is_sane(&fmt, leaf | u64{1} << 46, 1)) << "beyond MAXPHYADDR";
  EXPECT_FALSE(vlm_spte_is_sane(&fmt, leaf ^ u64{2} << 3, 1)) << "memory type";
  EXPECT_FALSE(vlm_spte_is_sane(&fmt, 5, 1)) << "present for the hardware alone";
  EXPECT_FALSE(vlm_spte_is_sane(&fmt, vlm_spte_make_leaf(&fmt, 0x201, 2, 0), 2));
  EXPECT_TRUE(vlm_spte_is_sane(&fmt, vlm_spte_make_nonleaf(&fmt, 0x5000), 2));
  EXPECT_FALSE(vlm_spte_is_sane(&fmt, vlm_spte_make_nonleaf(&fmt, 0x5000) & ~u64{4}, 2));
}

}  // namespace
}  // namespace fakes
