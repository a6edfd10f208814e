// SPDX-License-Identifier: Apache-2.0
#include "session/manifest_writers.hpp"

#include <poll.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/clock_error.hpp"
#include "base/text.hpp"
#include "base/wait.hpp"
#include "fs/manifest_place.hpp"

namespace dlm_freeze {

struct ManifestWriters::Shared {
  struct Job {
    std::size_t filesystem = 0;
    int directory = -1;
    std::string text{};  ///< Empty: what is there is removed.
    std::atomic<bool> is_done{false};
    Result<void> result{};
  };
  explicit Shared(std::size_t count) : jobs(count) {}

  void write(std::size_t i) noexcept {
    Job& job = jobs[i];
    job.result = job.text.empty() ? remove_manifest(job.directory) : write_manifest(job.directory, job.text);
    job.is_done.store(true);
    outstanding.fetch_sub(1);
    raise_event(done.get());
  }

  std::vector<Job> jobs;
  std::atomic<std::size_t> outstanding{0};
  UniqueFd done;  ///< An event, raised for each.
};

namespace {

std::vector<std::size_t> with_place(const SessionPlan& plan) {
  std::vector<std::size_t> filesystems;
  if (!plan.manifests) return filesystems;
  for (std::size_t i = 0; i < plan.manifests->places.size(); ++i) {
    if (plan.manifests->places[i].directory) filesystems.push_back(i);
  }
  return filesystems;
}

}  // namespace

void WithoutManifest::add(const std::string& mount_point, const std::string& why) {
  constexpr std::size_t kLongestName = 60;
  names_[why].push_back(without_middle(mount_point, kLongestName));
}

std::vector<LogLine> WithoutManifest::lines() const {
  std::vector<LogLine> lines;
  for (const auto& [why, names] : names_) {
    const std::string which =
        names.size() == 1 ? "the snapshot of " + names[0] + " gets" : "the snapshots of " + list_of(names) + " get";
    lines.push_back({LogLevel::warn, which + " no manifest: " + why, false});
  }
  return lines;
}

Result<ManifestWriters> ManifestWriters::create(const SessionPlan& plan, const Enter& enter) {
  const std::vector<std::size_t> filesystems = with_place(plan);
  auto shared = std::make_shared<Shared>(filesystems.size());
  auto event = new_event();
  if (!event) return tl::unexpected(event.error());
  shared->done = std::move(*event);
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    shared->jobs[i].filesystem = filesystems[i];
    shared->jobs[i].directory = plan.manifests->places[filesystems[i]].directory.get();
  }
  auto workers = Workers::start(
      filesystems.size(), [shared = shared.get()](std::size_t i) { shared->write(i); }, Workers::Shortage::fail,
      [shared = shared.get(), enter](std::size_t i) {
        enter({shared->jobs[i].directory, shared->done.get()});
      });
  if (!workers) return tl::unexpected(workers.error());
  return ManifestWriters(plan, std::move(shared), std::move(*workers));
}

ManifestWriters::ManifestWriters(const SessionPlan& plan, std::shared_ptr<Shared> shared, Workers workers)
    : plan_(&plan), shared_(std::move(shared)), workers_(std::move(workers)) {}

std::vector<int> ManifestWriters::descriptors(const SessionPlan& plan) {
  std::vector<int> descriptors;
  for (const std::size_t i : with_place(plan)) descriptors.push_back(plan.manifests->places[i].directory.get());
  if (!descriptors.empty()) descriptors.push_back(plan.state->fd());  // For the record.
  return descriptors;
}

/// The texts, now that the databases have said what they say.
Result<void> ManifestWriters::compose() {
  const auto record = plan_->state->read_record();
  if (!record) return tl::unexpected(record.error());
  Manifest manifest = plan_->manifests->manifest;
  manifest.written_at = std::chrono::system_clock::now();
  manifest.written_boot = BootClock::now();
  manifest.clock_error = clock_error();
  if (*record) {
    for (const QuiescerRecord& quiescer : (*record)->quiescers)
      manifest.databases.push_back({quiescer.config.name, quiescer.config.type, quiescer.facts});
  }
  const std::string common = manifest.common_text();
  for (Shared::Job& job : shared_->jobs) {
    if (!plan_->manifests->places[job.filesystem].is_removal) job.text = Manifest::text_for(job.filesystem, common);
  }
  return {};
}

std::vector<LogLine> ManifestWriters::run(BootClock::duration patience, int interrupt) {
  if (shared_->jobs.empty()) return {};
  WithoutManifest without;
  const auto name_of = [&](const Shared::Job& job) { return plan_->manifests->places[job.filesystem].mount_point; };
  if (auto composed = compose(); !composed) {
    for (const Shared::Job& job : shared_->jobs) without.add(name_of(job), composed.error().message);
    return without.lines();
  }
  shared_->outstanding.store(shared_->jobs.size());
  for (std::size_t i = 0; i < shared_->jobs.size(); ++i) workers_.begin(i);
  while (shared_->outstanding.load() > 0 && one_more_is_done(Deadline::in(patience), interrupt)) {
  }
  for (const Shared::Job& job : shared_->jobs) {
    if (!job.is_done.load()) {
      without.add(name_of(job), "the write has not returned");
    } else if (!job.result) {
      without.add(name_of(job), job.result.error().message);
    }
  }
  return without.lines();
}

/// False when there is no more to wait for.
bool ManifestWriters::one_more_is_done(Deadline deadline, int interrupt) const {
  std::array<pollfd, 2> events = {pollfd{shared_->done.get(), POLLIN, 0}, pollfd{interrupt, POLLIN, 0}};
  while (::poll(events.data(), events.size(), deadline.poll_timeout()) < 0 && errno == EINTR) {
  }
  static_cast<void>(take_events(shared_->done.get()));
  return events[0].revents != 0 && events[1].revents == 0;
}

}  // namespace dlm_freeze
