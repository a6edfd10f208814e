// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/backup_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::postgresql {
namespace {

constexpr mode_t kRootOnly = 0600;
constexpr std::size_t kNameLength = 24;
constexpr std::uint64_t kBytesOfHigh = std::uint64_t{1} << 32;  // What the second half of a WAL file's number counts.

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
  // The server's account could have put anything there.
  const UniqueFd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!source || ::fstat(source.get(), &status) != 0) return system_failure("cannot read " + from, errno);
  if (!S_ISREG(status.st_mode)) return failure(from + " is not a regular file");
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

Result<void> check_private_directory(const std::string& path) {
  std::filesystem::path there = path;
  std::error_code error;
  while (!std::filesystem::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  if (!std::filesystem::is_directory(there, error)) return failure(there.string() + " is not a directory");
  return check_trusted(there);
}

std::string new_name_in(const std::string& parent, const std::string& name) {
  const std::string first = parent + "/" + name;
  std::string path = first;
  std::error_code error;
  for (int number = 2; std::filesystem::exists(std::filesystem::symlink_status(path, error)); ++number)
    path = first + "-" + std::to_string(number);
  return path;
}

Result<void> make_new_directory(const std::string& path) {
  if (auto made = make_private_directory(std::filesystem::path(path).parent_path()); !made) return made;
  if (::mkdir(path.c_str(), 0700) != 0) return system_failure("cannot create " + path, errno);
  return {};
}

Result<void> save_backup_files(const std::string& directory, const BackupFiles& files, Deadline deadline) {
  std::string manifest = files.note.empty() ? "" : "# " + files.note + "\n";
  const auto list = [&](const std::string& name) {
    std::error_code error;
    manifest += std::to_string(std::filesystem::file_size(directory + "/" + name, error)) + " " + name + "\n";
  };
  if (auto made = make_private_directory(directory); !made) return made;
  if (auto written = write_file(directory + "/backup_label", files.label); !written) return written;
  list("backup_label");
  if (!files.tablespace_map.empty()) {
    if (auto written = write_file(directory + "/tablespace_map", files.tablespace_map); !written) return written;
    list("tablespace_map");
  }
  if (auto synced = sync_directory(directory); !synced) return synced;

  const std::string wal = directory + "/pg_wal";
  if (!files.wal.empty()) {
    if (auto made = make_private_directory(wal); !made) return made;
  }
  for (const std::string& name : files.wal) {
    std::string source = files.wal_directory;
    source += "/" + name;
    if (auto copied = copy_file(source, wal + "/" + name, deadline); !copied) return copied;
    list("pg_wal/" + name);
  }
  if (!files.wal.empty()) {
    if (auto synced = sync_directory(wal); !synced) return synced;
  }
  if (auto written = write_file(directory + "/" + kComplete, manifest); !written) return written;
  return sync_directory(directory);
}

std::optional<std::uint64_t> parse_lsn(const std::string& text) {
  std::uint32_t high = 0;
  std::uint32_t low = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, high, 16);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '/') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, low, 16);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  return (std::uint64_t{high} << 32) | low;
}

std::string first_wal_file(const std::string& label) {
  // START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
  constexpr std::string_view kMark = "(file ";
  const std::size_t at = label.find(kMark);
  if (!label.starts_with("START WAL LOCATION: ") || at == std::string::npos) return "";
  std::string name = label.substr(at + kMark.size(), kNameLength);
  return parse_wal_name(name) ? name : "";
}

std::string wal_file_before(std::uint64_t lsn, const std::string& other, std::uint64_t segment_size) {
  const auto parsed = parse_wal_name(other);
  if (!parsed || lsn == 0 || segment_size == 0 || segment_size > kBytesOfHigh) return "";
  const std::uint64_t per_high = kBytesOfHigh / segment_size;
  const std::uint64_t number = (lsn - 1) / segment_size;
  return format_wal_name(parsed->timeline, number / per_high, number % per_high);
}

std::size_t unarchived_files(const std::string& wal_directory) {
  std::size_t count = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(wal_directory + "/archive_status", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".ready") ++count;
  }
  return count;
}

std::vector<std::string> wal_files_between(const std::string& first, const std::string& last,
                                           std::uint64_t segment_size) {
  const auto from = parse_wal_name(first);
  const auto to = parse_wal_name(last);
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
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string safe;
  const auto add_number = [&](char letter) {
    const auto number = static_cast<unsigned char>(letter);
    safe += std::string{'%', kDigits[number >> 4U], kDigits[number & 15U]};
  };
  // "." and ".." are no names, and what begins with a dot is not seen.
  for (const char letter : name) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' ||
                       (letter == '.' && !safe.empty());
    if (plain) {
      safe += letter;
    } else {
      add_number(letter);
    }
  }
  return safe.empty() ? "%" : safe;
}

}  // namespace dlm_freeze::postgresql
