// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/server_process.hpp"

#include <dirent.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "quiesce/mysql/table_files.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::mysql {
namespace {

constexpr unsigned kDefaultPort = 3306;
constexpr int kConnectPatience = 1000;                  // milliseconds
constexpr unsigned long kAcceptsConnections = 0x10000;  // __SO_ACCEPTCON, in the flags of /proc/net/unix

std::string link_target(const std::string& path) {
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  target.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return target;
}

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), ::closedir);
  if (!open) return names;
  while (const dirent* entry = ::readdir(open.get()))
    names.emplace_back(entry->d_name);  // NOLINT(concurrency-mt-unsafe)
  return names;
}

/// The server process that has this socket open.
pid_t server_with_socket(const std::string& inode) {
  const std::string wanted = "socket:[" + inode + "]";
  for (const std::string& name : entries_of("/proc")) {
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto program = read_file("/proc/" + name + "/comm");
    if (!program || (!program->starts_with("mysqld") && !program->starts_with("mariadbd"))) continue;
    const std::string descriptors = "/proc/" + name + "/fd/";
    for (const std::string& descriptor : entries_of(descriptors)) {
      if (link_target(descriptors + descriptor) == wanted) return static_cast<pid_t>(std::stol(name));
    }
  }
  return 0;
}

bool same(const std::string& a, const std::string& b) {
  struct stat status_of_a {};
  struct stat status_of_b {};
  return ::stat(a.c_str(), &status_of_a) == 0 && ::stat(b.c_str(), &status_of_b) == 0 &&
         status_of_a.st_dev == status_of_b.st_dev && status_of_a.st_ino == status_of_b.st_ino;
}

/// The server process that listens on the socket `path`; 0 when there is none. The kernel's table has the sockets of
/// containers as well: a path in it may mean another file there.
pid_t listening_process(const std::string& path) {
  const auto table = read_file("/proc/net/unix");
  if (!table) return 0;
  const std::string wanted = resolved_path(path);
  std::istringstream lines(*table);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string skipped;
    std::string inode;
    std::string socket;
    unsigned long flags = 0;
    fields >> skipped >> skipped >> skipped >> std::hex >> flags >> skipped >> skipped >> inode >> socket;
    if ((flags & kAcceptsConnections) == 0 || !socket.starts_with('/') || resolved_path(socket) != wanted) continue;
    const pid_t owner = server_with_socket(inode);
    if (owner != 0 && is_same_file(owner, socket, path)) return owner;
  }
  return 0;
}

/// `directories`: whether one holds data.
void add_directories(ProcessFiles& files, const std::map<std::string, bool>& directories) {
  for (const auto& [directory, has_data] : directories) {
    files.directories.push_back({kOpenFiles, directory, true, has_data ? DataRole::data : DataRole::temporary});
  }
}

}  // namespace

Listener find_listener(const std::string& socket) {
  if (::access(socket.c_str(), F_OK) != 0) return {false, 0, "there is no socket " + socket};
  if (const pid_t owner = listening_process(socket); owner != 0) return {true, owner, ""};
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return {false, 0, "the path of the socket is too long: " + socket};
  std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // EAGAIN: its queue is full, so there is one.
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EAGAIN) {
    return {false, 0, "nothing listens on " + socket + " (" + errno_text(errno) + ")"};
  }
  return {true, peer_process(fd.get()), ""};
}

std::string refusal_of(const std::string& host, unsigned port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string service = std::to_string(port != 0 ? port : kDefaultPort);
  if (::getaddrinfo(host.c_str(), service.c_str(), &hints, &found) != 0) return "";
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, ::freeaddrinfo);
  std::string refusal;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const UniqueFd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int error = ::connect(fd.get(), address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      pollfd connected = {fd.get(), POLLOUT, 0};
      socklen_t size = sizeof error;
      if (::poll(&connected, 1, kConnectPatience) <= 0) return "";
      ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error != ECONNREFUSED) return "";
    refusal = "nothing listens on " + host + ":" + service + " (" + errno_text(error) + ")";
  }
  return refusal;
}

