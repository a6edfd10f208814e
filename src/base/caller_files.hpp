// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// The files that a script's caller has left open in it: stdin, stdout or stderr, or a log of the caller's. A write to
/// one waits for as long as its filesystem is frozen, by whomever, and so may its last close: XFS gives back what it
/// had reserved beyond the end (xfs_file_release). So a process of its own holds and writes them, and the script waits
/// for that as for the reader of a pipe. Pipes, sockets and terminals stay with the script: their readers wait for the
/// end of file.
class CallerFiles {
 public:
  /// `patience` is how long all of a script may wait in `flush`.
  explicit CallerFiles(BootClock::duration patience) : patience_(patience) {}
  ~CallerFiles() = default;
  CallerFiles(const CallerFiles&) = delete;
  CallerFiles& operator=(const CallerFiles&) = delete;

  /// Starts that process, if there is any such file; stdout and stderr lead to it from then on. Where none can be
  /// started, everything stays as it is. The calling process must have no other thread.
  void hand_over();

  /// This process's own descriptors of what stdout and stderr were, until `close`.
  [[nodiscard]] const std::vector<UniqueFd>& outputs() const noexcept { return outputs_; }

  /// Before anything is frozen: closes all files but those two in the other process as well, so that no lock of the
  /// caller's is held for as long as the session lasts. Waits for that, or until patience ends.
  void close() noexcept;

  /// Waits until what was written to stdout and stderr is in the files, or patience ends.
  void flush() noexcept;

  /// What is written from now on waits in memory until `go_on`, or until the last process has gone that has `lease`
  /// open; only then are the files closed.
  void pause() const noexcept;
  void go_on() const noexcept;
  [[nodiscard]] UniqueFd& lease() noexcept { return lease_; }

 private:
  [[nodiscard]] bool is_written() const noexcept;
  [[nodiscard]] bool wait_for(int event) noexcept;

  BootClock::duration patience_;
  std::vector<UniqueFd> outputs_;
  std::vector<UniqueFd> others_;
  std::vector<int> redirected_;  ///< Those of stdout and stderr that lead to the other process.
  UniqueFd lease_;               ///< A pipe's end, for what the other process is told; it reads the end of file.
  UniqueFd written_;             ///< An event for each part that it has written.
  UniqueFd closed_;              ///< An event for `close`.
};

}  // namespace dlm_freeze
