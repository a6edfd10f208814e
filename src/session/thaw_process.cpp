// SPDX-License-Identifier: Apache-2.0
#include "session/thaw_process.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "dlm_freeze/base/thread.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "session/background.hpp"

namespace dlm_freeze {
namespace {

[[noreturn]] void run_thawer(FrozenFilesystems& filesystems, const std::vector<int>& life_lines) {
  std::vector<int> keep = life_lines;
  for (std::size_t i = 0; i < filesystems.size(); ++i) keep.push_back(filesystems[i].fd.get());
  become_background("dlm-thawer", std::move(keep));
  use_small_thread_stacks();
  auto thawer = Thawer::create(filesystems, life_lines);
  while (thawer && !thawer->run(Deadline::in(std::chrono::hours(1)), true)) {
  }
  ::_exit(0);
}

}  // namespace

bool thaw_in_process(FrozenFilesystems& filesystems, const std::vector<int>& life_lines, Deadline deadline) {
  filesystems.end();
  const pid_t child = ::fork();
  if (child == 0) run_thawer(filesystems, life_lines);
  const UniqueFd life(child < 0 ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!life) return false;
  pollfd event = {life.get(), POLLIN, 0};
  int count = 0;
  do {
    count = ::poll(&event, 1, deadline.poll_timeout());
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return false;
  ::waitpid(child, nullptr, 0);
  return true;
}

}  // namespace dlm_freeze
