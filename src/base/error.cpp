// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/error.hpp"

#include <array>
#include <cstring>
#include <utility>

namespace dlm_freeze {

Error Error::with_context(std::string_view context) const {
  return {kind, std::string(context) + ": " + message, errno_value};
}

Failure failure(std::string message, ErrorKind kind) { return Failure(Error{kind, std::move(message), 0}); }

Failure system_failure(std::string_view what, int errno_value) {
  return Failure(Error{ErrorKind::failed, std::string(what) + ": " + errno_text(errno_value), errno_value});
}

std::string errno_text(int errno_value) {
  // Shares no buffer, and opens no catalogue of translations: the program never leaves the C locale.
  std::array<char, 64> buffer{};
  return ::strerror_r(errno_value, buffer.data(), buffer.size());
}

}  // namespace dlm_freeze
