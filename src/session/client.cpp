// SPDX-License-Identifier: Apache-2.0
#include "session/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <new>
#include <utility>

#include "base/child.hpp"
#include "base/process.hpp"
#include "base/text.hpp"
#include "base/wait.hpp"
#include "record/history.hpp"
#include "session/freezer.hpp"
#include "session/limits.hpp"
#include "session/message.hpp"
#include "session/recovery.hpp"
#include "session/shared_state.hpp"
#include "session/thaw_process.hpp"
#include "session/watchdog.hpp"

namespace dlm_freeze {
namespace {

constexpr std::string_view kPreparing = "writing back dirty data and preparing the databases";

Deadline with_patience(Deadline deadline) { return Deadline(deadline.at() + limits::kAnswer); }

std::vector<int> numbers_of(const std::vector<UniqueFd>& descriptors) {
  std::vector<int> numbers;
  numbers.reserve(descriptors.size());
  for (const UniqueFd& descriptor : descriptors) numbers.push_back(descriptor.get());
  return numbers;
}

template <typename Predicate>
std::vector<std::string> mount_points_where(const FrozenFilesystems& filesystems, Predicate predicate) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    if (predicate(filesystems.state(i))) names.push_back(filesystems[i].mount_point);
  }
  return names;
}

std::string mount_points(const FrozenFilesystems& filesystems, FreezeState state) {
  return list_of(mount_points_where(filesystems, [state](FreezeState other) { return other == state; }));
}

/// What a child does, which must not return; without memory it ends there and then, for others to take over.
template <typename Body>
[[noreturn]] void run_to_its_end(const Body& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    end_process(kOutOfMemory);
  }
  end_process(1);
}

/// Waits until nobody is left at the other end, whatever is still said there.
void await_end(const UniqueFd& channel, Deadline deadline) {
  while (wait_readable(channel.get(), deadline)) {
    const auto said = receive_packet(channel.get());
    if (!said || !*said) return;
  }
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

Result<SessionClient> SessionClient::start(SessionPlan& plan, Deadline deadline,
                                           const std::function<void()>& complete) {
  auto to_watchdog = message_channel();
  auto to_freezer = message_channel();
  if (!to_watchdog) return tl::unexpected(to_watchdog.error());
  if (!to_freezer) return tl::unexpected(to_freezer.error());
  Ends ends{nullptr, std::move(to_watchdog->first), std::move(to_freezer->first), {}};
  std::vector<UniqueFd> life_lines;  // The freezer's ends; ours are in `ends`.
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) {
    std::array<int, 2> pipe_ends{};
    if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return system_failure("cannot create a pipe", errno);
    ends.life_lines.emplace_back(pipe_ends[0]);
    life_lines.emplace_back(pipe_ends[1]);
  }

  const pid_t freezer = ::fork();
  if (freezer < 0) return system_failure("cannot start the freezer", errno);
  if (freezer == 0) {
    run_to_its_end(
        [&] { run_freezer(plan.filesystems, plan.rcu, to_freezer->second, life_lines, plan.freezer_lock, plan); });
  }
  plan.freezer = ProcessHandle::of(freezer);
  life_lines.clear();
  // The freezer's. The watchdog would close these by their numbers, which others have by then.
  plan.manifests.reset();
  plan.filesystems.close_devices();
  plan.freezer_lock.reset();
  to_freezer->second.reset();

  complete();
  auto session = SessionState::create(plan);
  if (!session) return tl::unexpected(session.error());
  ends.session = std::make_unique<SessionState>(std::move(*session));
  const pid_t watchdog = ::fork();
  if (watchdog < 0) return system_failure("cannot start the watchdog", errno);
  if (watchdog == 0) {
    run_to_its_end(
        [&] { run_watchdog(plan, *ends.session, std::move(to_watchdog->second), numbers_of(ends.life_lines)); });
  }
  to_watchdog->second.reset();

  SessionClient client(plan, std::move(ends));
  client.processes_.watchdog = watchdog;
  client.freezer_process_ = freezer;
  auto ready = client.await(true, false, deadline, "starting the watchdog");
  if (ready) return client;
  // Nothing is frozen or locked yet, so whoever hangs in his set-up need not be asked to end.
  for (const pid_t process : {watchdog, freezer}) signal_child(process, SIGKILL);
  for (const UniqueFd* channel : {&client.watchdog_, &client.freezer_})
    await_end(*channel, Deadline::in(limits::kKill));
  return tl::unexpected(ready.error());
}

