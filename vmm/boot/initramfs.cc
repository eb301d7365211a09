// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/initramfs.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/fd.h"
#include "boot/libraries.h"
#include "boot/unpack.h"
#include "guest/report.h"

extern "C" {
extern const uint8_t vmm_guest_init_start[];
extern const uint8_t vmm_guest_init_end[];
}

namespace vmm {
namespace {

namespace fs = std::filesystem;
constexpr int kMaxLinks = 40;
constexpr size_t kModuleLimit = 256u << 20;

auto ArchiveError(archive* writer) {
  const char* text = archive_error_string(writer);
  return Fail(ErrorKind::kInitrd, "cannot build the initramfs",
              text != nullptr ? text : "libarchive failed", "report this as a bug");
}

la_ssize_t AppendToVector(archive*, void* data, const void* buffer, size_t size) {
  auto* out = static_cast<std::vector<uint8_t>*>(data);
  const auto* bytes = static_cast<const uint8_t*>(buffer);
  out->insert(out->end(), bytes, bytes + size);
  return static_cast<la_ssize_t>(size);
}

}  // namespace

std::span<const uint8_t> EmbeddedInit() {
  return {vmm_guest_init_start, static_cast<size_t>(vmm_guest_init_end - vmm_guest_init_start)};
}

// Follows the links among the entries in the directory part of `path`.
std::string Initramfs::Resolve(const std::string& path) const {
  fs::path resolved = "/";
  fs::path rest = fs::path(path).lexically_normal().relative_path();
  int links = 0;
  while (!rest.empty()) {
    const fs::path first = *rest.begin();
    rest = rest.lexically_relative(first);
    if (rest == ".") rest.clear();
    fs::path next = resolved / first;
    const auto found = entries_.find(next);
    if (!rest.empty() && found != entries_.end() && S_ISLNK(found->second.mode) &&
        ++links <= kMaxLinks) {
      const fs::path target = resolved / found->second.target;
      rest = (target / rest).lexically_normal().relative_path();
      resolved = "/";
      continue;
    }
    resolved = next;
  }
  return resolved;
}

void Initramfs::AddParents(const std::string& path) {
  fs::path parent;
  for (const fs::path& part : fs::path(path).parent_path()) {
    parent /= part;
    if (parent == "/") continue;
    Entry& entry = entries_[parent];
    if (entry.mode == 0) entry.mode = S_IFDIR | 0755;
  }
}

void Initramfs::AddDirectory(const std::string& path, uint32_t mode) {
  const std::string resolved = Resolve(path);
  AddParents(resolved);
  Entry& entry = entries_[resolved];
  if (!S_ISLNK(entry.mode)) entry.mode = S_IFDIR | mode;
}

void Initramfs::AddBytes(const std::string& path, std::vector<uint8_t> bytes, uint32_t mode) {
  const std::string resolved = Resolve(path);
  AddParents(resolved);
  entries_[resolved] = Entry{S_IFREG | mode, std::move(bytes), {}};
}

void Initramfs::AddLink(const std::string& path, const std::string& target) {
  const std::string resolved = Resolve(path);
  AddParents(resolved);
  entries_[resolved] = Entry{S_IFLNK | 0777, {}, target};
}

Status Initramfs::AddFile(const std::string& path, const std::string& host_path) {
  VMM_TRY_ASSIGN(file, MappedFile::Open(host_path, ErrorKind::kInitrd, "file"));
  const bool executable = access(host_path.c_str(), X_OK) == 0;
  AddBytes(path, std::vector<uint8_t>(file.bytes().begin(), file.bytes().end()),
           executable ? 0755 : 0644);
  return {};
}

Expected<std::vector<uint8_t>> Initramfs::Finish() const {
  std::vector<uint8_t> out;
  size_t estimate = 4096;
  for (const auto& [path, entry] : entries_) estimate += path.size() + entry.bytes.size() + 256;
  out.reserve(estimate);
  const std::unique_ptr<archive, int (*)(archive*)> writer(archive_write_new(), archive_write_free);
  archive_write_set_format_cpio_newc(writer.get());
  archive_write_add_filter_none(writer.get());
  archive_write_set_bytes_per_block(writer.get(), 0);
  if (archive_write_open(writer.get(), &out, nullptr, AppendToVector, nullptr) != ARCHIVE_OK)
    return ArchiveError(writer.get());
  int64_t inode = 0;
  for (const auto& [path, entry] : entries_) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> header(archive_entry_new(),
                                                                          archive_entry_free);
    archive_entry_set_pathname(header.get(), path.c_str() + 1);  // relative to the root
    archive_entry_set_mode(header.get(), entry.mode);
    archive_entry_set_ino64(header.get(), ++inode);
    archive_entry_set_nlink(header.get(), 1);
    archive_entry_set_mtime(header.get(), 0, 0);  // the same input gives the same bytes
    archive_entry_set_size(header.get(), static_cast<la_int64_t>(entry.bytes.size()));
    if (S_ISLNK(entry.mode)) archive_entry_set_symlink(header.get(), entry.target.c_str());
    if (archive_write_header(writer.get(), header.get()) != ARCHIVE_OK)
      return ArchiveError(writer.get());
    if (!entry.bytes.empty() &&
        archive_write_data(writer.get(), entry.bytes.data(), entry.bytes.size()) !=
            static_cast<la_ssize_t>(entry.bytes.size()))
      return ArchiveError(writer.get());
  }
  if (archive_write_close(writer.get()) != ARCHIVE_OK) return ArchiveError(writer.get());
  return out;
}

