// SPDX-License-Identifier: Apache-2.0
#include "session/thaw_process.hpp"

#include <linux/capability.h>

#include <utility>

#include "base/child.hpp"
#include "base/privileges.hpp"
#include "base/process.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "fs/thawer.hpp"
#include "session/limits.hpp"

namespace dlm_freeze {
namespace {

[[noreturn]] void run_thawer(FrozenFilesystems& filesystems, const std::vector<int>& life_lines, int life) {
  std::vector<int> keep = life_lines;
  keep.push_back(life);
  for (std::size_t i = 0; i < filesystems.size(); ++i) keep.push_back(filesystems[i].fd.get());
  become_background("dlm-thawer", std::move(keep));
  keep_capabilities_for_good({CAP_SYS_ADMIN});
  use_small_thread_stacks();
  auto thawer = Thawer::create(filesystems, life_lines, Thawer::Role::successor);
  static_cast<void>(allow_calls(calls_of_freezing()));
  while (thawer && !thawer->run(Deadline::in(limits::kForever))) {
  }
  end_process(0);
}

}  // namespace

bool thaw_in_process(FrozenFilesystems& filesystems, const std::vector<int>& life_lines, Deadline deadline) {
  filesystems.end();
  auto thawer = Child::start([&](int life) { run_thawer(filesystems, life_lines, life); });
  return thawer && thawer->wait(deadline);
}

}  // namespace dlm_freeze
