// SPDX-License-Identifier: Apache-2.0
#include "safety_thaw.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "base/process.hpp"
#include "shared_memory.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr char kGuard = 'g';
constexpr char kRestart = 'r';
constexpr char kThaw = 't';
constexpr char kQuit = 'q';
constexpr char kDone = 'd';
constexpr char kNotDone = 'n';

void thaw_until_it_is(int fd) {
  while (::ioctl(fd, FITHAW, 0) == 0 || errno == EINTR) {
  }
}

/// Thaws each from a process of its own: a FITHAW may have to wait for another filesystem, or for a
/// FIFREEZE that has not returned. A child that is not done in time is left behind: it goes on
/// trying.
bool thaw_each(const std::vector<int>& guarded) {
  std::vector<pid_t> children;
  for (const int fd : guarded) {
    const pid_t child = ::fork();
    if (child == 0) {
      thaw_until_it_is(fd);
      ::_exit(0);
    }
    if (child > 0) children.push_back(child);
  }
  bool all = true;
  const auto end = Clock::now() + std::chrono::seconds(5);
  for (const pid_t child : children) {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - Clock::now());
    all = reap(child, std::max(left, Milliseconds(0))) && all;
  }
  return all;
}

struct Message {
  ssize_t size = 0;  ///< 0: the test process is gone
  char command = 0;
  int fd = -1;
};

Message receive(int channel) {
  Message message;
  iovec data{&message.command, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  message.size = ::recvmsg(channel, &header, 0);
  if (const cmsghdr* passed = CMSG_FIRSTHDR(&header); message.size > 0 && passed != nullptr) {
    std::memcpy(&message.fd, CMSG_DATA(passed), sizeof(int));
  }
  return message;
}

[[noreturn]] void guard_until_told(int channel, int root, std::chrono::seconds limit, std::atomic<bool>& fired) {
  std::vector<int> guarded{root};
  auto next = Clock::now() + limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<Milliseconds>(next - Clock::now()).count();
    pollfd readable{channel, POLLIN, 0};
    if (::poll(&readable, 1, left > 0 ? static_cast<int>(left) + 1 : 0) == 0) {
      fired.store(true);
      thaw_each(guarded);
      next = Clock::now() + std::chrono::seconds(1);
      continue;
    }
    const Message message = receive(channel);
    if (message.size <= 0) {
      // What the test had started may still freeze something.
      for (int round = 0; round < 30; ++round) {
        thaw_each(guarded);
        sleep_for(Milliseconds(100));
      }
      ::_exit(1);
    }
    char answer = kDone;
    if (message.command == kGuard) guarded.push_back(message.fd);
    if (message.command == kRestart) next = Clock::now() + limit;
    if (message.command == kThaw && !thaw_each(guarded)) answer = kNotDone;
    if (message.command == kQuit) ::_exit(0);
    if (::send(channel, &answer, 1, MSG_NOSIGNAL) != 1) continue;  // the next receive says that the test is gone
  }
}

/// Nothing of the test's: an open pipe would keep its reader waiting, an open file would keep a
/// filesystem busy.
void keep_only(int first, int second) {
  const int null = ::open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) ::dup2(null, fd);
  close_all_but({first, second});
}

char ask(int channel, char command, int fd = -1) {
  iovec data{&command, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* passed = CMSG_FIRSTHDR(&header);
    passed->cmsg_level = SOL_SOCKET;
    passed->cmsg_type = SCM_RIGHTS;
    passed->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(passed), &fd, sizeof(int));
  }
  check(static_cast<int>(::sendmsg(channel, &header, MSG_NOSIGNAL)), "the safety thaw is gone");
  char answer = 0;
  if (::recv(channel, &answer, 1, 0) != 1) throw std::runtime_error("the safety thaw is gone");
  return answer;
}

}  // namespace

SafetyThaw::SafetyThaw(std::chrono::seconds limit) : fired_(make_shared_memory<std::atomic<bool>>()) {
  const UniqueFd root(check(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "/"));
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  channel_ = UniqueFd(ends[0]);
  const UniqueFd theirs(ends[1]);
  process_ = check(::fork(), "fork");
  if (process_ == 0) {
    ::setsid();
    keep_only(theirs.get(), root.get());
    ::mlockall(MCL_CURRENT | MCL_FUTURE);
    guard_until_told(theirs.get(), root.get(), limit, *fired_);
  }
}

SafetyThaw::~SafetyThaw() {
  ::send(channel_.get(), &kQuit, 1, MSG_NOSIGNAL);
  if (!reap(process_, std::chrono::seconds(10))) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  free_shared_memory(fired_);
}

void SafetyThaw::guard(int fd) { ask(channel_.get(), kGuard, fd); }

void SafetyThaw::restart() { ask(channel_.get(), kRestart); }

bool SafetyThaw::thaw_all() { return ask(channel_.get(), kThaw) == kDone; }

}  // namespace dlm_freeze::integration
