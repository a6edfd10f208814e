// SPDX-License-Identifier: Apache-2.0
#include "session/watchdog.hpp"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <numeric>
#include <optional>
#include <utility>

#include "base/child.hpp"
#include "base/clock_error.hpp"
#include "base/process.hpp"
#include "base/text.hpp"
#include "base/wait.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "fs/thawer.hpp"
#include "record/history.hpp"
#include "session/drain.hpp"
#include "session/limits.hpp"
#include "session/message.hpp"
#include "session/recovery.hpp"
#include "session/rehearsal.hpp"
#include "session/rights.hpp"
#include "session/sentinel.hpp"
#include "session/shared_state.hpp"
#include "session/stage_run.hpp"

namespace dlm_freeze {
namespace {

/// Beyond what the record is likely to grow by before the session ends.
constexpr std::size_t kRecordReserve = std::size_t{32} * 1024;

std::vector<WitnessRecord> witness_records(const HoldWitness& witness) {
  std::vector<WitnessRecord> records;
  for (HoldWitness::Finding& finding : witness.findings()) {
    records.push_back({std::move(finding.label), std::string(to_string(finding.result)), std::move(finding.why),
                       static_cast<std::int64_t>(finding.sectors)});
  }
  return records;
}

/// What is said last, in packets. Where there is no memory for one now, or the caller has not read those before, some
/// tries more: whoever asked would take the session for somebody else's.
void answer_caller(int connection, std::string_view text) {
  constexpr int kTries = 5;
  constexpr auto kPause = std::chrono::milliseconds(20);
  constexpr auto kPatience = std::chrono::milliseconds(200);
  if (connection < 0) return;
  for (int tries = 1; !text.empty() && tries <= kTries; ++tries) {
    const std::string_view packet = text.substr(0, kLongestPacket);
    const auto sent = send_packet(connection, packet);
    if (sent) {
      text.remove_prefix(packet.size());
      tries = 0;
    } else if (sent.error().errno_value == EPIPE || sent.error().errno_value == ECONNRESET) {
      return;
    } else if (sent.error().errno_value == EAGAIN) {
      static_cast<void>(wait_writable(connection, Deadline::in(kPatience)));
    } else {
      static_cast<void>(wait_readable(-1, Deadline::in(kPause)));
    }
  }
}

class Watchdog {
 public:
  /// `missing` is what this process has to do without, for pre-script to say.
  Watchdog(SessionPlan& plan, SessionState& session, UniqueFd channel, const std::vector<int>& life_lines,
           const std::vector<std::string>& missing)
      : plan_(plan),
        session_(session),
        channel_(std::move(channel)),
        life_lines_(life_lines),
        deadline_(Deadline::in(plan.until_hold + plan.auto_thaw)),
        drain_(plan.dirty_limit, plan.dirty_memory, [this] { return record_limit(); }),
        prepared_(plan.quiescers.size()),
        watched_(plan.quiescers.size(), -1) {
    for (const std::string& what : missing) missing_.push_back({LogLevel::warn, what});
  }

  /// Everything that needs a file opened, and the sentinel.
  Result<void> set_up();

  [[noreturn]] void run();

  /// False when pre-script is gone.
  bool answer(const Message& message) { return send_message(channel_.get(), message).has_value(); }
  void answer_ready() { answer({.verb = Verb::done, .sentinel = sentinel_.pid(), .lines = missing_}); }
  void refuse(const Error& error, std::vector<LogLine> notes = {}) {
    answer({.verb = Verb::failed, .error = error, .lines = std::move(notes)});
  }

 private:
  /// Somebody who has connected to the socket, and until when he may say nothing.
  struct Caller {
    UniqueFd connection;
    Deadline patience{BootClock::time_point()};
  };

  // The places in `events_`; from kFirstHold on, what tells that a database was lost, by quiescer.
  static constexpr std::size_t kTimer = 0;
  static constexpr std::size_t kSignals = 1;
  static constexpr std::size_t kChannel = 2;
  static constexpr std::size_t kListener = 3;
  static constexpr std::size_t kSentinel = 4;
  static constexpr std::size_t kStage = 5;
  static constexpr std::size_t kDrain = 6;
  static constexpr std::size_t kStall = 7;
  static constexpr std::size_t kFirstCaller = 8;
  static constexpr std::size_t kFirstHold = kFirstCaller + limits::kCallers;

