// SPDX-License-Identifier: GPL-2.0-or-later
// Memory slots: create, delete, move, change flags; what is refused; what the guest sees.
#include <sys/mman.h>

#include <cstring>
#include <vector>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;
using kvm::Mapping;

constexpr uint64_t kBase = 0x10000000;  // where slot 1 lies at first
constexpr size_t kPage = 4096;

Mapping Anonymous(size_t pages) { return Mapping(pages * kPage, MAP_PRIVATE | MAP_ANONYMOUS); }

// Obeys the test for ever: RSI address, RDI value; port 0x10 reads it, port 0x11 writes it.
GUEST_CODE(peek_poke, 64, R"(
0: in $0x20, %al
  test %al, %al
  jnz 1f
  mov (%rsi), %eax
  out %eax, $0x10
  jmp 0b
1: mov %edi, (%rsi)
  out %eax, $0x11
  jmp 0b
)");

class Guest {
 public:
  Guest() : machine_(peek_poke, Mode::kLong64) {}

  kvm::Vm& vm() { return machine_.vm(); }
  kvm_run* run() { return machine_.run(); }
  kvm::Vcpu& vcpu() { return machine_.vcpu(); }

  // The guest reads or writes; false when that left as MMIO, which stays to be answered.
  bool Read(uint64_t gpa, uint32_t* value) {
    Command(gpa, 0, 0);
    if (run()->exit_reason == KVM_EXIT_MMIO) {
      CHECK_EQ(gpa, run()->mmio.phys_addr);
      CHECK_EQ(0, run()->mmio.is_write);
      return false;
    }
    CHECK_EQ(KVM_EXIT_IO, run()->exit_reason);
    std::memcpy(value, machine_.vcpu().page() + run()->io.data_offset, 4);
    return true;
  }

  bool Write(uint64_t gpa, uint32_t value) {
    Command(gpa, value, 1);
    if (run()->exit_reason == KVM_EXIT_MMIO) {
      CHECK_EQ(gpa, run()->mmio.phys_addr);
      CHECK_EQ(1, run()->mmio.is_write);
      CHECK_EQ(4u, run()->mmio.len);
      CHECK(std::memcmp(run()->mmio.data, &value, 4) == 0);
      return false;
    }
    CHECK_EQ(KVM_EXIT_IO, run()->exit_reason);
    return true;
  }

  // Answers an MMIO exit; the guest goes on to report, and the value it saw is returned.
  uint32_t Answer(uint32_t value) {
    std::memcpy(run()->mmio.data, &value, 4);
    CHECK_EQ(0, vcpu().Run());
    CHECK_EQ(KVM_EXIT_IO, run()->exit_reason);
    uint32_t seen;
    std::memcpy(&seen, vcpu().page() + run()->io.data_offset, 4);
    return seen;
  }

  uint32_t MustRead(uint64_t gpa) {
    uint32_t value = 0;
    if (!Read(gpa, &value)) check::Fail(__FILE__, __LINE__, "read left as MMIO");
    return value;
  }

 private:
  void Command(uint64_t gpa, uint32_t value, uint8_t what) {
    CHECK_EQ(0, vcpu().Run());
    CHECK_EQ(KVM_EXIT_IO, run()->exit_reason);
    CHECK_EQ(KVM_EXIT_IO_IN, run()->io.direction);
    vcpu().page()[run()->io.data_offset] = what;
    kvm_regs regs = vcpu().regs();
    regs.rsi = gpa;
    regs.rdi = value;
    vcpu().SetRegs(regs);
    CHECK_EQ(0, vcpu().Run());
  }

  Machine machine_;
};

CASE(AddAndAccess) {
  Guest g;
  Mapping memory = Anonymous(4);
  g.vm().Map(1, kBase, memory.size(), memory.data());
  memory.data()[kPage] = 42;
  CHECK_EQ(42u, g.MustRead(kBase + kPage));
  CHECK(g.Write(kBase + 2 * kPage, 0xabcdef));
  uint32_t value;
  std::memcpy(&value, memory.data() + 2 * kPage, 4);
  CHECK_EQ(0xabcdefu, value);
}

