// SPDX-License-Identifier: Apache-2.0
#include "quiesce/foreign_server.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <map>
#include <set>
#include <system_error>
#include <thread>

#include "base/container_name.hpp"
#include "base/control_group.hpp"
#include "base/directory.hpp"
#include "base/privileges.hpp"
#include "base/process.hpp"
#include "base/text.hpp"
#include "base/wait.hpp"
#include "dlm_freeze/base/files.hpp"
#include "quiesce/entry.hpp"
#include "quiesce/id_map.hpp"

namespace dlm_freeze {
namespace {

/// Whoever may start processes can start any number of that name.
constexpr std::size_t kMostServers = 32;
constexpr std::size_t kLargestTable = std::size_t{4} << 20;
constexpr std::size_t kMostDescriptors = 65536;
constexpr unsigned long kAcceptsConnections = 0x10000;  // __SO_ACCEPTCON, in the flags of /proc/net/unix
constexpr std::string_view kByPid = "pid:";

std::string directory_of(pid_t pid) { return "/proc/" + std::to_string(pid); }

std::string target_of(const std::string& link) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

template <typename Number>
std::optional<Number> number_from(std::string_view text, int base = 10) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

std::string_view word(std::string_view text, std::size_t index) {
  std::string_view found;
  for (std::size_t i = 0; i <= index; ++i) found = next_word(text);
  return found;
}

/// The name of the executable, also of one that was replaced since.
std::string program_of(pid_t pid) {
  constexpr std::string_view kDeleted = " (deleted)";
  std::string path = target_of(directory_of(pid) + "/exe");
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path.substr(path.rfind('/') + 1);
}

bool contains(const std::vector<std::string_view>& words, std::string_view wanted) {
  return std::find(words.begin(), words.end(), wanted) != words.end();
}

std::optional<ProcessStat> stat_of(pid_t pid) {
  const auto text = read_file(directory_of(pid) + "/stat", 4096);
  return text ? parse_stat(*text) : std::nullopt;
}

/// A process that is no child of a server; nothing for one that is.
std::optional<ForeignServer> server_of(pid_t pid, const std::vector<std::string_view>& programs) {
  ForeignServer server;
  server.program = program_of(pid);
  const auto stat = stat_of(pid);
  if (!stat || contains(programs, program_of(stat->parent))) return std::nullopt;
  server.pid = pid;
  server.started = stat->started;
  const auto container = container_of(pid);
  server.container = container ? container->id : std::string(kByPid) + std::to_string(pid);
  server.where = container ? container->text() : "process " + std::to_string(pid);
  return server;
}

/// Whether the process runs in the container that is called so.
bool is_in(const std::string& container, pid_t pid) {
  if (container.starts_with(kByPid)) return container.substr(kByPid.size()) == std::to_string(pid);
  const auto name = container_of(pid);
  return name && name->is_called(container);
}

/// Calls `look` with the number of each process, until it returns false.
template <typename Look>
void each_process(const Look& look) {
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return;
  while (const dirent* entry = ::readdir(proc.get())) {  // NOLINT(concurrency-mt-unsafe)
    const auto pid = number_from<pid_t>(entry->d_name);
    if (pid && !look(*pid)) return;
  }
}

/// Process 1 is on the host, also where this process has a mount namespace of its own.
bool is_in_namespace_of_init(pid_t pid) {
  const std::string theirs = target_of(directory_of(pid) + "/ns/mnt");
  return !theirs.empty() && theirs == target_of("/proc/1/ns/mnt");
}

bool is_in_other_namespace(pid_t pid) {
  static const std::string kOwn = target_of("/proc/self/ns/mnt");
  const std::string theirs = target_of(directory_of(pid) + "/ns/mnt");
  return !theirs.empty() && theirs != kOwn;
}

/// Whether it is process 1 where it runs.
bool is_first_in_namespace(pid_t pid) {
  constexpr std::string_view kKey = "NSpid:";
  const auto status = read_file(directory_of(pid) + "/status", kLargestTable);
  if (!status) return false;
  for (const std::string_view line : split(*status, '\n')) {
    if (line.starts_with(kKey)) return line.substr(line.find_last_of(" \t") + 1) == "1";
  }
  return false;
}

/// The inodes of the sockets that it has open.
std::set<std::string, std::less<>> open_sockets_of(pid_t pid) {
  constexpr std::string_view kSocket = "socket:[";
  std::set<std::string, std::less<>> inodes;
  const std::string directory = directory_of(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  std::size_t count = 0;
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr) {  // NOLINT(concurrency-mt-unsafe)
    if (++count > kMostDescriptors) break;
    const std::string target = target_of(directory + "/" + entry->d_name);
    if (target.starts_with(kSocket)) inodes.insert(target.substr(kSocket.size(), target.size() - kSocket.size() - 1));
  }
  return inodes;
}

void add_unix_sockets(ForeignServer& server, const std::set<std::string, std::less<>>& inodes) {
  const auto table = read_file(directory_of(server.pid) + "/net/unix", kLargestTable);
  if (!table) return;
  for (std::string_view line : split(*table, '\n')) {
    // Num RefCount Protocol Flags Type St Inode Path
    const auto flags = number_from<unsigned long>(word(line, 3), 16);
    if (!flags || (*flags & kAcceptsConnections) == 0 || !inodes.contains(word(line, 6))) continue;
    for (int i = 0; i < 7; ++i) static_cast<void>(next_word(line));
    const std::string path(trimmed(line));
    if (path.starts_with('/')) server.sockets.push_back(path);
  }
}

void add_ports(ForeignServer& server, const std::set<std::string, std::less<>>& inodes) {
  for (const char* name : {"/net/tcp", "/net/tcp6"}) {
    const auto table = read_file(directory_of(server.pid) + name, kLargestTable);
    if (!table) continue;
    for (const std::string_view line : split(*table, '\n')) {
      // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
      constexpr std::string_view kListens = "0A";
      const std::string_view local = word(line, 1);
      if (word(line, 3) != kListens || !inodes.contains(word(line, 9))) continue;
      const auto port = number_from<unsigned>(local.substr(local.rfind(':') + 1), 16);
      if (port && std::find(server.ports.begin(), server.ports.end(), *port) == server.ports.end())
        server.ports.push_back(*port);
    }
  }
}

void add_listeners(ForeignServer& server) {
  const auto inodes = open_sockets_of(server.pid);
  add_unix_sockets(server, inodes);
  add_ports(server, inodes);
}

/// The process in /proc, if it is still that one.
Result<UniqueFd> open_process(const ForeignServer& server) {
  UniqueFd process(::open(directory_of(server.pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto stat = parse_stat(process ? read_file_at(process.get(), "stat", 4096).value_or("") : "");
  if (!stat || stat->started != server.started) {
    return failure(server.program + " (" + server.where + ") has ended", ErrorKind::not_ready);
  }
  return process;
}

/// For a thread that does nothing else any more.
Result<void> enter_root_of(const ForeignServer& server) {
  const auto process = open_process(server);
  if (!process) return tl::unexpected(process.error());
  use_capability_again(CAP_SYS_CHROOT);
  const bool entered =
      ::unshare(CLONE_FS) == 0 && ::fchdir(process->get()) == 0 && ::chroot("root") == 0 && ::chdir("/") == 0;
  return entered ? Result<void>() : system_failure("cannot look into the root directory of " + server.where, errno);
}

/// The effective id in a line "Uid: real effective saved filesystem" of /proc/PID/status.
std::optional<unsigned> effective_id(const std::string& status, std::string_view key) {
  for (const std::string_view line : split(status, '\n')) {
    if (line.starts_with(key)) return number_from<unsigned>(word(line, 2));
  }
  return std::nullopt;
}

/// Why none of the containers that are called so is taken; they are by the paths of their control groups.
Failure several_in(const std::string& container, const std::map<std::string, ForeignServer>& all) {
  std::set<std::string> names;
  std::vector<std::string> groups;
  groups.reserve(all.size());
  for (const auto& [group, process] : all) {
    names.insert(process.where);
    groups.push_back(group);
  }
  // A runtime gives each id once. Users of the host may make control groups of any name below their own.
  if (names.size() == 1) {
    return failure(container + " is the name of several control groups: " + list_of(groups) +
                       "; give the first process of the container as pid:N, and find out who made the others",
                   ErrorKind::not_ready);
  }
  return failure(container + " is the name of several: give the id of one of " + list_of({names.begin(), names.end()}),
                 ErrorKind::not_ready);
}

/// Who but root may make control groups of any name beside the container's; nothing where nobody may, or it cannot be
/// told.
std::optional<uid_t> who_may_forge(const ContainerName& name) {
  const auto mounts = read_file("/proc/self/mountinfo", kLargestTable);
  std::string directory = hierarchy_of(mounts.value_or(""), name.controllers);
  if (directory.empty()) return std::nullopt;
  // That of the container itself may be its own.
  for (const std::string_view part : split(std::string_view(name.group).substr(0, name.group.rfind('/')), '/')) {
    directory += "/" + std::string(part);
    struct stat info {};
    if (::stat(directory.c_str(), &info) == 0 && info.st_uid != 0) return info.st_uid;
  }
  return std::nullopt;
}

/// For what was found by the name `container`: whoever may forge that would be asked for passwords, and run hooks.
Result<void> check_name(const std::string& container, pid_t pid) {
  const auto name = container.starts_with(kByPid) ? std::nullopt : container_of(pid);
  const auto user = name ? who_may_forge(*name) : std::nullopt;
  if (!user) return {};
  return failure("the name of " + name->text() + " cannot be trusted: its control group " + name->group +
                     " is below what the user with uid " + std::to_string(*user) +
                     " may change; give its first process as pid:N",
                 ErrorKind::not_ready);
}

}  // namespace

ForeignServers find_servers(const std::vector<std::string_view>& programs) {
  ForeignServers found;
  each_process([&](pid_t pid) {
    if (!contains(programs, program_of(pid))) return true;
    auto server = server_of(pid, programs);
    if (!server) return true;
    if (found.servers.size() == kMostServers) {
      ++found.left_out;
      return true;
    }
    add_listeners(*server);
    found.servers.push_back(std::move(*server));
    return true;
  });
  return found;
}

bool has_servers(const std::vector<std::string_view>& programs) {
  bool found = false;
  each_process([&](pid_t pid) {
    found = contains(programs, program_of(pid));
    return !found;
  });
  return found;
}

Result<std::optional<ForeignServer>> find_server_in(const std::string& container, const std::string& socket,
                                                    const std::vector<std::string_view>& programs) {
  std::vector<ForeignServer> found;
  each_process([&](pid_t pid) {
    if (!contains(programs, program_of(pid))) return true;
    if (!is_in(container, pid)) return true;
    auto server = server_of(pid, programs);
    if (!server) return true;
    add_listeners(*server);
    if (socket.empty() || std::find(server->sockets.begin(), server->sockets.end(), socket) != server->sockets.end())
      found.push_back(std::move(*server));
    return found.size() < kMostServers;
  });
  if (found.empty()) return std::optional<ForeignServer>();
  if (found.size() == 1) {
    if (auto named = check_name(container, found.front().pid); !named) return tl::unexpected(named.error());
    return std::optional(std::move(found.front()));
  }
  return failure(std::to_string(found.size()) + " servers run in the container " + container +
                     ": give the socket of one, as it names it",
                 ErrorKind::not_ready);
}

std::string nothing_in(const std::string& container, const std::vector<std::string_view>& programs) {
  return "no " + join(std::vector<std::string>(programs.begin(), programs.end()), " or ") + " runs in the container " +
         container;
}

Result<std::optional<ForeignServer>> find_container(const std::string& container) {
  std::map<std::string, ForeignServer> found;  // By the path of the control group, so that two of one name are two.
  std::string on_host;
  std::string unfinished;
  each_process([&](pid_t pid) {
    if (!is_in(container, pid)) return true;
    auto process = server_of(pid, {});
    if (!process || has_ended(*process)) return true;
    // As what systemd-nspawn keeps a machine by, or who is about to enter.
    if (!is_in_other_namespace(pid) || is_in_namespace_of_init(pid)) {
      on_host = process->where;
      return true;
    }
    const UniqueFd directory(::open(directory_of(pid).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!executes_a_file_of_its_own(directory.get())) {
      unfinished = process->where;
      return true;
    }
    const auto name = container_of(pid);
    // Each pod has one more container, which only keeps its namespaces.
    if (name && !name->pod.empty() && process->program == "pause") return true;
    const auto [first, is_new] = found.try_emplace(name ? name->group : "", *process);
    // Where the clock does not tell them apart, the first one is who all others in there descend from.
    const auto rank = [](const ForeignServer& one) { return std::pair(!is_first_in_namespace(one.pid), one.pid); };
    const auto is_older = [&](const ForeignServer& one, const ForeignServer& other) {
      return one.started != other.started ? one.started < other.started : rank(one) < rank(other);
    };
    if (!is_new && is_older(*process, first->second)) first->second = std::move(*process);
    return found.size() < kMostServers;
  });
  if (found.empty() && !unfinished.empty())
    return failure(unfinished + " is still being started", ErrorKind::not_ready);
  if (found.empty() && !on_host.empty()) {
    return failure(on_host + " is in no container: its mount namespace is this host's", ErrorKind::not_ready);
  }
  if (found.empty()) return std::optional<ForeignServer>();
  if (found.size() > 1) return several_in(container, found);
  if (auto named = check_name(container, found.begin()->second.pid); !named) return tl::unexpected(named.error());
  return std::optional(std::move(found.begin()->second));
}

std::string nothing_in(const std::string& container) {
  std::set<std::string> names;
  each_process([&](pid_t pid) {
    if (const auto name = container_of(pid)) names.insert(name->text());
    return true;
  });
  return "no process runs in the container " + container + "; " +
         (names.empty() ? "no process of this host is in a container that has a name (docs/containers.md)"
                        : "there are: " + list_of({names.begin(), names.end()}));
}

bool has_ended(const ForeignServer& server) {
  const auto stat = stat_of(server.pid);
  return !stat || stat->started != server.started || stat->has_ended();
}

std::optional<ForeignServer> foreign_process(pid_t pid) {
  return pid > 0 && is_in_other_namespace(pid) ? server_of(pid, {}) : std::nullopt;
}

bool listens_on_any(const ForeignServer& server, const std::vector<std::string>& paths, const Patience& patience) {
  std::set<std::pair<dev_t, ino_t>> ours;
  struct stat info {};
  for (const std::string& path : paths) {
    if (::stat(path.c_str(), &info) == 0) ours.emplace(info.st_dev, info.st_ino);
  }
  if (ours.empty()) return false;
  return std::any_of(server.sockets.begin(), server.sockets.end(), [&](const std::string& socket) {
    const auto theirs = open_place(server, socket, S_IFSOCK, patience);
    return theirs && ::fstat((*theirs)->get(), &info) == 0 && ours.contains({info.st_dev, info.st_ino});
  });
}

Result<Account> root_account_of(const ForeignServer& server) {
  const auto users = read_file(directory_of(server.pid) + "/uid_map", kLargestTable);
  const auto groups = read_file(directory_of(server.pid) + "/gid_map", kLargestTable);
  const auto uid = users ? id_outside(*users, 0) : std::nullopt;
  const auto gid = groups ? id_outside(*groups, 0) : std::nullopt;
  if (!uid || !gid) {
    return failure("the user namespace of " + server.where + " has no root, who could log in by the socket",
                   ErrorKind::not_ready);
  }
  return Account{"root", *uid, *gid, "", ""};
}

Result<Account> account_of(const ForeignServer& server) {
  const auto status = read_file(directory_of(server.pid) + "/status", kLargestTable);
  const auto uid = status ? effective_id(*status, "Uid:") : std::nullopt;
  const auto gid = status ? effective_id(*status, "Gid:") : std::nullopt;
  if (!uid || !gid) return failure(server.text() + " has ended", ErrorKind::not_ready);
  return Account{"", *uid, *gid, "", ""};
}

std::vector<std::string> open_paths_of(const ForeignServer& server) {
  const auto process = open_process(server);
  if (!process) return {};
  const std::string directory = directory_of(server.pid);
  const std::string root = target_of(directory + "/root");
  std::vector<std::string> paths;
  const auto add = [&](const std::string& link) {
    std::string path = target_of(link);
    if (!path.starts_with('/') || path.starts_with("/dev/") || path.ends_with(" (deleted)")) return;
    if (root != "/" && !path.starts_with(root + "/")) return;
    paths.push_back(root == "/" ? std::move(path) : path.substr(root.size()));
  };
  add(directory + "/cwd");
  if (paths.empty()) return {};
  std::size_t count = 0;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir((directory + "/fd").c_str()), ::closedir);
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr) {  // NOLINT(concurrency-mt-unsafe)
    if (++count > kMostDescriptors) break;
    add(directory + "/fd/" + entry->d_name);
  }
  return paths;
}

Result<void> run_in_root_of(const ForeignServer& server, std::function<void()> job, const Patience& patience) {
  struct Run {
    UniqueFd ended;
    std::function<void()> job;
    Result<void> entered;
  };
  auto ended = new_event();
  if (!ended) return tl::unexpected(ended.error());
  const auto run = std::make_shared<Run>(Run{std::move(*ended), std::move(job), {}});
  try {
    // Not run_detached: without a thread of its own it would change the root directory of this process.
    std::thread([run, server] {
      run->entered = enter_root_of(server);
      if (run->entered) run->job();
      raise_event(run->ended.get());
    }).detach();
  } catch (const std::system_error& error) {
    return system_failure("cannot start a thread", error.code().value());
  }
  if (!wait_readable(run->ended.get(), patience)) {
    return failure("the files of " + server.text() + " do not answer", ErrorKind::not_ready);
  }
  return run->entered;
}

Result<std::shared_ptr<const UniqueFd>> open_place(const ForeignServer& server, const std::string& path, mode_t type,
                                                   const Patience& patience) {
  struct Place {
    std::shared_ptr<const UniqueFd> fd;
    int error = 0;
  };
  const auto place = look_in_root_of(
      server,
      [path] {
        auto fd = std::make_shared<const UniqueFd>(::open(path.c_str(), O_PATH | O_CLOEXEC));
        return Place{fd, *fd ? 0 : errno};
      },
      patience);
  if (!place) return tl::unexpected(place.error());
  const std::string name = path + " of " + server.where;
  if (place->error != 0) {
    return failure("cannot open " + name + ": " + errno_text(place->error), ErrorKind::not_ready);
  }
  struct stat info {};
  if (::fstat(place->fd->get(), &info) != 0 || (info.st_mode & S_IFMT) != type) {
    return failure(name + (type == S_IFSOCK ? " is not a socket" : " is not a directory"), ErrorKind::not_ready);
  }
  return place->fd;
}

std::string path_of_descriptor(const UniqueFd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

Result<void> check_peer_is(const ForeignServer& server, int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool known = ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  if (known && peer.pid == server.pid) return {};
  return failure(
      "what listens there is not " + server.text() + " but process " + std::to_string(peer.pid) + ", so it is not used",
      ErrorKind::not_ready);
}

Result<void> check_listener_is(const ForeignServer& server, const UniqueFd& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = path_of_descriptor(socket);
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size() + 1, sizeof address.sun_path));
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failure("cannot connect to " + server.text() + ": " + errno_text(errno), ErrorKind::not_ready);
  }
  return check_peer_is(server, fd.get());
}

}  // namespace dlm_freeze
