// SPDX-License-Identifier: Apache-2.0
// Where the program's root is not the host's: containers, chroots, hosts that run from an image. The roots are made of
// copies on scratch filesystems: nothing here can see the real one.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <sstream>

#include "harness/host_test.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

/// A shell's script: process 1 of a PID namespace that starts the command as an init starts a service.
constexpr const char* kAsService = "setsid --wait \"$@\"; exit $?";

class ForeignRoots : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    data_ = &add("ext4", "/srv/data");
    disk_ = &add({.type = "ext4", .mount_point = "/srv/disk", .size = std::uint64_t{96} << 20});
  }

  /// Copies the program, its libraries and its configuration into `directory`.
  void fill(const std::string& directory) const {
    for (const char* name :
         {"srv/bin", "srv/etc", "etc", "var", "sysroot", "data", "proc", "sys", "dev", "run", "tmp"}) {
      fs::create_directories(directory + "/" + name);
    }
    fs::copy_file(binary(), directory + binary());
    fs::create_directories(directory + "/usr/bin");
    fs::copy_file("/usr/bin/sleep", directory + "/usr/bin/sleep");
    fs::copy_file(config(), directory + config());
    std::istringstream libraries(run_tool({"ldd", binary()}));
    for (std::string word; libraries >> word;) {
      if (!word.starts_with('/')) continue;
      fs::create_directories(directory + fs::path(word).parent_path().string());
      fs::copy_file(word, directory + word, fs::copy_options::overwrite_existing);
    }
  }

  /// What every root needs besides, and /data.
  static void mount_into(const std::string& root) {
    for (const char* name : {"/proc", "/sys", "/dev"}) {
      check(::mount(name, (root + name).c_str(), nullptr, MS_BIND | MS_REC, nullptr), "bind " + root + name);
    }
    mount_tmpfs(root + "/run");
    bind_mount("/srv/data", root + "/data");
  }

  static RunOptions inside(const std::string& root) { return {.wrapper = {"/usr/sbin/chroot", root}}; }

  /// The configuration inside `root`.
  void configure_inside(const std::string& root, const std::string& filesystems) const {
    write_text(root + config(), R"({"quiescers": [], "auto_thaw_seconds": 10, "filesystems": )" + filesystems + "}");
  }

  void expect_refusal_inside(const std::string& root) {
    const auto pre = expect(201, {"pre-script"}, inside(root));
    EXPECT_THAT(pre.err, AllOf(HasSubstr("this is not the host"), HasSubstr("nsenter -t 1 -m"),
                               HasSubstr("filesystems.include"), HasSubstr("Return Error Code: 201")));
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(writable(*disk_));
    EXPECT_THAT(expect(0, {"dry-run"}, inside(root)).out, HasSubstr("pre-script would fail: this is not the host"));
    EXPECT_THAT(expect(201, {"dry-run", "--probe"}, inside(root)).err, HasSubstr("this is not the host"));
  }

  void expect_refusal_as_first(std::vector<std::string> name_space, const std::vector<std::string>& caller) {
    name_space.insert(name_space.end(), caller.begin(), caller.end());
    const auto pre = expect(201, {"pre-script"}, {.wrapper = name_space});
    EXPECT_THAT(pre.err, HasSubstr("process 1 of this PID namespace"));
    EXPECT_TRUE(writable(*data_));
  }

  /// With everything that can be seen named, only the data are frozen, and not the disk of the root.
  RunResult expect_only_data_frozen_inside(const std::string& root) {
    auto pre = expect(0, {"pre-script"}, inside(root));
    EXPECT_TRUE(frozen(*data_)) << pre.text();
    EXPECT_TRUE(writable(*disk_)) << pre.text();
    expect(0, {"post-script"}, inside(root));
    EXPECT_TRUE(writable(*data_));
    return pre;
  }

  /// Processes of this test called `name`: a program in a chroot goes by another path, one in a unit has a mount
  /// namespace of its own, in which /run is this one's.
  static std::vector<pid_t> processes_here(const std::string& name) {
    const auto here = fs::read_symlink("/proc/self/ns/mnt");
    struct stat run {};
    check(::stat("/run", &run), "stat /run");
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::error_code gone;
      std::string comm;
      std::getline(std::ifstream(entry.path() / "comm"), comm);
      if (comm != name) continue;
      struct stat other {};
      const bool shares_run = ::stat((entry.path() / "root/run").c_str(), &other) == 0 && other.st_dev == run.st_dev;
      if (shares_run || fs::read_symlink(entry.path() / "ns/mnt", gone) == here)
        found.push_back(std::stoi(entry.path().filename()));
    }
    return found;
  }
  static void signal_here(const std::string& name, int signal) {
    for (const pid_t pid : processes_here(name)) ::kill(pid, signal);
  }

  /// Sessions that end in every way: whatever happens, the data are thawed in time and the root's disk never waits.
  void random_sessions(const RunOptions& options) {
    const int count = 10 * rounds_or(1);
    std::mt19937 random(20261129);
    for (int round = 0; round < count; ++round) {
      const auto way = random() % 5;
      SCOPED_TRACE("round " + std::to_string(round) + ", way " + std::to_string(way));
      restart_safety_limit();
      if (way == 0) {
        const auto pre = start({"pre-script"}, options);
        sleep_for(std::chrono::microseconds(random() % 20'000));
        pre->kill_group();
        // A session that was complete by then lives until its deadline.
        const auto killed = pre->wait();
        if (killed.exit_code == 0) run({"post-script"}, options);
        EXPECT_TRUE(writable(*disk_));
        EXPECT_TRUE(eventually([&] { return writable(*data_); }, std::chrono::seconds(12)));
      } else {
        expect(0, {"pre-script", "--auto-thaw", way == 1 ? "10" : "1"}, options);
        EXPECT_TRUE(writable(*disk_));
        if (way == 2) signal_here("dlm-watchdog", SIGKILL);
        if (way == 3) signal_here("dlm-watchdog", SIGSTOP);
        if (way == 4) signal_here("dlm-sentinel", SIGKILL);
        if (way == 1) expect(0, {"post-script"}, options);
        EXPECT_TRUE(eventually([&] { return writable(*data_, Milliseconds(50)); }, Milliseconds(2600)));
        if (way != 1) expect(way == 2 ? 202 : 203, {"post-script"}, options);
      }
      if (HasFailure()) return;
    }
    EXPECT_TRUE(eventually([&] { return processes_here("dlm-watchdog").empty(); }, std::chrono::seconds(12)));
  }

  const Filesystem* data_ = nullptr;
  const Filesystem* disk_ = nullptr;
};

TEST_F(ForeignRoots, OfAnImageModeHostAreNeverFrozen) {
  const std::string root = "/srv/root";
  fill("/srv/disk/deploy");
  for (const char* name : {"/srv/disk/objects", "/srv/disk/var", "/srv/disk/etc", "/srv/root"})
    fs::create_directories(name);
  check(::mount("composefs", root.c_str(), "overlay", MS_RDONLY,
                "lowerdir+=/srv/disk/deploy,datadir+=/srv/disk/objects,metacopy=on,redirect_dir=on"),
        "mount overlay");
  mount_into(root);
  bind_mount("/srv/disk", root + "/sysroot");
  bind_mount("/srv/disk/var", root + "/var");
  expect_refusal_inside(root);
  configure_inside("/srv/disk/deploy", R"({"include": ["/data", "/sysroot", "/var"]})");
  // The layers are paths of the namespace in which it was mounted, so only the parts of the system tell.
  expect_only_data_frozen_inside(root);
}

TEST_F(ForeignRoots, OnAnOverlayAreNeverFrozenWhereTheLayersCanBeSeen) {
  const std::string root = "/srv/root";
  fill("/srv/disk/low");
  for (const char* name : {"/srv/disk/up:per", "/srv/disk/work", "/srv/root"}) fs::create_directories(name);
  check(::mount("o", root.c_str(), "overlay", 0,
                "lowerdir=/srv/disk/low,upperdir=/srv/disk/up\\:per,workdir=/srv/disk/work"),
        "mount overlay");
  mount_into(root);
  bind_mount("/srv/disk", root + "/srv/disk");
  expect_refusal_inside(root);
  configure_inside(root, R"({"include": ["/data", "/srv/disk"]})");
  const auto pre = expect_only_data_frozen_inside(root);
  EXPECT_THAT(expect(0, {"dry-run", "--all"}, inside(root)).out, HasSubstr("holds a layer of the root filesystem"))
      << pre.text();
}

TEST_F(ForeignRoots, OnASquashfsImageAreNeverFrozen) {
  const std::string root = "/srv/root";
  fill("/srv/tree");
  fs::create_directories("/srv/tree/medium");
  write_text("/srv/tree" + config(),
             R"({"quiescers": [], "auto_thaw_seconds": 10, "filesystems": {"include": ["/data", "/medium"]}})");
  run_tool({"mksquashfs", "/srv/tree", "/srv/disk/root.squashfs", "-quiet", "-no-progress"});
  const LoopDevice loop("/srv/disk/root.squashfs", 0);
  fs::create_directories(root);
  check(::mount(loop.path().c_str(), root.c_str(), "squashfs", MS_RDONLY, nullptr), "mount squashfs");
  mount_into(root);
  bind_mount("/srv/disk", root + "/medium");
  expect_only_data_frozen_inside(root);
  EXPECT_THAT(expect(0, {"dry-run", "--all"}, inside(root)).out, HasSubstr("holds the image of /"));
}

TEST_F(ForeignRoots, ThatAreNoMountPointAreNeverFrozen) {
  const std::string root = "/srv/disk/chroot";
  fill(root);
  mount_into(root);
  fs::create_directories("/srv/disk/objects");
  bind_mount("/srv/disk/objects", root + "/self");
  expect_refusal_inside(root);
  configure_inside(root, R"({"include": ["/data", "/self"]})");
  expect_only_data_frozen_inside(root);
}

TEST_F(ForeignRoots, ThatAreADirectoryOfABtrfsAreNeverFrozen) {
  const auto& pool = add("btrfs", "/srv/pool");
  const std::string root = "/srv/pool/chroot";
  fill(root);
  mount_into(root);
  bind_mount("/srv/pool", root + "/self");
  configure_inside(root, R"({"include": ["/data", "/self"]})");
  expect(0, {"pre-script"}, inside(root));
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(pool));
  expect(0, {"post-script"}, inside(root));
}

