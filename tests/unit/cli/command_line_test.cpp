// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;

using Words = std::vector<std::string>;

Result<CommandLine> parse(const Words& words) {
  std::vector<const char*> argv = {"dlm-freeze"};
  for (const std::string& word : words) argv.push_back(word.c_str());
  return parse_command_line(static_cast<int>(argv.size()), argv.data());
}

CommandLine parsed(const Words& words) {
  auto line = parse(words);
  EXPECT_TRUE(line) << line.error().message;
  return line ? std::move(*line) : CommandLine();
}

/// What is said of a wrong command line.
std::string complaint(const Words& words) {
  const auto line = parse(words);
  if (line) return "nothing";
  EXPECT_EQ(line.error().kind, ErrorKind::usage);
  return line.error().message;
}

constexpr const char* kId = "11111111-2222-3333-4444-AAAAbbbbCCCC";

TEST(CommandLines, NameACommand) {
  EXPECT_EQ(parsed({"pre-script"}).command, Command::pre_script);
  EXPECT_EQ(parsed({"post-script"}).command, Command::post_script);
  EXPECT_EQ(parsed({"dry-run"}).command, Command::dry_run);
  EXPECT_EQ(parsed({"status"}).command, Command::status);
  for (const Command command : {Command::pre_script, Command::post_script, Command::dry_run, Command::status}) {
    EXPECT_EQ(parsed({std::string(to_string(command))}).command, command);
  }
}

TEST(CommandLines, SayNothingOfWhatIsNotThere) {
  const CommandLine line = parsed({"pre-script"});
  EXPECT_FALSE(line.config);
  EXPECT_FALSE(line.state_directory);
  EXPECT_FALSE(line.execution_id);
  EXPECT_FALSE(line.auto_thaw);
  EXPECT_FALSE(line.timeout);
  EXPECT_FALSE(line.text);
  EXPECT_EQ(line.log_level, LogLevel::info);
}

TEST(CommandLines, HaveOptionsForAllCommandsOnEitherSide) {
  for (const char* command : {"pre-script", "post-script", "dry-run", "status"}) {
    for (const Words& words : {Words{"--config", "/c", "--log-level", "warn", "--state-dir", "/s", command},
                               Words{command, "--config", "/c", "--log-level", "warn", "--state-dir", "/s"},
                               Words{command, "--config=/c", "--log-level=warn", "--state-dir=/s"}}) {
      const CommandLine line = parsed(words);
      EXPECT_EQ(line.config, "/c");
      EXPECT_EQ(line.state_directory, "/s");
      EXPECT_EQ(line.log_level, LogLevel::warn);
    }
  }
}

TEST(CommandLines, HaveOptionsForPreScript) {
  const CommandLine line = parsed({"pre-script", "--execution-id", kId, "--auto-thaw", "3600", "--timeout", "120"});
  EXPECT_EQ(line.execution_id, kId);
  EXPECT_EQ(line.auto_thaw, 3600);
  EXPECT_EQ(line.timeout, 120);
}

TEST(CommandLines, HaveOptionsForPostScript) {
  const CommandLine line = parsed({"post-script", "--execution-id", "None", "--timeout", "1"});
  EXPECT_EQ(line.execution_id, "None");
  EXPECT_EQ(line.timeout, 1);
}

TEST(CommandLines, HaveOptionsForDryRunAndStatus) {
  EXPECT_TRUE(parsed({"dry-run", "--probe"}).probe);
  EXPECT_TRUE(parsed({"dry-run", "--json"}).json);
  EXPECT_TRUE(parsed({"dry-run", "--all"}).all);
  EXPECT_EQ(parsed({"dry-run", "--write-speed", "125"}).write_speed, 125);
  EXPECT_FALSE(parsed({"dry-run"}).inventory);
  EXPECT_EQ(parsed({"dry-run", "--inventory"}).inventory, "");
  EXPECT_EQ(parsed({"dry-run", "--inventory", "--json"}).inventory, "");
  EXPECT_EQ(parsed({"dry-run", "--inventory", "/srv/custom"}).inventory, "/srv/custom");
  EXPECT_TRUE(parsed({"dry-run", "--inventory"}).probe);
  EXPECT_NE(complaint({"dry-run", "--inventory", "relative"}), "nothing");
  EXPECT_EQ(parsed({"dry-run", "--execution-id", kId}).execution_id, kId) << "callers pass it to every command";
  EXPECT_TRUE(parsed({"status", "--json"}).json);
  EXPECT_TRUE(parsed({"status", "--watch"}).watch);
}

