// SPDX-License-Identifier: GPL-2.0-or-later
// What the ABI must refuse, and with which errno: unknown commands, wrong descriptors, bad
// pointers, flags and reserved fields. Tables first; what needs a sequence has a case of its own.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "lib/check.h"
#include "lib/guest.h"

namespace {

using kvm::Ioctl;

// KVM answers EINVAL to an unknown command of the device and of a vCPU, vellum ENOTTY to all.
int UnknownErrno(bool of_vm) { return of_vm || kvm::IsVellum() ? ENOTTY : EINVAL; }

struct Bench {
  explicit Bench(bool irqchip = false)
      : vcpu((irqchip ? Ioctl(vm.fd(), KVM_CREATE_IRQCHIP) : 0, vm.fd()), 0) {}
  kvm::Vm vm;
  kvm::Vcpu vcpu;
};

enum Level { kDevice, kVm, kVcpu };

int FdOf(const Bench& b, Level level) {
  return level == kDevice ? b.vm.device() : level == kVm ? b.vm.fd() : b.vcpu.fd();
}

// One failing call per line; collects all deviations before it fails.
class Collector {
 public:
  void Expect(int expected, int fd, unsigned long command, unsigned long argument,
              const std::string& what) {
    errno = 0;
    const int result = ioctl(fd, command, argument);
    const int actual = result < 0 ? errno : 0;
    if (actual == expected) return;
    std::printf("%s: %s, expected %s\n", what.c_str(), check::ErrnoText(actual).c_str(),
                check::ErrnoText(expected).c_str());
    ++deviations_;
  }
  void Finish() const { CHECK_EQ(0, deviations_); }