TEST_F(ForeignRoots, ThatAreADirectoryOfAnOverlayAreRefused) {
  for (const char* name : {"/srv/disk/low", "/srv/disk/up", "/srv/disk/work", "/srv/merged"})
    fs::create_directories(name);
  check(
      ::mount("o", "/srv/merged", "overlay", 0, "lowerdir=/srv/disk/low,upperdir=/srv/disk/up,workdir=/srv/disk/work"),
      "mount overlay");
  const std::string root = "/srv/merged/chroot";
  fill(root);
  mount_into(root);
  bind_mount("/srv/disk", root + "/self");
  configure_inside(root, R"({"include": ["/data", "/self"]})");
  EXPECT_THAT(expect(201, {"pre-script"}, inside(root)).err,
              HasSubstr("on a filesystem that the mount table does not show"));
  EXPECT_TRUE(writable(*disk_));
}

TEST_F(ForeignRoots, MayFreezeNothingWithoutSayingMore) {
  const std::string root = "/srv/disk/chroot";
  fill(root);
  mount_into(root);
  configure_inside(root, R"({"freeze": false})");
  const auto pre = expect(0, {"pre-script"}, inside(root));
  EXPECT_THAT(pre.out, HasSubstr("the configuration leaves it out: /data"));
  EXPECT_TRUE(writable(*data_));
  expect(0, {"post-script"}, inside(root));
}

