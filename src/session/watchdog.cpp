// SPDX-License-Identifier: Apache-2.0
#include "session/watchdog.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <functional>
#include <optional>
#include <utility>

#include "base/process.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "record/history.hpp"
#include "session/message.hpp"
#include "session/recovery.hpp"
#include "session/sentinel.hpp"
#include "session/shared_state.hpp"
#include "session/stage_run.hpp"

namespace dlm_freeze {
namespace {

/// How long the databases wait for filesystems whose freeze hangs, or whose thaw does not return, before they are
/// released all the same.
constexpr auto kHangPatience = std::chrono::milliseconds(300);
constexpr auto kThawPatience = std::chrono::seconds(3);
/// How long a quiescer may take to give up, and to release.
constexpr auto kCancelPatience = std::chrono::seconds(10);
constexpr auto kReleaseTimeout = std::chrono::seconds(30);
constexpr auto kForever = std::chrono::hours(24 * 365);
/// Beyond what the record is likely to grow by before the session ends.
constexpr std::size_t kRecordReserve = std::size_t{32} * 1024;

class Watchdog {
 public:
  Watchdog(SessionPlan& plan, SessionState& session, UniqueFd channel, const std::vector<int>& life_lines,
           Thawer thawer)
      : plan_(plan),
        session_(session),
        channel_(std::move(channel)),
        life_lines_(life_lines),
        thawer_(std::move(thawer)),
        deadline_(Deadline::in(plan.auto_thaw)) {}

  /// Everything that needs a file opened, and the sentinel.
  Result<void> set_up();

  [[noreturn]] void run();

  /// False when pre-script is gone.
  bool answer(const Message& message) { return send_message(channel_.get(), message).has_value(); }
  void answer_ready() { answer({verbs::kDone, Json::Object{{"sentinel", sentinel_pid_}}}); }
  void refuse(const Error& error, const std::vector<LogLine>& notes = {}) {
    answer({verbs::kFailed, Json::Object{{"error", to_json(error)}, {"notes", to_json(notes)}}});
  }

 private:
  Result<void> start_sentinel();
  void wait_for_events();
  void on_deadline();
  void on_signal();
  void on_sentinel_death();
  void on_channel();
  void on_request(const Message& request);
  void on_caller();
  void on_hold_event(std::size_t index);

  void start_stage(const Message& request, StageRun::Step step);
  void on_stage_finished();
  Result<void> prepare(std::size_t index, StageContext& context);
  Result<void> record_intent();
  Result<void> quiesce(std::size_t index, StageContext& context);

  void commit(const Json& body);
  [[noreturn]] void end(SessionEnd how, const std::string& problem = "");
  void release_all(Outcome outcome);
  void write_final_record();
  void write_log(SessionEnd how);