 private:
  int deviations_ = 0;
};

struct Command {
  Level level;
  unsigned long command;
  const char* name;
};

#define COMMAND(level, name) \
  { level, name, #name }

// Commands whose argument is a struct that is read first: a bad pointer is EFAULT.
constexpr Command kReaders[] = {
    COMMAND(kDevice, KVM_GET_SUPPORTED_CPUID),
    COMMAND(kDevice, KVM_GET_EMULATED_CPUID),
    COMMAND(kDevice, KVM_GET_MSR_INDEX_LIST),
    COMMAND(kDevice, KVM_GET_MSR_FEATURE_INDEX_LIST),
    COMMAND(kDevice, KVM_GET_MSRS),
    COMMAND(kVm, KVM_SET_USER_MEMORY_REGION),
    COMMAND(kVm, KVM_GET_DIRTY_LOG),
    COMMAND(kVm, KVM_CLEAR_DIRTY_LOG),
    COMMAND(kVm, KVM_ENABLE_CAP),
    COMMAND(kVm, KVM_IRQ_LINE),
    COMMAND(kVm, KVM_IRQ_LINE_STATUS),
    COMMAND(kVm, KVM_SET_GSI_ROUTING),
    COMMAND(kVm, KVM_SIGNAL_MSI),
    COMMAND(kVm, KVM_CREATE_PIT2),
    COMMAND(kVm, KVM_GET_PIT),
    COMMAND(kVm, KVM_SET_PIT),
    COMMAND(kVm, KVM_SET_PIT2),
    COMMAND(kVm, KVM_GET_IRQCHIP),
    COMMAND(kVm, KVM_SET_IRQCHIP),
    COMMAND(kVm, KVM_SET_CLOCK),
    COMMAND(kVcpu, KVM_SET_REGS),
    COMMAND(kVcpu, KVM_SET_SREGS),
    COMMAND(kVcpu, KVM_SET_SREGS2),
    COMMAND(kVcpu, KVM_SET_FPU),
    COMMAND(kVcpu, KVM_SET_XSAVE),
    COMMAND(kVcpu, KVM_SET_XCRS),
    COMMAND(kVcpu, KVM_SET_DEBUGREGS),
    COMMAND(kVcpu, KVM_SET_VCPU_EVENTS),
    COMMAND(kVcpu, KVM_SET_MP_STATE),
    COMMAND(kVcpu, KVM_INTERRUPT),
    COMMAND(kVcpu, KVM_SET_GUEST_DEBUG),
    COMMAND(kVcpu, KVM_TRANSLATE),
    COMMAND(kVcpu, KVM_SET_SIGNAL_MASK),
    COMMAND(kVcpu, KVM_ENABLE_CAP),
    COMMAND(kVcpu, KVM_SET_CPUID),
    COMMAND(kVcpu, KVM_SET_CPUID2),
    COMMAND(kVcpu, KVM_GET_CPUID2),
    COMMAND(kVcpu, KVM_GET_MSRS),
    COMMAND(kVcpu, KVM_SET_MSRS),
    COMMAND(kVcpu, KVM_X86_SETUP_MCE),
    COMMAND(kVcpu, KVM_SET_LAPIC),
    COMMAND(kVcpu, KVM_TPR_ACCESS_REPORTING),
    COMMAND(kVcpu, KVM_SET_VAPIC_ADDR),
};

// Commands that only write.
constexpr Command kWriters[] = {
    COMMAND(kDevice, KVM_X86_GET_MCE_CAP_SUPPORTED),
    COMMAND(kVm, KVM_GET_CLOCK),
    COMMAND(kVcpu, KVM_GET_REGS),
    COMMAND(kVcpu, KVM_GET_SREGS),
    COMMAND(kVcpu, KVM_GET_SREGS2),
    COMMAND(kVcpu, KVM_GET_FPU),
    COMMAND(kVcpu, KVM_GET_XSAVE),
    COMMAND(kVcpu, KVM_GET_XCRS),
    COMMAND(kVcpu, KVM_GET_DEBUGREGS),
    COMMAND(kVcpu, KVM_GET_VCPU_EVENTS),
    COMMAND(kVcpu, KVM_GET_MP_STATE),
    COMMAND(kVcpu, KVM_GET_LAPIC),
};

CASE(BadPointers) {
  Bench b(true);
  Collector c;
  constexpr unsigned long kBad[] = {1, 0x7ffffffff000, 0xffff888000000000, ~0ul};
  for (const unsigned long bad : kBad) {
    for (const Command& r : kReaders)
      c.Expect(EFAULT, FdOf(b, r.level), r.command, bad, std::string(r.name) + " at a bad pointer");
    for (const Command& w : kWriters)
      c.Expect(EFAULT, FdOf(b, w.level), w.command, bad, std::string(w.name) + " at a bad pointer");
  }
  // A struct whose second half is missing.
  kvm::Mapping two(8192, MAP_PRIVATE | MAP_ANONYMOUS);
  CHECK_OK(munmap(two.data() + 4096, 4096));
  for (const Command& r : kReaders) {
    const size_t size = _IOC_SIZE(r.command);
    if (size > 4) {
      c.Expect(EFAULT, FdOf(b, r.level), r.command,
               reinterpret_cast<unsigned long>(two.data()) + 4096 - size / 2,
               std::string(r.name) + " across the end of a mapping");
    }
  }
  // Output into memory that may only be read.
  CHECK_OK(mprotect(two.data(), 4096, PROT_READ));
  for (const Command& w : kWriters)
    c.Expect(EFAULT, FdOf(b, w.level), w.command, reinterpret_cast<unsigned long>(two.data()),
             std::string(w.name) + " into read-only memory");
  c.Finish();
}

CASE(UnknownCommands) {
  Bench b;
  Collector c;
  uint8_t buffer[16384] = {};
  const unsigned long argument = reinterpret_cast<unsigned long>(buffer);
  for (const Level level : {kDevice, kVm, kVcpu}) {
    const int expected = UnknownErrno(level == kVm);
    c.Expect(expected, FdOf(b, level), _IO(KVMIO, 0xfe), argument, "number 0xfe");
    c.Expect(expected, FdOf(b, level), _IO('V', 0x80), argument, "another type");
    c.Expect(expected, FdOf(b, level), 0, argument, "number 0");
    c.Expect(expected, FdOf(b, level), 0xffffffff, argument, "all ones");
  }
  // The size is part of the command.
  for (const Command& r : kReaders) {
    const unsigned long larger = r.command + (1ul << _IOC_SIZESHIFT);
    c.Expect(UnknownErrno(r.level == kVm), FdOf(b, r.level), larger, argument,
             std::string(r.name) + " with another size");
  }
  // Only the low half of the command counts.
  c.Expect(0, b.vcpu.fd(), KVM_GET_REGS | 0xffffffff00000000, argument, "sign-extended GET_REGS");
  c.Finish();
}

CASE(WrongDescriptor) {
  Bench b;
  Collector c;
  uint8_t buffer[16384] = {};
  const unsigned long argument = reinterpret_cast<unsigned long>(buffer);
  c.Expect(UnknownErrno(false), b.vm.device(), KVM_CREATE_VCPU, 0, "CREATE_VCPU on the device");
  c.Expect(UnknownErrno(false), b.vm.device(), KVM_RUN, 0, "RUN on the device");
  c.Expect(UnknownErrno(true), b.vm.fd(), KVM_RUN, 0, "RUN on the VM");
  c.Expect(UnknownErrno(true), b.vm.fd(), KVM_CREATE_VM, 0, "CREATE_VM on the VM");
  c.Expect(UnknownErrno(true), b.vm.fd(), KVM_GET_API_VERSION, 0, "GET_API_VERSION on the VM");
  c.Expect(UnknownErrno(true), b.vm.fd(), KVM_GET_REGS, argument, "GET_REGS on the VM");
  c.Expect(UnknownErrno(false), b.vcpu.fd(), KVM_CREATE_VCPU, 1, "CREATE_VCPU on a vCPU");
  c.Expect(UnknownErrno(false), b.vcpu.fd(), KVM_SET_USER_MEMORY_REGION, argument,
           "SET_USER_MEMORY_REGION on a vCPU");
  c.Expect(ENOTTY, 1, KVM_RUN, 0, "RUN on standard output");
  c.Finish();
}

CASE(ArgumentsThatMustBeZero) {
  Bench b;
  CHECK_EQ(12, Ioctl(b.vm.device(), KVM_GET_API_VERSION));
  CHECK_ERRNO(EINVAL, Ioctl(b.vm.device(), KVM_GET_API_VERSION, 1ul));
  CHECK_ERRNO(EINVAL, Ioctl(b.vm.device(), KVM_GET_VCPU_MMAP_SIZE, 1ul));
  CHECK_ERRNO(EINVAL, Ioctl(b.vcpu.fd(), KVM_RUN, 1ul));
}

CASE(CreateVm) {
  kvm::Vm vm;
  for (const unsigned long type : {1ul, 7ul, 0x80000000ul, ~0ul})
    CHECK_ERRNO(EINVAL, Ioctl(vm.device(), KVM_CREATE_VM, type));
}

CASE(CreateVcpu) {
  kvm::Vm vm;
  const int max_id = vm.Capability(KVM_CAP_MAX_VCPU_ID);
  CHECK(max_id >= vm.Capability(KVM_CAP_MAX_VCPUS));
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_CREATE_VCPU, static_cast<unsigned long>(max_id)));
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_CREATE_VCPU, 0xfffffffful));
  kvm::Vcpu vcpu = vm.AddVcpu(3);
  CHECK_ERRNO(EEXIST, Ioctl(vm.fd(), KVM_CREATE_VCPU, 3ul));
}

