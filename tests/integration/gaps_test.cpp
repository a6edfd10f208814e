// SPDX-License-Identifier: Apache-2.0
// Nothing that can be written is passed over in silence, and nothing is frozen that holds up what must go on.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Gaps : public HostTest {
 protected:
  /// A session in which exactly `expected` are frozen, of which dry-run has said no better before. What pre-script
  /// printed.
  std::string expect_frozen(const std::vector<const Filesystem*>& expected,
                            const std::vector<const Filesystem*>& not_expected = {}) {
    const auto dry = nlohmann::json::parse(expect(0, {"dry-run", "--probe", "--json"}).out, nullptr, false);
    const auto pre = expect(0, {"pre-script"});
    EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
    const bool has_gaps = pre.out.find(" is not frozen: ") != std::string::npos;
    EXPECT_FALSE(has_gaps && dry["consistency"]["answer"] == "yes") << pre.out << dry.dump();
    for (const auto* filesystem : expected) {
      EXPECT_TRUE(frozen(*filesystem)) << filesystem->mount_point() << '\n' << pre.text();
    }
    for (const auto* filesystem : not_expected) {
      EXPECT_TRUE(writable(*filesystem)) << filesystem->mount_point() << '\n' << pre.text();
    }
    expect(0, {"post-script"});
    return pre.out;
  }

  static void mount_overlay(const std::string& at, const std::string& lower, const std::string& on,
                            const std::string& more = {}) {
    for (const std::string& directory : {at, lower, on + "/u", on + "/w"}) fs::create_directories(directory);
    const std::string options = "lowerdir=" + lower + ",upperdir=" + on + "/u,workdir=" + on + "/w" + more;
    check(::mount("overlay", at.c_str(), "overlay", 0, options.c_str()), "mount overlay");
  }

  static std::string name_of(const Filesystem& filesystem) { return fs::path(filesystem.device()).filename(); }
};

TEST_F(Gaps, AreNotMadeByMountsThatAreReadOnlyOnlyHere) {
  const auto& data = add("ext4", "/srv/data");
  const auto& other = add("xfs", "/srv/other");
  check(::mount(nullptr, "/srv/data", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), "remount read-only");
  check(::mount(nullptr, "/srv/other", nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), "remount read-only");
  EXPECT_EQ(::access("/srv/data", W_OK), -1);
  expect_frozen({&data, &other});
}

TEST_F(Gaps, AreFilesystemsOfWhichOnlyFilesAreMounted) {
  const auto& files = add("ext4", "/srv/files");
  const auto& both = add("ext4", "/srv/both");
  for (const char* name : {"files", "both"}) {
    write_text("/srv/" + std::string(name) + "/file", "x");
    write_text("/srv/file-of-" + std::string(name), "");
    check(::mount(("/srv/" + std::string(name) + "/file").c_str(), ("/srv/file-of-" + std::string(name)).c_str(),
                  nullptr, MS_BIND, nullptr),
          "bind a file");
  }
  unmount_lazily("/srv/files");
  EXPECT_THAT(expect_frozen({&both}, {&files}),
              HasSubstr("WARN: /srv/file-of-files is not frozen: mounted for single files only"));
}

TEST_F(Gaps, AreExt4sThatTheKernelMadeReadOnly) {
  const auto& sick = add({.type = "ext4", .mount_point = "/srv/sick", .options = "errors=remount-ro"});
  const auto& well = add("ext4", "/srv/well");
  write_text("/sys/fs/ext4/" + name_of(sick) + "/trigger_fs_error", "x");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, HasSubstr("broken: "));
  EXPECT_THAT(expect_frozen({&well}), HasSubstr("WARN: /srv/sick is not frozen: broken: "));
  EXPECT_FALSE(sick.thaw());
}

