// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "record/state_directory.hpp"
#include "session/plan.hpp"
#include "session/scope.hpp"

namespace dlm_freeze {

class SessionState;
struct Message;

/// pre-script's side of a session; docs/protocol.md tells the whole story. When the object goes without `commit`,
/// the session is rolled back by the others. Every function that fails has left something that `roll_back` undoes.
class SessionClient {
 public:
  /// Forks the freezer, which begins to write back all filesystems, the watchdog and its sentinel, and waits until
  /// these two are ready. From here on the deadline runs. While data are written back, `complete` may add to `plan`
  /// what the freezer need not know.
  /// The process must have no other thread. `plan` must outlive the object.
  [[nodiscard]] static Result<SessionClient> start(
      SessionPlan& plan, Deadline deadline, const std::function<void()>& complete = [] {});
  SessionClient(SessionClient&& other) noexcept;
  SessionClient& operator=(SessionClient&& other) noexcept;
  SessionClient(const SessionClient&) = delete;
  SessionClient& operator=(const SessionClient&) = delete;
  ~SessionClient();

  /// Watchdog and sentinel, as they were when they were ready.
  [[nodiscard]] SessionProcesses processes() const noexcept { return processes_; }

  /// Waits until all filesystems are written back, and lets every database do what is slow and blocks nobody. What this
  /// process has to do in that time is `meanwhile`.
  [[nodiscard]] Result<void> prepare(
      Deadline deadline, const std::function<void()>& meanwhile = [] {});

  /// Writes back once more what was dirtied since.
  [[nodiscard]] Result<void> write_back(Deadline deadline);

  /// Waits, with everything prepared. Fails at once when the session ends meanwhile.
  [[nodiscard]] Result<void> wait_until(Deadline moment);

  /// Locks every database.
  [[nodiscard]] Result<void> quiesce(Deadline deadline);

  /// Freezes every filesystem, or fails; one whose driver cannot is left as it is.
  [[nodiscard]] Result<void> freeze(Deadline deadline);

  /// Makes the session last until post-script or the deadline. `stages` and `held_lines` are for the record and, after
  /// the thaw, the host's log.
  [[nodiscard]] Result<void> commit(Deadline deadline, const StageSeconds& stages, std::vector<LogLine> held_lines);

  /// What is not undone when pre-script has to answer; the other processes go on with it.
  struct Leftovers {
    std::vector<std::string> frozen;    ///< Mount points that are not thawed.
    std::vector<std::string> quiesced;  ///< Databases that are not released.
  };

  /// Undoes everything and waits for it until `deadline`. Where the watchdog does not begin to, because it is stopped
  /// or hangs in the kernel, this process thaws.
  [[nodiscard]] Leftovers roll_back(Deadline deadline);

  /// What the databases had to say since the last call.
  [[nodiscard]] std::vector<LogLine> take_notes() { return std::exchange(notes_, {}); }

 private:
  struct Ends;
  SessionClient(SessionPlan& plan, Ends ends);

  /// Sends it to the watchdog or the freezer. One that has ended has said why, which `await` hears.
  [[nodiscard]] static Result<void> tell(const UniqueFd& channel, const Message& message);
  /// Waits for the answers that are due: of the watchdog, of the freezer.
  [[nodiscard]] Result<void> await(bool watchdog, bool freezer, Deadline deadline, std::string_view what,
                                   ErrorKind kind = ErrorKind::failed);
  [[nodiscard]] Result<void> take_answer();
  /// Adds to `error` the mount points, if any, on which `call` ("the freeze of") has not returned.
  void name_what_hangs(Error& error, FreezeState state, std::string_view call) const;
  /// Fails where something that was written to one of them is lost.
  /// A WARN that names those in that state.
  void note_not_frozen(FreezeState state, const std::string& why);
  [[nodiscard]] Result<void> check_written() const;
  void thaw_for(Deadline deadline);
  void stand_in(Deadline deadline);

  SessionPlan* plan_;
  std::unique_ptr<SessionState> session_;
  UniqueFd watchdog_;
  UniqueFd freezer_;
  std::vector<UniqueFd> life_lines_;
  std::vector<LogLine> notes_;
  SessionProcesses processes_;
  pid_t freezer_process_ = -1;
};

/// What became of a request to end the session.
enum class EndRequest {
  not_heard,  ///< No watchdog listens: there is none, it is ending the session, or only its sentinel is left.
  heard,      ///< The watchdog has done it, or is gone.
  stuck,      ///< Done, but for a filesystem whose thaw does not return.
  not_his,    ///< Not done: the execution is that of an earlier session, which the record on file tells of.
};

struct EndAnswer {
  EndRequest request = EndRequest::not_heard;
  std::optional<SessionRecord> record = {};  ///< Of the ended session, where the watchdog could still say it.
  bool by_another = false;                   ///< Another post-script, or the deadline, had ended it.
  std::optional<Error> lost = {};            ///< Why what the watchdog said could not be read.
};

/// Asks the watchdog to end the session and waits until it has, or until `deadline`. The outcome is in the
/// record that the watchdog sends or, where it could not, in the state directory once the session's lock is free.
[[nodiscard]] EndAnswer ask_to_end(const StateDirectory& state, const std::string& execution_id, Deadline deadline);

}  // namespace dlm_freeze
