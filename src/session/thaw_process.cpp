// SPDX-License-Identifier: Apache-2.0
#include "session/thaw_process.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "base/process.hpp"
#include "base/wait.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/thawer.hpp"
#include "session/limits.hpp"

namespace dlm_freeze {
namespace {

[[noreturn]] void run_thawer(FrozenFilesystems& filesystems, const std::vector<int>& life_lines) {
  std::vector<int> keep = life_lines;
  for (std::size_t i = 0; i < filesystems.size(); ++i) keep.push_back(filesystems[i].fd.get());
  become_background("dlm-thawer", std::move(keep));
  use_small_thread_stacks();
  auto thawer = Thawer::create(filesystems, life_lines, Thawer::Role::successor);
  while (thawer && !thawer->run(Deadline::in(limits::kForever))) {
  }
  end_process(0);
}

}  // namespace

bool thaw_in_process(FrozenFilesystems& filesystems, const std::vector<int>& life_lines, Deadline deadline) {
  filesystems.end();
  const pid_t child = ::fork();
  if (child == 0) run_thawer(filesystems, life_lines);
  const UniqueFd life = child < 0 ? UniqueFd() : open_pidfd(child);
  if (!life) return false;
  if (!wait_readable(life.get(), deadline)) return false;
  ::waitpid(child, nullptr, 0);
  return true;
}

}  // namespace dlm_freeze