  Result<void> start_sentinel();
  Result<void> sentinel_is_ready() const;
  void wait_for_events();
  void on_deadline();
  void on_signal();
  void on_sentinel_death();
  void on_channel();
  void on_request(const Message& request);
  void on_connection();
  void on_caller(Caller& caller);
  void on_hold_event(std::size_t index);

  void start_stage(const Message& request, StageRun::Step step);
  void on_stage_finished();
  void begin_drain(const Message& request);
  void on_drain_look();
  void begin_stall();
  void on_stall();
  void note_stall();
  Result<void> record_limit();
  void lift_limit();
  Result<void> prepare(std::size_t index, StageContext& context);
  Result<void> record_prepared();
  Result<void> quiesce(std::size_t index, StageContext& context);
  void commit(const Message& request);
  void begin_hold();

  // The end of a session, step by step. Nothing comes before the thaw, and nothing that may wait for anything outside
  // before the lock is given up.
  [[noreturn]] void end(SessionEnd how, const std::string& problem = "");
  void end_hold();
  void judge_hold(bool is_first);
  [[nodiscard]] bool thaw();
  void cancel_stage();
  [[nodiscard]] Outcome outcome_of(SessionEnd how) const;
  void release_all(Outcome outcome);
  void await_stuck_calls();
  [[noreturn]] void finish(SessionEnd how);
  [[nodiscard]] bool ender_listens() const;
  void write_log(SessionEnd how, Log& log) const;