TEST_F(ForeignRoots, CannotBeExcludedInAPidNamespace) {
  const RunOptions in_namespace{
      .wrapper = {"/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", kAsService, "sh"}};
  const auto pre = expect(201, {"pre-script"}, in_namespace);
  EXPECT_THAT(pre.err, HasSubstr("process 1 may not be the host's init"));
  EXPECT_TRUE(writable(*data_));
  expect(201, {"dry-run", "--probe"}, in_namespace);
}

TEST_F(ForeignRoots, AreRefusedToProcess1WhoseDeathEndsTheWatchdog) {
  configure(R"({"quiescers": [], "auto_thaw_seconds": 10, "filesystems": {"include": ["/srv/data"]}})");
  const std::vector<std::string> own = {"/usr/bin/unshare", "--pid", "--fork", "--mount-proc"};
  const std::vector<std::string> hosts_proc = {"/usr/bin/unshare", "--pid", "--fork"};
  const std::vector<std::string> shell = {"/bin/sh", "-c", "\"$@\"; exit $?", "sh"};
  // Of two shells the second is the one job of the first, and a group of its own, as under docker run --init.
  const std::vector<std::string> job = {"/bin/sh", "-mc", "\"$@\"; exit $?", "sh",
                                        "/bin/sh", "-c",  "\"$@\"; exit $?", "sh"};
  for (const auto& name_space : {own, hosts_proc}) {
    for (const auto& caller : {std::vector<std::string>(), shell}) expect_refusal_as_first(name_space, caller);
  }
  expect_refusal_as_first(own, job);
}

