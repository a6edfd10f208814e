// SPDX-License-Identifier: Apache-2.0
#include "session/manifest_writers.hpp"

#include <poll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/clock_error.hpp"
#include "base/wait.hpp"
#include "fs/manifest_place.hpp"

namespace dlm_freeze {

struct ManifestWriters::Shared {
  struct Job {
    std::size_t filesystem = 0;
    int directory = -1;
    std::string text{};
    std::atomic<bool> is_done{false};
    Result<void> result{};
  };
  explicit Shared(std::size_t count) : jobs(count) {}

  void write(std::size_t i) noexcept {
    Job& job = jobs[i];
    job.result = write_manifest(job.directory, job.text);
    job.is_done.store(true);
    if (outstanding.fetch_sub(1) == 1) raise_event(all_done.get());
  }

  std::vector<Job> jobs;
  std::atomic<std::size_t> outstanding{0};
  UniqueFd all_done;
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

LogLine not_written(const std::string& where, const std::string& why) {
  return {LogLevel::warn, "the snapshot of " + where + " gets no manifest: " + why, false};
}

}  // namespace

Result<ManifestWriters> ManifestWriters::create(const SessionPlan& plan, const Enter& enter) {
  const std::vector<std::size_t> filesystems = with_place(plan);
  auto shared = std::make_shared<Shared>(filesystems.size());
  auto event = new_event();
  if (!event) return tl::unexpected(event.error());
  shared->all_done = std::move(*event);
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    shared->jobs[i].filesystem = filesystems[i];
    shared->jobs[i].directory = plan.manifests->places[filesystems[i]].directory.get();
  }
  auto workers = Workers::start(
      filesystems.size(), [shared = shared.get()](std::size_t i) { shared->write(i); }, Workers::Shortage::fail,
      [shared = shared.get(), enter](std::size_t i) { enter(shared->jobs[i].directory, shared->all_done.get()); });
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
  for (Shared::Job& job : shared_->jobs) job.text = Manifest::text_for(job.filesystem, common);
  return {};
}

std::vector<LogLine> ManifestWriters::run(Deadline deadline, int interrupt) {
  if (shared_->jobs.empty()) return {};
  if (auto composed = compose(); !composed) return {not_written("each filesystem", composed.error().message)};
  shared_->outstanding.store(shared_->jobs.size());
  for (std::size_t i = 0; i < shared_->jobs.size(); ++i) workers_.begin(i);
  std::array<pollfd, 2> events = {pollfd{shared_->all_done.get(), POLLIN, 0}, pollfd{interrupt, POLLIN, 0}};
  while (::poll(events.data(), events.size(), deadline.poll_timeout()) < 0 && errno == EINTR) {
  }
  std::vector<LogLine> lines;
  for (const Shared::Job& job : shared_->jobs) {
    const std::string& where = plan_->manifests->places[job.filesystem].mount_point;
    if (!job.is_done.load()) {
      lines.push_back(not_written(where, "the write has not returned"));
    } else if (!job.result) {
      lines.push_back(not_written(where, job.result.error().message));
    }
  }
  return lines;
}

}  // namespace dlm_freeze