CASE(BootCpuAndIdentityMap) {
  kvm::Vm vm;
  CHECK_OK(Ioctl(vm.fd(), KVM_SET_BOOT_CPU_ID, 1ul));
  uint64_t address = 0xfeffc000;
  CHECK_OK(Ioctl(vm.fd(), KVM_SET_IDENTITY_MAP_ADDR, &address));
  CHECK_OK(Ioctl(vm.fd(), KVM_SET_TSS_ADDR, 0xfffbd000ul));
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_SET_TSS_ADDR, 0xffffe000ul));
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_SET_TSS_ADDR, 0x100000000ul));
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_SET_NR_MMU_PAGES, 1ul));
  CHECK_OK(Ioctl(vm.fd(), KVM_SET_NR_MMU_PAGES, 100ul));
  kvm::Vcpu vcpu = vm.AddVcpu();
  CHECK_ERRNO(EBUSY, Ioctl(vm.fd(), KVM_SET_BOOT_CPU_ID, 0ul));
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_SET_IDENTITY_MAP_ADDR, &address));
}

CASE(EnableCap) {
  kvm::Vm vm;
  kvm_enable_cap cap{};
  cap.cap = 0xffff;
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  cap.cap = KVM_CAP_MAX_VCPU_ID;
  cap.args[0] = 1ull << 40;
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  cap.args[0] = 8;
  cap.flags = 1;
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  cap.flags = 0;
  CHECK_OK(Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  CHECK_OK(Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  cap.args[0] = 9;
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_CREATE_VCPU, 8ul));
  kvm::Vcpu vcpu = vm.AddVcpu(7);
  cap.cap = 0xffff;
  CHECK_ERRNO(EINVAL, Ioctl(vcpu.fd(), KVM_ENABLE_CAP, &cap));
  cap.cap = KVM_CAP_DISABLE_QUIRKS2;
  cap.args[0] = 1ull << 63;
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_ENABLE_CAP, &cap));
}

