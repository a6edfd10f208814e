// SPDX-License-Identifier: Apache-2.0
#include "session/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/wait.hpp"
#include "record/history.hpp"
#include "session/freezer.hpp"
#include "session/message.hpp"
#include "session/recovery.hpp"
#include "session/shared_state.hpp"
#include "session/thaw_process.hpp"
#include "session/watchdog.hpp"

namespace dlm_freeze {
namespace {

/// How long after the deadline of a stage the watchdog may take to say which database was late, and why.
constexpr auto kAnswerPatience = std::chrono::milliseconds(150);

Deadline with_patience(Deadline deadline) { return Deadline(deadline.at() + kAnswerPatience); }

Json deadline_body(Deadline deadline) {
  return Json::Object{{"deadline", Json(deadline.at().time_since_epoch().count())}};
}

std::vector<int> numbers_of(const std::vector<UniqueFd>& descriptors) {
  std::vector<int> numbers;
  numbers.reserve(descriptors.size());
  for (const UniqueFd& descriptor : descriptors) numbers.push_back(descriptor.get());
  return numbers;
}

std::string mount_points(const FrozenFilesystems& filesystems, FreezeState state) {
  std::string list;
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    if (filesystems.state(i) == state) list += (list.empty() ? "" : ", ") + filesystems[i].mount_point;
  }
  return list;
}

}  // namespace

struct SessionClient::Ends {
  std::unique_ptr<SessionState> session;
  UniqueFd watchdog;
  UniqueFd freezer;
  std::vector<UniqueFd> life_lines;
};

SessionClient::SessionClient(SessionPlan& plan, Ends ends)
    : plan_(&plan),
      session_(std::move(ends.session)),
      watchdog_(std::move(ends.watchdog)),
      freezer_(std::move(ends.freezer)),
      life_lines_(std::move(ends.life_lines)) {}

SessionClient::SessionClient(SessionClient&& other) noexcept = default;
SessionClient& SessionClient::operator=(SessionClient&& other) noexcept = default;
SessionClient::~SessionClient() = default;

Result<SessionClient> SessionClient::start(SessionPlan& plan, Deadline deadline) {
  auto session = SessionState::create(plan);
  auto to_watchdog = message_channel();
  auto to_freezer = message_channel();
  if (!session) return tl::unexpected(session.error());
  if (!to_watchdog) return tl::unexpected(to_watchdog.error());
  if (!to_freezer) return tl::unexpected(to_freezer.error());
  Ends ends{std::make_unique<SessionState>(std::move(*session)),
            std::move(to_watchdog->first),
            std::move(to_freezer->first),
            {}};
  std::vector<UniqueFd> life_lines;  // The freezer's ends; ours are in `ends`.
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) {
    std::array<int, 2> pipe_ends{};
    if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return system_failure("cannot create a pipe", errno);
    ends.life_lines.emplace_back(pipe_ends[0]);
    life_lines.emplace_back(pipe_ends[1]);
  }

  const pid_t freezer = ::fork();
  if (freezer < 0) return system_failure("cannot start the freezer", errno);
  if (freezer == 0) run_freezer(plan.filesystems, plan.rcu, to_freezer->second, life_lines, plan.freezer_lock);
  life_lines.clear();
  plan.freezer_lock.reset();
  to_freezer->second.reset();
  // At once: writing back takes longer than all that comes before its end is waited for.
  if (auto sent = send_message(ends.freezer.get(), {verbs::kSync}); !sent) return tl::unexpected(sent.error());

  const pid_t watchdog = ::fork();
  if (watchdog < 0) return system_failure("cannot start the watchdog", errno);
  if (watchdog == 0) run_watchdog(plan, *ends.session, std::move(to_watchdog->second), numbers_of(ends.life_lines));
  to_watchdog->second.reset();

  SessionClient client(plan, std::move(ends));
  client.processes_.watchdog = watchdog;
  if (auto ready = client.await(true, false, deadline, "starting the watchdog"); !ready)
    return tl::unexpected(ready.error());
  return client;
}

Result<void> SessionClient::prepare(Deadline deadline) {
  if (auto told = tell_watchdog({verbs::kPrepare, deadline_body(deadline)}); !told) return told;
  auto prepared = await(true, true, with_patience(deadline), "writing back dirty data and preparing the databases");
  if (!prepared) name_what_hangs(prepared.error(), FreezeState::syncing, "the write-back of");
  return prepared;
}

Result<void> SessionClient::quiesce(Deadline deadline) {
  if (auto told = tell_watchdog({verbs::kQuiesce, deadline_body(deadline)}); !told) return told;
  return await(true, false, with_patience(deadline), "quiescing the databases", ErrorKind::not_ready);
}

Result<void> SessionClient::freeze(Deadline deadline) {
  if (auto sent = send_message(freezer_.get(), {verbs::kFreeze}); !sent) return sent;
  const FrozenFilesystems& filesystems = plan_->filesystems;
  if (auto answered = await(false, true, deadline, "freezing"); !answered) {
    name_what_hangs(answered.error(), FreezeState::freezing, "the freeze of");
    return answered;
  }
  const std::string busy = mount_points(filesystems, FreezeState::busy);
  if (!busy.empty()) {
    return failure(
        busy + " was frozen by somebody else already and is left as it is; when that is over, repeat pre-script",
        ErrorKind::already_frozen);
  }
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    if (filesystems.state(i) == FreezeState::freeze_failed) {
      return system_failure("cannot freeze " + filesystems[i].mount_point, filesystems.error(i));
    }
    if (filesystems.state(i) == FreezeState::unsupported) {
      notes_.push_back({LogLevel::warn, filesystems[i].mount_point + " is not frozen: its filesystem cannot be"});
    }
  }
  return {};
}

