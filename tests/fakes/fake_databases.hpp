// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/shared_array.hpp"
#include "dlm_freeze/quiesce/registry.hpp"
#include "fakes/fake_kernel.hpp"

namespace dlm_freeze::fakes {

/// Databases that there are only here, and the type of quiescer for them. Their state is shared with the processes that
/// are forked after the constructor. A lock ends with the process that took it, as that of a connection does; what
/// `outlives` its process needs `recover`. One object at a time in a process.
class FakeDatabases {
 public:
  using Id = std::int64_t;

  enum class Stage { locate, probe, prepare, quiesce, release, recover };

  enum class Behaviour {
    well,
    failed,  ///< Fails at once, with an error of that kind.
    not_ready,
    already_frozen,
    patient,   ///< Waits until the deadline, or until it is cancelled; then fails.
    deaf,      ///< Waits until `let_go`, whatever happens; then does well. `quiesce` has the lock meanwhile.
    dies,      ///< Takes its process with it.
    stops,     ///< Stops its process, which then does well.
    half_way,  ///< Takes the lock and then fails.
  };

  /// `kernel`, if there is one, must outlive the object.
  explicit FakeDatabases(const FakeKernel* kernel = nullptr);
  FakeDatabases(const FakeDatabases&) = delete;
  FakeDatabases& operator=(const FakeDatabases&) = delete;
  ~FakeDatabases();

  /// The type of quiescer, "fake". It understands "database", an integer: the Id; "outlives", a boolean, see above;
  /// "watch", a text: the path of a FIFO which reports the loss of the lock as soon as somebody writes to it.
  [[nodiscard]] static const QuiescerType& type();

  [[nodiscard]] static QuiescerConfig config(Id id, const std::string& name, Json::Object more = {});

  void set(Id id, Stage stage, Behaviour behaviour);
  void let_go(Id id, Stage stage);

  /// Whether its lock is held by a living process.
  [[nodiscard]] bool is_locked(Id id) const;
  /// Whether something is left of it that only release and recover undo.
  [[nodiscard]] bool has_leftovers(Id id) const { return of(id).left.load() != 0; }
  [[nodiscard]] int calls(Id id, Stage stage) const { return of(id).stages[index(stage)].calls.load(); }
  /// Whether the last recover was given what `prepare` gave, and nothing else.
  [[nodiscard]] bool was_recovered_as_prepared(Id id) const { return of(id).prepared_known.load() != 0; }
  /// What the last release was told.
  [[nodiscard]] Outcome outcome(Id id) const { return of(id).outcome.load(); }
  /// How many stages were begun while a filesystem of the kernel was frozen.
  [[nodiscard]] int calls_while_frozen() const { return shared_[0].calls_while_frozen.load(); }

 private:
  friend class FakeQuiescer;
  static constexpr std::size_t kMost = 8;
  static constexpr std::size_t kStages = 6;

  struct StageState {
    std::atomic<Behaviour> behaviour;
    std::atomic<std::uint32_t> deaf;
    std::atomic<int> calls;
  };
  struct Database {
    std::atomic<pid_t> holder;  ///< 0: not locked.
    std::atomic<int> left;
    std::atomic<int> prepared_known;
    std::atomic<Outcome> outcome;
    StageState stages[kStages];
  };
  struct Shared {
    std::atomic<int> calls_while_frozen;
    Database databases[kMost];
  };

  static constexpr std::size_t index(Stage stage) { return static_cast<std::size_t>(stage); }
  [[nodiscard]] Database& of(Id id) const { return shared_[0].databases[static_cast<std::size_t>(id)]; }

  SharedArray<Shared> shared_;
  const FakeKernel* kernel_;
};

}  // namespace dlm_freeze::fakes
