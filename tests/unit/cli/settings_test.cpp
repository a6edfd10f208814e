// SPDX-License-Identifier: Apache-2.0
#include "cli/settings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::Scratch;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kVariable = "AUTO_THAW_DURATION_SECS";

class SettingsOfARun : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "a configuration has to belong to root";
    ::unsetenv(kVariable);
    line_.command = Command::pre_script;
    configure("{}");
  }
  void TearDown() override { ::unsetenv(kVariable); }

  void configure(std::string_view text) { line_.config = scratch_.write("config.json", text); }

  [[nodiscard]] Result<Settings> resolve() { return resolve_settings(line_, registry_); }
  [[nodiscard]] Settings resolved() {
    auto settings = resolve();
    EXPECT_TRUE(settings) << settings.error().message;
    return settings ? std::move(*settings) : Settings();
  }

  Scratch scratch_;
  CommandLine line_;
  QuiescerRegistry registry_{builtin_quiescer_types(), {}, "/nowhere"};
};

TEST_F(SettingsOfARun, AreTheDefaultsWhenNobodySaysAnything) {
  const Settings settings = resolved();
  EXPECT_EQ(settings.auto_thaw, seconds(60));
  EXPECT_EQ(settings.timeout, seconds(8));
  EXPECT_EQ(settings.execution_id, "None");
  EXPECT_EQ(settings.state_directory, "/run/dlm-freeze");
  EXPECT_FALSE(settings.quiescers);
  EXPECT_TRUE(settings.filesystems.freeze);
  EXPECT_THAT(settings.filesystems.protect,
              ElementsAre("/var/lib/amazon/ssm", "/var/log/amazon/ssm", "/var/log/audit", "/var/lib/fapolicyd"));
}

TEST_F(SettingsOfARun, ComeFromTheEnvironmentBeforeTheDefaults) {
  ::setenv(kVariable, "77", 1);
  EXPECT_EQ(resolved().auto_thaw, seconds(77));
}

TEST_F(SettingsOfARun, ComeFromTheFileBeforeTheEnvironment) {
  ::setenv(kVariable, "77", 1);
  configure(R"({"auto_thaw_seconds": 88, "timeout_seconds": 9})");
  EXPECT_EQ(resolved().auto_thaw, seconds(88));
  EXPECT_EQ(resolved().timeout, seconds(9));
}

TEST_F(SettingsOfARun, ComeFromTheCommandLineBeforeAllElse) {
  ::setenv(kVariable, "77", 1);
  configure(R"({"auto_thaw_seconds": 88, "timeout_seconds": 9})");
  line_.auto_thaw = 99;
  line_.timeout = 10;
  EXPECT_EQ(resolved().auto_thaw, seconds(99));
  EXPECT_EQ(resolved().timeout, seconds(10));
}

TEST_F(SettingsOfARun, TakeTheOtherThingsOfTheCommandLine) {
  line_.execution_id = "11111111-2222-3333-4444-555555555555";
  line_.state_directory = "/somewhere";
  line_.json = true;
  line_.probe = true;
  line_.watch = true;
  const Settings settings = resolved();
  EXPECT_EQ(settings.execution_id, "11111111-2222-3333-4444-555555555555");
  EXPECT_EQ(settings.state_directory, "/somewhere");
  EXPECT_TRUE(settings.json && settings.probe && settings.watch);
}

TEST_F(SettingsOfARun, RefuseAVariableThatIsNoNumberInRange) {
  for (const char* text : {"0", "3601", "-1", "60s", " 60", "60 ", "1.5", "x", "99999999999999999999"}) {
    ::setenv(kVariable, text, 1);
    const auto settings = resolve();
    ASSERT_FALSE(settings) << text;
    EXPECT_EQ(settings.error().kind, ErrorKind::usage);
    EXPECT_THAT(settings.error().message, HasSubstr(kVariable));
  }
}

TEST_F(SettingsOfARun, TakeAnEmptyVariableForNone) {
  ::setenv(kVariable, "", 1);
  EXPECT_EQ(resolved().auto_thaw, seconds(60));
}

TEST_F(SettingsOfARun, DoNotLookAtTheVariableWhereTheFileOrTheLineDecides) {
  ::setenv(kVariable, "nonsense", 1);
  line_.auto_thaw = 5;
  EXPECT_EQ(resolved().auto_thaw, seconds(5));
  line_.auto_thaw.reset();
  configure(R"({"auto_thaw_seconds": 6})");
  EXPECT_EQ(resolved().auto_thaw, seconds(6));
}

TEST_F(SettingsOfARun, FailForABadFile) {
  configure("nonsense");
  const auto settings = resolve();
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().kind, ErrorKind::configuration);
}

TEST_F(SettingsOfARun, DoNotReadTheFileForPostScriptAndStatus) {
  configure("nonsense");
  ::setenv(kVariable, "nonsense", 1);
  line_.timeout = 3;
  for (const Command command : {Command::post_script, Command::status}) {
    line_.command = command;
    EXPECT_EQ(resolved().timeout, seconds(3));
  }
}

}  // namespace
}  // namespace dlm_freeze
