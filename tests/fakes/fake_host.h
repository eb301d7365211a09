// SPDX-License-Identifier: GPL-2.0-or-later
// The VMM's address space: which frame stands behind each host page. Frames are never reused, so
// that one look tells whether somebody uses a frame after the host took it back.
#ifndef TESTS_FAKES_FAKE_HOST_H_
#define TESTS_FAKES_FAKE_HOST_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <linux/types.h>

struct vlm_mmu;
struct vlm_host_page;

namespace fakes {

class FakeHost {
 public:
  static constexpr u64 kFirstPfn = 0x100000;
  static constexpr size_t kChunkFrames = size_t{1} << 16;
  static constexpr size_t kChunks = size_t{1} << 14;

  FakeHost() = default;
  ~FakeHost();
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  // Whom to notify.
  void Attach(vlm_mmu* mmu) { mmu_ = mmu; }

  // Areas. Addresses and lengths in pages; `level` is how the host maps it when it faults in.
  void Map(u64 hva_page, u64 npages, int level = 1, bool writable = true);
  void MapDevice(u64 hva_page, u64 npages);
  // Makes every get of this page fail with `error`.
  void Poison(u64 hva_page, int error);

  // What the host does to its mappings, each inside begin and end of the notifier.
  void Drop(u64 hva_page, u64 npages);  // reclaim: faults in again
  void Unmap(u64 hva_page, u64 npages);
  void ChangeLevel(u64 hva_page, u64 npages, int level);
  void Protect(u64 hva_page, u64 npages);  // next write copies

  int Get(u64 hva, bool write, vlm_host_page* out);
  void Put(vlm_host_page* host, bool dirty);
  int LevelOf(u64 hva);
  // 0 when nothing is there now.
  u64 PfnAt(u64 hva);

  bool IsFree(u64 pfn) const;
  bool IsDirty(u64 pfn) const;
  bool IsAccessed(u64 pfn) const;
  // Contents of the frame; made on demand, zero at first.
  uint8_t* DataOf(u64 pfn);

  // References that are out.
  int references() const { return references_.load(); }
  // Called by Get() after the frame was looked up, before it is returned.
  std::function<void()> after_lookup;
  // Called between begin and end of an invalidation, before the mapping changes.
  std::function<void()> in_invalidation;
  // Called after the mapping changed, before the end of the invalidation, under the host's lock.
  std::function<void()> after_change;

 private:
  struct Area {
    u64 npages;
    int level;
    bool writable;
    bool device;
  };
  struct Page {
    u64 pfn;  // 0: nothing there
    bool writable;
    int level;
  };
  static constexpr u64 kBlockPages = 512;
  using Block = std::array<Page, kBlockPages>;

  // nullptr when nothing is there.
  Page* FindPage(u64 page);
  Page& PageSlot(u64 page);
  // Calls `visit` for every page that is there.
  template <typename Visit>
  void ForEachPage(u64 first, u64 last, const Visit& visit);
  std::map<u64, Area>::iterator FindArea(u64 page);
  void MakeChunk(u64 pfn);
  u64 NewFrames(u64 count);
  void FaultIn(u64 page, const Area& area, u64 area_start);
  void Forget(u64 first, u64 last);
  void SplitAround(u64 first, u64 last);
  std::pair<u64, u64> WithWholeHugePages(u64 first, u64 last);
  void CopyOnWrite(u64 page);
  // Runs `change` under the lock, between begin and end of an invalidation.
  void Notify(u64 hva_page, u64 npages, const std::function<void()>& change);

  enum Bits : uint8_t { kInUse = 1, kDirty = 2, kAccessed = 4, kFreed = 8 };

  vlm_mmu* mmu_ = nullptr;
  std::mutex lock_;
  std::map<u64, Area> areas_;
  std::unordered_map<u64, std::unique_ptr<Block>> blocks_;  // by page number / kBlockPages
  std::map<u64, int> poisoned_;
  // By frame number, in chunks made as frames are handed out; read without the lock.
  using Frame = std::atomic<uint8_t>;
  Frame& FrameOf(u64 pfn) const;
  mutable std::array<std::atomic<Frame*>, kChunks> chunks_{};
  std::map<u64, std::unique_ptr<std::array<uint8_t, 4096>>> data_;
  u64 next_pfn_ = kFirstPfn;
  std::atomic<int> references_{0};
};

}  // namespace fakes

#endif  // TESTS_FAKES_FAKE_HOST_H_
