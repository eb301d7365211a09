// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_host.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "fake_machine.h"
#include "kmod_mmu.h"

namespace fakes {

FakeHost::~FakeHost() {
  for (auto& chunk : chunks_) delete[] chunk.load();
}

FakeHost::Frame& FakeHost::FrameOf(u64 pfn) const {
  return chunks_[(pfn - kFirstPfn) / kChunkFrames].load()[(pfn - kFirstPfn) % kChunkFrames];
}

void FakeHost::Map(u64 hva_page, u64 npages, int level, bool writable) {
  std::lock_guard guard(lock_);
  areas_[hva_page] = {npages, level, writable, false};
}

void FakeHost::MapDevice(u64 hva_page, u64 npages) {
  std::lock_guard guard(lock_);
  areas_[hva_page] = {npages, 1, true, true};
}

void FakeHost::Poison(u64 hva_page, int error) {
  std::lock_guard guard(lock_);
  poisoned_[hva_page] = error;
}

std::map<u64, FakeHost::Area>::iterator FakeHost::FindArea(u64 page) {
  auto it = areas_.upper_bound(page);
  if (it == areas_.begin()) return areas_.end();
  --it;
  return page - it->first < it->second.npages ? it : areas_.end();
}

FakeHost::Page& FakeHost::PageSlot(u64 page) {
  auto& block = blocks_[page / kBlockPages];
  if (!block) block = std::make_unique<Block>();
  return (*block)[page % kBlockPages];
}

FakeHost::Page* FakeHost::FindPage(u64 page) {
  auto it = blocks_.find(page / kBlockPages);
  if (it == blocks_.end()) return nullptr;
  Page& found = (*it->second)[page % kBlockPages];
  return found.pfn ? &found : nullptr;
}

template <typename Visit>
void FakeHost::ForEachPage(u64 first, u64 last, const Visit& visit) {
  for (u64 page = first; page < last;) {
    const u64 end = std::min(last, (page / kBlockPages + 1) * kBlockPages);
    auto it = blocks_.find(page / kBlockPages);
    if (it == blocks_.end()) {
      page = end;
      continue;
    }
    for (; page < end; page++) {
      Page& found = (*it->second)[page % kBlockPages];
      if (found.pfn) visit(page, found);
    }
  }
}

void FakeHost::MakeChunk(u64 pfn) {
  auto& chunk = chunks_[(pfn - kFirstPfn) / kChunkFrames];
  if (!chunk.load()) chunk = new Frame[kChunkFrames]();
}

u64 FakeHost::NewFrames(u64 count) {
  next_pfn_ = (next_pfn_ + count - 1) / count * count;
  const u64 first = next_pfn_;
  next_pfn_ += count;
  if (next_pfn_ - kFirstPfn > kChunks * kChunkFrames)
    shim_violation("HOST", "the test uses too many frames");
  for (u64 pfn = first; pfn < next_pfn_; pfn += kChunkFrames) MakeChunk(pfn);
  MakeChunk(next_pfn_ - 1);
  for (u64 pfn = first; pfn < next_pfn_; pfn++) FrameOf(pfn) = kInUse;
  return first;
}

// As large as the area's level allows: aligned, inside, and nothing there yet.
void FakeHost::FaultIn(u64 page, const Area& area, u64 area_start) {
  for (int level = area.level; level >= 1; level--) {
    const u64 count = u64{1} << (9 * (level - 1));
    const u64 base = page / count * count;
    if (base < area_start || base + count > area_start + area.npages) continue;
    bool taken = false;
    ForEachPage(base, base + count, [&](u64, Page&) { taken = true; });
    if (taken) continue;
    const u64 pfn = NewFrames(count);
    for (u64 i = 0; i < count; i++) PageSlot(base + i) = {pfn + i, area.writable, level};
    return;
  }
}

int FakeHost::Get(u64 hva, bool write, vlm_host_page* out) {
  const u64 page = hva >> 12;
  for (;;) {
    std::unique_lock guard(lock_);
    if (auto bad = poisoned_.find(page); bad != poisoned_.end()) return bad->second;
    auto area = FindArea(page);
    if (area == areas_.end() || (write && !area->second.writable)) return -EFAULT;
    Page* found = FindPage(page);
    if (!found) {
      FaultIn(page, area->second, area->first);
      found = FindPage(page);
    }
    if (write && !found->writable) {
      guard.unlock();
      CopyOnWrite(page);
      continue;
    }
    out->pfn = found->pfn;
    out->writable = found->writable;
    out->device = area->second.device;
    out->ref = nullptr;
    if (!out->device) {
      out->ref = this;
      references_++;
    }
    break;
  }
  if (after_lookup) after_lookup();
  return 0;
}

void FakeHost::Put(vlm_host_page* host, bool dirty) {
  if (!host->ref) return;
  FrameOf(host->pfn).fetch_or(static_cast<uint8_t>(kAccessed | (dirty ? kDirty : 0)));
  references_--;
}

int FakeHost::LevelOf(u64 hva) {
  std::lock_guard guard(lock_);
  const Page* found = FindPage(hva >> 12);
  return found ? found->level : 1;
}

u64 FakeHost::PfnAt(u64 hva) {
  std::lock_guard guard(lock_);
  const Page* found = FindPage(hva >> 12);
  return found ? found->pfn : 0;
}

// The kernel splits a huge page before it changes a part, and tells about all of it.
std::pair<u64, u64> FakeHost::WithWholeHugePages(u64 first, u64 last) {
  auto widen = [&](u64 page) {
    const Page* found = FindPage(page);
    if (!found) return;
    const u64 count = u64{1} << (9 * (found->level - 1));
    first = std::min(first, page / count * count);
    last = std::max(last, page / count * count + count);
  };
  const u64 end = last - 1;
  widen(first);
  widen(end);
  return {first, last};
}

// A huge page that loses a part is small from then on.
void FakeHost::Forget(u64 first, u64 last) {
  SplitAround(first, last);
  ForEachPage(first, last, [&](u64, Page& page) {
    FrameOf(page.pfn) = kFreed;
    page.pfn = 0;
  });
}

void FakeHost::SplitAround(u64 first, u64 last) {
  const std::pair<u64, u64> whole = WithWholeHugePages(first, last);
  ForEachPage(whole.first, whole.second, [](u64, Page& page) { page.level = 1; });
}

void FakeHost::Notify(u64 hva_page, u64 npages, const std::function<void()>& change) {
  FakeMachine* machine = FakeMachine::Of(mmu_);
  std::pair<u64, u64> told{hva_page, hva_page + npages};
  for (bool done = false; !done;) {
    {
      std::lock_guard guard(lock_);
      told = WithWholeHugePages(told.first, told.second);
    }
    const unsigned long start = told.first << 12, end = told.second << 12;
    {
      SlotsReader reader(machine);
      vlm_notifier_begin(mmu_, start, end, VLM_NOTIFIER_MAY_BLOCK);
    }
    if (in_invalidation) in_invalidation();
    {
      // A huge page that was faulted in meanwhile and reaches out of the range must be told
      // about as a whole, as the kernel does before it splits one.
      std::lock_guard guard(lock_);
      done = WithWholeHugePages(told.first, told.second) == told;
      if (done) change();
      if (done && after_change) after_change();
    }
    SlotsReader reader(machine);
    vlm_notifier_end(mmu_, start, end);
  }
}

void FakeHost::Drop(u64 hva_page, u64 npages) {
  Notify(hva_page, npages, [&] { Forget(hva_page, hva_page + npages); });
}

void FakeHost::Unmap(u64 hva_page, u64 npages) {
  Notify(hva_page, npages, [&] {
    Forget(hva_page, hva_page + npages);
    areas_.erase(hva_page);
  });
}

void FakeHost::ChangeLevel(u64 hva_page, u64 npages, int level) {
  Notify(hva_page, npages, [&] {
    Forget(hva_page, hva_page + npages);
    auto area = FindArea(hva_page);
    if (area != areas_.end()) area->second.level = level;
  });
}

void FakeHost::Protect(u64 hva_page, u64 npages) {
  Notify(hva_page, npages, [&] {
    SplitAround(hva_page, hva_page + npages);
    for (u64 i = 0; i < npages; i++) {
      Page* found = FindPage(hva_page + i);
      if (!found) continue;
      found->writable = false;
      found->level = 1;
    }
  });
}

void FakeHost::CopyOnWrite(u64 page) {
  Notify(page, 1, [&] {
    Page* found = FindPage(page);
    if (!found || found->writable) return;
    const u64 fresh = NewFrames(1);
    auto data = data_.find(found->pfn);
    if (data != data_.end())
      data_[fresh] = std::make_unique<std::array<uint8_t, 4096>>(*data->second);
    FrameOf(found->pfn) = kFreed;
    *found = {fresh, true, 1};
  });
}

bool FakeHost::IsFree(u64 pfn) const {
  if (pfn < kFirstPfn || pfn - kFirstPfn >= kChunks * kChunkFrames) return true;
  if (!chunks_[(pfn - kFirstPfn) / kChunkFrames].load()) return true;
  return !(FrameOf(pfn).load() & kInUse);
}

bool FakeHost::IsDirty(u64 pfn) const { return FrameOf(pfn).load() & kDirty; }

bool FakeHost::IsAccessed(u64 pfn) const { return FrameOf(pfn).load() & kAccessed; }

uint8_t* FakeHost::DataOf(u64 pfn) {
  std::lock_guard guard(lock_);
  auto& data = data_[pfn];
  if (!data) data = std::make_unique<std::array<uint8_t, 4096>>();
  return data->data();
}

}  // namespace fakes