TEST_F(ForeignRoots, AreNotRefusedToWhatProcess1StartedAsAService) {
  configure(R"({"quiescers": [], "auto_thaw_seconds": 10, "filesystems": {"include": ["/srv/data"]}})");
  // The session ends with the namespace here, so that it is ended in there.
  const std::string both = "\"$@\" && " + binary() + " post-script";
  const auto pre = expect(0, {"pre-script"},
                          {.wrapper = {"/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c",
                                       kAsService, "sh", "/bin/sh", "-c", both, "sh"}});
  EXPECT_THAT(pre.out, HasSubstr("post-script completed"));
  EXPECT_TRUE(writable(*data_));
}

TEST_F(ForeignRoots, AreRefusedToTheRootOfAUserNamespace) {
  const RunOptions in_namespace{.wrapper = {"/usr/bin/unshare", "--user", "--map-root-user"}};
  configure(R"({"quiescers": [], "filesystems": {"include": ["/srv/data"]}})");
  const auto pre = run({"pre-script"}, in_namespace);
  if (pre.err.find("unshare failed") != std::string::npos) GTEST_SKIP() << pre.err;
  EXPECT_EQ(pre.exit_code, 201) << pre.text();
  EXPECT_THAT(pre.err, HasSubstr("this is a separate user namespace"));
  EXPECT_TRUE(writable(*data_));
}

TEST_F(ForeignRoots, AreNotThoseOfUnitsWithAMountNamespace) {
  const auto pre = expect(0, {"pre-script"}, {.wrapper = {"/usr/bin/unshare", "--mount", "--propagation", "private"}});
  EXPECT_TRUE(frozen(*data_)) << pre.text();
  expect(0, {"post-script"});
}

TEST_F(ForeignRoots, HoldRandomSessionsToTheirPromisesOnAnOverlay) {
  const std::string root = "/srv/root";
  fill("/srv/disk/low");
  for (const char* name : {"/srv/disk/upper", "/srv/disk/work", "/srv/root"}) fs::create_directories(name);
  check(::mount("o", root.c_str(), "overlay", 0,
                "lowerdir=/srv/disk/low,upperdir=/srv/disk/upper,workdir=/srv/disk/work"),
        "mount overlay");
  mount_into(root);
  bind_mount("/srv/disk", root + "/srv/disk");
  configure_inside(root, R"({"include": ["/data", "/srv/disk"]})");
  random_sessions(inside(root));
}

TEST_F(ForeignRoots, HoldRandomSessionsToTheirPromisesInAChroot) {
  const std::string root = "/srv/disk/chroot";
  fill(root);
  mount_into(root);
  configure_inside(root, R"({"include": ["/data"]})");
  random_sessions(inside(root));
}

TEST_F(ForeignRoots, DoNotMatterWhereAllMountsAreReadOnly) {
  for (const char* path : {"/srv/data", "/srv/disk"})
    check(::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), path);
  configure(R"({"quiescers": [], "filesystems": {"exclude": ["/srv/disk"]}})");
  expect(0, {"pre-script", "--auto-thaw", "10"});
  EXPECT_TRUE(data_->thaw()) << "it was frozen through a read-only mount";
  expect(202, {"post-script"});
}

TEST_F(ForeignRoots, HoldRandomSessionsToTheirPromisesInAUnitWithProtectSystemStrict) {
  configure(R"({"quiescers": [], "auto_thaw_seconds": 10, "filesystems": {"exclude": ["/srv/disk"]}})");
  random_sessions(
      {.wrapper = {"/usr/bin/unshare", "--mount", "--propagation", "private", "/bin/sh", "-ec",
                   "for at in / /srv/data /srv/disk; do mount -o remount,bind,ro $at; done; exec \"$@\"", "-"}});
}

/// The child that the program of a shell's command, run in the background, forks.
pid_t child_of(pid_t parent) {
  const std::string name = std::to_string(parent);
  pid_t child = -1;
  const bool has_one = eventually(
      [&] { return static_cast<bool>(std::ifstream("/proc/" + name + "/task/" + name + "/children") >> child); },
      std::chrono::seconds(5));
  if (!has_one) throw std::runtime_error("process " + name + " has no child");
  return child;
}

