// SPDX-License-Identifier: GPL-2.0-or-later
//
// A machine around one emulated instruction: the services of emul/platform.h on plain tables,
// with linear addresses standing for themselves. Every access is recorded.

#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

extern "C" {
#include "emul/emul.h"
}

namespace vmm {

inline constexpr uint64_t kPageSize = 0x1000;

// Register numbers in their encoding.
enum Gpr { kRax, kRcx, kRdx, kRbx, kRsp, kRbp, kRsi, kRdi, kR8 };

inline constexpr uint64_t kCf = 1u << 0, kPf = 1u << 2, kAf = 1u << 4, kZf = 1u << 6, kSf = 1u << 7,
                          kTf = 1u << 8, kIf = 1u << 9, kDf = 1u << 10, kOf = 1u << 11,
                          kIopl = 3u << 12, kRf = 1u << 16, kAc = 1u << 18;
inline constexpr uint64_t kStatusFlags = kCf | kPf | kAf | kZf | kSf | kOf;

enum class PageKind { kRam, kMmio };

struct Page {
  PageKind kind = PageKind::kRam;
  bool writable = true;
  bool user = true;
  std::array<uint8_t, kPageSize> bytes{};
};

enum class AccessKind { kRead, kWrite, kProbe, kCmpxchg, kPortIn, kPortOut, kMmioRead, kMmioWrite };

struct Access {
  AccessKind kind;
  uint64_t address;  // or port
  uint32_t size;     // bytes of one element for ports
  uint32_t count;    // elements for ports, else 1
  uint32_t flags;    // VLM_EMUL_ACC_*
};

// How an instruction that waited for user space goes on.
enum class GoOn { kFromTheStart, kDecoded };

class FakeMachine {
 public:
  explicit FakeMachine(vlm_emul_mode mode);
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  // Pages and their contents; Poke creates nothing.
  Page& Map(uint64_t address, PageKind kind = PageKind::kRam);
  void MapRange(uint64_t address, uint64_t bytes);
  void Unmap(uint64_t address);
  void Poke(uint64_t address, std::span<const uint8_t> bytes);
  std::vector<uint8_t> Peek(uint64_t address, size_t size) const;
  template <typename T>
  void PokeValue(uint64_t address, T value) {
    Poke(address, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
  }
  template <typename T>
  T PeekValue(uint64_t address) const {
    T value;
    const std::vector<uint8_t> bytes = Peek(address, sizeof(value));
    memcpy(&value, bytes.data(), sizeof(value));
    return value;
  }

  // Places code at CS:rip and runs it as a new instruction.
  vlm_emul_result Run(std::span<const uint8_t> code);
  vlm_emul_result Run(std::initializer_list<uint8_t> code) {
    return Run(std::span<const uint8_t>(code.begin(), code.size()));
  }
  // Runs what is at CS:rip; Rerun is the restart after VLM_EMUL_USER.
  vlm_emul_result Step();
  vlm_emul_result Rerun();

  // Answers the outstanding read of user space.
  void CompleteMmio(uint64_t value);
  void CompletePort(std::span<const uint8_t> bytes);

  void SetMode(vlm_emul_mode mode);
  u64& reg(int number) { return regs[static_cast<size_t>(number)]; }

  vlm_emul emul{};  // first: services find the machine by its address
  GoOn go_on = GoOn::kFromTheStart;
  std::array<u64, 16> regs{};
  std::array<vlm_emul_seg, 8> segs{};
  vlm_emul_table gdt{}, idt{};
  std::map<uint32_t, uint64_t> cr, dr, msr;
  std::array<std::array<uint8_t, 16>, 16> xmm{};
  std::map<uint64_t, Page> pages;
  std::vector<Access> accesses;

  // Port input that is there without user space; nullopt asks user space.
  std::optional<uint8_t> port_fill;
  // Fails the next n compare-and-exchange services.
  int lose_races = 0;
  std::vector<uint64_t> invalidated;
  // The n-th memory or port service from now on (0 is the next) answers ABORT, or a fault.
  std::optional<int> fail_after;
  vlm_emul_io failure = VLM_EMUL_IO_ABORT;

  struct Pending {
    uint64_t address;
    uint32_t size;
    uint32_t count;
    bool port;
    bool complete;
    std::vector<uint8_t> data;
  };
  std::optional<Pending> pending;

  // Services.
  vlm_emul_io Translate(uint64_t lin, uint32_t len, uint32_t acc, bool fetch);
  vlm_emul_io Fetch(uint64_t lin, void* buf, uint32_t len);
  vlm_emul_io Read(uint64_t lin, void* buf, uint32_t len, uint32_t acc);
  vlm_emul_io Write(uint64_t lin, const void* buf, uint32_t len, uint32_t acc);
  vlm_emul_io Probe(uint64_t lin, uint32_t len, uint32_t acc);
  vlm_emul_io Cmpxchg(uint64_t lin, const void* old, const void* val, uint32_t len, uint32_t acc);
  vlm_emul_io PortIn(uint16_t port, uint32_t size, uint32_t* count, void* buf);
  vlm_emul_io PortOut(uint16_t port, uint32_t size, uint32_t count, const void* buf);

 private:
  bool Fails();
  bool IsMmio(uint64_t lin) const;
  void Copy(uint64_t lin, void* buf, uint32_t len) const;
};

// All that an instruction may change, to see that it did not.
struct Snapshot {
  explicit Snapshot(const FakeMachine& machine);
  bool operator==(const Snapshot& other) const;

  std::array<u64, 16> regs;
  uint64_t rip, rflags;
  std::vector<uint8_t> rest;
  std::map<uint64_t, std::array<uint8_t, kPageSize>> memory;
};

}  // namespace vmm
