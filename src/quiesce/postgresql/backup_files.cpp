// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/backup_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

constexpr mode_t kRootOnly = 0600;
constexpr std::size_t kNameLength = 24;

Result<void> write_all(int fd, const char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t put = ::write(fd, bytes, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_failure("cannot write", errno);
    bytes += put;
    count -= static_cast<std::size_t>(put);
  }
  return {};
}

Result<UniqueFd> create_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kRootOnly));
  if (!fd) return system_failure("cannot create " + path, errno);
  return fd;
}

Result<void> finish_file(const std::string& path, const UniqueFd& fd, Result<void> written) {
  if (written && ::fsync(fd.get()) != 0) written = system_failure("cannot write", errno);
  if (!written) return tl::unexpected(written.error().with_context(path));
  return {};
}

Result<void> write_file(const std::string& path, const std::string& content) {
  const auto fd = create_file(path);
  if (!fd) return tl::unexpected(fd.error());
  return finish_file(path, *fd, write_all(fd->get(), content.data(), content.size()));
}

Result<void> copy_file(const std::string& from, const std::string& to, Deadline deadline) {
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) return system_failure("cannot read " + from, errno);
  const auto target = create_file(to);
  if (!target) return tl::unexpected(target.error());
  std::vector<char> chunk(std::size_t{256} * 1024);
  Result<void> written;
  for (;;) {
    if (deadline.expired()) return failure("no time was left to copy " + from);
    const ssize_t got = ::read(source.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("cannot read " + from, errno);
    if (got == 0) break;
    written = write_all(target->get(), chunk.data(), static_cast<std::size_t>(got));
    if (!written) break;
  }
  return finish_file(to, *target, std::move(written));
}

Result<void> sync_directory(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return system_failure("cannot write " + path, errno);
  return {};
}

/// Timeline and segment number of a WAL file's name.
struct WalName {
  std::uint32_t timeline = 0;
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

std::optional<WalName> parse_wal_name(const std::string& name) {
  std::array<std::uint32_t, 3> parts{};
  if (name.size() != kNameLength) return std::nullopt;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const char* begin = name.data() + i * 8;
    const auto [end, error] = std::from_chars(begin, begin + 8, parts[i], 16);
    if (error != std::errc() || end != begin + 8) return std::nullopt;
  }
  return WalName{parts[0], parts[1], parts[2]};
}

std::string format_wal_name(std::uint32_t timeline, std::uint64_t high, std::uint64_t low) {
  std::array<char, kNameLength + 1> text{};
  static_cast<void>(std::snprintf(text.data(), text.size(), "%08X%08X%08X", timeline, static_cast<unsigned>(high),
                                  static_cast<unsigned>(low)));
  return text.data();
}

}  // namespace

Result<void> make_private_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);  // The watchdog's umask keeps them root's alone.
  if (error) return failure("cannot create " + path + ": " + error.message());
  return check_trusted(path);
}

Result<void> save_backup_files(const std::string& directory, const BackupFiles& files, Deadline deadline) {
  if (auto made = make_private_directory(directory); !made) return made;
  if (auto written = write_file(directory + "/backup_label", files.label); !written) return written;
  if (!files.tablespace_map.empty()) {
    if (auto written = write_file(directory + "/tablespace_map", files.tablespace_map); !written) return written;
  }
  if (auto synced = sync_directory(directory); !synced) return synced;
  if (files.wal.empty()) return {};

  const std::string wal = directory + "/pg_wal";
  if (auto made = make_private_directory(wal); !made) return made;
  for (const std::string& name : files.wal) {
    std::string source = files.wal_directory;
    source += "/" + name;
    if (auto copied = copy_file(source, wal + "/" + name, deadline); !copied) return copied;
  }
  if (auto synced = sync_directory(wal); !synced) return synced;
  return sync_directory(directory);
}

std::vector<std::string> wal_files_between(const std::string& first, const std::string& last,
                                           std::uint64_t segment_size) {
  const auto from = parse_wal_name(first);
  const auto to = parse_wal_name(last);
  constexpr std::uint64_t kBytesOfHigh = std::uint64_t{1} << 32;
  if (!from || !to || from->timeline != to->timeline || segment_size == 0 || segment_size > kBytesOfHigh) return {};
  const std::uint64_t per_high = kBytesOfHigh / segment_size;
  const std::uint64_t begin = from->high * per_high + from->low;
  const std::uint64_t end = to->high * per_high + to->low;
  std::vector<std::string> names;
  if (begin > end || end - begin >= kMostWalFiles) return names;
  for (std::uint64_t number = begin; number <= end; ++number) {
    names.push_back(format_wal_name(from->timeline, number / per_high, number % per_high));
  }
  return names;
}

std::string directory_name(const std::string& name) {
  std::string safe = name;
  for (char& letter : safe) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') || letter == '.' || letter == '-' || letter == '_';
    if (!plain) letter = '_';
  }
  // "." and ".." are no names.
  if (safe.find_first_not_of('.') == std::string::npos) safe.insert(0, "_");
  return safe;
}

}  // namespace dlm_freeze
