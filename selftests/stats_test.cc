// SPDX-License-Identifier: GPL-2.0-or-later
// Binary statistics: the file as <linux/kvm.h> describes it, its life beside that of the machine,
// and that what it counts is what happened.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <numeric>
#include <optional>
#include <set>
#include <thread>

#include "lib/check.h"
#include "lib/counters.h"
#include "lib/guest.h"
#include "lib/stats.h"
#include "lib/walker.h"

namespace {

using guest::Machine;
using guest::Mode;
using guest::SlotWalker;
using kvm::Mapping;
using stats::File;

constexpr size_t kPage = 4096;
constexpr size_t kPages = 256;

void CheckFormat(const File& file) {
  const kvm_stats_header& h = file.header();
  CHECK_EQ(0u, h.flags);
  CHECK(h.id_offset >= sizeof(h));
  CHECK(h.desc_offset >= h.id_offset + h.name_size);
  CHECK(h.data_offset >= h.desc_offset + h.num_desc * (sizeof(kvm_stats_desc) + h.name_size));
  CHECK(file.id().starts_with("kvm-" + std::to_string(getpid())));

  std::set<uint32_t> offsets;
  size_t words = 0;
  for (const auto& [name, counter] : file.Read()) {
    CHECK((counter.flags & KVM_STATS_TYPE_MASK) <= KVM_STATS_TYPE_MAX);
    CHECK((counter.flags & KVM_STATS_UNIT_MASK) <= KVM_STATS_UNIT_MAX);
    CHECK((counter.flags & KVM_STATS_BASE_MASK) <= KVM_STATS_BASE_MAX);
    CHECK(!counter.values.empty());
    CHECK_EQ(0u, counter.offset % 8);
    CHECK(offsets.insert(counter.offset).second);
    words += counter.values.size();
  }
  CHECK_EQ(file.size(), h.data_offset + words * 8);
}

CASE(TheFileDescribesItself) {
  Machine machine(guest::kWalkCode, Mode::kLong64);
  CHECK_EQ(1, machine.vm().Capability(KVM_CAP_BINARY_STATS_FD));
  const File vm(machine.vm().fd()), vcpu(machine.vcpu().fd());
  CheckFormat(vm);
  CheckFormat(vcpu);
  CHECK(vcpu.id().ends_with("/vcpu-0"));
}

// Any piece reads as the same bytes of the whole.
CASE(PiecesAreThoseOfTheWhole) {
  Machine machine(guest::kWalkCode, Mode::kLong64);
  const File file(machine.vcpu().fd());
  std::vector<uint8_t> whole(file.size() + 100, 0xee), piece(file.size());
  CHECK_EQ(static_cast<ssize_t>(file.size()), pread(file.fd(), whole.data(), whole.size(), 0));
  for (size_t at = 0; at < file.size(); at += 37) {
    for (const size_t len : {size_t{1}, size_t{13}, size_t{48}, file.size()}) {
      const size_t want = std::min(len, file.size() - at);
      CHECK_EQ(static_cast<ssize_t>(want),
               pread(file.fd(), piece.data(), len, static_cast<off_t>(at)));
      CHECK(!std::memcmp(piece.data(), whole.data() + at, want));
    }
  }
  // read() goes on where it stopped.
  CHECK_EQ(10, read(file.fd(), piece.data(), 10));
  CHECK_EQ(static_cast<ssize_t>(file.size()) - 10, read(file.fd(), piece.data() + 10, 1 << 20));
  CHECK(!std::memcmp(piece.data(), whole.data(), file.size()));
  CHECK_EQ(0, read(file.fd(), piece.data(), 10));
}

CASE(PastTheEndThereIsNothing) {
  Machine machine(guest::kWalkCode, Mode::kLong64);
  const File file(machine.vm().fd());
  char byte;
  CHECK_EQ(0, pread(file.fd(), &byte, 1, static_cast<off_t>(file.size())));
  CHECK_EQ(0, pread(file.fd(), &byte, 1, static_cast<off_t>(file.size()) + 4096));
  CHECK_EQ(0, pread(file.fd(), &byte, 1, INT64_MAX - 1));
  CHECK_EQ(1, pread(file.fd(), &byte, 1, static_cast<off_t>(file.size()) - 1));
  CHECK_ERRNO(EINVAL, pread(file.fd(), &byte, 1, -1));
}

CASE(SeekingMovesTheNextRead) {
  if (!kvm::IsVellum()) check::Skip("KVM's file takes a seek and stays where it is");
  Machine machine(guest::kWalkCode, Mode::kLong64);
  const File file(machine.vm().fd());
  uint32_t offset;
  CHECK_EQ(12, lseek(file.fd(), 12, SEEK_SET));
  CHECK_EQ(4, read(file.fd(), &offset, 4));
  CHECK_EQ(file.header().id_offset, offset);
  CHECK_EQ(static_cast<off_t>(file.size()), lseek(file.fd(), 0, SEEK_END));
  CHECK_ERRNO(EINVAL, lseek(file.fd(), 1, SEEK_END));
  CHECK_ERRNO(EINVAL, lseek(file.fd(), -1, SEEK_SET));
}

CASE(OnlyReadingIsPossible) {
  Machine machine(guest::kWalkCode, Mode::kLong64);
  const File file(machine.vm().fd());
  const Mapping nowhere(kPage, MAP_PRIVATE | MAP_ANONYMOUS);
  CHECK_OK(mprotect(nowhere.data(), kPage, PROT_NONE));
  char byte = 0;
  CHECK_EQ(O_RDONLY, fcntl(file.fd(), F_GETFL) & O_ACCMODE);
  CHECK_EQ(FD_CLOEXEC, fcntl(file.fd(), F_GETFD));
  CHECK_ERRNO(EBADF, write(file.fd(), &byte, 1));
  CHECK_ERRNO(EFAULT, pread(file.fd(), nowhere.data(), 4, 0));
  CHECK_ERRNO(EFAULT,
              pread(file.fd(), nowhere.data(), 4, static_cast<off_t>(file.header().data_offset)));
  CHECK_ERRNO(ENOTTY, kvm::Ioctl(file.fd(), KVM_GET_STATS_FD));
  CHECK(mmap(nullptr, kPage, PROT_READ, MAP_SHARED, file.fd(), 0) == MAP_FAILED);
  CHECK_EQ(ENODEV, errno);
}

CASE(NoDescriptorLeft) {
  Machine machine(guest::kWalkCode, Mode::kLong64);
  const rlimit none{3, 3};
  rlimit before;
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &before));
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &none));
  const int fd = kvm::Ioctl(machine.vm().fd(), KVM_GET_STATS_FD);
  const int error = errno;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &before));
  CHECK_EQ(-1, fd);
  CHECK_EQ(EMFILE, error);
}

