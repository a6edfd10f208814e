// SPDX-License-Identifier: Apache-2.0
#include "quiesce/entry.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <utility>

#include "base/control_group.hpp"
#include "base/privileges.hpp"
#include "base/process.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "quiesce/id_map.hpp"
#include "quiesce/launch.hpp"

namespace dlm_freeze {
namespace {

/// The same as the keeper's for what cannot be executed.
constexpr int kNotEntered = 127;
constexpr int kNotExecutable = 126;
constexpr std::int64_t kMostId = 0xFFFFFFFE;  // -1 means no id to the system calls.
constexpr std::size_t kLargestTable = std::size_t{4} << 20;

// What older headers lack.
constexpr unsigned kMfdExec = 0x10;      // MFD_EXEC, Linux 6.3.
constexpr int kNewTimeNamespace = 0x80;  // CLONE_NEWTIME, Linux 5.6.
constexpr int kJoinSessionKeyring = 1;   // KEYCTL_JOIN_SESSION_KEYRING

struct Namespace {
  const char* name;
  int flag;
};
/// In the order in which they are entered. The mount namespace after all that is looked up in /proc; that of users is
/// entered later, when nothing of the host's is needed any more.
constexpr std::array kNamespaces = {Namespace{"net", CLONE_NEWNET},       Namespace{"ipc", CLONE_NEWIPC},
                                    Namespace{"uts", CLONE_NEWUTS},       Namespace{"cgroup", CLONE_NEWCGROUP},
                                    Namespace{"time", kNewTimeNamespace}, Namespace{"pid", CLONE_NEWPID},
                                    Namespace{"mnt", CLONE_NEWNS}};

std::string directory_of(pid_t pid) { return "/proc/" + std::to_string(pid); }

/// The words after `key` in a line of a /proc/PID/status.
std::optional<std::string_view> field_of(std::string_view status, std::string_view key) {
  for (std::string_view line : split(status, '\n')) {
    if (line.starts_with(key) && line.substr(key.size()).starts_with(":")) return line.substr(key.size() + 1);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> capabilities_in(std::string_view status, std::string_view key) {
  const auto field = field_of(status, key);
  if (!field) return std::nullopt;
  const std::string_view digits = trimmed(*field);
  std::uint64_t set = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), set, 16);
  return error == std::errc() && end == digits.data() + digits.size() ? std::optional(set) : std::nullopt;
}

/// The second of the four, that in effect.
std::optional<unsigned> effective_id(std::string_view status, std::string_view key) {
  auto field = field_of(status, key);
  if (!field) return std::nullopt;
  static_cast<void>(next_word(*field));
  const auto id = parse_decimal(next_word(*field), 0, kMostId);
  return id ? std::optional(static_cast<unsigned>(*id)) : std::nullopt;
}

/// What the entrant was told.
struct Order {
  pid_t pid = 0;
  std::uint64_t started = 0;
  std::string where;
  std::string account;
  bool only_check = false;
  char* const* programs = nullptr;  ///< The program and its arguments; or those to check.
};

/// What goes before the program among the arguments.
constexpr int kOrderWords = 6;
constexpr std::string_view kCheck = "check";
constexpr std::string_view kRun = "run";

/// The first process of the container, all of it open and read before anything is entered.
struct Target {
  UniqueFd process;
  ProcessRights rights;
  std::string users;   ///< uid_map
  std::string groups;  ///< gid_map
  std::string label;
  std::vector<ControlGroup> control_groups;
  std::vector<std::pair<UniqueFd, Namespace>> namespaces;  ///< Those that are not this process's.
  UniqueFd user_namespace;                                 ///< If it is another.
  UniqueFd root;
};

class Entrant {
 public:
  explicit Entrant(Order order) : order_(std::move(order)) {}