  SessionPlan& plan_;
  SessionState& session_;
  UniqueFd channel_;
  const std::vector<int>& life_lines_;
  Thawer thawer_;
  Deadline deadline_;
  UniqueFd timer_;
  UniqueFd signals_;
  UniqueFd listener_;
  UniqueFd caller_;  ///< The post-script that has connected.
  pid_t sentinel_pid_ = -1;
  UniqueFd sentinel_;  ///< A pidfd.
  std::optional<StageRun> stage_;
  bool quiescing_ = false;  ///< Which stage that is.
  std::optional<AtomicFile> held_record_;
  std::optional<AtomicFile> final_record_;
  std::optional<AtomicFile> sentinel_record_;  ///< Committed by the sentinel, if at all.
  std::vector<LogLine> lines_;                 ///< For the host's log, after the thaw.
  std::vector<bool> hold_lost_;
};

Result<void> Watchdog::set_up() {
  auto timer = new_timer(deadline_);
  if (!timer) return tl::unexpected(timer.error());
  timer_ = std::move(*timer);
  sigset_t all;
  ::sigfillset(&all);
  signals_ = UniqueFd(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return system_failure("cannot create a signalfd", errno);
  auto listener = plan_.state->listen();
  if (!listener) return tl::unexpected(listener.error());
  listener_ = std::move(*listener);

  const std::string text = session_.text(plan_);
  const std::array files = {std::pair(&held_record_, "held"), std::pair(&final_record_, "final"),
                            std::pair(&sentinel_record_, "sentinel")};
  for (const auto& [file, slot] : files) {
    auto created = plan_.state->new_record_file(slot, text.size() + kRecordReserve);
    if (!created) return tl::unexpected(created.error());
    *file = std::move(*created);
  }
  if (auto written = plan_.state->write_record(session_.record); !written) return written;
  hold_lost_.resize(plan_.quiescers.size());
  return start_sentinel();
}

Result<void> Watchdog::start_sentinel() {
  const pid_t self = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return system_failure("cannot start the sentinel", errno);
  if (child == 0) run_sentinel(plan_, session_, self, deadline_, channel_.get(), life_lines_, *sentinel_record_);
  sentinel_pid_ = child;
  sentinel_ = open_pidfd(child);
  if (!sentinel_) return system_failure("cannot watch the sentinel (Linux 5.3 or newer is needed)", errno);
  return {};
}

void Watchdog::run() {
  for (;;) wait_for_events();
}

void Watchdog::wait_for_events() {
  struct Source {
    int fd;  // Ignored when negative.
    std::function<void()> on_ready;
  };
  std::vector<Source> sources = {
      {timer_.get(), [this] { on_deadline(); }},
      {signals_.get(), [this] { on_signal(); }},
      {channel_.get(), [this] { on_channel(); }},
      {caller_ ? -1 : listener_.get(),
       [this] { caller_ = UniqueFd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); }},
      {caller_.get(), [this] { on_caller(); }},
      {stage_ ? stage_->fd() : -1, [this] { on_stage_finished(); }},
      // While a stage runs there are threads, and a process with threads is not forked.
      {stage_ ? -1 : sentinel_.get(), [this] { on_sentinel_death(); }},
  };
  for (std::size_t i = 0; i < plan_.quiescers.size(); ++i) {
    const bool watched = session_.record.phase == Phase::held && !hold_lost_[i];
    sources.push_back({watched ? plan_.quiescers[i].quiescer->watch_fd() : -1, [this, i] { on_hold_event(i); }});
  }
  std::vector<pollfd> events;
  events.reserve(sources.size());
  for (const Source& source : sources) events.push_back({source.fd, POLLIN, 0});
  if (::poll(events.data(), events.size(), -1) < 0) return;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (events[i].revents != 0) sources[i].on_ready();
  }
}

void Watchdog::on_deadline() {
  if (session_.record.phase == Phase::held) end(SessionEnd::auto_thawed);
  refuse({ErrorKind::failed, "the deadline of --auto-thaw came before everything was frozen", 0});
  end(SessionEnd::rolled_back);
}

void Watchdog::on_signal() {
  signalfd_siginfo info{};
  if (::read(signals_.get(), &info, sizeof info) != sizeof info) return;
  if (info.ssi_signo != SIGTERM && info.ssi_signo != SIGINT) return;
  const bool held = session_.record.phase == Phase::held;
  if (!held) refuse({ErrorKind::failed, "the watchdog was told to end", 0});
  end(held ? SessionEnd::auto_thawed : SessionEnd::rolled_back, "the watchdog was told to end by a signal");
}

void Watchdog::on_sentinel_death() {
  int status = 0;
  ::waitpid(sentinel_pid_, &status, 0);
  // Where one could not set itself up, or be forked, another cannot: the watchdog goes on alone.
  const bool was_killed = WIFSIGNALED(status);
  if (!was_killed || !start_sentinel()) sentinel_.reset();
}

void Watchdog::on_channel() {
  auto request = receive_message(channel_.get());
  if (request && *request) {
    on_request(**request);
  } else if (session_.record.phase == Phase::held) {
    channel_.reset();  // pre-script has ended, as it should.
  } else {
    end(SessionEnd::rolled_back);
  }
}

void Watchdog::on_request(const Message& request) {
  if (request.verb == verbs::kPrepare) {
    start_stage(request, [this](std::size_t i, StageContext& context) { return prepare(i, context); });
  } else if (request.verb == verbs::kQuiesce) {
    if (auto recorded = record_intent(); !recorded) {
      refuse(recorded.error());
      return;
    }
    quiescing_ = true;
    // Before any of them holds: what is left of this process, should nobody outlive it, is the record.
    for (QuiescerRecord& quiescer : session_.record.quiescers) quiescer.quiesced = true;
    if (auto written = plan_.state->write_record(session_.record); !written) return refuse(written.error());
    start_stage(request, [this](std::size_t i, StageContext& context) { return quiesce(i, context); });
  } else if (request.verb == verbs::kCommit) {
    commit(request.body);
  } else if (request.verb == verbs::kEnd) {
    end(SessionEnd::rolled_back);
  }
}

void Watchdog::on_caller() {
  const auto request = receive_message(caller_.get());
  if (!request || !*request || (*request)->verb != verbs::kEnd) {
    caller_.reset();
    return;
  }
  const Json* id = (*request)->body.find("execution_id");
  if (id != nullptr && id->as_string() != nullptr) session_.record.ended_by = *id->as_string();
  if (session_.record.phase == Phase::held) end(SessionEnd::completed);
  refuse({ErrorKind::failed, "post-script was called before pre-script was done", 0});
  end(SessionEnd::rolled_back, "post-script was called before pre-script was done");
}

void Watchdog::on_hold_event(std::size_t index) {
  hold_lost_[index] = true;
  session_.record.problems.push_back(plan_.quiescers[index].config.name + " was lost while it was quiesced");
}

void Watchdog::start_stage(const Message& request, StageRun::Step step) {
  Deadline deadline = deadline_;
  if (const Json* at = request.body.find("deadline"); at != nullptr && at->as_integer() != nullptr) {
    deadline = deadline.or_earlier(Deadline(BootClock::time_point(BootClock::duration(*at->as_integer()))));
  }
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < plan_.quiescers.size(); ++i) all.push_back(i);
  auto run = StageRun::start(all, {deadline, -1, plan_.execution_id, plan_.coverage, {}, deadline_}, std::move(step));
  if (!run) {
    refuse(run.error());
    return;
  }
  stage_.emplace(std::move(*run));
}

