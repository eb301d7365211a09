// SPDX-License-Identifier: GPL-2.0-or-later
#include "hyp/kvm.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace vmm {
namespace {

// Wraps ioctl(2): `what` says what the call was to do.
Status Check(int result, const char* call, const char* what, const char* hint) {
  if (result >= 0) return {};
  return Fail(ErrorKind::kHost, what, fmt::format("{}: {}", call, ErrnoText(errno)), hint);
}

// Arguments that end in an array. The kernel's header declares these arrays in a way that has
// another size and layout in C++ than in C, so the ABI's own layout is spelled out here: an 8-byte
// header with the count in front, then the entries; ioctl numbers carry the header's size.
struct ArrayHeader {
  uint32_t count;
  uint32_t reserved;
};
static_assert(sizeof(ArrayHeader) == 8);

constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, ArrayHeader);
constexpr unsigned long kSetCpuid2 = _IOW(KVMIO, 0x90, ArrayHeader);
constexpr unsigned long kSetMsrs = _IOW(KVMIO, 0x89, ArrayHeader);

template <typename T>
class ArrayArgument {
 public:
  explicit ArrayArgument(uint32_t count) : storage_(sizeof(ArrayHeader) + count * sizeof(T)) {
    SetCount(count);
  }
  explicit ArrayArgument(std::span<const T> entries)
      : ArrayArgument(static_cast<uint32_t>(entries.size())) {
    std::memcpy(storage_.data() + sizeof(ArrayHeader), entries.data(), entries.size_bytes());
  }
  void* argument() { return storage_.data(); }
  std::vector<T> Entries() const {
    ArrayHeader header;
    std::memcpy(&header, storage_.data(), sizeof(header));
    const size_t capacity = (storage_.size() - sizeof(header)) / sizeof(T);
    std::vector<T> out(std::min<size_t>(header.count, capacity));
    std::memcpy(out.data(), storage_.data() + sizeof(header), out.size() * sizeof(T));
    return out;
  }

 private:
  void SetCount(uint32_t count) {
    const ArrayHeader header = {count, 0};
    std::memcpy(storage_.data(), &header, sizeof(header));
  }

  std::vector<uint8_t> storage_;
};

constexpr const char* kDoctorHint = "see what this host lacks: vmm doctor";

std::string NodeHint(const std::string& node) {
  if (node == kDefaultNode)
    return "load the module: modprobe vellum (or use the stock one: --dev /dev/kvm)";
  return "load the module that provides it, or name another node with --dev";
}

}  // namespace

