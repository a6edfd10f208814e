// SPDX-License-Identifier: Apache-2.0
// What a caller leaves a process with, and what stands in the place of a log daemon, of a reader and of files: nothing
// of it changes an exit code, and nothing of it is waited for.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::AllOf;
using testing::AnyOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Outside : public HostTest {
 protected:
  /// The command is run by `script`, as "$@".
  static RunOptions by_shell(const std::string& script) { return {.wrapper = {"/bin/sh", "-c", script, "sh"}}; }
  /// The same by Python, after `script`.
  static RunOptions by_python(const std::string& script) {
    return {.wrapper = {"/usr/bin/python3", "-c",
                        "import os, signal, sys, resource\n" + script + "\nos.execv(sys.argv[1], sys.argv[1:])"}};
  }

  void configure_hooks(const std::string& freeze, const std::string& thaw) const {
    fs::create_directories("/srv/hooks");
    for (const auto& [name, body] : {std::pair("freeze", freeze), std::pair("thaw", thaw)}) {
      const std::string path = std::string("/srv/hooks/") + name;
      write_text(path, "#!/bin/sh\n" + body + "\n");
      ::chmod(path.c_str(), 0755);
    }
    configure(R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "command", "name": "db",
                 "freeze": ["/srv/hooks/freeze"], "thaw": ["/srv/hooks/thaw"]}]})");
  }

  /// A session that has to succeed, quickly.
  void expect_session(const RunOptions& options) {
    const auto pre = expect(0, {"pre-script"}, options);
    EXPECT_LT(pre.run_time(), seconds(4)) << pre.text();
    EXPECT_TRUE(frozen(*data_));
    const auto post = expect(0, {"post-script"}, options);
    EXPECT_LT(post.run_time(), seconds(4)) << post.text();
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone());
  }

  void SetUp() override {
    HostTest::SetUp();
    if (!IsSkipped()) data_ = &add("ext4", "/srv/data");
  }

  const Filesystem* data_ = nullptr;
};

/// A filter of system calls, as the Python of by_python installs it: x86-64's number `call` gives `action`; of ioctl(2)
/// only `request`.
std::string filter(int call, const std::string& action, const std::string& request = "0") {
  return "import ctypes, struct\n"
         "request = " +
         request +
         "\n"
         "act = {'kill': 0x80000000, 'eperm': 0x50001, 'enosys': 0x50026}['" +
         action +
         "']\n"
         "match = [(0x20, 0, 0, 24), (0x15, 0, 1, request)] if request else []\n"
         "code = [(0x20, 0, 0, 0), (0x15, 0, len(match) + 1, " +
         std::to_string(call) +
         ")] + match\n"
         "code += [(0x06, 0, 0, act), (0x06, 0, 0, 0x7fff0000)]\n"
         "program = b''.join(struct.pack('HBBI', *one) for one in code)\n"
         "class Filter(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('code', ctypes.c_char_p)]\n"
         "libc = ctypes.CDLL(None, use_errno=True)\n"
         "assert libc.prctl(38, 1, 0, 0, 0) == 0\n"
         "assert libc.prctl(22, 2, ctypes.byref(Filter(len(code), program)), 0, 0) == 0";
}

#ifdef __x86_64__
constexpr int kIoctl = 16;
constexpr int kKill = 62;
constexpr int kSyncfs = 306;
constexpr int kPidfdSendSignal = 424;
constexpr const char* kFithaw = "0xC0045878";

