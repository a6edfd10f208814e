// SPDX-License-Identifier: Apache-2.0
// Programs of a `command` quiescer that run in a container, which here is a process in namespaces, a root directory and
// a control group of its own, made as runtimes do; and what a hostile one can do by that.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "base/control_group.hpp"
#include "base/text.hpp"
#include "harness/container.hpp"
#include "harness/host_test.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr Milliseconds kLong{10000};

/// How a container is made.
struct Kind {
  const char* name = "";
  bool user_namespace = false;
  const char* before = "";   ///< Commands in there, before its first program.
  const char* wrapper = "";  ///< Of that program.
  const char* program = "/bin/sleep";
  const char* account = "";  ///< Of that program, as options of chroot.
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

/// A container with a small root directory of its own, in which /shared is /srv/shared of the test. Killed at the end.
class Box {
 public:
  explicit Box(const Kind& kind = {}) {
    const std::string script = std::string(R"(
      mount -t proc proc /proc
      cd /srv/own; mkdir -p proc usr etc dev shared tmp root
      for link in bin sbin lib lib64; do ln -s usr/$link $link; done
      mount --rbind /usr usr; mount --rbind /srv/shared shared; mount -t proc proc proc; mount -t tmpfs none dev
      touch dev/null; mount --bind /dev/null dev/null
      echo boxed >etc/name; hostname boxed; chmod 755 .
    )") + kind.before + R"(
      touch /srv/shared/ready
      exec )" + kind.wrapper + " chroot " +
                               kind.account + " /srv/own " + kind.program + " 600";
    pid_ = fork_into({.own_directory = "/srv/own", .user_namespace = kind.user_namespace}, [&] {
      die_with_test();
      const std::vector<std::string> words = {"/usr/bin/unshare", "--uts", "--cgroup", "/bin/sh", "-ec", script};
      ::execv(words.front().c_str(), c_strings(words).data());
    });
    const std::string program = "/proc/" + std::to_string(pid_) + "/comm";
    if (!eventually(
            [&] {
              return fs::exists("/srv/shared/ready") &&
                     read_text(program) == fs::path(kind.program).filename().string() + "\n";
            },
            kLong))
      throw std::runtime_error("no container");
    fs::remove("/srv/shared/ready");
  }
  Box(const Box&) = delete;
  Box& operator=(const Box&) = delete;
  ~Box() { kill(); }

  void kill() {
    if (pid_ < 0) return;
    ::kill(pid_, SIGKILL);
    static_cast<void>(reap(pid_, kLong));
    pid_ = -1;
  }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::string name() const { return "pid:" + std::to_string(pid_); }
  [[nodiscard]] std::string root() const { return "/proc/" + std::to_string(pid_) + "/root"; }

 private:
  pid_t pid_ = -1;
};

/// A control group by the name that a runtime gives it, of version 2 or of a controller; removed at the end.
class Group {
 public:
  explicit Group(const std::string& name, const std::string& controller = "")
      : path_(hierarchy_of(read_text("/proc/self/mountinfo"), controller) + "/" + name),
        is_there_(path_.starts_with("/sys")) {
    if (is_there_) fs::create_directory(path_);
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() {
    if (is_there_) static_cast<void>(eventually([&] { return ::rmdir(path_.c_str()) == 0; }, seconds(2)));
  }
  [[nodiscard]] bool is_there() const { return is_there_; }
  void add(pid_t pid) const { write_text(path_ + "/cgroup.procs", std::to_string(pid)); }
  void own(uid_t uid) const { check(::chown(path_.c_str(), uid, uid), "chown"); }
  void set(const std::string& name, const std::string& value) const { write_text(path_ + "/" + name, value); }
  [[nodiscard]] std::string members() const { return read_text(path_ + "/cgroup.procs"); }

 private:
  std::string path_;
  bool is_there_;
};

class ContainerHooks : public HostTest {
 protected:
  /// The id of a container that no other test on this machine has.
  static std::string id_of(char first) {
    const std::string number = std::to_string(::getpid());
    return first + std::string(11 - number.size(), '0') + number + std::string(52, 'e');
  }
  const std::string id_ = id_of('3');
  const std::string other_id_ = id_of('a');
  const std::string short_id_ = id_.substr(0, 12);

  void SetUp() override {
    // Before the mount namespace is entered: the sources may lie on what is not mounted there.
    example_ = read_text(std::string(DLM_FREEZE_TEST_DATA) + "/../../packaging/examples/redis-container.json");
    HostTest::SetUp();
    if (IsSkipped()) return;
    fs::create_directories("/srv/own");
    fs::create_directories("/srv/shared");
    for (const char* path : {"/srv/shared/journal", "/srv/shared/lock"}) write_text(path, "");
    for (const char* path : {"/srv/shared", "/srv/shared/journal", "/srv/shared/lock"}) ::chmod(path, 0777);
    data_ = &add("ext4", "/srv/data");
  }

  /// A script that holds a lock as long as it, or anything it started, lives.
  static std::string hook(const std::string& name, const std::string& body) {
    write_text("/srv/shared/" + name,
               "#!/bin/sh\nexec 9>/shared/lock\nflock -w 5 9 || exit 9\nnote() { echo \"$*\" >>/shared/journal; }\n" +
                   body + "\n");
    ::chmod(("/srv/shared/" + name).c_str(), 0755);
    return "/shared/" + name;
  }

