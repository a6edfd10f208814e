// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/postgresql_output.hpp"

#include <charconv>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

std::optional<std::uint64_t> hexadecimal(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

ControlData read_control_data(std::string_view output) {
  ControlData data;
  for (const std::string_view line : split(output, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon != line.npos) data.emplace(line.substr(0, colon), trimmed(line.substr(colon + 1)));
  }
  return data;
}

std::optional<std::uint64_t> lsn_number(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const auto high = hexadecimal(text.substr(0, slash));
  const auto low = hexadecimal(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return (*high << 32U) | *low;
}

std::string major_version(std::string_view version) {
  return std::string(version.substr(0, version.find_first_not_of("0123456789")));
}

}  // namespace dlm_freeze
