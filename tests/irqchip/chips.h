// SPDX-License-Identifier: GPL-2.0-or-later
// The chips under test, owned by C++ objects.
#ifndef TESTS_IRQCHIP_CHIPS_H_
#define TESTS_IRQCHIP_CHIPS_H_

#include <cstdint>
#include <memory>
#include <vector>

extern "C" {
#include "irqchip/ioapic_regs.h"
#include "irqchip/lapic_regs.h"
#include "irqchip/pic_regs.h"
#include "irqchip/pit_regs.h"
}

namespace vmm {

// A local APIC. Time is what the test says.
class Lapic {
 public:
  explicit Lapic(uint32_t id = 0, bool bsp = true);

  vlm_lapic_regs* regs() { return &regs_; }
  const vlm_lapic_regs* regs() const { return &regs_; }

  uint32_t Read(uint32_t offset);
  // A refused write fails the test.
  vlm_lapic_fx Write(uint32_t offset, uint32_t value);
  void Enable() { Write(VLM_LAPIC_SVR, VLM_LAPIC_SVR_ENABLE | 0xff); }
  void EnterX2apic();
  bool Post(uint8_t vector, bool level = false) {
    return vlm_lapic_regs_post(&regs_, vector, level);
  }
  int Accept() { return vlm_lapic_regs_accept(&regs_); }
  int Pending() const { return vlm_lapic_regs_pending(&regs_); }
  vlm_lapic_fx Eoi() { return Write(VLM_LAPIC_EOI, 0); }

  uint64_t now = 1000000;

 private:
  std::unique_ptr<vlm_lapic_page> page_;
  vlm_lapic_regs regs_{};
};

// An I/O APIC that records what it sends.
class Ioapic {
 public:
  Ioapic() { vlm_ioapic_regs_reset(regs()); }
  Ioapic(const Ioapic&) = delete;
  Ioapic& operator=(const Ioapic&) = delete;

  vlm_ioapic_regs* regs() { return &chip_.regs; }

  uint32_t Read(uint32_t index);
  void Write(uint32_t index, uint32_t value);
  void SetEntry(uint32_t pin, uint64_t entry);
  uint64_t Entry(uint32_t pin);
  int Line(uint32_t pin, int level) { return vlm_ioapic_regs_set_line(regs(), pin, level); }
  // End of interrupt without a device in between. True for a storm.
  bool Eoi(uint8_t vector) {
    return vlm_ioapic_regs_continue(regs(), vlm_ioapic_regs_eoi(regs(), vector));
  }
  // Messages since the last call.
  std::vector<vlm_apic_msg> TakeSent();

  // What the next sends answer.
  int answer = 1;

  // Whose registers these are.
  static Ioapic* Of(vlm_ioapic_regs* regs) { return reinterpret_cast<Chip*>(regs)->owner; }
  int Send(const vlm_apic_msg& msg);

 private:
  struct Chip {
    vlm_ioapic_regs regs;  // first, see Of()
    Ioapic* owner;
  };
  Chip chip_{{}, this};
  std::vector<vlm_apic_msg> sent_;
};

class Pic {
 public:
  Pic() { vlm_pic_regs_reset(&regs_); }
  // As a PC's firmware does: vectors from @master and @slave.
  void Init(uint8_t master = 0x20, uint8_t slave = 0x28, uint8_t icw4 = 0x01);

  vlm_pic_regs* regs() { return &regs_; }
  uint8_t In(uint16_t port) { return vlm_pic_regs_read(&regs_, port); }
  void Out(uint16_t port, uint8_t value) { vlm_pic_regs_write(&regs_, port, value); }
  int Line(uint32_t pin, int level) { return vlm_pic_regs_set_line(&regs_, pin, level); }
  void Pulse(uint32_t pin);
  int Peek() const { return vlm_pic_regs_peek(&regs_); }
  int Ack() { return vlm_pic_regs_ack(&regs_); }
  bool output() const { return regs_.output; }

 private:
  vlm_pic_regs regs_{};
};

class Pit {
 public:
  Pit() { vlm_pit_regs_reset(&regs_, now); }

  vlm_pit_regs* regs() { return &regs_; }
  uint8_t In(uint32_t port) { return vlm_pit_regs_read(&regs_, port, now); }
  bool Out(uint32_t port, uint8_t value) { return vlm_pit_regs_write(&regs_, port, value, now); }
  uint8_t Speaker() const { return vlm_pit_regs_speaker_read(&regs_, now); }
  void SetSpeaker(uint8_t value) { vlm_pit_regs_speaker_write(&regs_, value, now); }
  // Program channel @nr for both bytes of a count.
  void Program(uint32_t nr, uint32_t mode, uint32_t count);
  void AdvanceClocks(uint64_t clocks);
  uint32_t Count(uint32_t nr) const { return vlm_pit_regs_count(&regs_, nr, now); }
  bool Output(uint32_t nr) const { return vlm_pit_regs_out(&regs_, nr, now); }

  uint64_t now = 5000000;

 private:
  vlm_pit_regs regs_{};
};

}  // namespace vmm

#endif  // TESTS_IRQCHIP_CHIPS_H_
