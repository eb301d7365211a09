// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib/stats.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "lib/check.h"

namespace stats {
namespace {

void ReadAt(int fd, void* to, size_t size, off_t offset) {
  CHECK_EQ(static_cast<ssize_t>(size), pread(fd, to, size, offset));
}

}  // namespace

File::File(int owner) : fd_(kvm::Ioctl(owner, KVM_GET_STATS_FD)) {
  CHECK(fd_.get() >= 0);
  ReadAt(fd(), &header_, sizeof(header_), 0);
  std::vector<char> text(header_.name_size);
  ReadAt(fd(), text.data(), text.size(), header_.id_offset);
  CHECK(std::find(text.begin(), text.end(), '\0') != text.end());
  id_ = text.data();

  const size_t stride = sizeof(kvm_stats_desc) + header_.name_size;
  std::vector<char> table(stride * header_.num_desc);
  ReadAt(fd(), table.data(), table.size(), header_.desc_offset);
  size_ = header_.data_offset;
  for (size_t i = 0; i < header_.num_desc; ++i) {
    kvm_stats_desc desc;
    std::memcpy(&desc, table.data() + i * stride, sizeof(desc));
    const char* name = table.data() + i * stride + sizeof(desc);
    CHECK(std::memchr(name, 0, header_.name_size) != nullptr);
    Counter counter{desc.flags, desc.exponent, desc.offset, desc.bucket_size, {}};
    counter.values.resize(desc.size);
    CHECK(counters_.emplace(name, std::move(counter)).second);
    size_ = std::max<size_t>(size_, header_.data_offset + desc.offset + desc.size * 8u);
  }
}

std::map<std::string, Counter> File::Read() const {
  auto counters = counters_;
  for (auto& [name, counter] : counters) {
    ReadAt(fd(), counter.values.data(), counter.values.size() * sizeof(uint64_t),
           header_.data_offset + counter.offset);
  }
  return counters;
}

std::vector<uint64_t> File::Values(const std::string& name) const {
  const auto found = counters_.find(name);
  if (found == counters_.end()) return {};
  std::vector<uint64_t> values(found->second.values.size());
  ReadAt(fd(), values.data(), values.size() * sizeof(uint64_t),
         header_.data_offset + found->second.offset);
  return values;
}

long File::Offset(const std::string& name) const {
  const auto found = counters_.find(name);
  if (found == counters_.end()) check::Fail(__FILE__, __LINE__, "there is no counter " + name);
  return static_cast<long>(header_.data_offset) + found->second.offset;
}

uint64_t File::Value(const std::string& name) const {
  const auto values = Values(name);
  if (values.empty()) check::Fail(__FILE__, __LINE__, "there is no counter " + name);
  return values[0];
}

}  // namespace stats
