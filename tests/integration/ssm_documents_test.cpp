// SPDX-License-Identifier: Apache-2.0
// The scripts of packaging/ssm, run as the SSM agent runs them. What else the documents have to be is checked by
// tests/packaging/check-ssm-documents.py.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "dlm_freeze/base/deadline.hpp"
#include "harness/copies.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kDlmExecution = "014bd37f-dac5-497f-8521-78803ce6c76f";
constexpr const char* kGeneral = "dlm-freeze.yaml";
constexpr const char* kGroup = "dlm-freeze-group.yaml";
constexpr const char* kCheck = "dlm-freeze-check.yaml";
constexpr const char* kOperator = "dlm-freeze-operator.yaml";

/// The text block of runCommand.
std::string script_of(const std::string& document) {
  std::istringstream lines(read_text(std::string(DLM_FREEZE_PACKAGING) + "/ssm/" + document));
  const std::string begin = "        - |";
  const std::string indent = "          ";
  std::string script;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (inside && line.starts_with(indent)) script += line.substr(indent.size()) + '\n';
    if (line == begin) inside = true;
  }
  if (script.empty()) throw std::runtime_error(document + " has no script");
  return script;
}

/// Pastes the parameters in, unquoted and unchecked, as the agent does.
std::string with_parameters(std::string script, const std::map<std::string, std::string>& parameters) {
  for (const auto& [name, value] : parameters) {
    const std::string placeholder = "{{ " + name + " }}";
    for (auto at = script.find(placeholder); at != std::string::npos; at = script.find(placeholder)) {
      script.replace(at, placeholder.size(), value);
    }
  }
  if (script.find("{{") != std::string::npos) throw std::runtime_error("a parameter is missing");
  return script;
}

/// An empty directory in /dev, which all mount namespaces share; one that is there is only hidden.
class DirectoryInDev {
 public:
  explicit DirectoryInDev(std::string path) : path_(std::move(path)), is_new_(!std::filesystem::exists(path_)) {
    mount_tmpfs(path_);
  }
  DirectoryInDev(const DirectoryInDev&) = delete;
  DirectoryInDev& operator=(const DirectoryInDev&) = delete;
  ~DirectoryInDev() {
    unmount_lazily(path_);
    std::error_code error;
    if (is_new_) std::filesystem::remove(path_, error);
  }

 private:
  std::string path_;
  bool is_new_;
};

/// The parameter is the shell that is /bin/sh on the host.
class SsmDocuments : public HostTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    mount_tmpfs("/usr/local/bin");
    std::filesystem::create_symlink(binary(), kInstalled);
    if (std::filesystem::exists("/etc/dlm-freeze")) mount_tmpfs("/etc/dlm-freeze");
    if (std::filesystem::exists("/usr/bin/dlm-freeze")) GTEST_SKIP() << "this host has a dlm-freeze of its own";
  }

  [[nodiscard]] std::unique_ptr<AgentRun> start_document(const std::string& document,
                                                         const std::map<std::string, std::string>& parameters,
                                                         int auto_thaw = 20) const {
    const std::string script = "/srv/bin/_script.sh";
    write_text(script, with_parameters(script_of(document), parameters));
    check(::chmod(script.c_str(), 0700), "chmod");
    return std::make_unique<AgentRun>(
        std::vector<std::string>{GetParam(), "-c", script},
        RunOptions{.environment = {"AUTO_THAW_DURATION_SECS=" + std::to_string(auto_thaw)}});
  }

  RunResult expect_document(int expected, const std::string& document,
                            const std::map<std::string, std::string>& parameters, int auto_thaw = 20) const {
    RunResult result = start_document(document, parameters, auto_thaw)->wait();
    EXPECT_EQ(result.exit_code, expected) << result.text();
    EXPECT_TRUE(result.end_of_file) << "somebody still holds its stdout or stderr open";
    EXPECT_LT(result.out.size() + result.err.size(), 24000U);
    return result;
  }

  RunResult expect_general(int expected, const std::string& command, const std::string& execution = kDlmExecution,
                           int auto_thaw = 20) const {
    return expect_document(expected, kGeneral, {{"command", command}, {"executionId", execution}}, auto_thaw);
  }

  static constexpr const char* kInstalled = "/usr/local/bin/dlm-freeze";
};

