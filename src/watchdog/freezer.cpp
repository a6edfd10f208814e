// SPDX-License-Identifier: Apache-2.0
#include "watchdog/freezer.hpp"

#include <sched.h>
#include <unistd.h>

#include <vector>

#include "dlm_freeze/base/thread.hpp"
#include "watchdog/background.hpp"
#include "watchdog/message.hpp"

namespace dlm_freeze {
namespace {

/// Gives the calling thread descriptors of its own and takes all others away: a thread that is killed while another
/// one hangs in the kernel then closes its life line at once, not with the last of them.
void keep_own_life_line(int filesystem, int life_line) noexcept {
  if (::gettid() == ::getpid()) return;  // No thread could be had for it.
  if (::unshare(CLONE_FILES) == 0) close_all_but({filesystem, life_line});
}

void freeze(FrozenFilesystems& filesystems, int channel, const std::vector<UniqueFd>& life_lines) {
  filesystems.freeze_all([&](std::size_t i) { keep_own_life_line(filesystems[i].fd.get(), life_lines[i].get()); });
  const auto answered = send_message(channel, {verbs::kDone});
  // Nobody is there to go on with it, perhaps not even a watchdog to undo it.
  if (!answered) {
    auto thawer = Thawer::create(filesystems, {});
    while (thawer && !thawer->run(Deadline::in(std::chrono::hours(1)), true)) {
    }
  }
}

}  // namespace

void run_freezer(FrozenFilesystems& filesystems, const UniqueFd& channel, const std::vector<UniqueFd>& life_lines) {
  std::vector<int> keep = {channel.get()};
  for (const UniqueFd& life_line : life_lines) keep.push_back(life_line.get());
  for (std::size_t i = 0; i < filesystems.size(); ++i) keep.push_back(filesystems[i].fd.get());
  become_background("dlm-freezer", std::move(keep));
  use_small_thread_stacks();
  for (;;) {
    const auto request = receive_message(channel.get());
    if (!request || !*request) ::_exit(0);
    if ((*request)->verb == verbs::kSync) {
      filesystems.sync_all();
      static_cast<void>(send_message(channel.get(), {verbs::kDone}));
    } else if ((*request)->verb == verbs::kFreeze) {
      freeze(filesystems, channel.get(), life_lines);
      ::_exit(0);
    }
  }
}

}  // namespace dlm_freeze
