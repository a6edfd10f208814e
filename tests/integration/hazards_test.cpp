// SPDX-License-Identifier: Apache-2.0
// What of this host a freeze may do harm to, as dry-run --probe tells.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class Hazards : public HostTest {
 protected:
  [[nodiscard]] std::string probed() const { return expect(0, {"dry-run", "--probe", "--all"}).out; }

  /// A program that has `file` open for writing, until it is killed.
  static std::unique_ptr<AgentRun> writer_of(const std::string& file, const std::string& program,
                                             const std::vector<std::string>& environment = {}) {
    const std::string script = "exec 3>" + file + "; exec " + program + " 60";
    auto run = std::make_unique<AgentRun>(std::vector<std::string>{"/bin/sh", "-c", script},
                                          RunOptions{.environment = environment});
    const std::string command = "/proc/" + std::to_string(run->pid()) + "/comm";
    const std::string name = fs::path(program).filename().string() + "\n";
    EXPECT_TRUE(eventually([&] { return read_text(command) == name; }, std::chrono::seconds(5)));
    return run;
  }
};

TEST_F(Hazards, AreAProgramThatDecidesOnOpens) {
  add("ext4", "/srv/data");
  add("xfs", "/srv/other");
  const UniqueFd listener(::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(listener) << "this kernel has no fanotify";
  const auto mark = [&](unsigned what, const char* path) {
    return ::fanotify_mark(listener.get(), FAN_MARK_ADD | what, FAN_OPEN_PERM, AT_FDCWD, path);
  };
  const std::string warning = "(process " + std::to_string(::getpid()) + "): it approves every open of a file on ";
  EXPECT_THAT(probed(), Not(HasSubstr(warning)));
  check(mark(FAN_MARK_MOUNT, "/srv/data"), "mark a mount");
  EXPECT_THAT(probed(), HasSubstr(warning + "/srv/data: "));
  check(mark(FAN_MARK_FILESYSTEM, "/srv/other"), "mark a filesystem");
  EXPECT_THAT(probed(), HasSubstr(warning + "/srv/data, /srv/other: "));
  const auto json = nlohmann::json::parse(expect(0, {"dry-run", "--probe", "--json"}).out, nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_THAT(json["hazards"].dump(), HasSubstr("\"fanotify\""));
}

TEST_F(Hazards, AreAServiceThatSystemdWouldEnd) {
  add("ext4", "/srv/data");
  const auto service = writer_of("/srv/data/journal", "/bin/sleep", {"WATCHDOG_USEC=5000000"});
  const std::string who = "WARN: sleep (process " + std::to_string(service->pid()) + "): systemd kills it";
  EXPECT_THAT(probed(), AllOf(HasSubstr(who), HasSubstr("it may block while /srv/data/journal is frozen")));
  service->kill_group();
  static_cast<void>(service->wait());
  EXPECT_THAT(probed(), Not(HasSubstr(who)));
}

TEST_F(Hazards, AreALogDaemonThatWritesToWhatIsFrozen) {
  add("ext4", "/srv/data");
  fs::copy_file("/bin/sleep", "/srv/bin/rsyslogd");
  const auto daemon = writer_of("/srv/data/messages", "/srv/bin/rsyslogd");
  EXPECT_THAT(probed(), HasSubstr("WARN: rsyslogd (process " + std::to_string(daemon->pid()) +
                                  "): it writes to /srv/data/messages, which will be frozen"));
  daemon->kill_group();
  static_cast<void>(daemon->wait());
}

TEST_F(Hazards, AreAFullRun) {
  add("ext4", "/srv/data");
  EXPECT_THAT(probed(), Not(HasSubstr("nearly full")));
  check(::mount(nullptr, "/run", nullptr, MS_REMOUNT | MS_NOSUID | MS_NODEV, "size=1m"), "shrink /run");
  EXPECT_THAT(probed(), ContainsRegex("WARN: the filesystem of /run/dlm-freeze is nearly full: .* are left"));
}

TEST_F(Hazards, DoNotChangeTheExitCodeAndAreNotLookedForWithoutTheProbe) {
  add("ext4", "/srv/data");
  configure(R"({"auto_thaw_seconds": 5, "quiescers": []})");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, HasSubstr("WARN: the deadline is after 5 s"));
  EXPECT_THAT(expect(0, {"dry-run"}).out, Not(HasSubstr("WARN: the deadline is after 5 s")));
}

}  // namespace
}  // namespace dlm_freeze::integration