  static nlohmann::json entry(const std::string& container, nlohmann::json more) {
    nlohmann::json one = {{"type", "command"}, {"name", "db"}, {"container", container}, {"timeout_seconds", 3}};
    one.update(more);
    return one;
  }
  void configure_hooks(const std::string& container, const nlohmann::json& more) const {
    configure(nlohmann::json{{"auto_thaw_seconds", 20}, {"quiescers", {entry(container, more)}}}.dump());
  }
  void configure_session(const Box& box, const std::string& body, const nlohmann::json& more = {}) const {
    nlohmann::json one = {{"session", {hook("session", body)}}};
    if (!more.is_null()) one.update(more);
    configure_hooks(box.name(), one);
  }
  static nlohmann::json pair(const std::string& freeze, const std::string& thaw) {
    return {{"freeze", {hook("freeze", freeze)}}, {"thaw", {hook("thaw", thaw)}}};
  }
  static constexpr const char* kHolds = "note hold; echo READY; read -r word; note \"${word:-end of input}\"";

  [[nodiscard]] static bool hooks_gone(Milliseconds limit = seconds(3)) {
    const UniqueFd lock(::open("/srv/shared/lock", O_RDWR | O_CLOEXEC));
    return eventually([&] { return ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0; }, limit);
  }
  /// What was noted since the last look.
  static std::string journal() {
    auto text = read_text("/srv/shared/journal");
    check(::truncate("/srv/shared/journal", 0), "truncate");
    return text;
  }

  void expect_nothing_left(Milliseconds limit = seconds(3)) {
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone(limit));
    EXPECT_TRUE(hooks_gone(limit));
  }
  /// Runs `body` in the container by a whole session, and gives what it noted.
  std::string noted_in(const Box& box, const std::string& body, const nlohmann::json& more = {}) {
    configure_session(box, body + "\necho READY; read -r word", more);
    expect(0, {"pre-script"});
    expect(0, {"post-script"});
    expect_nothing_left();
    return journal();
  }

  const Filesystem* data_ = nullptr;
  std::string example_;
};

class ContainerHooksOf : public ContainerHooks, public testing::WithParamInterface<Kind> {};

TEST_P(ContainerHooksOf, RunInAllOfItsNamespacesAndHoldFromReadyToThaw) {
  const Box box(GetParam());
  configure_session(
      box, std::string("note $(cat /etc/name) $(hostname) $(id -u) $PPID; "
                       "for n in mnt pid net ipc uts cgroup user; do note $(readlink /proc/self/ns/$n); done\n") +
               "note $(ls -A /srv 2>/dev/null | wc -l) $DLM_FREEZE_STAGE $HOME $PATH\n" + kHolds);
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, HasSubstr("ready"));
  EXPECT_EQ(journal(), "") << "a probe runs nothing of the quiescer";
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*data_));
  std::string expected = "boxed boxed 0 ";
  const std::string said = journal();
  ASSERT_TRUE(said.starts_with(expected)) << said;
  std::string namespaces;
  for (const char* name : {"mnt", "pid", "net", "ipc", "uts", "cgroup", "user"})
    namespaces += fs::read_symlink("/proc/" + std::to_string(box.pid()) + "/ns/" + name).string() + "\n";
  EXPECT_THAT(said, HasSubstr("\n" + namespaces + "0 session /root /usr/local/sbin:"));
  EXPECT_TRUE(said.ends_with("\nhold\n")) << said;
  EXPECT_FALSE(hooks_gone(Milliseconds(100)));
  expect(0, {"post-script"});
  EXPECT_EQ(journal(), "THAW completed\n");
  expect_nothing_left();
}

TEST_P(ContainerHooksOf, FreezeAndThawThere) {
  const Box box(GetParam());
  configure_hooks(box.name(), pair("note freeze $(cat /etc/name)", "note thaw $(cat /etc/name) $DLM_FREEZE_OUTCOME"));
  expect(0, {"pre-script"});
  EXPECT_THAT(expect(0, {"status"}).out, HasSubstr("container=process " + std::to_string(box.pid())));
  expect(0, {"post-script"});
  EXPECT_EQ(journal(), "freeze boxed\nthaw boxed completed\n");
  expect_nothing_left();
}

