// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/apart.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "base/process.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

constexpr int kNoNamespaces = 3;

/// PostgreSQL before 15 sends itself its statistics by way of it.
void raise_loopback() {
  const UniqueFd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(static_cast<char*>(request.ifr_name), "lo", sizeof "lo");
  request.ifr_flags = IFF_UP;
  static_cast<void>(::ioctl(any.get(), SIOCSIFFLAGS, &request));
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// Process 1 of the namespace. `parent` is at its end of file when its parent is gone; that may be before the signal
/// was asked for.
[[noreturn]] void run_first(const std::function<std::string()>& body, int parent, int answer) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pollfd end = {parent, 0, 0};
  if (::poll(&end, 1, 0) > 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    end_process(kNoNamespaces);
  raise_loopback();
  write_all(answer, body());
  end_process(0);
}

/// The process between, since a new PID namespace begins with a child. Ends as that child does.
[[noreturn]] void run_between(const std::function<std::string()>& body, pid_t parent, int answer) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) end_process(kNoNamespaces);
  std::array<int, 2> life{};
  if (::unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0 ||
      ::pipe2(life.data(), O_CLOEXEC) != 0)
    end_process(kNoNamespaces);
  const pid_t first = ::fork();
  if (first == 0) {
    ::close(life[1]);
    run_first(body, life[0], answer);
  }
  ::close(answer);
  int status = 0;
  if (first < 0 || ::waitpid(first, &status, 0) != first) end_process(kNoNamespaces);
  end_process(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

}  // namespace

Result<std::string> run_apart(const std::function<std::string()>& body) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_failure("cannot create a pipe", errno);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t between = ::fork();
  if (between < 0) return system_failure("cannot start a process", errno);
  if (between == 0) run_between(body, parent, writing.get());
  writing.reset();

  std::string text;
  std::array<char, 4096> chunk{};
  for (;;) {
    const ssize_t got = ::read(reading.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  while (::waitpid(between, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNoNamespaces)
    return failure(
        "cannot make namespaces for mounts, processes and the network: run it as root, outside of a container");
  return failure("the process that checks the copies died");
}

}  // namespace dlm_freeze
