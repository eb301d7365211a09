// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/elf.h"

#include <elf.h>
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace vmm {
namespace {

constexpr uint32_t kXenNotePhys32Entry = 18;
constexpr size_t kMaxSegments = 128;
constexpr uint64_t kMaxPhysical = 1ull << 46;

// Copies a T from `offset`, if all of it is there.
template <typename T>
std::optional<T> ReadAt(std::span<const uint8_t> bytes, uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

std::optional<std::span<const uint8_t>> Slice(std::span<const uint8_t> bytes, uint64_t offset,
                                              uint64_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) return std::nullopt;
  return bytes.subspan(offset, size);
}

auto Bad(std::string why, std::string hint = "copy or download the file again") {
  return Fail(ErrorKind::kKernel, "", std::move(why), std::move(hint));
}

Expected<std::vector<Elf64_Phdr>> ReadHeaders(std::span<const uint8_t> bytes, Elf64_Ehdr* out) {
  if (!IsElf(bytes)) return Bad("it is not an ELF file");
  if (bytes.size() < sizeof(Elf64_Ehdr)) return Bad("the file ends inside its ELF header");
  if (bytes[EI_CLASS] != ELFCLASS64)
    return Bad("it is a 32-bit ELF file", "use a 64-bit x86 build");
  const auto header = ReadAt<Elf64_Ehdr>(bytes, 0);
  if (bytes[EI_DATA] != ELFDATA2LSB || header->e_machine != EM_X86_64)
    return Bad("it is built for another architecture", "use a 64-bit x86 build");
  if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
    return Bad("it is an object file, not a linked program", "name the linked file");
  if (header->e_phnum == 0 || header->e_phnum > kMaxSegments ||
      header->e_phentsize != sizeof(Elf64_Phdr))
    return Bad("its program header table makes no sense");
  std::vector<Elf64_Phdr> segments;
  for (size_t i = 0; i < header->e_phnum; ++i) {
    if (header->e_phoff > bytes.size()) return Bad("the file ends before its program headers");
    const auto segment = ReadAt<Elf64_Phdr>(bytes, header->e_phoff + i * sizeof(Elf64_Phdr));
    if (!segment) return Bad("the file ends inside its program headers");
    segments.push_back(*segment);
  }
  *out = *header;
  return segments;
}

std::optional<uint32_t> FindPvhEntry(std::span<const uint8_t> notes) {
  uint64_t at = 0;
  while (const auto note = ReadAt<Elf64_Nhdr>(notes, at)) {
    const uint64_t name = at + sizeof(Elf64_Nhdr);
    const uint64_t descriptor = name + (uint64_t{note->n_namesz} + 3) / 4 * 4;
    const uint64_t next = descriptor + (uint64_t{note->n_descsz} + 3) / 4 * 4;
    const auto name_bytes = Slice(notes, name, note->n_namesz);
    if (name_bytes && note->n_namesz == 4 && std::memcmp(name_bytes->data(), "Xen", 4) == 0 &&
        note->n_type == kXenNotePhys32Entry && note->n_descsz >= 4)
      return ReadAt<uint32_t>(notes, descriptor);
    at = next;  // grows by at least the header
  }
  return std::nullopt;
}

}  // namespace

bool IsElf(std::span<const uint8_t> bytes) {
  return bytes.size() >= SELFMAG && std::memcmp(bytes.data(), ELFMAG, SELFMAG) == 0;
}

Expected<ElfKernel> ParseElfKernel(std::span<const uint8_t> bytes) {
  Elf64_Ehdr header;
  VMM_TRY_ASSIGN(segments, ReadHeaders(bytes, &header));
  ElfKernel kernel;
  kernel.start = kMaxPhysical;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_NOTE && !kernel.pvh_entry) {
      const auto notes = Slice(bytes, segment.p_offset, segment.p_filesz);
      if (!notes) return Bad("the file ends inside its notes");
      kernel.pvh_entry = FindPvhEntry(*notes);
    }
    if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
    if (segment.p_filesz > segment.p_memsz || segment.p_paddr >= kMaxPhysical ||
        segment.p_memsz >= kMaxPhysical)
      return Bad("a segment of it makes no sense");
    if (!Slice(bytes, segment.p_offset, segment.p_filesz))
      return Bad(fmt::format("the file is cut short: a segment reaches to byte {} of {}",
                             segment.p_offset + segment.p_filesz, bytes.size()));
    kernel.segments.push_back(
        {segment.p_paddr, segment.p_vaddr, segment.p_memsz, segment.p_offset, segment.p_filesz});
    kernel.start = std::min(kernel.start, segment.p_paddr);
    kernel.end = std::max(kernel.end, segment.p_paddr + segment.p_memsz);
  }
  if (kernel.segments.empty())
    return Bad("nothing in it is to be loaded", "name a kernel, not a debug-information file");
  // Linux gives a physical entry address; a virtual one needs a loader with page tables.
  for (const ElfSegment& segment : kernel.segments)
    if (header.e_entry >= segment.physical &&
        header.e_entry - segment.physical < segment.memory_size)
      kernel.entry64 = header.e_entry;
  if (!kernel.entry64 && !kernel.pvh_entry)
    return Bad("it has neither a 64-bit entry at a physical address nor a PVH note",
               "use a Linux kernel, or one built with PVH support");
  return kernel;
}

