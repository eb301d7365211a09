// SPDX-License-Identifier: GPL-2.0-or-later
// Zapping while vCPUs refill: four vCPUs fault on fresh pages without a pause while another thread
// deletes and creates slots, across wraps of the mmio generation too. Every call must end, the work
// under the lock must be bounded by what there was to zap and not by what the vCPUs add, and
// the guests must lose nothing.
//
//   zap_race_test [CASE] [--deletes N] [--vcpus N] [--patience S]
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lib/check.h"
#include "lib/counters.h"
#include "lib/guest.h"
#include "lib/walker.h"

namespace {

using guest::Mode;
using kvm::Mapping;

constexpr size_t kPage = 4096;
constexpr size_t kWindow = 32 * kPage;       // what one vCPU touches, over and over
constexpr uint64_t kWindows = 0x40000000;    // in slot 1, at distances of kStride
constexpr uint64_t kStride = 0x200000;       // so that each has a table of its own
constexpr uint64_t kUnrelated = 0x80000000;  // where the slots come and go
constexpr uint64_t kHole = 0xc0000000;       // nothing there at first
constexpr size_t kHolePages = 32;
constexpr uint32_t kSlot = 7;  // the first one that comes and goes

// Entries visited before a break of the lock is considered: VLM_YIELD_BUDGET.
constexpr long kYieldBudget = 512;
constexpr long kTableEntries = 512;
// Entries visited at most between two moments where the lock can be dropped: VLM_HOLD_BUDGET.
constexpr long kHoldBudget = kYieldBudget + 2 * (kTableEntries + 5);

double Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

Mapping Anonymous(size_t size) { return Mapping(size, MAP_PRIVATE | MAP_ANONYMOUS); }

// Shared memory keeps what the guest wrote when the pages are thrown out of the tables.
Mapping Shared(size_t size) { return Mapping(size, MAP_SHARED | MAP_ANONYMOUS); }

// Reads a word of each of RCX pages from RSI on and reports it, for ever.
GUEST_CODE(look, 64, R"(
0: mov %rsi, %rbx
  mov %rcx, %rbp
1: mov (%rbx), %eax
  out %eax, $0x10
  add $0x1000, %rbx
  dec %rbp
  jnz 1b
  jmp 0b
)");

// Ends the process when it does not say often enough that it goes on. A thread may be stuck
// in the kernel for as long as vCPUs run; they stop with the process, so that ends.
class Watchdog {
 public:
  explicit Watchdog(const char* what) : what_(what), thread_([this] { Watch(); }) {}
  ~Watchdog() {
    done_ = true;
    thread_.join();
  }
  void Alive() { ++steps_; }

 private:
  void Watch() const {
    const double patience = static_cast<double>(check::Number("patience", 20));
    unsigned long seen = 0;
    double since = Now();
    while (!done_) {
      usleep(10000);
      if (steps_ != seen) {
        seen = steps_;
        since = Now();
      } else if (Now() - since > patience) {
        std::printf("FAILED: %s: no step for %.0f s after %lu\n", what_, patience, seen);
        std::fflush(stdout);
        _exit(1);
      }
    }
  }

  const char* what_;
  std::atomic<bool> done_ = false;
  std::atomic<unsigned long> steps_ = 0;
  std::thread thread_;
};

// Memory for several vCPUs that run the same code in threads of their own.
class Crowd {
 public:
  Crowd(const guest::Code& code, size_t vcpus)
      : low_(guest::kLowSize, MAP_PRIVATE | MAP_ANONYMOUS), windows_(Shared(vcpus * kStride)) {
    vm_.Map(0, 0, low_.size(), low_.data());
    vm_.Map(1, kWindows, windows_.size(), windows_.data());
    std::memcpy(low_.data() + guest::kCode, code.begin, static_cast<size_t>(code.end - code.begin));
    for (size_t i = 0; i < vcpus; ++i) {
      vcpus_.push_back(std::make_unique<kvm::Vcpu>(vm_.fd(), static_cast<unsigned>(i)));
      vcpus_[i]->SetSupportedCpuid();
      guest::Enter(*vcpus_[i], low_.data(), Mode::kLong64);
    }
  }

