// SPDX-License-Identifier: GPL-2.0-or-later
// Dirty logs that user space clears by itself, and what is refused.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "lib/check.h"
#include "lib/guest.h"
#include "lib/kvm.h"
#include "lib/stats.h"

namespace {

using kvm::Mapping;

constexpr uint64_t kBase = 0x1000000;
constexpr uint64_t kPage = 4096;
constexpr uint32_t kSlot = 1;
constexpr size_t kPages = 100;

Mapping Anonymous(size_t pages) { return Mapping(pages * kPage, MAP_PRIVATE | MAP_ANONYMOUS); }

int EnableCap(kvm::Vm& vm, uint32_t number, uint64_t arg) {
  kvm_enable_cap cap{};
  cap.cap = number;
  cap.args[0] = arg;
  return kvm::Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap);
}

// Writes EDI to where RSI points, and says so.
GUEST_CODE(writer, 64, R"(
0: mov %edi, (%rsi)
  out %al, $0x11
  jmp 0b
)");

// Adds 1 to the first word of each page from RSI to RDI, round and round until there is something
// at RDX; then, and after one round if R8 is 0, says so.
GUEST_CODE(round_writer, 64, R"(
0: mov %rsi, %rbx
1: incq (%rbx)
  add $4096, %rbx
  cmp %rdi, %rbx
  jb 1b
  test %r8, %r8
  jz 2f
  cmpl $0, (%rdx)
  jz 0b
2: out %al, $0x11
  jmp 0b
)");

enum class Rounds : uint64_t { kOne, kMany };

class Guest {
 public:
  explicit Guest(const guest::Code& code = writer) : machine_(code, guest::Mode::kLong64) {}

  kvm::Vm& vm() { return machine_.vm(); }
  // The guest writes; false when that left as MMIO.
  bool Write(uint64_t gpa, uint32_t value) {
    kvm_regs regs = machine_.vcpu().regs();
    regs.rsi = gpa;
    regs.rdi = value;
    machine_.vcpu().SetRegs(regs);
    CHECK_EQ(0, machine_.vcpu().Run());
    return machine_.run()->exit_reason == KVM_EXIT_IO;
  }
  // `rounds`: writes to each page.
  void Run(uint64_t pages, Rounds rounds) {
    kvm_regs regs = machine_.vcpu().regs();
    regs.rsi = kBase;
    regs.rdi = kBase + pages * kPage;
    regs.rdx = kStop;
    regs.r8 = static_cast<uint64_t>(rounds);
    machine_.vcpu().SetRegs(regs);
    machine_.vcpu().RunUntil(KVM_EXIT_IO);
  }
  void Stop() { *machine_.At<uint32_t>(kStop) = 1; }
  kvm::Vcpu& vcpu() { return machine_.vcpu(); }

 private:
  static constexpr uint64_t kStop = guest::kData;
  guest::Machine machine_;
};

using Bits = std::vector<uint64_t>;

Bits GetLog(kvm::Vm& vm, size_t pages = kPages) {
  Bits bits((pages + 63) / 64);
  kvm_dirty_log log{};
  log.slot = kSlot;
  log.dirty_bitmap = bits.data();
  CHECK_OK(kvm::Ioctl(vm.fd(), KVM_GET_DIRTY_LOG, &log));
  return bits;
}

int Clear(kvm::Vm& vm, uint64_t first, uint32_t pages, const void* bits, uint32_t slot = kSlot) {
  kvm_clear_dirty_log log{};
  log.slot = slot;
  log.first_page = first;
  log.num_pages = pages;
  log.dirty_bitmap = const_cast<void*>(bits);
  return kvm::Ioctl(vm.fd(), KVM_CLEAR_DIRTY_LOG, &log);
}

void NeedManual(kvm::Vm& vm, uint64_t flags) {
  CHECK_EQ(3, kvm::Ioctl(vm.fd(), KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2));
  CHECK_OK(EnableCap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, flags));
}

