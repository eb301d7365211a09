// SPDX-License-Identifier: GPL-2.0-or-later
// Random programs for every chip: no sanitizer report, invariants hold. The seed is printed on
// failure; VELLUM_SEED repeats it, VELLUM_FUZZ_ROUNDS makes it longer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <random>

#include "chips.h"

namespace vmm {
namespace {

uint64_t Env(const char* name, uint64_t fallback) {
  const char* text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 0) : fallback;
}

class Fuzz : public testing::Test {
 protected:
  Fuzz() : seed_(Env("VELLUM_SEED", std::random_device{}())), random_(seed_) {}
  void SetUp() override { RecordProperty("seed", std::to_string(seed_)); }
  void TearDown() override {
    if (HasFailure()) printf("VELLUM_SEED=%llu\n", static_cast<unsigned long long>(seed_));
  }

  uint64_t Any() { return random_(); }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  // Small numbers, single bits, all ones and noise.
  uint64_t Interesting() {
    switch (Below(4)) {
      case 0:
        return Below(0x120);
      case 1:
        return 1ull << Below(64);
      case 2:
        return ~0ull >> Below(64);
      default:
        return Any();
    }
  }
  template <typename T>
  void Fill(T* data) {
    auto* bytes = reinterpret_cast<uint8_t*>(data);
    for (size_t i = 0; i < sizeof(*data); i++) bytes[i] = static_cast<uint8_t>(Any());
  }

