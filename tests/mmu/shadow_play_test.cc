// SPDX-License-Identifier: GPL-2.0-or-later
// Random guests: two vCPUs edit tables, map tables into themselves, switch modes, flush or forget
// to, while the host takes pages back and tables are recycled. Every access is judged.
#include <cstdlib>
#include <random>

#include "shadow_layout.h"

namespace fakes {
namespace {

constexpr u64 kWp = u64{1} << 16, kSmep = 1 << 20, kSmap = 1 << 21, kPse = 1 << 4;

unsigned Seed() {
  const char* given = getenv("VELLUM_SEED");
  return given ? static_cast<unsigned>(strtoul(given, nullptr, 0)) : std::random_device{}();
}

// A guest in one of the modes. Its tables for play are the frames 32..63, at any level; frames
// 0..31 are data; a window on frames 0..63 stands in tables that are left alone.
class Playground {
 public:
  enum class Mode { kLong, kPae, kLegacy };

  Playground(Mode mode, unsigned seed, const ShadowOptions& options, int host_level)
      : mode_(mode), host_level_(host_level), rng_(seed), s_(options) {
    s_.m().host().Map(kHva, kGuestFrames, host_level);
    EXPECT_EQ(s_.m().SetSlot(0, 0, kGuestFrames, kHva), 0);
    for (u64 gfn = 0; gfn < kGuestFrames; gfn++) s_.Poke(gfn << 12, 0, 1);
    MakeWindow();
    for (int i = 0; i < 2; i++) {
      s_.AddVcpu();
      Reload(i);
    }
    for (u64 n = 0; n < 24; n++) gvas_.push_back(RandomGva());
    // Begin with tables that lead somewhere.
    for (u64 gfn = kTables; gfn < kFrames; gfn++)
      for (u64 index : {0, 1, 2, 512, 513, 514})
        if (index < 4096 / Bytes()) s_.Poke(gfn << 12 | index * Bytes(), RandomEntry(), Bytes());
    for (int i = 0; i < 2; i++)
      for (u64 gva : gvas_) s_.vcpu(static_cast<size_t>(i)).Follow(gva);
  }

  void Step() {
    ShadowVcpu& v = s_.vcpu(rng_() % 2);
    switch (rng_() % 40) {
      default:
        kinds[v.Access(Pick(), RandomAccess(), rng_(), 1u << rng_() % 4).kind]++;
        break;
      case 0 ... 11:
        Edit(v);
        break;
      case 12 ... 15:
        v.Invlpg(Pick());
        break;
      case 16 ... 17:
        v.FlushAll();
        break;
      case 18:
        Reload(rng_() % 2);
        break;
      case 19:
        // Data only, and of the huge pages the one without tables: what is dropped is lost.
        if (host_level_ == 1)
          s_.m().host().Drop(kHva + rng_() % 28, 1 + rng_() % 4);
        else
          s_.m().host().Drop(kHva + 512 + rng_() % 512, 1);
        break;
      case 20:
        if (rng_() % 8 == 0) vlm_zap_all_fast(s_.mmu());
        break;
      case 21:
        vlm_shadow_shrink(s_.sh(), rng_() % 4);
        break;
      case 22:
        if (rng_() % 4 == 0) ChangeSlots();
        break;
      case 23:
        s_.Check();
        break;
    }
  }
  ShadowMachine& machine() { return s_; }
  std::map<ShadowVcpu::Kind, int> kinds;

 private:
  static constexpr u64 kTables = 32, kFrames = 64;
  size_t Bytes() const { return mode_ == Mode::kLegacy ? 4 : 8; }
  u64 Root() { return kTables + rng_() % 4; }

  // Addresses with few distinct indices at each level, so that tables are shared a lot.
  u64 RandomGva() {
    const u64 low = (rng_() % 3) << 12 | (rng_() % 512) * 8;
    switch (mode_) {
      case Mode::kLong:
        return (rng_() % 2) << 39 | (rng_() % 2) << 30 | (rng_() % 2) << 21 | low;
      case Mode::kPae:
        return (rng_() % 3) << 30 | (rng_() % 2) << 21 | low;
      case Mode::kLegacy:
        return (rng_() % 2) << 31 | (rng_() % 2) << 22 | (rng_() % 2) << 21 | low;
    }
    return 0;
  }
  u64 Pick() { return gvas_[rng_() % gvas_.size()]; }

  u32 RandomAccess() {
    static constexpr u32 accesses[] = {VLM_ACCESS_READ, VLM_ACCESS_READ, VLM_ACCESS_WRITE,
                                       VLM_ACCESS_WRITE, VLM_ACCESS_EXEC};
    return accesses[rng_() % 5] | (rng_() % 3 == 0 ? VLM_ACCESS_USER : 0);
  }