TEST_F(Gaps, AreFilesystemsThatWereShutDown) {
  constexpr unsigned long kGoingDown = _IOR('X', 125, std::uint32_t);  // XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN
  const auto& well = add("ext4", "/srv/well");
  const auto& xfs = add("xfs", "/srv/xfs");
  std::uint32_t without_flushing = 2;
  check(::ioctl(xfs.directory(), kGoingDown, &without_flushing), "shut down");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, HasSubstr("WARN: /srv/xfs is not frozen: "));
  const auto json = nlohmann::json::parse(expect(0, {"dry-run", "--probe", "--json"}).out, nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_THAT(json["notes"].dump(), HasSubstr("/srv/xfs is not frozen: "));
  EXPECT_THAT(expect_frozen({&well}), HasSubstr("WARN: /srv/xfs is not frozen: "));
  const auto& ext4 = add("ext4", "/srv/ext4");
  check(::ioctl(ext4.directory(), kGoingDown, &without_flushing), "shut down");
  if (!mount_at("/srv/ext4")->super_options.ends_with("shutdown")) GTEST_SKIP() << "this kernel does not show it";
  EXPECT_THAT(expect_frozen({&well}), HasSubstr("WARN: /srv/ext4 is not frozen: broken: "));
}

TEST_F(Gaps, AreNotMadeByABtrfsWhoseNodeHasAnotherName) {
  const auto& pool = add({.type = "btrfs", .mount_point = "/srv/pool", .node = "/srv/nodes/disk"});
  ASSERT_EQ(mount_at("/srv/pool")->source, "/srv/nodes/disk");
  expect_frozen({&pool});
  EXPECT_THAT(expect(0, {"dry-run", "--all"}).out, HasSubstr("128.0 MiB"));
  fs::remove("/srv/nodes/disk");  // Now only the filesystem itself can say where it lies.
  expect_frozen({&pool});
  EXPECT_THAT(expect(0, {"dry-run", "--all"}).out, HasSubstr("128.0 MiB"));
}

TEST_F(Gaps, AreNotMadeByALackOfSysfs) {
  const auto& outer = add("xfs", "/srv/z-outer");
  const auto& inner = add({.type = "ext4", .mount_point = "/srv/a-inner", .image_directory = "/srv/z-outer"});
  const auto& pool = add("btrfs", "/srv/pool");
  mount_tmpfs("/sys");
  EXPECT_THAT(expect_frozen({&outer, &inner, &pool}), Not(HasSubstr("WARN: /srv/z-outer")));
}