TEST(CommandLines, HaveDirectoriesForVerify) {
  const CommandLine line = parsed({"verify", "/restore/a", "b", "--json"});
  EXPECT_EQ(line.command, Command::verify);
  EXPECT_EQ(line.paths, (Words{"/restore/a", std::filesystem::current_path().string() + "/b"}));
  EXPECT_TRUE(line.json);
  EXPECT_THAT(complaint({"verify"}), HasSubstr("PATH"));
  EXPECT_THAT(complaint({"verify", ""}), HasSubstr("PATH"));
  EXPECT_THAT(complaint({"verify", "/a", "--databases", "/d.json"}), HasSubstr("--databases needs --check"));
  EXPECT_THAT(complaint({"verify", "/a", "--memory", "64"}), HasSubstr("--memory needs --check"));
  EXPECT_EQ(parsed({"verify", "/a", "--check", "--memory", "64"}).memory, 64);
  EXPECT_TRUE(
      std::filesystem::path(parsed({"verify", "/a", "--check", "--scratch", "b"}).verify.scratch).is_absolute());
}

TEST(CommandLines, HaveATimeAndAGroupForPreScript) {
  const CommandLine line = parsed({"pre-script", "--hold-at", "1970-01-01T00:00:01.5Z", "--group", "shards_1.a-b"});
  EXPECT_EQ(line.hold_at, WallTime(std::chrono::milliseconds(1500)));
  EXPECT_EQ(line.group_id, "shards_1.a-b");
  EXPECT_THAT(complaint({"pre-script", "--hold-at", "02:15"}), HasSubstr("2026-11-30T02:15:00Z"));
  for (const char* wrong : {"", "..", "-a", "a b", "a/b", "a\nb", "\xc3\xbc"})
    EXPECT_THAT(complaint({"pre-script", "--group", wrong}), HasSubstr("letters")) << wrong;
  EXPECT_EQ(parsed({"pre-script", "--group", std::string(64, 'x')}).group_id->size(), 64U);
  EXPECT_NE(complaint({"pre-script", "--group", std::string(65, 'x')}), "nothing");
  EXPECT_NE(complaint({"post-script", "--group", "x"}), "nothing");
}

TEST(CommandLines, HaveHistoriesForACut) {
  const CommandLine line = parsed({"verify", "--cut", "a.jsonl", "/b.jsonl", "--snapshots", "s.json", "--group", "g"});
  const std::string here = std::filesystem::current_path().string();
  EXPECT_TRUE(line.cut);
  EXPECT_EQ(line.paths, (Words{here + "/a.jsonl", "/b.jsonl"}));
  EXPECT_EQ(line.snapshots, here + "/s.json");
  EXPECT_EQ(line.group_id, "g");
  EXPECT_THAT(complaint({"verify", "--cut", "a.jsonl"}), HasSubstr("--cut needs --snapshots"));
  EXPECT_THAT(complaint({"verify", "--cut", "--snapshots", "s.json"}), HasSubstr("PATH is required"));
  EXPECT_NE(complaint({"verify", "a", "--group", "g"}), "nothing");
}

TEST(CommandLines, HaveTheHistoryOfOneHostForSnapshots) {
  const CommandLine own = parsed({"verify", "--snapshots", "/s.json"});
  EXPECT_FALSE(own.cut);
  EXPECT_TRUE(own.paths.empty());
  EXPECT_EQ(parsed({"verify", "--snapshots", "/s.json", "/h.jsonl"}).paths, (Words{"/h.jsonl"}));
  EXPECT_THAT(complaint({"verify"}), HasSubstr("PATH is required"));
  EXPECT_THAT(complaint({"verify", "--check"}), HasSubstr("PATH is required"));
  EXPECT_THAT(complaint({"verify", "--snapshots", "/s.json", "a", "b"}), HasSubstr("takes one history"));
  EXPECT_NE(complaint({"verify", "--snapshots", "/s.json", "--check", "a"}), "nothing");
  EXPECT_NE(complaint({"verify", "--snapshots", "/s.json", "--group", "g"}), "nothing");
}

