// SPDX-License-Identifier: GPL-2.0-or-later

#include "fake_machine.h"

#include <algorithm>

namespace vmm {
namespace {

constexpr uint8_t kPageFault = 14;
constexpr uint8_t kGeneralProtection = 13;

uint64_t PageOf(uint64_t address) { return address & ~(kPageSize - 1); }

FakeMachine* Of(vlm_emul* e) { return reinterpret_cast<FakeMachine*>(e); }

template <typename T>
void Append(std::vector<uint8_t>* out, const T& value) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
  out->insert(out->end(), bytes, bytes + sizeof(value));
}

}  // namespace

FakeMachine::FakeMachine(vlm_emul_mode mode) {
  vlm_emul_begin(&emul);
  SetMode(mode);
}

void FakeMachine::SetMode(vlm_emul_mode mode) {
  emul.regs = regs.data();
  emul.mode = mode;
  emul.rflags = 2;
  emul.rip = 0x1000;
  emul.cpl = mode == VLM_EMUL_VM86 ? 3 : 0;
  emul.cr0 = mode == VLM_EMUL_REAL ? 0 : 1;
  emul.cr4 = 1u << 9;
  emul.efer = mode == VLM_EMUL_LONG64 ? 1u << 10 : 0;
  const bool flat = mode == VLM_EMUL_PROT32 || mode == VLM_EMUL_LONG64;
  const uint32_t dpl = static_cast<uint32_t>(emul.cpl) << VLM_EMUL_AR_DPL_SHIFT;
  for (size_t i = 0; i < segs.size(); i++) {
    vlm_emul_seg& seg = segs[i];
    seg = {};
    seg.limit = flat ? 0xffffffff : 0xffff;
    seg.ar = VLM_EMUL_AR_P | VLM_EMUL_AR_S | 3 | dpl | (flat ? VLM_EMUL_AR_G : 0);
    if (mode == VLM_EMUL_PROT32) seg.ar |= VLM_EMUL_AR_DB;
    seg.sel = static_cast<u16>(8 * i);
  }
  vlm_emul_seg& cs = segs[VLM_EMUL_CS];
  cs.ar |= 8;
  if (mode == VLM_EMUL_LONG64) cs.ar |= VLM_EMUL_AR_L;
  segs[VLM_EMUL_TR].ar = VLM_EMUL_AR_P | 11;
  segs[VLM_EMUL_LDTR].ar = VLM_EMUL_AR_P | 2;
  if (mode == VLM_EMUL_VM86) {
    emul.rflags |= 1u << 17;
    for (int i = VLM_EMUL_ES; i <= VLM_EMUL_GS; i++) segs[static_cast<size_t>(i)].ar = 0xf3;
  }
}

Page& FakeMachine::Map(uint64_t address, PageKind kind) {
  Page& page = pages[PageOf(address)];
  page.kind = kind;
  return page;
}

void FakeMachine::MapRange(uint64_t address, uint64_t bytes) {
  for (uint64_t at = PageOf(address); at < address + bytes; at += kPageSize) Map(at);
}

void FakeMachine::Unmap(uint64_t address) { pages.erase(PageOf(address)); }

void FakeMachine::Poke(uint64_t address, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const uint64_t offset = address % kPageSize;
    const size_t part = std::min<size_t>(bytes.size(), kPageSize - offset);
    memcpy(pages.at(PageOf(address)).bytes.data() + offset, bytes.data(), part);
    bytes = bytes.subspan(part);
    address += part;
  }
}

std::vector<uint8_t> FakeMachine::Peek(uint64_t address, size_t size) const {
  std::vector<uint8_t> bytes(size);
  Copy(address, bytes.data(), static_cast<uint32_t>(size));
  return bytes;
}

void FakeMachine::Copy(uint64_t lin, void* buf, uint32_t len) const {
  auto* out = static_cast<uint8_t*>(buf);
  while (len > 0) {
    const uint64_t offset = lin % kPageSize;
    const auto part = std::min(len, static_cast<uint32_t>(kPageSize - offset));
    memcpy(out, pages.at(PageOf(lin)).bytes.data() + offset, part);
    out += part;
    lin += part;
    len -= part;
  }
}