INSTANTIATE_TEST_SUITE_P(A, ContainerHooksOf, testing::Values(Kind{"Container"}, Kind{"UserNamespace", true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(ContainerHooks, HaveTheRightsAndLimitsOfItsFirstProcessAndNoMore) {
  const Box box(
      {.before = "ulimit -n 512",
       .wrapper = "/usr/bin/setpriv --bounding-set=-all,+chown,+sys_chroot,+kill --inh-caps=-all --no-new-privs"});
  const auto rights = [](const std::string& status) {
    std::string found;
    for (const char* key : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Uid", "Gid", "Groups"}) {
      const std::size_t at = status.find(std::string("\n") + key + ":");
      found += status.substr(at + 1, status.find('\n', at + 1) - at);
    }
    return found;
  };
  const std::string own = read_text("/proc/" + std::to_string(box.pid()) + "/status");
  EXPECT_THAT(own, AllOf(HasSubstr("CapBnd:\t0000000000040021\n"), HasSubstr("NoNewPrivs:\t1\n")));
  const std::string theirs = noted_in(box, "cat /proc/self/status >>/shared/journal; note $(ulimit -n)");
  EXPECT_EQ(rights(theirs), rights(own));
  EXPECT_THAT(theirs, testing::EndsWith("\n512\n"));
}

TEST_F(ContainerHooks, HaveAFilterOfSystemCallsWhereItsFirstProcessHasOne) {
  if (read_text("/proc/self/status").find("Seccomp:\t0") == std::string::npos)
    GTEST_SKIP() << "everything that this test starts has a filter";
  write_text("/srv/shared/filtered", R"(#!/usr/bin/python3
import ctypes, os, struct, sys
allow = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))
program = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', 1, ctypes.addressof(allow)))
if ctypes.CDLL(None).prctl(22, 2, program, 0, 0) != 0: sys.exit('no filter')
os.execvp(sys.argv[1], sys.argv[1:])
)");
  ::chmod("/srv/shared/filtered", 0755);
  constexpr const char* kLook =
      "grep Seccomp: /proc/self/status >>/shared/journal; mount -t tmpfs none /tmp 2>/dev/null && note mounted; "
      "unshare --ipc true 2>/dev/null && note apart; :";
  {
    const Box box({.wrapper = "/srv/shared/filtered"});
    EXPECT_EQ(noted_in(box, kLook), "Seccomp:\t2\n");
  }
  const Box box;
  EXPECT_EQ(noted_in(box, kLook), "Seccomp:\t0\nmounted\napart\n");
}

TEST_F(ContainerHooks, HaveNoRightBackThatItsRootWasRobbedOf) {
  const Box box({.program = "/usr/bin/setpriv --securebits=+noroot,+noroot_locked /bin/sleep"});
  EXPECT_THAT(read_text("/proc/" + std::to_string(box.pid()) + "/status"), HasSubstr("CapEff:\t0000000000000000\n"));
  write_text("/proc/" + std::to_string(box.pid()) + "/oom_score_adj", "321");
  EXPECT_EQ(noted_in(box,
                     "note $(id -u); grep -E 'CapEff|CapBnd' /proc/self/status >>/shared/journal; "
                     "cat /proc/self/oom_score_adj >>/shared/journal"),
            "0\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n321\n");
}

TEST_F(ContainerHooks, HaveTheAccountOfItsFirstProcess) {
  const Box box({.account = "--userspec=1234:1235 --groups=5,6"});
  const std::string said =
      noted_in(box, "note $(id -u) $(id -g) $(id -G) $HOME; grep CapEff /proc/self/status >>/shared/journal");
  EXPECT_EQ(said, "1234 1235 1235 5 6 /\nCapEff:\t0000000000000000\n");
}

TEST_F(ContainerHooks, RunAsTheAccountThatOsUserGivesInNumbers) {
  const Box box({.name = "", .user_namespace = true});
  EXPECT_EQ(noted_in(box,
                     "note $(id -u) $(id -g) $(id -G) $HOME; grep CapEff /proc/self/status >>/shared/journal; "
                     "cat /dev/null; echo x 2>/dev/null >/proc/self/fd/1",
                     {{"os_user", "33:34"}}),
            "33 34 34 /\nCapEff:\t0000000000000000\n");
  configure_session(box, kHolds, {{"os_user", "99999:99999"}});
  expect_refused(206, "its user namespace has no 99999:99999");
  configure_session(box, kHolds, {{"os_user", "root"}});
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("os_user: with container it must be UID:GID in numbers"));
}

TEST_F(ContainerHooks, HaveThreePipesAndNothingElse) {
  const Box box;
  write_text("/srv/shared/session",
             "#!/bin/sh\nls -l /proc/$$/fd >/shared/journal\nls /proc/1/fd >/dev/null\necho READY\nread -r word\n:\n");
  ::chmod("/srv/shared/session", 0755);
  configure_hooks(box.name(), {{"session", {"/shared/session"}}});
  expect(0, {"pre-script"});
  // What keeps it in there holds nothing at all.
  const std::string wardens = run_tool({"sh", "-c",
                                        "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = dlm-warden ] && "
                                        "ls $p/fd $p/root/etc/name && readlink $p/exe; done; :"});
  EXPECT_THAT(wardens, HasSubstr("/memfd:dlm-entrant (deleted)"));
  EXPECT_THAT(wardens, Not(HasSubstr("\n0\n")));
  expect(0, {"post-script"});
  const std::string open = journal();
  EXPECT_THAT(open, testing::ContainsRegex("0 -> pipe:.*\n.*1 -> pipe:.*\n.*2 -> pipe:"));
  EXPECT_THAT(open, Not(HasSubstr("/dev/null")));
  EXPECT_THAT(open, Not(HasSubstr("memfd")));
  EXPECT_THAT(open, Not(HasSubstr("/proc")));
}

TEST_F(ContainerHooks, AreInItsControlGroupAndAreFoundByItsId) {
  const Group group(std::string("docker-") + id_ + ".scope");
  if (!group.is_there()) GTEST_SKIP() << "no control groups of version 2 here";
  const Box box;
  group.add(box.pid());
  const Box other;
  configure_hooks(
      short_id_,
      {{"session",
        {hook("session", "cat /proc/self/cgroup >/shared/journal\n" + std::string("echo READY; read -r word"))}}});
  expect(0, {"dry-run", "--probe"});
  expect(0, {"pre-script"});
  EXPECT_THAT(journal(), HasSubstr(std::string("0::/docker-") + id_ + ".scope\n"));
  const std::string members = group.members();
  EXPECT_EQ(std::count(members.begin(), members.end(), '\n'), 3) << "its own, what keeps the program, the program";
  EXPECT_THAT(expect(0, {"status"}).out, HasSubstr("container=docker container " + short_id_));
  expect(0, {"post-script"});
  configure_hooks("0123456789ab", {{"session", {"/shared/session"}}});
  EXPECT_THAT(expect_refused(206, "no process runs in the container 0123456789ab; there are: ").err,
              HasSubstr("docker container " + short_id_));
  expect_nothing_left();
}

