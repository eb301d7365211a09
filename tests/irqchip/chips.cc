// SPDX-License-Identifier: GPL-2.0-or-later
#include "chips.h"

#include <gtest/gtest.h>

#include <utility>

namespace vmm {

Lapic::Lapic(uint32_t id, bool bsp) : page_(std::make_unique<vlm_lapic_page>()) {
  vlm_lapic_regs_init(&regs_, page_.get(), id, bsp);
}

uint32_t Lapic::Read(uint32_t offset) {
  uint32_t value = 0;
  EXPECT_EQ(0, vlm_lapic_regs_read(&regs_, offset, now, &value)) << std::hex << offset;
  return value;
}

vlm_lapic_fx Lapic::Write(uint32_t offset, uint32_t value) {
  vlm_lapic_fx fx{};
  EXPECT_EQ(0, vlm_lapic_regs_write(&regs_, offset, value, now, &fx)) << std::hex << offset;
  return fx;
}

void Lapic::EnterX2apic() {
  vlm_lapic_fx fx{};
  ASSERT_EQ(0, vlm_lapic_regs_set_base(&regs_, regs_.base | VLM_APIC_BASE_X2APIC, false, &fx));
}

uint32_t Ioapic::Read(uint32_t index) {
  uint32_t value = 0;
  vlm_ioapic_regs_write(regs(), 0x00, 4, &index);
  vlm_ioapic_regs_read(regs(), 0x10, 4, &value);
  return value;
}

void Ioapic::Write(uint32_t index, uint32_t value) {
  vlm_ioapic_regs_write(regs(), 0x00, 4, &index);
  vlm_ioapic_regs_write(regs(), 0x10, 4, &value);
}

void Ioapic::SetEntry(uint32_t pin, uint64_t entry) {
  Write(0x11 + 2 * pin, static_cast<uint32_t>(entry >> 32));
  Write(0x10 + 2 * pin, static_cast<uint32_t>(entry));
}

uint64_t Ioapic::Entry(uint32_t pin) {
  return Read(0x10 + 2 * pin) | static_cast<uint64_t>(Read(0x11 + 2 * pin)) << 32;
}

std::vector<vlm_apic_msg> Ioapic::TakeSent() { return std::exchange(sent_, {}); }

int Ioapic::Send(const vlm_apic_msg& msg) {
  sent_.push_back(msg);
  return answer;
}

void Pic::Init(uint8_t master, uint8_t slave, uint8_t icw4) {
  Out(0x20, 0x11);
  Out(0x21, master);
  Out(0x21, 0x04);
  Out(0x21, icw4);
  Out(0xa0, 0x11);
  Out(0xa1, slave);
  Out(0xa1, 0x02);
  Out(0xa1, icw4);
}

void Pic::Pulse(uint32_t pin) {
  Line(pin, 1);
  Line(pin, 0);
}

void Pit::Program(uint32_t nr, uint32_t mode, uint32_t count) {
  Out(3, static_cast<uint8_t>(nr << 6 | 0x30 | mode << 1));
  Out(nr, static_cast<uint8_t>(count));
  Out(nr, static_cast<uint8_t>(count >> 8));
}

void Pit::AdvanceClocks(uint64_t clocks) {
  // Round up, so that the clock in question has passed.
  now += (clocks * VLM_NSEC_PER_SEC + VLM_PIT_HZ - 1) / VLM_PIT_HZ;
}

}  // namespace vmm

extern "C" int vlm_ioapic_send(struct vlm_ioapic_regs* r, const struct vlm_apic_msg* msg) {
  return vmm::Ioapic::Of(r)->Send(*msg);
}
