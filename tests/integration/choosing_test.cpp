// SPDX-License-Identifier: Apache-2.0
// Which filesystems are frozen, on mounts as they are found on real hosts.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;

class Choosing : public HostTest {
 protected:
  /// Runs pre-script, looks at what is frozen, runs post-script.
  void expect_frozen(const std::vector<const Filesystem*>& expected,
                     const std::vector<const Filesystem*>& not_expected) {
    const auto pre = expect(0, {"pre-script"});
    for (const auto* filesystem : expected) {
      EXPECT_TRUE(frozen(*filesystem)) << filesystem->mount_point() << '\n' << pre.text();
    }
    for (const auto* filesystem : not_expected) {
      EXPECT_TRUE(writable(*filesystem)) << filesystem->mount_point() << '\n' << pre.text();
    }
    expect(0, {"post-script"});
    for (const auto* filesystem : expected) EXPECT_TRUE(writable(*filesystem)) << filesystem->mount_point();
  }

  /// The line of pre-script's output that warns of `mount_point`.
  static std::string warning_about(const std::string& mount_point) {
    return "(.|\n)*WARN: [^\n]*" + mount_point + "(.|\n)*";
  }
};

/// A filesystem made by the harness, or any other directory, looked at through a descriptor.
UniqueFd open_directory(const std::string& path) {
  return UniqueFd(check(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), path));
}

TEST_F(Choosing, TakesAFilesystemThatIsMountedTwiceOnce) {
  const auto& data = add("ext4", "/srv/data");
  data.mount_also("/srv/again");
  bind_mount("/srv/data", "/srv/bound");
  std::filesystem::create_directories("/srv/data/below");
  bind_mount("/srv/data/below", "/srv/bound-below");
  expect_frozen({&data}, {});
}

TEST_F(Choosing, TakesTwoSubvolumesOfOneBtrfsOnce) {
  const auto& pool = add("btrfs", "/srv/pool");
  run_tool({"btrfs", "subvolume", "create", "/srv/pool/one"});
  run_tool({"btrfs", "subvolume", "create", "/srv/pool/two"});
  pool.mount_also("/srv/one", "subvol=/one");
  pool.mount_also("/srv/two", "subvol=/two");
  unmount_lazily("/srv/pool");
  expect_frozen({&pool}, {});
}

TEST_F(Choosing, NeverTakesABindMountOfTheRootFilesystem) {
  const auto& data = add("ext4", "/srv/data");
  bind_mount("/", "/srv/root");
  bind_mount("/usr", "/srv/usr");
  // Somewhere on the root filesystem that is surely no mount of its own.
  std::string scratch = "/dlm-freeze-test-XXXXXX";
  ASSERT_NE(::mkdtemp(scratch.data()), nullptr);
  const UniqueFd root_scratch = open_directory(scratch);

  expect(0, {"pre-script"});
  EXPECT_TRUE(probe().is_writable(root_scratch.get()));
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});

  std::filesystem::remove_all(scratch);
}

TEST_F(Choosing, NeverTakesBootOrAnythingBelowIt) {
  ASSERT_TRUE(std::filesystem::is_directory("/boot"));
  const auto& boot = add("ext4", "/boot");
  const auto& efi = add("ext4", "/boot/efi");
  const auto& data = add("ext4", "/srv/data");
  expect_frozen({&data}, {&boot, &efi});
}

TEST_F(Choosing, TakesPathsThatOnlyContainBoot) {
  const auto& bootstrap = add("ext4", "/srv/bootstrap");
  const auto& reboot = add("ext4", "/srv/a/boot");
  expect_frozen({&bootstrap, &reboot}, {});
}

TEST_F(Choosing, PassesOverSquashfs) {
  const auto& data = add("ext4", "/srv/data");
  std::filesystem::create_directories("/srv/snap");
  run_tool({"mksquashfs", "/srv/etc", "/srv/images/snap.squashfs", "-quiet", "-no-progress"});
  const LoopDevice loop("/srv/images/snap.squashfs", 0);
  check(::mount(loop.path().c_str(), "/srv/snap", "squashfs", MS_RDONLY, nullptr), "mount squashfs");
  expect_frozen({&data}, {});
}

TEST_F(Choosing, PassesOverWhatIsMountedReadOnly) {
  const auto& data = add("ext4", "/srv/data");
  const auto& archive = add("ext4", "/srv/archive");
  check(::mount(nullptr, "/srv/archive", nullptr, MS_REMOUNT | MS_RDONLY, nullptr), "remount read-only");
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(data));
  EXPECT_FALSE(archive.thaw()) << "a read-only filesystem was frozen";
  expect(0, {"post-script"});
}

TEST_F(Choosing, TakesAWritableFilesystemThatAlsoHasAReadOnlyMount) {
  const auto& data = add("ext4", "/srv/data");
  std::filesystem::create_directories("/srv/view");
  check(::mount("/srv/data", "/srv/view", nullptr, MS_BIND, nullptr), "bind");
  check(::mount(nullptr, "/srv/view", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), "remount read-only");
  expect_frozen({&data}, {});
}

