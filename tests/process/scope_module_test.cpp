// SPDX-License-Identifier: Apache-2.0
// The real module, on a host whose systemd is not what it should be. That of a real one:
// tests/packaging/in-chroot/scope.sh.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

#include "dlm_freeze/base/unique_fd.hpp"
#include "session/scope.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;

/// A systemd's socket that nobody reads.
UniqueFd listen_as_systemd() {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "/run/systemd/private");
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) ::_exit(1);
  if (::listen(listener.get(), 8) != 0) ::_exit(1);
  return listener;
}

std::ptrdiff_t count_of_entries(const char* directory) {
  return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
}

/// What is to be the same afterwards: descriptors, threads, what is done about signals.
std::string state_of_process() {
  std::string state = std::to_string(count_of_entries("/proc/self/fd")) + " descriptors, " +
                      std::to_string(count_of_entries("/proc/self/task")) + " threads";
  for (int signal = 1; signal < SIGRTMAX; ++signal) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    state += ' ' + std::to_string(reinterpret_cast<std::uintptr_t>(action.sa_handler));
  }
  sigset_t blocked;
  ::sigprocmask(SIG_BLOCK, nullptr, &blocked);
  for (int signal = 1; signal < SIGRTMAX; ++signal) state += ::sigismember(&blocked, signal) == 1 ? '1' : '0';
  return state;
}

/// What the module answers, or what is wrong besides.
std::string answer_of_module() {
  const std::string before = state_of_process();
  const auto began = steady_clock::now();
  const auto moved = move_to_own_scope(DLM_FREEZE_MODULES, {::getpid(), ::getpid()});
  const auto took = steady_clock::now() - began;
  if (moved) return "it was moved";
  if (state_of_process() != before) return "left behind: " + state_of_process() + ", before: " + before;
  if (took > std::chrono::seconds(2)) return "it took more than two seconds";
  return moved.error().message;
}

/// What `body` gives in a child of this process.
std::string in_child(const std::function<std::string()>& body) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string answer = body();
    ::_exit(::write(ends[1], answer.data(), answer.size()) < 0 ? 1 : 0);
  }
  ::close(ends[1]);
  std::string answer(4096, '\0');
  const ssize_t size = ::read(ends[0], answer.data(), answer.size());
  answer.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return answer;
}

/// What `body` gives as PID 1 of a namespace, with nothing in /run/systemd.
std::string as_init(const std::function<std::string()>& body) {
  return in_child([&] {
    if (::unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) return std::string("no namespace");
    return in_child([&] {
      if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
          ::mount("tmpfs", "/run", "tmpfs", 0, nullptr) != 0 || ::mount("proc", "/proc", "proc", 0, nullptr) != 0 ||
          ::mkdir("/run/systemd", 0755) != 0) {
        return std::string("no /run of its own");
      }
      return body();
    });
  });
}

class ScopeModule : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can have a /run of its own";
  }
};

TEST_F(ScopeModule, SaysThatThereIsNoSocket) {
  EXPECT_EQ(as_init(answer_of_module),
            "systemd refused to create a scope: /run/systemd/private: No such file or directory");
}

TEST_F(ScopeModule, DoesNotSpeakToAnybodyButPidOne) {
  EXPECT_THAT(as_init([] {
                return in_child([] {
                  const UniqueFd listener = listen_as_systemd();
                  return answer_of_module();
                });
              }),
              HasSubstr("is not the process 1"));
}

TEST_F(ScopeModule, GivesUpOnASystemdThatDoesNotAnswer) {
  EXPECT_EQ(as_init([] {
              const UniqueFd listener = listen_as_systemd();
              return in_child(answer_of_module);
            }),
            "systemd refused to create a scope: /run/systemd/private: Connection timed out");
}

}  // namespace
}  // namespace dlm_freeze
