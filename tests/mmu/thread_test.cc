// SPDX-License-Identifier: GPL-2.0-or-later
// The same code from many threads at once: vCPUs, the host's reclaim, slot updates, grace periods.
// Meant for TSan as much as for the judges.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "test_layout.h"

namespace fakes {
namespace {

MachineOptions Threaded() {
  MachineOptions options;
  options.single_threaded = false;
  return options;
}

class ThreadTest : public MmuTest {
 protected:
  ThreadTest() : MmuTest(Threaded()) {}

  static constexpr int kVcpus = 3;
  static constexpr u64 kPages = 2 * kMib2;

  // Runs `work(rng)` again and again until Join().
  template <typename Work>
  void Spawn(unsigned seed, Work work) {
    threads_.emplace_back([this, seed, work] {
      std::mt19937 rng(seed);
      while (!stop_) work(rng);
    });
  }
  // vCPUs that access anything in [0, span).
  void SpawnVcpus(u64 span) {
    for (int i = 1; i < kVcpus; i++) m.AddVcpu();
    for (int i = 0; i < kVcpus; i++)
      Spawn(static_cast<unsigned>(i), [this, i, span](std::mt19937& rng) {
        const u32 access[] = {VLM_ACCESS_READ, VLM_ACCESS_WRITE, VLM_ACCESS_EXEC};
        const u64 gfn = rng() % 8 ? rng() % 64 : rng() % span;
        FakeVcpu& vcpu = m.vcpu(static_cast<size_t>(i));
        // A lucky adversary may keep it from ending; what it must not do is end wrongly.
        if (vcpu.Access(Gpa(gfn), access[rng() % 3]) == Outcome::kDone) done_++;
      });
    Spawn(99, [this](std::mt19937&) {
      m.Settle();
      shim_wait();
    });
  }
  void RunFor(int ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
    stop_ = true;
    for (auto& t : threads_) t.join();
    threads_.clear();
    EXPECT_GT(done_, 0u);
    m.CheckTables();
  }

  std::atomic<bool> stop_{false};
  std::atomic<u64> done_{0};
  std::vector<std::thread> threads_;
};

constexpr int kMs = 700;

TEST_F(ThreadTest, FaultsAndReclaim) {
  Memory(0, kPages, kHva, 2);
  m.break_mode = FakeMachine::Break::kRandom;
  SpawnVcpus(kPages);
  Spawn(10, [this](std::mt19937& rng) {
    const u64 at = rng() % 2 ? rng() % 64 : rng() % (kPages - 64);
    m.host().Drop(kHva + at, 1 + rng() % 64);
    std::this_thread::yield();
  });
  Spawn(11, [this](std::mt19937& rng) {
    m.host().ChangeLevel(kHva, kPages, 1 + static_cast<int>(rng() % 2));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  });
  RunFor(kMs);
}

TEST_F(ThreadTest, FaultsAndCopyOnWriteAndAging) {
  Memory(0, kPages, kHva);
  SpawnVcpus(kPages);
  Spawn(10, [this](std::mt19937& rng) {
    m.host().Protect(kHva + rng() % 64, 1 + rng() % 16);
    std::this_thread::yield();
  });
  Spawn(11, [this](std::mt19937& rng) {
    SlotsReader reader(&m);
    const unsigned long start = (kHva + rng() % 64) << 12;
    vlm_notifier_clear_young(m.mmu(), start, start + (16 << 12));
    vlm_notifier_test_young(m.mmu(), start, start + (64 << 12));
  });
  RunFor(kMs);
}

TEST_F(ThreadTest, FaultsAndSlotUpdates) {
  Memory(0, 64, kHva);
  m.host().Map(kHva + kMib2, 3 * kMib2, 2);
  m.break_mode = FakeMachine::Break::kRandom;
  SpawnVcpus(kPages);
  Spawn(10, [this](std::mt19937& rng) {
    const u64 gfn = 512 + rng() % 2 * 64;
    m.slot_zap = rng() % 2 ? VLM_SLOT_ZAP_OWN : VLM_SLOT_ZAP_ALL;
    if (rng() % 2)
      m.SetSlot(1, gfn, kMib2, kHva + kMib2, rng() % 2 ? VLM_MEMSLOT_LOG_DIRTY : 0);
    else
      m.DeleteSlot(1);
  });
  Spawn(11, [this](std::mt19937& rng) {
    m.host().Drop(kHva + kMib2 + rng() % kMib2, 32);
    std::this_thread::yield();
  });
  RunFor(kMs);
}

TEST_F(ThreadTest, SplitCollapseAndHarvestUnderFaults) {
  Memory(0, kPages, kHva, 2);
  SpawnVcpus(kPages);
  Spawn(10, [this](std::mt19937&) {
    m.SetSlot(0, 0, kPages, kHva, VLM_MEMSLOT_LOG_DIRTY);
    std::vector<unsigned long> words(kPages / 64);
    for (int i = 0; i < 3; i++) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::lock_guard guard(m.slots_lock());
      const vlm_memslot* slot = vlm_memslot_by_id(m.mmu(), 0);
      vlm_memslot_harvest(m.mmu(), slot, 0, words.size(), words.data());
    }
    m.SetSlot(0, 0, kPages, kHva, 0);
  });
  RunFor(kMs);
}

// The contract of the dirty log: a write that ended after a harvest is in a later one.
class DirtyThreadTest : public ThreadTest {
 protected:
  static constexpr int kPagesLogged = 64;

