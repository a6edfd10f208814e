// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
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

/// A whole number in decimal digits and nothing else, no sign and no blank; nothing when it is not from `least` to
/// `most`. "010" is ten.
[[nodiscard]] std::optional<std::int64_t> parse_decimal(std::string_view text, std::int64_t least, std::int64_t most);

/// What such a number is called in a message: "a whole number from 1 to 60".
[[nodiscard]] std::string whole_number(std::int64_t most);

/// Whether a text in UTF-8 must not hold that character as it is: controls (C0, C1, DEL), line and paragraph
/// separators, and what changes the direction of the text around it.
[[nodiscard]] bool is_treacherous(char32_t character) noexcept;

/// The character that begins at `text[0]`; `size` is set to its bytes. Nothing, and 1, where that is not UTF-8.
[[nodiscard]] std::optional<char32_t> first_character(std::string_view text, std::size_t& size) noexcept;

/// `text` with each byte as \ooo, the way /proc/self/mountinfo writes it, that belongs to a treacherous character, is a
/// backslash or is not UTF-8: it can neither forge a line or a table's cell nor reach the terminal. Log, TextTable and
/// text_line call this where lines are written, so nobody else needs to.
[[nodiscard]] std::string printable(std::string_view text);

/// `text` with " ... " in place of its middle, where it is longer than `most` bytes.
[[nodiscard]] std::string without_middle(std::string_view text, std::size_t most);

/// Words joined by `separator`.
[[nodiscard]] std::string join(const std::vector<std::string>& words, std::string_view separator);

/// How many things a message names of a list that may be long.
inline constexpr std::size_t kMostNamed = 5;

/// For a message: "a, b", or "a, b, c, d, e and 55 more".
[[nodiscard]] std::string list_of(const std::vector<std::string>& words, std::string_view separator = ", ");

/// "0b5e3f1c-...", as blkid(8) prints it.
[[nodiscard]] std::string uuid_text(std::span<const std::uint8_t, 16> bytes);

/// "259:1", as in /proc/self/mountinfo.
[[nodiscard]] std::string device_number(dev_t device);

}  // namespace dlm_freeze
