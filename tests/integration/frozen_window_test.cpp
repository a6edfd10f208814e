// SPDX-License-Identifier: Apache-2.0
// What the agent's processes do between the first FIFREEZE and the last FITHAW, as strace sees it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <sstream>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::IsEmpty;

/// One line of `strace -f -ttt -y`: "<pid> <time> <call>(<arguments>…".
struct TraceLine {
  std::string process;
  std::string call;       ///< Empty for signals, exits and the resumed half of a call.
  std::string arguments;  ///< As far as the line has them.
  bool unfinished = false;
  std::string resumed;  ///< The call whose second half this is.
  std::string whole;
};

TraceLine parse_line(const std::string& text) {
  TraceLine line;
  line.whole = text;
  std::istringstream fields(text);
  std::string time;
  fields >> line.process >> time >> std::ws;
  std::string rest;
  std::getline(fields, rest);
  if (rest.starts_with("<... ")) {
    line.resumed = rest.substr(5, rest.find(' ', 5) - 5);
    return line;
  }
  const auto open = rest.find('(');
  if (open == std::string::npos || rest.starts_with("+++") || rest.starts_with("---")) return line;
  line.call = rest.substr(0, open);
  line.arguments = rest.substr(open + 1);
  line.unfinished = rest.ends_with("<unfinished ...>");
  return line;
}

std::vector<TraceLine> parse_trace(const std::string& text) {
  std::vector<TraceLine> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(parse_line(line));
  return lines;
}

/// The lines from the first FIFREEZE's to the one with which the last FITHAW returned.
std::vector<TraceLine> frozen_window(const std::vector<TraceLine>& trace) {
  std::size_t begin = trace.size();
  std::size_t end = 0;
  std::set<std::string> in_thaw;  ///< The processes whose FITHAW has not returned.
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const auto& line = trace[i];
    if (line.call == "ioctl" && line.arguments.find("FIFREEZE") != std::string::npos) begin = std::min(begin, i);
    if (line.call == "ioctl" && line.arguments.find("FITHAW") != std::string::npos) {
      end = i;
      if (line.unfinished) in_thaw.insert(line.process);
    }
    if (line.resumed == "ioctl" && in_thaw.erase(line.process) != 0) end = i;
  }
  if (begin >= end) return {};
  return {trace.begin() + static_cast<std::ptrdiff_t>(begin), trace.begin() + static_cast<std::ptrdiff_t>(end) + 1};
}

/// What `-y` wrote for the descriptor that is the first argument: the "path" of "7</run/x>, …".
std::string first_descriptor(const std::string& arguments) {
  const auto open = arguments.find('<');
  const auto close = arguments.find('>', open);
  if (open == std::string::npos || close == std::string::npos || arguments.find(',') < open) return "";
  return arguments.substr(open + 1, close - open - 1);
}

bool is_harmless_target(const std::string& path) {
  // The last is no file of a filesystem that can be frozen either, and is there to freeze quickly.
  for (const char* prefix : {"/run/", "pipe:", "socket:", "UNIX", "anon_inode:", "/dev/null",
                             "/sys/kernel/rcu_expedited", "/sys/devices/virtual/bdi/"}) {
    if (path.starts_with(prefix)) return true;
  }
  return false;
}

/// syncfs writes nothing where FIFREEZE has just written back all: the thread that froze it asks whether all could be.
bool is_question_after_freeze(const TraceLine& line, const std::vector<TraceLine>& window) {
  return line.call == "syncfs" && std::any_of(window.begin(), window.end(), [&](const TraceLine& other) {
           return other.call == "ioctl" && other.process == line.process &&
                  other.arguments.find("FIFREEZE") != std::string::npos &&
                  first_descriptor(other.arguments) == first_descriptor(line.arguments);
         });
}