Result<void> SessionClient::prepare(Deadline deadline, const std::function<void()>& meanwhile) {
  if (auto told = tell(watchdog_, {.verb = Verb::prepare, .deadline = deadline}); !told) return told;
  meanwhile();
  const Deadline patience = with_patience(deadline);
  if (auto prepared = await(true, true, patience, kPreparing); !prepared) {
    if (!patience.expired()) return prepared;
    const bool is_writing_back =
        plan_->filesystems.any([](FreezeState state) { return state == FreezeState::syncing; });
    // A database is late, and cannot even say so.
    if (!is_writing_back && !plan_->quiescers.empty()) prepared.error().kind = ErrorKind::not_ready;
    name_what_hangs(prepared.error(), FreezeState::syncing, "the write-back of");
    return prepared;
  }
  // Where a limit was needed, much was dirtied again since the first round: what the second leaves is what FIFREEZE
  // writes.
  return plan_->dirty_limit.is_set() ? write_back(patience) : check_written();
}

Result<void> SessionClient::write_back(Deadline deadline) {
  if (auto sent = tell(freezer_, {.verb = Verb::sync}); !sent) return sent;
  if (auto written = await(false, true, deadline, kPreparing); !written) return written;
  return check_written();
}

Result<void> SessionClient::wait_until(Deadline moment) {
  while (!moment.expired()) {
    std::array<pollfd, 2> events = {pollfd{watchdog_.get(), POLLIN, 0}, pollfd{freezer_.get(), POLLIN, 0}};
    if (::poll(events.data(), events.size(), moment.poll_timeout()) <= 0) continue;
    // Nothing was asked: they end, and say why.
    if (auto answer = await(events[0].revents != 0, events[1].revents != 0, moment, "waiting for the hold"); !answer)
      return answer;
  }
  return {};
}

Result<void> SessionClient::quiesce(Deadline deadline) {
  if (auto told = tell(watchdog_, {.verb = Verb::quiesce, .deadline = deadline}); !told) return told;
  const bool has_databases = !plan_->quiescers.empty();
  return await(true, false, with_patience(deadline), has_databases ? "quiescing the databases" : "asking the watchdog",
               has_databases ? ErrorKind::not_ready : ErrorKind::failed);
}

Result<void> SessionClient::freeze(Deadline deadline) {
  if (auto sent = tell(freezer_, {.verb = Verb::freeze}); !sent) return sent;
  const FrozenFilesystems& filesystems = plan_->filesystems;
  if (auto answered = await(false, true, deadline, "freezing"); !answered) {
    if (deadline.expired()) name_what_hangs(answered.error(), FreezeState::freezing, "the freeze of");
    return answered;
  }
  const std::string busy = mount_points(filesystems, FreezeState::busy);
  if (!busy.empty()) {
    return failure(
        busy + ": already frozen by another program and left alone; run pre-script again when that has thawed it",
        ErrorKind::already_frozen);
  }
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    if (filesystems.state(i) != FreezeState::freeze_failed) continue;
    return system_failure("cannot freeze " + filesystems[i].mount_point, filesystems.error(i));
  }
  note_not_frozen(FreezeState::unsupported, "its filesystem type does not support freezing");
  note_not_frozen(FreezeState::read_only, "an error has made it read-only; check it with fsck");
  return check_written();
}

void SessionClient::note_not_frozen(FreezeState state, const std::string& why) {
  const std::string names = mount_points(plan_->filesystems, state);
  if (!names.empty()) notes_.push_back({LogLevel::warn, names + " is not frozen: " + why});
}

