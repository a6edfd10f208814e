// SPDX-License-Identifier: Apache-2.0
#include "watchdog/freezer.hpp"

#include <unistd.h>

#include <vector>

#include "dlm_freeze/base/thread.hpp"
#include "watchdog/background.hpp"
#include "watchdog/message.hpp"

namespace dlm_freeze {
namespace {

void freeze(FrozenFilesystems& filesystems, int channel) {
  filesystems.freeze_all();
  const auto answered = send_message(channel, {verbs::kDone});
  // Nobody is there to go on with it, perhaps not even a watchdog to undo it.
  if (!answered) {
    auto thawer = Thawer::create(filesystems, -1);
    while (thawer && !thawer->run(Deadline::in(std::chrono::hours(1)), true)) {
    }
  }
}

}  // namespace

void run_freezer(FrozenFilesystems& filesystems, const UniqueFd& channel, const UniqueFd& life) {
  std::vector<int> keep = {channel.get(), life.get()};
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
      freeze(filesystems, channel.get());
      ::_exit(0);
    }
  }
}

}  // namespace dlm_freeze
