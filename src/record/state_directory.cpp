// SPDX-License-Identifier: Apache-2.0
#include "record/state_directory.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/directory.hpp"

namespace dlm_freeze {
namespace {

constexpr const char* kRecordFile = "session.json";
constexpr const char* kSocket = "socket";

const char* lock_file(StateDirectory::Lock lock) {
  return lock == StateDirectory::Lock::session ? "lock" : "freezer-lock";
}

struct flock whole_file(short type) {
  struct flock range {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  return range;
}

/// While it lives, SIGALRM interrupts system calls from `deadline` on, again and again, so that none is missed.
class Alarm {
 public:
  explicit Alarm(Deadline deadline) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, &previous_);
    // A caller may have blocked it: the mask is inherited.
    sigset_t alarm;
    ::sigemptyset(&alarm);
    ::sigaddset(&alarm, SIGALRM);
    ::sigprocmask(SIG_UNBLOCK, &alarm, &previous_mask_);
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline.remaining()).count();
    constexpr long kMillion = 1'000'000;
    constexpr long kAgain = 10'000;
    const itimerval timer = {{0, kAgain}, {left / kMillion, std::max(left % kMillion, 1L)}};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
  ~Alarm() {
    const itimerval off{};
    ::setitimer(ITIMER_REAL, &off, nullptr);
    ::sigprocmask(SIG_SETMASK, &previous_mask_, nullptr);
    ::sigaction(SIGALRM, &previous_, nullptr);
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

 private:
  struct sigaction previous_ {};
  sigset_t previous_mask_{};
};

Result<UniqueFd> new_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return system_failure("cannot create a socket", errno);
  return fd;
}

/// The socket's address: by its path or, where that is too long for an address, by way of the open directory.
sockaddr_un socket_address(const std::string& path, int directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string plain = path + "/" + kSocket;
  if (plain.size() < sizeof address.sun_path) {
    plain.copy(address.sun_path, plain.size());
  } else {
    std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory, kSocket);
  }
  return address;
}

template <typename Call>
int with_address(const std::string& path, int directory, Call call) {
  const sockaddr_un address = socket_address(path, directory);
  return call(reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(sizeof address));
}

}  // namespace

Result<StateDirectory> StateDirectory::open(const std::string& path, bool create) {
  if (!path.starts_with('/')) return failure("the state directory '" + path + "' must be an absolute path");
  if (create && ::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_failure("cannot create the state directory " + path, errno);
  }
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    const int error = errno;
    if (error == ELOOP || error == ENOTDIR) {
      return failure("the state directory " + path + " is a symbolic link or a file: remove it");
    }
    return system_failure("cannot open the state directory " + path + (error == EACCES ? " (run it as root)" : ""),
                          error);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_failure("cannot examine " + path, errno);
  if (info.st_uid != ::geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return failure("the state directory " + path + " could be changed by others: it must belong to uid " +
                   std::to_string(::geteuid()) + " and be writable by nobody else");
  }
  return StateDirectory(path, std::move(fd));
}

Result<UniqueFd> StateDirectory::open_lock(Lock lock) const {
  auto fd = open_regular(fd_.get(), lock_file(lock), O_RDWR | O_CREAT | O_NOFOLLOW);
  if (!fd) return tl::unexpected(fd.error().with_context(path_));
  return fd;
}

bool StateDirectory::take(int fd) noexcept {
  struct flock range = whole_file(F_WRLCK);
  return ::fcntl(fd, F_OFD_SETLK, &range) == 0;
}

void StateDirectory::release(int fd) noexcept {
  struct flock range = whole_file(F_UNLCK);
  ::fcntl(fd, F_OFD_SETLK, &range);
}

Result<std::optional<UniqueFd>> StateDirectory::try_lock(Lock lock) const {
  auto fd = open_lock(lock);
  if (!fd) return tl::unexpected(fd.error());
  if (take(fd->get())) return std::optional(std::move(*fd));
  if (errno == EAGAIN || errno == EACCES) return std::nullopt;
  return system_failure("cannot lock " + path_ + "/" + lock_file(lock), errno);
}

