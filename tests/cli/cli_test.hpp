// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "cli/run_program.hpp"
#include "dlm_freeze/base/json.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {

/// Runs the program with a state directory and a configuration of the test's own. The configuration freezes no
/// filesystem and knows no database, unless a test says more.
class CliTest : public testing::Test {
 protected:
  static constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";
  static constexpr const char* kOtherExecution = "99999999-8888-7777-6666-555555555555";

  CliTest() {
    fakes::adopt_orphans();
    ::chmod(scratch_.path().c_str(), 0755);  // Other users read the configuration there.
    configure(R"({"filesystems": {"freeze": false}, "quiescers": []})");
  }
  ~CliTest() override { fakes::kill_descendants(); }

  void configure(const std::string& text) { config_ = scratch_.write("config.json", text); }

  /// dlm-freeze --config FILE --state-dir DIR WORDS...
  [[nodiscard]] RunOfProgram run(std::vector<std::string> words, const HowToRun& how = {}) const {
    words.insert(words.begin(), {"--config", config_, "--state-dir", state_directory()});
    return run_program_under_test(words, how);
  }

  /// The same, for what has to end with `status`.
  RunOfProgram expect(int status, const std::vector<std::string>& words, const HowToRun& how = {}) const {
    RunOfProgram run = this->run(words, how);
    EXPECT_EQ(run.exit_status, status) << run.text();
    return run;
  }

  [[nodiscard]] static Json parsed(const std::string& text) {
    auto json = Json::parse(text);
    EXPECT_TRUE(json) << json.error().message << "\n" << text;
    return json ? std::move(*json) : Json();
  }

  [[nodiscard]] std::string state_directory() const { return scratch_ / "state"; }

  fakes::Scratch scratch_;
  std::string config_;
};

/// Those that need root: a session, although it freezes nothing.
class RootCliTest : public CliTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
};

}  // namespace dlm_freeze
