// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/hana/statements.hpp"

namespace dlm_freeze::hana {

/// How hdbsql is run.
struct ClientSettings {
  std::string hdbsql;                ///< Its absolute path.
  std::string key;                   ///< In the store of `os_user`.
  std::string os_user;               ///< In whose login environment it runs.
  std::vector<std::string> options;  ///< More of them.
};

struct Question {
  std::string statement;
  std::string database = {};  ///< Empty: where the key leads.
  bool is_needed = true;      ///< Whether nothing after it is asked when it gives an error.
};

/// The answer of hdbsql: rows, or an error.
struct Answer {
  std::string output;
  std::optional<HanaError> error;

  /// Whether the server itself has said no: then it does nothing more about the statement.
  [[nodiscard]] bool refused_by_server() const { return error && error->code > 0; }
};

/// Asks one after the other, in one login shell: its profile may take longer than all of them. Gives an answer to each
/// that was asked. Errors: not all came to an end.
[[nodiscard]] Result<std::vector<Answer>> ask_all(const ClientSettings& settings,
                                                  const std::vector<Question>& questions, const Patience& patience);

/// What that gets of a program that printed `output`: the part before each mark is an answer.
[[nodiscard]] std::vector<Answer> parse_answers(std::string_view output);

}  // namespace dlm_freeze::hana
