// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/error.h"

#include <cctype>
#include <cstring>

namespace vmm {

std::string ErrnoText(int error_number) {
  std::string text = std::strerror(error_number);
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace vmm
