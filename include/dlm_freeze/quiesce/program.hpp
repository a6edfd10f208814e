// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// The default PATH, of root and of an account before its profile is read.
inline constexpr const char* kProgramPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A process in namespaces of its own, as a rule the first one of a container: where a program runs instead of on this
/// host.
struct ProgramPlace {
  pid_t pid = 0;
  std::uint64_t started = 0;  ///< In clock ticks since the boot, as proc(5) has it: no other process is entered.
  std::string text;           ///< For messages: "docker container 3f2a1b2c3d4e".

  /// Nothing is run. `argv` are paths: whether all of them could be executed is the exit status, and why not the
  /// output.
  bool only_check = false;
};

/// A program to run, never a line for a shell. It gets a session and process group of its own, the working directory /,
/// its standard descriptors and no others, and only the environment given here.
struct Program {
  std::vector<std::string> argv;         ///< argv[0] is an absolute path.
  std::vector<std::string> environment;  ///< "NAME=value".

  /// The account it runs as, with all its groups; empty: that of this process. HOME, USER, LOGNAME, SHELL and PATH are
  /// the account's unless `environment` sets them.
  std::string os_user = {};

  /// With `os_user`: in that account's login environment. Its login shell reads the profile and then executes the
  /// program. The shell gets the arguments as arguments and never parses them. An account whose shell is not one of the
  /// usual ones (nologin, say) has no profile.
  bool login = false;

  /// Where it runs; nothing: on this host. In a container it has the container's namespaces, root directory, control
  /// groups and limits, and no more rights than the container's first process has. `os_user` is "UID:GID", as they are
  /// called there; empty: the account of that process. HOME is / or /root unless `environment` sets it. Who kills it
  /// kills all of its descendants. If that has a filter of system calls, a standing one takes its place.
  std::optional<ProgramPlace> place{};
};

struct ProgramResult {
  int exit_status = 0;  ///< 128 + the signal, when one ended it.
  std::string output;   ///< stdout and stderr as they came; of more than 16 KiB the first 4 and the last 12.
};

/// Runs a program that reads from /dev/null and waits for its end. When the patience or this process
/// ends first, its whole process group is killed. An exit status other than 0 is no error
/// here. Errors: it was killed, cannot be started, its exit status cannot be known, or there is no such account.
[[nodiscard]] Result<ProgramResult> run_program(const Program& program, const Patience& patience);

enum class ProgramInput { nothing, pipe };

/// A running program. Its parent is a small process, the keeper, which outlives this one in order to end the program in
/// any case: when this process is gone, however it ended, the program has `grace` to end by itself (its input is at end
/// of file then), and is killed with its process group. The keeper does nothing but wait, and ends with the program.
/// An object is used by one thread at a time; which one may change.
class RunningProgram {
 public:
  /// `grace` is at most some minutes. Errors: as for run_program. A program that cannot be executed ends with 127.
  [[nodiscard]] static Result<RunningProgram> start(const Program& program, ProgramInput input,
                                                    BootClock::duration grace);

  RunningProgram(RunningProgram&& other) noexcept;
  RunningProgram& operator=(RunningProgram&&) = delete;
  RunningProgram(const RunningProgram&) = delete;
  RunningProgram& operator=(const RunningProgram&) = delete;
  ~RunningProgram() { kill(); }

  /// Becomes readable when it has ended. Only to be polled.
  [[nodiscard]] int end_fd() const noexcept { return life_.get(); }
  [[nodiscard]] bool has_ended() const noexcept;

  /// The next line that it prints on stdout or stderr, without its end; nothing when it has ended and no line is left.
  /// Errors: the patience ended first; the program continues.
  [[nodiscard]] Result<std::optional<std::string>> next_line(const Patience& patience);

  /// Writes to its input and closes it. A program that no longer reads is no error: it is about to end. At most as much
  /// as a pipe holds (pipe(7): 4096 bytes at least).
  void send_last(std::string_view text) noexcept;

  /// Waits for its end, and kills it with its process group if that does not come by then, as run_program does. The
  /// output is what next_line has not returned.
  [[nodiscard]] Result<ProgramResult> finish(const Patience& patience);

  /// Kills it with its process group at once, even if its keeper was stopped. False when it does not end because it
  /// waits in the kernel; true also when it had ended before.
  bool kill() noexcept;

 private:
  explicit RunningProgram(std::string path) : path_(std::move(path)) {}

  /// Waits for something to read, the end or a reason to give up, and reads.
  enum class Event { output, ended, given_up };
  [[nodiscard]] Event wait(const Patience& patience);
  [[nodiscard]] bool read_output();
  [[nodiscard]] Failure given_up(const Deadline& deadline, std::string_view and_then) const;
  [[nodiscard]] std::optional<int> reap() noexcept;  ///< Its exit status, if that can be known.

  std::string path_;
  pid_t keeper_ = -1;  ///< -1 once it was reaped.
  UniqueFd life_;      ///< What each knows by that the other lives; a byte tells the keeper to kill.
  UniqueFd input_;
  UniqueFd output_;           ///< Nothing after the end of file.
  std::string text_;          ///< What it printed and nobody was given yet.
  std::size_t left_out_ = 0;  ///< Bytes that are missing in it, after the first ones.
};

/// The last line of a program's output that is not blank, for an error message.
[[nodiscard]] std::string last_line(const std::string& output);

/// "exited with status 1 (Access Denied)", with the last line of the output: what a program did, for an error message.
[[nodiscard]] std::string exited(int status, const std::string& output);

}  // namespace dlm_freeze
