// SPDX-License-Identifier: Apache-2.0
// Several hosts that pass messages to each other are held at once: what verify --cut calls proven has no effect without
// its cause, and what was sabotaged is never called proven.
//
// A host is a filesystem, a state directory and a process that writes to its log, all on this one: so their clock is
// the same, and its error is set to what it is between them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "base/utc.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using nlohmann::json;
using std::chrono::system_clock;

constexpr int kClockError = 200;  // us

/// A message that was sent before it was received, if the world is in order.
struct Note {
  std::uint32_t sender;
  std::uint32_t number;
};

/// A process that writes "S n" to its log before it sends its message n to another host, and "R host n" when it has
/// received one.
class Correspondent {
 public:
  Correspondent(std::uint32_t self, const std::string& log, const std::vector<std::array<UniqueFd, 2>>& inboxes) {
    const pid_t parent = ::getpid();
    process_ = check(::fork(), "fork");
    if (process_ != 0) return;
    die_with_parent(parent);
    const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    run(self, file, inboxes);
  }
  Correspondent(const Correspondent&) = delete;
  Correspondent& operator=(const Correspondent&) = delete;
  ~Correspondent() {
    ::kill(process_, SIGKILL);
    static_cast<void>(reap(process_, std::chrono::seconds(10)));
  }

 private:
  static void append(int file, const std::string& line) {
    if (::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(1);
  }

  [[noreturn]] static void run(std::uint32_t self, int file, const std::vector<std::array<UniqueFd, 2>>& inboxes) {
    std::minstd_rand random(self + 1);
    Note own{self, 0};
    for (;;) {
      Note note{};
      while (::read(inboxes[self][0].get(), &note, sizeof note) == ssize_t{sizeof note})
        append(file, "R " + std::to_string(note.sender) + " " + std::to_string(note.number) + "\n");
      ++own.number;
      append(file, "S " + std::to_string(own.number) + "\n");
      const auto to = random() % inboxes.size();
      static_cast<void>(::write(inboxes[to][1].get(), &own, sizeof own));  // One that is full gets no more.
      ::usleep(static_cast<useconds_t>(200 * inboxes.size()));             // As many messages, however many hosts.
    }
  }

  pid_t process_ = -1;
};

/// What the logs in the copies of all hosts say.
struct Logs {
  std::vector<std::uint32_t> sent;                     ///< The last of each host.
  std::vector<std::pair<std::size_t, Note>> received;  ///< By whom, and what.

  explicit Logs(std::size_t hosts) : sent(hosts, 0) {}
  void read(std::size_t host, const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      char kind = 0;
      Note note{};
      words >> kind;
      if (kind == 'S' && words >> note.number) sent[host] = std::max(sent[host], note.number);
      if (kind == 'R' && words >> note.sender >> note.number) received.emplace_back(host, note);
    }
  }
  [[nodiscard]] std::size_t effects_without_cause() const {
    return static_cast<std::size_t>(std::count_if(received.begin(), received.end(), [this](const auto& one) {
      return one.second.number > sent[one.second.sender];
    }));
  }
};

enum class Sabotage { none, late, expired, killed, thawed_by_others, clock_off, clock_set, no_snapshot };

class Cuts : public HostTest {
 protected:
  struct Host {
    const Filesystem* data = nullptr;
    std::string name;
    std::string state;
    json snapshot;
    std::string copy;
  };

  void TearDown() override {
    correspondents_.clear();
    HostTest::TearDown();
  }