CASE(Irqchip) {
  Bench without;
  uint8_t buffer[1024] = {};
  CHECK_ERRNO(ENXIO, Ioctl(without.vm.fd(), KVM_GET_IRQCHIP, buffer));
  CHECK_ERRNO(ENXIO, Ioctl(without.vm.fd(), KVM_SET_IRQCHIP, buffer));
  CHECK_ERRNO(ENXIO, Ioctl(without.vm.fd(), KVM_IRQ_LINE, buffer));
  CHECK_ERRNO(ENXIO, Ioctl(without.vm.fd(), KVM_GET_PIT2, buffer));
  CHECK_ERRNO(ENXIO, Ioctl(without.vm.fd(), KVM_SET_PIT2, buffer));
  CHECK_ERRNO(EINVAL, Ioctl(without.vm.fd(), KVM_SIGNAL_MSI, buffer));
  CHECK_ERRNO(EINVAL, Ioctl(without.vm.fd(), KVM_SET_GSI_ROUTING, buffer));
  CHECK_ERRNO(EINVAL, Ioctl(without.vcpu.fd(), KVM_GET_LAPIC, buffer));
  CHECK_ERRNO(EINVAL, Ioctl(without.vcpu.fd(), KVM_SET_LAPIC, buffer));
  // Too late: there is a vCPU without a local APIC.
  CHECK_ERRNO(EINVAL, Ioctl(without.vm.fd(), KVM_CREATE_IRQCHIP));

  Bench with(true);
  CHECK_ERRNO(EEXIST, Ioctl(with.vm.fd(), KVM_CREATE_IRQCHIP));
  kvm_irqchip chip{};
  for (const uint32_t id : {0u, 1u, 2u}) {
    chip.chip_id = id;
    CHECK_OK(Ioctl(with.vm.fd(), KVM_GET_IRQCHIP, &chip));
    CHECK_OK(Ioctl(with.vm.fd(), KVM_SET_IRQCHIP, &chip));
  }
  chip.chip_id = 3;
  CHECK_ERRNO(EINVAL, Ioctl(with.vm.fd(), KVM_GET_IRQCHIP, &chip));
  CHECK_ERRNO(EINVAL, Ioctl(with.vm.fd(), KVM_SET_IRQCHIP, &chip));
  kvm_pit_config pit{};
  CHECK_OK(Ioctl(with.vm.fd(), KVM_CREATE_PIT2, &pit));
  CHECK_ERRNO(EEXIST, Ioctl(with.vm.fd(), KVM_CREATE_PIT2, &pit));
  CHECK_ERRNO(EEXIST, Ioctl(with.vm.fd(), KVM_CREATE_PIT));
  // An interrupt from user space is for machines without an irqchip.
  kvm_interrupt interrupt{32};
  CHECK_ERRNO(ENXIO, Ioctl(with.vcpu.fd(), KVM_INTERRUPT, &interrupt));
  interrupt.irq = 256;
  CHECK_ERRNO(EINVAL, Ioctl(without.vcpu.fd(), KVM_INTERRUPT, &interrupt));
}