std::vector<uint8_t> EncodeJob(const JobConfig& config, const std::string& program,
                               const std::vector<std::string>& modules) {
  std::vector<uint8_t> out;
  const auto add = [&](const std::string& text) {
    out.insert(out.end(), text.begin(), text.end());
    out.push_back(0);
  };
  const auto add_list = [&](const std::vector<std::string>& list) {
    add(std::to_string(list.size()));
    for (const std::string& text : list) add(text);
  };
  add(config.terminal ? std::string(1, VMM_JOB_FLAG_TTY) : std::string());
  add_list(modules);
  add("/");
  add(program);
  add_list(config.command);
  add_list(config.environment);
  return out;
}

Expected<std::vector<uint8_t>> BuildJobInitramfs(const JobConfig& config) {
  Initramfs out;
  // Merged /usr, as on the host: a path works with and without the prefix.
  for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
    out.AddDirectory(fmt::format("/usr/{}", name));
    out.AddLink(fmt::format("/{}", name), fmt::format("usr/{}", name));
  }
  for (const char* name : {"/dev", "/proc", "/sys", "/run", "/root", "/etc", "/.vmm"})
    out.AddDirectory(name);
  out.AddDirectory("/tmp", 01777);
  const std::span<const uint8_t> init = EmbeddedInit();
  out.AddBytes("/init", std::vector<uint8_t>(init.begin(), init.end()), 0755);

  VMM_TRY_ASSIGN(program, FindProgram(config.command.front()));
  VMM_TRY_ASSIGN(needed, ProgramFiles(program));
  for (const std::string& path : needed) VMM_TRY(out.AddFile(path, path));

  for (const AddedFile& file : config.files) {
    std::error_code error;
    if (fs::is_directory(file.source, error)) {
      for (const auto& entry : fs::recursive_directory_iterator(file.source, error)) {
        const std::string inside =
            (fs::path(file.destination) / entry.path().lexically_relative(file.source))
                .lexically_normal();
        if (entry.is_symlink(error)) {
          out.AddLink(inside, fs::read_symlink(entry.path(), error));
        } else if (entry.is_directory(error)) {
          out.AddDirectory(inside);
        } else if (entry.is_regular_file(error)) {
          if (entry.file_size(error) == 0)
            out.AddBytes(inside, {}, 0644);
          else
            VMM_TRY(out.AddFile(inside, entry.path()));
        }
      }
      continue;
    }
    VMM_TRY(out.AddFile(file.destination, file.source));
    VMM_TRY_ASSIGN(libraries, ProgramFiles(fs::absolute(file.source)));
    for (size_t i = 1; i < libraries.size(); ++i) VMM_TRY(out.AddFile(libraries[i], libraries[i]));
  }

  std::vector<std::string> modules;
  for (const std::string& module : config.modules) {
    VMM_TRY_ASSIGN(file, MappedFile::Open(module, ErrorKind::kInitrd, "kernel module"));
    std::vector<uint8_t> bytes(file.bytes().begin(), file.bytes().end());
    const Compression compression = DetectCompression(bytes);
    if (compression != Compression::kNone) {
      auto unpacked = Unpack(bytes, compression, kModuleLimit);
      if (!unpacked) {
        Error error = unpacked.error();
        error.kind = ErrorKind::kInitrd;
        error.what = fmt::format("cannot unpack the kernel module {}", module);
        return tl::unexpected(std::move(error));
      }
      bytes = std::move(*unpacked);
    }
    modules.push_back(fmt::format("/.vmm/{}.ko", modules.size()));
    out.AddBytes(modules.back(), std::move(bytes), 0644);
  }
  out.AddBytes(VMM_JOB_PATH, EncodeJob(config, program, modules), 0600);
  return out.Finish();
}

}  // namespace vmm
