// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "commands/command_context.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze {

inline constexpr const char* kDefaultConfigFile = "/etc/dlm-freeze/config.json";

inline constexpr int kLongestAutoThaw = 3600;
inline constexpr int kLongestTimeout = 120;
inline constexpr double kShortestStall = 0.01;

/// What a configuration file says; what it does not say is empty.
struct FileSettings {
  std::optional<std::chrono::seconds> auto_thaw;
  std::optional<std::chrono::seconds> timeout;
  std::optional<BootClock::duration> max_stall;
  DirtyLimitMode dirty_limit = DirtyLimitMode::devices;
  Selection filesystems = Settings().filesystems;
  std::optional<std::vector<QuiescerConfig>> quiescers;
  std::string metrics_file;
  std::string hash;  ///< Of the text: 16 hexadecimal digits.
  bool manifest = true;
  Undiscovered undiscovered = Undiscovered::warn;
};

/// Reads a configuration. Unknown keys, wrong types and values out of range are errors that name the key and the line.
/// Modules of the quiescers that are named are loaded, to know what options they take.
[[nodiscard]] Result<FileSettings> parse_config(std::string_view text, QuiescerRegistry& registry);

/// The same for a file, which must be trusted (see check_trusted), since it can name programs to run as root. With
/// `may_be_absent` a file that is not there says nothing.
[[nodiscard]] Result<FileSettings> read_config(const std::string& path, bool may_be_absent, QuiescerRegistry& registry);

}  // namespace dlm_freeze