Result<std::optional<UniqueFd>> StateDirectory::lock_by(Lock lock, Deadline deadline) const {
  auto fd = open_lock(lock);
  if (!fd) return tl::unexpected(fd.error());
  const Alarm alarm(deadline);
  struct flock range = whole_file(F_WRLCK);
  while (::fcntl(fd->get(), F_OFD_SETLKW, &range) != 0) {
    if (errno != EINTR) return system_failure("cannot lock " + path_ + "/" + lock_file(lock), errno);
    if (deadline.expired()) return std::nullopt;
  }
  return std::optional(std::move(*fd));
}

Result<bool> StateDirectory::is_locked() const {
  const auto lock = open_regular(fd_.get(), lock_file(Lock::session), O_RDWR | O_NOFOLLOW);
  if (!lock) {
    if (lock.error().errno_value == ENOENT) return false;
    return tl::unexpected(lock.error().with_context(path_));
  }
  struct flock range = whole_file(F_WRLCK);
  if (::fcntl(lock->get(), F_OFD_GETLK, &range) != 0)
    return system_failure("cannot examine the lock in " + path_, errno);
  return range.l_type != F_UNLCK;
}

Result<std::optional<SessionRecord>> StateDirectory::read_record() const {
  const auto text = read_file_at(fd_.get(), kRecordFile);
  if (!text) {
    if (text.error().errno_value == ENOENT) return std::nullopt;
    return tl::unexpected(text.error().with_context(path_));
  }
  const std::string where = path_ + "/" + kRecordFile;
  const auto json = Json::parse(*text);
  if (!json) return tl::unexpected(json.error().with_context(where));
  auto record = SessionRecord::from_json(*json);
  if (!record) return tl::unexpected(record.error().with_context(where));
  return std::optional(std::move(*record));
}

Result<AtomicFile> StateDirectory::new_record_file(std::string_view slot, std::size_t reserve) const {
  auto file = AtomicFile::create(fd_.get(), kRecordFile, slot, reserve);
  if (!file) return tl::unexpected(file.error().with_context(path_));
  return file;
}

void StateDirectory::remove_stale_files() const noexcept {
  const std::string prefix = std::string(".") + kRecordFile + ".";
  const int copy = ::openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const DirectoryStream directory(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!directory) return;
  while (const dirent* entry = ::readdir(directory.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of its own.
    if (std::string_view(entry->d_name).starts_with(prefix)) ::unlinkat(fd_.get(), entry->d_name, 0);
  }
}

Result<void> StateDirectory::write_record(const SessionRecord& record) const {
  const std::string text = record.to_json().dump();
  auto file = new_record_file("now", text.size());
  if (!file) return tl::unexpected(file.error());
  return file->commit(text);
}

Result<UniqueFd> StateDirectory::listen() const {
  auto fd = new_socket();
  if (!fd) return fd;
  ::unlinkat(fd_.get(), kSocket, 0);
  constexpr int kBacklog = 8;
  const int bound = with_address(
      path_, fd_.get(), [&](const sockaddr* address, socklen_t size) { return ::bind(fd->get(), address, size); });
  if (bound != 0 || ::listen(fd->get(), kBacklog) != 0)
    return system_failure("cannot listen on " + path_ + "/" + kSocket, errno);
  return fd;
}

Result<UniqueFd> StateDirectory::connect(Deadline deadline) const {
  auto fd = new_socket();
  if (!fd) return fd;
  // A full queue of connections makes connect(2) wait, for so long (unix(7), SO_SNDTIMEO in socket(7)); 0 is for ever.
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining()) + std::chrono::milliseconds(1);
  const timeval patience = {left.count() / 1000, left.count() % 1000 * 1000};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const int connected = with_address(
      path_, fd_.get(), [&](const sockaddr* address, socklen_t size) { return ::connect(fd->get(), address, size); });
  if (connected != 0) return system_failure("cannot connect to " + path_ + "/" + kSocket, errno);
  return fd;
}

void StateDirectory::stop_listening() const noexcept { ::unlinkat(fd_.get(), kSocket, 0); }

bool StateDirectory::is_listening(Deadline deadline) const {
  const auto connection = connect(deadline);
  return connection || connection.error().errno_value == EAGAIN;
}

}  // namespace dlm_freeze
