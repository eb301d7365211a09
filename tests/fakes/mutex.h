// SPDX-License-Identifier: GPL-2.0-or-later
// A mutex of the fakes that may be held where threads are switched (interleave.h).
#ifndef TESTS_FAKES_MUTEX_H_
#define TESTS_FAKES_MUTEX_H_

#include <mutex>

#include "kmod_mmu.h"

namespace fakes {

class Mutex {
 public:
  void lock() {
    if (shim_scheduler)
      shim_scheduler->lock(this, SHIM_HELD_WRITE);
    else
      real_.lock();
  }
  void unlock() {
    if (shim_scheduler)
      shim_scheduler->unlock(this);
    else
      real_.unlock();
  }

 private:
  std::mutex real_;
};

}  // namespace fakes

#endif  // TESTS_FAKES_MUTEX_H_