vlm_emul_result FakeMachine::Run(std::span<const uint8_t> code) {
  uint64_t at = emul.rip;
  if (emul.mode != VLM_EMUL_LONG64) at = static_cast<uint32_t>(at + segs[VLM_EMUL_CS].base);
  MapRange(at, code.size());
  Poke(at, code);
  return Step();
}

vlm_emul_result FakeMachine::Step() {
  vlm_emul_begin(&emul);
  pending.reset();
  return vlm_emul_run(&emul);
}

vlm_emul_result FakeMachine::Rerun() {
  return go_on == GoOn::kDecoded ? vlm_emul_resume(&emul) : vlm_emul_run(&emul);
}

void FakeMachine::CompleteMmio(uint64_t value) {
  pending->data.resize(sizeof(value));
  memcpy(pending->data.data(), &value, sizeof(value));
  pending->complete = true;
}

void FakeMachine::CompletePort(std::span<const uint8_t> bytes) {
  pending->data.assign(bytes.begin(), bytes.end());
  pending->complete = true;
}

bool FakeMachine::Fails() {
  if (!fail_after || (*fail_after)-- > 0) return false;
  fail_after.reset();
  emul.fault = {};
  emul.fault.vector = kPageFault;
  return true;
}

bool FakeMachine::IsMmio(uint64_t lin) const {
  const auto it = pages.find(PageOf(lin));
  return it != pages.end() && it->second.kind == PageKind::kMmio;
}

vlm_emul_io FakeMachine::Translate(uint64_t lin, uint32_t len, uint32_t acc, bool fetch) {
  const bool write = acc & VLM_EMUL_ACC_WRITE;
  const bool user = emul.cpl == 3 && !(acc & VLM_EMUL_ACC_IMPLICIT);
  for (uint64_t at = lin; at <= lin + len - 1; at = PageOf(at) + kPageSize) {
    const auto it = pages.find(PageOf(at));
    const bool present = it != pages.end();
    if (present && (!write || it->second.writable) && (!user || it->second.user)) continue;
    emul.fault = {};
    emul.fault.vector = kPageFault;
    emul.fault.has_error = true;
    emul.fault.error = (present ? 1u : 0) | (write ? 2u : 0) | (user ? 4u : 0) | (fetch ? 16u : 0);
    emul.fault.address = at;
    return VLM_EMUL_IO_FAULT;
  }
  return VLM_EMUL_IO_OK;
}

vlm_emul_io FakeMachine::Fetch(uint64_t lin, void* buf, uint32_t len) {
  if (Fails()) return failure;
  const vlm_emul_io io = Translate(lin, len, 0, true);
  if (io == VLM_EMUL_IO_OK) Copy(lin, buf, len);
  return io;
}

vlm_emul_io FakeMachine::Read(uint64_t lin, void* buf, uint32_t len, uint32_t acc) {
  if (Fails()) return failure;
  const vlm_emul_io io = Translate(lin, len, acc, false);
  if (io != VLM_EMUL_IO_OK) return io;
  if (!IsMmio(lin)) {
    accesses.push_back({AccessKind::kRead, lin, len, 1, acc});
    Copy(lin, buf, len);
    return VLM_EMUL_IO_OK;
  }
  if (pending && pending->complete && !pending->port && pending->address == lin &&
      pending->size == len) {
    memset(buf, 0, len);
    memcpy(buf, pending->data.data(), std::min<size_t>(len, pending->data.size()));
    pending.reset();
    return VLM_EMUL_IO_OK;
  }
  accesses.push_back({AccessKind::kMmioRead, lin, len, 1, acc});
  pending = Pending{lin, len, 1, false, false, {}};
  return VLM_EMUL_IO_USER;
}

vlm_emul_io FakeMachine::Write(uint64_t lin, const void* buf, uint32_t len, uint32_t acc) {
  if (Fails()) return failure;
  const vlm_emul_io io = Translate(lin, len, acc, false);
  if (io != VLM_EMUL_IO_OK) return io;
  const bool mmio = IsMmio(lin);
  accesses.push_back({mmio ? AccessKind::kMmioWrite : AccessKind::kWrite, lin, len, 1, acc});
  Poke(lin, {static_cast<const uint8_t*>(buf), len});
  return mmio ? VLM_EMUL_IO_QUEUED : VLM_EMUL_IO_OK;
}

