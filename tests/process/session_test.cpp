// SPDX-License-Identifier: Apache-2.0
#include "process/session_test.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>
#include <memory>
#include <utility>

namespace dlm_freeze {
namespace {

class FileLog final : public LogOutput {
 public:
  explicit FileLog(const std::string& path) : file_(path, std::ios::app) {}
  void write(const LogLine& line) override { file_ << line.text << std::endl; }

 private:
  std::ofstream file_;
};

}  // namespace

pid_t process_called(const std::string& name) {
  std::optional<pid_t> found;
  if (!fakes::eventually([&] { return (found = fakes::descendant(name)).has_value(); })) {
    throw std::runtime_error("there is no process " + name);
  }
  return *found;
}

std::string to_string(Step step) {
  switch (step) {
    case Step::started:
      return "started";
    case Step::prepared:
      return "prepared";
    case Step::quiesced:
      return "quiesced";
    case Step::frozen:
      return "frozen";
    case Step::held:
      return "held";
  }
  return "";
}

SessionTest::SessionTest(const std::string& state)
    : state_(std::move(StateDirectory::open(state.empty() ? scratch_ / "state" : state, true).value())) {
  fakes::adopt_orphans();
}

void SessionTest::TearDown() {
  // Whatever the test made hang goes on.
  kernel_.let_go_all();
  for (std::size_t i = 0; i < databases_planned_.size(); ++i) {
    for (const Stage stage : {Stage::probe, Stage::prepare, Stage::quiesce, Stage::release, Stage::recover}) {
      databases_.let_go(static_cast<DatabaseId>(i), stage);
    }
  }
  leave();
  EXPECT_TRUE(fakes::all_gone()) << "a process of the session is left";
  if (plan_) {
    EXPECT_EQ(rcu_expedited(), "0\n") << "left behind";
    EXPECT_FALSE(has_dirty_device_ && is_limited()) << "left behind";
  }
  fakes::kill_descendants();
  EXPECT_FALSE(kernel_.any_frozen());
  for (std::size_t i = 0; i < databases_planned_.size(); ++i) {
    EXPECT_FALSE(databases_.is_locked(static_cast<DatabaseId>(i))) << i;
  }
  if (!calls_while_frozen_expected_) {
    EXPECT_EQ(databases_.calls_while_frozen(), 0) << "a database was called while a filesystem was frozen";
  }
}

SessionTest::FilesystemId SessionTest::add_filesystem(int level) {
  FilesystemId id = 0;
  UniqueFd fd = kernel_.add(id);
  filesystems_.push_back({"/fs" + std::to_string(id), 0, level, std::move(fd)});
  return id;
}

SessionTest::FilesystemId SessionTest::add_proc() {
  FilesystemId id = 0;
  UniqueFd fd = kernel_.add_at("/proc", id);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) throw std::runtime_error("fstat");
  filesystems_.push_back({"/proc", info.st_dev, 0, std::move(fd)});
  return id;
}

SessionTest::DatabaseId SessionTest::add_database(Json::Object more) {
  const auto id = static_cast<DatabaseId>(databases_planned_.size());
  databases_planned_.push_back(fakes::FakeDatabases::config(id, "db" + std::to_string(id), std::move(more)));
  return id;
}

void SessionTest::add_dirty_device() {
  has_dirty_device_ = true;
  for (const auto& [file, value] : {std::pair("max_bytes", "4858220544\n"), std::pair("max_ratio_fine", "500000\n"),
                                    std::pair("strict_limit", "0\n")})
    scratch_.write("sys/class/bdi/7:0/" + std::string(file), value);
  scratch_.write("sys/kernel/debug/bdi/7:0/stats", "BdiReclaimable: 400000 kB\nBdiWriteback: 0 kB\nBdiWritten: 0 kB\n");
}

