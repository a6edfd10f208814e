// SPDX-License-Identifier: Apache-2.0
#include "base/workers.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <semaphore>
#include <system_error>
#include <utility>

namespace dlm_freeze {
namespace {

/// Has the kernel give the calling thread the stack that its jobs need, now and not while memory is short.
void touch_stack() noexcept {
  constexpr std::size_t kDepth = std::size_t{16} * 1024;
  constexpr std::size_t kPage = 4096;
  std::array<volatile char, kDepth> stack;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (std::size_t at = 0; at < kDepth; at += kPage) stack.at(at) = 0;
}

/// As std::atomic::wait, which yields the processor some times before it sleeps: hundreds of threads would keep it
/// busy.
void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t seen) noexcept {
  while (word.load() == seen) ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
}

void wake_one(const std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace

struct Workers::Shared {
  Shared(std::size_t jobs, Job wanted, Job first)
      : job(std::move(wanted)), enter(std::move(first)), due(jobs), turns(jobs) {}

  void run(std::size_t thread) noexcept {
    touch_stack();
    if (enter) enter(thread);
    for (;;) {
      const std::uint32_t seen = turns[thread].load();
      if (seen != 0) {  // Else nothing has begun, and `threads` may not be known yet.
        for (std::size_t i = thread; i < due.size(); i += threads) do_if_due(i);
      }
      if (closing.load()) return;
      wait_while(turns[thread], seen);
    }
  }

  void do_if_due(std::size_t i) noexcept {
    if (!due[i].exchange(false)) return;
    job(i);
    if (under_way.fetch_sub(1) == 1) idle.release();
  }

  void wake(std::size_t thread) noexcept {
    turns[thread].fetch_add(1);
    wake_one(turns[thread]);
  }

  Job job;
  Job enter;
  std::size_t threads = 0;
  std::vector<std::atomic<bool>> due;             ///< By job.
  std::vector<std::atomic<std::uint32_t>> turns;  ///< By thread: how often it was told to look.
  std::atomic<std::size_t> under_way{0};
  /// Released when nothing is under way any more. No descriptor: a thread may have given up the process's.
  std::counting_semaphore<> idle{0};
  std::atomic<bool> closing{false};
};

Result<Workers> Workers::start(std::size_t count, Job job, Shortage shortage, Job enter) {
  Workers workers(std::make_shared<Shared>(count, std::move(job), std::move(enter)), {});
  workers.threads_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    try {
      workers.threads_.emplace_back([shared = workers.shared_, i] { shared->run(i); });
    } catch (const std::system_error& error) {
      workers.shared_->threads = workers.threads_.size();
      if (shortage == Shortage::share) break;
      return system_failure(
          "cannot start a thread for each filesystem; memory or processes are short here (ulimit -v, ulimit -u, "
          "TasksMax=)",
          error.code().value());
    }
  }
  workers.shared_->threads = workers.threads_.size();
  return workers;
}

Workers::Workers(std::shared_ptr<Shared> shared, std::vector<std::thread> threads)
    : shared_(std::move(shared)), threads_(std::move(threads)) {}

Workers::~Workers() {
  if (!shared_) return;
  shared_->closing.store(true);
  // One that has just told of its end is about to be idle.
  constexpr auto kPatience = std::chrono::seconds(1);
  const auto patience = std::chrono::steady_clock::now() + kPatience;
  while (shared_->under_way.load() != 0 && shared_->idle.try_acquire_until(patience)) {
  }
  const bool idle = shared_->under_way.load() == 0;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    shared_->wake(i);
    if (!idle) threads_[i].detach();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Workers::begin(std::size_t i) noexcept {
  shared_->under_way.fetch_add(1);
  shared_->due[i].store(true);
  if (shared_->threads == 0) {
    shared_->do_if_due(i);
  } else {
    shared_->wake(i % shared_->threads);
  }
}

}  // namespace dlm_freeze