  kvm::Vm& vm() { return vm_; }
  size_t size() const { return vcpus_.size(); }
  kvm::Vcpu& vcpu(size_t i) { return *vcpus_[i]; }
  uint8_t* window(size_t i) { return windows_.data() + i * kStride; }
  uint64_t& Word(size_t i, size_t page) {
    return *reinterpret_cast<uint64_t*>(window(i) + page * kPage);
  }
  void Arm(size_t i, uint64_t gpa, size_t pages) {
    kvm_regs regs = vcpu(i).regs();
    regs.rsi = gpa;
    regs.rcx = pages;
    vcpu(i).SetRegs(regs);
  }

 private:
  kvm::Vm vm_;
  Mapping low_;
  Mapping windows_;
  std::vector<std::unique_ptr<kvm::Vcpu>> vcpus_;
};

// Keeps the vCPUs of a crowd faulting on fresh pages from construction to Stop().
class Refill {
 public:
  explicit Refill(Crowd& crowd) : crowd_(crowd), rounds_(crowd.size()) {
    for (size_t i = 0; i < crowd_.size(); ++i) {
      guest::Prepare(crowd_.vcpu(i), {.base = kWindows + i * kStride, .pages = kWindow / kPage});
      threads_.emplace_back([this, i] { Run(i); });
    }
  }
  ~Refill() { Stop(); }

  uint64_t rounds(size_t i) const { return rounds_[i]; }
  uint64_t least() const {
    uint64_t least = ~0ull;
    for (const auto& r : rounds_) least = std::min<uint64_t>(least, r);
    return least;
  }
  void Stop() {
    stop_ = true;
    for (std::thread& t : threads_) t.join();
    threads_.clear();
  }
  // After Stop(): each page was counted up in each round.
  void CheckData() {
    CHECK(!failed_);
    for (size_t i = 0; i < crowd_.size(); ++i) {
      for (size_t page = 0; page < kWindow / kPage; ++page) {
        CHECK_EQ(rounds(i), crowd_.Word(i, page));
      }
    }
  }

 private:
  void Run(size_t i) {
    try {
      do {
        guest::Go(crowd_.vcpu(i));
        ++rounds_[i];
        // The next round faults on all of them again.
        madvise(crowd_.window(i), kWindow, MADV_DONTNEED);
        crowd_.vcpu(i).RunUntil(KVM_EXIT_IO);
      } while (!stop_);
    } catch (const check::Failed&) {
      failed_ = true;
    }
  }