  u64 RandomEntry() {
    const u64 kind = rng_() % 30;
    if (kind == 0) return rng_() % 2 ? 0 : rng_() & ~u64{1};
    // Mostly tables, so that walks get somewhere.
    const u64 gfn = rng_() % 8 == 0 ? rng_() % kTables : kTables + rng_() % (kFrames - kTables);
    u64 e = gfn << 12 | kGP;
    if (rng_() % 16) e |= kGW;
    if (rng_() % 16) e |= kGU;
    if (rng_() % 4) e |= kGA;
    if (rng_() % 4) e |= kGD;
    if (rng_() % 12 == 0) e = (e & 0xfff) | (rng_() % 2) << 21 | kGPs;
    if (mode_ != Mode::kLegacy && rng_() % 24 == 0) e |= kGNx;
    if (mode_ != Mode::kLegacy && rng_() % 80 == 0) e |= u64{1} << 45;  // reserved
    if (rng_() % 80 == 0) e |= u64{0x7000'0000};                        // no memory
    return e;
  }

  // The guest writes one of its entries through the window.
  void Edit(ShadowVcpu& v) {
    const u64 per = 4096 / Bytes();
    static constexpr u64 indices[] = {0, 1, 2};
    u64 index = indices[rng_() % 3];
    if (mode_ == Mode::kLegacy) index += (rng_() % 2) * 512;
    const u64 gpa = (kTables + rng_() % (kFrames - kTables)) << 12 | (index % per) * Bytes();
    // Not the root's entry that leads to the window.
    v.Access(window_ | gpa, VLM_ACCESS_WRITE, RandomEntry(), static_cast<unsigned>(Bytes()));
  }

  void MakeWindow() {
    auto put = [&](u64 table, u64 index, u64 e) {
      s_.Poke(table << 12 | index * Bytes(), e, Bytes());
    };
    const u64 all = kGP | kGW | kGA | kGD;
    for (u64 gfn = 0; gfn < kFrames; gfn++) put(80, gfn, gfn << 12 | all);
    switch (mode_) {
      case Mode::kLong:
        window_ = u64{100} << 39;
        for (u64 root = kTables; root < kTables + 4; root++) put(root, 100, u64{82} << 12 | all);
        put(82, 0, u64{81} << 12 | all);
        put(81, 0, u64{80} << 12 | all);
        break;
      case Mode::kPae:
        window_ = u64{3} << 30;
        put(81, 0, u64{80} << 12 | all);
        break;
      case Mode::kLegacy:
        window_ = u64{100} << 22;
        for (u64 root = kTables; root < kTables + 4; root++) put(root, 100, u64{80} << 12 | all);
        break;
    }
  }

  void Reload(u64 i) {
    vlm_guest_paging p{};
    switch (mode_) {
      case Mode::kLong:
        p = LongMode(Root() << 12);
        break;
      case Mode::kPae: {
        const u64 pdptrs[4] = {Root() << 12 | kGP, Root() << 12 | kGP,
                               rng_() % 4 ? Root() << 12 | kGP : 0, u64{81} << 12 | kGP};
        p = PaeMode(pdptrs);
        break;
      }
      case Mode::kLegacy:
        p = LegacyMode(Root() << 12);
        if (rng_() % 4 == 0) p.cr4 &= ~kPse;
        break;
    }
    if (rng_() % 4 == 0) p.cr0 &= ~kWp;
    if (rng_() % 4 == 0) p.cr4 |= kSmep;
    if (rng_() % 4 == 0) p.cr4 |= kSmap;
    if (rng_() % 2 == 0) p.rflags |= 1 << 18;
    EXPECT_EQ(s_.vcpu(i).Load(p), 0);
  }

  void ChangeSlots() {
    if (has_other_) {
      EXPECT_EQ(s_.m().DeleteSlot(1), 0);
    } else {
      s_.m().host().Map(kHva + 0x10000, 16);
      EXPECT_EQ(s_.m().SetSlot(1, 0x70000, 16, kHva + 0x10000), 0);
    }
    has_other_ = !has_other_;
  }

  Mode mode_;
  int host_level_;
  std::mt19937_64 rng_;
  ShadowMachine s_;
  u64 window_ = 0;
  std::vector<u64> gvas_;
  bool has_other_ = false;
};

class ShadowPlayTest : public ::testing::TestWithParam<Playground::Mode> {};

TEST_P(ShadowPlayTest, EveryAccessIsJudged) {
  const unsigned seed = Seed();
  // A broken rule ends the program: say the seed first.
  printf("VELLUM_SEED=%u\n", seed);
  fflush(stdout);
  const char* factor = getenv("VELLUM_SHADOW_OPS");
  const int steps = factor ? atoi(factor) : 2000;
  u64 unsynced = 0, synced = 0;
  std::map<ShadowVcpu::Kind, int> kinds;
  for (unsigned round = 0; round < 8; round++) {
    Playground p(GetParam(), seed + round,
                 {.max_pages = round % 2 ? u64{24} : u64{1000}, .huge = round % 4 < 2},
                 round % 4 == 0 ? 2 : 1);
    if (round % 3) p.machine().m().break_mode = FakeMachine::Break::kRandom;
    for (int i = 0; i < steps; i++) p.Step();
    p.machine().Check();
    unsynced += p.machine().sh()->stats.unsynced;
    synced += p.machine().sh()->stats.synced;
    for (auto [kind, n] : p.kinds) kinds[kind] += n;
  }
  using K = ShadowVcpu::Kind;
  printf("hits %d faults %d emulated %d unsynced %llu synced %llu\n", kinds[K::kHit],
         kinds[K::kFault], kinds[K::kEmulated], unsynced, synced);
  EXPECT_EQ(kinds[K::kStuck] + kinds[K::kError], 0);
  // Not a test of an idle machine.
  EXPECT_GT(kinds[K::kHit], kinds[K::kEmulated]);
  EXPECT_GT(unsynced, 0u);
  EXPECT_GT(synced, 0u);
}

std::string ModeName(const ::testing::TestParamInfo<Playground::Mode>& mode) {
  static const char* const names[] = {"Long", "Pae", "Legacy"};
  return names[static_cast<int>(mode.param)];
}

INSTANTIATE_TEST_SUITE_P(Modes, ShadowPlayTest,
                         ::testing::Values(Playground::Mode::kLong, Playground::Mode::kPae,
                                           Playground::Mode::kLegacy),
                         ModeName);

}  // namespace
}  // namespace fakes
