// SPDX-License-Identifier: Apache-2.0
// A host that has no time, no memory or no processes to spare, or that asks about every open: the deadline is kept all
// the same. They take long, and make the machine busy: .ci/nightly runs them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

/// A child that works until the object ends.
class Child {
 public:
  explicit Child(const std::function<void()>& work) : parent_(::getpid()), pid_(check(::fork(), "fork")) {
    if (pid_ != 0) return;
    die_with_parent(parent_);
    for (;;) work();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t parent_;
  pid_t pid_;
};

/// A control group of version 1 or 2 for what is run by `wrapper`.
class ControlGroup {
 public:
  ControlGroup(const std::string& controller, const std::string& name)
      : is_second_(fs::exists("/sys/fs/cgroup/cgroup.controllers")),
        path_(std::string("/sys/fs/cgroup/") + (is_second_ ? "" : controller + "/") + name +
              std::to_string(::getpid())) {
    if (is_second_) write_text("/sys/fs/cgroup/cgroup.subtree_control", "+" + controller);
    fs::create_directory(path_);
  }
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;
  ~ControlGroup() {
    std::error_code ignored;
    static_cast<void>(eventually([&] { return fs::remove(path_, ignored); }, seconds(5)));
  }

  void set(const std::string& first, const std::string& second, const std::string& value) const {
    write_text(path_ + "/" + (is_second_ ? second : first), value);
  }
  void join() const { write_text(path_ + "/cgroup.procs", std::to_string(::getpid())); }
  [[nodiscard]] std::vector<std::string> wrapper() const {
    return {"/bin/sh", "-c", "echo $$ >" + path_ + "/cgroup.procs && exec \"$@\"", "sh"};
  }

 private:
  bool is_second_;
  std::string path_;
};

class HostileHost : public HostTest {
 protected:
  static constexpr seconds kAutoThaw{3};

  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    for (const char* name : {"/srv/one", "/srv/two", "/srv/three"}) {
      filesystems_.push_back(&add("ext4", name));
      writers_.push_back(std::make_unique<Writer>(*filesystems_.back()));
    }
  }
  void TearDown() override {
    writers_.clear();
    HostTest::TearDown();
  }

  /// Nobody calls post-script. Whatever pre-script comes to, nothing waits longer than a second beyond the deadline.
  RunResult expect_deadline_kept(const std::vector<std::string>& wrapper = {}) {
    restart_safety_limit();
    const auto pre = start({"pre-script", "--timeout", "20", "--auto-thaw", std::to_string(kAutoThaw.count())},
                           {.wrapper = wrapper});
    const RunResult result = pre->wait();
    const auto latest = result.exited + kAutoThaw + seconds(1);
    sleep_until(latest);
    for (std::size_t i = 0; i < writers_.size(); ++i) {
      // To be seen may take long where nobody gets a processor; when it ended is what counts.
      EXPECT_TRUE(eventually([&] { return writers_[i]->goes_on(); }, seconds(20)))
          << filesystems_[i]->mount_point() << ' ' << result.text();
      for (const Stall& stall : writers_[i]->stalls()) EXPECT_LE(stall.end, latest) << result.text();
    }
    EXPECT_TRUE(all_gone(seconds(5)));
    return result;
  }

  void expect_next_works() {
    restart_safety_limit();
    expect(0, {"pre-script", "--timeout", "20"});
    expect(0, {"post-script"});
  }

  std::vector<Filesystem*> filesystems_;
  std::vector<std::unique_ptr<Writer>> writers_;
};

TEST_F(HostileHost, HasSixtyFourProcessesThatSpin) {
  {
    std::vector<std::unique_ptr<Child>> spinning;
    for (int i = 0; i < 64; ++i) spinning.push_back(std::make_unique<Child>([] {}));
    expect_deadline_kept();
  }
  expect_next_works();
}

TEST_F(HostileHost, AsksAListenerThatWritesToWhatIsFrozenAboutEveryOpen) {
  const UniqueFd listener(::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_LARGEFILE));
  ASSERT_TRUE(listener) << "this kernel has no permission events";
  const UniqueFd log(
      check(::openat(filesystems_[0]->directory(), "listener", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "log"));
  RunResult result;
  {
    const Child daemon([&] {
      fanotify_event_metadata event{};
      if (::read(listener.get(), &event, sizeof event) < static_cast<ssize_t>(sizeof event)) return;
      static_cast<void>(!::pwrite(log.get(), "x", 1, 0));
      const fanotify_response answer{event.fd, FAN_ALLOW};
      static_cast<void>(!::write(listener.get(), &answer, sizeof answer));
      ::close(event.fd);
    });
    check(::fanotify_mark(listener.get(), FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_OPEN_PERM, AT_FDCWD, "/"),
          "fanotify_mark");
    result = expect_deadline_kept();
    check(::fanotify_mark(listener.get(), FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, AT_FDCWD, "/"), "fanotify_mark");
  }
  expect_next_works();
}

TEST_F(HostileHost, AllowsFewProcesses) {
  for (const char* most : {"4", "6", "8", "12", "20"}) {
    const ControlGroup group("pids", "dlm-freeze-few");
    group.set("pids.max", "pids.max", most);
    expect_deadline_kept(group.wrapper());
  }
  expect_next_works();
}

TEST_F(HostileHost, AllowsLittleMemoryAndKillsForIt) {
  for (const int megabytes : {4, 8, 16, 32}) {
    const ControlGroup group("memory", "dlm-freeze-little");
    group.set("memory.limit_in_bytes", "memory.max", std::to_string(megabytes << 20));
    const Child eater([&] {
      group.join();
      std::vector<std::string> eaten;
      for (;;) {
        eaten.emplace_back(std::size_t{1} << 18, 'e');
        sleep_for(Milliseconds(2));
      }
    });
    expect_deadline_kept(group.wrapper());
  }
  expect_next_works();
}

TEST_F(HostileHost, AllowsLittleTime) {
  const ControlGroup group("cpu", "dlm-freeze-slow");
  group.set("cpu.cfs_period_us", "cpu.max", fs::exists("/sys/fs/cgroup/cgroup.controllers") ? "5000 100000" : "100000");
  if (!fs::exists("/sys/fs/cgroup/cgroup.controllers")) group.set("cpu.cfs_quota_us", "", "5000");
  expect_deadline_kept(group.wrapper());
  expect_next_works();
}

}  // namespace
}  // namespace dlm_freeze::integration