// The file keeps what it shows alive, and lets go of it.
CASE(TheMachineMayGoFirst) {
  std::optional<File> vm, vcpu;
  {
    SlotWalker walker(kPages);
    walker.Round(kPages);
    vm.emplace(walker.machine().vm().fd());
    vcpu.emplace(walker.machine().vcpu().fd());
  }
  // The memory went with its process's mapping.
  CHECK_EQ(0u, vm->Value("pages_4k"));
  CHECK(vcpu->Value("exits") > 0);
  CheckFormat(*vm);
  vm.reset();
  CHECK(vcpu->Value("pf_fixed") > 0);
  vcpu.reset();
  counters::ExpectZero();
}

CASE(AnotherProcessMayReadButNotOpen) {
  Machine machine(guest::kWalkCode, Mode::kLong64);
  const File file(machine.vm().fd());
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = kvm::Ioctl(machine.vm().fd(), KVM_GET_STATS_FD) < 0 && errno == EIO;
    char byte;
    _exit(refused && pread(file.fd(), &byte, 1, 0) == 1 ? 0 : 1);
  }
  int status = 1;
  CHECK_EQ(child, waitpid(child, &status, 0));
  CHECK_EQ(0, status);
}

CASE(PagesAndFaultsAreCounted) {
  SlotWalker walker(kPages);
  const File vm(walker.machine().vm().fd()), vcpu(walker.machine().vcpu().fd());
  const uint64_t pages = vm.Value("pages_4k"), fixed = vcpu.Value("pf_fixed"),
                 taken = vcpu.Value("pf_taken"), exits = vcpu.Value("exits"),
                 io = vcpu.Value("io_exits");
  walker.Round(kPages);
  // And at most the guest's own table for that memory.
  const uint64_t mapped = vm.Value("pages_4k") - pages;
  CHECK(mapped == kPages || mapped == kPages + 1);
  CHECK_EQ(fixed + mapped, vcpu.Value("pf_fixed"));
  CHECK(vcpu.Value("pf_taken") >= taken + kPages);
  CHECK_EQ(io + 2, vcpu.Value("io_exits"));
  CHECK(vcpu.Value("exits") >= exits + kPages + 2);
  // Another round faults no more.
  const uint64_t after = vcpu.Value("pf_fixed");
  walker.Round(kPages);
  CHECK_EQ(after, vcpu.Value("pf_fixed"));

  walker.Delete();
  for (int i = 0; i < 1000 && vm.Value("pages_4k"); ++i) usleep(1000);
  CHECK_EQ(0u, vm.Value("pages_4k"));
}

