// SPDX-License-Identifier: Apache-2.0
#include "writer.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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

Stall Writer::longest_stall() const {
  const auto all = stalls();
  if (all.empty()) throw std::runtime_error("no write took long");
  return *std::ranges::max_element(all, {}, [](const Stall& stall) { return stall.end - stall.begin; });
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
