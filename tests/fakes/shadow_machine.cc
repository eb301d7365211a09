// SPDX-License-Identifier: GPL-2.0-or-later
#include "shadow_machine.h"

#include <algorithm>
#include <cstring>

#include "table_arena.h"

namespace fakes {
namespace {

// Bits, from the SDM, spelled anew so that a slip in the module's macros cannot hide.
constexpr u64 kP = 1, kW = 2, kU = 4, kA = 0x20, kD = 0x40, kPs = 0x80, kNx = u64{1} << 63;
constexpr u64 kSoftPresent = u64{1} << 11;
constexpr u64 kAddress = 0x000f'ffff'ffff'f000;
constexpr u64 kCr0Pg = u64{1} << 31, kCr0Wp = u64{1} << 16;
constexpr u64 kCr4Pse = 1 << 4, kCr4Pae = 1 << 5, kCr4La57 = 1 << 12;
constexpr u64 kCr4Smep = 1 << 20, kCr4Smap = 1 << 21;
constexpr u64 kEferLma = 1 << 10, kEferNxe = 1 << 11;
constexpr u64 kFlagsAc = 1 << 18;

[[noreturn]] void Violation(const char* rule, const std::string& detail) {
  shim_violation(rule, detail.c_str());
}

}  // namespace

vlm_guest_paging LongMode(u64 cr3) {
  vlm_guest_paging p{};
  p.cr0 = kCr0Pg | kCr0Wp | 1;
  p.cr3 = cr3;
  p.cr4 = kCr4Pae;
  p.efer = kEferLma | kEferNxe;
  p.maxphyaddr = 40;
  p.gbpages = true;
  return p;
}

vlm_guest_paging PaeMode(const u64 (&pdptrs)[4]) {
  vlm_guest_paging p = LongMode(0);
  p.efer = kEferNxe;
  for (int i = 0; i < 4; i++) p.pdptrs[i] = pdptrs[i];
  return p;
}

vlm_guest_paging LegacyMode(u64 cr3) {
  vlm_guest_paging p = LongMode(cr3);
  p.efer = 0;
  p.cr4 = kCr4Pse;
  return p;
}

vlm_guest_paging NoPaging() {
  vlm_guest_paging p = LongMode(0);
  p.cr0 = 1;
  p.cr4 = 0;
  p.efer = 0;
  return p;
}

// --- vCPU ---

ShadowVcpu::ShadowVcpu(ShadowMachine* machine) : machine_(machine) {
  vlm_shadow_vcpu_init(&sv_, machine->sh());
}

ShadowVcpu::~ShadowVcpu() {
  tlb_.clear();
  vlm_shadow_vcpu_destroy(&sv_);
}

// As the CPU does: 4-level tables, or PAE tables below four PDPTEs. Sets A and D.
ShadowVcpu::HardwareWalk ShadowVcpu::WalkShadow(u64 gva) const {
  TableArena& arena = TableArena::Get();
  const bool pae = sv_.nr_roots == 4;
  const vlm_shadow_page* root = sv_.roots[pae ? (gva >> 30) & 3 : 0];
  HardwareWalk walk;
  if (!root) return walk;
  u64 pa = vlm_shadow_root_pa(&sv_, pae ? (gva >> 30) & 3 : 0);
  TlbEntry e{0, true, true, true, {}};
  for (int level = static_cast<int>(root->role.level);; level--) {
    u64* table = arena.VaOf(pa);
    if (!arena.InfoOf(table).live) Violation("G2", "a vCPU walks a table that was freed");
    e.tables.push_back(pa);
    u64 entry = __atomic_load_n(table + ((gva >> (12 + 9 * (level - 1))) & 511), __ATOMIC_ACQUIRE);
    if (!(entry & kP)) return walk;
    // SDM "PAE Paging": nothing above the address is ignored.
    if (pae && (entry & (u64{0x7ff} << 52)))
      Violation("RSVD", "a bit is set that PAE paging reserves");
    e.w &= !!(entry & kW);
    e.u &= !!(entry & kU);
    e.x &= !(entry & kNx);
    pa = entry & kAddress;
    if (level > 1 && !(entry & kPs)) continue;
    e.pfn = (pa >> 12) + ((gva >> 12) & ((u64{1} << (9 * (level - 1))) - 1));
    walk.mapped = true;
    walk.e = std::move(e);
    return walk;
  }
}

// CR0.WP of the hardware is 1; SMEP and SMAP are the guest's.
bool ShadowVcpu::Permits(const TlbEntry& e, u32 access) const {
  const bool user = access & VLM_ACCESS_USER;
  if ((access & VLM_ACCESS_EXEC) && !e.x) return false;
  if ((access & VLM_ACCESS_WRITE) && !e.w) return false;
  if (user) return e.u;
  if (!e.u) return true;
  if (access & VLM_ACCESS_EXEC) return !(sv_.paging.cr4 & kCr4Smep);
  return !(sv_.paging.cr4 & kCr4Smap) || (sv_.paging.rflags & kFlagsAc);
}

void ShadowVcpu::Note(u64 gva) {
  const GuestView v = machine_->View(sv_.paging, gva, VLM_ACCESS_READ | VLM_ACCESS_PEEK);
  auto& set = allowed_[gva >> 12];
  if (v.mapped) set.insert({v.gpa >> 12, v.w, v.u, v.x, v.dirty});
}

void ShadowVcpu::Forget() {
  for (auto& [page, set] : allowed_) {
    set.clear();
    Note(page << 12);
  }
}

// Some state of the tables since the last flush explains this hit.
bool ShadowVcpu::WasAllowed(u64 gva, u32 access, u64 pfn, u64* gfn) {
  for (const Allowed& a : allowed_[gva >> 12]) {
    if (machine_->PfnOf(a.gfn) != pfn) continue;
    *gfn = a.gfn;
    const bool wp = sv_.paging.cr0 & kCr0Wp;
    const bool user = access & VLM_ACCESS_USER;
    if ((access & VLM_ACCESS_WRITE) && (!a.dirty || (!a.w && (user || wp)))) continue;
    if ((access & VLM_ACCESS_EXEC) && !a.x) continue;
    if (user && !a.u) continue;
    if (!user && a.u) {
      if ((access & VLM_ACCESS_EXEC) && (sv_.paging.cr4 & kCr4Smep)) continue;
      if (!(access & VLM_ACCESS_EXEC) && (sv_.paging.cr4 & kCr4Smap) &&
          !(sv_.paging.rflags & kFlagsAc))
        continue;
    }
    return true;
  }
  return false;
}

std::string ShadowVcpu::Explain(u64 gva, u32 access, const TlbEntry& e) {
  char text[256];
  snprintf(
      text, sizeof(text),
      "an access hits that the guest's tables never allowed since the flush: gva 0x%llx access "
      "%u, TLB pfn 0x%llx w %d u %d x %d",
      gva, access, e.pfn, e.w, e.u, e.x);
  std::string out = text;
  for (const Allowed& a : allowed_[gva >> 12]) {
    snprintf(text, sizeof(text), "\n  allowed: gfn 0x%llx pfn 0x%llx w %d u %d x %d d %d", a.gfn,
             machine_->PfnOf(a.gfn), a.w, a.u, a.x, a.dirty);
    out += text;
  }
  const GuestView now = machine_->View(sv_.paging, gva, VLM_ACCESS_READ | VLM_ACCESS_PEEK);
  snprintf(text, sizeof(text), "\n  now: mapped %d pfec %u gpa 0x%llx w %d u %d x %d d %d",
           now.mapped, now.pfec, now.gpa, now.w, now.u, now.x, now.dirty);
  return out + text;
}

int ShadowVcpu::Load(const vlm_guest_paging& paging) {
  reload_ = false;
  reloading_ = true;
  int err = 0;
  {
    SlotsReader reader(&machine_->m());
    err = vlm_shadow_load(&sv_, &paging);
  }
  reloading_ = false;
  tlb_.clear();
  sv_.paging = paging;
  Forget();
  if (err) {
    reload_ = true;
    return err;
  }
  TableArena& arena = TableArena::Get();
  for (unsigned i = 0; i < sv_.nr_roots; i++)
    if (u64 pa = vlm_shadow_root_pa(&sv_, i)) arena.InfoOf(arena.VaOf(pa)).seen = true;
  return 0;
}

void ShadowVcpu::FlushAll() {
  if (reload_) return;
  {
    SlotsReader reader(&machine_->m());
    vlm_shadow_sync(&sv_);
  }
  tlb_.clear();
  Forget();
}

void ShadowVcpu::Invlpg(u64 gva) {
  if (reload_) return;
  {
    SlotsReader reader(&machine_->m());
    vlm_shadow_invlpg(&sv_, gva);
  }
  tlb_.erase(gva >> 12);
  allowed_[gva >> 12].clear();
  Note(gva);
}

ShadowVcpu::Result ShadowVcpu::Access(u64 gva, u32 access, u64 value, unsigned int bytes) {
  for (int tries = 0; tries < 200; tries++) {
    if (reload_) {
      const vlm_guest_paging paging = sv_.paging;
      if (int err = Load(paging); err == -EAGAIN)
        continue;
      else if (err)
        return {Kind::kError, static_cast<u32>(-err)};
      continue;
    }
    Note(gva);
    auto it = tlb_.find(gva >> 12);
    // A CPU walks again before it faults.
    if (it == tlb_.end() || !Permits(it->second, access)) {
      HardwareWalk walk = WalkShadow(gva);
      if (walk.mapped && Permits(walk.e, access))
        it = tlb_.insert_or_assign(gva >> 12, std::move(walk.e)).first;
      else
        it = tlb_.end();
    }
    if (it != tlb_.end()) {
      if (machine_->m().host().IsFree(it->second.pfn))
        Violation("G1", "a vCPU uses a frame that the host took back");
      u64 gfn = 0;
      if (!WasAllowed(gva, access, it->second.pfn, &gfn))
        Violation("STALE", Explain(gva, access, it->second));
      if ((access & VLM_ACCESS_WRITE) && bytes) {
        machine_->CheckWritable(gfn, "a direct write");
        memcpy(machine_->m().host().DataOf(it->second.pfn) + (gva & 4095), &value, bytes);
        machine_->MemoryChanged();
      }
      return {Kind::kHit, 0, gfn};
    }

    exits_++;
    struct vlm_guest_walk out {};
    vlm_shadow_result res;
    {
      SlotsReader reader(&machine_->m());
      res = vlm_shadow_fault(&sv_, gva, access, &out);
    }
    // The walk set flags in the guest's tables.
    machine_->MemoryChanged();
    switch (res) {
      case VLM_SHADOW_INJECT: {
        const GuestView now = machine_->View(sv_.paging, gva, access);
        if (now.mapped || now.pfec != out.pfec)
          Violation("INJECT", "a fault that the guest's tables do not give: pfec " +
                                  std::to_string(out.pfec) + " not " + std::to_string(now.pfec));
        return {Kind::kFault, out.pfec};
      }
      case VLM_SHADOW_EMULATE: {
        const GuestView now = machine_->View(sv_.paging, gva, access);
        if (!now.mapped || now.gpa != out.gpa)
          Violation("EMULATE", "an access that the guest's tables forbid is emulated");
        if (!machine_->PfnOf(out.gpa >> 12)) return {Kind::kEmulated, 0, out.gpa >> 12};
        if ((access & VLM_ACCESS_WRITE) && bytes) {
          machine_->Poke(out.gpa, value, bytes);
          SlotsReader reader(&machine_->m());
          vlm_shadow_written(machine_->sh(), out.gpa, bytes);
        }
        return {Kind::kEmulated, 0, out.gpa >> 12};
      }
      case VLM_SHADOW_ERROR:
        return {Kind::kError, static_cast<u32>(-sv_.fault_errno)};
      default:
        break;
    }
  }
  return {Kind::kStuck};
}

// --- machine ---

ShadowMachine::ShadowMachine(const ShadowOptions& options) {
  MachineOptions mo;
  mo.ept_2m = mo.ept_1g = options.huge;
  m_ = std::make_unique<FakeMachine>(mo);
  if (vlm_shadow_init(&sh_, m_->mmu(), options.max_pages)) shim_violation("SETUP", "shadow init");
  m_->on_flush = [this] {
    for (auto& v : vcpus_) v->tlb_.clear();
  };
  m_->on_reload = [this] {
    for (auto& v : vcpus_) v->reload_ = true;
  };
  m_->on_unlock = [this] { CheckTlbs(); };
  m_->holds_table = [this](u64 pa) {
    for (auto& v : vcpus_) {
      if (v->reload_ || v->reloading_) continue;
      for (unsigned i = 0; i < v->sv_.nr_roots; i++)
        if (vlm_shadow_root_pa(&v->sv_, i) == pa) return true;
      for (auto& [page, e] : v->tlb_)
        if (std::find(e.tables.begin(), e.tables.end(), pa) != e.tables.end()) return true;
    }
    return false;
  };
}

ShadowMachine::~ShadowMachine() {
  // One that goes still takes the lock, and is no longer looked at then.
  while (!vcpus_.empty()) {
    const auto last = std::move(vcpus_.back());
    vcpus_.pop_back();
  }
  vlm_mmu_zap_all(mmu());
  vlm_shadow_destroy(&sh_);
  m_->Settle();
}

ShadowVcpu& ShadowMachine::AddVcpu() {
  vcpus_.push_back(std::make_unique<ShadowVcpu>(this));
  return *vcpus_.back();
}

u64 ShadowMachine::PfnOf(u64 gfn) {
  const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(mmu(), 0), gfn);
  return slot ? m_->host().PfnAt(vlm_memslot_hva_of(slot, gfn)) : 0;
}

