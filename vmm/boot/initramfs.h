// SPDX-License-Identifier: GPL-2.0-or-later
//
// Builds the initramfs (cpio, "newc") in which a guest command runs: vmm's own init, the command
// with the files it needs, and a job file that tells init what to do.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"

namespace vmm {

// The init program that is part of this binary.
std::span<const uint8_t> EmbeddedInit();

class Initramfs {
 public:
  // Paths are absolute. Parent directories are made as needed; symbolic links that lie on the way
  // of a path added so far are followed. A path that exists already is replaced.
  void AddDirectory(const std::string& path, uint32_t mode = 0755);
  void AddBytes(const std::string& path, std::vector<uint8_t> bytes, uint32_t mode);
  void AddLink(const std::string& path, const std::string& target);
  // A file of the host; the contents of what a link points to.
  Status AddFile(const std::string& path, const std::string& host_path);

  Expected<std::vector<uint8_t>> Finish() const;

 private:
  struct Entry {
    uint32_t mode = 0;  // with the type bits
    std::vector<uint8_t> bytes;
    std::string target;
  };

  std::string Resolve(const std::string& path) const;
  void AddParents(const std::string& path);

  std::map<std::string, Entry> entries_;  // sorted: a directory comes before what is in it
};

struct AddedFile {
  std::string source;       // on the host; a program brings the libraries that it needs
  std::string destination;  // in the guest
};

struct JobConfig {
  std::vector<std::string> command;
  std::vector<AddedFile> files;
  std::vector<std::string> modules;  // kernel module files on the host, in load order
  std::vector<std::string> environment;
  bool terminal = false;  // a person sits at it
};

// The job file's text (guest/report.h describes it); `program` is a path in the guest.
std::vector<uint8_t> EncodeJob(const JobConfig& config, const std::string& program,
                               const std::vector<std::string>& modules);

Expected<std::vector<uint8_t>> BuildJobInitramfs(const JobConfig& config);

}  // namespace vmm
