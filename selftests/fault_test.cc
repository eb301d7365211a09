// SPDX-License-Identifier: GPL-2.0-or-later
// Guest memory on every backing, and the host changing it under the guest: what the guest reads
// and writes is what the process has mapped at that moment.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;
using kvm::Mapping;

constexpr uint64_t kBase = 0x40000000;
constexpr size_t kPage = 4096;
constexpr size_t kHuge = 2 << 20;

// For each page of [RSI, RSI + RCX * RDX): add RDI to the first word; then report, and again.
GUEST_CODE(touch, 64, R"(
0: in $0x20, %al
  mov %rsi, %rbx
  mov %rcx, %rbp
1: add %rdi, (%rbx)
  add %rdx, %rbx
  dec %rbp
  jnz 1b
  out %al, $0x10
  jmp 0b
)");

// Reads the word at RSI for ever until it is RDI.
GUEST_CODE(await, 64, R"(
0: in $0x20, %al
1: cmp %rdi, (%rsi)
  jne 1b
  out %al, $0x10
  jmp 0b
)");

// Adds to the word at RSI for ever, and to the one behind it, until R8's word is not zero.
GUEST_CODE(pound, 64, R"(
  in $0x20, %al
1: incq (%rsi)
  incq 0x1000(%rsi)
  cmpq $0, (%r8)
  je 1b
  out %al, $0x10
  hlt
)");

class Guest {
 public:
  explicit Guest(const guest::Code& code) : machine_(code, Mode::kLong64) {
    machine_.vcpu().RunUntil(KVM_EXIT_IO);
  }
  Machine& machine() { return machine_; }
  kvm::Vm& vm() { return machine_.vm(); }
  kvm::Vcpu& vcpu() { return machine_.vcpu(); }

  void Arm(uint64_t gpa, uint64_t value, uint64_t count = 1, uint64_t stride = kPage) {
    kvm_regs regs = vcpu().regs();
    regs.rsi = gpa;
    regs.rdi = value;
    regs.rcx = count;
    regs.rdx = stride;
    vcpu().SetRegs(regs);
  }
  // One round of touch or await: runs to its report, and on to the next question.
  void Round() {
    machine_.RunUntilOut(0x10);
    vcpu().RunUntil(KVM_EXIT_IO);
  }
  // errno of the first KVM_RUN of a round.
  int TryRound() {
    const int error = vcpu().Run();
    if (error == 0) {
      CHECK_EQ(KVM_EXIT_IO, vcpu().run()->exit_reason);
      vcpu().RunUntil(KVM_EXIT_IO);
    }
    return error;
  }

 private:
  Machine machine_;
};

uint64_t& Word(const Mapping& m, size_t offset) {
  return *reinterpret_cast<uint64_t*>(m.data() + offset);
}

// The guest adds to every page, the host had a number in every second one.
void CheckBacking(const Mapping& m) {
  Guest g(touch);
  g.vm().Map(1, kBase, m.size(), m.data());
  const size_t pages = m.size() / kPage;
  for (size_t i = 0; i < pages; i += 2) Word(m, i * kPage) = 1000 + i;
  g.Arm(kBase, 5, pages);
  g.Round();
  for (size_t i = 0; i < pages; ++i) CHECK_EQ((i % 2 == 0 ? 1000 + i : 0) + 5, Word(m, i * kPage));
  g.Round();
  for (size_t i = 0; i < pages; ++i) CHECK_EQ((i % 2 == 0 ? 1000 + i : 0) + 10, Word(m, i * kPage));
}

CASE(Anonymous) { CheckBacking(Mapping(64 * kPage, MAP_PRIVATE | MAP_ANONYMOUS)); }

CASE(SharedAnonymous) { CheckBacking(Mapping(64 * kPage, MAP_SHARED | MAP_ANONYMOUS)); }

CASE(Memfd) {
  kvm::Fd fd(memfd_create("guest", MFD_CLOEXEC));
  CHECK_OK(ftruncate(fd.get(), 64 * kPage));
  CheckBacking(Mapping(64 * kPage, MAP_SHARED, fd.get()));
}