Result<void> SessionClient::check_written() const {
  const FrozenFilesystems& filesystems = plan_->filesystems;
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    if (filesystems.write_error(i) == 0) continue;
    if (filesystems.write_error(i) == EPERM || filesystems.write_error(i) == ENOSYS) {
      return system_failure("syncfs(2) is refused here, so it is unknown whether " + filesystems[i].mount_point +
                                " was written back; let the filter of system calls (seccomp) allow it",
                            filesystems.write_error(i));
    }
    return system_failure("data on " + filesystems[i].mount_point +
                              " could not be written back and is lost; check the device below it (see dmesg)",
                          filesystems.write_error(i));
  }
  return {};
}

Result<void> SessionClient::commit(Deadline deadline, const StageSeconds& stages, std::vector<LogLine> held_lines) {
  if (auto told = tell(watchdog_,
                       {.verb = Verb::commit, .deadline = deadline, .stages = stages, .lines = std::move(held_lines)});
      !told)
    return told;
  if (auto answered = await(true, false, deadline, kHandOver); !answered) return answered;
  // This process may have been stopped since, and its caller have given up.
  if (deadline.expired()) return tl::unexpected(late(kHandOver));
  // The watchdog looks before it answers; what ends the session between its look and its answer is seen here.
  if (plan_->filesystems.ending()) return failure("the session was ended before it was handed over");
  return {};
}

SessionClient::Leftovers SessionClient::roll_back(Deadline deadline) {
  freezer_.reset();
  // Said, not only shown by the end of file: after a commit whose answer was late, that is how success looks.
  static_cast<void>(send_message(watchdog_.get(), {.verb = Verb::end}));
  ::shutdown(watchdog_.get(), SHUT_WR);
  const FrozenFilesystems& filesystems = plan_->filesystems;
  // A watchdog that works writes `ending` at once. One that does not is killed, whereupon the sentinel sees to it;
  // where nobody does, this process thaws.
  Deadline patience = Deadline::in(limits::kBeginEnd);
  bool is_killed = false;
  bool gone = false;
  // Answers may still come; the end of file says that watchdog and sentinel are gone.
  for (bool over = false; !over && !deadline.expired();) {
    const bool is_begun = filesystems.ending();
    if (!wait_readable(watchdog_.get(), is_begun ? deadline : deadline.or_earlier(patience))) {
      if (is_begun || filesystems.ending()) continue;
      if (is_killed) {
        thaw_for(deadline);
      } else {
        signal_child(processes_.watchdog, SIGKILL);
        is_killed = true;
        patience = Deadline::in(limits::kKill);
      }
      continue;
    }
    const auto message = receive_message(watchdog_.get());
    gone = !message || !*message;
    over = gone || (*message)->verb == Verb::stuck || filesystems.over();
  }
  if (gone && !filesystems.over()) stand_in(deadline);
  Leftovers left{mount_points_where(filesystems, may_be_frozen), {}};
  for (std::size_t i = 0; i < plan_->quiescers.size(); ++i) {
    if (session_->is_quiesced(i)) left.quiesced.push_back(plan_->quiescers[i].config.name);
  }
  return left;
}

void SessionClient::thaw_for(Deadline deadline) {
  session_->note_hold_end();
  plan_->freezer.send(SIGCONT);
  static_cast<void>(thaw_in_process(plan_->filesystems, numbers_of(life_lines_), deadline));
  plan_->rcu.end();
  plan_->dirty_limit.lift();
}

/// Watchdog and sentinel were killed: this process does their work.
void SessionClient::stand_in(Deadline deadline) {
  const auto thaw = [&](Deadline until) { return thaw_in_process(plan_->filesystems, numbers_of(life_lines_), until); };
  take_over(*plan_, *session_, thaw, deadline, SessionEnd::watchdog_lost);
  session_->refresh(*plan_);
  static_cast<void>(plan_->state->write_record(session_->record));
  plan_->filesystems.set_over();
  static_cast<void>(remember_for(session_->record, limits::kHistory));
}