// Faults the page in; nullptr outside of memory.
u8* ShadowMachine::DataOf(u64 gpa) {
  const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(mmu(), 0), gpa >> 12);
  if (!slot) return nullptr;
  vlm_host_page page{};
  if (m_->host().Get(vlm_memslot_hva_of(slot, gpa >> 12), true, &page)) return nullptr;
  u8* data = m_->host().DataOf(page.pfn) + (gpa & 4095);
  m_->host().Put(&page, true);
  return data;
}

void ShadowMachine::Poke(u64 gpa, u64 value, size_t bytes) {
  memcpy(DataOf(gpa), &value, bytes);
  MemoryChanged();
}

u64 ShadowMachine::Peek(u64 gpa, size_t bytes) {
  u64 value = 0;
  if (const u8* data = DataOf(gpa)) memcpy(&value, data, bytes);
  return value;
}

void ShadowMachine::MemoryChanged() {
  for (auto& v : vcpus_)
    for (auto& [page, set] : v->allowed_) v->Note(page << 12);
}

// SDM volume 3, "Paging": 32-bit, PAE, 4-level. Written table by table, not by format.
GuestView ShadowMachine::View(const vlm_guest_paging& p, u64 gva, u32 access) {
  GuestView v;
  const bool write = access & VLM_ACCESS_WRITE, fetch = access & VLM_ACCESS_EXEC;
  const bool user = access & VLM_ACCESS_USER;
  const bool pae = p.cr4 & kCr4Pae, lma = p.efer & kEferLma;
  const bool nxe = (p.efer & kEferNxe) && pae;
  v.pfec = (write ? 2u : 0u) | (user ? 4u : 0u) | (fetch && (nxe || (p.cr4 & kCr4Smep)) ? 16u : 0u);
  if (!(p.cr0 & kCr0Pg)) {
    v.mapped = v.w = v.u = v.x = v.dirty = true;
    v.gpa = gva;
    v.pfec = 0;
    return v;
  }

  bool w = true, u = true, x = true;
  int level = lma ? (p.cr4 & kCr4La57 ? 5 : 4) : 2;
  u64 table = p.cr3 & (lma ? kAddress : 0xffff'f000);
  if (!lma && pae) {
    const u64 pdpte = p.pdptrs[(gva >> 30) & 3];
    if (!(pdpte & kP)) return v;
    table = pdpte & kAddress;
  }
  for (;; level--) {
    const int shift = pae ? 12 + 9 * (level - 1) : 12 + 10 * (level - 1);
    const u64 index = (gva >> shift) & (pae ? 511 : 1023);
    const size_t bytes = pae ? 8 : 4;
    if (!PfnOf(table >> 12) && !DataOf(table)) return v;
    const u64 e = Peek(table + index * bytes, bytes);
    if (!(e & kP)) return v;
    const bool large =
        level > 1 && (e & kPs) && (pae ? level <= 3 : level == 2 && (p.cr4 & kCr4Pse));
    u64 reserved = 0;
    if (pae) {
      reserved = kAddress & ~((u64{1} << p.maxphyaddr) - 1);
      if (!nxe) reserved |= kNx;
      if (!lma) reserved |= u64{0x7ff} << 52;
      if (level >= 4 && (e & kPs)) reserved |= kPs;
      if (level == 3 && (e & kPs) && !p.gbpages) reserved |= kPs;
      if (large) reserved |= ((u64{1} << shift) - 1) & ~u64{0x1fff};
    } else if (large) {
      reserved = u64{1} << 21;
      for (int bit = p.maxphyaddr; bit < 40; bit++) reserved |= u64{1} << (bit - 32 + 13);
    }
    if (e & reserved) {
      v.pfec |= 1 | 8;
      return v;
    }
    w &= !!(e & kW);
    u &= !!(e & kU);
    x &= !(nxe && (e & kNx));
    table = e & (pae ? kAddress : 0xffff'f000);
    if (level > 1 && !large) continue;
    const u64 offset = gva & ((u64{1} << shift) - 1);
    if (large && !pae)
      v.gpa = ((e & 0xffc0'0000) | ((e >> 13) & 0xff) << 32) | offset;
    else
      v.gpa = (table & ~((u64{1} << shift) - 1)) | offset;
    v.dirty = e & kD;
    // A clear accessed flag, here or above, is set by the walk that the CPU makes anyway.
    break;
  }
  v.w = w, v.u = u, v.x = x;

  bool ok = !(fetch && !x);
  if (user) {
    ok &= u && (!write || w);
  } else if (u) {
    if (fetch) ok &= !(p.cr4 & kCr4Smep);
    if (!fetch && (p.cr4 & kCr4Smap) && !(p.rflags & kFlagsAc) && !(access & VLM_ACCESS_PEEK))
      ok = false;
  }
  if (!user && write && !w && (p.cr0 & kCr0Wp)) ok = false;
  v.mapped = ok;
  v.pfec = ok ? 0 : v.pfec | 1;
  return v;
}

void ShadowMachine::CheckWritable(u64 gfn, const std::string& who) {
  vlm_shadow_page* sp;
  list_for_each_entry(sp, &sh_.active, page.link) {
    if (sp->role.direct || sp->page.gfn != gfn || vlm_shadow_is_obsolete(&sh_, sp)) continue;
    if (sp->role.level > 1 || !sp->unsync)
      Violation("G4", who + " reaches a frame that is shadowed, gfn " + std::to_string(gfn));
  }
}

void ShadowMachine::CheckTlbs() {
  for (auto& v : vcpus_) {
    if (v->reload_ || v->reloading_) continue;
    for (auto& [page, e] : v->tlb_) {
      const auto walk = v->WalkShadow(page << 12);
      if (!walk.mapped || walk.e.pfn != e.pfn || (e.w && !walk.e.w) || (e.u && !walk.e.u) ||
          (e.x && !walk.e.x))
        Violation("G6",
                  "lock dropped with a stale translation in a TLB, page " + std::to_string(page));
    }
  }
}

void ShadowMachine::CheckPage(vlm_shadow_page* sp) {
  const bool live = !vlm_shadow_is_obsolete(&sh_, sp);
  const int level = static_cast<int>(sp->role.level);
  u32 bits = 0;
  for (unsigned i = 0; i < 512; i++) {
    const u64 e = sp->page.table[i];
    const bool bit = test_bit(i, sp->unsync_bits);
    bits += bit;
    if (!(e & kSoftPresent)) continue;
    const std::string where = " at gfn " + std::to_string(sp->page.gfn) + " level " +
                              std::to_string(level) + " index " + std::to_string(i);
    u64* sptep = sp->page.table + i;
    vlm_ptr_iter iter;
    u64* p;
    int found = 0;
    if (level > 1 && !(e & kPs)) {
      vlm_shadow_page* child = vlm_shadow_child(sp, i);
      vlm_for_each_ptr(p, &child->parents, iter) found += p == sptep;
      if (found != 1) Violation("PARENT", "a table does not know its parent once" + where);
      if ((child->unsync || child->unsync_children) && !bit)
        Violation("U2", "an unsync table is lost" + where);
      if (live && vlm_shadow_is_obsolete(&sh_, child))
        Violation("GEN", "a live table leads to an obsolete one" + where);
      continue;
    }
    const u64 gfn = vlm_shadow_entry_gfn(sp, i);
    const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(mmu(), sp->role.as_id), gfn);
    if (!slot) Violation("RMAP", "a leaf outside of all slots" + where);
    vlm_for_each_ptr(p, vlm_slot_leaves(slot, gfn, level), iter) found += p == sptep;
    if (found != 1) Violation("RMAP", "a leaf is not in the reverse map once" + where);
    for (u64 n = 0; n < u64{1} << (9 * (level - 1)); n++) {
      if (PfnOf(gfn + n) != ((e & kAddress) >> 12) + n)
        Violation("G1", "a leaf maps a frame that the host does not" + where);
      if (live && (e & kW)) CheckWritable(gfn + n, "a writable leaf" + where);
    }
  }
  if (bits != sp->unsync_children) Violation("U1", "the counter of unsync children is off");
  if (sp->unsync && (sp->role.direct || level > 1))
    Violation("U5", "an unsync table above level 1");
}

void ShadowMachine::Check() {
  u64 pages = 0, indirect = 0;
  vlm_shadow_page* sp;
  list_for_each_entry(sp, &sh_.active, page.link) {
    if (sp->page.invalid) Violation("LIST", "an invalid page is on the active list");
    pages++;
    indirect += !sp->role.direct;
    CheckPage(sp);
  }
  if (pages != sh_.nr_pages) Violation("COUNT", "nr_pages is off");
  if (indirect != sh_.nr_indirect) Violation("COUNT", "nr_indirect is off");
  // Each pointer in the reverse map is that of a leaf: as many pointers as leaves.
  u64 pointers[4] = {}, tables[4] = {};
  const vlm_memslots* slots = vlm_memslots_get(mmu(), 0);
  for (vlm_memslot* slot = vlm_memslot_first(slots); slot; slot = vlm_memslot_next(slots, slot)) {
    for (int level = 1; level <= 3; level++) {
      const u64 step = u64{1} << (9 * (level - 1));
      for (u64 gfn = slot->base_gfn / step * step; gfn < slot->base_gfn + slot->npages;
           gfn += step) {
        pointers[level] += vlm_ptr_chain_count(vlm_slot_leaves(slot, gfn, level));
        if (level > 1) tables[level] += *vlm_slot_tables(slot, gfn, level);
      }
    }
  }
  if (pointers[1] != m_->Stat(VLM_STAT_PAGES_4K) || pointers[2] != m_->Stat(VLM_STAT_PAGES_2M))
    Violation("RMAP", "the reverse map holds other pointers than those of leaves");
  if (tables[2] > indirect) Violation("COUNT", "tables inside huge pages are off");
}

}  // namespace fakes
