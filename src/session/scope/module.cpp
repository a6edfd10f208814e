// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <systemd/sd-bus.h>  // Nothing newer than systemd 238: RHEL 8 has 239.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>

#include "session/scope.hpp"

namespace {

using Clock = std::chrono::steady_clock;

/// What systemctl uses when root calls it.
constexpr const char* kPrivateSocket = "unix:path=/run/systemd/private";

constexpr const char* kPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";

struct CloseBus {
  // Not flushed: what was not sent is not wanted any more.
  void operator()(sd_bus* bus) const {
    sd_bus_close(bus);
    sd_bus_unref(bus);
  }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;

struct FreeMessage {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, FreeMessage>;

/// Microseconds until `deadline`, at least one: to sd-bus 0 means its default.
std::uint64_t left_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(left, 1));
}

/// One step of sd-bus: what is there to be done, or else a wait for more. Negative: an error, or the deadline is over.
int go_on(sd_bus* bus, Clock::time_point deadline) {
  if (Clock::now() >= deadline) return -ETIMEDOUT;
  const int done = sd_bus_process(bus, nullptr);
  return done == 0 ? sd_bus_wait(bus, left_until(deadline)) : done;
}

int connect(Bus& bus, Clock::time_point deadline) {
  sd_bus* opened = nullptr;
  int status = sd_bus_new(&opened);
  if (status < 0) return status;
  bus.reset(opened);
  status = sd_bus_set_address(opened, kPrivateSocket);
  if (status >= 0) status = sd_bus_start(opened);
  if (status < 0) return status;

  // The numbers of our processes are to mean the same to it as to us. In a container that was given the host's socket
  // the number of its owner is 0.
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(sd_bus_get_fd(opened), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -errno;
  if (peer.pid != 1 || peer.uid != 0) return -EXDEV;

  // Here, since sd_bus_call(3) would wait for the handshake for longer than its timeout.
  while ((status = sd_bus_is_ready(opened)) == 0) {
    status = go_on(opened, deadline);
    if (status < 0) return status;
  }
  return status;
}

/// The start of a unit, as far as it is known.
struct Start {
  std::string unit;
  std::string result;  ///< Empty: not over.
};

int on_job_removed(sd_bus_message* message, void* start, sd_bus_error* /*error*/) {
  const char* unit = nullptr;
  const char* result = nullptr;
  const int status = sd_bus_message_read(message, "uoss", nullptr, nullptr, &unit, &result);
  if (status > 0 && static_cast<Start*>(start)->unit == unit) static_cast<Start*>(start)->result = result;
  return 0;
}

/// Asks for the scope `name` with these two processes. The answer comes when the job is queued.
int ask(sd_bus* bus, const char* name, std::uint32_t watchdog, std::uint32_t sentinel, Clock::time_point deadline,
        sd_bus_error* answer) {
  sd_bus_message* made = nullptr;
  int status =
      sd_bus_message_new_method_call(bus, &made, "org.freedesktop.systemd1", kPath, kManager, "StartTransientUnit");
  const Message request(made);
  if (status >= 0) {
    status = sd_bus_message_append(made, "ssa(sv)a(sa(sv))", name, "fail", 2, "Description", "s",
                                   "Session of dlm-freeze", "PIDs", "au", 2, watchdog, sentinel, 0);
  }
  return status < 0 ? status : sd_bus_call(bus, made, left_until(deadline), answer, nullptr);
}

void say(const std::string& text, char* error, std::size_t error_size) {
  if (error_size == 0) return;
  error[text.copy(error, error_size - 1)] = '\0';
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int dlm_freeze_start_scope(const char* name, std::uint32_t watchdog,
                                                                     std::uint32_t sentinel, std::uint64_t timeout_usec,
                                                                     char* error, std::size_t error_size);

/// See dlm_freeze::ScopeModuleFunction.
int dlm_freeze_start_scope(const char* name, std::uint32_t watchdog, std::uint32_t sentinel, std::uint64_t timeout_usec,
                           char* error, std::size_t error_size) {
  const Clock::time_point deadline = Clock::now() + std::chrono::microseconds(timeout_usec);
  Bus bus;
  int status = connect(bus, deadline);
  if (status < 0) {
    say(status == -EXDEV ? "the owner of /run/systemd/private is not the process 1 of this host or container"
                         : std::string("/run/systemd/private: ") + std::strerror(-status),
        error, error_size);
    return status;
  }
  // systemd answers when the job is queued. While a process is moved, all others that fork or start a thread wait, for
  // some milliseconds (cgroup_threadgroup_rwsem of the kernel): it has to be over before anything is frozen. On this
  // socket systemd sends its signals unasked.
  Start start{name, ""};
  sd_bus_error answer{};
  status = sd_bus_match_signal(bus.get(), nullptr, nullptr, kPath, kManager, "JobRemoved", on_job_removed, &start);
  if (status >= 0) status = ask(bus.get(), name, watchdog, sentinel, deadline, &answer);
  while (status >= 0 && start.result.empty()) status = go_on(bus.get(), deadline);
  if (status < 0) {
    say(answer.message != nullptr ? answer.message : std::strerror(-status), error, error_size);
  } else if (start.result != "done") {
    say(start.unit + " did not start: " + start.result, error, error_size);
    status = -EIO;
  }
  sd_bus_error_free(&answer);
  return std::min(status, 0);
}