void SessionTest::start(std::chrono::seconds auto_thaw) {
  auto lock = state_->try_lock(StateDirectory::Lock::session);
  ASSERT_TRUE(lock && *lock) << "there is a session already";
  auto freezer_lock = state_->open_lock(StateDirectory::Lock::freezer);
  ASSERT_TRUE(freezer_lock);
  auto filesystems = FrozenFilesystems::adopt(std::move(filesystems_), kernel_);
  ASSERT_TRUE(filesystems);
  filesystems_.clear();
  std::vector<PlannedQuiescer> quiescers;
  const QuiescerType& type = fakes::FakeDatabases::type();
  for (const QuiescerConfig& config : databases_planned_) {
    quiescers.push_back({config, &type, std::move(make_quiescer(type, config).value())});
  }
  plan_.emplace(SessionPlan{
      .state = &*state_,
      .lock = std::move(**lock),
      .freezer_lock = std::move(*freezer_lock),
      .filesystems = std::move(*filesystems),
      .rcu = ExpeditedRcu::open(scratch_.write("rcu_expedited", "0\n")),
      .quiescers = std::move(quiescers),
      .execution_id = kExecution,
      .auto_thaw = auto_thaw,
      .max_stall = max_stall_,
      .host_dirty = DirtyMemory::open({std::string(kHost)}),
      .started_at = std::chrono::system_clock::now(),
      .earlier = earlier_,
      .history_file = {},
      .metrics_file = {},
      .coverage =
          [](const std::string& path) {
            return Coverage{true, path, "data"};
          },
      .syslog = [path = scratch_ / "syslog"] { return std::make_unique<FileLog>(path); },
  });
  if (has_dirty_device_) {
    const DeviceRoots roots{.sys = scratch_ / "sys"};
    plan_->dirty_limit = DirtyLimit::open({"7:0"}, roots);
    plan_->dirty_memory = DirtyMemory::open({"7:0"}, roots);
  }
  auto client = SessionClient::start(*plan_, soon());
  ASSERT_TRUE(client) << client.error().message;
  client_.emplace(std::move(*client));
}

void SessionTest::prepare() {
  const auto prepared = client_->prepare(soon());
  ASSERT_TRUE(prepared) << prepared.error().message;
}

void SessionTest::quiesce() {
  const auto quiesced = client_->quiesce(soon());
  ASSERT_TRUE(quiesced) << quiesced.error().message;
}

void SessionTest::freeze() {
  const auto frozen = client_->freeze(soon());
  ASSERT_TRUE(frozen) << frozen.error().message;
}

void SessionTest::commit() {
  const auto committed = client_->commit(soon(), {0.5, 0, 0, 0, 0.25}, {{LogLevel::info, "held line"}});
  ASSERT_TRUE(committed) << committed.error().message;
}

void SessionTest::go(Step step, std::chrono::seconds auto_thaw) {
  ASSERT_NO_FATAL_FAILURE(start(auto_thaw));
  go_on_from(Step::started, step);
}

void SessionTest::go_on_from(Step step, Step last) {
  constexpr std::array kAfter = {&SessionTest::prepare, &SessionTest::quiesce, &SessionTest::freeze,
                                 &SessionTest::commit};
  for (auto at = static_cast<std::size_t>(step); at < static_cast<std::size_t>(last); ++at) {
    ASSERT_NO_FATAL_FAILURE((this->*kAfter.at(at))());
  }
}

void SessionTest::leave() {
  client_.reset();
  if (plan_) {
    plan_->lock.reset();
    plan_->freezer_lock.reset();
  }
}

void SessionTest::as_pre_script_that_dies(const std::function<void()>& body) {
  const pid_t child = fakes::start_child([&] {
    body();
    // What went wrong has been printed; it must not pass for the death that is asked for.
    if (HasFailure()) return 1;
    ::kill(::getpid(), SIGKILL);
    return 2;
  });
  ASSERT_EQ(fakes::status_of(child), 128 + SIGKILL);
}

EndRequest SessionTest::post_script(const std::string& execution_id) {
  const EndRequest request = ask_to_end(*state_, execution_id, soon()).request;
  EXPECT_TRUE(request == EndRequest::stuck || is_over());
  return request;
}

bool SessionTest::is_over(std::chrono::milliseconds limit) const {
  return fakes::eventually(
      [&] {
        fakes::reap_all();
        return !state_->is_locked().value();
      },
      limit);
}

SessionRecord SessionTest::record() const {
  auto record = state_->read_record();
  if (!record) throw std::runtime_error(record.error().message);
  if (!*record) throw std::runtime_error("there is no record");
  return std::move(**record);
}

std::string SessionTest::problems() const {
  std::string all;
  for (const std::string& problem : record().problems) all += problem + "\n";
  return all;
}

pid_t SessionTest::watchdog() {
  static_cast<void>(sentinel());  // Which is called so only once it is one; before, it is called as its parent.
  return process_called("dlm-watchdog");
}

pid_t SessionTest::sentinel() { return process_called("dlm-sentinel"); }

pid_t SessionTest::freezer() { return process_called("dlm-freezer"); }

bool SessionTest::all_frozen() const {
  for (std::size_t i = 0; i < plan_->filesystems.size(); ++i) {
    if (!kernel_.is_frozen(i)) return false;
  }
  return true;
}

bool SessionTest::none_frozen(std::chrono::milliseconds limit) const {
  return fakes::eventually([&] { return !kernel_.any_frozen(); }, limit);
}

}  // namespace dlm_freeze