/// The first process of a PID namespace, which lives as long as this: what a container is.
class PidNamespace {
 public:
  /// `root` is the root directory of that process.
  explicit PidNamespace(const std::string& root = "/") {
    const std::string first = "chroot " + root + " /usr/bin/sleep 600 >&- 2>&- <&- & echo $!";
    std::istringstream started(run_tool({"/bin/sh", "-c", "unshare --pid --fork --kill-child=KILL " + first}));
    started >> holder_;
    first_ = child_of(holder_);
    const bool begun = eventually([&] { return fs::read_symlink("/proc/" + std::to_string(first_) + "/root") == root; },
                                  std::chrono::seconds(5));
    if (!begun) throw std::runtime_error("no process with the root " + root);
  }
  ~PidNamespace() { ::kill(holder_, SIGKILL); }
  PidNamespace(const PidNamespace&) = delete;
  PidNamespace& operator=(const PidNamespace&) = delete;

  /// What runs the words after it in there.
  [[nodiscard]] std::vector<std::string> entry() const {
    return {"/usr/bin/nsenter", "--target", std::to_string(first_), "--pid"};
  }

 private:
  pid_t holder_ = -1;
  pid_t first_ = -1;
};

TEST_F(ForeignRoots, HoldRandomSessionsToTheirPromisesInAContainer) {
  const std::string root = "/srv/disk/container";
  fill(root);
  mount_into(root);
  const PidNamespace pids;
  auto mount_proc = pids.entry();
  mount_proc.insert(mount_proc.end(), {"mount", "-t", "proc", "proc", root + "/proc"});
  run_tool(mount_proc);
  configure_inside(root, R"({"include": ["/data"]})");
  auto enter = pids.entry();
  enter.insert(enter.end(), {"/usr/sbin/chroot", root});
  random_sessions({.wrapper = enter});
}

/// A root that is the host's for all that the program can see: the one of process 1, beside which there is a thread of
/// the kernel.
class RootsOfAHost : public ForeignRoots {
 protected:
  void boot(const std::string& root) {
    mount_into(root);
    pids_.emplace(root);
    auto second = pids_->entry();
    second.insert(second.begin(), {"/bin/sh", "-c", "\"$@\" >&- 2>&- <&- & echo $!", "-"});
    second.insert(second.end(), {"/usr/bin/sleep", "600"});
    pid_t starter = -1;
    std::istringstream(run_tool(second)) >> starter;
    child_of(starter);
    auto mount_proc = pids_->entry();
    mount_proc.insert(mount_proc.end(), {"mount", "-t", "proc", "proc", root + "/proc"});
    run_tool(mount_proc);
    write_text("/srv/kthreadd", "2 (kthreadd) S 0 0 0 0 -1 2129984 0\n");
    check(::mount("/srv/kthreadd", (root + "/proc/2/stat").c_str(), nullptr, MS_BIND, nullptr), "bind /proc/2/stat");
    configure_inside(root, "{}");
    within_.wrapper = pids_->entry();
    within_.wrapper.insert(within_.wrapper.end(), {"/usr/sbin/chroot", root});
  }

  /// pre-script says why, and neither the data nor what may hold the root is frozen.
  void expect_refusal(const std::string& why) {
    const auto pre = expect(201, {"pre-script"}, within_);
    EXPECT_THAT(pre.err, HasSubstr(why)) << pre.text();
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(writable(*disk_));
    EXPECT_THAT(expect(0, {"dry-run"}, within_).out, HasSubstr("pre-script would fail: "));
  }

  /// An overlay at `root` whose upper layer is a relative path on the disk.
  void mount_root_with_untold_upper(const std::string& root, const std::string& lower) {
    fill("/srv/disk/low");
    for (const std::string& name : {std::string("/srv/disk/u"), std::string("/srv/disk/w"), root})
      fs::create_directories(name);
    const auto before = fs::current_path();
    fs::current_path("/srv/disk");
    const int mounted =
        ::mount("o", root.c_str(), "overlay", 0, ("lowerdir=" + lower + ",upperdir=u,workdir=w").c_str());
    fs::current_path(before);
    check(mounted, "mount overlay");
  }

  RunOptions within_;

 private:
  std::optional<PidNamespace> pids_;
};

constexpr const char* kUntoldUpper = "the root filesystem lies on an overlay whose upper layer cannot be determined";

TEST_F(RootsOfAHost, AreTakenForItsOwn) {
  fill("/srv/disk");
  boot("/srv/disk");
  expect(0, {"pre-script"}, within_);
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(*disk_));
  expect(0, {"post-script"}, within_);
}