CASE(GsiRouting) {
  Bench b(true);
  struct {
    uint32_t nr, flags;
    kvm_irq_routing_entry entries[2];
  } routing{};
  auto set = [&] { return ioctl(b.vm.fd(), KVM_SET_GSI_ROUTING, &routing); };
  CHECK_OK(set());
  routing.flags = 1;
  CHECK_ERRNO(EINVAL, set());
  routing.flags = 0;
  routing.nr = 1u << 31;
  CHECK_ERRNO(EINVAL, set());
  routing.nr = 4097;
  CHECK_ERRNO(EINVAL, set());
  routing.nr = 1;
  routing.entries[0].type = 99;
  CHECK_ERRNO(EINVAL, set());
  routing.entries[0].type = KVM_IRQ_ROUTING_IRQCHIP;
  routing.entries[0].u.irqchip.irqchip = 9;
  CHECK_ERRNO(EINVAL, set());
  routing.entries[0].u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
  routing.entries[0].u.irqchip.pin = 24;
  CHECK_ERRNO(EINVAL, set());
  routing.entries[0].u.irqchip.pin = 3;
  routing.entries[0].flags = 1;
  CHECK_ERRNO(EINVAL, set());
  routing.entries[0].flags = 0;
  CHECK_OK(set());
  routing.entries[0].gsi = 5000;
  CHECK_ERRNO(EINVAL, set());
}

CASE(Cpuid) {
  Bench b;
  struct {
    uint32_t nent, padding;
    kvm_cpuid_entry2 entries[256];
  } list{};
  CHECK_ERRNO(E2BIG, ioctl(b.vm.device(), KVM_GET_SUPPORTED_CPUID, &list));
  list.nent = 1;
  CHECK_ERRNO(E2BIG, ioctl(b.vm.device(), KVM_GET_SUPPORTED_CPUID, &list));
  list.nent = 256;
  CHECK_OK(ioctl(b.vm.device(), KVM_GET_SUPPORTED_CPUID, &list));
  CHECK(list.nent > 4 && list.nent < 256);
  CHECK_OK(ioctl(b.vcpu.fd(), KVM_SET_CPUID2, &list));
  const uint32_t count = list.nent;
  list.nent = count - 1;
  CHECK_ERRNO(E2BIG, ioctl(b.vcpu.fd(), KVM_GET_CPUID2, &list));
  list.nent = 256;
  CHECK_OK(ioctl(b.vcpu.fd(), KVM_GET_CPUID2, &list));
  // Older kernels leave the number as it was when there is room.
  CHECK(list.nent == count || list.nent == 256);
  list.nent = 257;
  CHECK_ERRNO(E2BIG, ioctl(b.vcpu.fd(), KVM_SET_CPUID2, &list));
  CHECK_ERRNO(E2BIG, ioctl(b.vcpu.fd(), KVM_SET_CPUID, &list));
}

CASE(MsrLists) {
  Bench b;
  for (const unsigned long command : {static_cast<unsigned long>(KVM_GET_MSR_INDEX_LIST),
                                      static_cast<unsigned long>(KVM_GET_MSR_FEATURE_INDEX_LIST)}) {
    struct {
      uint32_t nmsrs;
      uint32_t indices[1024];
    } list{};
    CHECK_ERRNO(E2BIG, ioctl(b.vm.device(), command, &list));
    CHECK(list.nmsrs > 0);
    const uint32_t count = list.nmsrs;
    list.nmsrs = count - 1;
    CHECK_ERRNO(E2BIG, ioctl(b.vm.device(), command, &list));
    CHECK_EQ(count, list.nmsrs);
    CHECK_OK(ioctl(b.vm.device(), command, &list));
  }
  struct {
    uint32_t nmsrs, pad;
    kvm_msr_entry entries[256];
  } msrs{};
  msrs.nmsrs = 256;
  CHECK_ERRNO(E2BIG, ioctl(b.vcpu.fd(), KVM_GET_MSRS, &msrs));
  CHECK_ERRNO(E2BIG, ioctl(b.vcpu.fd(), KVM_SET_MSRS, &msrs));
  msrs.nmsrs = 2;
  msrs.entries[0].index = 0x277;
  msrs.entries[1].index = 0x12345678;
  CHECK_EQ(1, ioctl(b.vcpu.fd(), KVM_GET_MSRS, &msrs));
  CHECK_EQ(1, ioctl(b.vcpu.fd(), KVM_SET_MSRS, &msrs));
  // An illegal memory type in the PAT.
  msrs.entries[0].data = 2;
  CHECK_EQ(0, ioctl(b.vcpu.fd(), KVM_SET_MSRS, &msrs));
}

// A field to spoil in a struct that was read back first.
struct Spoiled {
  unsigned long get;
  unsigned long set;
  const char* name;
  size_t offset;
  uint64_t value;
  size_t width;
};