TEST_F(Choosing, IsNotDisturbedBySwap) {
  const auto& data = add("ext4", "/srv/data");
  const LoopDevice loop("/srv/images/swap", std::uint64_t{1} << 20);
  run_tool({"mkswap", loop.path()});
  // Where the kernel has no swap there is nothing to be disturbed by, and the rest holds all the
  // same.
  const bool swapping = ::swapon(loop.path().c_str(), 0) == 0;
  expect_frozen({&data}, {});
  if (swapping) check(::swapoff(loop.path().c_str()), "swapoff");
}

TEST_F(Choosing, TakesMountPointsWithBlankBackslashTabNewlineAndNonAscii) {
  expect_frozen({&add("ext4", "/srv/with blank"), &add("ext4", "/srv/back\\slash"), &add("ext4", "/srv/back\\040slash"),
                 &add("ext4", "/srv/tab\there"), &add("ext4", "/srv/new\nline"), &add("ext4", "/srv/Größe-数据"),
                 &add("ext4", "/srv/not-utf8-\xff"), &add("ext4", "/srv/#hash")},
                {});
}

TEST_F(Choosing, PassesOverAMountPointThatAnotherMountHidesAndSaysSo) {
  const auto& hidden = add("ext4", "/srv/data");
  const auto& on_top = add("ext4", "/srv/data");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(on_top));
  EXPECT_TRUE(writable(hidden));
  EXPECT_THAT(pre.out, MatchesRegex(warning_about("/srv/data")));
  expect(0, {"post-script"});
}

TEST_F(Choosing, PassesOverAMountBelowAHiddenDirectory) {
  const auto& hidden = add("ext4", "/srv/parent/data");
  const auto& data = add("ext4", "/srv/other");
  mount_tmpfs("/srv/parent");
  expect_frozen({&data}, {&hidden});
}

TEST_F(Choosing, TakesAHiddenFilesystemByAnotherMountOfIt) {
  const auto& data = add("ext4", "/srv/data");
  data.mount_also("/srv/visible");
  mount_tmpfs("/srv/data");
  expect_frozen({&data}, {});
}

TEST_F(Choosing, ProtectsTheFilesystemsOfTheSsmAgentAndSaysSo) {
  const auto& data = add("ext4", "/srv/data");
  mount_tmpfs("/var/lib");
  mount_tmpfs("/var/log");
  const auto& lib = add("ext4", "/var/lib/amazon/ssm");
  const auto& log = add("xfs", "/var/log/amazon");
  std::filesystem::create_directories("/var/log/amazon/ssm");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(data));
  EXPECT_TRUE(writable(lib));
  EXPECT_TRUE(writable(log));
  EXPECT_THAT(pre.out, AllOf(MatchesRegex(warning_about("/var/lib/amazon/ssm")),
                             MatchesRegex(warning_about("/var/log/amazon"))));
  expect(0, {"post-script"});
}

TEST_F(Choosing, RefusesToKeepItsStateWhereAWriteMayWait) {
  const auto& data = add("ext4", "/srv/data");
  const auto& state = add("ext4", "/srv/state");
  const auto refused = expect(201, {"--state-dir", "/srv/state/dlm-freeze", "pre-script"});
  EXPECT_THAT(refused.err,
              HasSubstr("the state directory /srv/state/dlm-freeze lies on a filesystem that may be frozen"));
  EXPECT_TRUE(writable(data));
  EXPECT_TRUE(writable(state));
}

TEST_F(Choosing, RefusesToKeepItsStateWhereNothingCanBeWritten) {
  const auto& data = add("ext4", "/srv/data");
  run_tool({"mkdir", "/srv/state"});
  for (const char* option : {"ro", "size=64k", "nr_inodes=4"}) {
    SCOPED_TRACE(option);
    run_tool({"mount", "-t", "tmpfs", "-o", option, "tmpfs", "/srv/state"});
    for (const auto& command :
         {std::vector<std::string>{"dry-run", "--probe"}, std::vector<std::string>{"pre-script"}}) {
      std::vector<std::string> arguments = {"--state-dir", "/srv/state/dlm-freeze"};
      arguments.insert(arguments.end(), command.begin(), command.end());
      EXPECT_THAT(expect(201, arguments).err, HasSubstr("/srv/state/dlm-freeze"));
    }
    run_tool({"umount", "/srv/state"});
  }
  EXPECT_TRUE(writable(data));
}

TEST_F(Choosing, RefusesAHookThatCannotBeRun) {
  const auto& data = add("ext4", "/srv/data");
  mount_tmpfs("/srv/hooks");
  std::filesystem::copy_file("/bin/true", "/srv/hooks/release");
  check(::mount(nullptr, "/srv/hooks", nullptr, MS_REMOUNT | MS_NOEXEC, nullptr), "remount noexec");
  configure(
      R"({"quiescers": [{"type": "command", "name": "app", "freeze": ["/bin/true"], "thaw": ["/srv/hooks/release"]}]})");
  const std::string why =
      "app: thaw: /srv/hooks/release cannot be executed: chmod +x it, or move it from a mount with noexec";
  EXPECT_THAT(expect(1, {"dry-run", "--probe"}).err, HasSubstr(why));
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr(why));
  EXPECT_TRUE(writable(data));
}

