// SPDX-License-Identifier: Apache-2.0
#include "injector.hpp"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "harness/system.hpp"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)  // Linux 5.19
#endif

namespace dlm_freeze::faults {
namespace {

using integration::check;
using Clock = std::chrono::steady_clock;

/// The wrapper's end of the channel: it is told from all other descriptors by its number.
constexpr int kChannel = 1000;

/// Whether that is what a process can only wake others with.
bool is_event(pid_t thread, std::uint64_t fd) {
  std::error_code ignored;
  const auto link = "/proc/" + std::to_string(thread) + "/fd/" + std::to_string(fd);
  return std::filesystem::read_symlink(link, ignored) == "anon_inode:[eventfd]";
}

std::string name_of(pid_t thread, const seccomp_data& data) {
  static const std::map<int, const char*> names = {
#include "call_names.inc"
  };
  const auto known = names.find(data.nr);
  std::string name = known != names.end() ? known->second : std::to_string(data.nr);
  if (data.nr == SYS_ioctl) {
    const auto request = static_cast<std::uint32_t>(data.args[1]);
    if (request == FIFREEZE) return name + " FIFREEZE";
    if (request == FITHAW) return name + " FITHAW";
  }
  if (data.nr == SYS_futex && (static_cast<int>(data.args[1]) & FUTEX_CMD_MASK) == FUTEX_WAKE) return name + " wake";
  if (data.nr == SYS_write && is_event(thread, data.args[0])) return name + " event";
  return name;
}

sockaddr_un address_of(const std::string& name, socklen_t& size) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), &address.sun_path[1]);  // Abstract: it begins with a null.
  size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

void send_descriptor(int channel, int fd, const std::string& text) {
  iovec data{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* passed = CMSG_FIRSTHDR(&header);
  passed->cmsg_level = SOL_SOCKET;
  passed->cmsg_type = SCM_RIGHTS;
  passed->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(passed), &fd, sizeof fd);
  check(static_cast<int>(::sendmsg(channel, &header, MSG_NOSIGNAL)), "sendmsg");
}

std::pair<UniqueFd, std::string> receive_descriptor(int channel) {
  std::array<char, 64> text{};
  iovec data{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t size = ::recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
  const cmsghdr* passed = CMSG_FIRSTHDR(&header);
  if (size <= 0 || passed == nullptr) return {};
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(passed), sizeof fd);
  return {UniqueFd(fd), std::string(text.data(), static_cast<std::size_t>(size))};
}

/// Of a line "Name:\tvalue" of /proc/PID/status.
std::string value_of(const std::string& line) { return line.substr(std::min(line.find('\t') + 1, line.size())); }

}  // namespace