CASE(CopyThenClear) {
  Guest g;
  NeedManual(g.vm(), KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
  Mapping memory = Anonymous(kPages);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  CHECK(g.Write(kBase + 3 * kPage, 1));
  CHECK(g.Write(kBase + 4 * kPage, 1));
  CHECK(g.Write(kBase + 70 * kPage, 1));
  const Bits all{3 << 3, 1 << 6};
  CHECK(GetLog(g.vm()) == all);
  CHECK(GetLog(g.vm()) == all);

  const uint64_t some[] = {1 << 3, 0};
  CHECK_OK(Clear(g.vm(), 0, 64, some));
  CHECK(GetLog(g.vm()) == (Bits{1 << 4, 1 << 6}));
  CHECK(g.Write(kBase + 3 * kPage, 2));
  CHECK(GetLog(g.vm()) == all);
  // The tail need not be whole words.
  const uint64_t ones[] = {~0ull, ~0ull};
  CHECK_OK(Clear(g.vm(), 64, kPages - 64, ones));
  CHECK(GetLog(g.vm()) == (Bits{3 << 3, 0}));
  CHECK_OK(Clear(g.vm(), 0, kPages, ones));
  CHECK(GetLog(g.vm()) == (Bits{0, 0}));
  CHECK(g.Write(kBase + 99 * kPage, 1));
  CHECK(GetLog(g.vm()) == (Bits{0, 1ull << 35}));
}

CASE(InitiallySet) {
  Guest g;
  NeedManual(g.vm(), KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
  Mapping memory = Anonymous(kPages);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data());
  CHECK(g.Write(kBase + 3 * kPage, 1));
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  const uint64_t ones[] = {~0ull, ~0ull};
  CHECK(GetLog(g.vm()) == (Bits{~0ull, (1ull << 36) - 1}));
  CHECK_OK(Clear(g.vm(), 0, 64, ones));
  CHECK(GetLog(g.vm()) == (Bits{0, (1ull << 36) - 1}));
  CHECK(g.Write(kBase + 3 * kPage, 2));
  CHECK(g.Write(kBase + 70 * kPage, 2));
  CHECK(GetLog(g.vm()) == (Bits{1 << 3, (1ull << 36) - 1}));
}

// Without the capability a log is fetched and cleared at once; to clear more does no harm.
CASE(ClearWithoutManualProtection) {
  Guest g;
  Mapping memory = Anonymous(kPages);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  CHECK(g.Write(kBase + 3 * kPage, 1));
  const uint64_t ones[] = {~0ull, ~0ull};
  CHECK_OK(Clear(g.vm(), 0, kPages, ones));
  CHECK(GetLog(g.vm()) == (Bits{0, 0}));
  CHECK(g.Write(kBase + 3 * kPage, 1));
  CHECK(GetLog(g.vm()) == (Bits{1 << 3, 0}));
}

// The module parameter of that name.
bool HardwareLogs() {
  std::ifstream file(kvm::IsVellum() ? "/sys/module/vellum/parameters/pml"
                                     : "/sys/module/kvm_intel/parameters/pml");
  return file.get() == 'Y';
}

// More pages than the hardware's log has entries: each is reported, and with that log next to no
// write is an exit.
CASE(EveryPageOfMany) {
  constexpr size_t kMany = 1500;
  Guest g(round_writer);
  Mapping memory = Anonymous(kMany);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  const stats::File counters(g.vcpu().fd());
  Bits all(kMany / 64, ~0ull);
  all.push_back((1ull << kMany % 64) - 1);
  for (uint64_t round = 1; round < 4; round++) {
    const uint64_t exits = counters.Value("exits");
    g.Run(kMany, Rounds::kOne);
    CHECK(GetLog(g.vm(), kMany) == all);
    CHECK(GetLog(g.vm(), kMany) == Bits(all.size()));
    if (round == 1) continue;
    const uint64_t taken = counters.Value("exits") - exits;
    // The host's timer interrupts may be among them.
    if (HardwareLogs())
      CHECK(taken < 100);
    else
      CHECK(taken > kMany);
  }
}

// A guest that never stops writing, and somebody who reads its log meanwhile: a page that changed
// since it was last reported must be reported once more.
void WriteAndHarvest(bool manual) {
  constexpr size_t kMany = 700;
  Guest g(round_writer);
  if (manual) NeedManual(g.vm(), KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
  Mapping memory = Anonymous(kMany);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  const auto page = [&](size_t i) {
    return *reinterpret_cast<volatile uint64_t*>(memory.data() + i * kPage);
  };
  std::vector<uint64_t> seen(kMany);
  size_t reported = 0;
  const auto harvest = [&] {
    const Bits bits = GetLog(g.vm(), kMany);
    if (manual) CHECK_OK(Clear(g.vm(), 0, kMany, bits.data()));
    for (size_t i = 0; i < kMany; i++) {
      if (!(bits[i / 64] >> i % 64 & 1)) continue;
      seen[i] = page(i);
      reported++;
    }
  };
  std::thread vcpu([&] { g.Run(kMany, Rounds::kMany); });
  for (int i = 0; i < 200 || (reported <= 2 * kMany && i < 20000); i++) {
    harvest();
    if (i % 8 == 0) usleep(1000);
  }
  g.Stop();
  vcpu.join();
  harvest();
  CHECK(reported > 2 * kMany);
  for (size_t i = 0; i < kMany; i++) CHECK_EQ(page(i), seen[i]);
  CHECK(GetLog(g.vm(), kMany) == Bits((kMany + 63) / 64));
}

CASE(WritesWhileTheLogIsFetched) { WriteAndHarvest(false); }
CASE(WritesWhileTheLogIsCleared) { WriteAndHarvest(true); }

CASE(RefusedClears) {
  Guest g;
  kvm::Vm& vm = g.vm();
  const uint64_t ones[] = {~0ull, ~0ull};
  CHECK_ERRNO(ENOENT, Clear(vm, 0, 64, ones));
  Mapping memory = Anonymous(kPages);
  vm.Map(kSlot, kBase, memory.size(), memory.data());
  CHECK_ERRNO(ENOENT, Clear(vm, 0, 64, ones));
  vm.Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  CHECK_ERRNO(EINVAL, Clear(vm, 0, 64, ones, 2u << 16 | kSlot));
  CHECK_ERRNO(EINVAL, Clear(vm, 0, 64, ones, 0xffff));
  CHECK_ERRNO(EINVAL, Clear(vm, 1, 63, ones));
  CHECK_ERRNO(EINVAL, Clear(vm, 0, 63, ones));
  CHECK_ERRNO(EINVAL, Clear(vm, 0, kPages + 1, ones));
  CHECK_ERRNO(EINVAL, Clear(vm, 64, kPages, ones));
  CHECK_ERRNO(EINVAL, Clear(vm, 128, 0, ones));
  CHECK_ERRNO(EINVAL, Clear(vm, ~63ull, 64, ones));
  CHECK_ERRNO(EFAULT, Clear(vm, 0, 64, reinterpret_cast<void*>(8)));
  CHECK_OK(Clear(vm, 64, 0, nullptr));
}

CASE(RefusedFlags) {
  kvm::Vm vm;
  constexpr uint32_t kCap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
  CHECK_ERRNO(EINVAL, EnableCap(vm, kCap, KVM_DIRTY_LOG_INITIALLY_SET));
  CHECK_ERRNO(EINVAL, EnableCap(vm, kCap, 4));
  CHECK_ERRNO(EINVAL, EnableCap(vm, kCap, 5));
  CHECK_OK(EnableCap(vm, kCap, 3));
  CHECK_OK(EnableCap(vm, kCap, 1));
  CHECK_OK(EnableCap(vm, kCap, 0));
}

// --- dirty rings ---

constexpr uint64_t kRingBytes = 16384;
constexpr size_t kEntries = kRingBytes / sizeof(kvm_dirty_gfn);

// A machine whose vCPU tells of writes by a ring.
class RingGuest {
 public:
  RingGuest() : low_(guest::kLowSize, MAP_PRIVATE | MAP_ANONYMOUS) {
    CHECK_OK(EnableCap(vm_, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, kRingBytes));
    vm_.Map(0, 0, low_.size(), low_.data());
    std::memcpy(low_.data() + guest::kCode, writer.begin,
                static_cast<size_t>(writer.end - writer.begin));
    vcpu_.emplace(vm_.AddVcpu());
    guest::Enter(*vcpu_, low_.data(), guest::Mode::kLong64);
    ring_ = Mapping(kRingBytes, MAP_SHARED, vcpu_->fd(), KVM_DIRTY_LOG_PAGE_OFFSET * kPage);
  }

  kvm::Vm& vm() { return vm_; }
  kvm::Vcpu& vcpu() { return *vcpu_; }
  volatile kvm_dirty_gfn& Entry(size_t i) {
    return reinterpret_cast<volatile kvm_dirty_gfn*>(ring_.data())[i % kEntries];
  }
  // Exit reason of the write.
  uint32_t Write(uint64_t gpa) {
    kvm_regs regs = vcpu_->regs();
    regs.rsi = gpa;
    vcpu_->SetRegs(regs);
    CHECK_EQ(0, vcpu_->Run());
    return vcpu_->run()->exit_reason;
  }
  std::vector<uint64_t> Collect() {
    std::vector<uint64_t> pages;
    for (; Entry(next_).flags == KVM_DIRTY_GFN_F_DIRTY; next_++) {
      CHECK_EQ(kSlot, Entry(next_).slot);
      pages.push_back(Entry(next_).offset);
      Entry(next_).flags = KVM_DIRTY_GFN_F_RESET;
    }
    return pages;
  }
  int Reset() { return kvm::Ioctl(vm_.fd(), KVM_RESET_DIRTY_RINGS); }

 private:
  kvm::Vm vm_;
  Mapping low_;
  std::optional<kvm::Vcpu> vcpu_;
  Mapping ring_;
  size_t next_ = 0;
};

CASE(RingTellsOfWrites) {
  RingGuest g;
  Mapping memory = Anonymous(kPages);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  CHECK_EQ(KVM_EXIT_IO, g.Write(kBase + 3 * kPage));
  CHECK_EQ(KVM_EXIT_IO, g.Write(kBase + 70 * kPage));
  CHECK_EQ(0, g.Reset());
  CHECK(g.Collect() == (std::vector<uint64_t>{3, 70}));
  CHECK_EQ(KVM_EXIT_IO, g.Write(kBase + 3 * kPage));
  CHECK(g.Collect().empty());
  CHECK_EQ(2, g.Reset());
  CHECK_EQ(KVM_EXIT_IO, g.Write(kBase + 3 * kPage));
  CHECK(g.Collect() == (std::vector<uint64_t>{3}));
  CHECK_EQ(1, g.Reset());

  // The other way of reading a log does not exist here.
  uint64_t bits[2];
  kvm_dirty_log log{};
  log.slot = kSlot;
  log.dirty_bitmap = bits;
  CHECK_ERRNO(ENXIO, kvm::Ioctl(g.vm().fd(), KVM_GET_DIRTY_LOG, &log));
  CHECK_ERRNO(ENXIO, Clear(g.vm(), 0, 64, bits));
}

CASE(RingFull) {
  RingGuest g;
  Mapping memory = Anonymous(2 * kEntries);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  size_t written = 0;
  while (g.Write(kBase + written * kPage) == KVM_EXIT_IO) CHECK(++written <= kEntries);
  CHECK_EQ(KVM_EXIT_DIRTY_RING_FULL, g.vcpu().run()->exit_reason);
  CHECK_EQ(0, g.vcpu().Run());
  CHECK_EQ(KVM_EXIT_DIRTY_RING_FULL, g.vcpu().run()->exit_reason);
  const std::vector<uint64_t> pages = g.Collect();
  CHECK(pages.size() >= written);
  for (size_t i = 0; i < pages.size(); i++) CHECK_EQ(i, pages[i]);
  CHECK_EQ(static_cast<int>(pages.size()), g.Reset());
  CHECK_EQ(KVM_EXIT_IO, g.Write(kBase));
}

// What user space writes to the entries may not do harm.
CASE(RingOfRubbish) {
  RingGuest g;
  Mapping memory = Anonymous(kPages);
  g.vm().Map(kSlot, kBase, memory.size(), memory.data(), KVM_MEM_LOG_DIRTY_PAGES);
  for (size_t i = 0; i < kEntries; i++) {
    g.Entry(i).flags = ~0u;
    g.Entry(i).slot = ~0u;
    g.Entry(i).offset = ~0ull;
  }
  for (uint64_t i = 0; i < 4; i++) CHECK_EQ(KVM_EXIT_IO, g.Write(kBase + i * kPage));
  const uint64_t offsets[] = {kPages, ~0ull, 1ull << 63, 0};
  const uint32_t slots[] = {kSlot, kSlot, kSlot, 0xffffffff};
  for (size_t i = 0; i < 4; i++) {
    g.Entry(i).offset = offsets[i];
    g.Entry(i).slot = slots[i];
    g.Entry(i).flags = ~0u;
  }
  if (kvm::IsVellum()) CHECK_EQ(4, g.Reset());
  CHECK_EQ(KVM_EXIT_IO, g.Write(kBase));
}

CASE(RefusedRings) {
  kvm::Vm vm;
  constexpr uint32_t kCap = KVM_CAP_DIRTY_LOG_RING;
  CHECK_EQ(1 << 20, vm.Capability(kCap));
  CHECK_EQ(1 << 20, vm.Capability(KVM_CAP_DIRTY_LOG_RING_ACQ_REL));
  CHECK_ERRNO(EINVAL, kvm::Ioctl(vm.fd(), KVM_RESET_DIRTY_RINGS));
  CHECK_ERRNO(EINVAL, EnableCap(vm, kCap, 0));
  CHECK_ERRNO(EINVAL, EnableCap(vm, kCap, 2048));
  CHECK_ERRNO(EINVAL, EnableCap(vm, kCap, kRingBytes + 4096));
  CHECK_ERRNO(E2BIG, EnableCap(vm, kCap, 1 << 21));
  CHECK_OK(EnableCap(vm, kCap, kRingBytes));
  CHECK_ERRNO(EINVAL, EnableCap(vm, kCap, kRingBytes));
  kvm::Vcpu vcpu = vm.AddVcpu();
  const off_t at = KVM_DIRTY_LOG_PAGE_OFFSET * static_cast<off_t>(kPage);
  const auto map = [&](int prot, int flags, off_t offset) {
    void* p = mmap(nullptr, kRingBytes, prot, flags, vcpu.fd(), offset);
    return p == MAP_FAILED ? -1 : munmap(p, kRingBytes);
  };
  CHECK_ERRNO(EINVAL, map(PROT_READ, MAP_PRIVATE, at));
  CHECK_ERRNO(EINVAL, map(PROT_READ | PROT_EXEC, MAP_SHARED, at));
  CHECK_OK(map(PROT_READ | PROT_WRITE, MAP_SHARED, at));

  kvm::Vm late;
  kvm::Vcpu first = late.AddVcpu();
  CHECK_ERRNO(EINVAL, EnableCap(late, kCap, kRingBytes));
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