TEST_P(SsmDocuments, FreezeAndThawForDataLifecycleManager) {
  const auto& data = add("ext4", "/srv/data");
  for (const std::string execution : {kDlmExecution, "None"}) {
    const auto pre = expect_general(0, "pre-script", execution);
    EXPECT_THAT(pre.out, AllOf(StartsWith("INFO: pre-script starting at "), HasSubstr("executionId: " + execution)));
    EXPECT_EQ(pre.err, "");
    EXPECT_TRUE(frozen(data));
    EXPECT_EQ(expect_general(0, "post-script", execution).err, "");
    EXPECT_TRUE(writable(data));
  }
}

TEST_P(SsmDocuments, OnlySayWhatTheyWouldDoWhenRunDry) {
  const auto& data = add("ext4", "/srv/data");
  EXPECT_THAT(expect_general(0, "dry-run", "None").out, HasSubstr("/srv/data"));
  EXPECT_TRUE(writable(data));
}

TEST_P(SsmDocuments, PassTheExitCodesOn) {
  const auto& data = add("ext4", "/srv/data");
  const auto none = expect_general(205, "post-script");
  EXPECT_THAT(none.err, AllOf(StartsWith("ERROR: "), EndsWith("Return Error Code: 205\n")));
  expect_general(0, "pre-script");
  EXPECT_THAT(expect_general(204, "pre-script").err, EndsWith("Return Error Code: 204\n"));
  EXPECT_TRUE(frozen(data));
  expect_general(0, "post-script");
}

TEST_P(SsmDocuments, HoldAGroupAndReleaseNobodyElsesSession) {
  const auto& data = add("ext4", "/srv/data");
  const auto expect_group = [&](int expected, const std::string& command, const std::string& group) {
    const auto at = std::chrono::system_clock::now() + std::chrono::seconds(3);
    return expect_document(
        expected, kGroup,
        {{"command", command}, {"group", group}, {"holdAt", format_utc(at)}, {"timeout", "30"}, {"autoThaw", "20"}});
  };
  const std::string other = "00000000-0000-0000-0000-000000000000";
  EXPECT_THAT(expect_group(205, "post-script", kDlmExecution).err, EndsWith("Return Error Code: 205\n"));
  expect_general(0, "pre-script");
  EXPECT_THAT(expect_group(205, "post-script", kDlmExecution).err, HasSubstr("nothing was ended"));
  EXPECT_TRUE(frozen(data));
  expect_general(0, "post-script");

  expect_group(0, "pre-script", kDlmExecution);
  expect_group(205, "post-script", other);
  EXPECT_TRUE(frozen(data));
  EXPECT_THAT(expect_group(0, "status", kDlmExecution).out, HasSubstr(kDlmExecution));
  expect_group(0, "post-script", kDlmExecution);
  EXPECT_TRUE(writable(data));
  expect_group(0, "post-script", kDlmExecution);  // The runbook sends it twice.
}

TEST_P(SsmDocuments, CheckVolumesThatAreAttached) {
  const auto& data = add("ext4", "/srv/data");
  write_text("/srv/data/file", "x");
  expect_general(0, "pre-script");
  const std::string copy = copy_image(data, "data");
  expect_general(0, "post-script");
  const DirectoryInDev disk("/dev/disk");
  const LoopDevice device(copy, 0);
  std::filesystem::create_directories("/dev/disk/by-id");
  std::filesystem::create_symlink(device.path(),
                                  "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0");
  const std::map<std::string, std::string> volumes = {{"volumes", "vol-0123456789abcdef0"}};
  EXPECT_THAT(expect_document(0, kCheck, volumes).out,
              AllOf(StartsWith("INFO: check starting: vol-0123456789abcdef0\n"), HasSubstr("GOOD: 1 filesystem")));
  run_tool({"debugfs", "-w", "-R", "clri file", device.path()});
  EXPECT_THAT(expect_document(1, kCheck, volumes).out, HasSubstr("BAD: /srv/data"));
}