  [[noreturn]] void run() {
    look();
    take_account_from_order();
    join_control_groups();
    take_label();
    take_limits();
    hand_over_pipes();
    enter();
    take_rights();
    if (order_.only_check) check();
    start();
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    complain("cannot enter " + order_.where + ": " + std::string(why) + "\n");
  }
  [[noreturn]] void fail(std::string_view what, int error) const { fail(std::string(what) + ": " + errno_text(error)); }
  [[noreturn]] void fail_as_ended() const { fail("it has ended"); }

  void look();
  void open_namespaces();
  void take_account_from_order();
  void join_control_groups() const;
  [[nodiscard]] std::string directory_of_group(const ControlGroup& group, const std::string& mounts) const;
  void take_limits() const;
  void take_label() const;
  void hand_over_pipes() const;
  void enter() const;
  void take_rights() const;
  void take_capabilities() const;
  [[noreturn]] void check() const;
  [[noreturn]] void start() const;
  [[noreturn]] void guard() const;
  [[noreturn]] void execute(pid_t warden) const;

  Order order_;
  Target target_;
  const char* home_ = "/";
};

void Entrant::look() {
  target_.process = UniqueFd(::open(directory_of(order_.pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!target_.process) fail_as_ended();
  const int process = target_.process.get();
  if (!executes_a_file_of_its_own(process)) fail("it is still being started");
  const auto rights = parse_rights(read_file_at(process, "status", kLargestTable).value_or(""));
  if (!rights) fail_as_ended();
  target_.rights = *rights;
  target_.users = read_file_at(process, "uid_map", kLargestTable).value_or("");
  target_.groups = read_file_at(process, "gid_map", kLargestTable).value_or("");
  target_.control_groups = parse_control_groups(read_file_at(process, "cgroup", kLargestTable).value_or(""));
  target_.label = trimmed(read_file_at(process, "attr/current", kLargestTable).value_or(""));
  open_namespaces();
  target_.root = UniqueFd(::openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!target_.root) fail("its root directory cannot be opened", errno);
  // What root in there lacks of its bounding set has been taken by what /proc does not tell (securebits): it does not
  // come back with the next program.
  if (id_inside(target_.users, rights->uid) == 0) target_.rights.bounding &= rights->permitted;
  // All of that was of one process; now, that it is the one that was meant, and was it all the time.
  const auto stat = read_file_at(process, "stat", kLargestTable);
  const auto now = parse_stat(stat.value_or(""));
  if (!now || now->started != order_.started) fail_as_ended();
}

void Entrant::open_namespaces() {
  const auto open_if_other = [&](const char* name) {
    const std::string path = std::string("ns/") + name;
    UniqueFd theirs(::openat(target_.process.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!theirs && errno == ENOENT) return UniqueFd();  // This kernel has none of that kind.
    if (!theirs) fail("its namespace " + path + " cannot be opened", errno);
    struct stat one {};
    struct stat other {};
    const auto is_that_of = [&](const char* process) {
      return ::fstat(theirs.get(), &one) == 0 && ::stat((process + path).c_str(), &other) == 0 &&
             one.st_dev == other.st_dev && one.st_ino == other.st_ino;
    };
    // This process may have a mount namespace of its own, and be no less on the host.
    const bool is_same = is_that_of("/proc/self/") || (path == "ns/mnt" && is_that_of("/proc/1/"));
    return is_same ? UniqueFd() : std::move(theirs);
  };
  for (const Namespace& kind : kNamespaces) {
    if (UniqueFd fd = open_if_other(kind.name); fd) target_.namespaces.emplace_back(std::move(fd), kind);
  }
  target_.user_namespace = open_if_other("user");
  // Nothing that was meant for a container may run on the host.
  const bool has_other_mounts = std::any_of(target_.namespaces.begin(), target_.namespaces.end(),
                                            [](const auto& one) { return one.second.flag == CLONE_NEWNS; });
  if (!has_other_mounts) fail("it is not a container: it has the host's mount namespace");
}

/// Whoever is root in there has what the runtime leaves to root; any other account has nothing.
void Entrant::take_account_from_order() {
  ProcessRights& rights = target_.rights;
  if (const auto account = parse_numeric_account(order_.account)) {
    const auto uid = id_outside(target_.users, account->uid);
    const auto gid = id_outside(target_.groups, account->gid);
    if (!uid || !gid) fail("its user namespace has no " + order_.account);
    rights.uid = *uid;
    rights.gid = *gid;
    rights.groups.clear();
    rights.permitted = rights.effective = account->uid == 0 ? rights.bounding : 0;
    rights.inheritable = rights.ambient = 0;
  }
  if (id_inside(target_.users, rights.uid) == 0) home_ = "/root";
}

std::string Entrant::directory_of_group(const ControlGroup& group, const std::string& mounts) const {
  const std::string mount = hierarchy_of(mounts, group.controllers);
  const std::string name = group.path + (group.controllers.empty() ? "" : " (" + group.controllers + ")");
  if (mount.empty()) fail("its control group " + name + " is mounted nowhere");
  if (group.path.starts_with("/..")) fail("its control group " + name + " is not below this one's");
  return mount + group.path;
}

/// Its device rules are among what keeps a container from the host, so a group that cannot be joined is an error.
void Entrant::join_control_groups() const {
  const auto own = parse_control_groups(read_file("/proc/self/cgroup").value_or(""));
  const std::string mounts = read_file("/proc/self/mountinfo", kLargestTable).value_or("");
  std::vector<std::string> others;
  for (const ControlGroup& group : target_.control_groups) {
    const bool is_own = std::any_of(own.begin(), own.end(), [&](const ControlGroup& one) {
      return one.controllers == group.controllers && one.path == group.path;
    });
    if (is_own) continue;
    others.push_back(directory_of_group(group, mounts));
    // Whoever joins a group that is stopped stops.
    const std::string& directory = others.back();
    const auto events = read_file(directory + "/cgroup.events");
    const auto state = read_file(directory + "/freezer.state");
    if ((events && events->find("frozen 1") != std::string::npos) || (state && !state->starts_with("THAWED")))
      fail("it is paused");
  }
  for (const std::string& directory : others) {
    const UniqueFd members(::open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!members || ::write(members.get(), "0", 1) != 1)
      fail("its control group " + directory + " cannot be joined", errno);
  }
}

/// By the text, not by prlimit(2), which goes by a number that may be another process's, and wants CAP_SYS_RESOURCE.
void Entrant::take_limits() const {
  const auto limits = parse_limits(read_file_at(target_.process.get(), "limits", kLargestTable).value_or(""));
  if (limits.empty()) fail_as_ended();
  for (const ProcessLimit& its : limits) {
    const auto resource = static_cast<__rlimit_resource>(its.resource);
    rlimit own{};
    if (::setrlimit(resource, &its.limit) == 0 || ::getrlimit(resource, &own) != 0) continue;
    // More than this process may have.
    const rlimit less = {std::min(its.limit.rlim_cur, own.rlim_max), std::min(its.limit.rlim_max, own.rlim_max)};
    if (::setrlimit(resource, &less) != 0) fail("cannot adopt its limits", errno);
  }
  // When memory is short, it goes before the container's own processes do.
  const auto oom_score = read_file_at(target_.process.get(), "oom_score_adj", kLargestTable);
  if (oom_score && !oom_score->starts_with('-')) set_oom_score(std::string(trimmed(*oom_score)).c_str());
}

/// For the program: this process executes nothing else any more. Without AppArmor and SELinux there is no label.
void Entrant::take_label() const {
  const auto own = read_file("/proc/thread-self/attr/current");
  if (target_.label.empty() || (own && trimmed(*own) == target_.label)) return;
  const UniqueFd exec(::open("/proc/thread-self/attr/exec", O_WRONLY | O_CLOEXEC));
  const std::string text = label_for_exec(target_.label);
  if (!exec || ::write(exec.get(), text.data(), text.size()) < 0)
    fail("cannot adopt its security label " + target_.label, errno);
}

/// Lets the program open its pipes by name, /dev/stderr.
void Entrant::hand_over_pipes() const {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    struct stat status {};
    if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode))
      static_cast<void>(!::fchown(fd, target_.rights.uid, target_.rights.gid));
  }
}

void Entrant::enter() const {
  ::syscall(SYS_keyctl, kJoinSessionKeyring, nullptr);  // A new one: root's keys are none of the container's.
  for (const auto& [fd, kind] : target_.namespaces) {
    if (::setns(fd.get(), kind.flag) != 0) fail(std::string("its namespace ns/") + kind.name, errno);
  }
  // The root of a mount namespace need not be that of the process.
  if (::fchdir(target_.root.get()) != 0 || ::chroot(".") != 0 || ::chdir("/") != 0) fail("its root directory", errno);
}

void Entrant::take_rights() const {
  const ProcessRights& rights = target_.rights;
  ::prctl(PR_SET_KEEPCAPS, 1);
  if (::setgroups(rights.groups.size(), rights.groups.data()) != 0 ||
      ::setresgid(rights.gid, rights.gid, rights.gid) != 0 || ::setresuid(rights.uid, rights.uid, rights.uid) != 0) {
    fail("cannot adopt its account", errno);
  }
  // By the ids of the host, so that nothing of them has to be looked up, or asked for, inside.
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  if (::syscall(SYS_capget, &header, sets.data()) != 0) fail("capget", errno);
  for (auto& half : sets) half.effective = half.permitted;
  if (::syscall(SYS_capset, &header, sets.data()) != 0) fail("capset", errno);
  if (target_.user_namespace && ::setns(target_.user_namespace.get(), CLONE_NEWUSER) != 0)
    fail("its namespace ns/user", errno);
  if (rights.is_filtered) {
    if (const auto denied = deny_calls_in_container(); !denied) fail(denied.error().message);
  }
  take_capabilities();
  if (rights.gains_none && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs", errno);
  ::prctl(PR_SET_DUMPABLE, 0);  // A change of account or capabilities may have made it so again.
}

void Entrant::take_capabilities() const {
  const ProcessRights& rights = target_.rights;
  const auto has = [](std::uint64_t set, int capability) {
    return (set >> static_cast<unsigned>(capability) & 1) != 0;
  };
  int count = 0;
  for (; ::prctl(PR_CAPBSET_READ, count) >= 0; ++count) {
    if (!has(rights.bounding, count) && ::prctl(PR_CAPBSET_DROP, count) != 0)
      fail("cannot adopt its capabilities", errno);
  }
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
  for (unsigned half = 0; half < sets.size(); ++half) {
    const auto part = [&](std::uint64_t set) { return static_cast<std::uint32_t>(set >> (32 * half)); };
    sets.at(half) = {part(rights.effective), part(rights.permitted), part(rights.inheritable)};
  }
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  if (::syscall(SYS_capset, &header, sets.data()) != 0) fail("cannot adopt its capabilities", errno);
  for (int capability = 0; capability < count; ++capability) {
    if (has(rights.ambient, capability)) ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  }
}

/// As it would run, but for the PID namespace, in which just a process is started.
void Entrant::check() const {
  close_from(kEntryChannel + 1);
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) ::_exit(0);
  if (child < 0) fail("no process can be started in it", errno);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  for (char* const* path = order_.programs; *path != nullptr; ++path) {
    const std::string why = why_not_executable(*path);
    if (why.empty()) continue;
    const std::string text = why + ", in " + order_.where + "\n";
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
    ::_exit(kNotExecutable);
  }
  ::_exit(0);
}

/// The warden is the keeper's child, so that the keeper has its exit status, and it has the keeper's end. It is born
/// with nothing open that leads out of the container: it can be seen in there.
void Entrant::start() const {
  close_from(kEntryChannel + 1);
  const auto warden =
      static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (warden == 0) guard();
  if (warden < 0) fail("no process can be started in it", errno);
  if (::send(kEntryChannel, &warden, sizeof warden, MSG_NOSIGNAL) < 0) fail("its keeper has gone");
  ::_exit(0);
}

void Entrant::guard() const {
  ::prctl(PR_SET_NAME, "dlm-warden");
  ::setsid();
  // Who is left without a parent in this PID namespace is its child then: that is how the keeper finds all of them.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  char begin = 0;  // Not getppid(2), which is 0 for a parent outside: a keeper that has gone says nothing.
  if (::recv(kEntryChannel, &begin, 1, 0) != 1) ::_exit(kNotEntered);
  const pid_t self = ::getpid();
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) execute(self);
  if (child < 0) complain("cannot be started\n");
  close_from(STDIN_FILENO);
  for (;;) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, 0);
    if (ended == child) ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    if (ended < 0 && errno != EINTR) ::_exit(kNotEntered);
  }
}

