// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent.hpp"
#include "filesystem.hpp"
#include "mounts.hpp"
#include "safety_thaw.hpp"
#include "session_processes.hpp"
#include "system.hpp"
#include "write_probe.hpp"
#include "writer.hpp"

namespace dlm_freeze::integration {

/// A host of the test's own: a mount namespace with nothing to freeze in it but what the test
/// makes, the agent's binary at /srv/bin, and a safety thaw that is armed before anything is
/// frozen. When a test ends, nothing may be frozen and no process of the agent may be left:
/// TearDown checks that, then removes everything whatever happened.
class HostTest : public testing::Test {
 protected:
  /// The most a test can keep anything frozen.
  static constexpr std::chrono::seconds kSafetyLimit{40};

  void SetUp() override;
  void TearDown() override;

  /// Makes and mounts a filesystem, which the safety thaw guards from then on.
  Filesystem& add(const FilesystemSpec& spec);
  Filesystem& add(const std::string& type, const std::string& mount_point) {
    return add(FilesystemSpec{.type = type, .mount_point = mount_point});
  }

  /// A directory that no other test on this machine has, in whatever mount namespace.
  [[nodiscard]] static std::string own_place();

  /// Servers are detected, but not those in other mount namespaces: these may be the servers of other tests.
  static constexpr const char* kDetection = R"({"auto_thaw_seconds": 20, "undiscovered": "ignore"})";

  /// Replaces the configuration that runs get. Without it: no databases, auto-thaw after 20 s. Refuses one that would
  /// have the agent freeze what other mount namespaces have, unless `include` is limited to what lies in `own_place`.
  void configure(const std::string& json) const;

  /// What `start` and `run` execute: the binary with `--config` and `arguments`.
  [[nodiscard]] std::vector<std::string> command_line(const std::vector<std::string>& arguments) const;

  [[nodiscard]] std::unique_ptr<AgentRun> start(const std::vector<std::string>& arguments,
                                                const RunOptions& options = {}) const;

  /// Runs it to its end.
  RunResult run(const std::vector<std::string>& arguments, const RunOptions& options = {}) const;

  /// The same, for the commands that every test needs: the exit code has to be `expected`.
  RunResult expect(int expected, const std::vector<std::string>& arguments, const RunOptions& options = {}) const;

  /// A probe and then pre-script, with these options, have to end with that code, and both to say why; the probe's item
  /// for the inventory has to have the code. Gives the latter.
  RunResult expect_refused(int code, const std::string& why, const std::vector<std::string>& options = {}) const;

  [[nodiscard]] bool frozen(const Filesystem& filesystem) { return probe_.is_frozen(filesystem); }
  [[nodiscard]] bool writable(const Filesystem& filesystem, Milliseconds limit = Milliseconds(500)) {
    return probe_.is_writable(filesystem, limit);
  }
  [[nodiscard]] WriteProbe& probe() { return probe_; }

  /// For a test of many rounds: the safety limit counts from here.
  void restart_safety_limit() { safety_->restart(); }

  /// The process of that name; throws when there is none within eight seconds, the budget of a pre-script.
  [[nodiscard]] AgentProcess process(const std::string& name) const;
  [[nodiscard]] std::vector<AgentProcess> processes() const { return agent_processes(binary_); }

  /// Kills `run` and all processes of the agent, all of them stopped before the first is killed, so that none can
  /// react.
  [[nodiscard]] RunResult kill_all_at_once(AgentRun& run) const;

  /// Whether all processes of the agent are gone, or go within `limit`.
  [[nodiscard]] bool all_gone(Milliseconds limit = std::chrono::seconds(2)) const;

  /// Whether the kernel's RCU is not as dlm-freeze sets it for a freeze, soon: a test beside this one may be freezing.
  [[nodiscard]] static bool rcu_is_put_back();

  [[nodiscard]] const std::string& binary() const { return binary_; }
  [[nodiscard]] const std::string& config() const { return config_; }

 private:
  void kill_agents() const;
  void check_host_is_clean();

  std::string binary_ = "/srv/bin/dlm-freeze";
  std::string config_ = "/srv/etc/config.json";
  std::vector<Mount> host_mounts_;
  std::optional<SafetyThaw> safety_;
  std::vector<std::unique_ptr<Filesystem>> filesystems_;
  WriteProbe probe_;
};

}  // namespace dlm_freeze::integration