TEST_F(Outside, AFilterThatForbidsWhatASessionEndsWithFailsItBeforeAnythingIsFrozen) {
  struct Case {
    int call;
    const char* action;
    const char* request;
    const char* message;
  };
  for (const Case& one : {Case{kIoctl, "eperm", kFithaw, "FITHAW is refused here"},
                          Case{kIoctl, "enosys", kFithaw, "FITHAW is refused here"},
                          Case{kIoctl, "kill", kFithaw, "a filter of system calls (seccomp) killed it"},
                          Case{kPidfdSendSignal, "kill", "0", "a filter of system calls (seccomp) killed it"},
                          Case{kSyncfs, "eperm", "0", "syncfs(2) is refused here"}}) {
    const auto pre = run({"pre-script"}, by_python(filter(one.call, one.action, one.request)));
    EXPECT_EQ(pre.exit_code, 201) << one.call << pre.text();
    EXPECT_THAT(pre.err, HasSubstr(one.message)) << one.call;
    EXPECT_TRUE(writable(*data_)) << one.call;
    EXPECT_TRUE(all_gone()) << one.call;
  }
  // pre-script dies of that itself when it wants to end what it has begun.
  EXPECT_NE(run({"pre-script"}, by_python(filter(kKill, "kill"))).exit_code, 0);
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(all_gone());
}
#endif

TEST_F(Outside, AHookThatFailsIsHeardWhateverSignalsTheCallerIgnores) {
  configure_hooks("exit 7", "exit 0");
  for (const char* wrapper : {"trap '' CHLD; exec \"$@\"", "trap '' CHLD HUP INT TERM ALRM USR1 USR2; exec \"$@\""}) {
    const auto pre = run({"pre-script"}, by_shell(wrapper));
    EXPECT_THAT(pre.exit_code, testing::Optional(AnyOf(201, 206))) << pre.text();
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone());
  }
  configure_hooks("exit 0", "exit 7");
  expect(0, {"pre-script"}, by_shell("trap '' CHLD; exec \"$@\""));
  EXPECT_THAT(expect(202, {"post-script"}, by_shell("trap '' CHLD; exec \"$@\"")).err, HasSubstr("db"));
}

TEST_F(Outside, ACallerMayIgnoreAndBlockAllSignals) {
  expect_session(
      by_python("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))\n"
                "for s in range(1, signal.NSIG):\n"
                "  try: signal.signal(s, signal.SIG_IGN)\n"
                "  except (OSError, ValueError): pass"));
}

TEST_F(Outside, ACallerMayHaveClosedItsStdio) {
  for (const char* closed : {"<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"}) {
    expect_session(by_shell(std::string("exec \"$@\" ") + closed));
  }
}

TEST_F(Outside, ACallerMayHaveLowLimits) {
  for (const char* limit : {"-S -f 0", "-S -t 1", "-S -s 256", "-S -n 16", "-S -v 200000", "-l 0", "-S -c unlimited"}) {
    expect_session(by_shell(std::string("ulimit ") + limit + " && exec \"$@\""));
  }
}

TEST_F(Outside, ACallerWhoMayWriteNoFileIsToldSo) {
  const auto pre = run({"pre-script"}, by_shell("ulimit -f 0; exec \"$@\""));
  ASSERT_TRUE(pre.exit_code) << pre.text();
  if (*pre.exit_code == 0) {  // Root with CAP_SYS_RESOURCE may raise a hard limit.
    expect(0, {"post-script"});
  } else {
    EXPECT_EQ(*pre.exit_code, 201) << pre.text();
    EXPECT_THAT(pre.err, HasSubstr("File too large"));
  }
  EXPECT_TRUE(writable(*data_));
}

TEST_F(Outside, ACallerWhoseHardLimitsAreTooLowIsToldSo) {
  for (const char* limit : {"-n 5", "-n 8", "-n 12", "-n 20", "-v 16000", "-d 1000", "-s 256"}) {
    const auto pre = run({"pre-script"}, by_shell(std::string("ulimit ") + limit + " && exec \"$@\""));
    if (pre.exit_code == 0) {
      EXPECT_TRUE(frozen(*data_));
      expect(0, {"post-script"});
    } else {
      EXPECT_EQ(pre.exit_code, 201) << limit << "\n" << pre.text();
      EXPECT_THAT(pre.err, EndsWith("Return Error Code: 201\n"));
    }
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone());
  }
}