vlm_emul_io FakeMachine::Probe(uint64_t lin, uint32_t len, uint32_t acc) {
  if (Fails()) return failure;
  const vlm_emul_io io = Translate(lin, len, acc, false);
  if (io == VLM_EMUL_IO_OK) accesses.push_back({AccessKind::kProbe, lin, len, 1, acc});
  return io;
}

vlm_emul_io FakeMachine::Cmpxchg(uint64_t lin, const void* old, const void* val, uint32_t len,
                                 uint32_t acc) {
  if (Fails()) return failure;
  const vlm_emul_io io = Translate(lin, len, acc, false);
  if (io != VLM_EMUL_IO_OK) return io;
  if (IsMmio(lin)) return Write(lin, val, len, acc);
  accesses.push_back({AccessKind::kCmpxchg, lin, len, 1, acc});
  if (lose_races > 0) {
    lose_races--;
    return VLM_EMUL_IO_RETRY;
  }
  const std::vector<uint8_t> now = Peek(lin, len);
  if (memcmp(now.data(), old, len) != 0) return VLM_EMUL_IO_RETRY;
  Poke(lin, {static_cast<const uint8_t*>(val), len});
  return VLM_EMUL_IO_OK;
}

vlm_emul_io FakeMachine::PortIn(uint16_t port, uint32_t size, uint32_t* count, void* buf) {
  if (Fails()) return failure;
  if (port_fill) {
    accesses.push_back({AccessKind::kPortIn, port, size, *count, 0});
    memset(buf, *port_fill, size * *count);
    return VLM_EMUL_IO_OK;
  }
  if (pending && pending->complete && pending->port && pending->address == port &&
      pending->size == size) {
    *count = std::min(*count, pending->count);
    memset(buf, 0, size * *count);
    memcpy(buf, pending->data.data(), std::min<size_t>(size * *count, pending->data.size()));
    pending.reset();
    return VLM_EMUL_IO_OK;
  }
  accesses.push_back({AccessKind::kPortIn, port, size, *count, 0});
  pending = Pending{port, size, *count, true, false, {}};
  return VLM_EMUL_IO_USER;
}

vlm_emul_io FakeMachine::PortOut(uint16_t port, uint32_t size, uint32_t count, const void* buf) {
  if (Fails()) return failure;
  accesses.push_back({AccessKind::kPortOut, port, size, count, 0});
  const auto* bytes = static_cast<const uint8_t*>(buf);
  pending = Pending{port, size, count, true, true, {bytes, bytes + size * count}};
  return VLM_EMUL_IO_QUEUED;
}

Snapshot::Snapshot(const FakeMachine& machine)
    : regs(machine.regs), rip(machine.emul.rip), rflags(machine.emul.rflags) {
  for (const vlm_emul_seg& seg : machine.segs) {
    Append(&rest, seg.base);
    Append(&rest, seg.limit);
    Append(&rest, seg.ar);
    Append(&rest, seg.sel);
  }
  for (const vlm_emul_table& table : {machine.gdt, machine.idt}) {
    Append(&rest, table.base);
    Append(&rest, table.limit);
  }
  for (const auto* file : {&machine.cr, &machine.dr, &machine.msr}) {
    for (const auto& [number, value] : *file) {
      Append(&rest, number);
      Append(&rest, value);
    }
  }
  Append(&rest, machine.xmm);
  for (const auto& [address, page] : machine.pages) memory[address] = page.bytes;
}

bool Snapshot::operator==(const Snapshot& other) const {
  return regs == other.regs && rip == other.rip && rflags == other.rflags && rest == other.rest &&
         memory == other.memory;
}

}  // namespace vmm

using vmm::Of;