bool is_forbidden(const TraceLine& line, const std::string& pre_script) {
  static const std::set<std::string> kNever{"open",    "openat",   "openat2", "creat",   "execve", "execveat",
                                            "connect", "mkdir",    "mkdirat", "unlink",  "rmdir",  "symlink",
                                            "link",    "truncate", "mknod",   "syncfs",  "sync",   "fsync",
                                            "mount",   "umount2",  "chmod",   "fchmodat"};
  static const std::set<std::string> kWrites{"write",     "writev",    "pwrite64", "pwritev",        "sendfile",
                                             "fallocate", "ftruncate", "splice",   "copy_file_range"};
  static const std::set<std::string> kSends{"sendto", "sendmsg", "sendmmsg"};
  if (kNever.contains(line.call)) return true;
  if (kWrites.contains(line.call)) {
    const bool own_output =
        line.process == pre_script && (line.arguments.starts_with("1<") || line.arguments.starts_with("2<"));
    return !own_output && !is_harmless_target(first_descriptor(line.arguments));
  }
  return kSends.contains(line.call) && line.arguments.find("/dev/log") != std::string::npos;
}

class FrozenWindow : public HostTest {
 protected:
  static constexpr const char* kTrace = "/srv/trace";

  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    add("ext4", "/srv/ext4");
    add("xfs", "/srv/xfs");
    add({.type = "ext4", .mount_point = "/srv/inner", .image_directory = "/srv/ext4"});
  }

  /// pre-script and all that it forks, under strace.
  [[nodiscard]] std::unique_ptr<AgentRun> start_traced(std::vector<std::string> arguments, int output = -1) const {
    return start(arguments, {.environment = {"ASAN_OPTIONS=detect_leaks=0"},
                             .wrapper = {"strace", "-f", "-ttt", "-y", "-s", "256", "-o", kTrace},
                             .standard_output = output});
  }

  /// strace lives as long as the watchdog, so pre-script's end shows in its lines.
  [[nodiscard]] bool held_within(Milliseconds limit) const {
    return eventually(
        [&] {
          return agent_process(binary(), "dlm-watchdog").has_value() && !agent_process(binary(), "dlm-freeze") &&
                 !agent_process(binary(), "dlm-freezer");
        },
        limit);
  }

  static std::vector<std::string> offenders() {
    const auto trace = parse_trace(read_text(kTrace));
    const auto window = frozen_window(trace);
    EXPECT_GE(window.size(), 6U) << "the trace has no frozen window";
    EXPECT_EQ(trace.front().call, "execve");
    std::vector<std::string> found;
    for (const auto& line : window) {
      if (is_forbidden(line, trace.front().process) && !is_question_after_freeze(line, window))
        found.push_back(line.whole);
    }
    return found;
  }
};

TEST_F(FrozenWindow, TheTraceIsUnderstood) {
  const auto trace = parse_trace(
      "10 1.0 execve(\"/x\", [\"x\"], []) = 0\n"
      "10 1.1 openat(AT_FDCWD</>, \"/etc/fine\", O_RDONLY) = 3\n"
      "12 1.2 ioctl(7</srv/a>, FIFREEZE <unfinished ...>\n"
      "10 1.3 write(1<pipe:[5]>, \"INFO\", 4) = 4\n"
      "11 1.4 write(1</var/log/x>, \"INFO\", 4) = 4\n"
      "11 1.5 pwrite64(8</run/dlm-freeze/session.json>, \"{}\", 2, 0) = 2\n"
      "12 1.6 <... ioctl resumed>, 0) = 0\n"
      "11 1.7 --- SIGCHLD {si_signo=SIGCHLD} ---\n"
      "11 1.8 openat(AT_FDCWD</>, \"/run/x\", O_RDONLY <unfinished ...>\n"
      "13 1.9 ioctl(7</srv/a>, FITHAW <unfinished ...>\n"
      "11 2.0 execve(\"/bin/sh\", [\"sh\"], []) = 0\n"
      "13 2.1 <... ioctl resumed>, 0) = 0\n"
      "11 2.2 openat(AT_FDCWD</>, \"/dev/log\", O_RDONLY) = 3\n");
  const auto window = frozen_window(trace);
  EXPECT_EQ(window.size(), 10U);
  std::vector<std::string> found;
  for (const auto& line : window) {
    if (is_forbidden(line, "10")) found.push_back(line.call);
  }
  EXPECT_EQ(found, (std::vector<std::string>{"write", "openat", "execve"}));
}