TEST_F(Outside, AShortageOfMemoryIsNamed) {
  for (int kib = 6000; kib < 24'000; kib += 1500) {
    const std::string limit = std::to_string(kib * 1024);
    // Without CAP_SYS_RESOURCE root does not raise it again.
    const auto pre = run({"pre-script"}, by_python("import ctypes\n"
                                                   "ctypes.CDLL(None).prctl(24, 24, 0, 0, 0)\n"
                                                   "resource.setrlimit(resource.RLIMIT_AS, (" +
                                                   limit + ", " + limit + "))"));
    if (pre.exit_code == 0) {
      expect(0, {"post-script"});
    } else if (pre.exit_code) {  // Else it could not even be loaded, or not begin.
      EXPECT_THAT(pre.err, AnyOf(HasSubstr("memory"), HasSubstr("shared object"))) << kib;
    }
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone());
  }
}

TEST_F(Outside, ACallersWorkingDirectoryIsLeft) {
  expect(0, {"pre-script"}, by_shell("cd /srv/data && exec \"$@\""));
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(process("dlm-watchdog").pid()) + "/cwd"), "/");
  EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(process("dlm-sentinel").pid()) + "/cwd"), "/");
  expect(0, {"post-script"}, by_shell("cd /srv/data && exec \"$@\""));
  const auto relative = run({"pre-script", "--state-dir", "state"}, by_shell("cd /srv/data && exec \"$@\""));
  EXPECT_EQ(relative.exit_code, 1) << relative.text();
  EXPECT_THAT(relative.err, HasSubstr("must be an absolute path"));
  EXPECT_TRUE(writable(*data_));
}

TEST_F(Outside, AConfigurationIsFoundFromTheCallersWorkingDirectory) {
  write_text("/srv/data/there.json", R"({"quiescers": [], "filesystems": {"exclude": ["/srv/data"]}})");
  const auto found =
      run({}, {.wrapper = {"/bin/sh", "-c", "cd /srv/data; exec \"$1\" --config there.json dry-run", "sh"}});
  EXPECT_EQ(found.exit_code, 0) << found.text();
  EXPECT_THAT(found.out, HasSubstr("0 filesystems would be frozen"));
}

/// A /dev of the test's own, with a log daemon's socket that nobody reads.
class StuckLog : public Outside {
 protected:
  void SetUp() override {
    Outside::SetUp();
    if (IsSkipped()) return;
    mount_tmpfs("/srv/dev");
    for (const auto& entry : fs::directory_iterator("/dev")) {
      const std::string name = entry.path().filename();
      struct stat info {};
      const bool is_wanted = name.starts_with("loop") || name == "null" || name == "zero" || name == "urandom";
      if (!is_wanted || ::lstat(entry.path().c_str(), &info) != 0 || S_ISDIR(info.st_mode)) continue;
      check(::mknod(("/srv/dev/" + name).c_str(), info.st_mode, info.st_rdev), name);
    }
    bind_mount("/srv/dev", "/dev");
  }