  SessionPlan& plan_;
  SessionState& session_;
  UniqueFd channel_;
  const std::vector<int>& life_lines_;
  std::optional<Thawer> thawer_;  ///< Made after the first sentinel: its threads may hold locks while they start.
  Deadline deadline_;
  UniqueFd timer_;
  UniqueFd signals_;
  UniqueFd listener_;
  std::array<Caller, limits::kCallers> callers_;
  const Caller* ender_ = nullptr;  ///< The one that ends the session.
  DescriptorList descriptors_ = DescriptorList::open();
  Child sentinel_;
  UniqueFd sentinel_ready_;  ///< An event that each new sentinel raises.
  std::optional<StageRun> stage_;
  bool quiescing_ = false;  ///< Which stage that is.
  Drain drain_;
  BootClock::time_point locked_at_;  ///< The first lock, at the earliest.
  UniqueFd stall_timer_;             ///< From then on, until all is frozen: when it has lasted as long as it may.
  std::optional<Message> prepared_answer_;  ///< Waits for the end of the drain.
  std::optional<AtomicFile> held_record_;
  std::optional<AtomicFile> stuck_record_;
  std::optional<AtomicFile> final_record_;
  std::optional<AtomicFile> sentinel_record_;  ///< Committed by the sentinel, if at all.
  std::vector<LogLine> lines_;                 ///< For the host's log, after the thaw.
  std::vector<LogLine> missing_;               ///< Protection that the system refused, for pre-script to say.
  std::vector<std::vector<Fact>> prepared_;    ///< What `prepare` gave, by quiescer.
  std::vector<int> watched_;                   ///< What tells that a database was lost, or -1; by quiescer.
  std::vector<pollfd> events_;
};

Result<void> Watchdog::set_up() {
  auto ready = new_event();
  if (!ready) return tl::unexpected(ready.error());
  sentinel_ready_ = std::move(*ready);
  if (auto rehearsed = rehearse_end(plan_, sentinel_ready_.get()); !rehearsed) return rehearsed;
  const std::string text = session_.text(plan_);
  const std::array files = {std::pair(&held_record_, "held"), std::pair(&stuck_record_, "stuck"),
                            std::pair(&final_record_, "final"), std::pair(&sentinel_record_, "sentinel")};
  // A watchdog that hangs in the kernel may put a file of its in place when its session is long over: the name must not
  // be that of a file of another session.
  const std::string mark = "." + std::to_string(::getpid());
  for (const auto& [file, slot] : files) {
    auto created = plan_.state->new_record_file(slot + mark, text.size() + kRecordReserve);
    if (!created) return tl::unexpected(created.error());
    *file = std::move(*created);
  }
  // As early as possible: it sets itself up meanwhile.
  if (auto started = start_sentinel(); !started) return started;
  auto thawer = Thawer::create(plan_.filesystems, life_lines_, Thawer::Role::owner);
  if (!thawer) return tl::unexpected(thawer.error());
  thawer_.emplace(std::move(*thawer));

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

  events_.assign(kFirstHold + plan_.quiescers.size(), {-1, POLLIN, 0});
  events_[kTimer].fd = timer_.get();
  events_[kSignals].fd = signals_.get();
  events_[kListener].fd = listener_.get();
  if (auto locked = lock_memory(); !locked) missing_.push_back({LogLevel::warn, locked.error().message});
  if (auto running = sentinel_is_ready(); !running) return running;
  give_up_calls(!plan_.quiescers.empty());
  // Last: a session that was never set up is not on record.
  return plan_.state->write_record(session_.record);
}

Result<void> Watchdog::start_sentinel() {
  const pid_t self = ::getpid();
  const std::vector<int> descriptors = descriptors_.numbers();
  auto started = Child::start([&](int life) {
    run_sentinel(plan_, session_,
                 {.watchdog = self,
                  .deadline = deadline_,
                  .channel = channel_.get(),
                  .ready = sentinel_ready_.get(),
                  .life = life,
                  .inherited = descriptors,
                  .life_lines = life_lines_,
                  .record_file = *sentinel_record_,
                  .watchdogs_files = {&*held_record_, &*stuck_record_, &*final_record_}});
  });
  if (!started) return system_failure("cannot start the sentinel", started.error().errno_value);
  sentinel_ = std::move(*started);
  if (sentinel_.life() < 0) return system_failure("cannot watch the sentinel", EMFILE);
  return {};
}

Result<void> Watchdog::sentinel_is_ready() const {
  std::array<pollfd, 2> either = {pollfd{sentinel_ready_.get(), POLLIN, 0}, pollfd{sentinel_.life(), POLLIN, 0}};
  const Deadline patience = Deadline::in(limits::kSentinelStart);
  int count = 0;
  do {
    count = ::poll(either.data(), either.size(), patience.poll_timeout());
  } while (count < 0 && errno == EINTR);
  if (either[0].revents != 0) return {};
  return failure(count > 0 ? "the sentinel could not set itself up" : "the sentinel did not get ready in time");
}

void Watchdog::run() {
  for (;;) wait_for_events();
}

void Watchdog::wait_for_events() {
  Deadline next = Deadline::in(limits::kForever);
  events_[kChannel].fd = channel_.get();
  events_[kStage].fd = stage_ ? stage_->fd() : -1;
  events_[kDrain].fd = drain_.fd();
  events_[kStall].fd = stall_timer_.get();
  // While a stage runs there are threads at work, and a process with such threads is not forked.
  events_[kSentinel].fd = stage_ ? -1 : sentinel_.life();
  for (std::size_t i = 0; i < callers_.size(); ++i) {
    events_[kFirstCaller + i].fd = callers_[i].connection.get();
    if (callers_[i].connection) next = next.or_earlier(callers_[i].patience);
  }
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    events_[kFirstHold + i].fd = session_.record.phase == Phase::held ? watched_[i] : -1;
  }
  const int count = ::poll(events_.data(), events_.size(), next.poll_timeout());
  if (count < 0) return;
  const auto happened = [this](std::size_t event) { return events_[event].fd >= 0 && events_[event].revents != 0; };
  if (happened(kTimer)) on_deadline();
  if (happened(kSignals)) on_signal();
  if (happened(kStall)) on_stall();
  if (happened(kChannel)) on_channel();
  if (happened(kStage)) on_stage_finished();
  if (happened(kDrain)) on_drain_look();
  if (happened(kSentinel)) on_sentinel_death();
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    if (happened(kFirstHold + i)) on_hold_event(i);
  }
  for (std::size_t i = 0; i < callers_.size(); ++i) {
    if (happened(kFirstCaller + i)) {
      on_caller(callers_[i]);
    } else if (callers_[i].connection && callers_[i].patience.expired()) {
      callers_[i].connection.reset();
    }
  }
  if (happened(kListener)) on_connection();
}

