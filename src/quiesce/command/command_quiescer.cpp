// SPDX-License-Identifier: Apache-2.0
#include "quiesce/command/command_quiescer.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "base/wait.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "dlm_freeze/quiesce/account.hpp"
#include "dlm_freeze/quiesce/program.hpp"
#include "quiesce/entry.hpp"
#include "quiesce/foreign_server.hpp"
#include "quiesce/launch.hpp"

namespace dlm_freeze::command {
namespace {

/// How often a thaw is begun that could not be started or was killed, and what lies between.
constexpr int kThawTries = 6;
constexpr auto kThawPause = std::chrono::milliseconds(100);
constexpr int kKilled = 128 + SIGKILL;
constexpr int kNotStarted = 127;  // As of a shell; our keeper's too.
constexpr const char* kContainerFact = "container";
constexpr const char* kProcessFact = "container_process";  ///< "1234/567890": its id, and when it was started.

struct CommandOptions {
  std::vector<std::string> freeze;
  std::vector<std::string> thaw;
  std::vector<std::string> session;
  std::vector<std::string> prepare;
  std::vector<std::string> probe;
  std::string os_user;
  std::string container;
  std::chrono::seconds timeout{5};
};

const OptionTable<CommandOptions>& option_table() {
  static const OptionTable<CommandOptions> kTable = {
      {"freeze", &CommandOptions::freeze, "Quiesces it."},
      {"thaw", &CommandOptions::thaw, "Releases it. Always run once freeze was started."},
      {"session", &CommandOptions::session,
       "Instead of freeze and thaw: says READY when it holds, until its input says THAW or ends."},
      {"prepare", &CommandOptions::prepare, "Slow work that blocks nothing."},
      {"probe", &CommandOptions::probe, "Exits with 0 when it could be quiesced now; changes nothing."},
      {"os_user", &CommandOptions::os_user, "The account to run as, in its login environment; root when absent."},
      {"container", &CommandOptions::container,
       "The container that they run in: name, id (12 digits or more), UID of the pod, or pid:N. os_user is UID:GID "
       "then; absent, the account of its first process."},
      {"timeout_seconds", &CommandOptions::timeout,
       "For each of these programs; of a session, for READY and for its end.", Range{1, 120}},
  };
  return kTable;
}

class CommandQuiescer final : public Quiescer {
 public:
  explicit CommandQuiescer(CommandOptions options) : options_(std::move(options)) {}

  Result<Presence> locate(StageContext& /*context*/) override {
    if (options_.container.empty()) return Presence();
    auto found = find_container(options_.container);
    if (!found) return tl::unexpected(found.error());
    container_ = std::move(*found);
    if (!container_) return Presence{false, nothing_in(options_.container), {}};
    return Presence{true, "in " + container_->where, {}};
  }

  Result<void> probe(StageContext& context) override {
    if (auto entered = check_container(context); !entered) return entered;
    auto ran = run("probe", options_.probe, context);
    if (!ran) ran.error().kind = ErrorKind::not_ready;
    return ran;
  }

  Result<std::vector<Fact>> prepare(StageContext& context) override {
    if (auto entered = check_container(context); !entered) return tl::unexpected(entered.error());
    if (auto ran = run("prepare", options_.prepare, context); !ran) {
      if (auto there = check_is_there(); !there) return tl::unexpected(there.error());
      return tl::unexpected(ran.error());
    }
    return facts();
  }

  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    if (auto there = check_is_there(); !there) return tl::unexpected(there.error());
    const auto held = options_.session.empty() ? run("freeze", options_.freeze, context) : start_session(context);
    if (!held) return tl::unexpected(held.error());
    watch_container();
    return facts();
  }

  /// What its programs hold ends with a container.
  int watch_fd() const override { return running_ ? running_->end_fd() : container_end_.get(); }

  Result<void> release(StageContext& context, Outcome outcome) override {
    return options_.session.empty() ? thaw(context, outcome) : end_session(context, outcome);
  }

  /// A session needs nothing: its input is at an end, and its keeper sees to the rest. Nor does a container that has
  /// ended, since then: all that ran in it has ended with it, and another one has nothing of it.
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override {
    if (!options_.container.empty()) {
      container_ = recorded_container(facts);
      if (!container_ || has_ended(*container_)) return {};
    }
    return thaw(context, Outcome::rolled_back);
  }

 private:
  [[nodiscard]] Program program(std::string_view stage, const std::vector<std::string>& argv,
                                const StageContext& context) const {
    Program program{argv, {"LANG=C.UTF-8"}, options_.os_user, true};
    if (options_.os_user.empty() || container_) program.environment.push_back(std::string("PATH=") + kProgramPath);
    if (container_) {
      program.place = ProgramPlace{container_->pid, container_->started, container_->where};
    } else if (options_.os_user.empty()) {
      program.environment.emplace_back("HOME=/root");
    }
    program.environment.push_back("DLM_FREEZE_EXECUTION_ID=" + context.execution_id);
    program.environment.push_back("DLM_FREEZE_STAGE=" + std::string(stage));
    return program;
  }

