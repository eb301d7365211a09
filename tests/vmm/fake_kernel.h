// SPDX-License-Identifier: GPL-2.0-or-later
//
// Small made-up kernels: just enough of an ELF file, a bzImage or a compressed stream to be taken
// for one. Also temporary folders for them.
#pragma once

#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <asm/bootparam.h>
#include <elf.h>
#include <lz4.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace vmm::test {

using Bytes = std::vector<uint8_t>;

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "vmm-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  std::string path() const { return path_; }
  std::string File(const std::string& name, const Bytes& bytes) const {
    const std::string path = path_ + "/" + name;
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    return path;
  }

 private:
  std::string path_;
};

template <typename T>
void Put(Bytes* out, size_t at, const T& value) {
  if (out->size() < at + sizeof(T)) out->resize(at + sizeof(T));
  std::memcpy(out->data() + at, &value, sizeof(T));
}

struct FakeElf {
  uint64_t address = 0x1000000;
  uint64_t entry = 0x1000000;
  size_t content = 0x3000;
  uint64_t memory = 0x5000;
  uint32_t pvh_entry = 0;  // 0: no note
};

inline Bytes MakeElf(const FakeElf& fake = {}) {
  constexpr size_t kContentAt = 0x1000;
  Bytes out(kContentAt + fake.content);
  for (size_t i = 0; i < fake.content; ++i)
    out[kContentAt + i] = static_cast<uint8_t>(i * 7 + i / 256 + 1);
  const std::string version = "Linux version 6.1.0-fake (someone) ";
  std::memcpy(out.data() + kContentAt + 16, version.data(), version.size());
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_entry = fake.entry;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = fake.pvh_entry != 0 ? 2 : 1;
  Put(&out, 0, header);
  Elf64_Phdr load = {};
  load.p_type = PT_LOAD;
  load.p_offset = kContentAt;
  load.p_paddr = fake.address;
  load.p_vaddr = 0xffffffff81000000;
  load.p_filesz = fake.content;
  load.p_memsz = fake.memory;
  Put(&out, sizeof(header), load);
  if (fake.pvh_entry != 0) {
    constexpr size_t kNoteAt = 0x800;
    Elf64_Phdr note = {};
    note.p_type = PT_NOTE;
    note.p_offset = kNoteAt;
    note.p_filesz = 20;
    Put(&out, sizeof(header) + sizeof(load), note);
    Put(&out, kNoteAt, Elf64_Nhdr{4, 4, 18});
    std::memcpy(out.data() + kNoteAt + 12, "Xen", 4);
    Put(&out, kNoteAt + 16, fake.pvh_entry);
  }
  return out;
}

inline Bytes Gzip(const Bytes& in) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, in.size()) + 64);
  stream.next_in = const_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline Bytes Xz(const Bytes& in) {
  Bytes out(lzma_stream_buffer_bound(in.size()));
  size_t used = 0;
  [[maybe_unused]] auto result = lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, nullptr, in.data(),
                                                         in.size(), out.data(), &used, out.size());
  out.resize(used);
  return out;
}

inline Bytes Zstd(const Bytes& in) {
  Bytes out(ZSTD_compressBound(in.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
  return out;
}

// With the unpacked size behind, as the kernel's build leaves it.
inline Bytes Lz4Legacy(const Bytes& in) {
  Bytes out;
  Put(&out, 0, uint32_t{0x184c2102});
  constexpr size_t kBlock = 8u << 20;
  for (size_t at = 0; at < in.size(); at += kBlock) {
    const size_t size = std::min(kBlock, in.size() - at);
    Bytes block(static_cast<size_t>(LZ4_compressBound(static_cast<int>(size))));
    const int used = LZ4_compress_default(reinterpret_cast<const char*>(in.data() + at),
                                          reinterpret_cast<char*>(block.data()),
                                          static_cast<int>(size), static_cast<int>(block.size()));
    Put(&out, out.size(), static_cast<uint32_t>(used));
    out.insert(out.end(), block.begin(), block.begin() + used);
  }
  Put(&out, out.size(), static_cast<uint32_t>(in.size()));
  return out;
}

inline Bytes MakeBzImage(const Bytes& payload, uint16_t version = 0x020f) {
  constexpr size_t kSetup = 2 * 512;  // one sector of set-up code
  constexpr size_t kPayloadAt = 0x400;
  Bytes out(kSetup + kPayloadAt);
  setup_header header = {};
  header.setup_sects = 1;
  header.boot_flag = 0xaa55;
  header.jump = 0x6aeb;  // a short jump over 0x6a bytes of header
  header.header = 0x53726448;
  header.version = version;
  header.xloadflags = XLF_KERNEL_64;
  header.relocatable_kernel = 1;
  header.kernel_alignment = 0x200000;
  header.pref_address = 0x1000000;
  header.init_size = 0x100000;
  header.initrd_addr_max = 0x7fffffff;
  header.cmdline_size = 2047;
  header.payload_offset = kPayloadAt;
  header.payload_length = static_cast<uint32_t>(payload.size());
  header.kernel_version = 0x100;
  Put(&out, 0x1f1, header);
  std::memcpy(out.data() + 0x300, "6.1.0-image (x)", 16);
  out.insert(out.end(), payload.begin(), payload.end());
  return out;
}

}  // namespace vmm::test
