// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "fakes/fake_databases.hpp"
#include "fakes/fake_kernel.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"
#include "record/state_directory.hpp"
#include "session/client.hpp"
#include "session/plan.hpp"
#include "session/recovery.hpp"

namespace dlm_freeze {

/// How far a session has come.
enum class Step { started, prepared, quiesced, frozen, held };
inline constexpr Step kSteps[] = {Step::started, Step::prepared, Step::quiesced, Step::frozen, Step::held};
[[nodiscard]] std::string to_string(Step step);

/// The descendant of that name, which may just have been born and have no name yet.
[[nodiscard]] pid_t process_called(const std::string& name);

/// A session on fake filesystems and databases. The test process is pre-script; the watchdog, the sentinel and the
/// freezer are really forked. When a test ends, none of them may be left and nothing may be frozen or quiesced.
class SessionTest : public testing::Test {
 protected:
  using Call = fakes::FakeKernel::Call;
  using Death = fakes::FakeKernel::Death;
  using Stage = fakes::FakeDatabases::Stage;
  using Behaviour = fakes::FakeDatabases::Behaviour;
  using FilesystemId = fakes::FakeKernel::Id;
  using DatabaseId = fakes::FakeDatabases::Id;

  static constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";
  static constexpr const char* kOtherExecution = "99999999-8888-7777-6666-555555555555";

  /// The state directory is made at `state`, or else in the test's scratch directory.
  explicit SessionTest(const std::string& state = {});
  void TearDown() override;

  // Before `start`.
  FilesystemId add_filesystem(int level = 0);
  /// One that can be found in the mount table of this host, by nothing but its number: /proc.
  FilesystemId add_proc();
  DatabaseId add_database(Json::Object more = {});
  /// A device of the host with much dirty, which a session limits.
  void add_dirty_device();

  // The steps of pre-script. Each fails the test when it fails.
  void start(std::chrono::seconds auto_thaw = std::chrono::seconds(600));
  void prepare();
  void quiesce();
  void freeze();
  void commit();
  /// All of them, up to `step`.
  void go(Step step, std::chrono::seconds auto_thaw = std::chrono::seconds(600));
  /// The steps after `step`.
  void go_on_from(Step step, Step last = Step::held);

  [[nodiscard]] SessionClient& client() { return *client_; }
  [[nodiscard]] SessionPlan& plan() { return *plan_; }
  [[nodiscard]] static Deadline soon() { return Deadline::in(fakes::kSoon); }
  [[nodiscard]] static Deadline in(int milliseconds) { return Deadline::in(std::chrono::milliseconds(milliseconds)); }

  /// What is left when pre-script undoes everything.
  [[nodiscard]] std::vector<std::string> roll_back(Deadline deadline = soon()) {
    return client_->roll_back(deadline).frozen;
  }

  /// pre-script exits: all it had is closed.
  void leave();

  /// Runs `body` as pre-script in a process of its own, which is killed when it returns.
  void as_pre_script_that_dies(const std::function<void()>& body);

  /// post-script: asks for the end and waits for the session's lock. Not while this process is pre-script.
  EndRequest post_script(const std::string& execution_id = kExecution);

  [[nodiscard]] const StateDirectory& state() const { return *state_; }
  [[nodiscard]] bool is_over(std::chrono::milliseconds limit = fakes::kSoon) const;
  [[nodiscard]] SessionRecord record() const;
  [[nodiscard]] std::string problems() const;

  [[nodiscard]] static pid_t watchdog();
  [[nodiscard]] static pid_t sentinel();
  [[nodiscard]] static pid_t freezer();

  [[nodiscard]] FreezeState state_of(FilesystemId id) const { return plan_->filesystems.state(id); }
  [[nodiscard]] bool all_frozen() const;
  [[nodiscard]] bool none_frozen(std::chrono::milliseconds limit = fakes::kSoon) const;

  /// A test in which databases are released although a filesystem is stuck says so.
  void expect_calls_while_frozen() { calls_while_frozen_expected_ = true; }

  /// What stands for /sys/kernel/rcu_expedited.
  [[nodiscard]] std::string rcu_expedited() const { return fakes::content_of(scratch_ / "rcu_expedited"); }

  /// Whether the limit of that device is another than before.
  [[nodiscard]] bool is_limited() const {
    return fakes::content_of(bdi_ + "strict_limit") != "0\n" ||
           fakes::content_of(bdi_ + "max_ratio_fine") != "500000\n";
  }

  fakes::FakeKernel kernel_;
  fakes::FakeDatabases databases_{&kernel_};
  fakes::Scratch scratch_;
  std::optional<BootClock::duration> max_stall_;  ///< The longest stall that is promised; before the session starts.
  std::vector<EarlierSession> earlier_;           ///< What the record is to know of others; before the session starts.

  /// The lines of the host's log, in a file.
  [[nodiscard]] std::string syslog() const { return fakes::content_of(scratch_ / "syslog"); }

 private:
  std::optional<StateDirectory> state_;
  std::vector<FrozenFilesystems::Filesystem> filesystems_;
  std::vector<QuiescerConfig> databases_planned_;
  std::optional<SessionPlan> plan_;
  std::optional<SessionClient> client_;
  std::string bdi_ = scratch_ / "sys/class/bdi/7:0/";
  bool has_dirty_device_ = false;
  bool calls_while_frozen_expected_ = false;
};

}  // namespace dlm_freeze
