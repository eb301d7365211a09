// SPDX-License-Identifier: GPL-2.0-or-later
#include "race.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

#include "table_arena.h"

namespace fakes {
namespace {

Race* current_race = nullptr;

std::string TestName() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  return std::string(info->test_suite_name()) + "." + info->name();
}

void SayHowToRepeat() {
  const std::string schedule = ToText(Interleaver::Get().Taken());
  fprintf(stderr, "REPEAT VELLUM_SCHEDULE='%s' --gtest_filter=%s\n", schedule.c_str(),
          TestName().c_str());
}

}  // namespace

Race::Race(const RaceOptions& options) : m(options.machine) {
  current_race = this;
  m.break_mode = FakeMachine::Break::kAlways;
  // Who holds the lock last must leave no debt behind.
  shim_on_unlock = [](const void* lock) {
    FakeMachine& machine = current_race->m;
    if (lock != &machine.mmu()->lock) return;
    Interleaver& interleaver = Interleaver::Get();
    if (!interleaver.running() || interleaver.Holders(lock) == 1) machine.CheckTlbs();
  };
  m.host().after_lookup = [] { shim_point(SHIM_STEP, nullptr); };
  m.host().in_invalidation = [] { shim_point(SHIM_STEP, nullptr); };
  m.host().after_change = [this] { m.CheckNothingLeadsToFreeFrames(roots_); };

  Interleaver& interleaver = Interleaver::Get();
  interleaver.is_shared = [this](const void* object) { return IsShared(object); };
  interleaver.name_of = [this](const void* object) { return NameOf(object); };
  interleaver.at_point = [this] {
    if (!Interleaver::Get().IsWriteHeld(&m.mmu()->lock)) m.CheckNobodyRunsOnInvalidRoots();
    // The earliest moment for a callback is the worst.
    shim_rcu_poll();
  };
}

Race::~Race() {
  shim_on_unlock = nullptr;
  m.host().after_change = nullptr;
  current_race = nullptr;
}

void Race::Memory(u64 gfn, u64 npages, u64 hva_page, int level, u32 flags, u32 slot) {
  m.host().Map(hva_page, npages, level);
  if (m.SetSlot(slot, gfn, npages, hva_page, flags)) shim_violation("SETUP", "no slot");
}

FakeVcpu& Race::Vcpu() {
  FakeVcpu& v = m.AddVcpu();
  if (!v.Reload()) shim_violation("SETUP", "no root");
  return v;
}

unsigned long Race::Harvest() {
  std::lock_guard guard(m.slots_lock());
  unsigned long word = 0;
  vlm_memslot* slot = vlm_memslot_by_id(m.mmu(), 0);
  vlm_dirty_log_sync(m.mmu());
  if (slot && slot->dirty) vlm_memslot_harvest(m.mmu(), slot, 0, 1, &word);
  NoteReported(word);
  return word;
}

unsigned long Race::CopyThenClear() {
  SlotsReader reader(&m);
  const vlm_memslot* slot = vlm_memslot_find(vlm_memslots_get(m.mmu(), 0), 0);
  vlm_dirty_log_sync(m.mmu());
  const unsigned long word = READ_ONCE(slot->dirty[0]);
  vlm_memslot_clear_log(m.mmu(), slot, 0, 1, &word);
  NoteReported(word);
  return word;
}

void Race::NoteReported(unsigned long word) {
  clock_++;
  for (u64 gfn = 0; gfn < 64; gfn++)
    if (word >> gfn & 1) reported_[gfn] = clock_;
}

void Race::WriteLogged(FakeVcpu& v, u64 gfn) {
  EXPECT_EQ(v.Write(Gpa(gfn)), Outcome::kDone);
  written_[gfn] = ++clock_;
}

void Race::CheckNoWriteIsLost() {
  Harvest();
  for (const auto& [gfn, when] : written_)
    EXPECT_GT(reported_[gfn], when) << "a write to page " << gfn << " was lost";
}

bool Race::IsShared(const void* object) {
  TableArena& arena = TableArena::Get();
  if (!arena.Holds(object)) {
    const auto within = [object](const void* p, size_t bytes) {
      return static_cast<size_t>(static_cast<const char*>(object) - static_cast<const char*>(p)) <
             bytes;
    };
    for (size_t i = 0; i < m.nr_vcpus(); i++)
      if (within(m.vcpu(i).mv(), sizeof(vlm_mmu_vcpu))) return false;
    return !within(&m.mmu()->stats, sizeof(vlm_mmu_stats)) && object != &m.mmu()->dead;
  }
  const auto* entry = static_cast<const u64*>(object);
  const auto& info = arena.InfoOf(entry);
  // Before it is linked a table is its maker's own.
  if (!info.seen) return false;
  const auto* page = static_cast<const vlm_mmu_page*>(info.owner.load());
  const u64 span = u64{1} << (9 * (page->role.level - 1));
  const u64 first = page->gfn + static_cast<u64>(entry - arena.TableOf(entry)) * span;
  auto hot = hot_.lower_bound(first);
  return hot != hot_.end() && *hot < first + span;
}

