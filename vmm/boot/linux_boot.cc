// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/linux_boot.h"

#include <asm/bootparam.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/parse.h"
#include "base/platform.h"
#include "boot/acpi.h"

namespace vmm {
namespace {

constexpr uint32_t kE820Ram = 1;
constexpr uint32_t kE820Reserved = 2;
constexpr uint64_t kInitrdMax = 0x7fffffff;  // the kernel maps its RAM disk below 2 GiB
constexpr uint64_t kMaxSlack = 64u << 10;

constexpr uint16_t kCodeSelector = 0x10;
constexpr uint16_t kDataSelector = 0x18;
constexpr uint16_t kTaskSelector = 0x20;
constexpr uint64_t kEntry64Offset = 0x200;  // of the 64-bit entry in a bzImage

template <typename T>
std::span<const uint8_t> AsBytes(const T& object) {
  return {reinterpret_cast<const uint8_t*>(&object), sizeof(T)};
}

// Writes to memory that has not been touched yet: pages of zeros stay untouched, which saves the
// host a page fault each. A third of a kernel is such pages.
void WriteSparsely(const GuestMemory& memory, uint64_t gpa, std::span<const uint8_t> bytes) {
  static constexpr std::array<uint8_t, kPageSize> kZeros = {};
  size_t begin = 0;  // of what is to be written
  for (size_t at = 0; at < bytes.size();) {
    const size_t length = std::min<size_t>(kPageSize, bytes.size() - at);
    if (std::memcmp(bytes.data() + at, kZeros.data(), length) == 0) {
      memory.Write(gpa + begin, bytes.subspan(begin, at - begin));
      begin = at + length;
    }
    at += length;
  }
  memory.Write(gpa + begin, bytes.subspan(begin));
}

struct MapEntry {
  uint64_t start;
  uint64_t end;
  uint32_t type;
};

std::vector<MapEntry> BuildMemoryMap(const GuestMemory& memory) {
  std::vector<MapEntry> map{{0, kLowRamEnd, kE820Ram}, {kLowRamEnd, kHighRamStart, kE820Reserved}};
  for (const RamRange& range : memory.ranges())
    map.push_back({std::max(range.gpa, kHighRamStart), range.gpa + range.size, kE820Ram});
  return map;
}

auto TooSmall(const GuestMemory& memory, const std::string& thing, uint64_t needed) {
  const uint64_t suggestion = (needed + (64u << 20)) / (64u << 20) * (64u << 20) + (64u << 20);
  const uint64_t needed_mib = (needed + (1u << 20) - 1) >> 20;
  return Fail(ErrorKind::kMemory, fmt::format("the {} does not fit into guest memory", thing),
              fmt::format("it needs {} MiB of RAM below 3 GiB, the guest has {}", needed_mib,
                          FormatSize(memory.low_end())),
              suggestion <= kHoleStart
                  ? fmt::format("give the guest more memory: --mem {}M", suggestion >> 20)
                  : std::string("make it smaller"));
}

struct Placed {
  uint64_t entry;
  uint64_t start;
  uint64_t end;  // of everything that the kernel touches before it reads its memory map
};

Expected<Placed> PlaceElf(const GuestMemory& memory, const KernelImage& kernel, uint64_t entry) {
  const ElfKernel& elf = kernel.elf();
  if (elf.end > memory.low_end()) return TooSmall(memory, "kernel", elf.end);
  if (elf.start < kHighRamStart)
    return Fail(ErrorKind::kKernel, "cannot load the kernel",
                fmt::format("it wants to lie at {:#x}, where the boot data goes", elf.start),
                "use a kernel linked at 1 MiB or above");
  for (const ElfSegment& segment : elf.segments)
    // The rest of the segment is zero, as fresh guest memory is.
    WriteSparsely(memory, segment.physical,
                  kernel.bytes().subspan(segment.file_offset, segment.file_size));
  return Placed{entry, elf.start, elf.end};
}

Expected<Placed> PlaceBzImage(const GuestMemory& memory, const KernelImage& kernel) {
  const setup_header& header = kernel.header();
  uint64_t start = kHighRamStart;
  if (header.relocatable_kernel && header.pref_address >= kHighRamStart) {
    const uint64_t alignment = header.kernel_alignment;
    start = header.pref_address;
    if (alignment == 0 || (alignment & (alignment - 1)) != 0 || start % alignment != 0)
      start = kHighRamStart;
  }
  const auto body = kernel.protected_mode();
  const uint64_t size = std::max<uint64_t>(header.init_size, body.size());
  if (start >= memory.low_end() || size > memory.low_end() - start)
    return TooSmall(memory, "kernel", start + size);
  memory.Write(start, body);
  return Placed{start + kEntry64Offset, start, start + size};
}

Expected<uint64_t> PlaceInitrd(const GuestMemory& memory, const BootInputs& inputs,
                               uint64_t kernel_end) {
  if (inputs.initrd.empty()) return uint64_t{0};
  uint64_t limit = memory.low_end();
  if (inputs.kernel->format() == KernelImage::Format::kBzImage &&
      inputs.kernel->header().initrd_addr_max != 0)
    limit = std::min<uint64_t>(limit, uint64_t{inputs.kernel->header().initrd_addr_max} + 1);
  limit = std::min(limit, kInitrdMax + 1);
  const uint64_t size = (inputs.initrd.size() + kPageSize - 1) / kPageSize * kPageSize;
  const uint64_t floor = (kernel_end + kPageSize - 1) / kPageSize * kPageSize;
  // Leave some room behind the kernel: its first allocations come before the RAM disk is moved.
  if (floor + kMaxSlack >= limit || size > limit - floor - kMaxSlack)
    return TooSmall(memory, fmt::format("initrd {}", inputs.initrd_name), floor + kMaxSlack + size);
  const uint64_t address = (limit - size) / kPageSize * kPageSize;
  memory.Write(address, inputs.initrd);
  return address;
}

// Identity-maps the first 4 GiB with 2 MiB pages, which the 64-bit entry expects.
void WritePageTables(const GuestMemory& memory) {
  constexpr uint64_t kPresentWritable = 0x03;
  constexpr uint64_t kLarge = 0x80;
  std::array<uint64_t, 512> table = {};
  table[0] = (kPageTableAddress + kPageSize) | kPresentWritable;
  memory.Write(kPageTableAddress, AsBytes(table));
  table = {};
  for (uint64_t i = 0; i < 4; ++i)
    table[i] = (kPageTableAddress + (2 + i) * kPageSize) | kPresentWritable;
  memory.Write(kPageTableAddress + kPageSize, AsBytes(table));
  for (uint64_t i = 0; i < 4; ++i) {
    for (uint64_t j = 0; j < 512; ++j) table[j] = ((i * 512 + j) << 21) | kPresentWritable | kLarge;
    memory.Write(kPageTableAddress + (2 + i) * kPageSize, AsBytes(table));
  }
}

void WriteGdt(const GuestMemory& memory, bool code64) {
  const std::array<uint64_t, 6> gdt = {
      0,
      0,
      code64 ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,  // kCodeSelector
      0x00cf93000000ffffull,                                   // kDataSelector
      0x00008b0000000067ull,
      0};  // kTaskSelector
  memory.Write(kGdtAddress, AsBytes(gdt));
}

void WriteZeroPage(const GuestMemory& memory, const BootInputs& inputs, uint64_t rsdp,
                   uint64_t initrd, size_t cmdline_size) {
  boot_params params = {};
  params.hdr = inputs.kernel->format() == KernelImage::Format::kBzImage ? inputs.kernel->header()
                                                                        : setup_header{};
  params.hdr.boot_flag = 0xaa55;
  params.hdr.header = 0x53726448;
  if (params.hdr.version == 0) params.hdr.version = 0x020f;
  params.hdr.type_of_loader = 0xff;
  params.hdr.loadflags = static_cast<uint8_t>(params.hdr.loadflags | LOADED_HIGH);
  params.hdr.cmd_line_ptr = static_cast<uint32_t>(kCmdlineAddress);
  params.hdr.cmdline_size = static_cast<uint32_t>(cmdline_size);
  params.hdr.ramdisk_image = static_cast<uint32_t>(initrd);
  params.hdr.ramdisk_size = static_cast<uint32_t>(inputs.initrd.size());
  params.acpi_rsdp_addr = rsdp;
  for (const MapEntry& entry : BuildMemoryMap(memory)) {
    boot_e820_entry* slot = &params.e820_table[params.e820_entries++];
    slot->addr = entry.start;
    slot->size = entry.end - entry.start;
    slot->type = entry.type;
  }
  memory.Write(kZeroPageAddress, AsBytes(params));
}

// The PVH start-of-day structures (Xen public ABI, hvm_start_info version 1).
struct PvhStartInfo {
  uint32_t magic = 0x336ec578;
  uint32_t version = 1;
  uint32_t flags = 0;
  uint32_t module_count = 0;
  uint64_t modules = 0;
  uint64_t cmdline = 0;
  uint64_t rsdp = 0;
  uint64_t memory_map = 0;
  uint32_t memory_map_entries = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(PvhStartInfo) == 56);

struct PvhModule {
  uint64_t address;
  uint64_t size;
  uint64_t cmdline;
  uint64_t reserved;
};

struct PvhMapEntry {
  uint64_t address;
  uint64_t size;
  uint32_t type;
  uint32_t reserved;
};

void WritePvhInfo(const GuestMemory& memory, const BootInputs& inputs, uint64_t rsdp,
                  uint64_t initrd) {
  constexpr uint64_t kModuleAddress = kPvhInfoAddress + 0x100;
  constexpr uint64_t kMapAddress = kPvhInfoAddress + 0x200;
  PvhStartInfo info;
  info.cmdline = kCmdlineAddress;
  info.rsdp = rsdp;
  info.memory_map = kMapAddress;
  if (initrd != 0) {
    info.module_count = 1;
    info.modules = kModuleAddress;
    memory.Write(kModuleAddress, AsBytes(PvhModule{initrd, inputs.initrd.size(), 0, 0}));
  }
  uint64_t at = kMapAddress;
  for (const MapEntry& entry : BuildMemoryMap(memory)) {
    memory.Write(at, AsBytes(PvhMapEntry{entry.start, entry.end - entry.start, entry.type, 0}));
    at += sizeof(PvhMapEntry);
    ++info.memory_map_entries;
  }
  memory.Write(kPvhInfoAddress, AsBytes(info));
}

kvm_segment Segment(uint16_t selector, bool code, bool code64) {
  kvm_segment segment = {};
  segment.selector = selector;
  segment.limit = 0xffffffff;
  segment.type = code ? 0xb : 0x3;  // accessed, read/execute or read/write
  segment.present = 1;
  segment.s = 1;
  segment.g = 1;
  segment.l = code && code64;
  segment.db = !(code && code64);
  return segment;
}

}  // namespace

Expected<BootState> LoadGuest(const GuestMemory& memory, const BootInputs& inputs) {
  const KernelImage& kernel = *inputs.kernel;
  const bool self_unpacking = kernel.format() == KernelImage::Format::kBzImage;
  BootState state;
  state.entry = inputs.entry;
  if (state.entry == EntryMode::kAuto)
    state.entry = self_unpacking || kernel.elf().entry64 ? EntryMode::kLinux64 : EntryMode::kPvh;
  if (state.entry == EntryMode::kPvh && (self_unpacking || !kernel.elf().pvh_entry))
    return Fail(ErrorKind::kKernel, "cannot enter the kernel by PVH", "it has no PVH note",
                "leave out --entry, or use a kernel with CONFIG_PVH");
  if (state.entry == EntryMode::kLinux64 && !self_unpacking && !kernel.elf().entry64)
    return Fail(ErrorKind::kKernel, "cannot enter the kernel in 64-bit mode",
                "its entry is not a physical address", "enter it by its note: --entry pvh");

  const uint64_t elf_entry = state.entry == EntryMode::kPvh ? kernel.elf().pvh_entry.value_or(0)
                                                            : kernel.elf().entry64.value_or(0);
  auto placed = self_unpacking ? PlaceBzImage(memory, kernel) : PlaceElf(memory, kernel, elf_entry);
  if (!placed) return tl::unexpected(placed.error());
  if (placed->entry < placed->start || placed->entry >= placed->end)
    return Fail(ErrorKind::kKernel, "cannot enter the kernel",
                fmt::format("its entry {:#x} lies outside of it", placed->entry),
                "copy or download the file again");
  VMM_TRY_ASSIGN(initrd, PlaceInitrd(memory, inputs, placed->end));

  const size_t cmdline_limit =
      self_unpacking && kernel.header().cmdline_size != 0
          ? std::min<size_t>(kernel.header().cmdline_size, kCmdlineMax - 1)
          : 2047;  // COMMAND_LINE_SIZE of Linux on x86, less the terminator
  if (inputs.cmdline.size() > cmdline_limit)
    return Fail(ErrorKind::kUsage, "the kernel command line is too long",
                fmt::format("{} bytes; the kernel takes {}", inputs.cmdline.size(), cmdline_limit),
                "shorten --cmdline");
  memory.Write(kCmdlineAddress, {reinterpret_cast<const uint8_t*>(inputs.cmdline.c_str()),
                                 inputs.cmdline.size() + 1});

  const AcpiTables acpi = BuildAcpiTables({inputs.cpus, kAcpiAddress});
  if (acpi.image.size() > kHighRamStart - kAcpiAddress)
    return Fail(ErrorKind::kUsage, "the ACPI tables do not fit",
                fmt::format("{} CPUs are too many", inputs.cpus), "fewer --cpus");
  memory.Write(kAcpiAddress, acpi.image);

  state.rip = placed->entry;
  if (state.entry == EntryMode::kPvh) {
    WriteGdt(memory, false);
    WritePvhInfo(memory, inputs, acpi.rsdp, initrd);
    state.boot_info = kPvhInfoAddress;
  } else {
    WriteGdt(memory, true);
    WritePageTables(memory);
    WriteZeroPage(memory, inputs, acpi.rsdp, initrd, cmdline_limit);
    state.boot_info = kZeroPageAddress;
  }
  return state;
}

void SetEntryRegisters(const BootState& state, kvm_regs* regs, kvm_sregs* sregs) {
  constexpr uint64_t kCr0Pe = 1u << 0;
  constexpr uint64_t kCr0Et = 1u << 4;
  constexpr uint64_t kCr0Ne = 1u << 5;
  constexpr uint64_t kCr0Pg = 1u << 31;
  constexpr uint64_t kCr4Pae = 1u << 5;
  constexpr uint64_t kEferLme = 1u << 8;
  constexpr uint64_t kEferLma = 1u << 10;
  const bool code64 = state.entry == EntryMode::kLinux64;

  *regs = {};
  regs->rip = state.rip;
  regs->rflags = 2;  // the reserved bit
  if (code64)
    regs->rsi = state.boot_info;
  else
    regs->rbx = state.boot_info;

  sregs->cs = Segment(kCodeSelector, true, code64);
  const kvm_segment data = Segment(kDataSelector, false, code64);
  sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
  sregs->tr = {};
  sregs->tr.selector = kTaskSelector;
  sregs->tr.limit = 0x67;
  sregs->tr.type = 0xb;  // busy task state segment
  sregs->tr.present = 1;
  sregs->ldt = {};
  sregs->ldt.unusable = 1;
  sregs->gdt.base = kGdtAddress;
  sregs->gdt.limit = 6 * 8 - 1;
  sregs->idt.base = 0;
  sregs->idt.limit = 0;
  sregs->cr0 = kCr0Pe | kCr0Et;
  sregs->cr4 = 0;
  sregs->efer = 0;
  if (code64) {
    sregs->cr0 |= kCr0Pg | kCr0Ne;
    sregs->cr3 = kPageTableAddress;
    sregs->cr4 |= kCr4Pae;
    sregs->efer = kEferLme | kEferLma;
  }
}

}  // namespace vmm