void Entrant::execute(pid_t warden) const {
  ::setsid();
  close_from(STDERR_FILENO + 1);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != warden) ::_exit(kNotEntered);
  ::setenv("HOME", home_, 0);
  ::execve(order_.programs[0], order_.programs, environ);
  complain("cannot be executed: " + errno_text(errno) + "\n");
}

std::optional<Order> order_in(int argc, char* const* argv) {
  if (argc <= kOrderWords) return std::nullopt;
  const auto pid = parse_decimal(argv[1], 1, INT32_MAX);
  const auto started = parse_decimal(argv[2], 0, INT64_MAX);
  if (!pid || !started) return std::nullopt;
  return Order{static_cast<pid_t>(*pid), static_cast<std::uint64_t>(*started), argv[3], argv[4], argv[5] == kCheck,
               argv + kOrderWords};
}

}  // namespace

Result<UniqueFd> entry_image() {
  const auto create = [](unsigned more) {
    return UniqueFd(
        static_cast<int>(::syscall(SYS_memfd_create, kEntrantName, MFD_CLOEXEC | MFD_ALLOW_SEALING | more)));
  };
  UniqueFd image = create(kMfdExec);
  if (!image && errno == EINVAL) image = create(0);
  if (!image && errno == EACCES)
    return failure("vm.memfd_noexec=2 forbids executing from memory, which entering a container needs: set it to 1");
  if (!image) return system_failure("cannot make a copy of the program in memory", errno);
  const UniqueFd program(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!program) return system_failure("cannot open /proc/self/exe", errno);
  constexpr std::size_t kMost = std::size_t{1} << 30;
  for (;;) {
    const ssize_t sent = ::sendfile(image.get(), program.get(), nullptr, kMost);
    if (sent == 0) break;
    if (sent < 0 && errno != EINTR) return system_failure("cannot make a copy of the program in memory", errno);
  }
  if (::fcntl(image.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
    return system_failure("cannot seal the copy of the program in memory", errno);
  return image;
}

std::vector<std::string> entrant_arguments(const Program& program) {
  const ProgramPlace& place = *program.place;
  std::vector<std::string> words = {
      kEntrantName, std::to_string(place.pid), std::to_string(place.started),
      place.text,   program.os_user,           std::string(place.only_check ? kCheck : kRun)};
  words.insert(words.end(), program.argv.begin(), program.argv.end());
  return words;
}

bool is_entrant(int argc, char* const* argv) noexcept { return argc > 0 && argv[0] == std::string_view(kEntrantName); }

void run_entrant(int argc, char* const* argv) {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, kEntrantName);
  const auto order = order_in(argc, argv);
  if (!order) complain("not to be started by hand\n");
  Entrant(*order).run();
}

std::optional<ProcessRights> parse_rights(std::string_view status) {
  const auto uid = effective_id(status, "Uid");
  const auto gid = effective_id(status, "Gid");
  auto groups = field_of(status, "Groups");
  const auto inheritable = capabilities_in(status, "CapInh");
  const auto permitted = capabilities_in(status, "CapPrm");
  const auto effective = capabilities_in(status, "CapEff");
  const auto bounding = capabilities_in(status, "CapBnd");
  if (!uid || !gid || !groups || !inheritable || !permitted || !effective || !bounding) return std::nullopt;
  ProcessRights rights{*uid, *gid, {}, *inheritable, *permitted, *effective, *bounding};
  for (std::string_view word = next_word(*groups); !word.empty(); word = next_word(*groups)) {
    const auto group = parse_decimal(word, 0, kMostId);
    if (!group) return std::nullopt;
    rights.groups.push_back(static_cast<gid_t>(*group));
  }
  rights.ambient = capabilities_in(status, "CapAmb").value_or(0);
  rights.is_filtered = trimmed(field_of(status, "Seccomp").value_or("0")) != "0";
  rights.gains_none = trimmed(field_of(status, "NoNewPrivs").value_or("0")) == "1";
  return rights;
}

std::string label_for_exec(std::string_view current) {
  const std::size_t mode = current.rfind(" (");
  const bool is_apparmor = current == "unconfined" || (mode != std::string_view::npos && current.ends_with(')'));
  return is_apparmor ? "exec " + std::string(current.substr(0, mode)) : std::string(current);
}

bool executes_a_file_of_its_own(int process) {
  const UniqueFd program(::openat(process, "exe", O_PATH | O_CLOEXEC));
  if (!program) return false;
  const std::string about = read_file("/proc/self/fdinfo/" + std::to_string(program.get()), kLargestTable).value_or("");
  const auto mount = field_of(about, "mnt_id");
  const auto mounts = read_file_at(process, "mountinfo", kLargestTable);
  if (!mount || !mounts) return false;
  const std::vector<std::string_view> lines = split(*mounts, '\n');
  return std::any_of(lines.begin(), lines.end(),
                     [&](std::string_view line) { return next_word(line) == trimmed(*mount); });
}

std::vector<ProcessLimit> parse_limits(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, int>, 16> kNames = {{{"Max cpu time", RLIMIT_CPU},
                                                                        {"Max file size", RLIMIT_FSIZE},
                                                                        {"Max data size", RLIMIT_DATA},
                                                                        {"Max stack size", RLIMIT_STACK},
                                                                        {"Max core file size", RLIMIT_CORE},
                                                                        {"Max resident set", RLIMIT_RSS},
                                                                        {"Max processes", RLIMIT_NPROC},
                                                                        {"Max open files", RLIMIT_NOFILE},
                                                                        {"Max locked memory", RLIMIT_MEMLOCK},
                                                                        {"Max address space", RLIMIT_AS},
                                                                        {"Max file locks", RLIMIT_LOCKS},
                                                                        {"Max pending signals", RLIMIT_SIGPENDING},
                                                                        {"Max msgqueue size", RLIMIT_MSGQUEUE},
                                                                        {"Max nice priority", RLIMIT_NICE},
                                                                        {"Max realtime priority", RLIMIT_RTPRIO},
                                                                        {"Max realtime timeout", RLIMIT_RTTIME}}};
  const auto value = [](std::string_view word) -> std::optional<rlim_t> {
    if (word == "unlimited") return RLIM_INFINITY;
    const auto number = parse_decimal(word, 0, INT64_MAX);
    return number ? std::optional(static_cast<rlim_t>(*number)) : std::nullopt;
  };
  std::vector<ProcessLimit> limits;
  for (const std::string_view line : split(text, '\n')) {
    for (const auto& [name, resource] : kNames) {
      if (!line.starts_with(name) || !line.substr(name.size()).starts_with(" ")) continue;
      std::string_view rest = line.substr(name.size());
      const auto soft = value(next_word(rest));
      const auto hard = value(next_word(rest));
      if (soft && hard) limits.push_back({resource, {*soft, *hard}});
    }
  }
  return limits;
}

std::optional<NumericAccount> parse_numeric_account(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto uid = parse_decimal(text.substr(0, colon), 0, kMostId);
  const auto gid = parse_decimal(text.substr(colon + 1), 0, kMostId);
  if (!uid || !gid) return std::nullopt;
  return NumericAccount{static_cast<uid_t>(*uid), static_cast<gid_t>(*gid)};
}

}  // namespace dlm_freeze
