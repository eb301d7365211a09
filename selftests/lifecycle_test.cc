// SPDX-License-Identifier: GPL-2.0-or-later
// Machines come and go in any order of closing, across fork() and with mappings left behind.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "lib/check.h"
#include "lib/counters.h"
#include "lib/guest.h"

namespace {

using guest::Machine;
using guest::Mode;

GUEST_CODE(touch_and_halt, 64, R"(
  mov $0x100000, %ebx
0: mov %rbx, (%rbx)
  add $0x1000, %ebx
  cmp $0x110000, %ebx
  jb 0b
  hlt
)");

CASE(CreateAndDestroy) {
  const unsigned long count = check::Number("vms", 1000);
  for (unsigned long i = 0; i < count; ++i) {
    kvm::Vm vm;
    kvm::Vcpu vcpu = vm.AddVcpu();
  }
  counters::ExpectZero();
}

CASE(RunAndDestroy) {
  for (unsigned long i = 0; i < check::Number("runs", 50); ++i) {
    Machine m(touch_and_halt, Mode::kLong64, i % 2 != 0);
    if (i % 2 == 0) m.RunUntilHlt();
  }
  counters::ExpectZero();
}

// The three things that a vCPU consists of for user space, let go in every order.
CASE(CloseOrders) {
  std::array<int, 3> order{0, 1, 2};
  do {
    Machine m(touch_and_halt, Mode::kLong64);
    m.RunUntilHlt();
    for (const int what : order) {
      if (what == 0) m.vm().Close();
      if (what == 1) m.vcpu().Close();
      if (what == 2) m.vcpu().Unmap();
    }
  } while (std::next_permutation(order.begin(), order.end()));
  counters::ExpectZero();
}

CASE(VcpuOutlivesVmDescriptor) {
  Machine m(touch_and_halt, Mode::kLong64);
  m.vm().Close();
  m.RunUntilHlt();
  CHECK_EQ(0x10f000ull, *m.At<uint64_t>(0x10f000));
}

CASE(RunPageOutlivesDescriptors) {
  Machine m(touch_and_halt, Mode::kLong64);
  m.RunUntilHlt();
  m.vm().Close();
  m.vcpu().Close();
  CHECK_EQ(KVM_EXIT_HLT, m.run()->exit_reason);
  m.run()->immediate_exit = 1;
}

CASE(MemoryGoesFirst) {
  kvm::Vm vm;
  {
    kvm::Mapping memory(1 << 20, MAP_PRIVATE | MAP_ANONYMOUS);
    vm.Map(0, 0, memory.size(), memory.data());
  }
  kvm::Vcpu vcpu = vm.AddVcpu();
}

// A child has the descriptors, but the machine belongs to the parent's memory.
CASE(ForeignProcess) {
  Machine m(touch_and_halt, Mode::kLong64);
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    auto refused = [](int result) { return result < 0 && errno == EIO; };
    kvm_regs regs;
    if (!refused(kvm::Ioctl(m.vm().fd(), KVM_CHECK_EXTENSION, 0ul))) _exit(1);
    if (!refused(kvm::Ioctl(m.vm().fd(), KVM_CREATE_VCPU, 1ul))) _exit(2);
    if (!refused(kvm::Ioctl(m.vcpu().fd(), KVM_GET_REGS, &regs))) _exit(3);
    if (!refused(kvm::Ioctl(m.vcpu().fd(), KVM_RUN))) _exit(4);
    _exit(0);
  }
  int status = 0;
  CHECK_EQ(child, waitpid(child, &status, 0));
  CHECK_EQ(0, status);
  m.RunUntilHlt();
}

// The creator is gone, its child still holds the descriptors.
CASE(CreatorDiesFirst) {
  int pipe_fds[2];
  CHECK_OK(pipe(pipe_fds));
  const pid_t creator = fork();
  CHECK(creator >= 0);
  if (creator == 0) {
    Machine m(touch_and_halt, Mode::kLong64);
    m.vcpu().RunUntil(KVM_EXIT_HLT);
    if (fork() == 0) {
      // The grandchild sleeps until its parent is dead, then looks.
      while (getppid() != 1) usleep(1000);
      kvm_regs regs;
      const int result = kvm::Ioctl(m.vcpu().fd(), KVM_GET_REGS, &regs);
      const char verdict = result < 0 && errno == EIO ? 'y' : 'n';
      m.vcpu().Close();
      m.vm().Close();
      _exit(write(pipe_fds[1], &verdict, 1) == 1 ? 0 : 1);
    }
    _exit(0);
  }
  close(pipe_fds[1]);
  CHECK_EQ(creator, waitpid(creator, nullptr, 0));
  char verdict = 0;
  CHECK_EQ(1, read(pipe_fds[0], &verdict, 1));
  CHECK_EQ('y', verdict);
  close(pipe_fds[0]);
}

CASE(ManyVcpus) {
  const unsigned count = static_cast<unsigned>(check::Number("vcpus", 64));
  rlimit limit{1024, 1024};
  getrlimit(RLIMIT_NOFILE, &limit);
  kvm::Vm vm;
  CHECK_OK(kvm::Ioctl(vm.fd(), KVM_CREATE_IRQCHIP));
  std::vector<kvm::Vcpu> vcpus;
  for (unsigned i = 0; i < count; ++i) vcpus.push_back(vm.AddVcpu(i));
  // They go in an order of their own.
  for (unsigned i = 0; i < count; i += 2) vcpus[i].Close();
  vm.Close();
}

CASE(ManyMachinesAtOnce) {
  std::vector<Machine> machines;
  for (unsigned i = 0; i < 16; ++i) machines.emplace_back(touch_and_halt, Mode::kLong64);
  for (Machine& m : machines) m.RunUntilHlt();
  for (Machine& m : machines) CHECK_EQ(0x10f000ull, *m.At<uint64_t>(0x10f000));
  machines.clear();
  counters::ExpectZero();
}

CASE(DescriptorLimit) {
  rlimit old{};
  CHECK_OK(getrlimit(RLIMIT_NOFILE, &old));
  kvm::Vm vm;
  rlimit none = old;
  none.rlim_cur = static_cast<rlim_t>(vm.fd()) + 1;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &none));
  const int vcpu = kvm::Ioctl(vm.fd(), KVM_CREATE_VCPU, 0ul);
  const int vcpu_errno = errno;
  const int another = kvm::Ioctl(vm.device(), KVM_CREATE_VM);
  const int another_errno = errno;
  CHECK_OK(setrlimit(RLIMIT_NOFILE, &old));
  CHECK_EQ(-1, vcpu);
  CHECK_EQ(EMFILE, vcpu_errno);
  CHECK_EQ(-1, another);
  CHECK_EQ(EMFILE, another_errno);
  // Nothing was left half done.
  kvm::Vcpu works = vm.AddVcpu();
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
