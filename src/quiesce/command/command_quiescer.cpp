// SPDX-License-Identifier: Apache-2.0
#include "quiesce/command/command_quiescer.hpp"

#include <chrono>
#include <optional>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/quiesce/account.hpp"
#include "dlm_freeze/quiesce/program.hpp"

namespace dlm_freeze::command {
namespace {

constexpr std::int64_t kDefaultTimeout = 5;

/// A status, and what the program said last.
std::string exited(int status, const std::string& said) {
  std::string text = " exited with status " + std::to_string(status);
  if (!said.empty()) text += " (" + said + ")";
  return text;
}

class CommandQuiescer final : public Quiescer {
 public:
  explicit CommandQuiescer(const QuiescerConfig& config)
      : probe_(config.text_list("probe")),
        prepare_(config.text_list("prepare")),
        freeze_(config.text_list("freeze")),
        thaw_(config.text_list("thaw")),
        session_(config.text_list("session")),
        os_user_(config.text("os_user")),
        timeout_(std::chrono::seconds(config.integer("timeout_seconds", kDefaultTimeout))) {}

  Result<void> probe(StageContext& context) override {
    auto ran = run("probe", probe_, context, "");
    if (!ran) ran.error().kind = ErrorKind::not_ready;
    return ran;
  }

  Result<std::vector<Fact>> prepare(StageContext& context) override {
    if (auto ran = run("prepare", prepare_, context, ""); !ran) return tl::unexpected(ran.error());
    return std::vector<Fact>();
  }

  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    const auto held = session_.empty() ? run("freeze", freeze_, context, "") : start_session(context);
    if (!held) return tl::unexpected(held.error());
    return std::vector<Fact>();
  }

  int watch_fd() const override { return running_ ? running_->end_fd() : -1; }

  Result<void> release(StageContext& context, Outcome outcome) override {
    return session_.empty() ? run("thaw", thaw_, context, to_string(outcome)) : end_session(context, outcome);
  }

  /// A session needs nothing: its input is at an end, and its keeper sees to the rest.
  Result<void> recover(StageContext& context, const std::vector<Fact>& /*facts*/) override {
    return run("thaw", thaw_, context, to_string(Outcome::rolled_back));
  }

 private:
  [[nodiscard]] Program program(std::string_view stage, const std::vector<std::string>& argv,
                                const StageContext& context) const {
    Program program{argv, {"LANG=C.UTF-8"}, os_user_, true};
    if (os_user_.empty()) {
      program.environment.push_back(std::string("PATH=") + kProgramPath);
      program.environment.emplace_back("HOME=/root");
    }
    program.environment.push_back("DLM_FREEZE_EXECUTION_ID=" + context.execution_id);
    program.environment.push_back("DLM_FREEZE_STAGE=" + std::string(stage));
    return program;
  }

  [[nodiscard]] Patience patience(const StageContext& context) const {
    return {context.deadline.or_earlier(Deadline::in(timeout_)), context.cancel_fd};
  }

  Result<void> run(std::string_view stage, const std::vector<std::string>& argv, const StageContext& context,
                   std::string_view outcome) const {
    if (argv.empty()) return {};
    Program to_run = program(stage, argv, context);
    if (!outcome.empty()) to_run.environment.push_back("DLM_FREEZE_OUTCOME=" + std::string(outcome));
    const std::string what = std::string(stage) + " command";
    const auto result = run_program(to_run, patience(context));
    if (!result) return tl::unexpected(result.error().with_context(what));
    if (result->exit_status == 0) return {};
    return failure(what + " " + argv[0] + exited(result->exit_status, last_line(result->output)));
  }

  /// "session command /usr/local/sbin/hold".
  [[nodiscard]] std::string session_command() const { return "session command " + session_[0]; }

  /// Returns as soon as it says that it holds. One that does not say so is left running: `release` ends it, in order
  /// that it can undo what it was about to do.
  Result<void> start_session(const StageContext& context) {
    auto started = RunningProgram::start(program("session", session_, context), ProgramInput::pipe, timeout_);
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
        return failure(session_command() + exited(ended->exit_status, said) + " before it said READY");
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
    const std::string how = session_command() + exited(ended->exit_status, last_line(ended->output));
    if (lost) return failure(how + " while it was to hold", ErrorKind::protection_lost);
    if (ended->exit_status != 0) return failure(how + " when it was told THAW");
    return {};
  }

  std::vector<std::string> probe_;
  std::vector<std::string> prepare_;
  std::vector<std::string> freeze_;
  std::vector<std::string> thaw_;
  std::vector<std::string> session_;
  std::string os_user_;
  std::chrono::seconds timeout_;
  std::optional<RunningProgram> running_;  ///< The session's program, from its start to its end.
  bool holds_ = false;                     ///< It said READY.
};

/// What the specification of the options cannot say.
Result<void> check_combination(const QuiescerConfig& config) {
  const bool pair = config.has("freeze") || config.has("thaw");
  if (pair && config.has("session")) return failure("'session' takes the place of 'freeze' and 'thaw'");
  if (config.has("freeze") != config.has("thaw")) return failure("'freeze' and 'thaw' need each other");
  if (!pair && !config.has("session") && !config.has("prepare")) {
    return failure("nothing to run: give 'freeze' and 'thaw', or 'session', or 'prepare'");
  }
  return {};
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  if (auto checked = check_combination(config); !checked) return tl::unexpected(checked.error());
  for (const char* key : {"probe", "prepare", "freeze", "thaw", "session"}) {
    const std::vector<std::string> argv = config.text_list(key);
    if (argv.empty()) continue;
    if (!argv[0].starts_with('/'))
      return failure(std::string(key) + ": the program must be given by its absolute path, not '" + argv[0] + "'");
    if (auto trusted = check_trusted(argv[0]); !trusted) return tl::unexpected(trusted.error().with_context(key));
  }
  if (config.has("os_user")) {
    const auto account = account_named(config.text("os_user"));
    if (!account) return tl::unexpected(account.error().with_context("os_user"));
  }
  return std::make_unique<CommandQuiescer>(config);
}

}  // namespace

const QuiescerType& quiescer_type() {
  static const QuiescerType kType = {
      .name = "command",
      .description = "runs programs of your own",
      .options =
          {
              {.name = "probe",
               .type = OptionType::text_list,
               .description = "exits with 0 when it could be quiesced now; changes nothing"},
              {.name = "prepare", .type = OptionType::text_list, .description = "what is slow and blocks nobody"},
              {.name = "freeze", .type = OptionType::text_list, .description = "quiesces it"},
              {.name = "thaw",
               .type = OptionType::text_list,
               .description = "releases it; always run once freeze was started"},
              {.name = "session",
               .type = OptionType::text_list,
               .description = "instead of both: says READY when it holds, until its input says THAW or ends"},
              {.name = "os_user",
               .type = OptionType::text,
               .description = "the account to run as, in its login environment; root when absent"},
              {.name = "timeout_seconds",
               .type = OptionType::integer,
               .description = "for each of the programs",
               .minimum = 1,
               .maximum = 120},
          },
      .create = create,
      .detect = nullptr,
  };
  return kType;
}

}  // namespace dlm_freeze::command
