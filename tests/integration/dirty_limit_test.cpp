// SPDX-License-Identifier: Apache-2.0
// While somebody dirties memory without pause: the limit on it, and that it is taken away whatever happens.
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;
constexpr std::size_t kRewritten = 400;  // MiB

/// A process that rewrites a file in place as fast as memory goes.
class Rewriter {
 public:
  explicit Rewriter(const std::string& path) : process_(check(::fork(), "fork")) {
    if (process_ != 0) return;
    const std::string block(kMebi, 'x');
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (std::size_t i = 0; fd >= 0; i = (i + 1) % kRewritten)
      static_cast<void>(!::pwrite(fd, block.data(), block.size(), static_cast<off_t>(i * kMebi)));
    ::_exit(1);
  }
  Rewriter(const Rewriter&) = delete;
  Rewriter& operator=(const Rewriter&) = delete;
  ~Rewriter() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }

 private:
  pid_t process_;
};

bool has_exited(const AgentRun& run) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(run.pid()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

class DirtyLimit : public HostTest, public testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    static_cast<void>(!::mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr));  // Unless it is there already.
  }

  /// A filesystem on a device past whose image nothing is cached, and a process that keeps it busy.
  void use(const std::string& type) {
    filesystem_ = &add({.type = type, .mount_point = "/srv/data", .size = 1536 * kMebi});
    const std::string& device = filesystem_->device();
    const UniqueFd fd(::open(device.c_str(), O_RDWR | O_CLOEXEC));
    check(::ioctl(fd.get(), LOOP_SET_DIRECT_IO, 1UL), "LOOP_SET_DIRECT_IO");
    bdi_ = "/sys/class/bdi/" + name_of_bdi(device.substr(std::string("/dev/").size())) + "/";
    if (::access((bdi_ + "strict_limit").c_str(), W_OK) != 0) GTEST_SKIP() << "needs Linux 6.2";
    // An administrator's.
    write_text(bdi_ + "max_ratio", "80");
    before_ = values();
    rewriter_.emplace("/srv/data/rewritten");
    sleep_for(std::chrono::seconds(1));
  }
  void TearDown() override {
    rewriter_.reset();
    // A loop device keeps what is set, for whoever has it next.
    if (std::filesystem::exists(bdi_ + "max_ratio")) write_text(bdi_ + "max_ratio", "100");
    HostTest::TearDown();
  }

  [[nodiscard]] static std::string name_of_bdi(const std::string& device) {
    namespace fs = std::filesystem;
    if (fs::exists("/sys/fs/btrfs")) {
      for (const auto& entry : fs::directory_iterator("/sys/fs/btrfs")) {
        if (fs::exists(entry.path() / "devices" / device)) return fs::read_symlink(entry.path() / "bdi").filename();
      }
    }
    std::string number = read_text("/sys/class/block/" + device + "/dev");
    number.pop_back();
    return number;
  }
  [[nodiscard]] std::string values() const {
    return read_text(bdi_ + "strict_limit") + read_text(bdi_ + "max_ratio_fine");
  }
  [[nodiscard]] bool is_limited() const { return values() != before_; }
  /// Starts pre-script and comes back when the limit is set. Whether it pays is decided in the first milliseconds, and
  /// on a busy machine the rewriter may not have been at work in these: then once more.
  [[nodiscard]] std::unique_ptr<AgentRun> start_limited() {
    for (int attempt = 0; attempt < 25; ++attempt) {
      restart_safety_limit();
      auto pre = start({"pre-script"});
      if (eventually([&] { return is_limited() || has_exited(*pre); }, std::chrono::seconds(5)) && is_limited())
        return pre;
      static_cast<void>(pre->wait());
      run({"post-script"});
      sleep_for(Milliseconds(300));
    }
    throw std::runtime_error("no limit was set in 25 attempts");
  }
  [[nodiscard]] bool is_put_back() const {
    return eventually([this] { return !is_limited(); }, std::chrono::seconds(3));
  }

  const Filesystem* filesystem_ = nullptr;
  std::string bdi_;
  std::string before_;
  std::optional<Rewriter> rewriter_;
};

TEST_P(DirtyLimit, IsGoneWhenPreScriptHasSucceeded) {
  use(GetParam());
  if (IsSkipped()) return;
  const auto pre = start_limited();
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_FALSE(is_limited());
  EXPECT_TRUE(frozen(*filesystem_));
  expect(0, {"post-script"});
  EXPECT_FALSE(is_limited());
}

TEST_P(DirtyLimit, IsGoneAfterTheDeathOfTheCallersGroup) {
  use(GetParam());
  if (IsSkipped()) return;
  const auto pre = start_limited();
  pre->kill_group();
  static_cast<void>(pre->wait());
  EXPECT_TRUE(is_put_back());
  EXPECT_TRUE(all_gone(std::chrono::seconds(8)));
}

TEST_P(DirtyLimit, IsGoneAfterTheDeathOfAnyProcess) {
  use(GetParam());
  if (IsSkipped()) return;
  for (const std::string name : {"dlm-watchdog", "dlm-freezer", "dlm-sentinel"}) {
    SCOPED_TRACE(name);
    restart_safety_limit();
    const auto pre = start_limited();
    EXPECT_TRUE(process(name).signal(SIGKILL));
    const auto result = pre->wait();
    EXPECT_TRUE(result.exit_code == 0 || result.exit_code == 201) << result.text();
    EXPECT_FALSE(is_limited());
    if (result.exit_code == 0) run({"post-script"});
    ASSERT_TRUE(all_gone(std::chrono::seconds(8)));
  }
}

TEST_P(DirtyLimit, OfASessionThatLostAllProcessesIsGoneAfterTheNextCommand) {
  use(GetParam());
  if (IsSkipped()) return;
  for (const bool by_post_script : {true, false}) {
    restart_safety_limit();
    const auto pre = start_limited();
    static_cast<void>(kill_all_at_once(*pre));
    ASSERT_TRUE(all_gone(std::chrono::seconds(8)));
    EXPECT_TRUE(is_limited()) << "there was nobody to lift it";
    if (by_post_script) {
      expect(202, {"post-script"});
    } else {
      expect(0, {"pre-script"});
      expect(0, {"post-script"});
    }
    EXPECT_FALSE(is_limited());
  }
}

TEST_P(DirtyLimit, IsGoneAtTheDeadline) {
  configure(R"({"auto_thaw_seconds": 1, "quiescers": [{"type": "command", "name": "slow",
               "freeze": ["/bin/sleep", "4"], "thaw": ["/bin/true"]}]})");
  use(GetParam());
  if (IsSkipped()) return;
  const auto pre = start_limited();
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_FALSE(is_limited());
}

TEST_P(DirtyLimit, IsNoneWhereTheConfigurationSaysSo) {
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [], "dirty_limit": "none"})");
  use(GetParam());
  if (IsSkipped()) return;
  const auto pre = start({"pre-script"});
  EXPECT_FALSE(eventually([&] { return is_limited() || has_exited(*pre); }, std::chrono::seconds(8)) && is_limited());
  const auto result = pre->wait();
  if (result.exit_code == 0) expect(0, {"post-script"});
}

INSTANTIATE_TEST_SUITE_P(On, DirtyLimit, testing::Values("ext4", "xfs", "btrfs"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace dlm_freeze::integration
