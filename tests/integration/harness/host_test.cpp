// SPDX-License-Identifier: Apache-2.0
#include "host_test.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "dlm_freeze/base/json.hpp"
#include "loop_device.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr const char* kDefaultConfig = R"({"auto_thaw_seconds": 20, "quiescers": []})";

std::string binary_under_test() {
  const char* path = std::getenv("DLM_FREEZE_BINARY");
  return path != nullptr ? path : DLM_FREEZE_BINARY;
}

/// In the build tree or in an installed one.
std::filesystem::path module_beside(const std::filesystem::path& binary, const std::string& name) {
  const auto in_build_tree = binary.parent_path() / "lib/dlm-freeze" / name;
  return std::filesystem::exists(in_build_tree) ? in_build_tree : binary.parent_path() / "../lib/dlm-freeze" / name;
}

}  // namespace

void HostTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can freeze";
  if (!loop_devices_available()) GTEST_SKIP() << "this host has no loop devices";
  namespace fs = std::filesystem;
  const fs::path original = fs::canonical(binary_under_test());
  const fs::path verify_module = module_beside(original, "verify.so");
  host_mounts_ = enter_mount_namespace();
  for (const char* directory : {"/srv/bin", "/srv/etc", "/srv/images"}) fs::create_directories(directory);
  // A copy: what the original lies on may have been unmounted here, and its path says whose
  // processes are ours.
  fs::copy_file(original, binary_);
  fs::create_directories("/srv/lib/dlm-freeze");
  fs::copy_file(verify_module, "/srv/lib/dlm-freeze/verify.so");
  configure(kDefaultConfig);
  safety_.emplace(kSafetyLimit);
}

void HostTest::TearDown() {
  if (!safety_) return;
  check_host_is_clean();
  if (safety_->fired()) ADD_FAILURE() << "the safety thaw had to step in";
  kill_agents();
  if (!safety_->thaw_all()) ADD_FAILURE() << "something could not be thawed";
  probe_.collect();
  EXPECT_TRUE(all_gone());
  safety_.reset();
  for (const auto& filesystem : filesystems_) filesystem->close_directory();
  unmount_all_but(host_mounts_);
  while (!filesystems_.empty()) filesystems_.pop_back();
}

Filesystem& HostTest::add(const FilesystemSpec& spec) {
  auto& added = *filesystems_.emplace_back(std::make_unique<Filesystem>(spec));
  safety_->guard(added.directory());
  return added;
}

void HostTest::configure(const std::string& json) const {
  const bool reaches_out = json.find("\"other_namespaces\": \"freeze\"") != std::string::npos;
  const bool names_own = json.find("\"include\": [\"" + own_place()) != std::string::npos;
  if (reaches_out && !names_own) throw std::logic_error("this could freeze what other tests have: " + json);
  write_text(config_, json);
}

std::string HostTest::own_place() { return "/srv/of-" + std::to_string(::getpid()); }

std::vector<std::string> HostTest::command_line(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command{binary_, "--config", config_};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

std::unique_ptr<AgentRun> HostTest::start(const std::vector<std::string>& arguments, const RunOptions& options) const {
  return std::make_unique<AgentRun>(command_line(arguments), options);
}

RunResult HostTest::run(const std::vector<std::string>& arguments, const RunOptions& options) const {
  return start(arguments, options)->wait();
}

RunResult HostTest::expect(int expected, const std::vector<std::string>& arguments, const RunOptions& options) const {
  RunResult result = run(arguments, options);
  EXPECT_EQ(result.exit_code, expected) << testing::PrintToString(arguments) << ' ' << result.text();
  return result;
}

RunResult HostTest::expect_refused(int code, const std::string& why, const std::vector<std::string>& options) const {
  EXPECT_THAT(expect(code, {"dry-run", "--inventory", "/srv/etc/custom"}).err, testing::HasSubstr(why));
  const auto item = Json::parse(read_text("/srv/etc/custom/dlm-freeze.json"));
  const Json* content = item ? item->find("Content") : nullptr;
  if (content == nullptr || content->find("ExitCode") == nullptr) throw std::runtime_error("there is no item");
  EXPECT_EQ(*content->find("ExitCode")->as_string(), std::to_string(code));
  EXPECT_EQ(*content->find("Ready")->as_string(), "no");
  std::vector<std::string> pre_script = {"pre-script"};
  pre_script.insert(pre_script.end(), options.begin(), options.end());
  RunResult result = expect(code, pre_script);
  EXPECT_THAT(result.err, testing::HasSubstr(why));
  return result;
}

AgentProcess HostTest::process(const std::string& name) const {
  std::optional<AgentProcess> found;
  if (!eventually([&] { return (found = agent_process(binary_, name)).has_value(); }, std::chrono::seconds(8))) {
    throw std::runtime_error("no process " + name);
  }
  return std::move(*found);
}

bool HostTest::all_gone(Milliseconds limit) const {
  return eventually([&] { return processes().empty(); }, limit);
}

RunResult HostTest::kill_all_at_once(AgentRun& run) const {
  const auto kill_all = [this] {  // what they forked meanwhile too
    for (auto all = processes(); !all.empty(); all = processes()) kill_at_once(all);
  };
  kill_all();
  run.kill_group();  // it may not have been executed yet
  RunResult result = run.wait();
  kill_all();  // or was executed just then
  return result;
}

bool HostTest::rcu_is_put_back() {
  return eventually([] { return read_text("/sys/kernel/rcu_expedited") != "7\n"; }, std::chrono::seconds(2));
}

void HostTest::kill_agents() const {
  // Twice: the watchdog may fork a new sentinel between the look and the kill.
  for (int round = 0; round < 2; ++round) {
    for (const auto& process : processes()) process.signal(SIGKILL);
  }
}

void HostTest::check_host_is_clean() {
  if (!all_gone()) {
    for (const auto& process : processes()) {
      ADD_FAILURE() << "left behind: " << process.name() << ' ' << process.pid() << " in state "
                    << process_state(process.pid());
    }
  }
  for (const auto& filesystem : filesystems_) {
    EXPECT_FALSE(filesystem->thaw()) << filesystem->mount_point() << " was left frozen";
  }
}

}  // namespace dlm_freeze::integration