  /// " in docker container 3f2a1b2c3d4e"
  [[nodiscard]] std::string in_container() const { return container_ ? " in " + container_->where : ""; }

  [[nodiscard]] Result<void> check_is_there() const {
    if (!container_ || !has_ended(*container_)) return {};
    return failure(container_->where + " has ended", ErrorKind::not_ready);
  }

  /// Whether it can be entered, and its programs could be executed there: all that can be known before anything is
  /// held.
  [[nodiscard]] Result<void> check_container(const StageContext& context) const {
    if (!container_) return {};
    if (auto there = check_is_there(); !there) return there;
    Program check{{}, {}, options_.os_user};
    for (const auto* argv : {&options_.probe, &options_.prepare, &options_.freeze, &options_.thaw, &options_.session}) {
      if (!argv->empty()) check.argv.push_back(argv->front());
    }
    check.place = ProgramPlace{container_->pid, container_->started, container_->where, true};
    const auto checked = run_program(check, patience(context));
    if (!checked)
      return failure(checked.error().with_context("the files of " + container_->where).message, ErrorKind::not_ready);
    if (checked->exit_status == 0) return {};
    const std::string said = last_line(checked->output);
    return failure(said.empty()
                       ? "cannot enter " + container_->where + ": who entered it " + exited(checked->exit_status, "")
                       : said,
                   ErrorKind::not_ready);
  }

  /// Before Linux 5.3 its end is known when it is thawed.
  void watch_container() {
    if (container_ && !running_)
      container_end_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, container_->pid, 0)));
  }

  /// For `recover`.
  [[nodiscard]] std::vector<Fact> facts() const {
    if (!container_) return {};
    return {{kContainerFact, container_->where},
            {kProcessFact, std::to_string(container_->pid) + "/" + std::to_string(container_->started)}};
  }

  static std::optional<ForeignServer> recorded_container(const std::vector<Fact>& facts) {
    ForeignServer container;
    for (const Fact& fact : facts) {
      if (fact.key == kContainerFact) container.where = fact.value;
      if (fact.key != kProcessFact) continue;
      const auto numbers = split(fact.value, '/');
      const auto pid = parse_decimal(numbers.front(), 1, INT32_MAX);
      const auto started = parse_decimal(numbers.back(), 0, INT64_MAX);
      if (!pid || !started) return std::nullopt;
      container.pid = static_cast<pid_t>(*pid);
      container.started = static_cast<std::uint64_t>(*started);
    }
    return container.pid > 0 ? std::optional(std::move(container)) : std::nullopt;
  }

  [[nodiscard]] Patience patience(const StageContext& context) const {
    return {context.deadline.or_earlier(Deadline::in(options_.timeout)), context.cancel_fd};
  }

  Result<void> run(std::string_view stage, const std::vector<std::string>& argv, const StageContext& context) const {
    if (argv.empty()) return {};
    const std::string what = std::string(stage) + " command";
    return judge(what, argv, run_program(program(stage, argv, context), patience(context)));
  }

  [[nodiscard]] Result<void> judge(const std::string& what, const std::vector<std::string>& argv,
                                   const Result<ProgramResult>& result) const {
    if (!result) return tl::unexpected(result.error().with_context(what + in_container()));
    if (result->exit_status == 0) return {};
    return failure(what + " " + argv[0] + in_container() + " " + exited(result->exit_status, result->output));
  }

  /// A thaw that could not be started or was killed is begun again: the lock would outlast the session.
  Result<void> thaw(const StageContext& context, Outcome outcome) const {
    if (options_.thaw.empty()) return {};
    Program to_run = program("thaw", options_.thaw, context);
    to_run.environment.push_back("DLM_FREEZE_OUTCOME=" + std::string(to_string(outcome)));
    const Patience by = patience(context);
    for (int tries = 1;; ++tries) {
      if (auto there = check_is_there(); !there) {
        return failure(
            "thaw command " + options_.thaw[0] + " was not run: " + there.error().message + " while it was held",
            ErrorKind::protection_lost);
      }
      const auto result = run_program(to_run, by);
      auto judged = judge("thaw command", options_.thaw, result);
      if (result && result->exit_status != kKilled && result->exit_status != kNotStarted) return judged;
      if (tries < kThawTries && pause_for(kThawPause, by)) continue;
      judged.error().kind = ErrorKind::not_ready;
      return judged;
    }
  }

  /// "session command /usr/local/sbin/hold".
  [[nodiscard]] std::string session_command() const {
    return "session command " + options_.session[0] + in_container();
  }

  /// Returns as soon as it says that it holds. One that does not say so is left running: `release` ends it, in order
  /// that it can undo what it was about to do.
  Result<void> start_session(const StageContext& context) {
    auto started =
        RunningProgram::start(program("session", options_.session, context), ProgramInput::pipe, options_.timeout);
    if (!started) return tl::unexpected(started.error().with_context("session command"));
    running_.emplace(std::move(*started));
    const Patience by = patience(context);
    for (std::string said;;) {
      const auto line = running_->next_line(by);
      if (!line && by.deadline.expired()) {
        return failure(session_command() + " did not say READY in time" + (said.empty() ? "" : " (" + said + ")"));
      }
      if (!line) return tl::unexpected(line.error().with_context("session command"));
      if (!*line) {
        const auto ended = running_->finish(by);
        running_.reset();
        if (!ended) return tl::unexpected(ended.error().with_context("session command"));
        if (const std::string last = last_line(ended->output); !last.empty()) said = last;
        return failure(session_command() + " " + exited(ended->exit_status, said) + " before it said READY");
      }
      const std::string word = last_line(**line);
      if (word == "READY") break;
      if (!word.empty()) said = word;
    }
    holds_ = true;
    return {};
  }

  Result<void> end_session(const StageContext& context, Outcome outcome) {
    if (!running_) return {};
    const bool lost = holds_ && (running_->has_ended() || !check_is_there());
    running_->send_last("THAW " + std::string(to_string(outcome)) + "\n");
    const auto ended = running_->finish(patience(context));
    running_.reset();
    if (!ended) return tl::unexpected(ended.error().with_context("session command, told THAW"));
    const std::string how = session_command() + " " + exited(ended->exit_status, ended->output);
    if (lost) return failure(how + " while it was to hold", ErrorKind::protection_lost);
    if (ended->exit_status != 0) return failure(how + " after THAW");
    return {};
  }

  CommandOptions options_;
  std::optional<ForeignServer> container_;  ///< Its first process: where the programs run.
  UniqueFd container_end_;                  ///< A pidfd of that.
  std::optional<RunningProgram> running_;   ///< The session's program, from its start to its end.
  bool holds_ = false;                      ///< It said READY.
};

