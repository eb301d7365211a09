// SPDX-License-Identifier: GPL-2.0-or-later
// Walks of guest page tables, in every mode, against the SDM's rules.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>

#include "test_layout.h"

namespace fakes {
namespace {

constexpr u64 kP = 1, kW = 2, kU = 4, kA = 0x20, kD = 0x40, kPs = 0x80, kNx = u64{1} << 63;
constexpr u64 kPg = u64{1} << 31, kWp = u64{1} << 16;
constexpr u64 kPae = 1 << 5, kPse = 1 << 4, kLa57 = 1 << 12, kSmep = 1 << 20, kSmap = 1 << 21;
constexpr u64 kPke = 1 << 22;
constexpr u64 kLma = 1 << 10, kNxe = 1 << 11;
constexpr u32 kPfP = 1, kPfW = 2, kPfU = 4, kPfRsvd = 8, kPfI = 16, kPfPk = 32;

class GuestWalkTest : public MmuTest {
 protected:
  void SetUp() override {
    m.host().Map(kHva, 256);
    ASSERT_EQ(m.SetSlot(0, 0, 256, kHva), 0);
    paging_.cr0 = kPg | kWp | 1;
    paging_.maxphyaddr = 40;
    paging_.gbpages = true;
    Long();
  }
  void Long() {
    paging_.cr3 = 0x1000;
    paging_.cr4 = kPae;
    paging_.efer = kLma | kNxe;
  }

  u8* At(u64 gpa) {
    vlm_host_page page{};
    EXPECT_EQ(m.host().Get((kHva << 12) + gpa, true, &page), 0);
    u8* data = m.host().DataOf(page.pfn) + (gpa & 4095);
    m.host().Put(&page, true);
    return data;
  }
  void Put(u64 gpa, u64 value, size_t size = 8) { memcpy(At(gpa), &value, size); }
  u64 Look(u64 gpa, size_t size = 8) {
    u64 value = 0;
    memcpy(&value, At(gpa), size);
    return value;
  }

  vlm_walk_status Walk(u64 gva, u32 access = VLM_ACCESS_READ) {
    SlotsReader reader(&m);
    return vlm_guest_walk(m.mmu(), &paging_, gva, access, &walk_);
  }
  // 0 when the walk succeeds.
  u32 Fault(u64 gva, u32 access) {
    return Walk(gva, access) == VLM_WALK_OK ? 0 : walk_.pfec | 0x80000000;
  }
  static constexpr u32 kFault = 0x80000000;

  // Four levels for gva 0x8080604123: indices 1, 2, 3, 4; the leaf maps 0x9000.
  static constexpr u64 kGva =
      (u64{1} << 39) | (u64{2} << 30) | (u64{3} << 21) | (u64{4} << 12) | 0x123;
  void FourLevels(u64 leaf = 0x9000 | kP | kW | kU, u64 upper = kP | kW | kU) {
    Put(0x1000 + 8, 0x2000 | upper);
    Put(0x2000 + 16, 0x3000 | upper);
    Put(0x3000 + 24, 0x4000 | upper);
    Put(0x4000 + 32, leaf);
  }

  vlm_guest_paging paging_{};
  struct vlm_guest_walk walk_ {};
};

TEST_F(GuestWalkTest, WithoutPaging) {
  paging_.cr0 = 1;
  ASSERT_EQ(Walk(0x12345678, VLM_ACCESS_WRITE), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x12345678u);
}

TEST_F(GuestWalkTest, FourLevelsToFourKilobytes) {
  FourLevels();
  ASSERT_EQ(Walk(kGva), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x9123u);
  EXPECT_EQ(walk_.page_bytes, 4096u);
  EXPECT_TRUE(walk_.writable && walk_.user && walk_.executable);
  EXPECT_FALSE(walk_.dirty);
}

TEST_F(GuestWalkTest, SetsAccessedEverywhereAndDirtyInTheLeaf) {
  FourLevels();
  ASSERT_EQ(Walk(kGva, VLM_ACCESS_READ | VLM_ACCESS_PEEK), VLM_WALK_OK);
  EXPECT_FALSE(Look(0x1008) & kA);
  ASSERT_EQ(Walk(kGva), VLM_WALK_OK);
  for (u64 gpa : {0x1008, 0x2010, 0x3018, 0x4020}) EXPECT_EQ(Look(gpa) & (kA | kD), kA);
  ASSERT_EQ(Walk(kGva, VLM_ACCESS_WRITE), VLM_WALK_OK);
  EXPECT_EQ(Look(0x3018) & (kA | kD), kA);
  EXPECT_EQ(Look(0x4020) & (kA | kD), kA | kD);
  EXPECT_TRUE(walk_.dirty);
}

TEST_F(GuestWalkTest, FaultSetsNoFlags) {
  FourLevels(0x9000 | kP);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE), kFault | kPfP | kPfW);
  EXPECT_FALSE(Look(0x1008) & kA);
}

