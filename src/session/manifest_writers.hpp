// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/workers.hpp"
#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/log.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

/// Filesystems whose snapshots get no manifest, and why: a WARN for each reason.
class WithoutManifest {
 public:
  void add(const std::string& mount_point, const std::string& why);
  [[nodiscard]] std::vector<LogLine> lines() const;

 private:
  std::map<std::string, std::vector<std::string>> names_;
};

/// Writes the manifests of a session, each in a thread of its own that exists before the databases are locked: a write
/// to a filesystem that another program has frozen waits for its thaw, and keeps in use whatever its thread has open.
/// For the freezer, which may hang, and whose FIFREEZEs are called by other threads.
/// 16 of them take some 2 ms. With an fsync(2) of file and directory it would be 6, and FIFREEZE not be faster: it has
/// to write back whatever is dirty anyway.
class ManifestWriters {
 public:
  /// What a thread does first. It needs `descriptors`, and no others.
  using Enter = std::function<void(std::vector<int> descriptors)>;

  /// `plan` must outlive the object. No manifests are no error.
  [[nodiscard]] static Result<ManifestWriters> create(const SessionPlan& plan, const Enter& enter);

  /// Writes all of them, with what the databases gave according to the record on file. Gives up when for `patience`
  /// none was done, or when `interrupt` is readable. Gives WARNs for those that are not written.
  [[nodiscard]] std::vector<LogLine> run(BootClock::duration patience, int interrupt);

  /// What the process has to keep open.
  [[nodiscard]] static std::vector<int> descriptors(const SessionPlan& plan);

 private:
  struct Shared;
  ManifestWriters(const SessionPlan& plan, std::shared_ptr<Shared> shared, Workers workers);

  [[nodiscard]] Result<void> compose();
  [[nodiscard]] bool one_more_is_done(Deadline deadline, int interrupt) const;

  const SessionPlan* plan_;
  std::shared_ptr<Shared> shared_;
  Workers workers_;
};

}  // namespace dlm_freeze
