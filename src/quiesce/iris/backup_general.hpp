// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace dlm_freeze::iris {

/// Exit statuses of a session that calls a method of Backup.General from an operating system's command line.
inline constexpr int kIrisYes = 5;  ///< Frozen, thawed, or suspended.
inline constexpr int kIrisNo = 3;   ///< Failed, or not suspended.

/// A string literal of ObjectScript.
[[nodiscard]] std::string objectscript_literal(const std::string& text);

// Calls of the class Backup.General, each one argument of irissession.

[[nodiscard]] std::string is_suspended_call();

/// `log_file`: for what the method has to say; `marker`: goes into the journal. After `block_after` processes that
/// update are made to wait; after `suspend_limit` the write daemon resumes by itself, which older versions do not know:
/// nothing, then.
[[nodiscard]] std::string freeze_call(const std::string& log_file, const std::string& marker,
                                      std::chrono::seconds block_after,
                                      std::optional<std::chrono::seconds> suspend_limit);

/// Whether a session says that the method takes fewer arguments than it was given. It was not called then.
[[nodiscard]] bool has_too_many_arguments(std::string_view output);

[[nodiscard]] std::string thaw_call(const std::string& log_file);

/// Tells the instance that it was backed up, which lets it purge journals.
[[nodiscard]] std::string set_history_call(const std::string& log_file, const std::string& description);

}  // namespace dlm_freeze::iris