TEST_F(FrozenWindow, OfASessionHoldsNoOpenExecConnectOrWrite) {
  const auto pre = start_traced({"pre-script"});
  ASSERT_TRUE(held_within(std::chrono::seconds(10)));
  expect(0, {"status"});
  expect(0, {"post-script"});
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(offenders(), IsEmpty());
}

TEST_F(FrozenWindow, OfASessionWhoseCallerLogsToWhatIsFrozenHoldsNoOpenExecConnectOrWrite) {
  const UniqueFd log(check(::open("/srv/xfs/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), "log"));
  const auto pre = start_traced({"pre-script"}, log.get());
  ASSERT_TRUE(held_within(std::chrono::seconds(10)));
  expect(0, {"post-script"});
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(read_text("/srv/xfs/log"), testing::HasSubstr("INFO: pre-script completed"));
  EXPECT_THAT(offenders(), IsEmpty());
}

TEST_F(FrozenWindow, OfASessionThatEndsByAutoThawHoldsNoOpenExecConnectOrWrite) {
  const auto pre = start_traced({"pre-script", "--auto-thaw", "2"});
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  expect(203, {"post-script"});
  EXPECT_THAT(offenders(), IsEmpty());
}

TEST_F(FrozenWindow, OfARollBackHoldsNoOpenExecConnectOrWrite) {
  // A manifest for theirs would wait for the thaw, and strace for the thread that writes it.
  configure(R"({"auto_thaw_seconds": 20, "manifest": false, "quiescers": []})");
  const auto& theirs = add("ext4", "/srv/theirs");
  theirs.freeze();
  const auto result = start_traced({"pre-script"})->wait();
  EXPECT_EQ(result.exit_code, 204) << result.text();
  EXPECT_THAT(offenders(), IsEmpty());
  EXPECT_TRUE(theirs.thaw());
}

TEST_F(FrozenWindow, AfterTheSentinelsDeathHoldsNoOpenExecConnectOrWrite) {
  const auto pre = start_traced({"pre-script"});
  ASSERT_TRUE(held_within(std::chrono::seconds(10)));
  const auto sentinel = process("dlm-sentinel");
  sentinel.signal(SIGKILL);
  ASSERT_TRUE(eventually([&] { return process("dlm-sentinel").pid() != sentinel.pid(); }, std::chrono::seconds(2)));
  process("dlm-watchdog").signal(SIGKILL);
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  expect(202, {"post-script"});
  EXPECT_THAT(offenders(), IsEmpty());
}

TEST_F(FrozenWindow, WithAQuiescerHoldsNoOpenExecConnectOrWrite) {
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "db", "probe": ["/bin/true"], "prepare": ["/bin/true"],
     "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  const auto pre = start_traced({"pre-script"});
  ASSERT_TRUE(held_within(std::chrono::seconds(10)));
  expect(0, {"post-script"});
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(offenders(), IsEmpty());
}

TEST_F(FrozenWindow, InWhichSomethingIsMountedHoldsNoOpenExecConnectOrWrite) {
  const auto& backing = add("ext4", "/srv/backing");
  const auto& slow = add({.type = "ext4", .mount_point = "/srv/slow", .image_directory = "/srv/backing/images"});
  const auto& late = add({.type = "ext4", .mount_point = "/srv/late", .flags = MS_RDONLY});
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"exclude": ["/srv/backing"]}})");
  slow.sync();
  backing.sync();
  backing.freeze();
  const auto pre = start_traced({"pre-script"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-freezer").has_value(); }, std::chrono::seconds(5)));
  sleep_for(Milliseconds(500));
  check(::mount(nullptr, "/srv/late", nullptr, MS_REMOUNT, nullptr), "remount for writing");
  EXPECT_TRUE(backing.thaw());
  ASSERT_TRUE(held_within(std::chrono::seconds(10)));
  expect(0, {"post-script"});
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.out, testing::HasSubstr("WARN: " + late.mount_point() + " is not frozen: mounted, or made"));
  EXPECT_THAT(offenders(), IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze::integration