TEST_F(GuestWalkTest, LargePages) {
  FourLevels();
  Put(0x3018, 0x200000 | kP | kW | kU | kPs);
  ASSERT_EQ(Walk(kGva), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x204123u);
  EXPECT_EQ(walk_.page_bytes, u64{1} << 21);
  Put(0x2010, 0x40000000 | kP | kW | kU | kPs);
  ASSERT_EQ(Walk(kGva), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x40604123u);
  paging_.gbpages = false;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault | kPfP | kPfRsvd);
}

TEST_F(GuestWalkTest, FiveLevels) {
  FourLevels();
  paging_.cr4 |= kLa57;
  Put(0x5000 + 8 * 7, 0x1000 | kP | kW | kU);
  paging_.cr3 = 0x5000;
  ASSERT_EQ(Walk(u64{7} << 48 | kGva), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x9123u);
}

TEST_F(GuestWalkTest, NotPresentAtEveryLevel) {
  for (u64 gpa : {0x1008, 0x2010, 0x3018, 0x4020}) {
    FourLevels();
    Put(gpa, 0);
    EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault);
    EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE | VLM_ACCESS_USER), kFault | kPfW | kPfU);
    EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC), kFault | kPfI);
  }
}

TEST_F(GuestWalkTest, TableOutsideOfMemoryIsNotPresent) {
  FourLevels();
  Put(0x2010, 0x7000000 | kP | kW | kU);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault);
}

TEST_F(GuestWalkTest, ReservedBits) {
  FourLevels(0x9000 | kP | u64{1} << 40);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault | kPfP | kPfRsvd) << "above MAXPHYADDR";
  FourLevels(0x9000 | kP | kNx);
  paging_.efer &= ~kNxe;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault | kPfP | kPfRsvd) << "NX without EFER.NXE";
  paging_.efer |= kNxe;
  FourLevels();
  Put(0x1008, 0x2000 | kP | kPs);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault | kPfP | kPfRsvd) << "PS in a PML4E";
  FourLevels();
  Put(0x3018, 0x200000 | kP | kPs | 1 << 13);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault | kPfP | kPfRsvd) << "bit 13 of a 2-MiB page";
  FourLevels(0x9000 | kP | u64{0x7ff} << 52);
  EXPECT_EQ(Walk(kGva), VLM_WALK_OK) << "ignored bits";
}

TEST_F(GuestWalkTest, UserNeedsUserEverywhere) {
  FourLevels();
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE | VLM_ACCESS_USER), 0u);
  Put(0x3018, 0x4000 | kP | kW);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ | VLM_ACCESS_USER), kFault | kPfP | kPfU);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE), 0u) << "supervisor";
}

TEST_F(GuestWalkTest, WriteProtection) {
  FourLevels();
  Put(0x2010, 0x3000 | kP | kU);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE), kFault | kPfP | kPfW);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE | VLM_ACCESS_USER), kFault | kPfP | kPfW | kPfU);
  paging_.cr0 &= ~kWp;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE), 0u) << "supervisor with CR0.WP = 0";
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE | VLM_ACCESS_USER), kFault | kPfP | kPfW | kPfU);
}

TEST_F(GuestWalkTest, ExecuteDisable) {
  FourLevels();
  Put(0x2010, 0x3000 | kP | kW | kU | kNx);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC | VLM_ACCESS_USER), kFault | kPfP | kPfI | kPfU);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), 0u);
  EXPECT_FALSE(walk_.executable);
}

TEST_F(GuestWalkTest, FetchBitOnlyWhereItCanMatter) {
  FourLevels();
  Put(0x4020, 0);
  paging_.efer = kLma;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC), kFault);
  paging_.cr4 |= kSmep;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC), kFault | kPfI);
}

TEST_F(GuestWalkTest, Smep) {
  FourLevels();
  paging_.cr4 |= kSmep;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC), kFault | kPfP | kPfI);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC | VLM_ACCESS_USER), 0u);
  Put(0x3018, 0x4000 | kP | kW);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC), 0u) << "a supervisor page";
}

TEST_F(GuestWalkTest, Smap) {
  FourLevels();
  paging_.cr4 |= kSmap;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault | kPfP);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ | VLM_ACCESS_USER), 0u);
  paging_.rflags = 1 << 18;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE), 0u);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ | VLM_ACCESS_IMPLICIT), kFault | kPfP);
}

TEST_F(GuestWalkTest, ProtectionKeys) {
  FourLevels(0x9000 | kP | kW | kU | u64{5} << 59);
  paging_.pkru = 1 << 10;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ | VLM_ACCESS_USER), 0u) << "CR4.PKE is clear";
  paging_.cr4 |= kPke;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ | VLM_ACCESS_USER), kFault | kPfP | kPfU | kPfPk);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ), kFault | kPfP | kPfPk) << "supervisor too";
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_EXEC | VLM_ACCESS_USER), 0u) << "fetches are free";
  paging_.pkru = 2 << 10;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_READ | VLM_ACCESS_USER), 0u);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE | VLM_ACCESS_USER), kFault | kPfP | kPfW | kPfU | kPfPk);
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE), kFault | kPfP | kPfW | kPfPk);
  paging_.cr0 &= ~kWp;
  EXPECT_EQ(Fault(kGva, VLM_ACCESS_WRITE), 0u);
}