/// A process that keeps a mount namespace of its own, as it is now.
class Keeper {
 public:
  Keeper() {
    std::array<int, 2> ready{};
    check(::pipe2(ready.data(), O_CLOEXEC), "pipe");
    const pid_t parent = ::getpid();
    pid_ = check(::fork(), "fork");
    if (pid_ == 0) {
      die_with_parent(parent);
      const bool apart =
          ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
      if (!apart || ::write(ready[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    const UniqueFd reading(ready[0]);
    ::close(ready[1]);
    char byte = 0;
    if (::read(reading.get(), &byte, 1) != 1) throw std::runtime_error("no mount namespace");
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

TEST_F(Gaps, AreFilesystemsThatAnotherMountNamespaceHas) {
  const auto& data = add("ext4", "/srv/data");
  auto& volume = add("btrfs", "/srv/pod/volume");
  const auto& archive = add({.type = "ext4", .mount_point = "/srv/pod/archive"});
  check(::mount(nullptr, "/srv/pod/archive", nullptr, MS_REMOUNT | MS_RDONLY, nullptr), "remount read-only");
  const Keeper keeper;
  unmount_lazily("/srv/pod/volume");
  unmount_lazily("/srv/pod/archive");
  const std::string process = "process " + std::to_string(keeper.pid());
  const auto warning = HasSubstr("WARN: /srv/pod/volume (" + volume.device() +
                                 ") is not frozen: mounted only in another mount namespace: that of " + process);
  EXPECT_THAT(expect_frozen({&data}, {&volume}), AllOf(warning, Not(HasSubstr("/srv/pod/archive"))));
  EXPECT_THAT(expect(0, {"dry-run", "--all"}).out,
              HasSubstr("mounted only in another mount namespace: that of " + process));
  configure(R"({"quiescers": [], "filesystems": {"exclude": ["/srv/pod/*"]}})");
  EXPECT_THAT(expect_frozen({&data}, {&volume}), Not(HasSubstr("WARN: /srv/pod")));
  EXPECT_FALSE(archive.thaw());
}

TEST_F(Gaps, AreFilesystemsThatWereUnmountedWhileInUse) {
  const auto& data = add("ext4", "/srv/data");
  const auto& used = add("xfs", "/srv/used");
  unmount_lazily("/srv/used");
  EXPECT_THAT(expect_frozen({&data}, {&used}),
              HasSubstr("WARN: " + used.device() + " (xfs) is not frozen: mounted, but in no mount namespace"));
}

TEST_F(Gaps, AreToldOnceAndQuietlyWhereTheConfigurationMakesThem) {
  const auto& data = add("ext4", "/srv/data");
  const auto& home = add("ext4", "/srv/home");
  configure(R"({"quiescers": [], "filesystems": {"exclude": ["/srv/home"]}})");
  EXPECT_THAT(expect_frozen({&data}, {&home}),
              AllOf(HasSubstr("INFO: not frozen, since the configuration leaves it out: /srv/home"),
                    Not(HasSubstr("WARN: /srv/home"))));
}

// Overlays are layers.

TEST_F(Gaps, ProtectWhatAnOverlayLiesOn) {
  const auto& data = add("ext4", "/srv/data");
  const auto& upper = add("ext4", "/srv/upper");
  mount_overlay("/srv/merged", "/srv/low", "/srv/upper");
  fs::create_directories("/srv/merged/ssm");
  configure(R"({"quiescers": [], "filesystems": {"protect": ["/srv/merged/ssm"]}})");
  EXPECT_THAT(expect_frozen({&data}, {&upper}),
              HasSubstr("WARN: /srv/upper is not frozen: holds a layer of the overlay that holds /srv/merged/ssm"));
}

TEST_F(Gaps, OrderAnImageInAnOverlayOfOverlaysBeforeItsLayers) {
  const auto& low = add("ext4", "/srv/low");
  const auto& first = add("ext4", "/srv/first");
  const auto& second = add({.type = "ext4", .mount_point = "/srv/second", .size = std::uint64_t{128} << 20});
  mount_overlay("/srv/merged", "/srv/low", "/srv/first", ",metacopy=on,redirect_dir=on");
  mount_overlay("/srv/top", "/srv/merged", "/srv/second", ",metacopy=on,redirect_dir=on");
  const auto& inner = add({.type = "ext4", .mount_point = "/srv/inner", .image_directory = "/srv/top/images"});
  const auto& innermost =
      add({.type = "ext4", .mount_point = "/srv/innermost", .image_directory = "/srv/inner/images", .size = 8 << 20});
  write_text("/srv/innermost/dirty", std::string(std::size_t{4} << 20, 'x'));
  expect_frozen({&low, &first, &second, &inner, &innermost});
}

TEST_F(Gaps, ProtectWhatAnOverlayLiesOnWhoseLayersGoThroughALink) {
  const auto& data = add("ext4", "/srv/data");
  const auto& upper = add("ext4", "/srv/upper");
  fs::create_directory_symlink("/srv/upper", "/srv/link");
  mount_overlay("/srv/merged", "/srv/low", "/srv/link");
  fs::create_directories("/srv/merged/ssm");
  configure(R"({"quiescers": [], "filesystems": {"protect": ["/srv/merged/ssm"]}})");
  EXPECT_THAT(expect_frozen({&data}, {&upper}), HasSubstr("holds a layer of the overlay that holds /srv/merged/ssm"));
}

TEST_F(Gaps, AreNotMadeForAnOverlayOfWhichNobodyKnowsWhereItWrites) {
  const auto& data = add("ext4", "/srv/data");
  const auto& upper = add("ext4", "/srv/upper");
  for (const char* name : {"/srv/merged", "/srv/upper/l", "/srv/upper/u", "/srv/upper/w"}) fs::create_directories(name);
  const auto before = fs::current_path();
  fs::current_path("/srv/upper");
  const int mounted = ::mount("o", "/srv/merged", "overlay", 0, "lowerdir=l,upperdir=u,workdir=w");
  fs::current_path(before);
  check(mounted, "mount overlay");
  const UniqueFd log(check(::open("/srv/merged/log", O_RDWR | O_CREAT | O_CLOEXEC, 0600), "log"));
  RunOptions to_log;
  to_log.standard_output = log.get();
  EXPECT_LT(expect(0, {"pre-script"}, to_log).run_time(), std::chrono::seconds(2)) << "its lines are held";
  EXPECT_TRUE(frozen(data));
  EXPECT_TRUE(frozen(upper));
  expect(0, {"post-script"});
  configure(R"({"quiescers": [], "filesystems": {"protect": ["/srv/merged"]}})");
  EXPECT_THAT(expect(201, {"pre-script"}).err,
              HasSubstr("mount /srv/merged with absolute paths that still lead to its layers"));
  EXPECT_TRUE(writable(data));
}

TEST_F(Gaps, HoldOutputThatGoesThroughAnOverlayOntoWhatIsFrozen) {
  const auto& data = add("ext4", "/srv/data");
  mount_overlay("/srv/merged", "/srv/low", "/srv/data");
  const UniqueFd log(check(::open("/srv/merged/log", O_RDWR | O_CREAT | O_CLOEXEC, 0600), "log"));
  RunOptions to_log;
  to_log.standard_output = log.get();
  const auto pre = expect(0, {"pre-script"}, to_log);
  EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(Gaps, OrderAFilesystemWithAJournalOrALogElsewhereBeforeAll) {
  const auto& data = add({.type = "xfs", .mount_point = "/srv/data", .size = std::uint64_t{400} << 20});
  const LoopDevice journal("/srv/data/journal", std::uint64_t{32} << 20);
  const LoopDevice disk("/srv/images/disk", std::uint64_t{64} << 20);
  run_tool({"mke2fs", "-q", "-F", "-b", "4096", "-O", "journal_dev", journal.path()});
  run_tool({"mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "device=" + journal.path(), disk.path()});
  fs::create_directories("/srv/ext4");
  check(::mount(disk.path().c_str(), "/srv/ext4", "ext4", 0, nullptr), "mount ext4");
  const LoopDevice log("/srv/data/log", std::uint64_t{80} << 20);
  const LoopDevice xfs_disk("/srv/images/xfs", std::uint64_t{320} << 20);
  run_tool({"mkfs.xfs", "-q", "-f", "-l", "logdev=" + log.path(), xfs_disk.path()});
  fs::create_directories("/srv/xfs");
  check(::mount(xfs_disk.path().c_str(), "/srv/xfs", "xfs", 0, ("logdev=" + log.path()).c_str()), "mount xfs");
  for (const char* mount_point : {"/srv/ext4", "/srv/xfs"}) {
    write_text(std::string(mount_point) + "/dirty", std::string(std::size_t{1} << 20, 'x'));
  }
  const auto pre = expect(0, {"pre-script", "--timeout", "3"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
  EXPECT_THAT(pre.out, HasSubstr("froze 3 filesystems"));
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
  EXPECT_TRUE(all_gone());
  for (const char* mount_point : {"/srv/ext4", "/srv/xfs"}) check(::umount(mount_point), "umount");
}

// What a path says is not what it led to.

TEST_F(Gaps, AreNotMadeForAnOverlayWhoseUpperLayerIsHidden) {
  const auto& data = add("ext4", "/srv/data");
  const auto& upper = add("ext4", "/srv/upper");
  mount_overlay("/srv/merged", "/srv/low", "/srv/upper");
  fs::create_directories("/srv/merged/ssm");
  configure(R"({"quiescers": [], "filesystems": {"protect": ["/srv/merged/ssm"]}})");
  bind_mount("/srv/upper", "/srv/again");
  expect_frozen({&data}, {&upper});
  upper.sync();
  run_tool({"cp", "--sparse=always", upper.image(), "/srv/images/copy"});
  const LoopDevice copy("/srv/images/copy", 0);
  fs::create_directories("/srv/copy");
  check(::mount(copy.path().c_str(), "/srv/copy", "ext4", 0, nullptr), "mount the copy");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("upper layer cannot be determined"))
      << "either may be the one";
  check(::umount("/srv/copy"), "umount");
  const auto& other = add("ext4", "/srv/other");
  for (const char* name : {"/srv/other/u", "/srv/other/w"}) fs::create_directories(name);
  bind_mount("/srv/other", "/srv/upper");
  EXPECT_THAT(
      expect(201, {"pre-script"}).err,
      HasSubstr(
          "/srv/merged/ssm, which must not be frozen, lies on an overlay whose upper layer cannot be determined"));
  for (const auto* filesystem : {&data, &upper, &other}) EXPECT_TRUE(writable(*filesystem));
}

TEST_F(Gaps, AreNotMadeForAnOverlayThatIsWrittenToAllTheTime) {
  const auto& data = add("ext4", "/srv/data");
  const auto& upper = add("xfs", "/srv/upper");
  mount_overlay("/srv/merged", "/srv/low", "/srv/upper");
  configure(R"({"quiescers": [], "filesystems": {"protect": ["/srv/merged"]}})");
  const Writer writer(upper);
  const pid_t parent = ::getpid();
  const pid_t busy = check(::fork(), "fork");
  if (busy == 0) {
    die_with_parent(parent);
    for (;;) {
      fs::create_directory("/srv/merged/x");
      fs::remove("/srv/merged/x");
    }
  }
  for (int i = 0; i < 20; ++i) expect_frozen({&data}, {&upper});
  ::kill(busy, SIGKILL);
  EXPECT_TRUE(reap(busy, std::chrono::seconds(5)));
}

TEST_F(Gaps, AreNotMadeForTheUpperLayersOfContainersOnAnyFilesystem) {
  const auto& data = add("ext4", "/srv/data");
  std::vector<const Filesystem*> uppers;
  std::string protect;
  for (const std::string type : {"ext4", "xfs", "btrfs"}) {
    uppers.push_back(&add(type, "/srv/" + type));
    mount_overlay("/srv/" + type + "/merged", "/srv/" + type + "/low", "/srv/" + type, ",metacopy=on");
    protect += (protect.empty() ? "\"" : ", \"") + std::string("/srv/") + type + "/merged\"";
  }
  configure(R"({"quiescers": [], "filesystems": {"protect": [)" + protect + "]}}");
  expect_frozen({&data}, uppers);
}

TEST_F(Gaps, AreProtectedPathsOnAnImageOfWhichItCannotBeToldWhereItLies) {
  const auto& pool = add({.type = "btrfs", .mount_point = "/srv/pool", .size = std::uint64_t{256} << 20});
  const auto& image = add({.type = "ext4", .mount_point = "/srv/image", .image_directory = "/srv/pool/images"});
  bind_mount("/srv/pool", "/srv/again");
  unmount_lazily("/srv/pool");
  expect_frozen({&pool, &image});
  configure(R"({"quiescers": [], "filesystems": {"protect": ["/srv/image"]}})");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("mount what holds the image of /srv/image where it was"));
  EXPECT_TRUE(writable(pool));
}

TEST_F(Gaps, AreBtrfsThatTheKernelMadeReadOnly) {
  const auto& sick = add("btrfs", "/srv/sick");
  const auto& well = add("ext4", "/srv/well");
  // The superblock alone, as an error does it.
  sick.mount_also("/srv/also");
  check(::mount(nullptr, "/srv/also", nullptr, MS_REMOUNT | MS_RDONLY, nullptr), "remount read-only");
  check(::umount("/srv/also"), "umount");
  ASSERT_THAT(mount_at("/srv/sick")->options, testing::StartsWith("rw"));
  ASSERT_THAT(mount_at("/srv/sick")->super_options, testing::StartsWith("ro"));
  EXPECT_THAT(expect_frozen({&well}), HasSubstr("WARN: /srv/sick is not frozen: broken: the filesystem is read-only"));
  const Keeper keeper;
  unmount_lazily("/srv/sick");
  EXPECT_THAT(expect_frozen({&well}), HasSubstr("WARN: /srv/sick is not frozen: broken: the filesystem is read-only, "
                                                "although process " +
                                                std::to_string(keeper.pid())));
}

TEST_F(Gaps, AreNotMadeByTheNameOfASubvolume) {
  const auto& pool = add("btrfs", "/srv/pool");
  for (const std::string name : {"x,ro", "y,shutdown", "z,emergency_ro"}) {
    run_tool({"btrfs", "subvolume", "create", "/srv/pool/" + name});
    bind_mount("/srv/pool/" + name, "/srv/" + name);
  }
  unmount_lazily("/srv/pool");
  expect_frozen({&pool});
}

TEST_F(Gaps, AreOverlaysThatAreNamedWithoutWhatTheyWriteTo) {
  const auto& data = add("ext4", "/srv/data");
  const auto& upper = add("ext4", "/srv/upper");
  mount_overlay("/srv/merged", "/srv/low", "/srv/upper");
  configure(R"({"quiescers": [], "filesystems": {"include": ["/srv/merged", "/srv/data"]}})");
  EXPECT_THAT(
      expect_frozen({&data}, {&upper}),
      HasSubstr("WARN: /srv/merged is not frozen: overlay, whose writes go to /srv/upper, which is not frozen"));
  configure(R"({"quiescers": [], "filesystems": {"include": ["/srv/merged", "/srv/upper"]}})");
  EXPECT_THAT(expect_frozen({&upper}, {&data}), Not(HasSubstr("WARN: /srv/merged")));
}

TEST_F(Gaps, AreFilesystemsThatAreMountedWhileOthersAreBeingFrozen) {
  const auto& backing = add("ext4", "/srv/backing");
  const auto& slow = add({.type = "ext4", .mount_point = "/srv/slow", .image_directory = "/srv/backing/images"});
  add({.type = "ext4", .mount_point = "/srv/archive", .flags = MS_RDONLY});
  const LoopDevice disk("/srv/images/late", std::uint64_t{64} << 20);
  run_tool({"mkfs.ext4", "-q", disk.path()});
  fs::create_directories("/srv/late");
  configure(R"({"quiescers": [], "filesystems": {"exclude": ["/srv/backing"]}})");
  slow.sync();
  backing.sync();
  backing.freeze();
  const auto pre = start({"pre-script", "--timeout", "8"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-freezer").has_value(); }, std::chrono::seconds(3)));
  sleep_for(Milliseconds(300));
  check(::mount(disk.path().c_str(), "/srv/late", "ext4", 0, nullptr), "mount");
  check(::mount(nullptr, "/srv/archive", nullptr, MS_REMOUNT, nullptr), "remount for writing");
  EXPECT_TRUE(backing.thaw());
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  for (const std::string at : {"/srv/late", "/srv/archive"}) {
    EXPECT_THAT(result.out,
                HasSubstr("WARN: " + at + " is not frozen: mounted, or made writable, while pre-script ran"));
  }
  EXPECT_TRUE(frozen(slow));
  expect(0, {"post-script"});
  EXPECT_TRUE(all_gone());
  check(::umount("/srv/late"), "umount");
}

}  // namespace
}  // namespace dlm_freeze::integration