Expected<ElfProgram> ParseElfProgram(std::span<const uint8_t> bytes) {
  Elf64_Ehdr header;
  VMM_TRY_ASSIGN(segments, ReadHeaders(bytes, &header));
  ElfProgram program;
  std::optional<std::span<const uint8_t>> dynamic;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_INTERP) {
      const auto name = Slice(bytes, segment.p_offset, segment.p_filesz);
      if (!name) return Bad("the file is cut short");
      program.interpreter.assign(name->begin(), std::find(name->begin(), name->end(), 0));
    }
    if (segment.p_type == PT_DYNAMIC) {
      dynamic = Slice(bytes, segment.p_offset, segment.p_filesz);
      if (!dynamic) return Bad("the file is cut short");
    }
  }
  if (!dynamic) return program;

  const auto to_offset = [&](uint64_t address) -> std::optional<uint64_t> {
    for (const Elf64_Phdr& segment : segments)
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
          address - segment.p_vaddr < segment.p_filesz)
        return address - segment.p_vaddr + segment.p_offset;
    return std::nullopt;
  };
  uint64_t strings_address = 0;
  uint64_t strings_size = 0;
  std::vector<uint64_t> needed;
  std::optional<uint64_t> run_path;
  std::optional<uint64_t> old_run_path;
  for (uint64_t at = 0;; at += sizeof(Elf64_Dyn)) {
    const auto entry = ReadAt<Elf64_Dyn>(*dynamic, at);
    if (!entry || entry->d_tag == DT_NULL) break;
    switch (entry->d_tag) {
      case DT_STRTAB:
        strings_address = entry->d_un.d_ptr;
        break;
      case DT_STRSZ:
        strings_size = entry->d_un.d_val;
        break;
      case DT_NEEDED:
        needed.push_back(entry->d_un.d_val);
        break;
      case DT_RUNPATH:
        run_path = entry->d_un.d_val;
        break;
      case DT_RPATH:
        old_run_path = entry->d_un.d_val;
        break;
      default:
        break;
    }
  }
  const auto strings_offset = to_offset(strings_address);
  const auto strings = strings_offset ? Slice(bytes, *strings_offset, strings_size) : std::nullopt;
  const auto string_at = [&](uint64_t index) -> std::optional<std::string> {
    if (!strings || index >= strings->size()) return std::nullopt;
    const auto tail = strings->subspan(index);
    return std::string(tail.begin(), std::find(tail.begin(), tail.end(), 0));
  };
  for (const uint64_t index : needed) {
    const auto name = string_at(index);
    if (!name) return Bad("its table of needed libraries makes no sense");
    program.needed.push_back(*name);
  }
  if (!run_path) run_path = old_run_path;
  if (run_path) {
    const std::string all = string_at(*run_path).value_or("");
    for (size_t begin = 0; begin < all.size();) {
      const size_t end = std::min(all.find(':', begin), all.size());
      if (end > begin) program.run_path.push_back(all.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return program;
}

std::vector<uint8_t> StripElfKernel(std::span<const uint8_t> bytes, const ElfKernel&) {
  Elf64_Ehdr header;
  auto all = ReadHeaders(bytes, &header);
  if (!all) return {};
  std::vector<Elf64_Phdr> kept;
  for (const Elf64_Phdr& segment : *all)
    if ((segment.p_type == PT_LOAD && segment.p_memsz != 0) || segment.p_type == PT_NOTE)
      kept.push_back(segment);
  std::vector<uint8_t> out;
  uint64_t at = sizeof(Elf64_Ehdr) + kept.size() * sizeof(Elf64_Phdr);
  for (Elf64_Phdr& segment : kept) {
    at = (at + 4095) / 4096 * 4096;
    auto content = Slice(bytes, segment.p_offset, segment.p_filesz);
    if (!content) return {};
    if (segment.p_type == PT_LOAD) {  // memory behind the content is zero anyway
      while (!content->empty() && content->back() == 0)
        content = content->first(content->size() - 1);
      segment.p_filesz = content->size();
    }
    out.resize(at);
    out.insert(out.end(), content->begin(), content->end());
    segment.p_offset = at;
    at = out.size();
  }
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_phnum = static_cast<uint16_t>(kept.size());
  header.e_shoff = 0;
  header.e_shnum = 0;
  header.e_shstrndx = 0;
  std::memcpy(out.data(), &header, sizeof(header));
  std::memcpy(out.data() + sizeof(header), kept.data(), kept.size() * sizeof(Elf64_Phdr));
  return out;
}

}  // namespace vmm
