// SPDX-License-Identifier: GPL-2.0-or-later
#include "interleave.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <bit>
#include <cstdio>
#include <cstdlib>

#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace fakes {
namespace {

constexpr size_t kStackBytes = size_t{1} << 18;

}  // namespace

std::string ToText(const Schedule& schedule) {
  std::string text;
  for (const Deviation& d : schedule) {
    if (!text.empty()) text += ',';
    text += std::to_string(d.point) + static_cast<char>('a' + d.thread);
  }
  return text;
}

std::optional<Schedule> ScheduleFromText(const std::string& text) {
  Schedule schedule;
  const char* p = text.c_str();
  while (*p) {
    char* end;
    const unsigned long point = std::strtoul(p, &end, 10);
    const int thread = end == p ? -1 : *end - 'a';
    if (thread < 0 || thread >= static_cast<int>(Interleaver::kThreads)) return std::nullopt;
    schedule.push_back({static_cast<uint32_t>(point), static_cast<uint8_t>(thread)});
    p = end + 1;
    if (*p == ',') p++;
  }
  return schedule;
}

struct Interleaver::Fiber {
  ucontext_t context{};
  void* stack = nullptr;
  size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // of the address sanitizer
  shim_thread* thread = nullptr;

  Wait wait = Wait::kDone;
  const void* object = nullptr;
  shim_held mode = SHIM_HELD_ANY;
  const unsigned long* wakes = nullptr;
  unsigned long seen = 0;
};

const shim_scheduler_ops Interleaver::kScheduler = {
    .point = [](shim_event what, const void* object) { Get().Point(what, object); },
    .lock = [](const void* lock, shim_held mode) { Get().Acquire(lock, mode); },
    .unlock = [](const void* lock) { Get().Release(lock); },
    .wait = [](const unsigned long* wakes, unsigned long seen) { Get().WaitOn(wakes, seen); },
    .relax = [] { Get().Relax(); },
};

Interleaver& Interleaver::Get() {
  static Interleaver interleaver;
  return interleaver;
}

Interleaver::Interleaver() {
  for (size_t i = 0; i <= kThreads; i++) fibers_.push_back(std::make_unique<Fiber>());
  for (size_t i = 0; i < kThreads; i++) {
    Fiber& f = *fibers_[i];
    f.stack_bytes = kStackBytes;
    f.stack =
        mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f.stack == MAP_FAILED) std::abort();
    f.thread = shim_thread_new();
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack;
    f.context.uc_stack.ss_size = kStackBytes;
    makecontext(&f.context, reinterpret_cast<void (*)()>(&Interleaver::Main), 1,
                static_cast<unsigned>(i));
  }
#ifdef __SANITIZE_ADDRESS__
  Fiber& host = *fibers_[kThreads];
  pthread_attr_t attr;
  if (pthread_getattr_np(pthread_self(), &attr) ||
      pthread_attr_getstack(&attr, &host.stack, &host.stack_bytes))
    std::abort();
  pthread_attr_destroy(&attr);
#endif
}

Interleaver::~Interleaver() {
  for (size_t i = 0; i < kThreads; i++) {
    munmap(fibers_[i]->stack, kStackBytes);
    shim_thread_free(fibers_[i]->thread);
  }
}

// --- switching ---

void Interleaver::SwitchTo(size_t thread) {
  Fiber& from = *fibers_[current_];
  Fiber& to = *fibers_[thread];
  current_ = thread;
  shim_thread_use(to.thread);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.stack_bytes);
#endif
  swapcontext(&from.context, &to.context);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

// The stack of a fiber is never unwound: it runs one body after the other.
void Interleaver::Main(unsigned index) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
  Interleaver& self = Get();
  for (;;) {
    (*self.threads_)[index].body();
    self.fibers_[index]->wait = Wait::kDone;
    self.GoOn();
  }
}