  void make_hosts(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      Host& host = hosts_.emplace_back();
      host.name = "db" + std::to_string(i);
      host.data = &add("ext4", "/srv/" + host.name);
      host.state = "/run/" + host.name;
      write_text("/srv/etc/" + host.name + ".json",
                 R"({"quiescers": [], "filesystems": {"include": ["/srv/)" + host.name + "\"]}}");
      std::array<int, 2> ends{};
      check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "pipe2");
      inboxes_.push_back({UniqueFd(ends[0]), UniqueFd(ends[1])});
    }
    for (std::size_t i = 0; i < count; ++i) {
      correspondents_.push_back(std::make_unique<Correspondent>(static_cast<std::uint32_t>(i),
                                                                hosts_[i].data->mount_point() + "/log", inboxes_));
    }
  }

  [[nodiscard]] std::unique_ptr<AgentRun> start_on(const Host& host, std::vector<std::string> arguments) const {
    std::vector<std::string> all = {binary(), "--config", "/srv/etc/" + host.name + ".json", "--state-dir", host.state};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return std::make_unique<AgentRun>(all, RunOptions{});
  }

  /// Runs it on these hosts at the same time. The exit codes.
  std::vector<int> run_on(const std::vector<Host*>& hosts, const std::vector<std::string>& arguments) const {
    std::vector<std::unique_ptr<AgentRun>> runs;
    for (const Host* host : hosts) runs.push_back(start_on(*host, arguments));
    std::vector<int> codes;
    for (const auto& run : runs) codes.push_back(run->wait().exit_code.value_or(-1));
    return codes;
  }

  static void take_snapshot(Host& host, const std::string& group) {
    host.copy = "/srv/copies/" + host.name;
    const std::string now = format_utc_milliseconds(system_clock::now());
    run_tool({"cp", "--sparse=always", host.data->image(), host.copy});
    const std::string device = host.data->device().substr(host.data->device().rfind('/') + 1);
    host.snapshot = {
        {"SnapshotId", "snap-" + host.name + group}, {"VolumeId", device}, {"State", "completed"}, {"StartTime", now}};
  }

  /// The history of the host as it is handed in: with its own name, and the error of a clock that all share.
  [[nodiscard]] std::string history_of(const Host& host, Sabotage sabotage) {
    std::string lines;
    EXPECT_TRUE(
        eventually([&] { return std::filesystem::exists(host.state + "/history.jsonl"); }, std::chrono::seconds(5)));
    std::istringstream stream(read_text(host.state + "/history.jsonl"));
    for (std::string line; std::getline(stream, line);) {
      json session = json::parse(line);
      session["host"] = host.name;
      const bool is_spoilt = &host == &hosts_.front();
      for (const char* key : {"held", "hold_ended"}) {
        session[std::string(key) + "_clock_error_us"] = kClockError;
        const std::string time = std::string(key) + "_at_ms";
        if (is_spoilt && sabotage == Sabotage::clock_off) session[time] = session[time].get<std::int64_t>() + 4000;
      }
      if (is_spoilt && sabotage == Sabotage::clock_set)
        session["hold_ended_at_ms"] = session["hold_ended_at_ms"].get<std::int64_t>() + 60;
      lines += session.dump() + "\n";
    }
    const std::string file = "/srv/etc/" + host.name + ".jsonl";
    write_text(file, lines);
    return file;
  }

  json judge(const std::string& group, Sabotage sabotage) {
    std::vector<std::string> arguments = {
        "verify", "--cut", "--json", "--group", group, "--snapshots", "/srv/etc/snapshots.json"};
    json snapshots = json::array();
    for (const Host& host : hosts_) {
      arguments.push_back(history_of(host, sabotage));
      const bool is_left_out = sabotage == Sabotage::no_snapshot && &host == &hosts_.front();
      if (!is_left_out) snapshots.push_back(host.snapshot);
    }
    write_text("/srv/etc/snapshots.json", json{{"Snapshots", snapshots}}.dump());
    const auto result = run(arguments);
    json verdict = json::parse(result.out, nullptr, false);
    if (verdict.is_discarded()) throw std::runtime_error(result.text());
    write_text("/srv/etc/verdict.json", verdict.dump());
    run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
              DLM_FREEZE_SOURCE_DIR "/packaging/verify-cut.schema.json", "/srv/etc/verdict.json"});
    const std::map<std::string, int> codes = {{"proven", 0}, {"disproven", 1}, {"unknown", 2}};
    EXPECT_EQ(result.exit_code, codes.at(verdict["verdict"]));
    return verdict;
  }

  [[nodiscard]] std::size_t effects_without_cause() {
    Logs logs(hosts_.size());
    std::filesystem::create_directories("/srv/copy");
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
      run_tool({"mount", "-o", "ro,loop,noload", hosts_[i].copy, "/srv/copy"});
      logs.read(i, read_text("/srv/copy/log"));
      run_tool({"umount", "/srv/copy"});
    }
    EXPECT_FALSE(logs.received.empty());
    return logs.effects_without_cause();
  }

  /// One cut, from pre-script to the verdict.
  json cut(const std::string& group, Sabotage sabotage) {
    restart_safety_limit();
    std::filesystem::create_directories("/srv/copies");
    std::vector<Host*> others;
    for (Host& host : hosts_) others.push_back(&host);
    Host* const first = others.front();
    const bool is_apart = sabotage == Sabotage::late || sabotage == Sabotage::expired;
    if (is_apart) others.erase(others.begin());
    if (sabotage == Sabotage::expired) {
      EXPECT_THAT(run_on({first}, {"pre-script", "--group", group}), testing::Each(0));
      process("dlm-watchdog").signal(SIGTERM);  // As its deadline would.
    }
    std::vector<std::string> pre = {"pre-script", "--group", group, "--auto-thaw", "60", "--timeout", "60"};
    if (sabotage == Sabotage::none) {
      const auto together = system_clock::now() + std::chrono::seconds(hosts_.size() > 3 ? 15 : 3);
      pre.insert(pre.end(), {"--hold-at", format_utc_milliseconds(together)});
    }
    EXPECT_THAT(run_on(others, pre), testing::Each(0));
    restart_safety_limit();
    if (sabotage == Sabotage::expired) {
      EXPECT_TRUE(writable(*first->data, std::chrono::seconds(3)));
    }
    if (sabotage == Sabotage::thawed_by_others) {
      EXPECT_TRUE(first->data->thaw());
    }
    sleep_for(Milliseconds(150));  // So that no snapshot is too near to an end for the clock that AWS has.
    for (Host& host : hosts_) {
      if (&host != first || sabotage != Sabotage::late) take_snapshot(host, group);
    }
    sleep_for(Milliseconds(150));
    if (sabotage == Sabotage::killed) process("dlm-watchdog").signal(SIGKILL);
    static_cast<void>(run_on(others, {"post-script"}));
    if (sabotage == Sabotage::expired) {
      EXPECT_THAT(run_on({first}, {"post-script"}), testing::Each(203));
    }
    if (sabotage == Sabotage::late) {
      EXPECT_THAT(run_on({first}, {"pre-script", "--group", group}), testing::Each(0));
      sleep_for(Milliseconds(150));
      take_snapshot(*first, group);
      sleep_for(Milliseconds(150));
      EXPECT_THAT(run_on({first}, {"post-script"}), testing::Each(0));
    }
    EXPECT_TRUE(all_gone(std::chrono::seconds(5)));
    return judge(group, sabotage);
  }

  /// From the first to the last host that was held.
  [[nodiscard]] static Milliseconds spread_of(const json& verdict) {
    std::vector<std::string> times;
    for (const json& host : verdict["hosts"]) times.push_back(host["held_from_latest"]);
    const auto [first, last] = std::minmax_element(times.begin(), times.end());
    return std::chrono::duration_cast<Milliseconds>(*parse_utc(*last) - *parse_utc(*first));
  }

  std::vector<Host> hosts_;
  std::vector<std::array<UniqueFd, 2>> inboxes_;
  std::vector<std::unique_ptr<Correspondent>> correspondents_;
};