Injector::Injector() {
  std::uint64_t random = 0;
  check(static_cast<int>(::getrandom(&random, sizeof random, 0)), "getrandom");
  name_ = "dlm-freeze-faults-" + std::to_string(random);
  socket_ = UniqueFd(check(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket"));
  socklen_t size = 0;
  const sockaddr_un address = address_of(name_, size);
  check(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
  check(::listen(socket_.get(), 8), "listen");
  wake_ = UniqueFd(check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"));
  thread_ = std::thread([this] { run(); });
}

Injector::~Injector() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
  }
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

std::vector<std::string> Injector::wrapper(const std::string& role) const {
  return {"/proc/self/exe", "--wrapped", name_, role};
}

void Injector::arm(std::optional<Fault> fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
  counts_.clear();
  known_.clear();
  reached_ = false;
}

void Injector::release() {
  const std::lock_guard lock(mutex_);
  fault_.reset();
  let_go(Clock::time_point::max());
}

bool Injector::reached() const {
  const std::lock_guard lock(mutex_);
  return reached_;
}

Injector::Counts Injector::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Injector::run() {
  for (;;) {
    std::vector<pollfd> events = {{wake_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    int timeout = -1;
    {
      const std::lock_guard lock(mutex_);
      if (quit_) return;
      for (const Listener& listener : listeners_) events.push_back({listener.fd.get(), POLLIN, 0});
      timeout = patience();
    }
    ::poll(events.data(), events.size(), timeout);
    const std::lock_guard lock(mutex_);
    let_go(Clock::now());
    if (events[0].revents != 0) {
      eventfd_t ignored = 0;
      ::eventfd_read(wake_.get(), &ignored);
    }
    std::vector<int> gone;
    for (std::size_t i = 2; i < events.size(); ++i) {
      if ((events[i].revents & POLLIN) != 0) {
        on_call(listeners_[i - 2]);
      } else if (events[i].revents != 0) {
        gone.push_back(events[i].fd);
      }
    }
    std::erase_if(listeners_, [&](const Listener& listener) {
      return std::find(gone.begin(), gone.end(), listener.fd.get()) != gone.end();
    });
    if (events[1].revents != 0) accept_one();
  }
}

void Injector::accept_one() {
  const UniqueFd connection(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  auto [fd, role] = receive_descriptor(connection.get());
  if (fd) listeners_.push_back({std::move(fd), std::move(role)});
}

std::string Injector::role_of(Listener& listener, pid_t thread, const std::string& call) {
  if (!listener.executed) {
    listener.first = thread;
    listener.executed = call == "execve";
    return "wrapper";
  }
  if (const auto known = known_.find(thread); known != known_.end()) return known->second.second;
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  std::string name;
  pid_t process = thread;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Name:")) name = value_of(line);
    if (line.starts_with("Tgid:")) {
      process = std::stoi(value_of(line));
      break;
    }
  }
  if (process == listener.first) name = listener.role;
  if (name == "dlm-freeze") return "fork";  // It may get a name yet.
  if (name == "dlm-keeper" || !name.starts_with("dlm-")) {
    if (process != listener.first) return name == "dlm-keeper" ? name : "program";
  }
  known_[thread] = {process, name};
  return name;
}

void Injector::on_call(Listener& listener) {
  seccomp_notif call{};
  if (::ioctl(listener.fd.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) return;
  const auto thread = static_cast<pid_t>(call.pid);
  const std::string name = name_of(thread, call.data);
  const std::string role = role_of(listener, thread, name);
  if (name == "prctl" || name == "execve") known_.erase(thread);  // It may have another name then.
  const int number = ++counts_[{role, name}];
  int error = 0;
  if (fault_ && fault_->site.role == role && fault_->site.call == name &&
      (fault_->site.number == number || (fault_->lasting && fault_->site.number < number))) {
    reached_ = true;
    error = fault_->error;
    if (fault_->act) {
      const auto known = known_.find(thread);
      fault_->act(known != known_.end() ? known->second.first : thread);
    }
    if (fault_->hangs || fault_->delay.count() > 0) {
      const auto until = fault_->hangs ? Clock::time_point::max() : Clock::now() + fault_->delay;
      waiting_.push_back({listener.fd.get(), call.id, until});
      return;
    }
  }
  answer(listener.fd.get(), call.id, error);
}

void Injector::answer(int listener, __u64 id, int error) {
  seccomp_notif_resp response{};
  response.id = id;
  response.error = -error;
  if (error == 0) response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  ::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: it was killed meanwhile.
}

void Injector::let_go(Clock::time_point now) {
  std::erase_if(waiting_, [&](const Waiting& one) {
    if (one.until > now) return false;
    answer(one.listener, one.id, 0);
    return true;
  });
}

int Injector::patience() const {
  auto next = Clock::time_point::max();
  for (const Waiting& one : waiting_) next = std::min(next, one.until);
  if (next == Clock::time_point::max()) return -1;
  return static_cast<int>(
      std::max<std::int64_t>(std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count(), 0));
}

void run_wrapped(char** arguments) {
  socklen_t size = 0;
  const sockaddr_un address = address_of(arguments[0], size);
  const UniqueFd socket(check(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket"));
  check(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), size), "connect");
  check(::dup3(socket.get(), kChannel, O_CLOEXEC), "dup3");
  // All but sending the listener itself, and what a process cannot do without.
  std::array<sock_filter, 7> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 4, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 2),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kChannel, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter = {program.size(), program.data()};
  const std::string role = arguments[1];  // Nothing is allocated from here on: nobody answers yet.
  const auto install = [&](unsigned long flags) {
    return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter));
  };
  int listener = install(SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
  if (listener < 0) listener = check(install(SECCOMP_FILTER_FLAG_NEW_LISTENER), "seccomp");
  send_descriptor(kChannel, listener, role);
  ::execvp(arguments[2], &arguments[2]);
  ::_exit(127);
}

}  // namespace dlm_freeze::faults
