// SPDX-License-Identifier: GPL-2.0-or-later
// Cases and checks of a program for the test machine. Small, so that it links statically and
// starts fast: a case is a function, a failed check ends it, main() runs the cases whose name
// contains argv[1], or all of them.
//
//   CASE(name) { CHECK_EQ(2, 1 + 1); }
//   int main(int argc, char** argv) { return check::Main(argc, argv); }
//
// Exit status: 0 all passed, 1 some failed, 4 nothing could run.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

namespace check {

// A failed check and a skipped case leave their function this way; only Main() catches them.
struct Failed {};
struct Skipped {};

struct Case {
  const char* name;
  void (*run)();
};

inline std::vector<Case>& Cases() {
  static std::vector<Case> cases;
  return cases;
}

struct Registrar {
  Registrar(const char* name, void (*run)()) { Cases().push_back({name, run}); }
};

// What follows the program's name and the optional filter; see Number().
inline std::vector<std::string>& Arguments() {
  static std::vector<std::string> arguments;
  return arguments;
}

// The number after "--name" on the command line, or fallback.
inline unsigned long Number(const char* name, unsigned long fallback) {
  const std::string wanted = std::string("--") + name;
  const auto& arguments = Arguments();
  for (size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (arguments[i] == wanted) return std::strtoul(arguments[i + 1].c_str(), nullptr, 0);
  }
  return fallback;
}

// The word after "--name" on the command line, or fallback.
inline std::string Word(const char* name, const char* fallback) {
  const std::string wanted = std::string("--") + name;
  const auto& arguments = Arguments();
  for (size_t i = 0; i + 1 < arguments.size(); ++i) {
    if (arguments[i] == wanted) return arguments[i + 1];
  }
  return fallback;
}

template <typename T>
std::string Text(const T& value) {
  std::ostringstream out;
  if constexpr (sizeof(T) == 1) {
    out << static_cast<int>(value);
  } else {
    out << value;
  }
  if constexpr (std::is_integral_v<T>) out << " (0x" << std::hex << +value << ")";
  return out.str();
}

[[noreturn]] inline void Fail(const char* file, int line, const std::string& what) {
  std::printf("%s:%d: %s\n", file, line, what.c_str());
  throw Failed{};
}

[[noreturn]] inline void Skip(const std::string& why) {
  std::printf("skipped: %s\n", why.c_str());
  throw Skipped{};
}

inline std::string ErrnoText(int error) {
  return error == 0 ? "success" : std::string(strerrorname_np(error));
}

inline int Main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  std::string filter;
  int first = 1;
  if (argc > 1 && std::strncmp(argv[1], "--", 2) != 0) filter = argv[first++];
  Arguments().assign(argv + first, argv + argc);

  unsigned passed = 0, failed = 0, skipped = 0;
  for (const Case& c : Cases()) {
    if (std::string(c.name).find(filter) == std::string::npos) continue;
    // Shows where a program hangs.
    std::printf("case %s\n", c.name);
    try {
      c.run();
      ++passed;
    } catch (const Failed&) {
      std::printf("FAILED %s\n", c.name);
      ++failed;
    } catch (const Skipped&) {
      std::printf("SKIPPED %s\n", c.name);
      ++skipped;
    }
  }
  std::printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
  if (failed > 0) return 1;
  return passed > 0 ? 0 : 4;
}

}  // namespace check

#define CASE(name)                                             \
  static void name();                                          \
  static const check::Registrar name##_registrar(#name, name); \
  static void name()

#define CHECK(condition)                                                        \
  do {                                                                          \
    if (!(condition)) check::Fail(__FILE__, __LINE__, "not true: " #condition); \
  } while (0)

#define CHECK_EQ(expected, actual)                                                          \
  do {                                                                                      \
    const auto check_expected = (expected);                                                 \
    const auto check_actual = (actual);                                                     \
    if (!(check_expected ==                                                                 \
          static_cast<std::remove_const_t<decltype(check_expected)>>(check_actual)))        \
      check::Fail(__FILE__, __LINE__,                                                       \
                  std::string(#actual " is ") + check::Text(check_actual) + ", expected " + \
                      check::Text(check_expected));                                         \
  } while (0)

// The system call must fail with this errno.
#define CHECK_ERRNO(expected, call)                                                         \
  do {                                                                                      \
    errno = 0;                                                                              \
    const long check_result = static_cast<long>(call);                                      \
    const int check_errno = check_result < 0 ? errno : 0;                                   \
    if (check_errno != (expected))                                                          \
      check::Fail(__FILE__, __LINE__,                                                       \
                  std::string(#call ": ") + check::ErrnoText(check_errno) + ", expected " + \
                      check::ErrnoText(expected));                                          \
  } while (0)

// The system call must succeed.
#define CHECK_OK(call) CHECK_ERRNO(0, call)
