// SPDX-License-Identifier: GPL-2.0-or-later
// The binary statistics of a machine or a vCPU: KVM_GET_STATS_FD.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lib/kvm.h"

namespace stats {

struct Counter {
  uint32_t flags = 0;
  int exponent = 0;
  uint32_t offset = 0;  // of the first value in the data block, in bytes
  uint32_t bucket_size = 0;
  std::vector<uint64_t> values;
};

class File {
 public:
  // Of a VM or vCPU descriptor; fails the test.
  explicit File(int owner);

  int fd() const { return fd_.get(); }
  const kvm_stats_header& header() const { return header_; }
  const std::string& id() const { return id_; }
  size_t size() const { return size_; }
  // Reads all values.
  std::map<std::string, Counter> Read() const;
  // Where the first value of a counter that must exist lies in the file.
  long Offset(const std::string& name) const;
  // That value.
  uint64_t Value(const std::string& name) const;
  // All its values; none when there is no such counter.
  std::vector<uint64_t> Values(const std::string& name) const;

 private:
  kvm::Fd fd_;
  kvm_stats_header header_{};
  std::string id_;
  std::map<std::string, Counter> counters_;  // without values
  size_t size_ = 0;
};

}  // namespace stats