CASE(PrivateFile) {
  kvm::Fd fd(memfd_create("guest", MFD_CLOEXEC));
  CHECK_OK(ftruncate(fd.get(), 64 * kPage));
  CheckBacking(Mapping(64 * kPage, MAP_PRIVATE, fd.get()));
}

// Memory that starts on a huge-page boundary.
Mapping AlignedHuge(size_t size) {
  uint64_t aligned;
  {
    // Finds a place that is large enough; it is given back and taken at the boundary inside.
    const Mapping whole(size + kHuge, MAP_PRIVATE | MAP_ANONYMOUS);
    aligned = (reinterpret_cast<uint64_t>(whole.data()) + kHuge - 1) & ~(kHuge - 1);
  }
  void* address = mmap(reinterpret_cast<void*>(aligned), size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  CHECK(address == reinterpret_cast<void*>(aligned));
  return Mapping(address, size);
}

CASE(TransparentHuge) {
  Mapping m = AlignedHuge(2 * kHuge);
  CHECK_OK(madvise(m.data(), m.size(), MADV_HUGEPAGE));
  CheckBacking(m);
}

CASE(HugeThenSplit) {
  Mapping m = AlignedHuge(2 * kHuge);
  CHECK_OK(madvise(m.data(), m.size(), MADV_HUGEPAGE));
  Guest g(touch);
  g.vm().Map(1, kBase, m.size(), m.data());
  g.Arm(kBase, 3, m.size() / kPage);
  g.Round();
  // The host splits: one page in the middle goes, its neighbours stay.
  CHECK_OK(madvise(m.data() + 100 * kPage, kPage, MADV_DONTNEED));
  g.Round();
  CHECK_EQ(6ull, Word(m, 99 * kPage));
  CHECK_EQ(3ull, Word(m, 100 * kPage));
  CHECK_EQ(6ull, Word(m, 101 * kPage));
}

CASE(HugeTlb) {
  std::string path = "/proc/sys/vm/nr_hugepages";
  kvm::Fd knob(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (knob.get() < 0 || write(knob.get(), "2\n", 2) != 2) check::Skip("cannot reserve huge pages");
  void* address = mmap(nullptr, kHuge, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (address == MAP_FAILED) check::Skip("no huge pages");
  {
    Mapping m(address, kHuge);
    CheckBacking(m);
  }
  lseek(knob.get(), 0, SEEK_SET);
  CHECK_EQ(2, write(knob.get(), "0\n", 2));
}

CASE(DiscardBetweenRuns) {
  Mapping m(16 * kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  Guest g(touch);
  g.vm().Map(1, kBase, m.size(), m.data());
  g.Arm(kBase, 7, 16);
  for (uint64_t round = 0; round < 20; ++round) {
    g.Round();
    CHECK_EQ(7ull, Word(m, 5 * kPage));
    CHECK_EQ(7ull * (round + 1), Word(m, 6 * kPage));
    CHECK_OK(madvise(m.data() + 5 * kPage, kPage, MADV_DONTNEED));
  }
}

// The page goes while the guest reads it in a loop; what the host stores in the new page must
// reach the guest, or it spins for ever.
CASE(DiscardUnderTheGuest) {
  Mapping m(4 * kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  Guest g(await);
  g.vm().Map(1, kBase, m.size(), m.data());
  for (uint64_t round = 1; round <= check::Number("rounds", 20); ++round) {
    g.Arm(kBase + kPage, round);
    std::thread changer([&] {
      usleep(2000);
      madvise(m.data() + kPage, kPage, MADV_DONTNEED);
      reinterpret_cast<std::atomic<uint64_t>*>(m.data() + kPage)->store(round);
    });
    g.Round();
    changer.join();
  }
}

// The guest counts in two pages while the host throws them away, makes them read-only and gives
// them back. KVM_RUN may fail in between with EFAULT; nothing may be lost for good.
CASE(ChangesUnderWriter) {
  Mapping m(4 * kPage, MAP_SHARED | MAP_ANONYMOUS);
  Guest g(pound);
  g.vm().Map(1, kBase, m.size(), m.data());
  kvm_regs regs = g.vcpu().regs();
  regs.rsi = kBase;
  regs.r8 = kBase + 3 * kPage;
  g.vcpu().SetRegs(regs);
  std::atomic<bool> done = false;
  std::thread changer([&] {
    for (unsigned long i = 0; i < check::Number("rounds", 20); ++i) {
      mprotect(m.data(), 2 * kPage, PROT_READ);
      usleep(200);
      mprotect(m.data(), 2 * kPage, PROT_READ | PROT_WRITE);
      madvise(m.data() + kPage, kPage, MADV_DONTNEED);
      usleep(1000);
    }
    done = true;
    reinterpret_cast<std::atomic<uint64_t>*>(m.data() + 3 * kPage)->store(1);
  });
  while (true) {
    const int error = g.vcpu().Run();
    if (error == EFAULT) continue;
    CHECK_EQ(0, error);
    CHECK_EQ(KVM_EXIT_IO, g.vcpu().run()->exit_reason);
    break;
  }
  changer.join();
  CHECK(done);
  g.machine().RunUntilHlt();
  // A shared page keeps its contents over MADV_DONTNEED: both were counted alike.
  const uint64_t first = Word(m, 0), second = Word(m, kPage);
  CHECK(first > 0);
  CHECK_EQ(first, second);
}

CASE(Protection) {
  Mapping m(4 * kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  Guest g(touch);
  g.vm().Map(1, kBase, m.size(), m.data());
  g.Arm(kBase, 1);
  g.Round();
  CHECK_OK(mprotect(m.data(), m.size(), PROT_READ));
  CHECK_EQ(EFAULT, g.TryRound());
  CHECK_OK(mprotect(m.data(), m.size(), PROT_NONE));
  CHECK_EQ(EFAULT, g.TryRound());
  CHECK_OK(mprotect(m.data(), m.size(), PROT_READ | PROT_WRITE));
  CHECK_EQ(0, g.TryRound());
  CHECK_EQ(2ull, Word(m, 0));
}

CASE(UnmappedHostMemory) {
  Mapping m(4 * kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  void* address = m.data();
  Guest g(touch);
  g.vm().Map(1, kBase, m.size(), m.data());
  g.Arm(kBase, 1);
  g.Round();
  m.Unmap();
  CHECK_EQ(EFAULT, g.TryRound());
  // Something else appears at the address: it is the guest's memory now.
  void* again = mmap(address, 4 * kPage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  CHECK(again == address);
  Mapping other(again, 4 * kPage);
  CHECK_EQ(0, g.TryRound());
  CHECK_EQ(1ull, Word(other, 0));
}

// After fork() both processes share the pages until one writes; the guest belongs to the parent.
CASE(ForkCopiesOnWrite) {
  Mapping m(8 * kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  Guest g(touch);
  g.vm().Map(1, kBase, m.size(), m.data());
  g.Arm(kBase, 1, 8);
  g.Round();
  int pipe_fds[2];
  CHECK_OK(pipe(pipe_fds));
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char byte;
    if (read(pipe_fds[0], &byte, 1) != 1) _exit(2);
    // The child's copy is as it was at fork().
    for (size_t i = 0; i < 8; ++i) {
      if (Word(m, i * kPage) != 1) _exit(1);
    }
    _exit(0);
  }
  g.Round();
  for (size_t i = 0; i < 8; ++i) CHECK_EQ(2ull, Word(m, i * kPage));
  CHECK_EQ(1, write(pipe_fds[1], "x", 1));
  int status = 0;
  CHECK_EQ(child, waitpid(child, &status, 0));
  CHECK_EQ(0, status);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
  g.Round();
  for (size_t i = 0; i < 8; ++i) CHECK_EQ(3ull, Word(m, i * kPage));
}

// Reads of memory that nobody wrote yet share the zero page; a write must leave it.
CASE(ZeroPage) {
  Mapping m(4 * kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  Guest g(await);
  g.vm().Map(1, kBase, m.size(), m.data());
  g.Arm(kBase, 0);
  g.Round();
  Word(m, 0) = 5;
  g.Arm(kBase, 5);
  g.Round();
  Mapping other(kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  CHECK_EQ(0ull, Word(other, 0));
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
