// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/parse.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <optional>

namespace vmm {
namespace {

struct Scaled {
  double number;
  std::string_view unit;
};

std::optional<Scaled> SplitUnit(std::string_view text) {
  Scaled out{};
  const char* end = text.data() + text.size();
  const auto [rest, error] =
      std::from_chars(text.data(), end, out.number, std::chars_format::fixed);
  if (error != std::errc() || rest == text.data() || !std::isfinite(out.number) || out.number < 0)
    return std::nullopt;
  out.unit = std::string_view(rest, static_cast<size_t>(end - rest));
  return out;
}

char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

Expected<uint64_t> ParseSize(std::string_view text) {
  const auto bad = [&](const char* why) {
    return Fail(ErrorKind::kUsage, fmt::format("'{}' is not a size", text), why,
                "write a number and a unit, for example 512M or 2G");
  };
  const auto scaled = SplitUnit(text);
  if (!scaled) return bad("it does not begin with a number");
  std::string_view unit = scaled->unit;
  int shift = 20;
  if (!unit.empty()) {
    switch (Upper(unit[0])) {
      case 'B':
        shift = 0;
        break;
      case 'K':
        shift = 10;
        break;
      case 'M':
        shift = 20;
        break;
      case 'G':
        shift = 30;
        break;
      case 'T':
        shift = 40;
        break;
      default:
        return bad("the unit is unknown");
    }
    const std::string_view tail = unit.substr(1);
    if (!tail.empty() && (shift == 0 || (tail != "B" && tail != "b" && tail != "iB")))
      return bad("the unit is unknown");
  }
  const double bytes = std::ldexp(scaled->number, shift);
  if (bytes >= std::ldexp(1.0, 62)) return bad("it is larger than any address space");
  return static_cast<uint64_t>(bytes);
}

Expected<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  const auto bad = [&](const char* why) {
    return Fail(ErrorKind::kUsage, fmt::format("'{}' is not a duration", text), why,
                "write a number and a unit, for example 500ms, 30s or 2m");
  };
  const auto scaled = SplitUnit(text);
  if (!scaled) return bad("it does not begin with a number");
  double factor = 1000;
  if (scaled->unit == "ms")
    factor = 1;
  else if (scaled->unit == "m" || scaled->unit == "min")
    factor = 60e3;
  else if (scaled->unit == "h")
    factor = 3600e3;
  else if (!scaled->unit.empty() && scaled->unit != "s")
    return bad("the unit is unknown");
  const double ms = scaled->number * factor;
  if (ms > 1e12) return bad("it is longer than thirty years");
  return std::chrono::milliseconds(static_cast<int64_t>(ms));
}

std::string FormatSize(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes >= 1024 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", bytes, kUnits[unit]);
}

}  // namespace vmm