std::span<const RequiredCapability> RequiredCapabilities() {
  static constexpr RequiredCapability kRequired[] = {
      {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY", "guest memory"},
      {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR", "real-mode support pages"},
      {KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR", "real-mode support pages"},
      {KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", "in-kernel interrupt controllers"},
      {KVM_CAP_PIT2, "KVM_CAP_PIT2", "in-kernel interval timer"},
      {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID", "CPUID tables"},
      {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", "stopping a running CPU"},
  };
  return kRequired;
}

std::string VmxOwner() {
  std::ifstream modules("/proc/modules");
  std::string line;
  std::string owner;
  while (std::getline(modules, line)) {
    const std::string name = line.substr(0, line.find(' '));
    if (name == "kvm_intel" || name == "vellum" || name == "vboxdrv" || name == "vmmon") {
      if (!owner.empty()) owner += ", ";
      owner += name;
    }
  }
  return owner;
}

Error NodeError(const std::string& node, int error_number, const std::string& owner) {
  const std::string what = fmt::format("cannot open {}", node);
  switch (error_number) {
    case EACCES:
    case EPERM:
      return {ErrorKind::kPermission, what, ErrnoText(error_number),
              "join the group that owns the node: sudo usermod -aG kvm $USER, then log in again"};
    case EBUSY:
      return {ErrorKind::kBusy, what,
              owner.empty() ? std::string("VMX is held by another hypervisor")
                            : fmt::format("VMX is held by {}", owner),
              fmt::format("unload it: modprobe -r {}", owner.empty() ? "kvm_intel" : owner)};
    case ENOENT:
    case ENODEV:
    case ENXIO:
      // The module refuses to load while another one holds the hardware.
      if (node == kDefaultNode && owner == "kvm_intel")
        return {ErrorKind::kBusy, what, "there is no such device node, and kvm_intel holds VMX",
                "change over: modprobe -r kvm_intel && modprobe vellum, or use --dev /dev/kvm"};
      return {ErrorKind::kNoDevice, what,
              error_number == ENOENT ? std::string("there is no such device node")
                                     : ErrnoText(error_number),
              NodeHint(node)};
    default:
      return {ErrorKind::kNoDevice, what, ErrnoText(error_number), NodeHint(node)};
  }
}

Expected<Kvm> Kvm::Open(const std::string& node) {
  Kvm kvm;
  kvm.node_ = node;
  kvm.fd_ = Fd(open(node.c_str(), O_RDWR | O_CLOEXEC));
  if (!kvm.fd_.valid()) {
    const int error_number = errno;  // before VmxOwner can change it
    return tl::unexpected(NodeError(node, error_number, VmxOwner()));
  }
  struct stat st = {};
  if (fstat(kvm.fd_.get(), &st) != 0 || !S_ISCHR(st.st_mode))
    return Fail(ErrorKind::kNoDevice, fmt::format("cannot use {}", node),
                "it is not a character device", NodeHint(node));
  const int version = ioctl(kvm.fd_.get(), KVM_GET_API_VERSION, 0);
  if (version != kKvmApiVersion)
    return Fail(ErrorKind::kNoDevice, fmt::format("cannot use {}", node),
                version < 0 ? std::string("it does not speak the KVM interface")
                            : fmt::format("it speaks version {} of the KVM interface, not {}",
                                          version, kKvmApiVersion),
                NodeHint(node));
  return kvm;
}

int Kvm::CheckExtension(int capability) const {
  const int value = ioctl(fd_.get(), KVM_CHECK_EXTENSION, capability);
  return value < 0 ? 0 : value;
}

Status Kvm::CheckRequired() const {
  std::string missing;
  for (const auto& required : RequiredCapabilities()) {
    if (CheckExtension(required.number) > 0) continue;
    if (!missing.empty()) missing += ", ";
    missing += required.name;
  }
  if (missing.empty()) return {};
  return Fail(ErrorKind::kCapability, fmt::format("{} cannot run this machine", node_),
              fmt::format("the module lacks {}", missing), kDoctorHint);
}

Expected<Vm> Kvm::CreateVm() const {
  const int run_size = ioctl(fd_.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_size < static_cast<int>(sizeof(kvm_run)))
    return Fail(ErrorKind::kCapability, fmt::format("{} cannot run this machine", node_),
                "KVM_GET_VCPU_MMAP_SIZE is too small", kDoctorHint);
  Fd fd(ioctl(fd_.get(), KVM_CREATE_VM, 0));
  if (!fd.valid()) {
    const int error_number = errno;
    if (error_number == EBUSY)
      return Fail(ErrorKind::kBusy, "cannot create a virtual machine",
                  "the hardware is held by another hypervisor",
                  "unload it (modprobe -r kvm_intel), or see: vmm doctor");
    return Fail(ErrorKind::kHost, "cannot create a virtual machine",
                fmt::format("KVM_CREATE_VM: {}", ErrnoText(error_number)), kDoctorHint);
  }
  return Vm(std::move(fd), run_size);
}

Expected<std::vector<kvm_cpuid_entry2>> Kvm::SupportedCpuid() const {
  // Grow until it fits; the bound keeps a broken module from eating the host's memory.
  for (uint32_t count = 128; count <= 4096; count *= 2) {
    ArrayArgument<kvm_cpuid_entry2> table(count);
    if (ioctl(fd_.get(), kGetSupportedCpuid, table.argument()) == 0) return table.Entries();
    if (errno != E2BIG) break;
  }
  return Fail(ErrorKind::kCapability, "cannot read the supported CPUID table",
              fmt::format("KVM_GET_SUPPORTED_CPUID: {}", ErrnoText(errno)), kDoctorHint);
}

int Vm::CheckExtension(int capability) const {
  const int value = ioctl(fd_.get(), KVM_CHECK_EXTENSION, capability);
  return value < 0 ? 0 : value;
}

Status Vm::SetTssAddress(uint64_t address) const {
  return Check(ioctl(fd_.get(), KVM_SET_TSS_ADDR, address), "KVM_SET_TSS_ADDR",
               "cannot place the real-mode support pages", kDoctorHint);
}

Status Vm::SetIdentityMapAddress(uint64_t address) const {
  return Check(ioctl(fd_.get(), KVM_SET_IDENTITY_MAP_ADDR, &address), "KVM_SET_IDENTITY_MAP_ADDR",
               "cannot place the real-mode support pages", kDoctorHint);
}

Status Vm::CreateIrqchip() const {
  return Check(ioctl(fd_.get(), KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP",
               "cannot create the interrupt controllers", kDoctorHint);
}

Status Vm::CreatePit() const {
  kvm_pit_config config = {};
  config.flags = KVM_PIT_SPEAKER_DUMMY;
  return Check(ioctl(fd_.get(), KVM_CREATE_PIT2, &config), "KVM_CREATE_PIT2",
               "cannot create the interval timer", kDoctorHint);
}

Status Vm::SetMemory(const kvm_userspace_memory_region& region) const {
  kvm_userspace_memory_region copy = region;
  return Check(ioctl(fd_.get(), KVM_SET_USER_MEMORY_REGION, &copy), "KVM_SET_USER_MEMORY_REGION",
               "cannot give the guest its memory", "a smaller --mem");
}

void Vm::SetIrqLine(uint32_t gsi, bool level) const {
  kvm_irq_level irq = {};
  irq.irq = gsi;
  irq.level = level ? 1 : 0;
  // Fails only for a line that does not exist, which CreateIrqchip rules out.
  [[maybe_unused]] int result = ioctl(fd_.get(), KVM_IRQ_LINE, &irq);
}

Expected<Vcpu> Vm::CreateVcpu(uint32_t id) const {
  Fd fd(ioctl(fd_.get(), KVM_CREATE_VCPU, static_cast<unsigned long>(id)));
  if (!fd.valid())
    return Fail(ErrorKind::kHost, fmt::format("cannot create virtual CPU {}", id),
                fmt::format("KVM_CREATE_VCPU: {}", ErrnoText(errno)),
                id == 0 ? kDoctorHint : "fewer --cpus");
  Mapping run = Mapping::Create(static_cast<size_t>(run_size_), PROT_READ | PROT_WRITE, MAP_SHARED,
                                fd.get(), 0);
  if (!run.valid())
    return Fail(ErrorKind::kHost, fmt::format("cannot map the run page of virtual CPU {}", id),
                ErrnoText(errno), kDoctorHint);
  return Vcpu(std::move(fd), std::move(run));
}

int Vcpu::Run() const { return ioctl(fd_.get(), KVM_RUN, 0) == 0 ? 0 : errno; }

Status Vcpu::SetCpuid(const std::vector<kvm_cpuid_entry2>& entries) const {
  ArrayArgument<kvm_cpuid_entry2> table(entries);
  return Check(ioctl(fd_.get(), kSetCpuid2, table.argument()), "KVM_SET_CPUID2",
               "cannot set the CPUID table", kDoctorHint);
}

Status Vcpu::SetRegs(const kvm_regs& regs) const {
  kvm_regs copy = regs;
  return Check(ioctl(fd_.get(), KVM_SET_REGS, &copy), "KVM_SET_REGS", "cannot set the registers",
               kDoctorHint);
}

Status Vcpu::SetSregs(const kvm_sregs& sregs) const {
  kvm_sregs copy = sregs;
  return Check(ioctl(fd_.get(), KVM_SET_SREGS, &copy), "KVM_SET_SREGS",
               "cannot set the system registers", kDoctorHint);
}

Expected<kvm_sregs> Vcpu::GetSregs() const {
  kvm_sregs sregs = {};
  VMM_TRY(Check(ioctl(fd_.get(), KVM_GET_SREGS, &sregs), "KVM_GET_SREGS",
                "cannot read the system registers", kDoctorHint));
  return sregs;
}

Expected<kvm_regs> Vcpu::GetRegs() const {
  kvm_regs regs = {};
  VMM_TRY(Check(ioctl(fd_.get(), KVM_GET_REGS, &regs), "KVM_GET_REGS", "cannot read the registers",
                kDoctorHint));
  return regs;
}

int Vcpu::SetMsrs(std::span<const kvm_msr_entry> msrs) const {
  ArrayArgument<kvm_msr_entry> table(msrs);
  const int accepted = ioctl(fd_.get(), kSetMsrs, table.argument());
  return accepted < 0 ? 0 : accepted;
}

int Vcpu::TscKhz() const {
  const int khz = ioctl(fd_.get(), KVM_GET_TSC_KHZ, 0);
  return khz < 0 ? 0 : khz;
}

}  // namespace vmm