std::string Race::NameOf(const void* object) {
  TableArena& arena = TableArena::Get();
  const vlm_mmu* mmu = m.mmu();
  if (arena.Holds(object)) {
    const auto* entry = static_cast<const u64*>(object);
    const auto* page = static_cast<const vlm_mmu_page*>(arena.InfoOf(entry).owner.load());
    char text[100];
    snprintf(text, sizeof(text), "spte level %d of gfn 0x%llx: 0x%llx", page->role.level,
             page->gfn +
                 (static_cast<u64>(entry - arena.TableOf(entry)) << (9 * (page->role.level - 1))),
             __atomic_load_n(entry, __ATOMIC_RELAXED));
    return text;
  }
  const std::pair<const void*, const char*> known[] = {
      {&mmu->lock, "mmu lock"},
      {&mmu->pages_lock, "pages lock"},
      {&mmu->roots, "list of roots"},
      {&mmu->notifier.lock, "notifier lock"},
      {&mmu->notifier.seq, "notifier sequence"},
      {&mmu->notifier.wait, "notifier wait queue"},
      {&mmu->space[0].active, "slots"},
      {&mmu->space[0].sets[0].generation, "generation"},
      {&mmu->space[0].sets[1].generation, "generation"},
      {&m.slots_lock(), "slots lock"},
      {&m.gate(), "slots read section"},
  };
  for (const auto& [address, name] : known)
    if (address == object) return name;
  const vlm_mmu_page* root;
  const char* at = static_cast<const char*>(object);
  list_for_each_entry(root, &mmu->roots, link) {
    const char* begin = reinterpret_cast<const char*>(root);
    if (at < begin || at >= begin + sizeof(*root)) continue;
    if (object == &root->refs) return "references of a root: " + std::to_string(root->refs.refs);
    if (object == &root->invalid) return "invalid of a root";
    return "header of a root";
  }
  return "";
}

class RaceRunner {
 public:
  RaceRunner(const RaceOptions& options, const std::function<void(Race&)>& setup)
      : options_(options), setup_(setup) {}

  RaceReport Explore() {
    if (const char* text = std::getenv("VELLUM_RACE_MOST"))
      options_.at_most = std::strtoull(text, nullptr, 0);
    shim_on_violation = SayHowToRepeat;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(SayHowToRepeat);
#endif
    if (const char* text = std::getenv("VELLUM_SCHEDULE"))
      Repeat(text);
    else
      Search();
    shim_on_violation = nullptr;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_set_death_callback(nullptr);
#endif
    return std::move(report_);
  }

 private:
  // False when the run failed.
  bool RunOne(const Schedule& schedule, std::mt19937_64* random) {
    Race race(options_);
    setup_(race);
    run_ = Interleaver::Get().RunAll(race.threads_, schedule, random);
    for (const auto& judge : race.finally_) judge();
    race.m.Settle();
    race.m.CheckTlbs();
    race.m.CheckTables();
    report_.schedules++;
    for (const std::string& note : race.notes_) report_.notes[note]++;
    points_ = std::max(points_, run_.points);
    if (!testing::Test::HasFailure()) return true;
    SayHowToRepeat();
    return false;
  }

  void Repeat(const char* text) {
    const auto schedule = ScheduleFromText(text);
    ASSERT_TRUE(schedule) << "VELLUM_SCHEDULE is no schedule: " << text;
    Interleaver::Get().trace = true;
    RunOne(*schedule, nullptr);
    Interleaver::Get().trace = false;
  }

  // The schedules that differ from the last run in one more place, after `from`.
  void Branch(const Schedule& base) {
    const uint32_t from = base.empty() ? 0 : base.back().point + 1;
    uint32_t preemptions = 0;
    for (const auto& d : run_.decisions) {
      if (d.point >= from) {
        for (uint8_t t = 0; t < Interleaver::kThreads; t++) {
          const uint32_t cost = preemptions + d.preempts;
          if (t == d.chosen || !(d.enabled >> t & 1) || cost >= levels_.size()) continue;
          Schedule next = base;
          next.push_back({d.point, t});
          levels_[cost].push_back(std::move(next));
        }
      }
      preemptions += d.preempts && d.chosen != d.by_default;
    }
  }

  // All schedules of one more preemption, as far as the budget goes.
  bool SearchLevel(std::vector<Schedule>& level) {
    if (level.size() + report_.schedules > options_.at_most)
      std::shuffle(level.begin(), level.end(), std::mt19937_64(1));
    // It grows meanwhile, by choices that cost nothing.
    for (size_t i = 0; i < level.size(); i++) {
      if (report_.schedules >= options_.at_most) return false;
      const Schedule schedule = level[i];
      if (!RunOne(schedule, nullptr)) return false;
      Branch(schedule);
    }
    return true;
  }

  void Search() {
    levels_.assign(options_.preemptions + 1, {});
    levels_[0].push_back({});
    uint32_t complete = 0;
    while (complete < levels_.size() && SearchLevel(levels_[complete])) complete++;
    if (testing::Test::HasFailure()) return;

    const char* text = std::getenv("VELLUM_SEED");
    const u64 seed = text ? std::strtoull(text, nullptr, 0) : std::random_device{}();
    const char* runs = std::getenv("VELLUM_RACE_RANDOM");
    const size_t random = runs ? std::strtoull(runs, nullptr, 0) : options_.random;
    std::mt19937_64 rng(seed);
    for (size_t i = 0; i < random; i++)
      if (!RunOne({}, &rng)) return;
    printf(
        "RACE %s: %zu schedules, all with up to %u preemptions of up to %u points, %zu random "
        "(VELLUM_SEED=%llu);",
        TestName().c_str(), report_.schedules, complete - 1, points_, random, seed);
    for (const auto& [note, count] : report_.notes) printf(" %s %zu", note.c_str(), count);
    printf("\n");
    EXPECT_GE(report_.schedules, options_.at_least);
    EXPECT_GE(complete, 2u) << "not even all single preemptions were tried";
  }

  RaceOptions options_;
  const std::function<void(Race&)>& setup_;
  RaceReport report_;
  Interleaver::Run run_;
  std::vector<std::vector<Schedule>> levels_;
  uint32_t points_ = 0;
};

RaceReport Explore(const RaceOptions& options, const std::function<void(Race&)>& setup) {
  return RaceRunner(options, setup).Explore();
}

}  // namespace fakes
