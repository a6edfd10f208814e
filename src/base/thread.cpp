// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/thread.hpp"

#include <pthread.h>

#include <system_error>
#include <thread>
#include <utility>

namespace dlm_freeze {

void use_small_thread_stacks() noexcept {
  constexpr std::size_t kStackBytes = std::size_t{1} << 20;  // ThreadSanitizer takes 0.8 MB of it for itself.
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  if (::pthread_attr_setstacksize(&attributes, kStackBytes) == 0) ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

void run_in_parallel(const std::vector<std::function<void()>>& jobs) noexcept {
  std::vector<std::thread> threads;
  threads.reserve(jobs.size());
  for (const auto& job : jobs) {
    try {
      threads.emplace_back(job);
    } catch (const std::system_error&) {
      job();
    }
  }
  for (std::thread& thread : threads) thread.join();
}

void run_detached(std::function<void()> job) noexcept {
  try {
    std::thread(job).detach();
  } catch (const std::system_error&) {
    job();
  }
}

}  // namespace dlm_freeze