TEST_F(ContainerHooks, OfOneThatIsPausedAreRefusedAtOnce) {
  const Group group(std::string("docker-") + id_ + ".scope");
  if (!group.is_there()) GTEST_SKIP() << "no control groups of version 2 here";
  const Box box;
  group.add(box.pid());
  configure_hooks(id_, {{"session", {hook("session", kHolds)}}});
  group.set("cgroup.freeze", "1");
  const auto refused = expect_refused(206, "cannot enter docker container " + short_id_ + ": it is paused");
  EXPECT_LT(refused.run_time(), seconds(2));
  group.set("cgroup.freeze", "0");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(ContainerHooks, OfAPodHaveToSayWhichOfItsContainers) {
  const std::string pod = "kubepods-pod11111111_2222_3333_4444_555555555555.slice";
  const Group slice(pod);
  if (!slice.is_there()) GTEST_SKIP() << "no control groups of version 2 here";
  const Group one(pod + "/cri-containerd-" + id_ + ".scope");
  const Group two(pod + "/cri-containerd-" + other_id_ + ".scope");
  const Group sandbox(pod + "/cri-containerd-" + id_of('b') + ".scope");
  const Box box;
  const Box other;
  const Box pause({.before = "cp /usr/bin/sleep /srv/own/tmp/pause", .program = "/tmp/pause"});
  sandbox.add(pause.pid());
  configure_hooks("11111111-2222-3333-4444-555555555555", {{"session", {hook("session", kHolds)}}});
  expect_refused(206, "no process runs in the container 11111111-2222-3333-4444-555555555555");
  two.add(other.pid());
  EXPECT_THAT(expect(0, {"pre-script"}).out, Not(HasSubstr("WARN: db")));
  EXPECT_THAT(expect(0, {"status"}).out, HasSubstr("containerd container " + other_id_.substr(0, 12)));
  expect(0, {"post-script"});
  one.add(box.pid());
  configure_hooks("11111111-2222-3333-4444-555555555555", {{"session", {hook("session", kHolds)}}});
  expect_refused(206, "is the name of several: give the id of one of containerd container " + short_id_ +
                          ", containerd container " + other_id_.substr(0, 12));
  configure_hooks(other_id_, {{"session", {"/shared/session"}}});
  expect(0, {"pre-script"});
  EXPECT_NE(two.members(), std::to_string(other.pid()) + "\n");
  EXPECT_EQ(one.members(), std::to_string(box.pid()) + "\n");
  expect(0, {"post-script"});
}

TEST_F(ContainerHooks, OfAMachineAreNotRunWhereItsSupervisorIs) {
  const std::string machine = "dlm" + std::to_string(::getpid());
  const std::string unit = "systemd-nspawn@" + machine + ".service";
  const Group group(unit);
  if (!group.is_there()) GTEST_SKIP() << "no control groups of version 2 here";
  const Group supervisor(unit + "/supervisor");
  const Group payload(unit + "/payload");
  const pid_t parent = ::getpid();
  const pid_t older = check(::fork(), "fork");
  if (older == 0) {
    die_with_parent(parent);
    for (;;) ::pause();
  }
  supervisor.add(older);
  configure_hooks(machine, {{"session", {hook("session", kHolds)}}});
  expect_refused(206, "machine " + machine + " is in no container: its mount namespace is this host's");
  {
    const Box box;
    payload.add(box.pid());
    expect(0, {"pre-script"});
    EXPECT_THAT(expect(0, {"status"}).out, HasSubstr("container_process=" + std::to_string(box.pid()) + "/"));
    expect(0, {"post-script"});
  }
  ::kill(older, SIGKILL);
  EXPECT_TRUE(reap(older, kLong));
}

TEST_F(ContainerHooks, AreNotRunWhileTheirContainerIsBeingBuilt) {
  // What a runtime is then: in the namespaces and the control group, and not yet the container's program.
  const pid_t runtime = fork_into({.own_directory = "/srv/own"}, [] {
    die_with_test();
    for (;;) ::pause();
  });
  configure_hooks("pid:" + std::to_string(runtime), pair("note freeze", "note thaw"));
  expect_refused(206, "process " + std::to_string(runtime) + " is still being started");
  const Group group("docker-" + id_ + ".scope");
  if (group.is_there()) {
    group.add(runtime);
    configure_hooks(id_, pair("note freeze", "note thaw"));
    expect_refused(206, "docker container " + short_id_ + " is still being started");
    const Box box;
    group.add(box.pid());
    expect(0, {"pre-script"});
    EXPECT_THAT(expect(0, {"status"}).out, HasSubstr("container_process=" + std::to_string(box.pid()) + "/"));
    expect(0, {"post-script"});
  }
  EXPECT_EQ(journal(), group.is_there() ? "freeze\nthaw\n" : "");
  ::kill(runtime, SIGKILL);
  EXPECT_TRUE(reap(runtime, kLong));
}

TEST_F(ContainerHooks, OfAContainerThatIsNotThereAreAbsent) {
  configure_hooks("0123456789ab", {{"session", {"/bin/true"}}});
  expect_refused(206, "db is required and does not run: no process runs in the container 0123456789ab");
  configure_hooks("0123456789ab", {{"session", {"/bin/true"}}, {"required", false}});
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("db is skipped"));
  expect(0, {"post-script"});
  configure_hooks("pid:" + std::to_string(::getpid()), {{"session", {"/bin/true"}}});
  expect_refused(206, "is in no container: its mount namespace is this host's");
}

TEST_F(ContainerHooks, ThatCannotBeExecutedThereAre206BeforeAnythingIsHeld) {
  const Box box;
  hook("freeze", "note freeze");
  configure_hooks(box.name(), {{"freeze", {"/shared/freeze"}}, {"thaw", {"/shared/nothing"}}});
  expect_refused(206, "/shared/nothing cannot be executed: it is no file, in process");
  hook("thaw", "note thaw");
  ::chmod("/srv/shared/thaw", 0644);
  configure_hooks(box.name(), {{"freeze", {"/shared/freeze"}}, {"thaw", {"/shared/thaw"}}});
  expect_refused(206, "/shared/thaw cannot be executed: chmod +x it");
  configure_hooks(box.name(), {{"freeze", {"freeze"}}, {"thaw", {"/shared/thaw"}}});
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("must be given by its absolute path"));
  EXPECT_EQ(journal(), "");
}

