// SPDX-License-Identifier: GPL-2.0-or-later
// Runs threads one at a time and decides at every point of the shim (SPTE stores and reads, locks,
// reference counts, marked accesses, RCU) who goes on. The same schedule gives the same run.
//
// A schedule is a list of deviations from the default, which is: the running thread goes on; when
// it cannot, the next one in cyclic order does. "17b,40a" means: at point 17 thread b runs, at
// point 40 thread a. A switch away from a thread that could have gone on is a preemption; where a
// thread ended or sleeps, all choices are free.
#ifndef TESTS_FAKES_INTERLEAVE_H_
#define TESTS_FAKES_INTERLEAVE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kmod_mmu.h"

namespace fakes {

struct Deviation {
  uint32_t point;
  uint8_t thread;
};
using Schedule = std::vector<Deviation>;

std::string ToText(const Schedule& schedule);
std::optional<Schedule> ScheduleFromText(const std::string& text);

class Interleaver {
 public:
  static constexpr size_t kThreads = 4;
  // More points than any race needs: the threads run in circles.
  static constexpr uint32_t kPointsMax = 20'000;

  struct Thread {
    std::string name;
    std::function<void()> body;
  };
  // A point at which more than one thread could run.
  struct Decision {
    uint32_t point;
    uint8_t enabled;  // bit per thread
    uint8_t chosen;
    uint8_t by_default;
    bool preempts;  // any other choice than the default counts as a preemption
  };
  struct Run {
    std::vector<Decision> decisions;
    uint32_t points = 0;
    uint32_t preemptions = 0;
  };

  static Interleaver& Get();

  // True if the object is worth a point; called for marked accesses outside of the own stack.
  std::function<bool(const void* object)> is_shared;
  // Called before each point, on the stack of the thread that reached it.
  std::function<void()> at_point;
  // What an address is called in a trace.
  std::function<std::string(const void* object)> name_of;
  // Print what happens at each point.
  bool trace = false;

  // Runs all threads to their end. With `random`, deviates where that says so; `schedule` first.
  const Run& RunAll(const std::vector<Thread>& threads, const Schedule& schedule,
                    std::mt19937_64* random = nullptr);
  // Where the last or the current run deviated from the default.
  Schedule Taken() const;

  bool running() const { return current_ != kNobody; }
  // The number of the thread that runs, from 0.
  size_t current() const { return current_; }
  // How many threads hold the lock.
  int Holders(const void* lock) const;
  bool IsWriteHeld(const void* lock) const;

 private:
  static constexpr size_t kNobody = kThreads;
  enum class Wait : uint8_t { kNone, kLock, kQueue, kOthers, kDone };
  struct Fiber;
  struct Lock {
    const void* lock;
    int writer;
    uint32_t readers;
  };

  Interleaver();
  ~Interleaver();
  static const shim_scheduler_ops kScheduler;
  void Point(shim_event what, const void* object);
  void Acquire(const void* lock, shim_held mode);
  void Release(const void* lock);
  void WaitOn(const unsigned long* wakes, unsigned long seen);
  void Relax();

  Lock& LockOf(const void* lock);
  bool CanTake(const Lock& lock, shim_held mode) const;
  bool CanRun(size_t thread, bool even_idle);
  uint32_t Enabled();
  size_t Choose();
  void SwitchTo(size_t thread);
  void GoOn();
  static void Main(unsigned index);
  [[noreturn]] void Deadlock();
  void Print(const char* what, const void* object);

  std::vector<std::unique_ptr<Fiber>> fibers_;  // the last is the host's thread
  const std::vector<Thread>* threads_ = nullptr;
  std::vector<Lock> locks_;
  const Schedule* schedule_ = nullptr;
  size_t next_deviation_ = 0;
  std::mt19937_64* random_ = nullptr;
  size_t current_ = kNobody;
  Run run_;
};

}  // namespace fakes

#endif  // TESTS_FAKES_INTERLEAVE_H_
