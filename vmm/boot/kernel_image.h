// SPDX-License-Identifier: GPL-2.0-or-later
//
// What `--kernel` names: a bzImage, an ELF kernel, or an ELF kernel compressed as a whole. A
// compressed one is unpacked on the host, once; the result is cached by content.
#pragma once

#include <asm/bootparam.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "boot/elf.h"

namespace vmm {

// Where unpacked kernels are kept: $XDG_CACHE_HOME/vellum/kernels, else under ~/.cache. Empty
// without a home.
std::string DefaultKernelCache();

struct KernelOptions {
  std::string cache_directory;  // empty: do not cache
  bool unpack = true;           // false: let a bzImage unpack itself in the guest
};

class KernelImage {
 public:
  enum class Format { kElf, kBzImage };

  static Expected<KernelImage> Open(const std::string& path, const KernelOptions& options);

  // What is to be loaded: an ELF kernel, or (kBzImage) an image that unpacks itself.
  Format format() const { return format_; }
  std::span<const uint8_t> bytes() const;
  const ElfKernel& elf() const { return elf_; }
  const setup_header& header() const { return header_; }  // kBzImage
  std::span<const uint8_t> protected_mode() const;        // kBzImage: the part to be loaded

  // "bzImage (xz)", "ELF", for messages.
  const std::string& description() const { return description_; }
  // The kernel's release as in uname -r; empty when the image does not tell.
  std::string Release() const;
  bool from_cache() const { return from_cache_; }

 private:
  Status LoadElf(const std::string& what);
  Status ParseBzImage(const std::string& what);
  Status UnpackPayload(const std::string& what, std::span<const uint8_t> payload,
                       const KernelOptions& options);

  MappedFile file_;
  MappedFile cached_;
  std::vector<uint8_t> unpacked_;
  bool use_file_ = true;
  bool from_cache_ = false;
  Format format_ = Format::kElf;
  ElfKernel elf_;
  setup_header header_ = {};
  size_t setup_size_ = 0;
  std::string description_;
  std::string release_;
};

}  // namespace vmm
