// SPDX-License-Identifier: Apache-2.0
#include "session/freezer.hpp"

#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/process.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "record/state_directory.hpp"
#include "session/message.hpp"

namespace dlm_freeze {
namespace {

/// Gives the calling thread descriptors of its own and takes all others away: a thread that is killed while another
/// one hangs in the kernel then closes its life line at once, not with the last of them.
void keep_own(std::vector<int> descriptors) noexcept {
  if (::gettid() == ::getpid()) return;  // No thread could be had for it.
  if (::unshare(CLONE_FILES) == 0) close_all_but(std::move(descriptors));
}

/// Freezes and answers; if pre-script is gone before the answer, undoes it, for perhaps nobody else is left to do so.
void freeze(FrozenFilesystems& filesystems, ExpeditedRcu& rcu, int channel, const std::vector<UniqueFd>& life_lines,
            int lock) {
  // Held elsewhere only by the freezer of an earlier session that hangs in the kernel: without an answer, pre-script
  // finds this one gone.
  if (!StateDirectory::take(lock)) return;
  const UniqueFd finished(::eventfd(0, EFD_CLOEXEC));
  rcu.begin();
  run_detached([&] {
    filesystems.freeze_all([&](std::size_t i) { keep_own({filesystems[i].fd.get(), life_lines[i].get(), lock}); });
    const std::uint64_t one = 1;
    static_cast<void>(!::write(finished.get(), &one, sizeof one));
  });
  std::array<pollfd, 2> events = {pollfd{finished.get(), POLLIN, 0}, pollfd{channel, POLLIN, 0}};
  while (::poll(events.data(), events.size(), -1) < 0) {
  }
  rcu.end();
  const bool finished_all = events[0].revents != 0;
  // Before the answer: from then on the next session may come, faster than this process and its threads end.
  if (finished_all) StateDirectory::release(lock);
  if (finished_all && send_message(channel, {verbs::kDone})) return;
  const std::vector<int> lives(filesystems.size(), finished.get());
  auto thawer = Thawer::create(filesystems, lives, FreezeState::undoing);
  while (thawer && !thawer->run(Deadline::in(std::chrono::hours(1)), false)) {
  }
}

}  // namespace

void run_freezer(FrozenFilesystems& filesystems, ExpeditedRcu& rcu, const UniqueFd& channel,
                 const std::vector<UniqueFd>& life_lines, const UniqueFd& lock) {
  std::vector<int> keep = {channel.get(), lock.get(), rcu.fd()};
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
      freeze(filesystems, rcu, channel.get(), life_lines, lock.get());
      ::_exit(0);
    }
  }
}

}  // namespace dlm_freeze