  void SpawnWriters(const std::function<void()>& prepare) {
    m.AddVcpu();
    if (prepare) prepare();
    for (size_t i = 0; i < 2; i++)
      Spawn(static_cast<unsigned>(i), [this, i](std::mt19937& rng) {
        const u64 gfn = rng() % (kPagesLogged / 2) * 2 + i;
        if (vlm_dirty_ring_is_full(m.vcpu(i).ring())) return std::this_thread::yield();
        if (m.vcpu(i).Write(Gpa(gfn)) == Outcome::kDone) {
          written_[gfn]++;
          done_++;
        }
      });
  }
  // `harvest` returns the pages whose writes it saw; it has seen all that ended before it began.
  template <typename Harvest>
  void Judge(Harvest harvest) {
    u64 before[kPagesLogged];
    for (int i = 0; i < kPagesLogged; i++) before[i] = written_[i];
    const u64 word = harvest();
    for (int i = 0; i < kPagesLogged; i++) {
      if (word >> i & 1) {
        // What ended before the harvest returned may belong to this report, counted or not.
        reported_[i] = written_[i] + 1;
      } else {
        ASSERT_LE(before[i], reported_[i]) << "writes to page " << i << " were lost";
      }
    }
  }
  template <typename Harvest>
  void JudgeOften(Harvest harvest, const std::function<void()>& prepare = nullptr) {
    SpawnWriters(prepare);
    // A busy host starts the writers late, and a harvest of nothing shows nothing.
    const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (int i = 0; i < 200 || (done_ < 2000 && std::chrono::steady_clock::now() < late); i++) {
      Judge(harvest);
      std::this_thread::yield();
    }
    RunFor(1);
    Judge(harvest);
  }

 private:
  // A page that was written since its last report must be in the next.
  std::atomic<u64> written_[kPagesLogged] = {};
  u64 reported_[kPagesLogged] = {};
};

TEST_F(DirtyThreadTest, NoWriteIsLostByHarvests) {
  Memory(0, 64, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  JudgeOften([this] {
    std::lock_guard guard(m.slots_lock());
    unsigned long word = 0;
    vlm_memslot_harvest(m.mmu(), vlm_memslot_by_id(m.mmu(), 0), 0, 1, &word);
    return word;
  });
}

TEST_F(DirtyThreadTest, NoWriteIsLostByCopyAndClear) {
  m.mmu()->log_flags = VLM_LOG_MANUAL | VLM_LOG_ALL_SET;
  Memory(0, 64, kHva, 2, VLM_MEMSLOT_LOG_DIRTY);
  JudgeOften([this] {
    SlotsReader reader(&m);
    const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(m.mmu(), 0), 0);
    const unsigned long word = READ_ONCE(slot->dirty[0]);
    vlm_memslot_clear_log(m.mmu(), slot, 0, 1, &word);
    return word;
  });
}

TEST_F(DirtyThreadTest, NoWriteIsLostByRings) {
  m.mmu()->log_flags = VLM_LOG_RINGS;
  Memory(0, 64, kHva, 1, VLM_MEMSLOT_LOG_DIRTY);
  std::vector<vlm_dirty_entry> entries[2];
  u32 next[2] = {};
  JudgeOften(
      [&] {
        u64 word = 0;
        for (size_t i = 0; i < 2; i++) {
          for (;; next[i]++) {
            vlm_dirty_entry& e = entries[i][next[i] % entries[i].size()];
            if (smp_load_acquire(&e.flags) != VLM_DIRTY_PUBLISHED) break;
            word |= u64{1} << (READ_ONCE(e.offset) % 64);
            smp_store_release(&e.flags, static_cast<u32>(VLM_DIRTY_COLLECTED));
          }
          std::lock_guard guard(m.slots_lock());
          vlm_dirty_ring_reset(m.mmu(), m.vcpu(i).ring());
        }
        return word;
      },
      [&] {
        for (size_t i = 0; i < 2; i++) {
          entries[i].resize(128);
          vlm_dirty_ring_init(m.vcpu(i).ring(), entries[i].data(), 128);
        }
      });
}

// Two threads clear all there is, while the slot comes and goes: every write is in the log again.
TEST_F(DirtyThreadTest, ClearsAndSlotUpdates) {
  m.mmu()->log_flags = VLM_LOG_MANUAL | VLM_LOG_ALL_SET;
  m.host().Map(kHva, kPages, 2);
  ASSERT_EQ(m.SetSlot(0, 0, kPages, kHva), 0);
  m.break_mode = FakeMachine::Break::kRandom;
  SpawnVcpus(kPages);
  for (unsigned i = 0; i < 2; i++)
    Spawn(10 + i, [this](std::mt19937& rng) {
      SlotsReader reader(&m);
      const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(m.mmu(), 0), 0);
      unsigned long words[8];
      for (auto& word : words) word = rng() % 2 ? ~0ul : rng();
      if (slot && slot->dirty)
        vlm_memslot_clear_log(m.mmu(), slot, rng() % (kPages / 64 - 8), 8, words);
    });
  Spawn(12, [this](std::mt19937& rng) {
    switch (rng() % 3) {
      case 0:
        m.SetSlot(0, 0, kPages, kHva, VLM_MEMSLOT_LOG_DIRTY);
        break;
      case 1:
        m.SetSlot(0, 0, kPages, kHva);
        break;
      default:
        m.host().Drop(kHva + rng() % kPages, 1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  RunFor(kMs);
}

}  // namespace
}  // namespace fakes