  Crowd& crowd_;
  std::atomic<bool> stop_ = false, failed_ = false;
  std::vector<std::atomic<uint64_t>> rounds_;
  std::vector<std::thread> threads_;
};

size_t VcpuCount() { return check::Number("vcpus", 4); }

// The zap of a root looks at each entry of a lowest table once, and at those above once per level:
// so many breaks it may make, whatever the vCPUs do meanwhile. Ranges that vCPUs discard are too
// short for a break.
long BreaksAllowed(long tables, long roots) {
  return 3 * (tables + roots) * kTableEntries / kYieldBudget;
}

void CheckWork(counters::Stats& before, counters::Stats& after) {
  auto grown = [&](const char* name) { return after[name] - before[name]; };
  const long zaps = grown("mmu_zap_all_fast"), yields = grown("mmu_yields");
  const long tables = grown("mmu_shadow_zapped"), hold = after["mmu_max_hold"];
  std::printf("zaps %ld, tables zapped %ld, breaks of the lock %ld, longest hold %ld entries\n",
              zaps, tables, yields, hold);
  CHECK(tables > 0);
  CHECK(yields <= BreaksAllowed(tables, zaps));
  CHECK(hold > 0);
  CHECK(hold <= kHoldBudget);
}

CASE(DeleteAndCreateUnderRefill) {
  const unsigned long deletes = check::Number("deletes", 1000);
  Mapping memory = Anonymous(16 * kPage);
  Crowd crowd(guest::kWalkCode, VcpuCount());
  crowd.vm().Map(kSlot, kUnrelated, memory.size(), memory.data());
  counters::Stats before = counters::ReadVm();
  Watchdog watchdog("delete and create");
  Refill refill(crowd);
  while (refill.least() == 0) usleep(1000);
  double longest = 0;
  const uint64_t rounds = refill.least();
  const double start = Now();
  for (unsigned long i = 0; i < deletes; ++i) {
    const double begin = Now();
    crowd.vm().Map(kSlot, 0, 0, nullptr);
    crowd.vm().Map(kSlot, kUnrelated, memory.size(), memory.data());
    longest = std::max(longest, Now() - begin);
    watchdog.Alive();
  }
  std::printf("%lu deletes in %.3f s, longest pair %.3f s, rounds of each vCPU at least %lu\n",
              deletes, Now() - start, longest, refill.least() - rounds);
  // The vCPUs go on, too.
  const uint64_t after_deletes = refill.least();
  while (refill.least() < after_deletes + 2) usleep(1000);
  watchdog.Alive();
  refill.Stop();
  refill.CheckData();
  if (kvm::IsVellum()) {
    counters::Stats after = counters::ReadVm();
    CheckWork(before, after);
    CHECK_EQ(static_cast<long>(deletes), after["mmu_zap_all_fast"] - before["mmu_zap_all_fast"]);
  }
}

// Slots are only created, so that nothing but the wrap zaps.
CASE(GenerationWrapsUnderRefill) {
  if (!kvm::IsVellum()) check::Skip("generations pass at will on vellum alone");
  constexpr int kWraps = 8, kBefore = 2, kAfter = 3;
  Mapping memory = Anonymous(kPage);
  Crowd crowd(guest::kWalkCode, VcpuCount());
  Watchdog watchdog("wrap");
  Refill refill(crowd);
  while (refill.least() == 0) usleep(1000);
  counters::Stats before = counters::ReadVm();
  uint32_t slot = kSlot;
  auto create = [&] {
    crowd.vm().Map(slot, kUnrelated + slot * kPage, kPage, memory.data());
    ++slot;
    watchdog.Alive();
    return counters::ReadVm()["mmu_zap_all_fast"];
  };
  for (int wrap = 0; wrap < kWraps; ++wrap) {
    const long zaps = counters::ReadVm()["mmu_zap_all_fast"];
    counters::WriteVm("mmio_updates_left", kBefore + 1);
    for (int i = 0; i < kBefore; ++i) CHECK_EQ(zaps, create());
    CHECK_EQ(zaps + 1, create());
    for (int i = 0; i < kAfter; ++i) CHECK_EQ(zaps + 1, create());
    const uint64_t rounds = refill.least();
    while (refill.least() == rounds) usleep(100);
  }
  refill.Stop();
  refill.CheckData();
  counters::Stats after = counters::ReadVm();
  CheckWork(before, after);
  CHECK_EQ(kWraps, after["mmu_zap_all_fast"] - before["mmu_zap_all_fast"]);
}

constexpr uint32_t kFromUser = 0x11111111, kFromMemory = 0x22222222;

// One vCPU that looks at the pages of the hole. What is no memory is answered from here.
class Looker {
 public:
  Looker(Crowd& crowd, size_t vcpu, size_t pages) : vcpu_(crowd.vcpu(vcpu)) {
    crowd.Arm(vcpu, kHole, pages);
  }

  // One page; true if it was memory.
  bool Look() {
    CHECK_EQ(0, vcpu_.Run());
    const bool mmio = vcpu_.run()->exit_reason == KVM_EXIT_MMIO;
    if (mmio) {
      std::memcpy(vcpu_.run()->mmio.data, &kFromUser, 4);
      CHECK_EQ(0, vcpu_.Run());
    }
    CHECK_EQ(KVM_EXIT_IO, vcpu_.run()->exit_reason);
    uint32_t value;
    std::memcpy(&value, vcpu_.page() + vcpu_.run()->io.data_offset, 4);
    CHECK_EQ(mmio ? kFromUser : kFromMemory, value);
    return !mmio;
  }

