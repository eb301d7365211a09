// SPDX-License-Identifier: GPL-2.0-or-later
// IRR is written by any CPU while the owner accepts: no request is lost or doubled.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "chips.h"

namespace vmm {
namespace {

TEST(LapicPost, ConcurrentPostersAndOwner) {
  Lapic apic;
  apic.Enable();
  constexpr int kPosters = 3;
  constexpr int kRounds = 20000;
  std::atomic<int> running{kPosters};
  std::vector<uint64_t> posted(kPosters);
  std::vector<std::thread> threads;
  for (int t = 0; t < kPosters; t++) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kRounds; i++) {
        // All in one word, so that the posters collide.
        auto vector = static_cast<uint8_t>(0x60 + (i * 7 + t) % 32);
        if (vlm_lapic_regs_post(apic.regs(), vector, (i & 1) != 0)) {
          posted[static_cast<size_t>(t)]++;
        }
      }
      running--;
    });
  }
  uint64_t accepted = 0;
  for (;;) {
    bool last = running == 0;
    while (apic.Accept() >= 0) {
      accepted++;
      apic.Eoi();
    }
    if (last) break;
  }
  for (auto& thread : threads) thread.join();
  uint64_t total = 0;
  for (uint64_t n : posted) total += n;
  EXPECT_EQ(total, accepted);
}

TEST(LapicPost, ReadersMayMatchWhileTheOwnerChangesModes) {
  Lapic apic(3);
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    vlm_apic_msg msg{};
    msg.dest = 3;
    while (!stop) vlm_lapic_regs_match(apic.regs(), &msg);
  });
  for (int i = 0; i < 2000; i++) {
    vlm_lapic_fx fx{};
    uint64_t base =
        0xfee00000 | (i & 1 ? VLM_APIC_BASE_ENABLE | VLM_APIC_BASE_X2APIC : VLM_APIC_BASE_ENABLE);
    EXPECT_EQ(0, vlm_lapic_regs_set_base(apic.regs(), base, true, &fx));
  }
  stop = true;
  reader.join();
}

}  // namespace
}  // namespace vmm