TEST_F(RootsOfAHost, HaveTheFilesystemThatALinkAtBootLeadsToKeptOff) {
  const auto& boot_disk = add("ext4", "/srv/boot");
  fill("/srv/disk");
  fs::create_directories("/srv/disk/mnt/b");
  fs::create_symlink("mnt/b/of", "/srv/disk/boot");
  boot("/srv/disk");
  bind_mount("/srv/boot", "/srv/disk/mnt/b");
  fs::create_directories("/srv/boot/of/grub");
  expect(0, {"pre-script"}, within_);
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(boot_disk));
  expect(0, {"post-script"}, within_);
}

TEST_F(RootsOfAHost, WhoseUpperLayerCannotBeToldAreNotToldByBoot) {
  add("ext4", "/srv/boot");
  mount_root_with_untold_upper("/srv/root", "low");
  boot("/srv/root");
  bind_mount("/srv/disk", "/srv/root/self");
  bind_mount("/srv/boot", "/srv/root/boot");
  expect_refusal(kUntoldUpper);
}

TEST_F(RootsOfAHost, WhoseUpperLayerCannotBeToldAreNotToldByALowerOne) {
  add("ext4", "/srv/lower");
  mount_root_with_untold_upper("/srv/root", "/srv/disk/low:/srv/lower");
  boot("/srv/root");
  bind_mount("/srv/disk", "/srv/root/self");
  bind_mount("/srv/lower", "/srv/root/srv/lower");
  expect_refusal(kUntoldUpper);
  bind_mount("/srv/lower", "/srv/root/sysroot");
  expect_refusal(kUntoldUpper);
  configure_inside("/srv/root", R"({"include": ["/data"]})");
  expect(0, {"pre-script"}, within_);
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(*disk_));
  expect(0, {"post-script"}, within_);
}

TEST_F(RootsOfAHost, WhoseUpperLayersPathLeadsElsewhereByNow) {
  const auto& twin = add({.type = "ext4", .mount_point = "/srv/twin", .size = std::uint64_t{96} << 20});
  fill("/srv/disk/low");
  for (const std::string on : {"/srv/disk/", "/srv/twin/"}) {
    for (const char* name : {"low", "u", "w"}) fs::create_directories(on + name);
  }
  fs::create_directories("/srv/root");
  check(::mount("o", "/srv/root", "overlay", 0, "lowerdir=/srv/disk/low,upperdir=/srv/disk/u,workdir=/srv/disk/w"),
        "mount overlay");
  boot("/srv/root");
  bind_mount("/srv/disk", "/srv/root/self");
  bind_mount("/srv/twin", "/srv/root/srv/disk");
  expect_refusal(kUntoldUpper);
  EXPECT_TRUE(writable(twin));
  bind_mount("/srv/disk", "/srv/root/srv/disk");
  expect(0, {"pre-script"}, within_);
  EXPECT_TRUE(writable(*disk_));
  EXPECT_TRUE(frozen(*data_));
  expect(0, {"post-script"}, within_);
}

TEST_F(RootsOfAHost, OnAnImageWhosePathHasGone) {
  add({.type = "ext4", .mount_point = "/srv/root", .image_directory = "/srv/disk/images", .size = 64 << 20});
  fill("/srv/root");
  bind_mount("/srv/disk", "/srv/again");
  unmount_lazily("/srv/disk");
  boot("/srv/root");
  bind_mount("/srv/again", "/srv/root/self");
  expect(0, {"pre-script"}, within_);
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(*disk_)) << "its loop device tells what it lies on";
  expect(0, {"post-script"}, within_);
  mount_tmpfs("/srv/root/dev");
  expect_refusal("the root filesystem lies on an image whose location cannot be determined");
}

TEST_F(RootsOfAHost, OnAnImageInABtrfsWhosePathHasGone) {
  const auto& pool = add({.type = "btrfs", .mount_point = "/srv/pool", .size = std::uint64_t{256} << 20});
  add({.type = "ext4", .mount_point = "/srv/root", .image_directory = "/srv/pool/images", .size = 64 << 20});
  fill("/srv/root");
  bind_mount("/srv/pool", "/srv/again");
  unmount_lazily("/srv/pool");
  boot("/srv/root");
  bind_mount("/srv/again", "/srv/root/self");
  expect_refusal("the root filesystem lies on an image whose location cannot be determined");
  EXPECT_TRUE(writable(pool));
}

}  // namespace
}  // namespace dlm_freeze::integration