const Interleaver::Run& Interleaver::RunAll(const std::vector<Thread>& threads,
                                            const Schedule& schedule, std::mt19937_64* random) {
  run_.decisions.clear();
  run_.points = run_.preemptions = 0;
  threads_ = &threads;
  locks_.clear();
  schedule_ = &schedule;
  next_deviation_ = 0;
  random_ = random;
  for (size_t i = 0; i < kThreads; i++)
    fibers_[i]->wait = i < threads.size() ? Wait::kNone : Wait::kDone;

  shim_scheduler = &kScheduler;
  // The host's thread takes part as one that ends at once.
  fibers_[kThreads]->wait = Wait::kDone;
  GoOn();
  shim_scheduler = nullptr;
  if (next_deviation_ < schedule.size())
    shim_violation("SCHEDULE", "the run ended before all of the schedule was used");
  for (const Lock& lock : locks_)
    if (lock.writer >= 0 || lock.readers) shim_violation("LOCK", "a thread ended with a lock held");
  return run_;
}

// --- deciding ---

bool Interleaver::CanTake(const Lock& lock, shim_held mode) const {
  return lock.writer < 0 && (mode == SHIM_HELD_READ || !lock.readers);
}

bool Interleaver::CanRun(size_t thread, bool even_idle) {
  const Fiber& f = *fibers_[thread];
  switch (f.wait) {
    case Wait::kNone:
      return true;
    case Wait::kLock:
      return CanTake(LockOf(f.object), f.mode);
    case Wait::kQueue:
      return *f.wakes != f.seen;
    case Wait::kOthers:
      return even_idle;
    case Wait::kDone:
      return false;
  }
  return false;
}

uint32_t Interleaver::Enabled() {
  uint32_t enabled = 0;
  for (size_t i = 0; i < kThreads; i++) enabled |= uint32_t{CanRun(i, false)} << i;
  // Who waits for others to move goes on when no other can.
  for (size_t i = 0; !enabled && i < kThreads; i++) enabled |= uint32_t{CanRun(i, true)} << i;
  return enabled;
}

// The thread that runs from this point on; kThreads when all are done.
size_t Interleaver::Choose() {
  const uint32_t enabled = Enabled();
  if (!enabled) {
    for (size_t i = 0; i < kThreads; i++)
      if (fibers_[i]->wait != Wait::kDone) Deadlock();
    return kThreads;
  }
  if (run_.points >= kPointsMax) shim_violation("PROGRESS", "the threads run in circles");

  const uint32_t point = run_.points++;
  const bool can_stay =
      current_ < kThreads && (enabled >> current_ & 1) && fibers_[current_]->wait == Wait::kNone;
  // A thread that idles gives way to all others in turn; to choose among them has a price, or the
  // choice between two that idle would go on for ever.
  const bool has_price =
      can_stay || (current_ < kThreads && fibers_[current_]->wait == Wait::kOthers);
  size_t chosen = current_;
  // From kNobody the first one is next.
  while (!can_stay && !(enabled >> chosen & 1 && chosen < kThreads))
    chosen = chosen >= kThreads ? 0 : chosen + 1;

  const size_t by_default = chosen;
  if (next_deviation_ < schedule_->size() && (*schedule_)[next_deviation_].point == point) {
    chosen = (*schedule_)[next_deviation_++].thread;
    if (!(enabled >> chosen & 1))
      shim_violation("SCHEDULE", "the schedule names a thread that cannot run");
  } else if (random_ && std::popcount(enabled) > 1 && (*random_)() % (can_stay ? 8 : 2) == 0) {
    do chosen = (*random_)() % kThreads;
    while (!(enabled >> chosen & 1));
  }
  if (std::popcount(enabled) > 1) {
    run_.decisions.push_back({point, static_cast<uint8_t>(enabled), static_cast<uint8_t>(chosen),
                              static_cast<uint8_t>(by_default), has_price});
    run_.preemptions += has_price && chosen != by_default;
  }
  return chosen;
}

void Interleaver::GoOn() {
  const size_t next = Choose();
  if (next < kThreads) {
    fibers_[next]->wait = Wait::kNone;
    // The others wait for somebody to move, and somebody does.
    for (size_t i = 0; i < kThreads; i++)
      if (i != next && fibers_[i]->wait == Wait::kOthers) fibers_[i]->wait = Wait::kNone;
  }
  if (next != current_) SwitchTo(next);
}