CASE(HoleIsMmio) {
  Guest g;
  uint32_t value = 0;
  CHECK(!g.Read(kBase, &value));
  CHECK_EQ(0x5555u, g.Answer(0x5555));
  CHECK(!g.Write(kBase, 7));
  g.Answer(0);
  // The same hole again: the answer may come from a cached MMIO entry now.
  CHECK(!g.Read(kBase, &value));
  CHECK_EQ(0x6666u, g.Answer(0x6666));
}

CASE(HoleBecomesMemory) {
  Guest g;
  uint32_t value = 0;
  CHECK(!g.Read(kBase, &value));
  g.Answer(0);
  Mapping memory = Anonymous(1);
  memory.data()[0] = 9;
  g.vm().Map(1, kBase, memory.size(), memory.data());
  CHECK_EQ(9u, g.MustRead(kBase));
}

CASE(DeleteMakesHole) {
  Guest g;
  Mapping memory = Anonymous(4);
  g.vm().Map(1, kBase, memory.size(), memory.data());
  CHECK(g.Write(kBase, 1));
  g.vm().Map(1, 0, 0, nullptr);
  uint32_t value = 0;
  CHECK(!g.Read(kBase, &value));
  g.Answer(0);
  CHECK_EQ(1, memory.data()[0]);
}

CASE(DeletedMemoryMayGo) {
  Guest g;
  {
    Mapping memory = Anonymous(4);
    g.vm().Map(1, kBase, memory.size(), memory.data());
    CHECK(g.Write(kBase, 1));
    g.vm().Map(1, 0, 0, nullptr);
  }
  Mapping other = Anonymous(4);
  other.data()[0] = 5;
  g.vm().Map(1, kBase, other.size(), other.data());
  CHECK_EQ(5u, g.MustRead(kBase));
}

