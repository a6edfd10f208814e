// SPDX-License-Identifier: Apache-2.0
#include "quiesce/command/command_quiescer.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <utility>

#include "base/wait.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/quiesce/account.hpp"
#include "dlm_freeze/quiesce/program.hpp"

namespace dlm_freeze::command {
namespace {

/// How often a thaw is begun that could not be started or was killed, and what lies between.
constexpr int kThawTries = 6;
constexpr auto kThawPause = std::chrono::milliseconds(100);
constexpr int kKilled = 128 + SIGKILL;
constexpr int kNotStarted = 127;  // As of a shell; our keeper's too.

struct CommandOptions {
  std::vector<std::string> freeze;
  std::vector<std::string> thaw;
  std::vector<std::string> session;
  std::vector<std::string> prepare;
  std::vector<std::string> probe;
  std::string os_user;
  std::chrono::seconds timeout{5};
};

const OptionTable<CommandOptions>& option_table() {
  static const OptionTable<CommandOptions> kTable = {
      {"freeze", &CommandOptions::freeze, "Quiesces it."},
      {"thaw", &CommandOptions::thaw, "Releases it. Always run once freeze was started."},
      {"session", &CommandOptions::session,
       "Instead of freeze and thaw: says READY when it holds, until its input says THAW or ends."},
      {"prepare", &CommandOptions::prepare, "What is slow and blocks nobody."},
      {"probe", &CommandOptions::probe, "Exits with 0 when it could be quiesced now; changes nothing."},
      {"os_user", &CommandOptions::os_user, "The account to run as, in its login environment; root when absent."},
      {"timeout_seconds", &CommandOptions::timeout,
       "For each of these programs; of a session, for READY and for its end.", Range{1, 120}},
  };
  return kTable;
}

class CommandQuiescer final : public Quiescer {
 public:
  explicit CommandQuiescer(CommandOptions options) : options_(std::move(options)) {}

  Result<void> probe(StageContext& context) override {
    auto ran = run("probe", options_.probe, context);
    if (!ran) ran.error().kind = ErrorKind::not_ready;
    return ran;
  }

  Result<std::vector<Fact>> prepare(StageContext& context) override {
    if (auto ran = run("prepare", options_.prepare, context); !ran) return tl::unexpected(ran.error());
    return std::vector<Fact>();
  }

  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    const auto held = options_.session.empty() ? run("freeze", options_.freeze, context) : start_session(context);
    if (!held) return tl::unexpected(held.error());
    return std::vector<Fact>();
  }

  int watch_fd() const override { return running_ ? running_->end_fd() : -1; }

  Result<void> release(StageContext& context, Outcome outcome) override {
    return options_.session.empty() ? thaw(context, outcome) : end_session(context, outcome);
  }

  /// A session needs nothing: its input is at an end, and its keeper sees to the rest.
  Result<void> recover(StageContext& context, const std::vector<Fact>& /*facts*/) override {
    return thaw(context, Outcome::rolled_back);
  }

 private:
  [[nodiscard]] Program program(std::string_view stage, const std::vector<std::string>& argv,
                                const StageContext& context) const {
    Program program{argv, {"LANG=C.UTF-8"}, options_.os_user, true};
    if (options_.os_user.empty()) {
      program.environment.push_back(std::string("PATH=") + kProgramPath);
      program.environment.emplace_back("HOME=/root");
    }
    program.environment.push_back("DLM_FREEZE_EXECUTION_ID=" + context.execution_id);
    program.environment.push_back("DLM_FREEZE_STAGE=" + std::string(stage));
    return program;
  }

  [[nodiscard]] Patience patience(const StageContext& context) const {
    return {context.deadline.or_earlier(Deadline::in(options_.timeout)), context.cancel_fd};
  }

  Result<void> run(std::string_view stage, const std::vector<std::string>& argv, const StageContext& context) const {
    if (argv.empty()) return {};
    const std::string what = std::string(stage) + " command";
    return judge(what, argv, run_program(program(stage, argv, context), patience(context)));
  }

  static Result<void> judge(const std::string& what, const std::vector<std::string>& argv,
                            const Result<ProgramResult>& result) {
    if (!result) return tl::unexpected(result.error().with_context(what));
    if (result->exit_status == 0) return {};
    return failure(what + " " + argv[0] + " " + exited(result->exit_status, result->output));
  }

  /// A thaw that could not be started or was killed is begun again: the lock would outlast the session.
  Result<void> thaw(const StageContext& context, Outcome outcome) const {
    if (options_.thaw.empty()) return {};
    Program to_run = program("thaw", options_.thaw, context);
    to_run.environment.push_back("DLM_FREEZE_OUTCOME=" + std::string(to_string(outcome)));
    const Patience by = patience(context);
    for (int tries = 1;; ++tries) {
      const auto result = run_program(to_run, by);
      auto judged = judge("thaw command", options_.thaw, result);
      if (result && result->exit_status != kKilled && result->exit_status != kNotStarted) return judged;
      if (tries < kThawTries && pause_for(kThawPause, by)) continue;
      judged.error().kind = ErrorKind::not_ready;
      return judged;
    }
  }

  /// "session command /usr/local/sbin/hold".
  [[nodiscard]] std::string session_command() const { return "session command " + options_.session[0]; }

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
    const bool lost = holds_ && running_->has_ended();
    running_->send_last("THAW " + std::string(to_string(outcome)) + "\n");
    const auto ended = running_->finish(patience(context));
    running_.reset();
    if (!ended) return tl::unexpected(ended.error().with_context("session command, told THAW"));
    const std::string how = session_command() + " " + exited(ended->exit_status, ended->output);
    if (lost) return failure(how + " while it was to hold", ErrorKind::protection_lost);
    if (ended->exit_status != 0) return failure(how + " when it was told THAW");
    return {};
  }

  CommandOptions options_;
  std::optional<RunningProgram> running_;  ///< The session's program, from its start to its end.
  bool holds_ = false;                     ///< It said READY.
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

Result<void> check_program(const std::vector<std::string>& argv) {
  if (argv.empty()) return {};
  if (!argv[0].starts_with('/'))
    return failure("the program must be given by its absolute path, not '" + argv[0] + "'");
  if (auto trusted = check_trusted(argv[0]); !trusted) return trusted;
  struct stat info {};
  const bool is_file = ::stat(argv[0].c_str(), &info) == 0 && S_ISREG(info.st_mode);
  if (is_file && ::access(argv[0].c_str(), X_OK) == 0) return {};
  return failure(argv[0] + " cannot be executed: " +
                 (is_file ? "chmod +x it, or move it from a mount with noexec" : "it is no file"));
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  CommandOptions options = option_table().read(config.options);
  if (auto checked = check_combination(options); !checked) return tl::unexpected(checked.error());
  for (const auto& [key, argv] : {std::pair("probe", &options.probe), std::pair("prepare", &options.prepare),
                                  std::pair("freeze", &options.freeze), std::pair("thaw", &options.thaw),
                                  std::pair("session", &options.session)}) {
    if (auto checked = check_program(*argv); !checked) return tl::unexpected(checked.error().with_context(key));
  }
  if (!options.os_user.empty()) {
    const auto account = account_named(options.os_user);
    if (!account) return tl::unexpected(account.error().with_context("os_user"));
  }
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
