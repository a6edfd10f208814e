// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// Where sessions keep their state: the lock, the record and the watchdog's socket, in a directory that only root can
/// enter. The lock belongs to an open file description (F_OFD_SETLK, fcntl(2)): it passes on to forked processes,
/// ends with the last of them, and can be asked for without being taken.
class StateDirectory {
 public:
  static constexpr const char* kDefaultPath = "/run/dlm-freeze";

  /// Opens the directory; with `create`, makes it if it is absent. Errors: `path` is relative, or it is not a
  /// directory, a symbolic link, or could be changed by others. Without `create` an absent one is an error with ENOENT.
  [[nodiscard]] static Result<StateDirectory> open(const std::string& path, bool create);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// Two locks: one is held while anything of a session lives that can end it, the other while a FIFREEZE of it may
  /// be under way.
  enum class Lock { session, freezer };

  /// Opens a lock's file without taking it, for `take`.
  [[nodiscard]] Result<UniqueFd> open_lock(Lock lock) const;

  /// Takes the lock whose file is open as `fd`; false when it is held. Opens nothing.
  [[nodiscard]] static bool take(int fd) noexcept;

  /// Gives it up at once, whatever copies of `fd` other threads and processes have.
  static void release(int fd) noexcept;

  /// The lock, or nothing when it is held. The descriptor holds it; so do its copies in forked processes.
  [[nodiscard]] Result<std::optional<UniqueFd>> try_lock(Lock lock) const;

  /// The same, but waits for it until `deadline`. Uses SIGALRM; not for a process with threads.
  [[nodiscard]] Result<std::optional<UniqueFd>> lock_by(Lock lock, Deadline deadline) const;

  /// Whether the session's lock is held: one is active.
  [[nodiscard]] Result<bool> is_locked() const;

  /// The record of the active or last session; nothing when there was none. Errors: it is damaged or of another
  /// version.
  [[nodiscard]] Result<std::optional<SessionRecord>> read_record() const;

  /// A replacement of the record, made ready; see AtomicFile. The directory must outlive it.
  [[nodiscard]] Result<AtomicFile> new_record_file(std::string_view slot, std::size_t reserve = 0) const;

  /// Removes the replacements that processes which were killed have left. For the holder of the session's lock.
  void remove_stale_files() const noexcept;

  /// Replaces the record now.
  [[nodiscard]] Result<void> write_record(const SessionRecord& record) const;

  /// The watchdog's socket. Errors of `connect`: ENOENT or ECONNREFUSED when nobody listens, EAGAIN when the one who
  /// does has not taken notice until `deadline`.
  [[nodiscard]] Result<UniqueFd> listen() const;
  [[nodiscard]] Result<UniqueFd> connect(Deadline deadline) const;

  /// Removes the socket, of a watchdog that cannot stop listening itself.
  void stop_listening() const noexcept;

  /// Whether a watchdog listens there. One that ends its session does not any more, though it holds the lock.
  [[nodiscard]] bool is_listening(Deadline deadline) const;

  /// The open directory, for who has to know what it lies on.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  StateDirectory(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

}  // namespace dlm_freeze