pid_t peer_process(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.pid : 0;
}

ProcessFiles files_of(pid_t pid) {
  if (pid <= 0) return {};
  const std::string process = "/proc/" + std::to_string(pid);
  ProcessFiles files;
  files.working_directory = link_target(process + "/cwd");
  files.known = same(process + "/cwd", files.working_directory);
  if (!files.known) return files;
  files.root = link_target(process + "/root");
  if (files.root == "/") files.root.clear();
  struct stat data {};
  if (::stat((process + "/cwd").c_str(), &data) != 0) return {};
  std::map<std::string, bool> directories;  // Whether one holds data.
  for (const std::string& descriptor : entries_of(process + "/fd")) {
    const std::string path = link_target(process + "/fd/" + descriptor);
    if (!path.starts_with('/') || path.starts_with("/dev/") || path.ends_with(" (deleted)")) continue;
    struct stat status {};
    if (::stat((process + "/fd/" + descriptor).c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    const std::string directory = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    const bool is_below_data = (directory + "/").starts_with(files.working_directory + "/");
    if (is_below_data && status.st_dev == data.st_dev) continue;
    const bool has_data = is_data_file(path.substr(path.rfind('/') + 1));
    const auto known = directories.find(directory);
    if (known != directories.end() || same(process + "/fd/" + descriptor, path)) {
      if (!is_below_data) directories[directory] |= has_data;  // That one is found as what is mounted there.
    } else if (has_data) {                                     // It is mounted for the server alone.
      directories[root_of(pid) + directory] = true;
    }
  }
  add_directories(files, directories);
  return files;
}

std::vector<DataLocation> locations_of(const ProcessFiles& files) {
  std::vector<DataLocation> locations = {{"data", files.working_directory}};
  for (const auto& more : {find_linked_tables(files.working_directory, files.root), files.directories}) {
    for (const DataLocation& location : more) {
      const bool known = std::any_of(locations.begin(), locations.end(),
                                     [&](const DataLocation& other) { return other.path == location.path; });
      if (!known) locations.push_back(location);
    }
  }
  return locations;
}

ProcessFiles files_of(const ForeignServer& server) {
  const std::vector<std::string> paths = open_paths_of(server);
  ProcessFiles files;
  files.known = !paths.empty();
  if (!files.known) return files;
  files.working_directory = paths.front();
  std::map<std::string, bool> directories;  // Whether one holds data.
  for (const std::string& path : paths) {
    const std::string directory = path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
    if ((path + "/").starts_with(files.working_directory + "/")) continue;
    directories[directory] |= is_data_file(path.substr(path.rfind('/') + 1));
  }
  add_directories(files, directories);
  return files;
}

Result<std::vector<DataLocation>> locations_of(const ForeignServer& server, const Patience& patience) {
  const ProcessFiles files = files_of(server);
  if (!files.known) return failure(server.text() + " has ended", ErrorKind::not_ready);
  auto locations = look_in_root_of(
      server, [files] { return locations_of(files); }, patience);
  if (!locations) return locations;
  for (DataLocation& location : *locations) location.path.insert(0, server.root());
  return locations;
}

std::string socket_of(const ForeignServer& server) {
  const auto found = std::find_if(server.sockets.begin(), server.sockets.end(), [](const std::string& path) {
    constexpr std::string_view kProtocolX = "mysqlx";
    return !path.substr(path.rfind('/') + 1).starts_with(kProtocolX);
  });
  return found == server.sockets.end() ? "" : *found;
}

std::string root_of(pid_t pid) { return "/proc/" + std::to_string(pid) + "/root"; }

bool is_same_file(pid_t pid, const std::string& theirs, const std::string& ours) {
  return same(root_of(pid) + theirs, ours);
}

}  // namespace dlm_freeze::mysql
