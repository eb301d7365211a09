// SPDX-License-Identifier: GPL-2.0-or-later
//
// Errors as values. Every error says what failed, why, and what to try; its kind selects the
// exit status (cli/exit_status.h). No exceptions cross any interface of this library.
#pragma once

#include <string>
#include <tl/expected.hpp>

namespace vmm {

enum class ErrorKind {
  kUsage,       // the command line asks for something that cannot be meant
  kHost,        // the host refused a resource
  kNoDevice,    // the device node is absent or is not a KVM-compatible device
  kPermission,  // the device node may not be opened
  kBusy,        // the hardware belongs to somebody else
  kCapability,  // the module or the CPU lacks something required
  kKernel,      // the kernel image is unusable
  kMemory,      // the guest memory is too small, too large or cannot be had
  kInitrd,      // the initial RAM disk cannot be read or built
  kCommand,     // the guest command cannot be executed
  kNotFound,    // the guest command does not exist
};

struct Error {
  ErrorKind kind = ErrorKind::kHost;
  std::string what;  // "cannot open /dev/vellum"
  std::string why;   // "permission denied"
  std::string hint;  // "add yourself to the group kvm: ..."
};

template <typename T>
using Expected = tl::expected<T, Error>;
using Status = Expected<void>;

inline tl::unexpected<Error> Fail(ErrorKind kind, std::string what, std::string why,
                                  std::string hint) {
  return tl::unexpected<Error>(Error{kind, std::move(what), std::move(why), std::move(hint)});
}

// The system's text for an errno value, lower case first letter as in a sentence.
std::string ErrnoText(int error_number);

}  // namespace vmm

// Returns the error of an Expected from the enclosing function, or goes on.
#define VMM_TRY(expr)                                             \
  do {                                                            \
    if (auto vmm_try_result = (expr); !vmm_try_result)            \
      return ::tl::unexpected(std::move(vmm_try_result).error()); \
  } while (0)

// Defines `var` as the value of an Expected, or returns its error.
#define VMM_TRY_ASSIGN(var, expr)                                      \
  auto var##_or = (expr);                                              \
  if (!var##_or) return ::tl::unexpected(std::move(var##_or).error()); \
  auto var = std::move(*var##_or)