TEST_F(ContainerHooks, OfASessionWhoseContainerIsKilledAre202) {
  Box box;
  configure_session(box, kHolds);
  expect(0, {"pre-script"});
  const std::string process = "process " + std::to_string(box.pid());
  box.kill();
  ASSERT_TRUE(hooks_gone());
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, AllOf(HasSubstr("db was lost while it was quiesced"), HasSubstr(process)));
  expect_nothing_left();
}

TEST_F(ContainerHooks, OfASessionThatOutlivesItsContainerAre202) {
  // Without a PID namespace of its own, what runs in it does not end with its first process.
  const std::string pid = "/srv/shared/pid";
  run_tool({"sh", "-c", "unshare --mount sleep 600 >/dev/null 2>&1 & echo $! >" + pid});
  const pid_t first = std::atoi(read_text(pid).c_str());
  ASSERT_TRUE(eventually([&] { return read_text("/proc/" + std::to_string(first) + "/comm") == "sleep\n"; }, kLong));
  fs::create_directories("/shared");
  write_text("/srv/shared/session", "#!/bin/sh\necho READY; read -r word\n:\n");
  ::chmod("/srv/shared/session", 0755);
  configure_hooks("pid:" + std::to_string(first), {{"session", {"/srv/shared/session"}}});
  expect(0, {"pre-script"});
  ::kill(first, SIGKILL);
  EXPECT_THAT(expect(202, {"post-script"}).err, HasSubstr("while it was to hold"));
  expect_nothing_left();
}

TEST_F(ContainerHooks, ThatThawAreRunInNoOtherContainerThanTheyFrozeIn) {
  auto box = std::make_unique<Box>();
  configure_hooks(box->name(), pair("note freeze", "note thaw"));
  expect(0, {"pre-script"});
  const std::string process = "process " + std::to_string(box->pid());
  box.reset();
  box = std::make_unique<Box>();  // As a restart.
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err,
              HasSubstr("thaw command /shared/thaw was not run: " + process + " has ended while it was held"));
  EXPECT_EQ(journal(), "freeze\n");
  expect_nothing_left();
  expect(205, {"post-script"});
}

TEST_F(ContainerHooks, WhoseContainerEndsWhileTheyFreezeAre201AndNothingIsLeft) {
  Box box;
  configure_hooks(box.name(), pair("note freeze; sleep 1000 & sleep 1000", "note thaw"));
  const auto pre = start({"pre-script"});
  ASSERT_TRUE(eventually([&] { return journal() == "freeze\n"; }, seconds(5)));
  box.kill();
  EXPECT_EQ(pre->wait().exit_code, 201);
  expect_nothing_left();
  expect(205, {"post-script"});
}

/// A daemon as they are: in a session of its own, its parent gone, its descriptors closed but for the lock.
constexpr const char* kDaemon =
    "setsid sh -c '(exec sleep 1000 </dev/null >/dev/null 2>&1) & (setsid sleep 1000 >/dev/null 2>&1 &)' "
    ">/dev/null 2>&1 &\nsleep 0.2\n";

TEST_F(ContainerHooks, ThatTakeTooLongAreKilledWithTheirDaemons) {
  const Box box;
  configure_session(box, std::string("trap '' TERM HUP\n") + kDaemon + "note begun; sleep 1000",
                    {{"timeout_seconds", 1}});
  const auto pre = expect(201, {"pre-script"});
  EXPECT_LT(pre.run_time(), seconds(6));
  EXPECT_EQ(journal(), "begun\n");
  expect_nothing_left();
}

TEST_F(ContainerHooks, ThatIgnoreTheEndOfTheirInputAreKilledWithTheirDaemonsWhenTheWatchdogDies) {
  const Box box;
  configure_session(box, std::string("trap '' TERM HUP\n") + kDaemon + "echo READY; sleep 1000",
                    {{"timeout_seconds", 1}});
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  expect_nothing_left(seconds(5));
  expect(202, {"post-script"});
}

TEST_F(ContainerHooks, ThatEndWellLeaveTheirDaemonsAlone) {
  const Box box;
  configure_hooks(box.name(), pair(std::string(kDaemon) + "note freeze", "exit 0"));
  // What was left behind has the lock.
  write_text("/srv/shared/thaw", "#!/bin/sh\nexit 0\n");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_FALSE(hooks_gone(Milliseconds(300)));
}

TEST_F(ContainerHooks, OfASessionSeeTheEndOfTheirInputWhenTheWatchdogDies) {
  const Box box;
  configure_session(box, kHolds);
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  expect_nothing_left();
  EXPECT_EQ(journal(), "hold\nend of input\n");
  expect(202, {"post-script"});
}

TEST_F(ContainerHooks, OfASessionEndWithTheirKeeper) {
  const Box box;
  configure_session(box, "echo READY; exec sleep 1000");
  expect(0, {"pre-script"});
  process("dlm-keeper").signal(SIGKILL);
  EXPECT_TRUE(hooks_gone());
  EXPECT_THAT(expect(202, {"post-script"}).err, HasSubstr("db"));
  expect_nothing_left();
}

TEST_F(ContainerHooks, ThatThawAreRunThereWhenTheWatchdogDiesWhileTheyFreeze) {
  const Box box;
  configure_hooks(box.name(), pair("note freeze $(cat /etc/name); sleep 1000 & sleep 1000",
                                   "note thaw $(cat /etc/name) $DLM_FREEZE_OUTCOME"));
  const auto pre = start({"pre-script"});
  ASSERT_TRUE(eventually([] { return read_text("/srv/shared/journal") == "freeze boxed\n"; }, seconds(5)));
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_EQ(pre->wait().exit_code, 201);
  expect_nothing_left();
  EXPECT_EQ(journal(), "freeze boxed\nthaw boxed rolled_back\n");
}

