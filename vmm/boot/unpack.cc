// SPDX-License-Identifier: GPL-2.0-or-later
#include "boot/unpack.h"

#include <fmt/core.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace vmm {
namespace {

constexpr size_t kUsualRatio = 6;  // of a kernel's size to its packed size
constexpr size_t kLeastGuess = 64u << 10;
constexpr uint32_t kLz4LegacyMagic = 0x184c2102;
constexpr size_t kLz4BlockSize = 8u << 20;

auto Bad(std::string why) {
  return Fail(ErrorKind::kKernel, "", std::move(why), "copy or download the file again");
}

auto Cut(Compression compression) {
  return Bad(fmt::format("its {} data ends too early", CompressionName(compression)));
}

auto Damaged(Compression compression) {
  return Bad(fmt::format("its {} data is damaged", CompressionName(compression)));
}

auto TooLarge() { return Bad("it unpacks to more than a kernel can be"); }

// Makes room for more output; false at the limit.
bool Grow(std::vector<uint8_t>* out, std::span<const uint8_t> in, size_t limit) {
  if (out->size() >= limit) return false;
  const size_t guess = std::max(kLeastGuess, in.size() * kUsualRatio);
  out->resize(std::min(limit, std::max(guess, out->size() * 2)));
  return true;
}

Expected<std::vector<uint8_t>> UnpackGzip(std::span<const uint8_t> in, size_t limit) {
  z_stream stream = {};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return Bad("zlib is out of memory");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  std::vector<uint8_t> out;
  stream.next_in = const_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(std::min<size_t>(in.size(), UINT32_MAX));
  size_t done = 0;
  for (;;) {
    if (done == out.size() && !Grow(&out, in, limit)) return TooLarge();
    stream.next_out = out.data() + done;
    stream.avail_out = static_cast<uInt>(std::min<size_t>(out.size() - done, UINT32_MAX));
    const int result = inflate(&stream, Z_NO_FLUSH);
    done = static_cast<size_t>(stream.next_out - out.data());
    if (result == Z_STREAM_END) break;
    if (result == Z_BUF_ERROR || (result == Z_OK && stream.avail_in == 0 && stream.avail_out != 0))
      return Cut(Compression::kGzip);
    if (result != Z_OK) return Damaged(Compression::kGzip);
  }
  out.resize(done);
  return out;
}

Expected<std::vector<uint8_t>> UnpackLzma(std::span<const uint8_t> in, Compression compression,
                                          size_t limit) {
  lzma_stream stream = LZMA_STREAM_INIT;
  const uint64_t memory_limit = 512u << 20;
  const lzma_ret init = compression == Compression::kXz
                            ? lzma_stream_decoder(&stream, memory_limit, 0)
                            : lzma_alone_decoder(&stream, memory_limit);
  if (init != LZMA_OK) return Bad("liblzma is out of memory");
  const std::unique_ptr<lzma_stream, void (*)(lzma_stream*)> guard(&stream, lzma_end);
  std::vector<uint8_t> out;
  stream.next_in = in.data();
  stream.avail_in = in.size();
  size_t done = 0;
  for (;;) {
    if (done == out.size() && !Grow(&out, in, limit)) return TooLarge();
    stream.next_out = out.data() + done;
    stream.avail_out = out.size() - done;
    const lzma_ret result = lzma_code(&stream, LZMA_RUN);
    done = out.size() - stream.avail_out;
    if (result == LZMA_STREAM_END) break;
    if (result == LZMA_BUF_ERROR ||
        (result == LZMA_OK && stream.avail_in == 0 && stream.avail_out != 0))
      return Cut(compression);
    if (result == LZMA_MEMLIMIT_ERROR) return Bad("unpacking it needs more than 512 MiB");
    if (result != LZMA_OK) return Damaged(compression);
  }
  out.resize(done);
  return out;
}

Expected<std::vector<uint8_t>> UnpackZstd(std::span<const uint8_t> in, size_t limit) {
  const std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream(ZSTD_createDStream(),
                                                                        ZSTD_freeDStream);
  if (!stream) return Bad("libzstd is out of memory");
  ZSTD_DCtx_setParameter(stream.get(), ZSTD_d_windowLogMax, 31);
  std::vector<uint8_t> out;
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  size_t done = 0;
  for (;;) {
    if (done == out.size() && !Grow(&out, in, limit)) return TooLarge();
    ZSTD_outBuffer output{out.data(), out.size(), done};
    const size_t result = ZSTD_decompressStream(stream.get(), &output, &input);
    done = output.pos;
    if (ZSTD_isError(result)) return Damaged(Compression::kZstd);
    if (result == 0) break;  // the frame is complete
    if (input.pos == input.size && output.pos < output.size) return Cut(Compression::kZstd);
  }
  out.resize(done);
  return out;
}

// The legacy format that kernels use: a magic number, then blocks of up to 8 MiB, each behind
// its compressed size. Kernel builds append the unpacked size, which looks like a last block.
Expected<std::vector<uint8_t>> UnpackLz4Legacy(std::span<const uint8_t> in, size_t limit) {
  std::vector<uint8_t> out;
  size_t at = sizeof(uint32_t);
  while (in.size() - at >= sizeof(uint32_t)) {
    uint32_t size = 0;
    std::memcpy(&size, in.data() + at, sizeof(size));
    at += sizeof(size);
    if (size == kLz4LegacyMagic) continue;  // concatenated streams
    if (at == in.size()) break;             // the appended size
    if (size == 0) break;
    if (size > static_cast<uint32_t>(LZ4_COMPRESSBOUND(kLz4BlockSize)))
      return Damaged(Compression::kLz4Legacy);
    if (size > in.size() - at) return Cut(Compression::kLz4Legacy);
    const size_t before = out.size();
    if (before >= limit) return TooLarge();
    out.resize(before + kLz4BlockSize);
    const int got = LZ4_decompress_safe(reinterpret_cast<const char*>(in.data() + at),
                                        reinterpret_cast<char*>(out.data() + before),
                                        static_cast<int>(size), static_cast<int>(kLz4BlockSize));
    if (got < 0) return Damaged(Compression::kLz4Legacy);
    out.resize(before + static_cast<size_t>(got));
    at += size;
  }
  if (out.empty()) return Cut(Compression::kLz4Legacy);
  if (out.size() > limit) return TooLarge();
  return out;
}

struct Magic {
  Compression compression;
  std::string_view bytes;
};

constexpr std::array<Magic, 7> kMagics = {{
    {Compression::kGzip, {"\x1f\x8b\x08", 3}},
    {Compression::kXz,
     {"\xfd"
      "7zXZ\0",
      6}},
    {Compression::kLzma, {"\x5d\0\0", 3}},
    {Compression::kZstd, {"\x28\xb5\x2f\xfd", 4}},
    {Compression::kLz4Legacy, {"\x02\x21\x4c\x18", 4}},
    {Compression::kBzip2, {"BZh", 3}},
    {Compression::kLzop, {"\x89LZO", 4}},
}};

}  // namespace

