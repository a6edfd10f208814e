// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/agent.hpp"
#include "harness/filesystem.hpp"
#include "harness/mounts.hpp"
#include "harness/safety_thaw.hpp"
#include "harness/session_processes.hpp"
#include "harness/system.hpp"

namespace dlm_freeze::faults {

using integration::AgentRun;
using integration::Clock;
using integration::Milliseconds;
using integration::RunOptions;
using integration::RunResult;

/// A process that writes to a filesystem all the time.
class Ticker {
 public:
  explicit Ticker(const integration::Filesystem& filesystem);
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;
  ~Ticker();

  [[nodiscard]] std::uint64_t begun() const { return shared_->begun.load(); }
  [[nodiscard]] std::uint64_t done() const { return shared_->done.load(); }

  /// Whether two more writes are done within `limit`.
  [[nodiscard]] bool goes_on(Milliseconds limit) const;

  /// How long the longest write took since the last call.
  [[nodiscard]] Milliseconds take_longest();

  /// Of that write, how long it went on after `moment`.
  [[nodiscard]] Milliseconds longest_after(Clock::time_point moment) const;

 private:
  struct Shared {
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> done{0};
    std::atomic<std::int64_t> longest_ms{0};
    std::atomic<Clock::rep> longest_end{0};
  };
  Shared* shared_ = nullptr;
  pid_t process_ = -1;
};

/// Of what it is made.
struct HostSpec {
  std::vector<std::string> types = {"ext4", "xfs"};
  std::uint64_t size = 0;  ///< In bytes, of each filesystem; 0: as small as they can be.
  std::string image_directory = "/srv/images";
};

/// A host of the run's own, as HostTest has one: a mount namespace with two filesystems, written to all the time, and a
/// database whose lock is a file. Never more than one in a process, which has no threads yet.
class Host {
 public:
  explicit Host(const HostSpec& spec = {});
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();

  static constexpr std::chrono::seconds kAutoThaw{2};
  static constexpr const char* kLocked = "/run/db-locked";

  void configure(const std::string& json) const;
  /// The database whose lock is a file. In `stage`, if one is given, it does what the shell is told by `line` instead.
  void configure_usual(const std::string& stage = "", const std::string& line = "") const;
  /// The same, with as much time as a busy machine may need.
  void configure_patient() const;

  [[nodiscard]] std::unique_ptr<AgentRun> start(const std::vector<std::string>& arguments,
                                                const std::vector<std::string>& wrapper = {},
                                                const std::vector<std::string>& environment = {}) const;
  [[nodiscard]] RunResult run(const std::vector<std::string>& arguments) const;

  [[nodiscard]] std::vector<integration::AgentProcess> processes() const;
  [[nodiscard]] std::vector<std::unique_ptr<Ticker>>& tickers() { return tickers_; }
  [[nodiscard]] std::size_t size() const { return filesystems_.size(); }
  [[nodiscard]] const integration::Filesystem& filesystem(std::size_t i) const { return *filesystems_[i]; }
  [[nodiscard]] const std::string& mount_point(std::size_t i) const { return filesystems_[i]->mount_point(); }
  [[nodiscard]] static bool is_locked();

  /// Counts the safety limit from here.
  void restart_safety_limit() { safety_->restart(); }
  [[nodiscard]] bool safety_fired() const { return safety_->fired(); }

  /// Ends all writes, unmounts all filesystems and gives their images. Nothing else is possible after it.
  [[nodiscard]] std::vector<std::string> unmount();

  /// After a violation: everything as at first, by force.
  void clean() const;

 private:
  void configure_database(const std::string& stage, const std::string& line, std::chrono::seconds auto_thaw,
                          std::chrono::seconds timeout) const;

  std::vector<integration::Mount> kept_;
  std::unique_ptr<integration::SafetyThaw> safety_;
  std::vector<std::unique_ptr<integration::Filesystem>> filesystems_;
  std::vector<std::unique_ptr<Ticker>> tickers_;
};

}  // namespace dlm_freeze::faults