 private:
  kvm::Vcpu& vcpu_;
};

Mapping MemoryForHole() {
  Mapping memory = Anonymous(kHolePages * kPage);
  for (size_t i = 0; i < kHolePages; ++i) {
    std::memcpy(memory.data() + i * kPage, &kFromMemory, 4);
  }
  return memory;
}

// Accesses that went to the emulator.
long Emulated() {
  if (!kvm::IsVellum()) return 0;
  counters::Stats stats = counters::ReadVm();
  return stats["pf_emulate"] + stats["mmio_spte_hits"];
}

// An mmio entry of a generation, and a slot over it when the same number comes again one round
// later: the entry must be gone.
CASE(OldMmioEntryIsNotBelievedAfterTheWrap) {
  Mapping memory = MemoryForHole();
  Crowd crowd(look, 1);
  Looker looker(crowd, 0, 1);
  uint32_t slot = kSlot;
  auto create = [&] {
    crowd.vm().Map(slot, kUnrelated + slot * kPage, kPage, memory.data());
    ++slot;
  };
  constexpr unsigned kPast = 6;
  if (kvm::IsVellum()) {
    counters::WriteVm("mmio_updates_left", 1);
    create();
  }
  // The generation's low bits are 0 here. The entry is made under the sixth that follows.
  for (unsigned i = 0; i < kPast; ++i) create();
  CHECK(!looker.Look());
  CHECK(!looker.Look());
  if (kvm::IsVellum()) {
    counters::WriteVm("mmio_updates_left", 1);
    create();
  }
  for (unsigned i = 0; i + 1 < kPast; ++i) create();
  crowd.vm().Map(2, kHole, kPage, memory.data());
  const long emulated = Emulated();
  CHECK(looker.Look());
  // An old entry would take the access to user space, or, where the slots are asked again, each to
  // the emulator.
  CHECK_EQ(emulated, Emulated());
}

// Looked at without a pause while slots appear page by page, generations wrap and other vCPUs
// fault: who begins to look after the slot was made sees memory.
CASE(SlotOverCachedMmioWhileRead) {
  Mapping memory = MemoryForHole();
  const size_t readers = VcpuCount() / 2;
  Crowd crowd(look, readers);
  std::vector<Looker> lookers;
  for (size_t i = 0; i < readers; ++i) lookers.emplace_back(crowd, i, kHolePages);
  Watchdog watchdog("slots over mmio");
  for (int round = 0; round < 3; ++round) {
    std::atomic<size_t> made = 0;
    std::atomic<bool> failed = false;
    std::vector<std::atomic<unsigned long>> passes(readers);
    auto look_until_all_is_memory = [&](size_t i) {
      // The last pass begins when all slots are there.
      for (bool last = false; !last; ++passes[i]) {
        last = made == kHolePages;
        for (size_t page = 0; page < kHolePages; ++page) {
          const bool was_made = made > page;
          if (!lookers[i].Look()) CHECK(!was_made);
        }
      }
    };
    std::vector<std::thread> threads;
    for (size_t i = 0; i < readers; ++i) {
      threads.emplace_back([&, i] {
        try {
          look_until_all_is_memory(i);
        } catch (const check::Failed&) {
          failed = true;
        }
      });
    }
    for (size_t page = 0; page < kHolePages; ++page) {
      // Everybody has seen the page as it was.
      for (size_t i = 0; i < readers; ++i) {
        const unsigned long seen = passes[i];
        while (passes[i] == seen && !failed) usleep(100);
      }
      if (kvm::IsVellum() && page % 4 == 0) counters::WriteVm("mmio_updates_left", 2);
      crowd.vm().Map(static_cast<uint32_t>(kSlot + page), kHole + page * kPage, kPage,
                     memory.data() + page * kPage);
      made = page + 1;
      watchdog.Alive();
    }
    for (std::thread& t : threads) t.join();
    CHECK(!failed);
    const long emulated = Emulated();
    for (size_t page = 0; page < kHolePages; ++page) {
      for (Looker& looker : lookers) CHECK(looker.Look());
    }
    CHECK_EQ(emulated, Emulated());
    for (size_t page = 0; page < kHolePages; ++page) {
      crowd.vm().Map(static_cast<uint32_t>(kSlot + page), 0, 0, nullptr);
    }
  }
}

CASE(NothingIsLeft) { counters::ExpectZero(); }

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