void Watchdog::on_deadline() {
  if (session_.record.phase == Phase::held) end(SessionEnd::auto_thawed);
  refuse({ErrorKind::failed, "the auto-thaw deadline came before everything was frozen", 0});
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
  const auto status = sentinel_.wait(Deadline::in({}));
  const bool was_killed = status && WIFSIGNALED(*status);
  auto started = was_killed ? start_sentinel() : failure("the sentinel could not set itself up");
  if (!started) {
    // Where one could not set itself up, or be forked, another cannot: the watchdog goes on alone.
    sentinel_ = {};
    lines_.push_back({LogLevel::warn, "the session goes on without a sentinel: " + started.error().message});
  }
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
  switch (request.verb) {
    case Verb::prepare:
      begin_drain(request);
      return start_stage(request, [this](std::size_t i, StageContext& context) { return prepare(i, context); });
    case Verb::quiesce:
      if (auto recorded = record_prepared(); !recorded) return refuse(recorded.error());
      quiescing_ = true;
      begin_stall();
      return start_stage(request, [this](std::size_t i, StageContext& context) { return quiesce(i, context); });
    case Verb::commit:
      return commit(request);
    case Verb::end:
      end(SessionEnd::rolled_back);
    default:
      break;
  }
}

void Watchdog::on_connection() {
  UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return;
  // A free place has had the least patience: none.
  Caller* place = &callers_[0];
  for (Caller& caller : callers_) {
    if (!caller.connection || (place->connection && caller.patience.at() < place->patience.at())) place = &caller;
    if (!caller.connection) break;
  }
  *place = {std::move(connection), Deadline::in(limits::kSilentCaller)};
}

void Watchdog::on_caller(Caller& caller) {
  const auto request = receive_packet(caller.connection.get());
  if (!request || !*request || !(*request)->starts_with(kEndRequest)) {
    caller.connection.reset();
    return;
  }
  std::string execution_id = (*request)->substr(kEndRequest.size());
  if (session_.record.earlier_of(execution_id) != nullptr) {
    static_cast<void>(send_packet(caller.connection.get(), kNotHisAnswer));
    caller.connection.reset();
    return;
  }
  session_.record.ended_by = std::move(execution_id);
  ender_ = &caller;
  if (session_.record.phase == Phase::held) end(SessionEnd::completed);
  refuse({ErrorKind::failed, "post-script was called before pre-script was done", 0});
  end(SessionEnd::rolled_back, "post-script was called before pre-script was done");
}

void Watchdog::on_hold_event(std::size_t index) {
  watched_[index] = -1;
  session_.record.problems.push_back(plan_.quiescers[index].config.name + " was lost while it was quiesced");
}