Result<void> SessionClient::tell(const UniqueFd& channel, const Message& message) {
  auto sent = send_message(channel.get(), message);
  if (!sent && (sent.error().errno_value == EPIPE || sent.error().errno_value == ECONNRESET)) return {};
  return sent;
}

Result<void> SessionClient::await(bool watchdog, bool freezer, Deadline deadline, std::string_view what,
                                  ErrorKind kind) {
  while (watchdog || freezer) {
    // The watchdog is always listened to: it also speaks, or dies, unasked.
    std::array<pollfd, 2> events = {pollfd{watchdog_.get(), POLLIN, 0},
                                    pollfd{freezer ? freezer_.get() : -1, POLLIN, 0}};
    const int count = ::poll(events.data(), events.size(), deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    if (count == 0) return tl::unexpected(late(what, kind));
    if (events[0].revents != 0) {
      if (auto answer = take_answer(); !answer) return answer;
      watchdog = false;
    }
    if (events[1].revents != 0) {
      const auto message = receive_message(freezer_.get());
      if (!message || !*message)
        return failure("the freezer died while " + std::string(what) + ending_of(freezer_process_));
      if ((*message)->verb == Verb::failed) return tl::unexpected((*message)->error);
      notes_.insert(notes_.end(), (*message)->lines.begin(), (*message)->lines.end());
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
  if (!*message) return failure("the watchdog was lost" + ending_of(processes_.watchdog));
  notes_.insert(notes_.end(), (*message)->lines.begin(), (*message)->lines.end());
  if ((*message)->sentinel > 0) processes_.sentinel = (*message)->sentinel;
  if ((*message)->verb == Verb::done) return {};
  return tl::unexpected((*message)->error);
}

namespace {

/// Which session is on record.
std::string session_on_record(const StateDirectory& state) {
  const auto record = state.read_record();
  return record && *record ? (*record)->execution_id + format_utc((*record)->started_at) : "";
}

EndAnswer ask_once(const StateDirectory& state, const std::string& execution_id, Deadline deadline) {
  const auto connection = state.connect(deadline);
  if (!connection) return {};
  EndAnswer answer{.request = EndRequest::heard};
  if (!send_packet(connection->get(), std::string(kEndRequest) + execution_id)) return answer;
  std::string text;
  while (wait_readable(connection->get(), deadline)) {
    const auto said = receive_packet(connection->get());
    if (!said) answer.lost = said.error();
    if (!said || !*said) break;
    if (**said == kStuckAnswer) return {.request = EndRequest::stuck};
    if (**said == kNotHisAnswer) return {.request = EndRequest::not_his};
    text += **said;
    const bool is_done = text.starts_with(kDoneAnswer);
    if (!is_done && !text.starts_with(kOverAnswer)) break;
    answer.by_another = !is_done;
    if (!trimmed(text).ends_with('}')) continue;  // A long one is not read again with each packet.
    const auto json = Json::parse(std::string_view(text).substr(text.find(' ') + 1));
    auto record = json ? SessionRecord::from_json(*json) : tl::unexpected(json.error());
    if (!record) continue;  // There is more to come.
    answer.record = std::move(*record);
    // What comes now is the history, for whoever reads that next.
    deadline = deadline.or_earlier(Deadline::in(limits::kHistory));
  }
  return answer;
}

}  // namespace

EndAnswer ask_to_end(const StateDirectory& state, const std::string& execution_id, Deadline deadline) {
  const std::string session = session_on_record(state);
  for (;;) {
    EndAnswer answer = ask_once(state, execution_id, deadline);
    // The watchdog drops a caller that is too slow to say what it wants: it asks again, as long as that is the session
    // that it came for.
    const bool is_settled = answer.record || answer.lost || answer.request != EndRequest::heard;
    if (is_settled || deadline.expired() || !state.is_listening(deadline) || session_on_record(state) != session)
      return answer;
  }
}

}  // namespace dlm_freeze