Schedule Interleaver::Taken() const {
  Schedule taken;
  for (const Decision& d : run_.decisions)
    if (d.chosen != d.by_default) taken.push_back({d.point, d.chosen});
  return taken;
}

// --- what threads do ---

void Interleaver::Print(const char* what, const void* object) {
  printf("%6u %-10s %-7s %s\n", run_.points, (*threads_)[current_].name.c_str(), what,
         object && name_of ? name_of(object).c_str() : "");
}

void Interleaver::Point(shim_event what, const void* object) {
  if (current_ == kNobody) return;
  if (what == SHIM_READ || what == SHIM_WRITE) {
    const Fiber& f = *fibers_[current_];
    const auto offset =
        static_cast<size_t>(static_cast<const char*>(object) - static_cast<const char*>(f.stack));
    if (offset < f.stack_bytes || (is_shared && !is_shared(object))) return;
  }
  if (trace) {
    constexpr const char* kNames[] = {"step", "read", "write", "lock", "unlock", "rcu"};
    Print(kNames[what], object);
  }
  if (at_point) at_point();
  GoOn();
}

Interleaver::Lock& Interleaver::LockOf(const void* lock) {
  for (Lock& l : locks_)
    if (l.lock == lock) return l;
  return locks_.emplace_back(Lock{lock, -1, 0});
}

int Interleaver::Holders(const void* lock) const {
  for (const Lock& l : locks_)
    if (l.lock == lock) return l.writer >= 0 ? 1 : std::popcount(l.readers);
  return 0;
}

bool Interleaver::IsWriteHeld(const void* lock) const {
  for (const Lock& l : locks_)
    if (l.lock == lock) return l.writer >= 0;
  return false;
}

void Interleaver::Acquire(const void* lock, shim_held mode) {
  if (current_ == kNobody) shim_violation("SCHEDULE", "a lock taken outside of all threads");
  Fiber& f = *fibers_[current_];
  Lock& l = LockOf(lock);
  if (l.writer == static_cast<int>(current_) || (l.readers >> current_ & 1))
    shim_violation("LOCK", "taken twice by one thread");
  Point(SHIM_LOCK, lock);
  while (!CanTake(LockOf(lock), mode)) {
    f.wait = Wait::kLock;
    f.object = lock;
    f.mode = mode;
    if (trace) Print("waits", lock);
    GoOn();
  }
  Lock& now = LockOf(lock);
  if (mode == SHIM_HELD_READ)
    now.readers |= 1u << current_;
  else
    now.writer = static_cast<int>(current_);
}

void Interleaver::Release(const void* lock) {
  Lock& l = LockOf(lock);
  if (l.writer == static_cast<int>(current_))
    l.writer = -1;
  else
    l.readers &= ~(1u << current_);
  Point(SHIM_UNLOCK, lock);
}

void Interleaver::WaitOn(const unsigned long* wakes, unsigned long seen) {
  Fiber& f = *fibers_[current_];
  while (*wakes == seen) {
    f.wait = Wait::kQueue;
    f.object = wakes;
    f.wakes = wakes;
    f.seen = seen;
    if (trace) Print("sleeps", wakes);
    GoOn();
  }
}

void Interleaver::Relax() {
  if (current_ == kNobody) return;
  if (trace) Print("idles", nullptr);
  if (at_point) at_point();
  fibers_[current_]->wait = Wait::kOthers;
  GoOn();
}

void Interleaver::Deadlock() {
  std::string text = "nobody can run:";
  for (size_t i = 0; i < threads_->size(); i++) {
    const Fiber& f = *fibers_[i];
    if (f.wait == Wait::kDone) continue;
    text +=
        " " + (*threads_)[i].name + " waits for " +
        (name_of ? name_of(f.object) : std::string(f.wait == Wait::kLock ? "a lock" : "a wake")) +
        ";";
  }
  shim_violation("DEADLOCK", text.c_str());
}

}  // namespace fakes