TEST_F(ContainerHooks, OfTheExampleSaveRedisInItsContainer) {
  if (::access("/usr/bin/redis-server", X_OK) != 0) GTEST_SKIP() << "redis-server is not installed";
  const Box box({.before = "ip link set lo up; mkdir data; redis-server --daemonize yes --save '' --dir /srv/own/data "
                           "--dbfilename saved >/dev/null; sleep 0.5; redis-cli SET kept yes >/dev/null"});
  auto config = nlohmann::json::parse(example_, nullptr, true, true);
  auto& redis = config["quiescers"][0];
  ASSERT_EQ(redis["container"], "3f2a1b2c3d4e");
  ASSERT_EQ(redis["prepare"][0], "/usr/local/bin/redis-cli");
  redis["container"] = box.name();
  redis["prepare"][0] = "/usr/bin/redis-cli";
  configure(config.dump());
  EXPECT_FALSE(fs::exists(box.root() + "/data/saved"));
  expect(0, {"pre-script"});
  EXPECT_THAT(read_text(box.root() + "/data/saved"), AllOf(HasSubstr("kept"), HasSubstr("yes")));
  expect(0, {"post-script"});
  redis["prepare"].push_back("refused");
  configure(config.dump());
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("prepare command /usr/bin/redis-cli in process "));
}

/// With a runtime of the real world: its control groups of both versions, capabilities, filter and masked paths.
class RuncHooks : public ContainerHooks, public testing::WithParamInterface<Kind> {
 protected:
  void SetUp() override {
    ContainerHooks::SetUp();
    if (!IsSkipped() && !has_runc()) GTEST_SKIP() << "runc is not installed";
  }
  void TearDown() override {
    if (fs::exists("/srv/state")) runc("delete --force " + id_);
    ContainerHooks::TearDown();
  }
  static bool has_runc() { return std::system("command -v runc >/dev/null") == 0; }
  static std::string runc(const std::string& command) {
    return run_tool({"sh", "-c", "cd /srv/bundle && runc --root /srv/state " + command + " </dev/null 2>&1"});
  }

  void start_container() {
    fs::create_directories("/srv/bundle/rootfs");
    fs::create_directories("/srv/state");
    run_tool(
        {"sh", "-ec",
         "cd /srv/bundle && runc spec && chmod 755 /srv . && cd rootfs && mkdir usr proc dev sys etc tmp shared && "
         "for link in bin sbin lib lib64; do ln -s usr/$link $link; done && echo boxed >etc/name"});
    auto spec = nlohmann::json::parse(read_text("/srv/bundle/config.json"));
    spec["process"]["terminal"] = false;
    spec["process"]["args"] = {"/bin/sleep", "600"};
    spec["root"]["readonly"] = false;
    spec["mounts"].push_back(
        {{"destination", "/usr"}, {"type", "bind"}, {"source", "/usr"}, {"options", {"rbind", "ro"}}});
    spec["mounts"].push_back(
        {{"destination", "/shared"}, {"type", "bind"}, {"source", "/srv/shared"}, {"options", {"bind"}}});
    auto& its = spec["linux"];
    its["cgroupsPath"] = "/docker-" + id_ + ".scope";
    its["namespaces"].push_back({{"type", "cgroup"}});
    its["resources"]["pids"]["limit"] = 50;
    its["seccomp"] = {{"defaultAction", "SCMP_ACT_ALLOW"},
                      {"syscalls", {{{"names", {"keyctl", "mount"}}, {"action", "SCMP_ACT_ERRNO"}}}}};
    if (GetParam().user_namespace) {
      its["namespaces"].push_back({{"type", "user"}});
      for (const char* map : {"uidMappings", "gidMappings"})
        its[map] = {{{"containerID", 0}, {"hostID", ContainerSpec::kFirstId}, {"size", 65536}}};
      run_tool({"chown", "-R", std::to_string(ContainerSpec::kFirstId), "/srv/bundle/rootfs"});
    }
    write_text("/srv/bundle/config.json", spec.dump());
    runc("run --detach --pid-file /srv/pid " + id_ + " >/srv/log");
    const std::string program = "/proc/" + std::string(trimmed(read_text("/srv/pid"))) + "/comm";
    if (!eventually([&] { return read_text(program) == "sleep\n"; }, kLong)) throw std::runtime_error("not started");
  }
};

TEST_P(RuncHooks, HoldAreRefusedWhilePausedAndAreLostWithTheContainer) {
  start_container();
  const std::string status = read_text("/proc/" + read_text("/srv/pid") + "/status");
  const std::string rights =
      status.substr(status.find("CapInh:"), status.find("Seccomp_filters") - status.find("CapInh:"));
  configure_hooks(short_id_, {{"session",
                               {hook("session", std::string("cat /etc/name /proc/self/status "
                                                            "/proc/self/cgroup >/shared/journal; ") +
                                                    "id -u >>/shared/journal; " + kHolds)}}});
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, HasSubstr("in docker container " + short_id_));
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*data_));
  EXPECT_THAT(runc("ps " + id_), AllOf(HasSubstr("dlm-entrant"), HasSubstr("/shared/session")));
  expect(0, {"post-script"});
  EXPECT_THAT(journal(), AllOf(testing::StartsWith("boxed\n"), HasSubstr(rights), Not(HasSubstr("docker")),
                               testing::EndsWith("0\nhold\nTHAW completed\n")));
  runc("pause " + id_);
  expect_refused(206, "cannot enter docker container " + short_id_ + ": it is paused");
  runc("resume " + id_);
  expect(0, {"pre-script"});
  runc("kill " + id_ + " KILL");
  ASSERT_TRUE(hooks_gone());
  EXPECT_THAT(expect(202, {"post-script"}).err,
              HasSubstr("in docker container " + short_id_ + " exited with status 137"));
  expect_nothing_left();
  expect_refused(206, "db is required and does not run: no process runs in the container " + short_id_);
}