  const uint64_t rounds_ = Env("VELLUM_FUZZ_ROUNDS", 200000);
  uint64_t seed_;
  std::mt19937_64 random_;
};

TEST_F(Fuzz, Lapic) {
  Lapic apic(Below(1024));
  apic.Enable();
  for (uint64_t i = 0; i < rounds_ && !HasFailure(); i++) {
    vlm_lapic_regs* r = apic.regs();
    vlm_lapic_fx fx{};
    u64 data = Interesting();
    uint32_t offset = Below(4) ? Below(0x40) << 4 : Below(VLM_LAPIC_PAGE_BYTES);
    apic.now += Below(1u << Below(31));
    switch (Below(12)) {
      case 0:
      case 1:
        vlm_lapic_regs_mmio_write(r, offset, 4, apic.now, &data, &fx);
        break;
      case 2:
        vlm_lapic_regs_mmio_write(r, offset, 1u << Below(4), apic.now, &data, &fx);
        break;
      case 3:
        vlm_lapic_regs_mmio_read(r, offset, 1u << Below(4), apic.now, &data);
        break;
      case 4:
      case 5:
        vlm_lapic_regs_msr_write(r, Below(0x100), data, apic.now, &fx);
        break;
      case 6:
        vlm_lapic_regs_msr_read(r, Below(0x100), apic.now, &data);
        break;
      case 7:
        apic.Post(static_cast<uint8_t>(data), Below(2));
        break;
      case 8: {
        int offered = apic.Pending();
        uint32_t ppr = vlm_lapic_regs_ppr(r);
        EXPECT_EQ(offered, apic.Accept());
        if (offered >= 0) {
          EXPECT_GT(static_cast<uint32_t>(offered) >> 4, ppr >> 4);
          EXPECT_EQ(offered, vlm_lapic_regs_highest(r, VLM_LAPIC_ISR));
        }
        break;
      }
      case 9:
        if (r->timer_expiry) {
          bool posted;
          apic.now = std::max<uint64_t>(apic.now, r->timer_expiry);
          uint64_t next = vlm_lapic_timer_fire(r, apic.now, &posted);
          // It never asks to be called at once: that would be a storm.
          if (next) {
            EXPECT_GT(next, apic.now);
          }
        }
        break;
      case 10:
        vlm_lapic_regs_set_base(r, Below(2) ? 0xfee00000 | (data & 0xd00) : data, Below(2), &fx);
        if (!Below(20)) vlm_lapic_regs_reset(r, Below(2));
        break;
      case 11: {
        kvm_lapic_state state;
        if (Below(8)) {
          vlm_lapic_regs_save(r, apic.now, &state);
        } else {
          Fill(&state);
        }
        vlm_lapic_regs_load(r, apic.now, &state);
        kvm_lapic_state again;
        vlm_lapic_regs_save(r, apic.now, &state);
        vlm_lapic_regs_load(r, apic.now, &state);
        vlm_lapic_regs_save(r, apic.now, &again);
        EXPECT_EQ(0, memcmp(&state, &again, sizeof(state)));
        break;
      }
    }
    if (vlm_lapic_timer_mode(r) == VLM_LVT_TIMER_PERIODIC && r->timer_period) {
      EXPECT_GE(r->timer_period, VLM_TIMER_MIN_PERIOD_NS);
    }
    EXPECT_EQ(0u, vlm_lapic_reg(r, VLM_LAPIC_ICR) & VLM_LAPIC_ICR_BUSY);
    EXPECT_LE(vlm_lapic_regs_ppr(r), 0xffu);
  }
}

TEST_F(Fuzz, Ioapic) {
  Ioapic io;
  for (uint64_t i = 0; i < rounds_ && !HasFailure(); i++) {
    u64 data = Interesting();
    io.answer = static_cast<int>(Below(3)) - 1;
    switch (Below(6)) {
      case 0:
        io.Write(Below(0x48), static_cast<uint32_t>(data));
        break;
      case 1:
        vlm_ioapic_regs_write(io.regs(), Below(0x100), 1u << Below(4), &data);
        break;
      case 2:
        vlm_ioapic_regs_read(io.regs(), Below(0x100), 1u << Below(4), &data);
        break;
      case 3:
        io.Line(Below(30), Below(2) != 0);
        break;
      case 4:
        io.Eoi(static_cast<uint8_t>(data));
        break;
      case 5:
        if (!Below(16)) {
          kvm_ioapic_state state;
          Fill(&state);
          vlm_ioapic_regs_load(io.regs(), &state);
        } else {
          vlm_ioapic_regs_redeliver(io.regs());
        }
        break;
    }
    // At most one message for each pin and step.
    EXPECT_LE(io.TakeSent().size(), size_t{VLM_IOAPIC_PINS});
    EXPECT_EQ(0u, io.regs()->lines >> VLM_IOAPIC_PINS);
    for (uint64_t entry : io.regs()->redir) {
      EXPECT_EQ(0u, entry & ~(VLM_REDIR_WRITABLE | VLM_REDIR_REMOTE_IRR));
    }
  }
}

TEST_F(Fuzz, Pic) {
  constexpr uint16_t kPorts[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x22};
  Pic pic;
  for (uint64_t i = 0; i < rounds_ && !HasFailure(); i++) {
    uint16_t port = kPorts[Below(7)];
    switch (Below(5)) {
      case 0:
        pic.Out(port, static_cast<uint8_t>(Interesting()));
        break;
      case 1:
        pic.In(port);
        break;
      case 2:
        pic.Line(Below(18), Below(2) != 0);
        break;
      case 3: {
        int offered = pic.Peek();
        EXPECT_EQ(pic.output(), offered >= 0);
        int vector = pic.Ack();
        if (offered >= 0) {
          EXPECT_EQ(offered, vector);
        }
        EXPECT_GE(vector, 0);
        EXPECT_LE(vector, 0xff);
        break;
      }
      case 4:
        if (!Below(32)) {
          kvm_pic_state state;
          Fill(&state);
          vlm_pic_regs_load(pic.regs(), Below(2), &state);
        }
        break;
    }
    // Nothing asks for service unless it is requested and unmasked.
    const kvm_pic_state& master = pic.regs()->chip[0];
    if (pic.output()) {
      EXPECT_NE(0, master.irr & ~master.imr);
    }
  }
}

TEST_F(Fuzz, Pit) {
  Pit pit;
  for (uint64_t i = 0; i < rounds_ && !HasFailure(); i++) {
    pit.now += Below(1u << Below(32));
    switch (Below(6)) {
      case 0:
      case 1:
        pit.Out(Below(4), static_cast<uint8_t>(Interesting()));
        break;
      case 2:
        pit.In(Below(4));
        break;
      case 3:
        pit.SetSpeaker(static_cast<uint8_t>(Any()));
        break;
      case 4:
        pit.Speaker();
        break;
      case 5:
        if (!Below(32)) {
          kvm_pit_state2 state;
          Fill(&state);
          vlm_pit_regs_load(pit.regs(), &state, pit.now);
        }
        break;
    }
    for (uint32_t nr = 0; nr < 3; nr++) {
      EXPECT_LE(pit.Count(nr), 0xffffu);
      pit.Output(nr);
    }
    u64 period;
    uint64_t expiry = vlm_pit_regs_expiry(pit.regs(), &period);
    if (period) {
      EXPECT_GE(period, VLM_TIMER_MIN_PERIOD_NS);
      EXPECT_NE(0u, expiry);
    }
  }
}

}  // namespace
}  // namespace vmm
