// SPDX-License-Identifier: Apache-2.0
// What is mounted, or made writable, between the plan and the success of pre-script.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "harness/host_test.hpp"
#include "harness/namespace_keeper.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kSince = "mounted, or made writable, while pre-script ran";

class Changes : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    data_ = &add("ext4", "/srv/data");
    fs::create_directories("/srv/late");
  }

  /// What pre-script prints while a database runs `script` in its stage `stage`, and `exclude` is excluded.
  std::string pre_script_with(const std::string& stage, const std::string& script, const std::string& exclude = "/x") {
    write_text("/srv/bin/hook", "#!/bin/sh -e\n" + script + "\n");
    fs::permissions("/srv/bin/hook", fs::perms::owner_all);
    configure(R"({"auto_thaw_seconds": 20, "filesystems": {"exclude": [")" + exclude + R"("]},
      "quiescers": [{"type": "command", "name": "db", "prepare": [")" +
              (stage == "prepare" ? "/srv/bin/hook" : "/bin/true") + R"("], "freeze": [")" +
              (stage == "freeze" ? "/srv/bin/hook" : "/bin/true") + R"("], "thaw": ["/bin/true"]}]})");
    const auto pre = expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(*data_)) << pre.text();
    expect(0, {"post-script"});
    return pre.out;
  }

  static std::string in_namespace_of(const NamespaceKeeper& keeper, const std::string& command) {
    return "nsenter -t " + std::to_string(keeper.pid()) + " -m " + command + "\n";
  }

  const Filesystem* data_ = nullptr;
};

TEST_F(Changes, InAnotherMountNamespaceAreNamed) {
  const LoopDevice disk("/srv/images/late", std::uint64_t{64} << 20);
  run_tool({"mkfs.ext4", "-q", disk.path()});
  add({.type = "ext4", .mount_point = "/srv/archive", .flags = MS_RDONLY});
  const auto& hidden = add({.type = "ext4", .mount_point = "/srv/hidden", .flags = MS_RDONLY});
  const NamespaceKeeper keeper;
  unmount_lazily("/srv/hidden");
  const std::string there = "mounted only in another mount namespace: that of process " + std::to_string(keeper.pid());
  for (const std::string stage : {"prepare", "freeze"}) {
    const std::string out = pre_script_with(stage, in_namespace_of(keeper, "mount " + disk.path() + " /srv/late") +
                                                       in_namespace_of(keeper, "mount -o remount,rw /srv/archive") +
                                                       in_namespace_of(keeper, "mount -o remount,rw /srv/hidden"));
    EXPECT_THAT(out, HasSubstr("WARN: /srv/late (" + disk.path() + ") is not frozen: " + there)) << stage;
    EXPECT_THAT(out, HasSubstr("WARN: /srv/hidden (" + hidden.device() + ") is not frozen: " + there)) << stage;
    EXPECT_THAT(out, HasSubstr("WARN: /srv/archive is not frozen: " + std::string(kSince))) << stage;
    for (const std::string command :
         {"umount /srv/late", "mount -o remount,ro /srv/archive", "mount -o remount,ro /srv/hidden"})
      run_tool({"sh", "-c", in_namespace_of(keeper, command)});
  }
}

TEST_F(Changes, InAMountNamespaceThatIsMadeWhileDatabasesAreLockedAreNamed) {
  const LoopDevice disk("/srv/images/late", std::uint64_t{64} << 20);
  run_tool({"mkfs.ext4", "-q", disk.path()});
  const std::string out =
      pre_script_with("freeze", "setsid unshare -m --propagation private sh -c 'mount " + disk.path() +
                                    " /srv/late && echo $$ >/srv/new && mv /srv/new /srv/pid && exec sleep 30' "
                                    ">/dev/null 2>&1 </dev/null &\nwhile [ ! -e /srv/pid ]; do sleep 0.01; done");
  ::kill(std::atoi(read_text("/srv/pid").c_str()), SIGKILL);
  EXPECT_THAT(out, HasSubstr("WARN: /srv/late (" + disk.path() + ") is not frozen: mounted only in another mount"));
}

TEST_F(Changes, OfTheDeviceBelowANumberAreNamed) {
  for (const std::string name : {"n", "m"}) {
    run_tool({"truncate", "-s", "64M", "/srv/images/" + name});
    run_tool({"mkfs.ext4", "-q", "/srv/images/" + name});
    fs::create_directories("/srv/" + name);
  }
  run_tool({"mount", "-o", "loop", "/srv/images/n", "/srv/n"});
  const std::string number = mount_at("/srv/n")->device;
  const std::string out = pre_script_with("prepare", "umount /srv/n\nmount -o loop /srv/images/m /srv/m", "/srv/n");
  EXPECT_EQ(mount_at("/srv/m")->device, number) << "another program has taken it: nothing was tested";
  EXPECT_THAT(out, HasSubstr("WARN: /srv/m is not frozen: " + std::string(kSince)));
  check(::umount("/srv/m"), "umount");
}

TEST_F(Changes, OfThePlaceOfAnExcludedFilesystemAreNamed) {
  const auto& n = add("ext4", "/srv/n");
  const std::string moved = "umount -l /srv/n\nmount " + n.device() + " /srv/late";
  EXPECT_THAT(pre_script_with("prepare", moved, "/srv/n"),
              HasSubstr("WARN: /srv/late is not frozen: " + std::string(kSince)));
  EXPECT_TRUE(writable(n));
}

TEST_F(Changes, ThatTheConfigurationLeavesOutOrTheSessionHoldsAreNotNamed) {
  const LoopDevice disk("/srv/images/late", std::uint64_t{64} << 20);
  run_tool({"mkfs.ext4", "-q", disk.path()});
  fs::create_directories("/srv/again");
  const std::string out =
      pre_script_with("freeze", "mount " + disk.path() + " /srv/late\nmount --bind /srv/data /srv/again", "/srv/late");
  EXPECT_THAT(out, Not(HasSubstr("WARN: /srv/late is")));
  EXPECT_THAT(out, Not(HasSubstr("WARN: /srv/again is")));
  check(::umount("/srv/late"), "umount");
}

TEST_F(Changes, InAnotherMountNamespaceWhileOthersAreBeingFrozenAreNamed) {
  const auto& backing = add("ext4", "/srv/backing");
  const auto& slow = add({.type = "ext4", .mount_point = "/srv/slow", .image_directory = "/srv/backing/images"});
  const LoopDevice disk("/srv/images/late", std::uint64_t{64} << 20);
  run_tool({"mkfs.ext4", "-q", disk.path()});
  configure(R"({"quiescers": [], "filesystems": {"exclude": ["/srv/backing"]}})");
  const NamespaceKeeper keeper;
  slow.sync();
  backing.sync();
  backing.freeze();
  const auto pre = start({"pre-script", "--timeout", "8"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-freezer").has_value(); }, std::chrono::seconds(3)));
  sleep_for(Milliseconds(300));
  run_tool({"sh", "-c", in_namespace_of(keeper, "mount " + disk.path() + " /srv/late")});
  EXPECT_TRUE(backing.thaw());
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.out, HasSubstr("WARN: /srv/late (" + disk.path() + ") is not frozen: mounted only in another"));
  EXPECT_TRUE(frozen(slow));
  expect(0, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
