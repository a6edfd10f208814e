// SPDX-License-Identifier: Apache-2.0
#include "session/freezer.hpp"

#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "base/privileges.hpp"
#include "base/process.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "fs/freezing.hpp"
#include "fs/thawer.hpp"
#include "record/state_directory.hpp"
#include "session/limits.hpp"
#include "session/manifest_writers.hpp"
#include "session/message.hpp"

namespace dlm_freeze {
namespace {

/// Gives the calling thread descriptors of its own and takes all others away: a thread that is killed while another
/// one hangs in the kernel then closes its life line at once, not with the last of them.
void keep_own(std::vector<int> descriptors) noexcept {
  if (::unshare(CLONE_FILES) == 0) close_all_but(std::move(descriptors));
}

class Freezer {
 public:
  Freezer(Freezing freezing, Thawer thawer, Result<ManifestWriters> manifests, ExpeditedRcu& rcu, int channel, int lock)
      : freezing_(std::move(freezing)),
        thawer_(std::move(thawer)),
        manifests_(std::move(manifests)),
        rcu_(rcu),
        channel_(channel),
        lock_(lock) {}

  /// With the first write-back under way.
  [[noreturn]] void run() {
    for (;;) {
      if (!calls_return()) end_process(0);
      answer();
      const auto request = receive_message(channel_);
      if (!request || !*request) end_process(0);
      if ((*request)->verb == Verb::freeze) break;
      freezing_.begin_sync();
    }
    freeze();
    end_process(0);
  }

 private:
  /// Freezes and answers; if pre-script is gone before the answer, undoes it, for perhaps nobody else is left to do so.
  void freeze() {
    // Held elsewhere only by the freezer of an earlier session that hangs in the kernel: without an answer, pre-script
    // finds this one gone.
    if (!StateDirectory::take(lock_)) return;
    write_manifests();
    // Each thread has done something by now, and so closed what is not its own.
    static_cast<void>(allow_calls(calls_of_freezing()));
    rcu_.begin();
    bool is_heard = true;
    while (is_heard && freezing_.begin_level()) is_heard = calls_return();
    rcu_.end();
    // Before the answer: from then on the next session may come, faster than this process and its threads end.
    if (is_heard) StateDirectory::release(lock_);
    if (is_heard && answer()) return;
    while (!thawer_.run(Deadline::in(limits::kForever))) {
    }
  }

  /// The last act before the first FIFREEZE, which then also writes them back.
  void write_manifests() {
    if (manifests_) {
      notes_ = manifests_->run(limits::kManifests, channel_);
    } else {
      notes_ = {{LogLevel::warn, "no manifest is written: " + manifests_.error().message, false}};
    }
  }

  /// Waits for the calls that were begun. False when pre-script is gone before.
  [[nodiscard]] bool calls_return() const {
    std::array<pollfd, 2> events = {pollfd{freezing_.fd(), POLLIN, 0}, pollfd{channel_, POLLIN, 0}};
    while (::poll(events.data(), events.size(), -1) < 0) {
    }
    return events[0].revents != 0;
  }

  bool answer() const { return send_message(channel_, {.verb = Verb::done, .lines = notes_}).has_value(); }

  Freezing freezing_;
  Thawer thawer_;
  Result<ManifestWriters> manifests_;
  std::vector<LogLine> notes_;  ///< For pre-script.
  ExpeditedRcu& rcu_;
  int channel_;
  int lock_;
};

}  // namespace

void run_freezer(FrozenFilesystems& filesystems, ExpeditedRcu& rcu, const UniqueFd& channel,
                 const std::vector<UniqueFd>& life_lines, const UniqueFd& lock, const SessionPlan& plan) {
  std::vector<int> keep = ManifestWriters::descriptors(plan);
  keep.insert(keep.end(), {channel.get(), lock.get(), rcu.fd()});
  for (const UniqueFd& life_line : life_lines) keep.push_back(life_line.get());
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    const std::vector<int> own = filesystems.descriptors_of(i);
    keep.insert(keep.end(), own.begin(), own.end());
  }
  become_background("dlm-freezer", std::move(keep));
  keep_capabilities_for_good({CAP_SYS_ADMIN});
  use_small_thread_stacks();
  // The first message that pre-script gets instead of an answer is why there is none.
  const auto fail = [&](const Error& error) {
    static_cast<void>(send_message(channel.get(), {.verb = Verb::failed, .error = error}));
    end_process(1);
  };
  auto freezing = Freezing::create(filesystems, [&](std::size_t i, int event) {
    std::vector<int> of_thread = filesystems.descriptors_of(i);
    of_thread.insert(of_thread.end(), {life_lines[i].get(), lock.get(), event});
    keep_own(std::move(of_thread));
  });
  if (!freezing) fail(freezing.error());
  // At once: it takes longer than all that is made ready meanwhile.
  freezing->begin_sync();
  const std::vector<int> all_returned(filesystems.size(), freezing->fd());
  auto thawer = Thawer::create(filesystems, all_returned, Thawer::Role::freezer);
  if (!thawer) fail(thawer.error());
  auto manifests = ManifestWriters::create(plan, keep_own);
  Freezer(std::move(*freezing), std::move(*thawer), std::move(manifests), rcu, channel.get(), lock.get()).run();
}

}  // namespace dlm_freeze