void Watchdog::start_stage(const Message& request, StageRun::Step step) {
  std::vector<std::size_t> all(plan_.quiescers.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const StageContext context{.deadline = deadline_.or_earlier(request.deadline),
                             .execution_id = plan_.execution_id,
                             .coverage = plan_.coverage,
                             .session_deadline = deadline_};
  auto run = StageRun::start(all, context, std::move(step));
  if (!run) return refuse(run.error());
  stage_.emplace(std::move(*run));
}

Result<void> Watchdog::prepare(std::size_t index, StageContext& context) {
  Quiescer& quiescer = *plan_.quiescers[index].quiescer;
  if (auto ready = quiescer.probe(context); !ready) return ready;
  auto facts = quiescer.prepare(context);
  if (!facts) return tl::unexpected(facts.error());
  prepared_[index] = std::move(*facts);
  return {};
}

/// Before it is done, so that it can be undone by somebody who finds all of the session's processes dead.
Result<void> Watchdog::record_prepared() {
  for (std::size_t i = 0; i < plan_.quiescers.size(); ++i) {
    session_.record.quiescers[i].quiesced = true;
    session_.record.quiescers[i].facts = std::move(prepared_[i]);
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
    // Asked for while nothing is frozen: a module may have to load what answers it.
    for (std::size_t i = 0; i < watched_.size(); ++i) watched_[i] = plan_.quiescers[i].quiescer->watch_fd();
    // From here on filesystems may be frozen at any moment.
    session_.record.phase = Phase::freezing;
    session_.refresh(plan_);
    if (auto written = plan_.state->write_record(session_.record); !written) first = written.error();
  }
  if (first) return refuse(*first, std::move(notes));
  Message done{.verb = Verb::done, .lines = std::move(notes)};
  if (drain_.is_over()) {
    answer(done);
  } else {
    prepared_answer_.emplace(std::move(done));
  }
}

/// The session is worth no less without it.
void Watchdog::begin_drain(const Message& request) {
  const Deadline latest(request.deadline.at() - limits::kDrainReserve);
  if (auto begun = drain_.begin(latest); !begun) lines_.push_back({LogLevel::warn, begun.error().message});
}

void Watchdog::on_drain_look() {
  // Another process may have ended the session, and lifted the limit, where this one was stopped for long: read before
  // and after, `ending` shows it at least once.
  if (plan_.filesystems.ending()) return drain_.stop();
  drain_.look(plan_.filesystems.any([](FreezeState state) { return state == FreezeState::syncing; }));
  if (plan_.filesystems.ending()) return lift_limit();
  if (!drain_.is_over() || !prepared_answer_) return;
  answer(*prepared_answer_);
  prepared_answer_.reset();
}

/// Before it is set, so that it can be lifted by somebody who finds all of the session's processes dead.
Result<void> Watchdog::record_limit() {
  session_.record.to_put_back = plan_.dirty_limit.earlier();
  return plan_.state->write_record(session_.record);
}

/// From here on databases may be locked.
void Watchdog::begin_stall() {
  locked_at_ = BootClock::now();
  if (!plan_.max_stall) return;
  auto timer = new_timer(Deadline(locked_at_ + *plan_.max_stall));
  if (!timer) {
    refuse(timer.error());
    end(SessionEnd::rolled_back);
  }
  stall_timer_ = std::move(*timer);
}

void Watchdog::on_stall() {
  std::vector<std::string> late;
  for (std::size_t i = 0; i < plan_.filesystems.size(); ++i) {
    const FreezeState state = plan_.filesystems.state(i);
    if (state == FreezeState::idle || state == FreezeState::freezing) late.push_back(plan_.filesystems[i].mount_point);
  }
  if (!stage_ && late.empty()) return stall_timer_.reset();  // All is frozen, and is about to be committed.
  const std::vector<DirtySample> dirty = plan_.host_dirty.look();
  std::string message = "the locks would have been held for longer than " + format_seconds(*plan_.max_stall) +
                        " seconds before everything was frozen (max_stall_seconds); it took so long to ";
  message += stage_ ? "quiesce the databases" : "freeze " + list_of(late);
  if (!dirty.empty()) message += "; " + format_size(dirty.front().dirty) + " were dirty on this host";
  refuse({ErrorKind::not_ready, message, 0});
  end(SessionEnd::rolled_back);
}

/// All is frozen.
void Watchdog::note_stall() {
  stall_timer_.reset();
  const auto until = plan_.filesystems.size() == 0 ? BootClock::now() : plan_.filesystems.last_frozen_at();
  session_.record.stall_seconds = std::max(std::chrono::duration<double>(until - locked_at_).count(), 0.0);
}

void Watchdog::lift_limit() {
  plan_.dirty_limit.lift();
  session_.record.to_put_back.clear();
}

void Watchdog::commit(const Message& request) {
  lift_limit();  // All is frozen, or never will be.
  const bool all_well = !plan_.filesystems.any([](FreezeState state) {
    return state != FreezeState::frozen && state != FreezeState::unsupported && state != FreezeState::read_only;
  });
  if (!all_well || session_.record.phase != Phase::freezing)
    return refuse({ErrorKind::failed, "not every filesystem is frozen", 0});
  if (request.deadline.expired()) return refuse(late(kHandOver));
  note_stall();
  for (std::size_t i = 0; i < kStages.size(); ++i)
    session_.record.stage_seconds.emplace_back(kStages.at(i), request.stages.at(i));
  lines_.insert(lines_.end(), request.lines.begin(), request.lines.end());
  session_.record.phase = Phase::held;
  begin_hold();
  if (auto written = held_record_->commit(session_.text(plan_)); !written) {
    session_.record.phase = Phase::freezing;
    session_.record.witness.clear();
    return refuse(written.error());
  }
  // Another process ends the session where this one hung in that.
  if (plan_.filesystems.ending()) {
    refuse({ErrorKind::failed, "the session was ended before the watchdog had recorded it", 0});
    end(SessionEnd::rolled_back);
  }
  if (!answer({.verb = Verb::done})) end(SessionEnd::rolled_back);
}

/// Everything is frozen. What the caller learns of the hold it learns later.
void Watchdog::begin_hold() {
  plan_.witness.begin(plan_.filesystems);
  session_.record.witness = witness_records(plan_.witness);
  session_.record.held_at = std::chrono::system_clock::now();
  session_.record.held_boot = BootClock::now();
  session_.record.held_clock_error = clock_error();
}

/// Before anything is thawed.
void Watchdog::end_hold() {
  if (session_.record.phase == Phase::held) plan_.witness.end();
  session_.note_hold_end();
}

/// What the witness has seen. Where another process had ended the hold before, that may be what is right after a thaw.
void Watchdog::judge_hold(bool is_first) {
  if (session_.record.phase != Phase::held) return;
  session_.record.witness = witness_records(plan_.witness);
  for (WitnessRecord& device : session_.record.witness) {
    if (!is_first)
      device = {device.device, std::string(to_string(HoldWitness::Result::not_provable)),
                "another process of the session ended the hold", 0};
    if (device.result == to_string(HoldWitness::Result::written)) {
      session_.record.problems.push_back("something wrote to " + device.device + " while it was held (" +
                                         count_of(static_cast<std::size_t>(device.sectors), "sector") +
                                         "): the snapshot may be torn");
    }
  }
}

void Watchdog::end(SessionEnd how, const std::string& problem) {
  // Whoever comes now finds nobody listening, and waits for the lock.
  listener_.reset();
  end_hold();
  // Where another process has ended it already, not all of it was held when post-script came.
  const bool is_first = plan_.filesystems.end();
  if (!is_first && how == SessionEnd::completed) how = SessionEnd::auto_thawed;
  const bool thawed = thaw();
  judge_hold(is_first);
  if (!problem.empty()) session_.record.problems.push_back(problem);
  cancel_stage();
  release_all(outcome_of(how));
  if (!thawed) await_stuck_calls();
  finish(how);
}

/// False when a call to the kernel has not returned.
bool Watchdog::thaw() {
  // One that was stopped goes on: it has to see the end, and to say what became of its calls.
  plan_.freezer.send(SIGCONT);
  bool finished = thawer_->run(Deadline::in(plan_.max_stall ? limits::kPromisedFreezeHang : limits::kFreezeHang));
  plan_.rcu.end();  // For a freezer that was killed or hangs.
  lift_limit();
  const auto freeze_hangs = [](FreezeState state) { return state == FreezeState::freezing; };
  if (!finished && !plan_.filesystems.any(freeze_hangs)) finished = thawer_->run(Deadline::in(limits::kThawHang));
  return finished;
}

void Watchdog::cancel_stage() {
  if (!stage_) return;
  stage_->cancel();
  // One that does not give up is left to the sentinel, which gets rid of this process and what it holds.
  if (!stage_->wait(Deadline::in(limits::kCancel))) end_process(1);
  static_cast<void>(stage_->take());
  stage_.reset();
}

Outcome Watchdog::outcome_of(SessionEnd how) const {
  // What another program thawed was not frozen when the snapshot was taken; a database that keeps a catalog must not
  // enter it as good.
  const auto& witness = session_.record.witness;
  const bool lasted = !plan_.filesystems.any([](FreezeState state) { return state == FreezeState::lost; }) &&
                      std::none_of(witness.begin(), witness.end(), [](const WitnessRecord& device) {
                        return device.result == to_string(HoldWitness::Result::written);
                      });
  if (how == SessionEnd::completed && lasted) return Outcome::completed;
  return how == SessionEnd::auto_thawed ? Outcome::auto_thawed : Outcome::rolled_back;
}

void Watchdog::release_all(Outcome outcome) {
  std::vector<std::size_t> quiesced;
  for (std::size_t i = 0; i < plan_.quiescers.size(); ++i) {
    if (session_.is_quiesced(i)) quiesced.push_back(i);
  }
  if (quiesced.empty()) return;
  const StageContext context{
      .deadline = Deadline::in(limits::kRelease), .execution_id = plan_.execution_id, .coverage = plan_.coverage};
  auto run = StageRun::start(quiesced, context, [this, outcome](std::size_t i, StageContext& stage) {
    return plan_.quiescers[i].quiescer->release(stage, outcome);
  });
  if (!run || !run->wait(Deadline::in(limits::kRelease + limits::kCancel))) end_process(1);  // As above.
  for (StageRun::Finding& finding : run->take()) {
    for (LogLine& note : finding.notes) lines_.push_back(std::move(note));
    // One that failed was tried, and the problem is reported. What cannot be released now is left to the next command.
    session_.set_quiesced(finding.index, !finding.result && finding.result.error().kind == ErrorKind::not_ready);
    if (!finding.result) session_.record.problems.push_back(finding.result.error().message);
  }
}

/// pre-script and post-script do not wait for what may never return; this process does.
void Watchdog::await_stuck_calls() {
  static_cast<void>(send_message(channel_.get(), {.verb = Verb::stuck}));
  for (const Caller& caller : callers_) static_cast<void>(send_packet(caller.connection.get(), kStuckAnswer));
  session_.record.phase = Phase::ending;
  static_cast<void>(stuck_record_->commit(session_.text(plan_)));
  if (!thawer_->run(Deadline::in(limits::kFreezerHang))) {
    plan_.freezer.send(SIGKILL);
    thawer_->take_over();
  }
  while (!thawer_->run(Deadline::in(limits::kForever), sentinel_.life())) on_sentinel_death();
}

void Watchdog::finish(SessionEnd how) {
  // Taken over while this process was stuck: the record is the successor's.
  if (plan_.filesystems.over()) {
    StateDirectory::release(plan_.lock.get());
    end_process(0);
  }
  session_.end(how);
  note_problems(session_.record, plan_.filesystems);
  session_.record.reported = ender_listens();
  const std::string text = session_.text(plan_);
  auto written = final_record_->commit(text);
  if (!written) lines_.push_back({LogLevel::error, written.error().message});
  sentinel_record_.reset();  // Of a sentinel that hangs, and may come back.
  plan_.filesystems.set_over();
  sentinel_.send(SIGKILL);  // It would end by itself, unless it was stopped.
  // Whoever has the answer may unmount: nobody of the session has the filesystems open any more.
  static_cast<void>(sentinel_.wait(Deadline::in(limits::kKill)));
  plan_.filesystems.close();
  plan_.caller_files.reset();
  // For all who share it: a sentinel that hangs, a pre-script that has not exited. None of them has anything to do.
  StateDirectory::release(plan_.lock.get());
  static_cast<void>(send_message(channel_.get(), {.verb = Verb::done}));
  // With the record: the next session may have replaced it by the time that post-script looks.
  for (const Caller& caller : callers_) {
    const std::string_view answer = &caller == ender_ ? kDoneAnswer : kOverAnswer;
    answer_caller(caller.connection.get(), std::string(answer) + text);
  }
  // Nobody waits any longer for what is still to be written, wherever it goes.
  Log log(nullptr, plan_.syslog ? plan_.syslog() : nullptr);
  write_log(how, log);
  if (auto remembered = remember(session_.record); !remembered) log.warn(remembered.error().message);
  end_process(0);
}

/// Whether the answer has somebody to go to. Written before it is given: once the lock is free, another post-script
/// reads whether it was.
bool Watchdog::ender_listens() const {
  if (ender_ == nullptr) return false;
  pollfd event = {ender_->connection.get(), 0, 0};
  return ::poll(&event, 1, 0) == 0;
}

void Watchdog::write_log(SessionEnd how, Log& log) const {
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
  keep.insert(keep.end(), {channel.get(), plan.lock.get(), plan.state->fd(), plan.rcu.fd(), plan.caller_files.get()});
  for (const int descriptor : plan.freezer.descriptors()) keep.push_back(descriptor);
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) keep.push_back(plan.filesystems[i].fd.get());
  for (const int counter : plan.witness.descriptors()) keep.push_back(counter);
  plan.dirty_limit.add_descriptors(keep);
  plan.dirty_memory.add_descriptors(keep);
  plan.host_dirty.add_descriptors(keep);
  const std::vector<std::string> missing = become_background("dlm-watchdog", std::move(keep));
  use_small_thread_stacks();
  give_up_rights(!plan.quiescers.empty());

  Watchdog watchdog(plan, session, std::move(channel), life_lines, missing);
  if (auto ready = watchdog.set_up(); !ready) {
    watchdog.refuse(ready.error());
    // Nothing is frozen or locked yet, and no sentinel has to see to that.
    plan.filesystems.set_over();
    end_process(1);
  }
  watchdog.answer_ready();
  watchdog.run();
}

}  // namespace dlm_freeze
