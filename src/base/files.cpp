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

Result<void> check_regular(const struct stat& status, const std::string& name) {
  if (S_ISDIR(status.st_mode)) return system_failure("cannot read " + name, EISDIR);
  return S_ISREG(status.st_mode) ? Result<void>() : failure(name + " is not a regular file");
}

Result<void> check_trusted_entry(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return system_failure("cannot examine " + path, errno);
  if (info.st_uid != 0) {
    return failure(path + " is owned by uid " + std::to_string(info.st_uid) + ", not by root: chown root " + path);
  }
  const bool sticky_directory = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky_directory) {
    return failure(path + " can be written by others than root: chmod go-w " + path);
  }
  return {};
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  return read_file_at(AT_FDCWD, path, limit);
}

Result<std::string> read_file_at(int directory, const std::string& name, std::size_t limit) {
  // Looked at before it is opened, since that alone makes some devices act, and after, since others may own the path.
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, 0) != 0) return system_failure("cannot open " + name, errno);
  if (auto checked = check_regular(status, name); !checked) return tl::unexpected(checked.error());
  const UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd || ::fstat(fd.get(), &status) != 0) return system_failure("cannot open " + name, errno);
  if (auto checked = check_regular(status, name); !checked) return tl::unexpected(checked.error());
  return read_all(fd, name, limit);
}

Result<void> check_trusted(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  if (!resolved) return system_failure("cannot open " + path, errno);
  std::string entry = resolved.get();
  while (entry != "/") {
    if (auto trusted = check_trusted_entry(entry); !trusted) return trusted;
    entry.erase(entry.rfind('/'));
    if (entry.empty()) entry = "/";
  }
  return check_trusted_entry(entry);
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
