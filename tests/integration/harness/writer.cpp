// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <stdexcept>

#include "shared_memory.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr Milliseconds kLong{50};

}  // namespace

Writer::Writer(const Filesystem& filesystem) : shared_(make_shared_memory<Shared>()) {
  const pid_t parent = ::getpid();
  process_ = check(::fork(), "fork");
  if (process_ == 0) {
    die_with_parent(parent);
    write_for_ever(filesystem.directory(), *shared_);
  }
  if (!goes_on()) throw std::runtime_error("the writer does not write");
}

Writer::~Writer() {
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  free_shared_memory(shared_);
}

std::vector<Stall> Writer::stalls() const {
  const std::size_t count = shared_->stall_count.load();
  return {shared_->stalls.begin(), shared_->stalls.begin() + static_cast<std::ptrdiff_t>(count)};
}

Stall Writer::stall_at(Clock::time_point moment, Milliseconds limit) const {
  std::optional<Stall> found;
  const auto look = [&] {
    for (const Stall& stall : stalls()) {
      if (stall.begin <= moment && moment <= stall.end) found = stall;
    }
    return found.has_value();
  };
  if (!eventually(look, limit)) throw std::runtime_error("no write was made to wait then, or it waits still");
  return *found;
}

bool Writer::goes_on() const {
  const std::size_t before = shared_->writes.load();
  return eventually([&] { return shared_->writes.load() >= before + 2; }, std::chrono::seconds(1));
}

void Writer::write_for_ever(int directory, Shared& shared) {
  const int file = ::openat(directory, "writer", O_WRONLY | O_CREAT | O_APPEND, 0600);
  for (;;) {
    const auto begin = Clock::now();
    if (::write(file, "tick\n", 5) != 5) ::_exit(1);
    const auto end = Clock::now();
    const std::size_t count = shared.stall_count.load();
    if (end - begin > kLong && count < shared.stalls.size()) {
      shared.stalls[count] = {begin, end};
      shared.stall_count.store(count + 1);
    }
    shared.writes.fetch_add(1);
    sleep_for(Milliseconds(1));
  }
}

}  // namespace dlm_freeze::integration