TEST_F(GuestWalkTest, Pae) {
  paging_.efer = kNxe;
  paging_.pdptrs[1] = 0x2000 | kP;
  Put(0x2000 + 8 * 3, 0x4000 | kP | kW | kU);
  Put(0x4000 + 8 * 4, 0x9000 | kP | kW | kU);
  const u64 gva = u64{1} << 30 | 3 << 21 | 4 << 12 | 0x45;
  ASSERT_EQ(Walk(gva, VLM_ACCESS_WRITE), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x9045u);
  EXPECT_EQ(Fault(gva + (u64{1} << 30), VLM_ACCESS_READ), kFault) << "PDPTE not present";
  Put(0x4000 + 8 * 4, 0x9000 | kP | u64{1} << 52);
  EXPECT_EQ(Fault(gva, VLM_ACCESS_READ), kFault | kPfP | kPfRsvd) << "no ignored high bits";
  Put(0x2000 + 8 * 3, 0x600000 | kP | kW | kU | kPs);
  ASSERT_EQ(Walk(gva), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x604045u);
}

TEST_F(GuestWalkTest, LoadsPdptes) {
  SlotsReader reader(&m);
  u64 pdptrs[4] = {};
  Put(0x3020, 0x2000 | kP);
  Put(0x3028, 0xfff);  // not present without bit 0: set it below
  Put(0x3028, 0xffe);
  Put(0x3030, 0);
  Put(0x3038, 0x4000 | kP | 0x18);
  EXPECT_EQ(vlm_guest_load_pdptrs(m.mmu(), 0, 0x3020, 40, pdptrs), 0);
  EXPECT_EQ(pdptrs[0], 0x2000 | kP);
  EXPECT_EQ(pdptrs[3], 0x4000 | kP | 0x18);
  Put(0x3028, 0x2000 | kP | kW);
  EXPECT_EQ(vlm_guest_load_pdptrs(m.mmu(), 0, 0x3020, 40, pdptrs), -EINVAL);
  Put(0x3028, 0x2000 | kP | u64{1} << 40);
  EXPECT_EQ(vlm_guest_load_pdptrs(m.mmu(), 0, 0x3020, 40, pdptrs), -EINVAL);
  EXPECT_EQ(vlm_guest_load_pdptrs(m.mmu(), 0, 0x3020, 41, pdptrs), 0);
  EXPECT_EQ(vlm_guest_load_pdptrs(m.mmu(), 0, 0x7000000, 40, pdptrs), -EFAULT);
}

TEST_F(GuestWalkTest, ThirtyTwoBits) {
  paging_.efer = 0;
  paging_.cr4 = 0;
  paging_.cr3 = 0x1018;  // flags of CR3 are not address
  Put(0x1000 + 4 * 5, 0x2000 | kP | kW | kU, 4);
  Put(0x2000 + 4 * 6, 0x9000 | kP | kW | kU, 4);
  Put(0x2000 + 4 * 7, 0xffffffff, 4);  // its neighbour must not leak in
  const u64 gva = 5 << 22 | 6 << 12 | 0x77;
  ASSERT_EQ(Walk(gva, VLM_ACCESS_WRITE), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x9077u);
  EXPECT_EQ(Look(0x2018, 4), 0x9000 | kP | kW | kU | kA | kD);
  EXPECT_EQ(Look(0x201c, 4), 0xffffffffu);
}

TEST_F(GuestWalkTest, FourMegabytesAndPse36) {
  paging_.efer = 0;
  paging_.cr4 = kPse;
  Put(0x1000 + 4 * 5, 0x00c00000 | kP | kW | kU | kPs | 0x12 << 13, 4);
  const u64 gva = 5 << 22 | 0x123456;
  ASSERT_EQ(Walk(gva), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, u64{0x12} << 32 | 0x00c00000 | 0x123456);
  EXPECT_EQ(walk_.page_bytes, u64{1} << 22);
  paging_.maxphyaddr = 36;
  EXPECT_EQ(Fault(gva, VLM_ACCESS_READ), kFault | kPfP | kPfRsvd) << "bit 36 does not exist";
  paging_.cr4 = 0;
  Put(0x1000 + 4 * 5, 0x2000 | kP | kW | kU | kPs, 4);
  Put(0x2000 + 4 * 0x123, 0x9000 | kP | kW | kU, 4);
  ASSERT_EQ(Walk(gva), VLM_WALK_OK);
  EXPECT_EQ(walk_.gpa, 0x9456u) << "without CR4.PSE bit 7 is ignored";
}

}  // namespace
}  // namespace fakes