  void get_stuck(int type) {
    sockaddr_un address{AF_UNIX, "/dev/log"};
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    daemon_ = UniqueFd(check(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0), "socket"));
    check(::bind(daemon_.get(), where, sizeof address), "bind");
    if (type == SOCK_STREAM) {
      check(::listen(daemon_.get(), 0), "listen");
      for (auto& client : clients_) {
        client = UniqueFd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        static_cast<void>(!::connect(client.get(), where, sizeof address));
      }
      return;
    }
    clients_[0] = UniqueFd(check(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
    check(::connect(clients_[0].get(), where, sizeof address), "connect");
    while (::send(clients_[0].get(), "x", 1, 0) == 1) {
    }
  }

  /// What is in the daemon's queue, a line each.
  std::string read_all() {
    std::string text;
    std::array<char, 8192> buffer{};
    for (ssize_t size = 0; (size = ::recv(daemon_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) >= 0;) {
      text += std::string(buffer.data(), static_cast<std::size_t>(size)) + "\n";
    }
    return text;
  }

  UniqueFd daemon_;
  std::array<UniqueFd, 4> clients_;
};

TEST_F(StuckLog, HoldsUpNoSession) {
  get_stuck(SOCK_DGRAM);
  expect_session({});
  EXPECT_LT(expect(205, {"post-script"}).run_time(), seconds(1));
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(writable(*data_, seconds(3))) << "not thawed at the deadline";
  EXPECT_TRUE(all_gone());
}

TEST_F(StuckLog, HoldsUpNoSessionWhereItIsAStream) {
  get_stuck(SOCK_STREAM);
  expect_session({});
}

TEST_F(StuckLog, IsToldWhatItMissed) {
  get_stuck(SOCK_DGRAM);
  expect(0, {"pre-script"});
  read_all();
  expect(0, {"post-script"});
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(read_all(), AllOf(HasSubstr(" dlm-freeze["), HasSubstr("dropped: nobody read what was written before"),
                                HasSubstr("INFO: pre-script completed"), HasSubstr("ended: completed")));
}

TEST_F(Outside, NobodyWaitsForAReaderOfStdout) {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "pipe");
  const UniqueFd never_read(ends[0]);
  const UniqueFd full(ends[1]);
  while (::write(full.get(), "x", 1) == 1) {
  }
  check(::fcntl(full.get(), F_SETFL, 0), "fcntl");
  expect_session({.standard_output = full.get()});
  // Nor is a roll-back in its way.
  data_->freeze();
  const auto pre = expect(204, {"pre-script"}, {.standard_output = full.get()});
  EXPECT_LT(pre.run_time(), seconds(3));
  EXPECT_THAT(pre.err, EndsWith("Return Error Code: 204\n"));
  data_->thaw();
}

TEST_F(Outside, NobodyWaitsForAFifoInPlaceOfAFile) {
  fs::create_directories("/srv/state");
  ::chmod("/srv/state", 0700);
  check(::mkfifo("/srv/state/history.jsonl", 0600), "mkfifo");
  check(::mkfifo("/srv/metrics.prom", 0600), "mkfifo");
  const auto pre = expect(0, {"--state-dir", "/srv/state", "pre-script", "--metrics-file", "/srv/metrics.prom"});
  EXPECT_LT(expect(0, {"--state-dir", "/srv/state", "post-script"}).run_time(), seconds(4));
  EXPECT_TRUE(all_gone()) << "the watchdog waits for a reader of the history";
  EXPECT_TRUE(fs::is_regular_file("/srv/metrics.prom"));
  EXPECT_THAT(expect(1, {"--state-dir", "/srv/state", "history"}).err, HasSubstr("is a FIFO"));

  for (const char* file : {"session.json", "lock", "freezer-lock"}) {
    const std::string path = std::string("/srv/state/") + file;
    const std::string kept = path + ".kept";
    fs::rename(path, kept);
    check(::mkfifo(path.c_str(), 0600), "mkfifo");
    const auto post = run({"--state-dir", "/srv/state", "post-script"});
    EXPECT_LT(post.run_time(), seconds(4)) << file;
    EXPECT_THAT(post.exit_code, testing::Optional(AnyOf(202, 205))) << file << post.text();
    EXPECT_TRUE(run({"--state-dir", "/srv/state", "status"}).ended) << file;
    fs::remove(path);
    fs::rename(kept, path);
  }
}

TEST_F(Outside, NobodyWaitsForAFifoThatTheEnvironmentNames) {
  check(::mkfifo("/srv/fifo", 0600), "mkfifo");
  expect_session({.environment = {"TZ=:/srv/fifo", "LC_ALL=/srv/fifo", "LANGUAGE=/srv/fifo", "TMPDIR=/srv/fifo"}});
}

TEST_F(Outside, AReportThatCannotBeWrittenIsNoSuccess) {
  const UniqueFd full(check(::open("/dev/full", O_WRONLY | O_CLOEXEC), "open"));
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"dry-run"}, {"dry-run", "--json"}, {"status"}, {"history"}, {"--help"}}) {
    EXPECT_EQ(run(words, {.standard_output = full.get()}).exit_code, 1) << words[0];
  }
  expect_session({.standard_output = full.get()});
}