CASE(HoldsStayWithinTheBudget) {
  if (!kvm::IsVellum()) check::Skip("KVM does not measure this");
  SlotWalker walker(kPages);
  const File vm(walker.machine().vm().fd());
  const auto sum = [&](const char* name) {
    const auto values = vm.Values(name);
    return std::accumulate(values.begin(), values.end(), uint64_t{0});
  };
  const uint64_t reads = sum("mmu_hold_read_hist"), writes = sum("mmu_hold_write_hist");
  walker.Round(kPages);
  CHECK(sum("mmu_hold_read_hist") >= reads + kPages);
  walker.Delete();
  CHECK(sum("mmu_hold_write_hist") > writes);
  CHECK(vm.Value("mmu_max_hold") > 0);
  CHECK(vm.Value("mmu_max_hold_read_cycles") > 0);
  CHECK(vm.Value("mmu_max_hold_write_cycles") > 0);
}

CASE(SleepingIsCounted) {
  // Halts until an interrupt that never comes; a signal ends the wait.
  Machine machine(guest::kWalkCode, Mode::kLong64, true);
  kvm_mp_state halted{KVM_MP_STATE_HALTED};
  CHECK_OK(kvm::Ioctl(machine.vcpu().fd(), KVM_SET_MP_STATE, &halted));
  const File vcpu(machine.vcpu().fd());
  CHECK_EQ(0u, vcpu.Value("blocking"));
  static std::atomic<pid_t> tid;
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, nullptr);
  int error = 0;
  std::thread runner([&] {
    tid = gettid();
    error = machine.vcpu().Run();
  });
  for (int i = 0; i < 10000 && !vcpu.Value("blocking"); ++i) usleep(1000);
  CHECK_EQ(1u, vcpu.Value("blocking"));
  tgkill(getpid(), tid, SIGUSR1);
  runner.join();
  CHECK_EQ(EINTR, error);
  CHECK_EQ(0u, vcpu.Value("blocking"));
  CHECK_EQ(1u, vcpu.Value("signal_exits"));
  CHECK(vcpu.Value("halt_wait_ns") > 0);
  const auto hist = vcpu.Values("halt_wait_hist");
  CHECK_EQ(1u, std::accumulate(hist.begin(), hist.end(), uint64_t{0}));
}

// Readers, a vCPU that counts, and slots that come and go.
CASE(ReadersDoNotDisturb) {
  SlotWalker walker(kPages);
  const File vm(walker.machine().vm().fd()), vcpu(walker.machine().vcpu().fd());
  std::atomic<bool> stop{false};
  std::atomic<unsigned long> reads{0}, wrong{0};
  const auto read_all = [&](const File& file) {
    uint64_t last = 0;
    while (!stop) {
      std::vector<char> buffer(file.size());
      if (pread(file.fd(), buffer.data(), buffer.size(), 0) != static_cast<ssize_t>(file.size()))
        wrong++;
      const uint64_t now = vcpu.Value("pf_fixed");
      if (now < last) wrong++;
      last = now;
      reads++;
      sched_yield();
    }
  };
  std::thread a([&] { read_all(vm); }), b([&] { read_all(vcpu); });
  for (int i = 0; i < 20; ++i) {
    walker.Round(kPages);
    walker.Delete();
    walker.Create();
  }
  while (reads < 10) usleep(1000);
  stop = true;
  a.join();
  b.join();
  CHECK_EQ(0u, wrong.load());
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