Compression DetectCompression(std::span<const uint8_t> bytes) {
  for (const Magic& magic : kMagics)
    if (bytes.size() >= magic.bytes.size() &&
        std::memcmp(bytes.data(), magic.bytes.data(), magic.bytes.size()) == 0)
      return magic.compression;
  return Compression::kNone;
}

std::string_view CompressionName(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "unpacked";
    case Compression::kGzip:
      return "gzip";
    case Compression::kXz:
      return "xz";
    case Compression::kLzma:
      return "lzma";
    case Compression::kZstd:
      return "zstd";
    case Compression::kLz4Legacy:
      return "lz4";
    case Compression::kBzip2:
      return "bzip2";
    case Compression::kLzop:
      return "lzo";
  }
  return "unknown";
}

bool CanUnpack(Compression compression) {
  return compression != Compression::kNone && compression != Compression::kBzip2 &&
         compression != Compression::kLzop;
}

Expected<std::vector<uint8_t>> Unpack(std::span<const uint8_t> bytes, Compression compression,
                                      size_t limit) {
  switch (compression) {
    case Compression::kGzip:
      return UnpackGzip(bytes, limit);
    case Compression::kXz:
    case Compression::kLzma:
      return UnpackLzma(bytes, compression, limit);
    case Compression::kZstd:
      return UnpackZstd(bytes, limit);
    case Compression::kLz4Legacy:
      return UnpackLz4Legacy(bytes, limit);
    default:
      break;
  }
  return Fail(ErrorKind::kKernel, "",
              fmt::format("its compression ({}) is not supported", CompressionName(compression)),
              "use a kernel compressed with xz, zstd, lz4 or gzip, or unpack it first");
}

}  // namespace vmm
