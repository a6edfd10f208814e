// SPDX-License-Identifier: Apache-2.0
// What each process of a session may do, as the kernel tells it; docs/security.md has the lists.
#include "base/privileges.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <initializer_list>
#include <string>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

/// The fields of a /proc/PID/status that tell it.
struct Rights {
  std::uint64_t effective = 0;
  std::uint64_t permitted = 0;
  std::uint64_t bounding = 0;
  bool gains_none = false;   ///< By an exec.
  bool is_filtered = false;  ///< Its system calls.
};

class PrivilegesWhile : public HostTest {
 protected:
  [[nodiscard]] Rights rights_of(const std::string& name) const {
    return rights_in(read_text("/proc/" + std::to_string(process(name).pid()) + "/status"));
  }

  [[nodiscard]] static Rights rights_in(const std::string& status) {
    const auto field = [&](const std::string& key) {
      const std::size_t begin = status.find(key + ":\t") + key.size() + 2;
      return status.substr(begin, status.find('\n', begin) - begin);
    };
    const auto set = [&](const std::string& key) { return std::stoull(field(key), nullptr, 16); };
    return {set("CapEff"), set("CapPrm"), set("CapBnd"), field("NoNewPrivs") == "1", field("Seccomp") == "2"};
  }

  enum class Seen { nothing, something, nobody_looked };

  /// What a process that has become another by `change` can see of `pid` as a debugger does.
  template <typename Change>
  [[nodiscard]] static Seen seen_by(Change change, pid_t pid) {
    const pid_t parent = ::getpid();
    const pid_t looking = check(::fork(), "fork");
    if (looking == 0) {
      die_with_parent(parent);
      if (!change()) ::_exit(static_cast<int>(Seen::nobody_looked));
      const bool is_seized = ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0;
      const bool is_read = ::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC) >= 0;
      ::_exit(static_cast<int>(is_seized || is_read ? Seen::something : Seen::nothing));
    }
    int status = 0;
    check(::waitpid(looking, &status, 0), "waitpid");
    return WIFEXITED(status) ? static_cast<Seen>(WEXITSTATUS(status)) : Seen::nobody_looked;
  }

  [[nodiscard]] static std::uint64_t set_of(std::initializer_list<int> capabilities) {
    std::uint64_t set = 0;
    for (const int capability : capabilities) set |= std::uint64_t{1} << static_cast<unsigned>(capability);
    return set;
  }
};

TEST_F(PrivilegesWhile, AFreezeHangsAreThoseToFreezeForTheFreezer) {
  add("ext4", "/srv/other");
  auto& backing = add("ext4", "/srv/backing");
  auto& hanging = add({.type = "ext4", .mount_point = "/srv/hanging", .image_directory = "/srv/backing/images"});
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"exclude": ["/srv/backing"]}})");
  hanging.sync();
  backing.sync();
  backing.freeze();
  const auto pre = start({"pre-script", "--timeout", "3"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-freezer").has_value(); }, std::chrono::seconds(3)));
  EXPECT_TRUE(eventually([&] { return rights_of("dlm-freezer").is_filtered; }, std::chrono::seconds(2)));
  const Rights freezer = rights_of("dlm-freezer");
  EXPECT_EQ(freezer.effective, set_of({CAP_SYS_ADMIN}));
  EXPECT_EQ(freezer.permitted, set_of({CAP_SYS_ADMIN}));
  EXPECT_EQ(freezer.bounding, set_of({CAP_SYS_ADMIN}));
  EXPECT_TRUE(freezer.gains_none);
  EXPECT_EQ(pre->wait().exit_code, 201);
  EXPECT_TRUE(backing.thaw());
  EXPECT_TRUE(all_gone());
}

TEST_F(PrivilegesWhile, FilesystemsAloneAreHeldAreThoseToThaw) {
  add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  for (const char* name : {"dlm-watchdog", "dlm-sentinel"}) {
    const Rights rights = rights_of(name);
    EXPECT_EQ(rights.effective, set_of({CAP_SYS_ADMIN, CAP_IPC_LOCK, CAP_DAC_OVERRIDE})) << name;
    EXPECT_EQ(rights.permitted, rights.effective) << name;
    EXPECT_EQ(rights.bounding, rights.effective) << name;
    EXPECT_TRUE(rights.gains_none) << name;
    EXPECT_TRUE(rights.is_filtered) << name;
  }
  expect(0, {"post-script"});
}

TEST_F(PrivilegesWhile, SomethingIsHeldLetNobodyButRootLookIntoItsProcesses) {
  add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  const auto become_nobody = [] {
    constexpr uid_t kNobody = 65534;
    return ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
  };
  // As a process with the same rights, which could if they were dumpable (ptrace(2)).
  const auto become_like_them = [] {
    keep_capabilities_for_good({CAP_SYS_ADMIN, CAP_IPC_LOCK, CAP_DAC_OVERRIDE});
    return true;
  };
  for (const char* name : {"dlm-watchdog", "dlm-sentinel"}) {
    EXPECT_EQ(seen_by(become_nobody, process(name).pid()), Seen::nothing) << name;
    EXPECT_EQ(seen_by(become_like_them, process(name).pid()), Seen::nothing) << name;
  }
  expect(0, {"post-script"});
}

TEST_F(PrivilegesWhile, ADatabaseIsHeldAreThoseToReleaseItAndItsProgramsHaveAllThatRootHas) {
  add("ext4", "/srv/data");
  const std::string before = read_text("/proc/self/status");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "command", "name": "db",
    "freeze": ["/bin/true"], "thaw": ["/bin/cp", "/proc/self/status", "/run/thaw-status"]}]})");
  expect(0, {"pre-script"});
  for (const char* name : {"dlm-watchdog", "dlm-sentinel"}) {
    const Rights rights = rights_of(name);
    EXPECT_EQ(rights.effective, set_of({CAP_SYS_ADMIN, CAP_IPC_LOCK, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,
                                        CAP_SYS_PTRACE, CAP_SETUID, CAP_SETGID, CAP_CHOWN, CAP_FOWNER, CAP_KILL}))
        << name;
    EXPECT_FALSE(rights.gains_none) << name;
    EXPECT_FALSE(rights.is_filtered) << name;
  }
  expect(0, {"post-script"});
  const Rights program = rights_in(read_text("/run/thaw-status"));
  const Rights own = rights_in(before);
  EXPECT_EQ(program.effective, own.effective);
  EXPECT_EQ(program.bounding, own.bounding);
  EXPECT_FALSE(program.gains_none);
  EXPECT_FALSE(program.is_filtered);
}

TEST_F(PrivilegesWhile, TheWatchdogsWorkIsDoneByTheSentinelSufficeForThat) {
  const auto& data = add("ext4", "/srv/data");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "command", "name": "db",
    "freeze": ["/bin/true"], "thaw": ["/bin/cp", "/proc/self/status", "/run/thaw-status"]}]})");
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_TRUE(writable(data, std::chrono::seconds(3)));
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(rights_in(read_text("/run/thaw-status")).effective, rights_in(read_text("/proc/self/status")).effective);
  expect(202, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
