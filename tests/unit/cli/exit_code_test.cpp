// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.hpp"

#include <gtest/gtest.h>

#include <array>

namespace dlm_freeze {
namespace {

struct Row {
  ErrorKind kind;
  ExitCode pre_script;
  ExitCode post_script;
};

// What callers rely on. dry-run exits as pre-script would, except for a wrong configuration.
constexpr std::array kTable = {
    Row{ErrorKind::failed, ExitCode::pre_script_failed, ExitCode::post_script_failed},
    Row{ErrorKind::usage, ExitCode::usage, ExitCode::usage},
    Row{ErrorKind::already_frozen, ExitCode::already_frozen, ExitCode::post_script_failed},
    Row{ErrorKind::not_frozen, ExitCode::pre_script_failed, ExitCode::not_frozen},
    Row{ErrorKind::not_ready, ExitCode::not_ready, ExitCode::post_script_failed},
    Row{ErrorKind::auto_thawed, ExitCode::pre_script_failed, ExitCode::auto_thawed},
    Row{ErrorKind::protection_lost, ExitCode::pre_script_failed, ExitCode::post_script_failed},
    Row{ErrorKind::configuration, ExitCode::pre_script_failed, ExitCode::post_script_failed},
};

TEST(ExitCodes, FollowFromTheCommandAndTheKindOfError) {
  for (const Row& row : kTable) {
    EXPECT_EQ(exit_code(Command::pre_script, row.kind), row.pre_script);
    EXPECT_EQ(exit_code(Command::dry_run, row.kind),
              row.kind == ErrorKind::configuration ? ExitCode::usage : row.pre_script);
    EXPECT_EQ(exit_code(Command::post_script, row.kind), row.post_script);
    EXPECT_EQ(exit_code(Command::status, row.kind), ExitCode::usage);
  }
}

TEST(ExitCodes, OfVerifyTellWhatIsBadFromWhatCouldNotBeChecked) {
  EXPECT_EQ(static_cast<int>(exit_code(Command::verify, ErrorKind::failed)), 1);
  EXPECT_EQ(static_cast<int>(exit_code(Command::verify, ErrorKind::not_ready)), 2);
}

TEST(ExitCodes, AreNeverOfThoseThatMeanSomethingElseToTheSsmAgent) {
  for (const Row& row : kTable) {
    for (const Command command : {Command::pre_script, Command::post_script, Command::dry_run, Command::status}) {
      const int code = static_cast<int>(exit_code(command, row.kind));
      EXPECT_NE(code, 0);
      for (const int taken : {137, 168, 169, 194}) EXPECT_NE(code, taken);
    }
  }
}

TEST(ExitCodes, AreTheNumbersOfTheContract) {
  EXPECT_EQ(static_cast<int>(ExitCode::ok), 0);
  EXPECT_EQ(static_cast<int>(ExitCode::usage), 1);
  EXPECT_EQ(static_cast<int>(ExitCode::pre_script_failed), 201);
  EXPECT_EQ(static_cast<int>(ExitCode::post_script_failed), 202);
  EXPECT_EQ(static_cast<int>(ExitCode::auto_thawed), 203);
  EXPECT_EQ(static_cast<int>(ExitCode::already_frozen), 204);
  EXPECT_EQ(static_cast<int>(ExitCode::not_frozen), 205);
  EXPECT_EQ(static_cast<int>(ExitCode::not_ready), 206);
}

}  // namespace
}  // namespace dlm_freeze
