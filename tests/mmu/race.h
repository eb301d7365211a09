// SPDX-License-Identifier: GPL-2.0-or-later
// Races between two or three threads on the MMU's own C: every schedule with few preemptions, then
// random ones. See "Races" in tests/mmu/README.md.
#ifndef TESTS_MMU_RACE_H_
#define TESTS_MMU_RACE_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "interleave.h"
#include "test_layout.h"

namespace fakes {

struct RaceOptions {
  // All schedules with no more preemptions are run, unless there are more than `at_most`.
  uint32_t preemptions = 3;
  // Fewer schedules: the threads never meet, and the test shows nothing.
  size_t at_least = 300;
  size_t at_most = 1500;
  size_t random = 200;
  MachineOptions machine = {};
};

// One run: a machine, its threads, and who judges. Made anew for each schedule.
class Race {
 public:
  explicit Race(const RaceOptions& options);
  ~Race();
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;

  void Thread(std::string name, std::function<void()> body) {
    threads_.push_back({std::move(name), std::move(body)});
  }
  // Judges after all threads have ended, before the general judges.
  void Finally(std::function<void()> judge) { finally_.push_back(std::move(judge)); }
  // Entries that cover these frames are worth a stop; by default frame 0.
  void Hot(std::set<u64> gfns) { hot_ = std::move(gfns); }
  // The host takes nothing back but what slots map: then defunct roots must not lead there either.
  void JudgeDefunctRoots() { roots_ = FakeMachine::Roots::kDefunctToo; }
  // Says that something happened in this run. A race whose two sides are never both seen is none.
  void Note(const std::string& what) { notes_.insert(what); }

  void Memory(u64 gfn, u64 npages, u64 hva_page, int level = 1, u32 flags = 0, u32 slot = 0);
  // A vCPU with a root.
  FakeVcpu& Vcpu();
  // KVM_GET_DIRTY_LOG of slot 0, first word.
  unsigned long Harvest();
  // KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG of what it said, with manual protection.
  unsigned long CopyThenClear();
  // The guest writes to a page of slot 0 whose first frame is 0; it has to be reported from now on.
  void WriteLogged(FakeVcpu& v, u64 gfn);
  // Every write that WriteLogged() saw was reported by a harvest that ended after it.
  void CheckNoWriteIsLost();

  FakeMachine m;

 private:
  friend class RaceRunner;
  void NoteReported(unsigned long word);
  bool IsShared(const void* object);
  std::string NameOf(const void* object);

  std::vector<Interleaver::Thread> threads_;
  std::vector<std::function<void()>> finally_;
  std::set<u64> hot_{0};
  std::set<std::string> notes_;
  FakeMachine::Roots roots_ = FakeMachine::Roots::kValid;
  // In order of time.
  u64 clock_ = 0;
  std::map<u64, u64> written_, reported_;
};

struct RaceReport {
  size_t schedules = 0;
  std::map<std::string, size_t> notes;  // in how many schedules
  size_t Saw(const std::string& note) const {
    auto it = notes.find(note);
    return it == notes.end() ? 0 : it->second;
  }
};

// Runs `setup` and the threads that it names under many schedules. A violation ends the test with
// the schedule in its output; VELLUM_SCHEDULE repeats it and shows every step.
RaceReport Explore(const RaceOptions& options, const std::function<void(Race&)>& setup);

}  // namespace fakes

#endif  // TESTS_MMU_RACE_H_