INSTANTIATE_TEST_SUITE_P(A, RuncHooks, testing::Values(Kind{"Container"}, Kind{"UserNamespace", true}),
                         [](const auto& test) { return std::string(test.param.name); });

/// SIGKILL to the watchdog at moments spread over pre-script's whole run.
TEST_F(ContainerHooks, AreUndoneWheneverTheWatchdogDies) {
  const Box box;
  for (const bool is_session : {true, false}) {
    const nlohmann::json hooks =
        is_session ? nlohmann::json{{"session", {hook("session", std::string("note begin; ") + kHolds + "; note end")}}}
                   : pair("note begin; sleep 0.02", "note end");
    configure_hooks(box.name(), hooks);
    const auto run_time = expect(0, {"pre-script"}).run_time();
    expect(0, {"post-script"});
    journal();
    int begun = 0;
    const int count = moments_of(12, 50);
    for (int number = 0; number < count && !HasFailure(); ++number) {
      restart_safety_limit();
      const auto pre = start({"pre-script", "--auto-thaw", "10"});
      sleep_for(run_time * 14 * number / (10 * count));
      if (const auto watchdog = agent_process(binary(), "dlm-watchdog")) watchdog->signal(SIGKILL);
      const auto result = pre->wait();
      SCOPED_TRACE("moment " + std::to_string(number) + ": " + result.text());
      ASSERT_THAT(result.exit_code, testing::Optional(testing::AnyOf(0, 201)));
      if (result.exit_code == 0 || !eventually([&] { return processes().empty(); }, seconds(2))) {
        const auto post = run({"post-script"});
        ASSERT_THAT(post.exit_code, testing::Optional(testing::AnyOf(0, 202))) << post.text();
      }
      expect_nothing_left();
      const std::string noted = journal();
      if (noted.empty()) continue;
      ++begun;
      EXPECT_THAT(noted, HasSubstr("end\n")) << "begun and not ended";
    }
    EXPECT_GT(begun, count / 4);
  }
}

class HostileContainerHooks : public ContainerHooks {
 protected:
  void SetUp() override {
    ContainerHooks::SetUp();
    if (!IsSkipped()) before_ = read_text(binary());
  }
  void TearDown() override {
    if (!IsSkipped()) {
      EXPECT_TRUE(read_text(binary()) == before_) << "the program of this host was changed";
    }
    ContainerHooks::TearDown();
  }

 private:
  std::string before_;
};

TEST_F(HostileContainerHooks, AreNotOpenedNorFollowedOutOfIt) {
  const Box box;
  write_text("/srv/host-only", "#!/bin/sh\necho out >/shared/journal\necho READY; read -r word\n");
  ::chmod("/srv/host-only", 0755);
  const auto refused = [&](const std::string& name, const std::string& why) {
    SCOPED_TRACE(name);
    configure_hooks(box.name(), {{"session", {"/shared/" + name}}});
    EXPECT_LT(expect_refused(206, why).run_time(), seconds(2));
  };
  check(::mkfifo("/srv/shared/fifo", 0755), "mkfifo");
  refused("fifo", "it is no file");
  fs::create_symlink("/srv/host-only", "/srv/shared/absolute");
  refused("absolute", "it is no file");
  fs::create_symlink("../../../../../../srv/host-only", "/srv/shared/relative");
  refused("relative", "it is no file");
  fs::create_symlink("/proc/self/root/../srv/host-only", "/srv/shared/magic");
  refused("magic", "it is no file");
  fs::create_symlink("loop", "/srv/shared/loop");
  refused("loop", "it is no file");
  fs::create_directory("/srv/shared/directory");
  refused("directory", "it is no file");
  EXPECT_EQ(journal(), "");
  expect_nothing_left();
}