/// Which programs go together.
Result<void> check_combination(const CommandOptions& options) {
  const bool has_pair = !options.freeze.empty() || !options.thaw.empty();
  if (has_pair && !options.session.empty()) return failure("'session' takes the place of 'freeze' and 'thaw'");
  if (options.freeze.empty() != options.thaw.empty()) return failure("'freeze' and 'thaw' need each other");
  if (!has_pair && options.session.empty() && options.prepare.empty()) {
    return failure("nothing to run: give 'freeze' and 'thaw', or 'session', or 'prepare'");
  }
  return {};
}

/// What a container runs is its own affair, and is looked at when it was found.
Result<void> check_program(const std::vector<std::string>& argv, bool is_on_host) {
  if (argv.empty()) return {};
  if (!argv[0].starts_with('/'))
    return failure("the program must be given by its absolute path, not '" + argv[0] + "'");
  if (!is_on_host) return {};
  if (auto trusted = check_trusted(argv[0]); !trusted) return trusted;
  const std::string why = why_not_executable(argv[0]);
  return why.empty() ? Result<void>() : failure(why);
}

Result<void> check_account(const CommandOptions& options) {
  if (options.os_user.empty()) return {};
  if (options.container.empty()) {
    const auto account = account_named(options.os_user);
    return account ? Result<void>() : tl::unexpected(account.error());
  }
  if (parse_numeric_account(options.os_user)) return {};
  return failure(
      "with container it must be UID:GID in numbers, since the names of a container's accounts are its own "
      "affair; not '" +
      options.os_user + "'");
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  CommandOptions options = option_table().read(config.options);
  if (auto checked = check_combination(options); !checked) return tl::unexpected(checked.error());
  for (const auto& [key, argv] : {std::pair("probe", &options.probe), std::pair("prepare", &options.prepare),
                                  std::pair("freeze", &options.freeze), std::pair("thaw", &options.thaw),
                                  std::pair("session", &options.session)}) {
    if (auto checked = check_program(*argv, options.container.empty()); !checked)
      return tl::unexpected(checked.error().with_context(key));
  }
  if (auto checked = check_account(options); !checked) return tl::unexpected(checked.error().with_context("os_user"));
  return std::make_unique<CommandQuiescer>(std::move(options));
}

}  // namespace

const QuiescerType& quiescer_type() {
  static const QuiescerType kType = {
      .name = "command",
      .description = "Runs programs of your own: docs/commands.md.",
      .options = option_table().specs(),
      .create = create,
      .detect = nullptr,
  };
  return kType;
}

}  // namespace dlm_freeze::command
