// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/kernel_image.h"

#define XXH_INLINE_ALL
#include <fmt/core.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "boot/unpack.h"

namespace vmm {
namespace {

constexpr size_t kHeaderOffset = 0x1f1;
constexpr uint32_t kHeaderMagic = 0x53726448;  // "HdrS"
constexpr uint16_t kBootFlag = 0xaa55;
constexpr uint16_t kProtocolPayload = 0x0208;  // payload_offset and payload_length exist
constexpr uint16_t kProtocol64 = 0x020c;       // xloadflags exists
constexpr size_t kSector = 512;
constexpr size_t kUnpackLimit = size_t{1} << 30;
constexpr size_t kCacheEntries = 8;

namespace fs = std::filesystem;

tl::unexpected<Error> Named(const std::string& what, Error error) {
  error.kind = ErrorKind::kKernel;
  error.what = what;
  return tl::unexpected<Error>(std::move(error));
}

// Names what the file is instead of a kernel, where that can be told.
std::string Guess(std::span<const uint8_t> bytes) {
  const auto begins = [&](std::string_view magic, size_t at = 0) {
    return bytes.size() >= at + magic.size() &&
           std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
  };
  if (begins("070701") || begins("070702")) return "it is an initramfs (cpio), not a kernel";
  if (begins("ARM\x64", 56)) return "it is a kernel for arm64";
  if (begins("!<arch>")) return "it is a Debian package or an archive, not a kernel";
  if (begins("#!")) return "it is a script";
  if (begins("MZ")) return "it is an EFI program without a Linux boot header";
  return "it is neither a bzImage nor an ELF file";
}

// The word after "Linux version " in an unpacked kernel.
std::string FindRelease(std::span<const uint8_t> bytes) {
  static constexpr std::string_view kMarker = "Linux version ";
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (size_t at = text.find(kMarker); at != text.npos; at = text.find(kMarker, at + 1)) {
    const size_t begin = at + kMarker.size();
    const size_t end = text.find_first_of(std::string_view(" \0\n", 3), begin);
    if (end != text.npos && end - begin < 65 && begin < text.size() && text[begin] >= '0' &&
        text[begin] <= '9')
      return std::string(text.substr(begin, end - begin));
  }
  return {};
}

// Keeps the newest entries and drops the rest.
void TrimCache(const fs::path& directory) {
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> entries;
  for (const auto& entry : fs::directory_iterator(directory, error))
    if (entry.path().extension() == ".elf")
      entries.emplace_back(entry.last_write_time(error), entry.path());
  if (entries.size() <= kCacheEntries) return;
  std::sort(entries.begin(), entries.end());
  for (size_t i = 0; i + kCacheEntries < entries.size(); ++i) fs::remove(entries[i].second, error);
}

}  // namespace

std::string DefaultKernelCache() {
  const char* base = std::getenv("XDG_CACHE_HOME");
  if (base != nullptr && base[0] == '/') return std::string(base) + "/vellum/kernels";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/vellum/kernels";
  return {};
}

std::span<const uint8_t> KernelImage::bytes() const {
  if (use_file_) return file_.bytes();
  return from_cache_ ? cached_.bytes() : std::span<const uint8_t>(unpacked_);
}

std::span<const uint8_t> KernelImage::protected_mode() const {
  return file_.bytes().subspan(setup_size_);
}

std::string KernelImage::Release() const {
  return release_.empty() ? FindRelease(bytes()) : release_;
}

Expected<KernelImage> KernelImage::Open(const std::string& path, const KernelOptions& options) {
  KernelImage image;
  VMM_TRY_ASSIGN(file, MappedFile::Open(path, ErrorKind::kKernel, "kernel"));
  image.file_ = std::move(file);
  const std::string what = fmt::format("cannot use {} as a kernel", path);
  const auto bytes = image.file_.bytes();

  if (IsElf(bytes)) {
    image.description_ = "ELF";
    VMM_TRY(image.LoadElf(what));
    return image;
  }
  uint32_t magic = 0;
  uint16_t flag = 0;
  if (bytes.size() >= 0x206) {
    std::memcpy(&flag, bytes.data() + 0x1fe, sizeof(flag));
    std::memcpy(&magic, bytes.data() + 0x202, sizeof(magic));
  }
  if (flag == kBootFlag && magic == kHeaderMagic) {
    VMM_TRY(image.ParseBzImage(what));
    const auto& header = image.header_;
    if (header.version >= kProtocolPayload && header.payload_length != 0) {
      const auto body = image.protected_mode();
      if (header.payload_offset > body.size() ||
          header.payload_length > body.size() - header.payload_offset)
        return Fail(
            ErrorKind::kKernel, what,
            fmt::format("the file is cut short: its payload reaches to byte {} of {}",
                        image.setup_size_ + uint64_t{header.payload_offset} + header.payload_length,
                        bytes.size()),
            "copy or download it again");
      const auto payload = body.subspan(header.payload_offset, header.payload_length);
      const Compression compression = DetectCompression(payload);
      image.description_ = fmt::format("bzImage ({})", CompressionName(compression));
      if (options.unpack && CanUnpack(compression)) {
        VMM_TRY(image.UnpackPayload(what, payload, options));
        return image;
      }
    } else {
      image.description_ = "bzImage";
    }
    if (header.version < kProtocol64 || !(header.xloadflags & XLF_KERNEL_64))
      return Fail(ErrorKind::kKernel, what, "it is a 32-bit kernel, or older than Linux 3.8",
                  "use a 64-bit kernel");
    image.format_ = Format::kBzImage;
    return image;
  }
  const Compression compression = DetectCompression(bytes);
  if (compression != Compression::kNone) {
    image.description_ = fmt::format("ELF ({})", CompressionName(compression));
    VMM_TRY(image.UnpackPayload(what, bytes, options));
    return image;
  }
  return Fail(ErrorKind::kKernel, what, Guess(bytes),
              "name a Linux kernel, for example --kernel /boot/vmlinuz-$(uname -r)");
}

Status KernelImage::LoadElf(const std::string& what) {
  auto elf = ParseElfKernel(bytes());
  if (!elf) return Named(what, elf.error());
  elf_ = std::move(*elf);
  format_ = Format::kElf;
  return {};
}

Status KernelImage::ParseBzImage(const std::string& what) {
  const auto bytes = file_.bytes();
  // The header's own length is in its jump instruction; later fields are not there.
  const size_t header_end = 0x202 + size_t{bytes[0x201]};
  const size_t available = std::min({sizeof(header_), bytes.size() - kHeaderOffset,
                                     header_end > kHeaderOffset ? header_end - kHeaderOffset : 0});
  std::memcpy(&header_, bytes.data() + kHeaderOffset, available);
  const size_t sectors = header_.setup_sects == 0 ? 4 : header_.setup_sects;
  setup_size_ = (sectors + 1) * kSector;
  if (bytes.size() <= setup_size_)
    return Fail(ErrorKind::kKernel, what,
                fmt::format("the file is cut short: {} bytes, of which {} are set-up code",
                            bytes.size(), setup_size_),
                "copy or download it again");
  if (header_.version >= 0x0200 && header_.kernel_version != 0) {
    const size_t at = size_t{header_.kernel_version} + kSector;
    const size_t limit = std::min(bytes.size(), at + 64);
    for (size_t i = at; i < limit && bytes[i] > ' '; ++i) release_ += static_cast<char>(bytes[i]);
  }
  return {};
}

Status KernelImage::UnpackPayload(const std::string& what, std::span<const uint8_t> payload,
                                  const KernelOptions& options) {
  fs::path entry;
  if (!options.cache_directory.empty()) {
    const XXH128_hash_t hash = XXH3_128bits(payload.data(), payload.size());
    entry = fs::path(options.cache_directory) /
            fmt::format("{:016x}{:016x}.elf", hash.high64, hash.low64);
    if (access(entry.c_str(), R_OK) == 0) {
      auto cached = MappedFile::Open(entry, ErrorKind::kKernel, "cached kernel");
      // A damaged entry is not an error: it is replaced below.
      if (cached && ParseElfKernel(cached->bytes())) {
        cached_ = std::move(*cached);
        use_file_ = false;
        from_cache_ = true;
        return LoadElf(what);
      }
    }
  }
  auto unpacked = Unpack(payload, DetectCompression(payload), kUnpackLimit);
  if (!unpacked) return Named(what, unpacked.error());
  unpacked_ = std::move(*unpacked);
  use_file_ = false;
  if (!IsElf(unpacked_))
    return Fail(ErrorKind::kKernel, what, "what it unpacks to is not an ELF kernel",
                "name a Linux kernel, for example --kernel /boot/vmlinuz-$(uname -r)");
  VMM_TRY(LoadElf(what));
  auto stripped = StripElfKernel(unpacked_, elf_);
  if (!stripped.empty()) {
    unpacked_ = std::move(stripped);
    VMM_TRY(LoadElf(what));
  }
  if (!entry.empty()) {
    // The cache is a convenience: where it cannot be written, go on without.
    std::error_code error;
    fs::create_directories(entry.parent_path(), error);
    if (!error && WriteFileAtomically(entry, unpacked_)) TrimCache(entry.parent_path());
  }
  return {};
}

}  // namespace vmm
