// SPDX-License-Identifier: Apache-2.0
#include "quiesce/command/command_quiescer.hpp"

#include <chrono>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/quiesce/program.hpp"

namespace dlm_freeze {
namespace {

constexpr std::int64_t kDefaultTimeout = 5;

class CommandQuiescer final : public Quiescer {
 public:
  explicit CommandQuiescer(const QuiescerConfig& config)
      : name_(config.name),
        probe_(config.text_list("probe")),
        prepare_(config.text_list("prepare")),
        freeze_(config.text_list("freeze")),
        thaw_(config.text_list("thaw")),
        timeout_(std::chrono::seconds(config.integer("timeout_seconds", kDefaultTimeout))) {}

  Result<void> probe(StageContext& context) override {
    auto ran = run("probe", probe_, context, "");
    if (!ran) ran.error().kind = ErrorKind::not_ready;
    return ran;
  }

  Result<void> prepare(StageContext& context) override { return run("prepare", prepare_, context, ""); }

  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    if (auto ran = run("freeze", freeze_, context, ""); !ran) return tl::unexpected(ran.error());
    return std::vector<Fact>();
  }

  Result<void> release(StageContext& context, Outcome outcome) override {
    return run("thaw", thaw_, context, to_string(outcome));
  }

  Result<void> recover(StageContext& context, const std::vector<Fact>& /*facts*/) override {
    return release(context, Outcome::rolled_back);
  }

 private:
  Result<void> run(std::string_view stage, const std::vector<std::string>& argv, const StageContext& context,
                   std::string_view outcome) const {
    if (argv.empty()) return {};
    Program program{
        argv, {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}};
    program.environment.push_back("DLM_FREEZE_EXECUTION_ID=" + context.execution_id);
    program.environment.push_back("DLM_FREEZE_STAGE=" + std::string(stage));
    if (!outcome.empty()) program.environment.push_back("DLM_FREEZE_OUTCOME=" + std::string(outcome));

    const std::string what = name_ + ": " + std::string(stage) + " command";
    const auto result = run_program(program, context.deadline.or_earlier(Deadline::in(timeout_)), context.cancel_fd);
    if (!result) return tl::unexpected(result.error().with_context(what));
    if (result->exit_status == 0) return {};
    std::string message = what + " " + argv[0] + " exited with status " + std::to_string(result->exit_status);
    if (const std::string said = last_line(result->output); !said.empty()) message += " (" + said + ")";
    return failure(std::move(message));
  }

  std::string name_;
  std::vector<std::string> probe_;
  std::vector<std::string> prepare_;
  std::vector<std::string> freeze_;
  std::vector<std::string> thaw_;
  std::chrono::seconds timeout_;
};

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  for (const char* key : {"probe", "prepare", "freeze", "thaw"}) {
    const std::vector<std::string> argv = config.text_list(key);
    if (argv.empty()) continue;
    const std::string where = config.name + "." + key;
    if (!argv[0].starts_with('/'))
      return failure(where + ": the program must be given by its absolute path, not '" + argv[0] + "'");
    if (auto trusted = check_trusted(argv[0]); !trusted) return tl::unexpected(trusted.error().with_context(where));
  }
  return std::make_unique<CommandQuiescer>(config);
}

}  // namespace

const QuiescerType& command_quiescer_type() {
  static const QuiescerType kType = {
      .name = "command",
      .description = "runs programs of your own",
      .options =
          {
              {.name = "probe",
               .type = OptionType::text_list,
               .description = "exits with 0 when it could be quiesced now; changes nothing"},
              {.name = "prepare", .type = OptionType::text_list, .description = "what is slow and blocks nobody"},
              {.name = "freeze", .type = OptionType::text_list, .description = "quiesces it", .mandatory = true},
              {.name = "thaw",
               .type = OptionType::text_list,
               .description = "releases it; always run once freeze was started",
               .mandatory = true},
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

}  // namespace dlm_freeze
