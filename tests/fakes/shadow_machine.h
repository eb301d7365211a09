// SPDX-License-Identifier: GPL-2.0-or-later
// Guests without EPT: memory, page tables, vCPUs whose TLBs keep what nobody flushed, and a judge
// that walks the guest's tables by the SDM alone.
//
// What must hold for every access, whatever the shadow MMU did:
//   - a hit agrees with what the guest's tables said now, or at some time since this vCPU last
//     flushed the address;
//   - a fault that reaches the guest agrees with what the tables say now;
//   - G4: the guest never writes unseen to a frame that a table shadows, unless all such tables
//     are unsync tables of level 1.
#ifndef TESTS_FAKES_SHADOW_MACHINE_H_
#define TESTS_FAKES_SHADOW_MACHINE_H_

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "fake_machine.h"
#include "kmod_mmu.h"

namespace fakes {

// What the guest's tables say about an address.
struct GuestView {
  bool mapped = false;
  u32 pfec = 0;  // when not mapped for the access
  u64 gpa = 0;
  bool w = false, u = false, x = false, dirty = false;
};

class ShadowMachine;

class ShadowVcpu {
 public:
  enum class Kind { kHit, kFault, kEmulated, kError, kStuck };
  struct Result {
    Kind kind;
    u32 pfec = 0;
    u64 gfn = ~u64{0};  // of the frame reached
  };

  explicit ShadowVcpu(ShadowMachine* machine);
  ~ShadowVcpu();

  // One access by the guest. A write stores `value` of `bytes` there.
  Result Access(u64 gva, u32 access, u64 value = 0, unsigned int bytes = 0);
  // MOV CR3 and all else that flushes everything: `paging` is what the registers say now.
  int Load(const vlm_guest_paging& paging);
  // A flush of everything by the same roots: INVPCID, CR4.PGE.
  void FlushAll();
  void Invlpg(u64 gva);
  // Judge hits at `gva` by all that its tables said from now on, not only since its first use.
  void Follow(u64 gva) { Note(gva); }

  vlm_shadow_vcpu* sv() { return &sv_; }
  const vlm_guest_paging& paging() const { return sv_.paging; }
  vlm_guest_paging* registers() { return &sv_.paging; }
  size_t tlb_entries() const { return tlb_.size(); }
  int exits() const { return exits_; }
  bool reload_pending() const { return reload_; }

 private:
  friend class ShadowMachine;
  struct TlbEntry {
    u64 pfn;
    bool w, u, x;
    std::vector<u64> tables;
  };
  struct HardwareWalk {
    bool mapped = false;
    TlbEntry e{};
  };
  // What the tables allowed once, by page.
  struct Allowed {
    u64 gfn;
    bool w, u, x, dirty;
    auto operator<=>(const Allowed&) const = default;
  };

  HardwareWalk WalkShadow(u64 gva) const;
  bool Permits(const TlbEntry& e, u32 access) const;
  void Note(u64 gva);
  void Forget();
  std::string Explain(u64 gva, u32 access, const TlbEntry& e);
  bool WasAllowed(u64 gva, u32 access, u64 pfn, u64* gfn);

  ShadowMachine* machine_;
  vlm_shadow_vcpu sv_{};
  std::map<u64, TlbEntry> tlb_;
  std::map<u64, std::set<Allowed>> allowed_;
  bool reload_ = true;
  bool reloading_ = false;
  int exits_ = 0;
};

struct ShadowOptions {
  u64 max_pages = 1000;
  bool huge = true;
};

class ShadowMachine {
 public:
  explicit ShadowMachine(const ShadowOptions& options = {});
  ~ShadowMachine();

  FakeMachine& m() { return *m_; }
  vlm_mmu* mmu() { return m_->mmu(); }
  vlm_shadow* sh() { return &sh_; }
  ShadowVcpu& AddVcpu();
  ShadowVcpu& vcpu(size_t i) { return *vcpus_[i]; }

  // Memory of the guest as it is, past all MMUs.
  void Poke(u64 gpa, u64 value, size_t bytes = 8);
  u64 Peek(u64 gpa, size_t bytes = 8);
  u64 PfnOf(u64 gfn);

  // What the tables say, by the SDM. Sets no flags.
  GuestView View(const vlm_guest_paging& paging, u64 gva, u32 access);

  // Something changed in memory: all addresses that the judges follow are looked at again.
  void MemoryChanged();
  // Books, reverse map, parents, unsync marks, G4.
  void Check();
  void CheckTlbs();

 private:
  friend class ShadowVcpu;
  u8* DataOf(u64 gpa);
  void CheckPage(vlm_shadow_page* sp);
  void CheckWritable(u64 gfn, const std::string& who);

  std::unique_ptr<FakeMachine> m_;
  vlm_shadow sh_{};
  std::vector<std::unique_ptr<ShadowVcpu>> vcpus_;
};

// Registers of a guest in one of the paging modes, at CPL 0 with WP and NX.
vlm_guest_paging LongMode(u64 cr3);
vlm_guest_paging PaeMode(const u64 (&pdptrs)[4]);
vlm_guest_paging LegacyMode(u64 cr3);
vlm_guest_paging NoPaging();

}  // namespace fakes

#endif  // TESTS_FAKES_SHADOW_MACHINE_H_
