// SPDX-License-Identifier: GPL-2.0-or-later
#include "random_machine.h"

#include <algorithm>
#include <string>

#include "table_arena.h"

namespace fakes {
namespace {

// All tables are compared with slots and host once in so many operations, and at the end.
constexpr u64 kCheckInterval = 4096;

[[noreturn]] void Broken(const char* rule, const std::string& what) {
  shim_violation(rule, what.c_str());
}

std::string At(u64 gfn) { return " at gfn " + std::to_string(gfn); }

MachineOptions OptionsOf(u64 seed) {
  MachineOptions options;
  options.ept_ad = seed & 1;
  options.five_level = (seed >> 1) % 4 == 3;
  options.pml = (seed & 9) == 9;
  return options;
}

constexpr const char* kNames[kRandomOps] = {
    "guest access",
    "fault alone",
    "host drop",
    "host page size",
    "host write-protect",
    "age",
    "slot create",
    "slot delete",
    "slot move",
    "dirty log start",
    "dirty log stop",
    "harvest",
    "nx recovery",
    "nx toggle",
    "invalidate all",
    "mmio wrap",
    "reclaim",
    "reload root",
    "switch space",
    "replace vcpu",
    "grace period",
};

}  // namespace

const char* RandomOpName(RandomOp op) { return kNames[static_cast<size_t>(op)]; }

u64 RandomCounts::Total() const {
  u64 sum = 0;
  for (u64 n : ops) sum += n;
  return sum;
}

void RandomCounts::Add(const RandomCounts& other) {
  for (size_t i = 0; i < ops.size(); i++) ops[i] += other.ops[i];
  exits += other.exits;
  in_between += other.in_between;
  failed_allocations += other.failed_allocations;

  vlm_stat_block block;
  vlm_mmu_stat_block(nullptr, &block);
  for (u32 i = 0; i < block.nr_descs; i++) {
    const vlm_stat_desc& desc = block.descs[i];
    for (u32 word = desc.word; word < desc.word + u32{desc.nr}; word++)
      stats[word] = desc.kind == VLM_STAT_PEAK ? std::max(stats[word], other.stats[word])
                                               : stats[word] + other.stats[word];
  }
}

// Weights are chances in 1000, about.
const RandomMachine::Kind RandomMachine::kKinds[] = {
    {RandomOp::kAccess, 850, &RandomMachine::Access},
    {RandomOp::kFault, 50, &RandomMachine::Fault},
    {RandomOp::kDrop, 20, &RandomMachine::Drop},
    {RandomOp::kChangeLevel, 8, &RandomMachine::ChangeLevel},
    {RandomOp::kProtect, 8, &RandomMachine::Protect},
    {RandomOp::kAge, 16, &RandomMachine::Age},
    {RandomOp::kSlotCreate, 10, &RandomMachine::ChangeSlot},
    {RandomOp::kHarvest, 16, &RandomMachine::Harvest},
    {RandomOp::kNxRecover, 8, &RandomMachine::NxRecover},
    {RandomOp::kNxToggle, 1, &RandomMachine::NxToggle},
    {RandomOp::kInvalidateAll, 1, &RandomMachine::InvalidateAll},
    {RandomOp::kMmioWrap, 4, &RandomMachine::MmioWrap},
    {RandomOp::kReclaim, 4, &RandomMachine::Reclaim},
    {RandomOp::kReload, 6, &RandomMachine::Reload},
    {RandomOp::kSwitchSpace, 4, &RandomMachine::SwitchSpace},
    {RandomOp::kReplaceVcpu, 4, &RandomMachine::ReplaceVcpu},
    {RandomOp::kGracePeriod, 12, &RandomMachine::GracePeriod},
};

RandomMachine::RandomMachine(u64 seed) : rng_(seed), m(OptionsOf(seed)) {
  for (u8 i = 0; i < std::size(kKinds); i++) lot_.insert(lot_.end(), kKinds[i].weight, i);
  for (size_t i = 0; i < kVcpus; i++) m.AddVcpu();
  for (size_t i = 0; i < kAreas; i++)
    m.host().Map(HvaOf(i), kSlotPages, 1 + static_cast<int>(Below(2)));
  m.has_reclaimer = !OneIn(3);
  if (!OneIn(4)) NxToggle();
  m.break_mode = OneIn(3) ? FakeMachine::Break::kAlways : FakeMachine::Break::kRandom;
  // What other threads do while a zap or a notifier has dropped the lock,
  m.on_resched = [this] { InBetween(); };
  // between the lookup of a host page and its use,
  m.host().after_lookup = [this] {
    if (OneIn(32)) InBetween();
  };
  // and between begin and end of an invalidation.
  m.host().in_invalidation = [this] {
    if (OneIn(4)) InBetween();
  };
}

RandomMachine::~RandomMachine() {
  shim_alloc_fail_after(-1);
  m.on_resched = nullptr;
  m.host().after_lookup = nullptr;
  m.host().in_invalidation = nullptr;
  CheckAll();
}

RandomCounts RandomMachine::counts() const {
  RandomCounts all = counts_;
  vlm_stat_block block;
  vlm_mmu_stat_block(&m.mmu()->stats, &block);
  std::copy_n(block.words, all.stats.size(), all.stats.begin());
  return all;
}

void RandomMachine::Count(RandomOp op) {
  counts_.ops[static_cast<size_t>(op)]++;
  if (depth_) counts_.in_between++;
}

void RandomMachine::RunTo(u64 operations) {
  while (counts_.Total() < operations) {
    Step();
    if (counts_.Total() < next_check_) continue;
    CheckAll();
    next_check_ = counts_.Total() + kCheckInterval;
  }
}

void RandomMachine::Step() {
  failing_ = OneIn(64);
  if (failing_) shim_alloc_fail_after(static_cast<long>(Below(8)));
  (this->*kKinds[lot_[Below(lot_.size())]].run)();
  if (failing_) shim_alloc_fail_after(-1);
  failing_ = false;
}

void RandomMachine::InBetween() {
  if (depth_ > 1) return;
  depth_++;
  for (u64 n = 1 + Below(2); n; n--) {
    switch (Below(16)) {
      case 0:
        Drop();
        break;
      case 1:
        Protect();
        break;
      case 2:
        Age();
        break;
      case 3:
        Reclaim();
        break;
      case 4:
        NxRecover();
        break;
      default:
        Access();
    }
  }
  depth_--;
}

// --- the guest ---

u64 RandomMachine::RandomGfn(size_t vcpu) {
  auto& recent = recent_[vcpu];
  if (OneIn(3)) return recent[Below(recent.size())];
  const size_t slot = Below(kSlots);
  // Mostly where memory is.
  const u64 base = slots_[slot].present && !OneIn(8) ? slots_[slot].gfn : Below(kPlaces) * kStride;
  const u64 gfn = base + (OneIn(4) ? Below(kSlotPages) : Below(40) * 40);
  recent[Below(recent.size())] = gfn;
  return gfn;
}

// At most two operations are further out.
size_t RandomMachine::FreeVcpu() {
  size_t i = Below(kVcpus);
  while (busy_[i]) i = (i + 1) % kVcpus;
  return i;
}

void RandomMachine::Access() {
  constexpr u32 kAccess[] = {VLM_ACCESS_READ, VLM_ACCESS_WRITE, VLM_ACCESS_EXEC};
  const size_t i = FreeVcpu();
  const u64 gfn = RandomGfn(i);
  const u32 access = kAccess[Below(3)];
  FakeVcpu& v = m.vcpu(i);
  const int exits = v.exits();
  // Inside of another operation memory may be gone until that one ends.
  busy_[i] = true;
  const Outcome out = v.Access(Gpa(gfn), access, depth_ ? 3 : 100);
  busy_[i] = false;
  counts_.exits += static_cast<u64>(v.exits() - exits);
  Count(RandomOp::kAccess);
  CheckAccess(i, gfn, access, out);
}

// An exit that was on its way when the world changed, or a prefault: no guest looks at it.
void RandomMachine::Fault() {
  const size_t i = FreeVcpu();
  FakeVcpu& v = m.vcpu(i);
  const u64 gfn = RandomGfn(i);
  const bool write = OneIn(2), exec = !write && OneIn(2);
  Count(RandomOp::kFault);
  busy_[i] = true;
  const vlm_fault_result res = v.Fault(Gpa(gfn), write  ? VLM_ACCESS_WRITE
                                                 : exec ? VLM_ACCESS_EXEC
                                                        : VLM_ACCESS_READ);
  busy_[i] = false;
  if (res == VLM_FAULT_ERROR) {
    if (!failing_) Broken("ERROR", "a fault failed with memory to spare" + At(gfn));
    counts_.failed_allocations++;
  }
  if (res != VLM_FAULT_FIXED && res != VLM_FAULT_SPURIOUS) return;
  const EptResult walk = EptWalk(v.eptp(), Gpa(gfn));
  if (walk.kind != EptKind::kMapped || !walk.r || (exec && !walk.x) || (write && !walk.w))
    Broken("FAULT", "what a fault fixed is not permitted" + At(gfn));
  CheckPage(v.mv()->as_id, gfn, walk.pfn, write);
}

// --- the host ---

void RandomMachine::Drop() {
  u64 at = Below(kSlotPages), n = 1 + Below(OneIn(16) ? kSlotPages : 8);
  // All of what a huge page can take, so that there is one again.
  if (OneIn(4)) at -= at % kMib2, n = kMib2;
  Count(RandomOp::kDrop);
  m.host().Drop(RandomHva() + at, std::min(n, kSlotPages - at));
}

void RandomMachine::ChangeLevel() {
  Count(RandomOp::kChangeLevel);
  m.host().ChangeLevel(RandomHva(), kSlotPages, OneIn(3) ? 1 : 2);
}

void RandomMachine::Protect() {
  const u64 at = Below(kSlotPages);
  Count(RandomOp::kProtect);
  m.host().Protect(RandomHva() + at, std::min<u64>(20, kSlotPages - at));
}

void RandomMachine::Age() {
  const unsigned long start = (RandomHva() + Below(kSlotPages)) << 12;
  const unsigned long end = start + ((1 + Below(OneIn(16) ? 256 : 16)) << 12);
  SlotsReader reader(&m);
  Count(RandomOp::kAge);
  if (OneIn(2)) {
    vlm_notifier_test_young(m.mmu(), start, end);
    return;
  }
  vlm_notifier_clear_young(m.mmu(), start, end);
  if (vlm_notifier_test_young(m.mmu(), start, end))
    Broken("AGE", "young at once after it was made old");
}

// --- the VMM ---

bool RandomMachine::Overlaps(size_t slot, u64 gfn) const {
  for (size_t i = 0; i < kSlots; i++) {
    const SlotModel& s = slots_[i];
    if (i != slot && s.present && AsOf(i) == AsOf(slot) && gfn < s.gfn + kSlotPages &&
        s.gfn < gfn + kSlotPages)
      return true;
  }
  return false;
}

int RandomMachine::Set(size_t slot, u64 gfn, u64 npages, u32 flags, int expected) {
  changing_ = slot;
  const int err = m.SetSlot(IdOf(slot), gfn, npages, HvaOf(slot), flags);
  changing_ = kSlots;
  SlotModel& s = slots_[slot];
  if (err == -ENOMEM && failing_)
    counts_.failed_allocations++;
  else if (err != expected)
    Broken("SLOTS",
           "a slot update answers " + std::to_string(err) + ", not " + std::to_string(expected));
  if (!err) {
    const bool keeps_log = npages && (flags & s.flags & VLM_MEMSLOT_LOG_DIRTY);
    if (!keeps_log) s.written.reset();
    s.present = npages;
    s.gfn = gfn;
    s.flags = flags;
  }
  const vlm_memslot* now = vlm_memslot_by_id(m.mmu(), IdOf(slot));
  if (!now != !s.present || (now && (now->base_gfn != s.gfn || now->flags != s.flags)))
    Broken("SLOTS", "a slot is not what was asked for last");
  return err;
}

void RandomMachine::ChangeSlot() {
  const size_t i = Below(kSlots);
  const SlotModel& s = slots_[i];
  const u64 elsewhere = Below(kPlaces) * kStride + Below(2) * 33;
  const u32 log = OneIn(2) ? VLM_MEMSLOT_LOG_DIRTY : 0;
  m.slot_zap = OneIn(2) ? VLM_SLOT_ZAP_OWN : VLM_SLOT_ZAP_ALL;
  if (!s.present) {
    Count(RandomOp::kSlotCreate);
    Set(i, elsewhere, kSlotPages, log | (OneIn(8) ? VLM_MEMSLOT_READONLY : 0),
        Overlaps(i, elsewhere) ? -EEXIST : 0);
  } else if (OneIn(8)) {
    Count(RandomOp::kSlotDelete);
    Set(i, 0, 0, 0, 0);
  } else if (OneIn(3)) {
    Count(RandomOp::kSlotMove);
    Set(i, elsewhere, kSlotPages, log | (s.flags & VLM_MEMSLOT_READONLY),
        Overlaps(i, elsewhere) ? -EEXIST : 0);
  } else {
    Count(s.flags & VLM_MEMSLOT_LOG_DIRTY ? RandomOp::kLogStop : RandomOp::kLogStart);
    Set(i, s.gfn, kSlotPages, s.flags ^ VLM_MEMSLOT_LOG_DIRTY, 0);
  }
}

void RandomMachine::Harvest() {
  const size_t i = Below(kSlots);
  SlotModel& s = slots_[i];
  if (!(s.flags & VLM_MEMSLOT_LOG_DIRTY) || !s.present) return Access();
  const vlm_memslot* slot = vlm_memslot_by_id(m.mmu(), IdOf(i));
  const u64 first = OneIn(4) ? 0 : Below(kWords);
  const u64 nwords = first ? std::min<u64>(kWords - first, 1 + Below(8)) : kWords;
  std::array<unsigned long, kWords> words;
  std::bitset<kWords * 64> later;

  Count(RandomOp::kHarvest);
  std::swap(later, s.written);
  {
    std::lock_guard guard(m.slots_lock());
    vlm_dirty_log_sync(m.mmu());
    vlm_memslot_harvest(m.mmu(), slot, first, nwords, words.data() + first);
  }
  // Writes that came in between are in s.written now, those from before in `later`.
  for (u64 page = 0; page < kSlotPages; page++) {
    if (!later[page] && !s.written[page]) continue;
    const u64 word = page / 64;
    const bool asked = word >= first && word < first + nwords;
    const bool reported = asked && (words[word] >> page % 64 & 1);
    if (later[page] && asked && !reported)
      Broken("DIRTY", "a write is missing in the log" + At(s.gfn + page));
    if (!reported && !test_bit(static_cast<long>(page), slot->dirty) &&
        !m.IsInHardwareLog(AsOf(i), s.gfn + page))
      Broken("DIRTY", "a write during a harvest is lost" + At(s.gfn + page));
    // Either this harvest reported the page, or the next one will.
    s.written[page] = !reported;
  }
}

void RandomMachine::NxRecover() {
  SlotsReader reader(&m);
  Count(RandomOp::kNxRecover);
  vlm_mmu_recover_nx(m.mmu(), vlm_mmu_nx_quota(m.mmu(), 1 + static_cast<u32>(Below(3))),
                     Below(4) ? VLM_NX_IN_PLACE : VLM_NX_BY_FAULT);
}

void RandomMachine::NxToggle() {
  Count(RandomOp::kNxToggle);
  std::lock_guard guard(m.slots_lock());
  vlm_mmu_set_nx(m.mmu(), m.mmu()->nx ? VLM_NX_OFF : VLM_NX_ON);
}

void RandomMachine::InvalidateAll() {
  Count(RandomOp::kInvalidateAll);
  std::lock_guard guard(m.slots_lock());
  vlm_zap_all_fast(m.mmu());
}

// Forward to just before the 19 bits that an mmio entry carries begin again.
void RandomMachine::MmioWrap() {
  const u64 as_id = Below(VLM_AS_NUM);
  vlm_memslot_space& space = m.mmu()->space[as_id];
  const u64 now = vlm_memslots_get(m.mmu(), static_cast<u32>(as_id))->generation;
  const u64 near = (now | VLM_MMIO_GEN_MASK) + 1 - VLM_AS_NUM * (1 + Below(3)) + as_id;
  Count(RandomOp::kMmioWrap);
  if (near <= now) return;
  for (auto& set : space.sets) set.generation = near;
}

void RandomMachine::Reclaim() {
  Count(RandomOp::kReclaim);
  if (!m.reclaim_wanted) return;
  m.reclaim_wanted = false;
  vlm_mmu_reclaim(m.mmu());
}

void RandomMachine::Reload() {
  FakeVcpu& v = m.vcpu(Below(kVcpus));
  Count(RandomOp::kReload);
  v.Unload();
  if (OneIn(2)) v.Reload();
}

void RandomMachine::SwitchSpace() {
  Count(RandomOp::kSwitchSpace);
  m.vcpu(Below(kVcpus)).SetAddressSpace(OneIn(4));
}

void RandomMachine::ReplaceVcpu() {
  Count(RandomOp::kReplaceVcpu);
  m.ReplaceVcpu(Below(kVcpus));
}

void RandomMachine::GracePeriod() {
  Count(RandomOp::kGracePeriod);
  m.Settle();
}

// --- the judges ---

size_t RandomMachine::SlotAt(u32 as_id, u64 gfn) const {
  for (size_t i = 0; i < kSlots; i++) {
    if (slots_[i].present && AsOf(i) == as_id && gfn - slots_[i].gfn < kSlotPages) return i;
  }
  return kSlots;
}

void RandomMachine::CheckAccess(size_t vcpu, u64 gfn, u32 access, Outcome out) {
  const u32 as_id = m.vcpu(vcpu).mv()->as_id;
  const bool write = access == VLM_ACCESS_WRITE;
  const size_t at = SlotAt(as_id, gfn);

  switch (out) {
    case Outcome::kDone:
      if (at < kSlots && at != changing_ && write && (slots_[at].flags & VLM_MEMSLOT_LOG_DIRTY))
        slots_[at].written.set(gfn - slots_[at].gfn);
      if (!depth_) CheckPage(as_id, gfn, m.vcpu(vcpu).last_pfn(), write);
      break;
    case Outcome::kMmio:
      if (!depth_ && at < kSlots && !(write && (slots_[at].flags & VLM_MEMSLOT_READONLY)))
        Broken("MMIO", "memory is taken for mmio" + At(gfn));
      break;
    case Outcome::kError:
      if (!failing_) Broken("ERROR", "an access failed with memory to spare" + At(gfn));
      counts_.failed_allocations++;
      break;
    case Outcome::kStuck:
      if (!depth_) Broken("PROGRESS", "an access never ends" + At(gfn));
      break;
  }
}

// The guest uses `pfn` as `gfn`: right by the slots and the host as they are?
void RandomMachine::CheckPage(u32 as_id, u64 gfn, u64 pfn, bool write) {
  const size_t at = SlotAt(as_id, gfn);
  if (at == kSlots) Broken("SLOTS", "memory where no slot is" + At(gfn));
  if (write && (slots_[at].flags & VLM_MEMSLOT_READONLY))
    Broken("SLOTS", "a write to a read-only slot" + At(gfn));
  if (m.host().PfnAt((HvaOf(at) + gfn - slots_[at].gfn) << 12) != pfn)
    Broken("G1", "not the frame that the host maps" + At(gfn));
}

void RandomMachine::CheckAll() {
  m.CheckTables();
  m.CheckTlbs();
  // With somebody always waiting, the longest hold has a bound.
  if (m.break_mode.load() == FakeMachine::Break::kAlways &&
      m.Stat(VLM_STAT_MAX_HOLD) > VLM_YIELD_BUDGET + 2 * VLM_STEP_MAX)
    Broken("G7", "the lock was held for " + std::to_string(m.Stat(VLM_STAT_MAX_HOLD)) + " entries");
}

}  // namespace fakes
