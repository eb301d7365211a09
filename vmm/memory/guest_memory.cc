// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory/guest_memory.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/parse.h"

namespace vmm {

std::vector<RamRange> LayoutRam(uint64_t size) {
  std::vector<RamRange> ranges{{0, std::min(size, kHoleStart)}};
  if (size > kHoleStart) ranges.push_back({kHoleEnd, size - kHoleStart});
  return ranges;
}

Expected<uint64_t> CheckMemorySize(uint64_t size) {
  const uint64_t whole = size / kPageSize * kPageSize;
  if (whole < kMinMemory)
    return Fail(ErrorKind::kMemory,
                fmt::format("cannot run a machine with {} of memory", FormatSize(size)),
                fmt::format("at least {} are needed", FormatSize(kMinMemory)),
                "give the guest more memory, for example --mem 256M");
  return whole;
}

Expected<GuestMemory> GuestMemory::Create(uint64_t size) {
  const std::string what = fmt::format("cannot get {} of guest memory", FormatSize(size));
  const char* hint = "a smaller --mem";
  GuestMemory memory;
  memory.fd_ = Fd(memfd_create("guest-memory", MFD_CLOEXEC));
  if (!memory.fd_.valid())
    return Fail(ErrorKind::kMemory, what, fmt::format("memfd_create: {}", ErrnoText(errno)), hint);
  if (ftruncate(memory.fd_.get(), static_cast<off_t>(size)) != 0)
    return Fail(ErrorKind::kMemory, what, fmt::format("ftruncate: {}", ErrnoText(errno)), hint);
  memory.mapping_ = Mapping::Create(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                                    memory.fd_.get(), 0);
  if (!memory.mapping_.valid())
    return Fail(ErrorKind::kMemory, what, fmt::format("mmap: {}", ErrnoText(errno)), hint);
  // Advice only; the host may have no huge pages to give.
  madvise(memory.mapping_.data(), size, MADV_HUGEPAGE);
  madvise(memory.mapping_.data(), size, MADV_DONTDUMP);
  memory.ranges_ = LayoutRam(size);
  return memory;
}

std::span<uint8_t> GuestMemory::At(uint64_t gpa, uint64_t length) const {
  uint64_t offset = 0;
  for (const RamRange& range : ranges_) {
    if (gpa >= range.gpa && gpa - range.gpa < range.size) {
      if (length > range.size - (gpa - range.gpa)) return {};
      return mapping_.bytes().subspan(offset + (gpa - range.gpa), length);
    }
    offset += range.size;
  }
  return {};
}

bool GuestMemory::Write(uint64_t gpa, std::span<const uint8_t> bytes) const {
  if (bytes.empty()) return true;
  const std::span<uint8_t> target = At(gpa, bytes.size());
  if (target.empty()) return false;
  std::memcpy(target.data(), bytes.data(), bytes.size());
  return true;
}

Status GuestMemory::Register(const Vm& vm) const {
  uint32_t slot = 0;
  uint64_t offset = 0;
  for (const RamRange& range : ranges_) {
    kvm_userspace_memory_region region = {};
    region.slot = slot++;
    region.guest_phys_addr = range.gpa;
    region.memory_size = range.size;
    region.userspace_addr = reinterpret_cast<uint64_t>(mapping_.data()) + offset;
    VMM_TRY(vm.SetMemory(region));
    offset += range.size;
  }
  return {};
}

}  // namespace vmm
