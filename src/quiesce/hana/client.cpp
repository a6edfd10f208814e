// SPDX-License-Identifier: Apache-2.0
#include "quiesce/hana/client.hpp"

#include <utility>

#include "base/text.hpp"
#include "dlm_freeze/quiesce/program.hpp"

namespace dlm_freeze::hana {
namespace {

/// A line of its own after what each hdbsql has printed; its exit status follows.
constexpr std::string_view kMark = "dlm-freeze: hdbsql has ended with";

/// Runs commands one after the other. Its arguments are, for each, the number of its words, `go` or `stop` for what
/// happens when it fails, and its words: they are never read as shell text. In the subshell the words come to the end,
/// and all that was before them is shifted away. One line, since not every login shell passes on more.
std::string script() {
  return "while [ $# -gt 0 ]; do n=$1; then=$2; shift 2; "
         "(rest=$(($# - n)); i=0; while [ $i -lt $n ]; do set -- \"$@\" \"$1\"; shift; i=$((i + 1)); done; "
         "shift $rest; exec \"$@\"); status=$?; echo; echo \"" +
         std::string(kMark) + " $status\"; [ $status -eq 0 ] || [ $then = go ] || exit 0; shift $n; done";
}

std::vector<std::string> command_for(const ClientSettings& settings, const Question& question) {
  std::vector<std::string> words = {settings.hdbsql, "-U", settings.key, "-a", "-x", "-j"};
  if (!question.database.empty()) words.insert(words.end(), {"-d", question.database});
  words.insert(words.end(), settings.options.begin(), settings.options.end());
  words.push_back(question.statement);
  return words;
}

Answer answer_from(std::string output, int exit_status) {
  Answer answer{std::move(output), std::nullopt};
  answer.error = parse_error(answer.output);
  if (exit_status != 0 && !answer.error) {
    answer.error = HanaError{0, "hdbsql " + exited(exit_status, answer.output)};
  }
  return answer;
}

}  // namespace

std::vector<Answer> parse_answers(std::string_view output) {
  constexpr int kHighestStatus = 255;
  std::vector<Answer> answers;
  std::string text;
  for (const std::string_view line : split(output, '\n')) {
    const auto status =
        line.starts_with(kMark) ? parse_decimal(trimmed(line.substr(kMark.size())), 0, kHighestStatus) : std::nullopt;
    if (status) {
      answers.push_back(answer_from(std::exchange(text, {}), static_cast<int>(*status)));
    } else {
      text += line;
      text += '\n';
    }
  }
  return answers;
}

Result<std::vector<Answer>> ask_all(const ClientSettings& settings, const std::vector<Question>& questions,
                                    const Patience& patience) {
  Program program;
  program.argv = {"/bin/sh", "-c", script(), "sh"};
  for (const Question& question : questions) {
    const std::vector<std::string> words = command_for(settings, question);
    program.argv.insert(program.argv.end(), {std::to_string(words.size()), question.is_needed ? "stop" : "go"});
    program.argv.insert(program.argv.end(), words.begin(), words.end());
  }
  program.os_user = settings.os_user;
  program.login = true;
  const auto ran = run_program(program, patience);
  if (!ran) return tl::unexpected(ran.error());
  std::vector<Answer> answers = parse_answers(ran->output);
  // A profile may print anything, marks too.
  const bool has_stopped = !answers.empty() && answers.size() < questions.size() && answers.back().error &&
                           questions[answers.size() - 1].is_needed;
  const bool is_complete = answers.size() == questions.size() || has_stopped;
  if (is_complete) return answers;
  const std::string said = last_line(ran->output);
  return failure("the login shell of " + settings.os_user + " has not run " + settings.hdbsql + " to its end" +
                 (said.empty() ? "" : " (" + said + ")"));
}

}  // namespace dlm_freeze::hana