// Without the quirk a delete takes away what the slot maps and nothing else. What stays is in the
// tables of the same 2 MiB, and beyond; what goes may be freed at once.
CASE(DeleteOnlyTheSlot) {
  Guest g;
  if (!(g.vm().Capability(KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_SLOT_ZAP_ALL))
    check::Skip("the quirk cannot be switched off here");
  kvm_enable_cap cap{};
  cap.cap = KVM_CAP_DISABLE_QUIRKS2;
  cap.args[0] = KVM_X86_QUIRK_SLOT_ZAP_ALL;
  CHECK_EQ(0, kvm::Ioctl(g.vm().fd(), KVM_ENABLE_CAP, &cap));

  constexpr size_t kPages = 3 * 512 + 7;
  Mapping left = Anonymous(5), right = Anonymous(700);
  const uint64_t base = kBase + left.size(), end = base + kPages * kPage;
  g.vm().Map(1, kBase, left.size(), left.data());
  g.vm().Map(3, end, right.size(), right.data());
  CHECK(g.Write(kBase + 4 * kPage, 11));
  CHECK(g.Write(end, 33));
  for (uint32_t round = 0; round < 3; ++round) {
    Mapping middle = Anonymous(kPages);
    g.vm().Map(2, base, middle.size(), middle.data());
    for (uint64_t page = 0; page < kPages; page += 97)
      CHECK(g.Write(base + page * kPage, round + 100));
    g.vm().Map(2, 0, 0, nullptr);
    middle.Unmap();
    uint32_t value = 0;
    for (uint64_t page = 0; page < kPages; page += 97) {
      CHECK(!g.Read(base + page * kPage, &value));
      g.Answer(0);
    }
    CHECK_EQ(11u, g.MustRead(kBase + 4 * kPage));
    CHECK_EQ(33u, g.MustRead(end));
  }
}

CASE(Move) {
  Guest g;
  Mapping memory = Anonymous(4);
  g.vm().Map(1, kBase, memory.size(), memory.data());
  CHECK(g.Write(kBase, 77));
  g.vm().Map(1, kBase + 0x100000, memory.size(), memory.data());
  CHECK_EQ(77u, g.MustRead(kBase + 0x100000));
  uint32_t value = 0;
  CHECK(!g.Read(kBase, &value));
  g.Answer(0);
}

CASE(ReadOnly) {
  Guest g;
  if (g.vm().Capability(KVM_CAP_READONLY_MEM) <= 0) check::Skip("no KVM_CAP_READONLY_MEM");
  Mapping memory = Anonymous(2);
  memory.data()[0] = 11;
  g.vm().Map(1, kBase, memory.size(), memory.data(), KVM_MEM_READONLY);
  CHECK_EQ(11u, g.MustRead(kBase));
  CHECK(!g.Write(kBase, 99));
  g.Answer(0);
  CHECK_EQ(11, memory.data()[0]);
  CHECK_EQ(11u, g.MustRead(kBase));
  // The host may write at any time.
  memory.data()[0] = 12;
  CHECK_EQ(12u, g.MustRead(kBase));
  // A page that nobody touched yet, written first.
  CHECK(!g.Write(kBase + kPage, 99));
  g.Answer(0);
  CHECK_EQ(0u, g.MustRead(kBase + kPage));
}

std::vector<uint64_t> DirtyLog(kvm::Vm& vm, uint32_t slot, size_t pages) {
  std::vector<uint64_t> bitmap((pages + 63) / 64);
  kvm_dirty_log log{};
  log.slot = slot;
  log.dirty_bitmap = bitmap.data();
  CHECK_OK(kvm::Ioctl(vm.fd(), KVM_GET_DIRTY_LOG, &log));
  return bitmap;
}

CASE(DirtyLogging) {
  Guest g;
  constexpr size_t kPages = 100;
  Mapping memory = Anonymous(kPages);
  g.vm().Map(1, kBase, memory.size(), memory.data());
  CHECK(g.Write(kBase, 1));
  CHECK(g.Write(kBase + 70 * kPage, 1));
  kvm_dirty_log log{};
  log.slot = 1;
  log.dirty_bitmap = memory.data();
  CHECK_ERRNO(ENOENT, kvm::Ioctl(g.vm().fd(), KVM_GET_DIRTY_LOG, &log));

  g.vm().Map(1, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  DirtyLog(g.vm(), 1, kPages);
  CHECK(g.Write(kBase + 3 * kPage, 2));
  CHECK(g.Write(kBase + 70 * kPage, 2));
  g.MustRead(kBase + 5 * kPage);
  std::vector<uint64_t> bitmap = DirtyLog(g.vm(), 1, kPages);
  CHECK_EQ(1ull << 3, bitmap[0]);
  CHECK_EQ(1ull << 6, bitmap[1]);
  bitmap = DirtyLog(g.vm(), 1, kPages);
  CHECK_EQ(0ull, bitmap[0] | bitmap[1]);
  CHECK(g.Write(kBase + 3 * kPage, 3));
  bitmap = DirtyLog(g.vm(), 1, kPages);
  CHECK_EQ(1ull << 3, bitmap[0]);

  g.vm().Map(1, kBase, memory.size(), memory.data());
  CHECK(g.Write(kBase + 3 * kPage, 4));
  CHECK_ERRNO(ENOENT, kvm::Ioctl(g.vm().fd(), KVM_GET_DIRTY_LOG, &log));
}

CASE(Refused) {
  kvm::Vm vm;
  Mapping m = Anonymous(16);
  const uint64_t size = m.size();
  CHECK_EQ(0, vm.SetRegion(1, kBase, size, m.data()));
  // Alignment of address, size and host address.
  CHECK_EQ(EINVAL, vm.SetRegion(2, 0x800, size, m.data()));
  CHECK_EQ(EINVAL, vm.SetRegion(2, 0, 0x800, m.data()));
  CHECK_EQ(EINVAL, vm.SetRegion(2, 0, kPage, m.data() + 1));
  // Wrap around the end of the address space.
  CHECK_EQ(EINVAL, vm.SetRegion(2, ~0xfffull, 2 * kPage, m.data()));
  // A host address that no user mapping can have.
  CHECK_EQ(EINVAL, vm.SetRegion(2, 0, kPage, reinterpret_cast<void*>(0xffff800000000000)));
  // Flags.
  CHECK_EQ(EINVAL, vm.SetRegion(2, 0, kPage, m.data(), 1u << 5));
  CHECK_EQ(EINVAL, vm.SetRegion(2, 0, kPage, m.data(), 1u << 31));
  // Overlap with another slot: whole, head, tail; touching is none.
  CHECK_EQ(EEXIST, vm.SetRegion(2, kBase, kPage, m.data()));
  CHECK_EQ(EEXIST, vm.SetRegion(2, kBase - kPage, 2 * kPage, m.data()));
  CHECK_EQ(EEXIST, vm.SetRegion(2, kBase + size - kPage, 2 * kPage, m.data()));
  CHECK_EQ(0, vm.SetRegion(2, kBase + size, kPage, m.data()));
  CHECK_EQ(0, vm.SetRegion(3, kBase - kPage, kPage, m.data()));
  // Moving onto another.
  CHECK_EQ(EEXIST, vm.SetRegion(3, kBase, kPage, m.data()));
  // An existing slot cannot change size, host address or its being read-only.
  CHECK_EQ(EINVAL, vm.SetRegion(1, kBase, size - kPage, m.data()));
  CHECK_EQ(EINVAL, vm.SetRegion(1, kBase, size, m.data() + kPage));
  CHECK_EQ(EINVAL, vm.SetRegion(1, kBase, size, m.data(), KVM_MEM_READONLY));
  // Slot numbers, and deleting what is not there.
  const int slots = vm.Capability(KVM_CAP_NR_MEMSLOTS);
  CHECK(slots >= 32);
  CHECK_EQ(EINVAL, vm.SetRegion(static_cast<uint32_t>(slots), 0, kPage, m.data()));
  CHECK_EQ(EINVAL, vm.SetRegion(7u << 16, 0, kPage, m.data()));
  CHECK_EQ(EINVAL, vm.SetRegion(9, 0, 0, nullptr));
  CHECK_EQ(0, vm.SetRegion(static_cast<uint32_t>(slots) - 1, 0, kPage, m.data()));
}

CASE(ManySlots) {
  Guest g;
  const uint32_t count = static_cast<uint32_t>(check::Number("slots", 200));
  Mapping memory = Anonymous(count);
  for (uint32_t i = 0; i < count; ++i) {
    memory.data()[i * kPage] = static_cast<uint8_t>(i);
    // Every other page of the guest, in an order that is neither up nor down.
    const uint32_t place = i * 7 % count;
    g.vm().Map(1 + i, kBase + place * 2 * kPage, kPage, memory.data() + i * kPage);
  }
  for (uint32_t i = 0; i < count; i += 17) {
    CHECK_EQ(i & 0xff, g.MustRead(kBase + (i * 7 % count) * 2 * kPage));
  }
  for (uint32_t i = 0; i < count; ++i) g.vm().Map(1 + i, 0, 0, nullptr);
}

CASE(RunWithoutSlots) {
  kvm::Vm vm;
  // KVM sizes its own pages by the slots, and would have none.
  CHECK_OK(kvm::Ioctl(vm.fd(), KVM_SET_NR_MMU_PAGES, 64ul));
  kvm::Vcpu vcpu = vm.AddVcpu();
  CHECK_EQ(0, vcpu.Run());
  CHECK(vcpu.run()->exit_reason == KVM_EXIT_INTERNAL_ERROR ||
        vcpu.run()->exit_reason == KVM_EXIT_SHUTDOWN || vcpu.run()->exit_reason == KVM_EXIT_MMIO);
}

CASE(DeleteCodeUnderTheGuest) {
  Guest g;
  CHECK_EQ(0, g.vcpu().Run());
  g.vm().Map(0, 0, 0, nullptr);
  CHECK_EQ(0, g.vcpu().Run());
  CHECK(g.run()->exit_reason == KVM_EXIT_INTERNAL_ERROR ||
        g.run()->exit_reason == KVM_EXIT_SHUTDOWN || g.run()->exit_reason == KVM_EXIT_MMIO);
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