#define SPOIL(what, type, field, value)                                                          \
  {                                                                                              \
    KVM_GET_##what, KVM_SET_##what, #what "." #field " = " #value, offsetof(type, field), value, \
        sizeof(type::field)                                                                      \
  }

constexpr Spoiled kSpoiled[] = {
    SPOIL(VCPU_EVENTS, kvm_vcpu_events, flags, 1u << 31),
    SPOIL(DEBUGREGS, kvm_debugregs, flags, 1),
    SPOIL(DEBUGREGS, kvm_debugregs, dr6, 1ull << 40),
    SPOIL(DEBUGREGS, kvm_debugregs, dr7, 1ull << 40),
    SPOIL(XCRS, kvm_xcrs, flags, 1),
    SPOIL(XCRS, kvm_xcrs, nr_xcrs, 1000),
    SPOIL(MP_STATE, kvm_mp_state, mp_state, 77),
    SPOIL(SREGS, kvm_sregs, cr4, 1ull << 40),
    SPOIL(SREGS, kvm_sregs, cr0, 1ull << 40),
    SPOIL(SREGS, kvm_sregs, cr0, 0x80000000),
};

CASE(SpoiledFields) {
  Bench b(true);
  b.vcpu.SetSupportedCpuid();
  Collector c;
  for (const Spoiled& s : kSpoiled) {
    uint8_t buffer[8192] = {};
    CHECK_OK(ioctl(b.vcpu.fd(), s.get, buffer));
    std::memcpy(buffer + s.offset, &s.value, s.width);
    c.Expect(EINVAL, b.vcpu.fd(), s.set, reinterpret_cast<unsigned long>(buffer), s.name);
  }
  c.Finish();
}

CASE(Clock) {
  kvm::Vm vm;
  kvm_clock_data clock{};
  CHECK_OK(Ioctl(vm.fd(), KVM_GET_CLOCK, &clock));
  CHECK_OK(Ioctl(vm.fd(), KVM_SET_CLOCK, &clock));
  clock.flags = 1u << 20;
  CHECK_ERRNO(EINVAL, Ioctl(vm.fd(), KVM_SET_CLOCK, &clock));
}

CASE(Capabilities) {
  kvm::Vm vm;
  CHECK_EQ(0, vm.Capability(0x7fffffff));
  CHECK_EQ(0, vm.Capability(-1));
  for (const long cap :
       {KVM_CAP_USER_MEMORY, KVM_CAP_DESTROY_MEMORY_REGION_WORKS, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
        KVM_CAP_SET_TSS_ADDR, KVM_CAP_EXT_CPUID, KVM_CAP_MP_STATE, KVM_CAP_IRQ_ROUTING, KVM_CAP_MCE,
        KVM_CAP_SYNC_MMU, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_IRQCHIP, KVM_CAP_HLT, KVM_CAP_PIT2,
        KVM_CAP_CHECK_EXTENSION_VM, KVM_CAP_NR_VCPUS}) {
    if (vm.Capability(cap) <= 0)
      check::Fail(__FILE__, __LINE__, "capability " + std::to_string(cap) + " is missing");
    CHECK_EQ(vm.Capability(cap),
             Ioctl(vm.device(), KVM_CHECK_EXTENSION, static_cast<unsigned long>(cap)));
  }
}

CASE(Mappings) {
  Bench b;
  const long page = sysconf(_SC_PAGESIZE);
  // Nothing of a vCPU lies far behind its first pages.
  void* far =
      mmap(nullptr, static_cast<size_t>(page), PROT_READ, MAP_SHARED, b.vcpu.fd(), 1000 * page);
  if (far != MAP_FAILED) {
    int pipe_fds[2];
    CHECK_OK(pipe(pipe_fds));
    // The kernel reads the page for write(): EFAULT instead of a fatal signal.
    CHECK_ERRNO(EFAULT, write(pipe_fds[1], far, 1));
    munmap(far, static_cast<size_t>(page));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
  }
  CHECK(mmap(nullptr, static_cast<size_t>(page), PROT_READ, MAP_SHARED, b.vm.fd(), 0) ==
        MAP_FAILED);
}

}  // namespace

int main(int argc, char** argv) { return check::Main(argc, argv); }