Result<void> Watchdog::prepare(std::size_t index, StageContext& context) {
  Quiescer& quiescer = *plan_.quiescers[index].quiescer;
  if (auto ready = quiescer.probe(context); !ready) return ready;
  return quiescer.prepare(context);
}

/// Before it is done, so that it can be undone by somebody who finds all of the session's processes dead.
Result<void> Watchdog::record_intent() {
  for (std::size_t i = 0; i < plan_.quiescers.size(); ++i) {
    session_.record.quiescers[i].quiesced = true;
    session_.record.quiescers[i].facts = plan_.quiescers[i].quiescer->intent();
  }
  return plan_.quiescers.empty() ? Result<void>() : plan_.state->write_record(session_.record);
}

Result<void> Watchdog::quiesce(std::size_t index, StageContext& context) {
  session_.set_quiesced(index, true);  // First: it has to be released even if it fails half-way.
  auto facts = plan_.quiescers[index].quiescer->quiesce(context);
  if (!facts) return tl::unexpected(facts.error());
  session_.record.quiescers[index].facts = std::move(*facts);
  return {};
}

void Watchdog::on_stage_finished() {
  std::vector<StageRun::Finding> findings = stage_->take();
  stage_.reset();
  std::vector<LogLine> notes;
  std::optional<Error> first;
  for (StageRun::Finding& finding : findings) {
    for (LogLine& note : finding.notes) notes.push_back(std::move(note));
    if (finding.result) continue;
    if (!first) {
      first = finding.result.error();
    } else {
      notes.push_back({LogLevel::warn, finding.result.error().message});
    }
  }
  if (!first && quiescing_) {
    // From here on filesystems may be frozen at any moment.
    session_.record.phase = Phase::freezing;
    session_.refresh(plan_);
    if (auto written = plan_.state->write_record(session_.record); !written) first = written.error();
  }
  if (first) {
    refuse(*first, notes);
  } else {
    answer({verbs::kDone, Json::Object{{"notes", to_json(notes)}}});
  }
}

void Watchdog::commit(const Json& body) {
  const bool all_well = !plan_.filesystems.any(
      [](FreezeState state) { return state != FreezeState::frozen && state != FreezeState::unsupported; });
  if (!all_well || session_.record.phase != Phase::freezing) {
    refuse({ErrorKind::failed, "not every filesystem is frozen", 0});
    return;
  }
  if (const Json* stages = body.find("stage_seconds"); stages != nullptr && stages->as_object() != nullptr) {
    for (const auto& [stage, seconds] : *stages->as_object()) {
      const double* value = std::get_if<double>(&seconds.value());
      session_.record.stage_seconds.emplace_back(stage, value != nullptr ? *value : 0);
    }
  }
  lines_ = lines_from_json(body.find("lines"));
  session_.record.phase = Phase::held;
  session_.record.held_at = std::chrono::system_clock::now();
  session_.record.held_boot = BootClock::now();
  if (auto written = held_record_->commit(session_.text(plan_)); !written) {
    session_.record.phase = Phase::freezing;
    refuse(written.error());
    return;
  }
  if (!answer({verbs::kDone})) end(SessionEnd::rolled_back);
}

