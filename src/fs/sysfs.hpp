// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace dlm_freeze {

/// The content of an attribute of sysfs without its final newline; nothing when it is absent.
[[nodiscard]] std::optional<std::string> sysfs_attribute(const std::filesystem::path& path);

/// The kernel's name of the disk that has the partition whose directory in sysfs, a symbolic link, is `partition`.
[[nodiscard]] std::string disk_of(const std::filesystem::path& partition);

/// The whole number with which `word` begins; 0 where it begins with none.
[[nodiscard]] std::uint64_t number_of(std::string_view word) noexcept;

/// The number behind `key` in a text of lines like "key:   123 kB"; 0 where it is not there.
[[nodiscard]] std::uint64_t value_of(std::string_view text, std::string_view key);

/// The size in bytes of the block device whose directory in sysfs is `device`; 0 where it is not known.
[[nodiscard]] std::uint64_t size_of_device(const std::filesystem::path& device);

/// Whether that device is a disk of the EC2 host.
[[nodiscard]] bool is_instance_store(const std::filesystem::path& device);

/// The EBS volume behind the block device whose directory in sysfs is `device`: "vol-0123456789abcdef0". EBS gives each
/// NVMe device the id of its volume as serial number, without the dash and padded with blanks.
[[nodiscard]] std::optional<std::string> volume_id_of(const std::filesystem::path& device);

}  // namespace dlm_freeze