Result<void> SessionClient::commit(Deadline deadline, const std::vector<std::pair<std::string, double>>& stages,
                                   const std::vector<LogLine>& held_lines) {
  Json::Object stage_seconds;
  for (const auto& [stage, seconds] : stages) stage_seconds.emplace_back(stage, seconds);
  Json body = Json::Object{{"stage_seconds", stage_seconds}, {"lines", to_json(held_lines)}};
  if (auto told = tell_watchdog({verbs::kCommit, std::move(body)}); !told) return told;
  return await(true, false, deadline, "handing over to the watchdog");
}

std::vector<std::string> SessionClient::roll_back(Deadline deadline) {
  freezer_.reset();
  // Said, not only shown by the end of file: after a commit whose answer was late, that is how success looks.
  static_cast<void>(send_message(watchdog_.get(), {verbs::kEnd}));
  ::shutdown(watchdog_.get(), SHUT_WR);
  // Answers may still come; the end of file says that watchdog and sentinel are gone.
  bool gone = false;
  for (bool over = false; !over;) {
    if (!wait_readable(watchdog_.get(), deadline)) break;
    const auto message = receive_message(watchdog_.get());
    gone = !message || !*message;
    over = gone || (*message)->verb == verbs::kStuck;
  }
  if (gone && !plan_->filesystems.over()) stand_in(deadline);
  std::vector<std::string> left;
  const FrozenFilesystems& filesystems = plan_->filesystems;
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    if (may_be_frozen(filesystems.state(i))) left.push_back(filesystems[i].mount_point);
  }
  return left;
}

/// Watchdog and sentinel were killed: this process does their work.
void SessionClient::stand_in(Deadline deadline) {
  const auto thaw = [&](Deadline until) { return thaw_in_process(plan_->filesystems, numbers_of(life_lines_), until); };
  take_over(*plan_, *session_, thaw, deadline, SessionEnd::watchdog_lost);
  session_->refresh(*plan_);
  static_cast<void>(plan_->state->write_record(session_->record));
  plan_->filesystems.set_over();
  static_cast<void>(remember(session_->record));
}

/// One that has ended has said why, which `await` hears.
Result<void> SessionClient::tell_watchdog(const Message& message) {
  auto sent = send_message(watchdog_.get(), message);
  if (!sent && (sent.error().errno_value == EPIPE || sent.error().errno_value == ECONNRESET)) return {};
  return sent;
}

Result<void> SessionClient::await(bool watchdog, bool freezer, Deadline deadline, std::string_view what,
                                  ErrorKind late) {
  while (watchdog || freezer) {
    // The watchdog is always listened to: it also speaks, or dies, unasked.
    std::array<pollfd, 2> events = {pollfd{watchdog_.get(), POLLIN, 0},
                                    pollfd{freezer ? freezer_.get() : -1, POLLIN, 0}};
    const int count = ::poll(events.data(), events.size(), deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    if (count == 0)
      return failure("the time budget ran out while " + std::string(what) + "; raise --timeout if that is normal here",
                     late);
    if (events[0].revents != 0) {
      if (auto answer = take_answer(); !answer) return answer;
      watchdog = false;
    }
    if (events[1].revents != 0) {
      const auto message = receive_message(freezer_.get());
      if (!message || !*message) return failure("the freezer died while " + std::string(what));
      freezer = false;
    }
  }
  return {};
}

void SessionClient::name_what_hangs(Error& error, FreezeState state, std::string_view call) const {
  const std::string hanging = mount_points(plan_->filesystems, state);
  if (hanging.empty()) return;
  error.message +=
      "; " + std::string(call) + " " + hanging + " has not returned: its device hangs, or writes to it are stuck";
}

Result<void> SessionClient::take_answer() {
  const auto message = receive_message(watchdog_.get());
  if (!message) return tl::unexpected(message.error());
  if (!*message) return failure("the watchdog was lost");
  for (LogLine& note : lines_from_json((*message)->body.find("notes"))) notes_.push_back(std::move(note));
  if (const Json* sentinel = (*message)->body.find("sentinel");
      sentinel != nullptr && sentinel->as_integer() != nullptr)
    processes_.sentinel = static_cast<pid_t>(*sentinel->as_integer());
  if ((*message)->verb == verbs::kDone) return {};
  const Json* error = (*message)->body.find("error");
  return tl::unexpected(error != nullptr ? error_from_json(*error)
                                         : Error{ErrorKind::failed, "the watchdog gave no reason", 0});
}

EndRequest ask_to_end(const StateDirectory& state, const std::string& execution_id, Deadline deadline) {
  const auto connection = state.connect();
  if (!connection) return EndRequest::not_heard;
  if (!send_message(connection->get(), {verbs::kEnd, Json::Object{{"execution_id", execution_id}}}))
    return EndRequest::not_heard;
  for (;;) {
    if (!wait_readable(connection->get(), deadline)) return EndRequest::heard;
    const auto message = receive_message(connection->get());
    if (!message || !*message) return EndRequest::heard;
    if ((*message)->verb == verbs::kStuck) return EndRequest::stuck;
  }
}

}  // namespace dlm_freeze