extern "C" {

vlm_emul_io vlm_emul_mem_fetch(vlm_emul* e, u64 lin, void* buf, u32 len) {
  return Of(e)->Fetch(lin, buf, len);
}

vlm_emul_io vlm_emul_mem_read(vlm_emul* e, u64 lin, void* buf, u32 len, u32 acc) {
  return Of(e)->Read(lin, buf, len, acc);
}

vlm_emul_io vlm_emul_mem_write(vlm_emul* e, u64 lin, const void* buf, u32 len, u32 acc) {
  return Of(e)->Write(lin, buf, len, acc);
}

vlm_emul_io vlm_emul_mem_probe(vlm_emul* e, u64 lin, u32 len, u32 acc) {
  return Of(e)->Probe(lin, len, acc);
}

vlm_emul_io vlm_emul_mem_cmpxchg(vlm_emul* e, u64 lin, const void* old, const void* val, u32 len,
                                 u32 acc) {
  return Of(e)->Cmpxchg(lin, old, val, len, acc);
}

vlm_emul_io vlm_emul_port_in(vlm_emul* e, u16 port, u32 size, u32* count, void* buf) {
  return Of(e)->PortIn(port, size, count, buf);
}

vlm_emul_io vlm_emul_port_out(vlm_emul* e, u16 port, u32 size, u32 count, const void* buf) {
  return Of(e)->PortOut(port, size, count, buf);
}

void vlm_emul_seg_read(vlm_emul* e, vlm_emul_sreg sreg, vlm_emul_seg* seg) {
  *seg = Of(e)->segs.at(sreg);
}

void vlm_emul_seg_write(vlm_emul* e, vlm_emul_sreg sreg, const vlm_emul_seg* seg) {
  Of(e)->segs.at(sreg) = *seg;
}

void vlm_emul_gdt_read(vlm_emul* e, vlm_emul_table* table) { *table = Of(e)->gdt; }
void vlm_emul_gdt_write(vlm_emul* e, const vlm_emul_table* table) { Of(e)->gdt = *table; }
void vlm_emul_idt_read(vlm_emul* e, vlm_emul_table* table) { *table = Of(e)->idt; }
void vlm_emul_idt_write(vlm_emul* e, const vlm_emul_table* table) { Of(e)->idt = *table; }

vlm_emul_io vlm_emul_cr_read(vlm_emul* e, u32 nr, u64* val) {
  *val = nr == 0 ? e->cr0 : nr == 4 ? e->cr4 : Of(e)->cr[nr];
  return VLM_EMUL_IO_OK;
}

vlm_emul_io vlm_emul_cr_write(vlm_emul* e, u32 nr, u64 val) {
  if (nr == 0 && val >> 32) {
    e->fault = {};
    e->fault.vector = vmm::kGeneralProtection;
    return VLM_EMUL_IO_FAULT;
  }
  Of(e)->cr[nr] = val;
  return VLM_EMUL_IO_OK;
}

vlm_emul_io vlm_emul_dr_read(vlm_emul* e, u32 nr, u64* val) {
  *val = Of(e)->dr[nr];
  return VLM_EMUL_IO_OK;
}

vlm_emul_io vlm_emul_dr_write(vlm_emul* e, u32 nr, u64 val) {
  Of(e)->dr[nr] = val;
  return VLM_EMUL_IO_OK;
}

vlm_emul_io vlm_emul_msr_read(vlm_emul* e, u32 msr, u64* val) {
  *val = Of(e)->msr[msr];
  return VLM_EMUL_IO_OK;
}

vlm_emul_io vlm_emul_msr_write(vlm_emul* e, u32 msr, u64 val) {
  Of(e)->msr[msr] = val;
  return VLM_EMUL_IO_OK;
}

vlm_emul_io vlm_emul_cpuid(vlm_emul*, u32* eax, u32* ebx, u32* ecx, u32* edx) {
  *ebx = *eax + 1;
  *edx = *ecx + 2;
  *eax = 0x11111111;
  *ecx = 0x22222222;
  return VLM_EMUL_IO_OK;
}

void vlm_emul_invlpg(vlm_emul* e, u64 lin) { Of(e)->invalidated.push_back(lin); }
void vlm_emul_wbinvd(vlm_emul*) {}
void vlm_emul_xmm_read(vlm_emul* e, u32 nr, void* buf) {
  memcpy(buf, Of(e)->xmm.at(nr).data(), 16);
}
void vlm_emul_xmm_write(vlm_emul* e, u32 nr, const void* buf) {
  memcpy(Of(e)->xmm.at(nr).data(), buf, 16);
}

}  // extern "C"