TEST_F(Outside, NoMountPointForgesALine) {
  const std::string forged = "/srv/a\nINFO: pre-script completed at 2026-01-01T00:00:00Z. \x1b[2J\xc2\x9b";
  const auto& theirs = add("ext4", forged);
  theirs.freeze();
  const auto pre = expect(204, {"pre-script"});
  EXPECT_THAT(pre.err, AllOf(StartsWith("ERROR: "), HasSubstr("/srv/a\\012INFO: "), EndsWith("Code: 204\n")));
  EXPECT_EQ(std::count(pre.err.begin(), pre.err.end(), '\n'), 1) << pre.err;
  theirs.thaw();
  const auto dry_run = expect(0, {"dry-run", "--all"});
  EXPECT_THAT(dry_run.out,
              AllOf(HasSubstr("/srv/a\\012INFO: "), HasSubstr("\\033[2J\\302\\233"), Not(HasSubstr("\x1b"))));
  expect(0, {"pre-script"});
  for (const char* command : {"status", "post-script", "history"}) {
    const auto told = run({command});
    EXPECT_THAT(told.out, AllOf(Not(HasSubstr("\nINFO: pre-script completed")), Not(HasSubstr("\x1b")))) << command;
  }
  const auto json = expect(0, {"status", "--json"});
  EXPECT_THAT(json.out, AllOf(HasSubstr("\\u001b[2J\\u009b"), Not(HasSubstr("\xc2\x9b"))));
}

TEST_F(Outside, TheCauseAndTheCodeOfAnErrorAreAlwaysSeen) {
  const std::string name(180, 'n');
  const auto& theirs = add("ext4", "/srv/" + name + "/" + name + "/" + name + "/" + name + "/" + name + "/" + name);
  theirs.freeze();
  const auto pre = expect(204, {"pre-script"});
  EXPECT_LT(pre.err.size(), 1215U);
  EXPECT_THAT(pre.err, AllOf(StartsWith("ERROR: "), HasSubstr("frozen"), EndsWith(". Return Error Code: 204\n")));
  theirs.thaw();
}

TEST_F(Outside, SixtyLongNamesFitWhatTheAgentShows) {
  constexpr std::size_t kShown = 2500;
  const std::string name(200, 'n');
  std::vector<Filesystem*> all;
  std::string list;
  for (int i = 0; i < 60; ++i) {
    const std::string mount_point = "/srv/" + std::to_string(i) + name;
    all.push_back(&add({.type = "ext4", .mount_point = mount_point, .size = 1 << 20}));
    list += (list.empty() ? "\"" : ", \"") + mount_point + "\"";
  }
  const auto expect_short = [&](int code, const std::vector<std::string>& words, const std::string& last) {
    const auto result = expect(code, words);
    EXPECT_LE(result.out.size(), kShown) << result.out;
    EXPECT_LT(result.err.size(), 1215U);
    EXPECT_THAT(result.out + result.err, HasSubstr(last)) << words[0];
  };
  for (const char* key : {"include", "exclude", "protect"}) {
    configure("{\"auto_thaw_seconds\": 20, \"quiescers\": [], \"filesystems\": {\"" + std::string(key) + "\": [" +
              list + ", \"/nowhere/" + name + "\"]}}");
    expect_short(0, {"dry-run"}, "Nothing was changed.\n");
    expect_short(0, {"dry-run", "--probe"}, "Nothing was changed.\n");
    expect_short(0, {"pre-script"}, "INFO: pre-script completed");
    expect_short(0, {"post-script"}, "INFO: post-script completed");
  }
  configure(R"({"auto_thaw_seconds": 20, "quiescers": []})");
  expect_short(0, {"pre-script"}, "INFO: pre-script completed");
  for (const Filesystem* filesystem : all) filesystem->thaw();
  expect_short(202, {"post-script"}, ". Return Error Code: 202\n");
  for (const Filesystem* filesystem : all) filesystem->freeze();
  expect_short(204, {"pre-script"}, ". Return Error Code: 204\n");
  for (const Filesystem* filesystem : all) filesystem->thaw();
  expect_short(0, {"history"}, "completed");
}

}  // namespace
}  // namespace dlm_freeze::integration