TEST_F(Choosing, ReadsTheWholeConfigurationOrNothingOfIt) {
  const auto& data = add("ext4", "/srv/data");
  using namespace std::string_literals;
  configure("{\"quiescers\": []}\0, \"filesystems\": {\"exclude\": [\"/srv/data\"]}}"s);
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("line 1: this is not JSON: a NUL byte"));
  configure(R"({"quiescers": [], "filesystems": {"exclude": ["/srv/data\u0000-of-another"]}})");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("line 1: a string must not hold a NUL character"));
  EXPECT_TRUE(writable(data));
}

TEST_F(Choosing, FollowsExcludeAndInclude) {
  const auto& sql = add("ext4", "/srv/sql");
  const auto& sql_log = add("ext4", "/srv/sql-log");
  const auto& home = add("ext4", "/srv/home");

  configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"exclude": ["/srv/home"]}})");
  expect_frozen({&sql, &sql_log}, {&home});
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"include": ["/srv/sql*"]}})");
  expect_frozen({&sql, &sql_log}, {&home});
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20,
                "filesystems": {"include": ["/srv/sql*"], "exclude": ["/srv/sql-log"]}})");
  expect_frozen({&sql}, {&sql_log, &home});
}

TEST_F(Choosing, FreezesNothingWhenToldSo) {
  const auto& data = add("ext4", "/srv/data");
  configure(R"({"quiescers": [], "filesystems": {"freeze": false}})");
  expect_frozen({}, {&data});
}

TEST_F(Choosing, NeverTouchesAFuseMountWhoseServerDoesNotAnswer) {
  const auto& data = add("ext4", "/srv/data");
  const UniqueFd server(check(::open("/dev/fuse", O_RDWR | O_CLOEXEC), "/dev/fuse"));
  std::filesystem::create_directories("/srv/dead");
  const std::string options = "fd=" + std::to_string(server.get()) + ",rootmode=40000,user_id=0,group_id=0";
  check(::mount("dead", "/srv/dead", "fuse", 0, options.c_str()), "mount fuse");
  expect_frozen({&data}, {});
}

TEST_F(Choosing, NeverTouchesAMountPointThatWouldWaitForItsAutomounterOnAutofs) {
  if (read_text("/proc/filesystems").find("\tautofs\n") == std::string::npos)
    GTEST_SKIP() << "no autofs in this kernel";
  const auto& data = add("ext4", "/srv/data");
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
  const UniqueFd requests(ends[0]);
  const UniqueFd to_automounter(ends[1]);
  std::filesystem::create_directories("/srv/stale");
  const std::string options = "fd=" + std::to_string(to_automounter.get()) + ",pgrp=" + std::to_string(::getpgrp()) +
                              ",minproto=5,maxproto=5,direct";
  check(::mount("automount", "/srv/stale", "autofs", 0, options.c_str()), "mount autofs");
  expect_frozen({&data}, {});
  ASSERT_EQ(::fcntl(requests.get(), F_SETFL, O_NONBLOCK), 0);
  char request = 0;
  EXPECT_EQ(::read(requests.get(), &request, 1), -1) << "the mount point was touched";
}

TEST_F(Choosing, PassesOverAMountPointThatIsTooDeepForAPathAndSaysSo) {
  const auto& data = add("ext4", "/srv/data");
  const auto& deep = add("ext4", "/srv/deep/disk");
  // Moving what is above it makes its path longer than PATH_MAX.
  const std::string name(250, 'x');
  UniqueFd at = open_directory("/srv");
  for (int i = 0; i < 17; ++i) {
    check(::mkdirat(at.get(), name.c_str(), 0700), "mkdirat");
    at = UniqueFd(check(::openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "openat"));
  }
  check(::renameat(AT_FDCWD, "/srv/deep", at.get(), "deep"), "renameat");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(data)) << pre.text();
  EXPECT_TRUE(writable(deep));
  EXPECT_THAT(pre.out, HasSubstr("is not frozen: cannot open /srv/xxx"));
  expect(0, {"post-script"});
  check(::renameat(at.get(), "deep", AT_FDCWD, "/srv/deep"), "renameat");
}

TEST_F(Choosing, IsNotDisturbedByWhatIsMountedOverTheRoot) {
  const auto& data = add("ext4", "/srv/data");
  check(::mount("/", "/", nullptr, MS_BIND, nullptr), "bind / on /");
  expect_frozen({&data}, {});
}

TEST_F(Choosing, HoldsWithFortyFilesystems) {
  std::vector<const Filesystem*> all;
  for (int i = 0; i < 40; ++i) all.push_back(&add("ext4", "/srv/data" + std::to_string(i)));
  expect(0, {"pre-script"});
  for (const auto* filesystem : all) EXPECT_TRUE(filesystem->thaw()) << filesystem->mount_point() << " was not frozen";
  expect(202, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
