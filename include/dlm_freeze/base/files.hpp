// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// Opens a regular file for `flags` (O_RDONLY, O_WRONLY | O_APPEND | O_CREAT...), relative to the directory open as
/// `directory` or to AT_FDCWD. Never blocks: anything else in its place (a FIFO, a device, a socket) is refused without
/// being touched. A file that it creates can be read and written by this user only.
[[nodiscard]] Result<UniqueFd> open_regular(int directory, const std::string& name, int flags);

/// The whole content of a regular file. An error names the path. Files larger than `limit` bytes are refused.
[[nodiscard]] Result<std::string> read_file(const std::string& path, std::size_t limit = std::size_t{16} << 20);

/// The same for `name` in the directory open as `directory`.
[[nodiscard]] Result<std::string> read_file_at(int directory, const std::string& name,
                                               std::size_t limit = std::size_t{16} << 20);

/// Fails when anyone but root could change `path` or a directory above it: it must be owned by root and not be
/// writable by group or others; a sticky directory such as /tmp passes. Symbolic links are resolved first. The rule of
/// sshd and sudo for files that decide what runs as root.
[[nodiscard]] Result<void> check_trusted(const std::string& path);

/// The whole content of a regular file that passes that check. What is read is what was checked, whatever happens to
/// `path` in between.
[[nodiscard]] Result<std::string> read_trusted_file(const std::string& path);

/// The new content of a file, which replaces the old one as a whole or not at all: until `commit` a reader sees the old
/// file, and forgetting to commit is harmless. Creating and committing are separate, so that a file can be prepared
/// while opening files is still allowed, and put in place later without opening anything.
class AtomicFile {
 public:
  /// Prepares a replacement for `name` in the directory open as `directory`, which must stay open. `slot` tells apart
  /// several replacements of one name. `reserve` bytes of storage are allocated at once, so that a commit of no more
  /// than that does not fail on a full filesystem.
  [[nodiscard]] static Result<AtomicFile> create(int directory, std::string name, std::string_view slot,
                                                 std::size_t reserve);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&& other) noexcept;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { discard(); }

  /// The descriptor of the replacement, for a forked process that keeps only some.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

  /// Writes `content` and puts the file in place. At most once.
  [[nodiscard]] Result<void> commit(std::string_view content);

  /// Removes the replacement, unless it is in place.
  void discard() noexcept;

 private:
  AtomicFile(int directory, std::string name, std::string temporary, UniqueFd fd);

  int directory_ = -1;
  std::string name_;
  std::string temporary_;  ///< Empty once committed.
  UniqueFd fd_;
};

}  // namespace dlm_freeze