TEST(CommandLines, KnowEveryLogLevel) {
  EXPECT_EQ(parsed({"--log-level", "debug", "status"}).log_level, LogLevel::debug);
  EXPECT_EQ(parsed({"--log-level", "info", "status"}).log_level, LogLevel::info);
  EXPECT_EQ(parsed({"--log-level", "warn", "status"}).log_level, LogLevel::warn);
  EXPECT_EQ(parsed({"--log-level", "error", "status"}).log_level, LogLevel::error);
  EXPECT_THAT(complaint({"--log-level", "loud", "status"}), HasSubstr("'loud' is not debug, info, warn or error"));
  for (const char* wrong : {"INFO", "2", ""})
    EXPECT_THAT(complaint({"--log-level", wrong, "status"}), HasSubstr("is not debug")) << wrong;
}

TEST(CommandLines, TakeAUuidOrNoneForAnExecutionId) {
  EXPECT_EQ(parsed({"pre-script", "--execution-id", "None"}).execution_id, "None");
  EXPECT_EQ(parsed({"pre-script", "--execution-id", kId}).execution_id, kId);
  for (const char* id :
       {"", "none", "NONE", "1", "11111111-2222-3333-4444-55555555555", "11111111-2222-3333-4444-5555555555555",
        "11111111-2222-3333-4444-55555555555g", "11111111222233334444555555555555", "$(reboot)", "{{executionId}}",
        "11111111-2222-3333-4444-555555555555\n"}) {
    EXPECT_THAT(complaint({"pre-script", "--execution-id", id}), HasSubstr("is neither None nor a UUID")) << id;
  }
}

TEST(CommandLines, RefuseNumbersOutOfRange) {
  for (const char* seconds : {"0", "-1", "3601", "1.5", "ten", "", "99999999999999999999", "60s"}) {
    EXPECT_NE(complaint({"pre-script", "--auto-thaw", seconds}), "nothing") << seconds;
  }
  for (const char* seconds : {"0", "-1", "121", "x"}) {
    EXPECT_NE(complaint({"pre-script", "--timeout", seconds}), "nothing") << seconds;
    EXPECT_NE(complaint({"post-script", "--timeout", seconds}), "nothing") << seconds;
  }
}

TEST(CommandLines, TakeNumbersAsDecimal) {
  EXPECT_EQ(parsed({"pre-script", "--auto-thaw", "010"}).auto_thaw, 10);
  EXPECT_EQ(parsed({"post-script", "--timeout", "0099"}).timeout, 99);
  EXPECT_EQ(parsed({"history", "--last", "012"}).last, 12);
  for (const char* number : {"0x10", "0b1", "0o7", " 5", "5 ", "+5", "1'0", "1_0", "1e1"}) {
    EXPECT_THAT(complaint({"pre-script", "--auto-thaw", number}),
                HasSubstr("--auto-thaw: '" + std::string(number) + "' is not a whole number from 1 to 3600"));
    EXPECT_NE(complaint({"post-script", "--timeout", number}), "nothing") << number;
    EXPECT_NE(complaint({"history", "--last", number}), "nothing") << number;
  }
}

TEST(CommandLines, KeepTheStateInAnAbsoluteDirectoryOnly) {
  for (const char* path : {"state", "./state", "../state", "", "~/state"}) {
    for (const char* command : {"pre-script", "post-script", "status", "history", "dry-run"}) {
      EXPECT_THAT(complaint({command, "--state-dir", path}), HasSubstr("must be an absolute path")) << path;
    }
  }
}