/// DLM_FREEZE_TEST_ROUNDS for many more hosts and cuts.
TEST_F(Cuts, AreProvenOnlyWhereNothingIsWithoutItsCause) {
  const char* const text = std::getenv("DLM_FREEZE_TEST_ROUNDS");
  const int rounds = text != nullptr ? 5 * std::stoi(text) : 1;
  make_hosts(text != nullptr ? 32 : 3);
  const std::array ways = {Sabotage::late, Sabotage::expired, Sabotage::killed, Sabotage::thawed_by_others};
  Milliseconds widest{0};
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    const std::string good = "good-" + std::to_string(round);
    const json verdict = cut(good, Sabotage::none);
    EXPECT_EQ(verdict["verdict"], "proven") << verdict.dump();
    EXPECT_EQ(effects_without_cause(), 0U);
    EXPECT_GT(verdict["margin_ms"], 0);
    widest = std::max(widest, spread_of(verdict));
    // The same records, spoilt.
    for (const Sabotage sabotage : {Sabotage::clock_off, Sabotage::clock_set, Sabotage::no_snapshot}) {
      const json spoilt = judge(good, sabotage);
      EXPECT_NE(spoilt["verdict"], "proven") << spoilt.dump();
    }
    for (std::size_t i = 0; i < ways.size(); ++i) {
      if (text != nullptr && i != static_cast<std::size_t>(round) % ways.size()) continue;
      SCOPED_TRACE("sabotage " + std::to_string(static_cast<int>(ways[i])));
      const json bad = cut("bad-" + std::to_string(round) + "-" + std::to_string(i), ways[i]);
      EXPECT_NE(bad["verdict"], "proven") << bad.dump();
      if (ways[i] == Sabotage::late) {
        EXPECT_GT(effects_without_cause(), 0U) << "that is what a cut which is none looks like";
      }
    }
  }
  RecordProperty("widest_spread_ms", static_cast<int>(widest.count()));
}

}  // namespace
}  // namespace dlm_freeze::integration
