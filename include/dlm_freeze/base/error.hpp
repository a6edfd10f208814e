// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace dlm_freeze {

/// What went wrong, as far as a caller can act on it. `cli/exit_code` alone maps each kind to the exit code of the
/// running command.
enum class ErrorKind : std::uint32_t {
  failed,           ///< Anything without a kind of its own.
  usage,            ///< The command line or a value in it is wrong; nothing was touched.
  already_frozen,   ///< A session is active, or another program froze a filesystem.
  not_frozen,       ///< There is no session to end.
  not_ready,        ///< A database cannot be quiesced now, or a required one is absent.
  auto_thawed,      ///< The deadline ended the session before post-script did.
  protection_lost,  ///< The quiesced and frozen state did not last.
  configuration,    ///< The configuration is wrong; nothing was touched.
};

/// An error, as one sentence for a person: the thing, the cause and, if anything can be done, what to do.
struct Error {
  ErrorKind kind = ErrorKind::failed;
  std::string message;
  int errno_value = 0;  ///< 0 where no system call failed.

  /// The same error seen from one layer up: "`context`: message".
  [[nodiscard]] Error with_context(std::string_view context) const;
};

template <typename T>
using Result = tl::expected<T, Error>;

using Failure = tl::unexpected<Error>;

/// A failure of kind `failed` (or `kind`) with `message`.
[[nodiscard]] Failure failure(std::string message, ErrorKind kind = ErrorKind::failed);

/// A failure of a system call: "`what`: <text of errno_value>". Pass errno before anything can change it.
[[nodiscard]] Failure system_failure(std::string_view what, int errno_value);

/// The text of an errno value; thread-safe.
[[nodiscard]] std::string errno_text(int errno_value);

}  // namespace dlm_freeze