TEST(CommandLines, MeanTheWorkingDirectoryOfTheirCaller) {
  const std::string here = std::filesystem::current_path();
  EXPECT_EQ(parsed({"pre-script", "--config", "dlm.json"}).config, here + "/dlm.json");
  EXPECT_EQ(parsed({"pre-script", "--config", "/etc/dlm.json"}).config, "/etc/dlm.json");
  EXPECT_NE(complaint({"pre-script", "--config", ""}), "nothing");
}

TEST(CommandLines, CannotBeRelativeToADirectoryThatIsGone) {
  EXPECT_EQ(
      fakes::in_child([] {
        const fakes::Scratch scratch;
        std::filesystem::create_directory(scratch / "gone");
        std::filesystem::current_path(scratch / "gone");
        std::filesystem::remove(scratch / "gone");
        const bool is_refused = complaint({"pre-script", "--config", "dlm.json"}).find("absolute") != std::string::npos;
        return is_refused && complaint({"pre-script", "--config", "/dlm.json"}) == "nothing" ? 0 : 1;
      }),
      0);
}

TEST(CommandLines, RefuseWhatIsNotKnownAndPointToTheHelp) {
  EXPECT_THAT(complaint({"freeze"}), AllOf(HasSubstr("freeze"), EndsWith("; see dlm-freeze --help")));
  EXPECT_THAT(complaint({"pre-script", "--force"}), HasSubstr("--force"));
  EXPECT_THAT(complaint({"pre-script", "word"}), HasSubstr("word"));
  EXPECT_NE(complaint({}), "nothing");
  EXPECT_NE(complaint({"pre-script", "post-script"}), "nothing");
  EXPECT_NE(complaint({"pre-script", "--timeout"}), "nothing");
  EXPECT_NE(complaint({"Pre-Script"}), "nothing");
  EXPECT_NE(complaint({"pre_script"}), "nothing");
}

TEST(CommandLines, RefuseOptionsOfOtherCommands) {
  EXPECT_THAT(complaint({"post-script", "--auto-thaw", "60"}), HasSubstr("--auto-thaw"));
  EXPECT_NE(complaint({"pre-script", "--json"}), "nothing");
  EXPECT_NE(complaint({"pre-script", "--probe"}), "nothing");
  EXPECT_NE(complaint({"status", "--timeout", "5"}), "nothing");
  EXPECT_NE(complaint({"status", "--execution-id", "None"}), "nothing");
  EXPECT_NE(complaint({"dry-run", "--watch"}), "nothing");
  EXPECT_NE(complaint({"dry-run", "--write-speed", "0"}), "nothing");
  EXPECT_NE(complaint({"status", "--all"}), "nothing");
}

TEST(CommandLines, RefuseAnOptionThatIsGivenTwice) {
  EXPECT_NE(complaint({"pre-script", "--timeout", "5", "--timeout", "6"}), "nothing");
}

TEST(CommandLines, DoNotTakeAbbreviations) { EXPECT_NE(complaint({"pre-script", "--time", "5"}), "nothing"); }

TEST(CommandLines, PrintHelpAndVersion) {
  const CommandLine help = parsed({"--help"});
  ASSERT_TRUE(help.text);
  for (const char* word :
       {"pre-script", "post-script", "dry-run", "status", "--config", "--log-level", "--state-dir", "201", "206"}) {
    EXPECT_THAT(*help.text, HasSubstr(word));
  }
  const CommandLine version = parsed({"--version"});
  ASSERT_TRUE(version.text);
  EXPECT_THAT(*version.text, testing::MatchesRegex("dlm-freeze [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(CommandLines, PrintTheHelpOfACommand) {
  const CommandLine help = parsed({"pre-script", "--help"});
  ASSERT_TRUE(help.text);
  for (const char* word : {"--auto-thaw", "--timeout", "--execution-id"}) EXPECT_THAT(*help.text, HasSubstr(word));
  EXPECT_THAT(*help.text, AllOf(HasSubstr("206"), Not(HasSubstr("205"))));
  for (const char* command : {"pre-script", "post-script", "dry-run", "status", "history", "verify"}) {
    const CommandLine one = parsed({command, "--help"});
    EXPECT_THAT(one.text.value_or(""), HasSubstr("Exit codes: 0 ")) << command;
  }
}

}  // namespace
}  // namespace dlm_freeze
