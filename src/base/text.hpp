// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlm_freeze {

/// Without the blanks, tabs and line ends around it.
[[nodiscard]] std::string_view trimmed(std::string_view text);

/// The parts between the separators: one more than there are separators.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// The first word of `text`, which loses it; empty when there is none.
[[nodiscard]] std::string_view next_word(std::string_view& text);

/// "1 filesystem", "3 filesystems".
[[nodiscard]] std::string count_of(std::size_t count, std::string_view noun);

/// Bytes for a person: "8.0 GiB".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// Characters that would break a line or a terminal, as \ooo, the way /proc/self/mountinfo writes them.
[[nodiscard]] std::string printable(std::string_view text);

/// Words joined by `separator`.
[[nodiscard]] std::string join(const std::vector<std::string>& words, std::string_view separator);

/// "259:1", as in /proc/self/mountinfo.
[[nodiscard]] std::string device_number(dev_t device);

}  // namespace dlm_freeze
