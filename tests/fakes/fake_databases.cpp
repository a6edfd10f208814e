// SPDX-License-Identifier: Apache-2.0
#include "fakes/fake_databases.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <utility>

#include "fakes/scratch.hpp"

namespace dlm_freeze::fakes {
namespace {

using Stage = FakeDatabases::Stage;
using Behaviour = FakeDatabases::Behaviour;

constexpr const char* kPrepared = "prepared";  ///< A fact.

FakeDatabases* current = nullptr;

bool is_alive(pid_t pid) {
  const std::string stat = content_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t end = stat.rfind(") ");
  return end != std::string::npos && stat[end + 2] != 'Z' && stat[end + 2] != 'X';
}

struct FakeOptions {
  FakeDatabases::Id database = 0;
  bool outlives = false;
  std::string watch;
};

}  // namespace

class FakeQuiescer final : public Quiescer {
 public:
  FakeQuiescer(std::string name, FakeOptions options)
      : name_(std::move(name)),
        database_(current->of(options.database)),
        outlives_(options.outlives),
        watch_(std::move(options.watch)) {}

  Result<Presence> locate(StageContext& context) override {
    if (auto done = act(Stage::locate, context); !done) return Presence{false, done.error().message, {}};
    return Presence{};
  }
  Result<void> probe(StageContext& context) override { return act(Stage::probe, context); }
  Result<std::vector<Fact>> prepare(StageContext& context) override {
    if (auto done = act(Stage::prepare, context); !done) return tl::unexpected(done.error());
    return std::vector<Fact>{{kPrepared, name_}};
  }

  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    const auto take_lock = [&] {
      database_.holder.store(::getpid());
      if (outlives_) database_.left.store(1);
    };
    const Behaviour how = behaviour(Stage::quiesce);
    if (how == Behaviour::half_way || how == Behaviour::deaf) take_lock();
    if (auto done = act(Stage::quiesce, context); !done) return tl::unexpected(done.error());
    take_lock();
    if (!watch_.empty()) fifo_ = UniqueFd(::open(watch_.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    context.notes.push_back({LogLevel::info, "is quiesced"});
    return std::vector<Fact>{{"position", "154"}};
  }

  int watch_fd() const override { return fifo_.get(); }

  Result<void> release(StageContext& context, Outcome outcome) override {
    database_.outcome.store(outcome);
    if (auto done = act(Stage::release, context); !done) return done;
    const bool held = database_.holder.exchange(0) == ::getpid();
    database_.left.store(0);
    if (!held && outcome == Outcome::completed) {
      return failure("the lock was lost", ErrorKind::protection_lost);
    }
    return {};
  }

  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override {
    database_.prepared_known.store(facts.size() == 1 && facts[0].key == kPrepared && facts[0].value == name_ ? 1 : 0);
    if (auto done = act(Stage::recover, context); !done) return done;
    database_.left.store(0);
    return {};
  }

 private:
  [[nodiscard]] Behaviour behaviour(Stage stage) const {
    return database_.stages[FakeDatabases::index(stage)].behaviour.load();
  }

  Result<void> act(Stage stage, const StageContext& context) {
    FakeDatabases::StageState& state = database_.stages[FakeDatabases::index(stage)];
    ++state.calls;
    if (current->kernel_ != nullptr && current->kernel_->any_frozen()) ++current->shared_[0].calls_while_frozen;
    switch (behaviour(stage)) {
      case Behaviour::well:
        return {};
      case Behaviour::failed:
      case Behaviour::half_way:
        return failure("failed");
      case Behaviour::not_ready:
        return failure("is not ready", ErrorKind::not_ready);
      case Behaviour::already_frozen:
        return failure("is frozen", ErrorKind::already_frozen);
      case Behaviour::patient: {
        pollfd cancelled = {context.cancel_fd, POLLIN, 0};
        const bool given_up = ::poll(&cancelled, 1, context.deadline.poll_timeout()) > 0;
        return failure(given_up ? "was cancelled" : "ran out of time", ErrorKind::not_ready);
      }
      case Behaviour::deaf:
        while (state.deaf.load() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return {};
      case Behaviour::dies:
        ::kill(::getpid(), SIGKILL);
        for (;;) ::pause();
      case Behaviour::stops:
        ::kill(::getpid(), SIGSTOP);
        return {};
    }
    return {};
  }

  std::string name_;
  FakeDatabases::Database& database_;
  bool outlives_;
  std::string watch_;
  UniqueFd fifo_;
};

FakeDatabases::FakeDatabases(const FakeKernel* kernel)
    : shared_(SharedArray<Shared>::create(1).value()), kernel_(kernel) {
  current = this;
}

FakeDatabases::~FakeDatabases() { current = nullptr; }

const QuiescerType& FakeDatabases::type() {
  static const OptionTable<FakeOptions> kTable = {
      {"database", &FakeOptions::database, "Which.", Range{0, kMost - 1}},
      {"outlives", &FakeOptions::outlives, "What it leaves."},
      {"watch", &FakeOptions::watch, "A FIFO."},
  };
  static const QuiescerType kType = {
      .name = "fake",
      .description = "A database that there is only in tests.",
      .options = kTable.specs(),
      .create = [](const QuiescerConfig& config) -> Result<std::unique_ptr<Quiescer>> {
        return std::make_unique<FakeQuiescer>(config.name, kTable.read(config.options));
      },
      .detect = nullptr,
  };
  return kType;
}

QuiescerConfig FakeDatabases::config(Id id, const std::string& name, Json::Object more) {
  more.emplace_back("database", Json(id));
  return {"fake", name, true, Json(std::move(more))};
}

void FakeDatabases::set(Id id, Stage stage, Behaviour behaviour) {
  StageState& state = of(id).stages[index(stage)];
  state.deaf.store(behaviour == Behaviour::deaf ? 1 : 0);
  state.behaviour.store(behaviour);
}

void FakeDatabases::let_go(Id id, Stage stage) { of(id).stages[index(stage)].deaf.store(0); }

bool FakeDatabases::is_locked(Id id) const {
  const pid_t holder = of(id).holder.load();
  return holder != 0 && is_alive(holder);
}

}  // namespace dlm_freeze::fakes
