// SPDX-License-Identifier: Apache-2.0
#include "fs/sysfs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string_view>
#include <system_error>

#include "base/text.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

std::optional<std::string> sysfs_attribute(const std::filesystem::path& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  std::array<char, 4096> text{};  // A page is the most that an attribute has.
  const ssize_t length = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (length < 0) return std::nullopt;
  std::string_view value(text.data(), static_cast<std::size_t>(length));
  if (value.ends_with('\n')) value.remove_suffix(1);
  return std::string(value);
}

std::string disk_of(const std::filesystem::path& partition) {
  std::error_code error;
  return std::filesystem::weakly_canonical(partition, error).parent_path().filename();
}

std::uint64_t number_of(std::string_view word) noexcept {
  std::uint64_t number = 0;
  std::from_chars(word.data(), word.data() + word.size(), number);
  return number;
}

std::uint64_t value_of(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n')) {
    if (next_word(line) == key) return number_of(next_word(line));
  }
  return 0;
}

std::uint64_t size_of_device(const std::filesystem::path& device) {
  constexpr std::uint64_t kSectorBytes = 512;  // The unit of this attribute whatever the device's own sectors are.
  const auto text = sysfs_attribute(device / "size");
  return text ? number_of(*text) * kSectorBytes : 0;
}

bool is_instance_store(const std::filesystem::path& device) {
  return sysfs_attribute(device / "device" / "model").value_or("").starts_with("Amazon EC2 NVMe Instance");
}

std::optional<std::string> volume_id_of(const std::filesystem::path& device) {
  constexpr std::string_view kPrefix = "vol";
  // nvme1n1/device is the controller nvme1; its serial is the volume's.
  for (const char* place : {"device/serial", "serial"}) {
    const auto attribute = sysfs_attribute(device / place);
    std::string_view serial = attribute ? trimmed(*attribute) : std::string_view();
    if (!serial.starts_with(kPrefix) || serial.size() == kPrefix.size()) continue;
    serial.remove_prefix(kPrefix.size());
    if (serial.starts_with('-')) serial.remove_prefix(1);
    return "vol-" + std::string(serial);
  }
  return std::nullopt;
}

}  // namespace dlm_freeze