TEST_F(HostileContainerHooks, AreNotRunWhereAUserOfTheHostTookTheNameOfTheContainer) {
  const Group slice("user-" + std::to_string(::getpid()) + ".slice");
  if (!slice.is_there()) GTEST_SKIP() << "no control groups of version 2 here";
  const Group forged("user-" + std::to_string(::getpid()) + ".slice/docker-" + id_ + ".scope");
  const Group group("docker-" + id_ + ".scope");
  const Box older({.name = "", .user_namespace = true});
  const Box box;
  forged.add(older.pid());
  group.add(box.pid());
  configure_hooks(short_id_, {{"session", {hook("session", kHolds)}}});
  expect_refused(206, short_id_ + " is the name of several control groups: /docker-" + id_ + ".scope, /user-");
  configure_hooks(box.name(), {{"session", {"/shared/session"}}});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(HostileContainerHooks, AreNotRunBelowWhatAUserOfTheHostMayChange) {
  const std::string own = "user-of-" + std::to_string(::getpid());
  const Group users(own);
  if (!users.is_there()) GTEST_SKIP() << "no control groups of version 2 here";
  const Group group(own + "/docker-" + id_ + ".scope");
  const Box box;
  group.add(box.pid());
  configure_hooks(id_, {{"session", {hook("session", kHolds)}}});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  users.own(1234);
  expect_refused(206, "is below what the user with uid 1234 may change; give its first process as pid:N");
  configure_hooks(box.name(), {{"session", {hook("session", kHolds)}}});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(HostileContainerHooks, ThatFillTheirOwnInputHoldUpNobody) {
  const Box box;
  configure_session(box, "echo READY; dd if=/dev/zero of=/proc/self/fd/0 bs=4096 oflag=nonblock 2>/dev/null; sleep 600",
                    {{"timeout_seconds", 1}});
  expect(0, {"pre-script"});
  sleep_for(Milliseconds(300));
  const auto post = expect(202, {"post-script"});
  EXPECT_LT(post.run_time(), seconds(5)) << post.text();
  expect_nothing_left();
}

TEST_F(HostileContainerHooks, OnAFilesystemThatNeverAnswersAreKilledAfterTheirTime) {
  const UniqueFd server(check(::open("/dev/fuse", O_RDWR | O_CLOEXEC), "/dev/fuse"));
  fs::create_directories("/srv/shared/dead");
  const std::string options = "fd=" + std::to_string(server.get()) + ",rootmode=40000,user_id=0,group_id=0";
  check(::mount("dead", "/srv/shared/dead", "fuse", 0, options.c_str()), "mount fuse");
  const Box box;
  unmount_lazily("/srv/shared/dead");
  configure_hooks(box.name(), {{"session", {"/shared/dead/session"}}, {"timeout_seconds", 1}});
  const auto refused = expect_refused(206, "the files of process " + std::to_string(box.pid()) + ": ");
  EXPECT_THAT(refused.err, HasSubstr("did not end in time and was killed"));
  EXPECT_LT(refused.run_time(), seconds(3));
  expect_nothing_left();
}

TEST_F(HostileContainerHooks, WithoutRoomForAProcessAre206) {
  const Group group("dlm-" + std::to_string(::getpid()), "pids");
  if (!group.is_there()) GTEST_SKIP() << "no control groups for the number of processes here";
  const Box box;
  group.add(box.pid());
  group.set("pids.max", "1");
  configure_session(box, kHolds);
  expect_refused(206, ": no process can be started in it: Resource temporarily unavailable");
  group.set("pids.max", "max");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(HostileContainerHooks, GetNoHoldOfThisProgramByWhatExecutesThem) {
  const Box box;
  // That is what enters, so it runs once more, with no more than the container has.
  write_text("/srv/shared/session", "#!/proc/self/exe\n");
  ::chmod("/srv/shared/session", 0755);
  configure_hooks(box.name(), {{"session", {"/shared/session"}}});
  expect(201, {"pre-script"});
  expect_nothing_left();
}

TEST_F(HostileContainerHooks, CannotChangeThisProgramByTheProcessesInIt) {
  const Box box;
  // Whatever is born in here: each file that its exe and its descriptors lead to is opened, kept and written to.
  write_text("/srv/shared/attack", R"(#!/usr/bin/python3
import os
kept, seen, pids = {}, set(), set()
open('/shared/attacking', 'w').close()
while not os.path.exists('/shared/enough'):
    for pid in [p for p in os.listdir('/proc') if p.isdigit() and p not in ('1', str(os.getpid()))]:
        for name in ['exe'] + ['fd/%d' % n for n in range(32)]:
            path = '/proc/%s/%s' % (pid, name)
            try:
                seen.add(os.readlink(path))
                fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                kept.setdefault(os.readlink('/proc/self/fd/%d' % fd), fd)
                if kept[os.readlink('/proc/self/fd/%d' % fd)] != fd: os.close(fd)
            except OSError: pass
written = []
for path, fd in kept.items():
    if 'pipe:' in path or path.startswith('/usr') or path.startswith('/shared'): continue
    try:
        out = os.open('/proc/self/fd/%d' % fd, os.O_WRONLY)
        os.write(out, b'#!/bin/sh\n')
        written.append(path)
    except OSError as error: pass
with open('/shared/result.new', 'w') as result:
    result.write('seen: %s\nkept: %s\nwritten: %s\n' % (sorted(seen), sorted(kept), written))
os.rename('/shared/result.new', '/shared/result')
)");
  ::chmod("/srv/shared/attack", 0755);
  const std::string enter = "nsenter -t " + std::to_string(box.pid()) + " -a -r /bin/sh -c 'setsid /shared/attack &'";
  run_tool({"sh", "-c", enter + " >/dev/null 2>&1"});
  ASSERT_TRUE(eventually([] { return fs::exists("/srv/shared/attacking"); }, seconds(5)));
  for (int i = 0; i < 20; ++i) {
    restart_safety_limit();
    configure_session(box, kHolds);
    expect(0, {"pre-script"});
    expect(0, {"post-script"});
  }
  write_text("/srv/shared/enough", "");
  ASSERT_TRUE(eventually([] { return fs::exists("/srv/shared/result"); }, seconds(5)));
  const std::string result = read_text("/srv/shared/result");
  EXPECT_THAT(result, HasSubstr("memfd:dlm-entrant")) << "it saw nothing";
  EXPECT_THAT(result, Not(HasSubstr("dlm-freeze"))) << "of this host";
  EXPECT_THAT(result, HasSubstr("written: []"));
}

TEST_F(HostileContainerHooks, ThatKillOrStopWhatKeepsThemHoldUpNobody) {
  const Box box;
  configure_session(box,
                    "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = dlm-warden ] && warden=${p#/proc/}; done\n"
                    "echo READY; sleep 0.3; kill -STOP $warden; sleep 1000",
                    {{"timeout_seconds", 1}});
  expect(0, {"pre-script"});
  sleep_for(Milliseconds(500));
  const auto post = expect(202, {"post-script"});
  EXPECT_LT(post.run_time(), seconds(6));
  expect_nothing_left();
}

}  // namespace
}  // namespace dlm_freeze::integration