void Watchdog::end(SessionEnd how, const std::string& problem) {
  if (!problem.empty()) session_.record.problems.push_back(problem);
  bool finished = thawer_.run(Deadline::in(kHangPatience), true);
  plan_.rcu.end();  // For a freezer that was killed or hangs.
  const auto hangs = [](FreezeState state) { return state == FreezeState::freezing; };
  if (!finished && !plan_.filesystems.any(hangs)) finished = thawer_.run(Deadline::in(kThawPatience), true);
  if (stage_) {
    stage_->cancel();
    // One that does not give up is left to the sentinel, which gets rid of this process and what it holds.
    if (!stage_->wait(Deadline::in(kCancelPatience))) ::_exit(1);
    static_cast<void>(stage_->take());
    stage_.reset();
  }
  Outcome outcome = Outcome::rolled_back;
  // What somebody else thawed was not frozen when the snapshot was taken; a database that keeps a catalog must not
  // enter it as good.
  const bool lasted = !plan_.filesystems.any([](FreezeState state) { return state == FreezeState::lost; });
  if (how == SessionEnd::completed && lasted) outcome = Outcome::completed;
  if (how == SessionEnd::auto_thawed) outcome = Outcome::auto_thawed;
  release_all(outcome);
  if (!finished) {
    // pre-script and post-script do not wait for what may never return; this process does.
    for (const UniqueFd* waiting : {&channel_, &caller_})
      static_cast<void>(send_message(waiting->get(), {verbs::kStuck}));
    if (session_.record.phase != Phase::held) {
      session_.record.phase = Phase::ending;
      static_cast<void>(held_record_->commit(session_.text(plan_)));  // Not needed any more for what it was made for.
    }
    while (!thawer_.run(Deadline::in(kForever), true, sentinel_.get())) on_sentinel_death();
  }
  session_.end(how);
  note_problems(session_.record, plan_.filesystems);
  write_final_record();
  plan_.filesystems.set_over();
  // It would end by itself, unless it was stopped; the lock is free when both are gone.
  ::kill(sentinel_pid_, SIGKILL);
  sentinel_record_.reset();
  write_log(how);
  // Nobody waits any longer for what is still to be written, whatever it lies on.
  plan_.lock.reset();
  static_cast<void>(remember(session_.record));
  ::_exit(0);
}

void Watchdog::release_all(Outcome outcome) {
  std::vector<std::size_t> quiesced;
  for (std::size_t i = 0; i < plan_.quiescers.size(); ++i) {
    if (session_.is_quiesced(i)) quiesced.push_back(i);
  }
  if (quiesced.empty()) return;
  const StageContext context{Deadline::in(kReleaseTimeout), -1, plan_.execution_id, plan_.coverage, {}};
  auto run = StageRun::start(quiesced, context, [this, outcome](std::size_t i, StageContext& stage) {
    return plan_.quiescers[i].quiescer->release(stage, outcome);
  });
  if (!run || !run->wait(Deadline::in(kReleaseTimeout + kCancelPatience))) ::_exit(1);  // As above.
  for (StageRun::Finding& finding : run->take()) {
    for (LogLine& note : finding.notes) lines_.push_back(std::move(note));
    session_.set_quiesced(finding.index, false);  // Also if it failed: it was tried, and the problem is reported.
    if (!finding.result) session_.record.problems.push_back(finding.result.error().message);
  }
}

void Watchdog::write_final_record() {
  const std::string text = session_.text(plan_);
  auto written = final_record_->commit(text);
  if (!written) lines_.push_back({LogLevel::error, written.error().message});
}

void Watchdog::write_log(SessionEnd how) {
  Log log(nullptr, plan_.syslog ? plan_.syslog() : nullptr);
  for (const LogLine& line : lines_) log.write(line.level, line.text);
  for (const std::string& problem : session_.record.problems) log.warn(problem);
  std::string summary = "session " + plan_.execution_id + " ended: " + std::string(to_string(how));
  for (const FilesystemRecord& filesystem : session_.record.filesystems) {
    summary += "; " + filesystem.mount_point + " " + filesystem.state;
  }
  log.write(how == SessionEnd::auto_thawed ? LogLevel::warn : LogLevel::info, summary);
}

}  // namespace

void run_watchdog(SessionPlan& plan, SessionState& session, UniqueFd channel, const std::vector<int>& life_lines) {
  std::vector<int> keep = life_lines;
  keep.insert(keep.end(), {channel.get(), plan.lock.get(), plan.state->fd(), plan.rcu.fd()});
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) keep.push_back(plan.filesystems[i].fd.get());
  become_background("dlm-watchdog", std::move(keep));
  use_small_thread_stacks();

  const auto fail = [&](const Error& error) {
    static_cast<void>(send_message(channel.get(), {verbs::kFailed, Json::Object{{"error", to_json(error)}}}));
    ::_exit(1);
  };
  auto thawer = Thawer::create(plan.filesystems, life_lines);
  if (!thawer) fail(thawer.error());
  Watchdog watchdog(plan, session, std::move(channel), life_lines, std::move(*thawer));
  if (auto ready = watchdog.set_up(); !ready) {
    watchdog.refuse(ready.error());
    ::_exit(1);
  }
  lock_memory();
  watchdog.answer_ready();
  watchdog.run();
}

}  // namespace dlm_freeze
