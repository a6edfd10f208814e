// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

namespace dlm_freeze {
namespace {

constexpr std::size_t kLargestTrusted = std::size_t{16} << 20;

Failure not_regular(const std::string& name, mode_t mode) {
  const char* what = "something else";
  if (S_ISDIR(mode)) what = "a directory";
  if (S_ISFIFO(mode)) what = "a FIFO";
  if (S_ISCHR(mode) || S_ISBLK(mode)) what = "a device";
  if (S_ISSOCK(mode)) what = "a socket";
  if (S_ISLNK(mode)) what = "a symbolic link";
  return Failure(
      Error{ErrorKind::failed, name + " is " + what + ", not a regular file", S_ISDIR(mode) ? EISDIR : EINVAL});
}

Result<std::string> read_all(const UniqueFd& fd, const std::string& path, std::size_t limit) {
  std::string content;
  std::array<char, 16384> chunk{};
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure("cannot read " + path, errno);
    if (got == 0) return content;
    content.append(chunk.data(), static_cast<std::size_t>(got));
    if (content.size() > limit) return failure(path + " is larger than " + std::to_string(limit) + " bytes");
  }
}

Result<void> check_trusted_entry(const std::string& path, const struct stat& info) {
  if (info.st_uid != 0) {
    return failure(path + " is owned by uid " + std::to_string(info.st_uid) + ", not by root: chown root " + path);
  }
  const bool sticky_directory = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_directory) {
    return failure(path + " is writable by users other than root: chmod go-w " + path);
  }
  return {};
}

/// `path` has no symbolic links.
Result<void> check_directories_above(std::string path) {
  while (path != "/") {
    path.erase(path.rfind('/'));
    if (path.empty()) path = "/";
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return system_failure("cannot examine " + path, errno);
    if (auto trusted = check_trusted_entry(path, info); !trusted) return trusted;
  }
  return {};
}

/// Where the kernel has the file that is open as `fd`.
Result<std::string> path_of(int fd, const std::string& name) {
  std::string path(PATH_MAX, '\0');
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path.data(), path.size());
  if (length < 0) return system_failure("cannot resolve the path of " + name, errno);
  path.resize(static_cast<std::size_t>(length));
  if (!path.starts_with('/')) return failure(name + " cannot be reached from here");
  return path;
}

}  // namespace

Result<UniqueFd> open_regular(int directory, const std::string& name, int flags) {
  struct stat info {};
  const int look = (flags & O_NOFOLLOW) != 0 ? AT_SYMLINK_NOFOLLOW : 0;
  // First: opening alone is an act for some devices.
  if (::fstatat(directory, name.c_str(), &info, look) == 0 && !S_ISREG(info.st_mode)) {
    return not_regular(name, info.st_mode);
  }
  constexpr mode_t kMode = S_IRUSR | S_IWUSR;
  UniqueFd fd(::openat(directory, name.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, kMode));
  if (!fd) return system_failure("cannot open " + name, errno);
  if (::fstat(fd.get(), &info) != 0) return system_failure("cannot examine " + name, errno);
  if (!S_ISREG(info.st_mode)) return not_regular(name, info.st_mode);
  return fd;
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  return read_file_at(AT_FDCWD, path, limit);
}

Result<std::string> read_file_at(int directory, const std::string& name, std::size_t limit) {
  const auto fd = open_regular(directory, name, O_RDONLY);
  if (!fd) return tl::unexpected(fd.error());
  return read_all(*fd, name, limit);
}

Result<void> check_trusted(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) return system_failure("cannot open " + path, errno);
  struct stat info {};
  if (::lstat(resolved.get(), &info) != 0) return system_failure("cannot examine " + path, errno);
  if (auto trusted = check_trusted_entry(resolved.get(), info); !trusted) return trusted;
  return check_directories_above(resolved.get());
}

Result<std::string> read_trusted_file(const std::string& path) {
  const auto fd = open_regular(AT_FDCWD, path, O_RDONLY);
  if (!fd) return tl::unexpected(fd.error());
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return system_failure("cannot examine " + path, errno);
  const auto resolved = path_of(fd->get(), path);
  if (!resolved) return tl::unexpected(resolved.error());
  if (info.st_nlink == 0) return failure(*resolved + " was removed while it was read: try again");
  if (auto trusted = check_trusted_entry(*resolved, info); !trusted) return tl::unexpected(trusted.error());
  if (auto trusted = check_directories_above(*resolved); !trusted) return tl::unexpected(trusted.error());
  return read_all(*fd, path, kLargestTrusted);
}

Result<AtomicFile> AtomicFile::create(int directory, std::string name, std::string_view slot, std::size_t reserve) {
  std::string temporary = "." + name + "." + std::string(slot);
  // A file of that name is what an earlier run left behind when it was killed.
  ::unlinkat(directory, temporary.c_str(), 0);
  UniqueFd fd(::openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return system_failure("cannot create " + temporary, errno);
  AtomicFile file(directory, std::move(name), std::move(temporary), std::move(fd));
  if (reserve == 0) return file;
  if (const int error = ::posix_fallocate(file.fd_.get(), 0, static_cast<off_t>(reserve)); error != 0) {
    return system_failure("cannot reserve space for " + file.name_, error);
  }
  return file;
}

AtomicFile::AtomicFile(int directory, std::string name, std::string temporary, UniqueFd fd)
    : directory_(directory), name_(std::move(name)), temporary_(std::move(temporary)), fd_(std::move(fd)) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : directory_(other.directory_),
      name_(std::move(other.name_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)) {}

AtomicFile& AtomicFile::operator=(AtomicFile&& other) noexcept {
  if (this != &other) {
    discard();
    directory_ = other.directory_;
    name_ = std::move(other.name_);
    temporary_ = std::exchange(other.temporary_, {});
    fd_ = std::move(other.fd_);
  }
  return *this;
}

Result<void> AtomicFile::commit(std::string_view content) {
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t put =
        ::pwrite(fd_.get(), content.data() + written, content.size() - written, static_cast<off_t>(written));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return system_failure("cannot write " + name_, errno);
    written += static_cast<std::size_t>(put);
  }
  if (::ftruncate(fd_.get(), static_cast<off_t>(content.size())) != 0)
    return system_failure("cannot write " + name_, errno);
  if (::renameat(directory_, temporary_.c_str(), directory_, name_.c_str()) != 0) {
    return system_failure("cannot replace " + name_, errno);
  }
  temporary_.clear();
  fd_.reset();
  return {};
}

void AtomicFile::discard() noexcept {
  if (!temporary_.empty()) ::unlinkat(directory_, temporary_.c_str(), 0);
  temporary_.clear();
  fd_.reset();
}

}  // namespace dlm_freeze