TEST_P(SsmDocuments, SayThatTheProgramIsMissing) {
  std::filesystem::remove(kInstalled);
  for (const char* command : {"pre-script", "dry-run"}) {
    const auto result = expect_general(201, command);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, AllOf(StartsWith("ERROR: dlm-freeze is not installed"), HasSubstr("nothing was frozen"),
                                  EndsWith("Return Error Code: 201\n")));
  }
  EXPECT_THAT(expect_general(202, "post-script").err,
              AllOf(StartsWith("ERROR: dlm-freeze is not installed"), HasSubstr("any more"),
                    Not(HasSubstr("nothing was frozen")), EndsWith("Return Error Code: 202\n")));
  EXPECT_THAT(expect_document(201, kOperator, {{"command", "status"}}).err, EndsWith("Return Error Code: 201\n"));
}

TEST_P(SsmDocuments, KilledInTheMiddleLeaveNothingFrozen) {
  const auto& data = add("ext4", "/srv/data");
  const auto run_time = expect_general(0, "pre-script").run_time();
  expect_general(0, "post-script");
  constexpr int kMoments = 20;
  int killed = 0;
  for (int number = 0; number < kMoments; ++number) {
    const auto pre = start_document(kGeneral, {{"command", "pre-script"}, {"executionId", kDlmExecution}}, 2);
    sleep_for(run_time * number / kMoments);
    pre->kill_group();
    const auto result = pre->wait();
    SCOPED_TRACE("moment " + std::to_string(number) + ": " + result.text());
    ASSERT_TRUE(result.end_of_file);
    if (result.exit_code == 0) {
      expect_general(0, "post-script");
    } else if (!result.exit_code) {
      ++killed;
    }
    // The deadline is for the kill between the success and the exit, of which nobody can know.
    ASSERT_TRUE(writable(data, std::chrono::seconds(4)));
    ASSERT_TRUE(all_gone(std::chrono::seconds(4)));
  }
  EXPECT_GT(killed, kMoments / 4);
}

TEST_P(SsmDocuments, KilledWhenDoneDoNotTakeTheWatchdogAlong) {
  const auto& data = add("ext4", "/srv/data");
  const auto pre = start_document(kGeneral, {{"command", "pre-script"}, {"executionId", kDlmExecution}}, 2);
  const auto group = pre->pid();
  const auto result = pre->wait();
  ASSERT_EQ(result.exit_code, 0) << result.text();
  ::kill(-group, SIGKILL);
  EXPECT_GT(process("dlm-watchdog").pid(), 0);
  EXPECT_TRUE(frozen(data));
  EXPECT_TRUE(writable(data, std::chrono::seconds(4)));
  EXPECT_TRUE(all_gone());
  expect_general(203, "post-script");
}

TEST_P(SsmDocuments, ShowOperatorsWhatGoesOn) {
  const auto& data = add("ext4", "/srv/data");
  EXPECT_THAT(expect_document(0, kOperator, {{"command", "probe"}}).out, HasSubstr("/srv/data"));
  EXPECT_THAT(expect_document(0, kOperator, {{"command", "status"}}).out, HasSubstr("No session is active"));
  expect_general(0, "pre-script");
  EXPECT_THAT(expect_document(0, kOperator, {{"command", "status"}}).out, HasSubstr("A session is active (held)"));
  const auto text = expect_document(0, kOperator, {{"command", "status-json"}}).out;
  EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  EXPECT_TRUE(frozen(data));
  expect_general(0, "post-script");
}

INSTANTIATE_TEST_SUITE_P(Under, SsmDocuments, testing::Values("dash", "bash"),
                         [](const auto& shell) { return std::string(shell.param); });

}  // namespace
}  // namespace dlm_freeze::integration
