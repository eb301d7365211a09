// SPDX-License-Identifier: GPL-2.0-or-later
// The NX huge page mitigation: what a guest executes is mapped by 4-KiB pages, what it reads by
// huge ones, and those that were split come back after a while.
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "lib/check.h"
#include "lib/guest.h"
#include "lib/parameter.h"
#include "lib/stats.h"

namespace {

using guest::Machine;
using guest::Mode;
using kvm::Mapping;
using kvm::Parameter;

constexpr uint64_t kBase = 0x40000000;
constexpr size_t kHuge = 2 << 20;
constexpr unsigned kPages = 3;

// Reads the word at RSI, or with RDI set calls the function there; reports, and again.
GUEST_CODE(reader, 64, R"(
0: in $0x20, %al
  test %rdi, %rdi
  jnz 1f
  mov (%rsi), %rax
  jmp 2f
1: call *%rsi
2: out %al, $0x10
  jmp 0b
)");

// A machine whose second slot is three huge pages of the host, each with a function in it.
class HugeGuest {
 public:
  HugeGuest()
      : machine_(reader, Mode::kLong64), area_((kPages + 1) * kHuge, MAP_PRIVATE | MAP_ANONYMOUS) {
    const auto start = reinterpret_cast<uintptr_t>(area_.data());
    memory_ = area_.data() + (-start & (kHuge - 1));
    madvise(memory_, kPages * kHuge, MADV_HUGEPAGE);
    for (unsigned i = 0; i < kPages; i++) memory_[i * kHuge] = 0xc3;
    machine_.vm().Map(1, kBase, kPages * kHuge, memory_);
    machine_.vcpu().RunUntil(KVM_EXIT_IO);
    stats_ = std::make_unique<stats::File>(machine_.vm().fd());
    huge_ = Huge();
    splits_ = Splits();
  }

  void Read(unsigned page) { Use(page, 0); }
  void Execute(unsigned page) { Use(page, 1); }
  uint64_t Huge() const { return stats_->Value("pages_2m"); }
  uint64_t Splits() const { return stats_->Value("nx_lpage_splits"); }
  // Since the guest's own code was mapped.
  void Expect(uint64_t huge, uint64_t splits) const {
    CHECK_EQ(huge, Huge() - huge_);
    CHECK_EQ(splits, Splits() - splits_);
  }
  void AwaitNoSplits() const {
    for (int i = 0; Splits() && i < 100; i++) usleep(50000);
    CHECK_EQ(0u, Splits());
  }
  uint64_t own_splits() const { return splits_; }
  uint64_t own_huge() const { return huge_; }

 private:
  void Use(unsigned page, uint64_t execute) {
    kvm_regs regs = machine_.vcpu().regs();
    regs.rsi = kBase + page * kHuge;
    regs.rdi = execute;
    machine_.vcpu().SetRegs(regs);
    machine_.RunUntilOut(0x10);
    machine_.vcpu().RunUntil(KVM_EXIT_IO);
  }

  Machine machine_;
  Mapping area_;
  uint8_t* memory_;
  std::unique_ptr<stats::File> stats_;
  uint64_t huge_ = 0;
  uint64_t splits_ = 0;
};

CASE(SplitByExecutionAndRecovered) {
  const Parameter mitigation("nx_huge_pages", "force");
  const Parameter ratio("nx_huge_pages_recovery_ratio", "0");
  const Parameter period("nx_huge_pages_recovery_period_ms", "100");
  HugeGuest g;
  g.Read(0);
  if (g.Huge() == g.own_huge()) check::Skip("the host gave no huge page");
  g.Expect(1, 0);
  g.Read(1);
  g.Expect(2, 0);
  g.Execute(0);
  g.Expect(1, 1);
  g.Execute(2);
  g.Expect(1, 2);
  for (unsigned page = 0; page < kPages; page++) g.Read(page);
  g.Expect(1, 2);

  ratio.Write("1");
  g.AwaitNoSplits();
  ratio.Write("0");
  for (unsigned page = 0; page < kPages; page++) g.Read(page);
  // The guest's own code was recovered as well, and is split again by running.
  g.Expect(3, 0);
  g.Execute(1);
  g.Expect(2, 1);
}

CASE(SwitchedOffAndOnWhileInUse) {
  const Parameter mitigation("nx_huge_pages", "force");
  HugeGuest g;
  g.Execute(0);
  if (g.Splits() == g.own_splits()) check::Skip("the host gave no huge page");
  mitigation.Write("off");
  // They are cut off at once, and count until the reclaimer has had its turn.
  g.AwaitNoSplits();
  g.Execute(0);
  g.Execute(1);
  CHECK_EQ(0u, g.Splits());
  CHECK(g.Huge() >= 2);
  mitigation.Write("force");
  g.Execute(1);
  CHECK(g.Splits() >= 1);
}

CASE(MachineWithoutTheMitigation) {
  const Parameter mitigation("nx_huge_pages", "force");
  kvm::Vm vm;
  kvm_enable_cap cap{};
  cap.cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES;
  cap.args[0] = 1;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  cap.args[0] = 0;
  cap.flags = 1;
  CHECK_ERRNO(EINVAL, kvm::Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  cap.flags = 0;
  CHECK_OK(kvm::Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  Machine late(reader, Mode::kLong64);
  CHECK_ERRNO(EINVAL, kvm::Ioctl(late.vm().fd(), KVM_ENABLE_CAP, &cap));
}

CASE(Parameters) {
  const Parameter mitigation("nx_huge_pages", "off");
  CHECK_EQ(std::string("N\n"), mitigation.Read());
  mitigation.Write("force");
  CHECK_EQ(std::string("Y\n"), mitigation.Read());
  mitigation.Write("0");
  CHECK_EQ(std::string("N\n"), mitigation.Read());
  mitigation.Write("auto");
  CHECK_EQ(EINVAL, mitigation.Put("perhaps"));
  const Parameter ratio("nx_huge_pages_recovery_ratio", "60");
  CHECK_EQ(EINVAL, ratio.Put("many"));
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
