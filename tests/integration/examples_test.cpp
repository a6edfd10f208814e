// SPDX-License-Identifier: Apache-2.0
// The hooks of packaging/examples: Redis with a real server, the others with stand-ins for the clients they talk to
// (stand_ins/client.py).
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::HasSubstr;

class Examples : public HostTest {
 protected:
  static constexpr const char* kHooks = "/srv/hooks/";

  void SetUp() override {
    // Read before the mount namespace is entered: the sources may lie on what is not mounted there.
    const fs::path data = DLM_FREEZE_TEST_DATA;
    for (const auto& entry : fs::recursive_directory_iterator(data / "../../packaging/examples")) {
      if (entry.is_regular_file()) files_[entry.path().filename()] = read_text(entry.path());
    }
    files_["client.py"] = read_text(data / "../integration/stand_ins/client.py");
    HostTest::SetUp();
    if (IsSkipped()) return;
    fs::create_directories(kHooks);
    mount_tmpfs("/usr/local/sbin");
    data_ = &add("ext4", "/srv/data");
  }

  static void install(const std::string& path, const std::string& content) {
    write_text(path, content);
    ::chmod(path.c_str(), 0755);
  }

  /// Installs the example's programs and uses its configuration, with the paths and the account of this host.
  void use(const std::string& example, const std::vector<std::string>& arguments = {}, int timeout_seconds = 0) {
    for (const auto& [name, content] : files_) {
      if (!name.ends_with(".json") && name != "client.py") install(kHooks + name, content);
    }
    auto config = nlohmann::json::parse(files_.at(example + ".json"), nullptr, true, true);
    auto& quiescer = config["quiescers"][0];
    for (auto& option : quiescer) {
      if (!option.is_array()) continue;
      const std::string program = fs::path(option[0].get<std::string>()).filename();
      option[0] = (fs::exists(kHooks + program) ? kHooks : "/usr/local/sbin/") + program;
    }
    if (!arguments.empty()) {
      quiescer["prepare"].erase(quiescer["prepare"].begin() + 1, quiescer["prepare"].end());
      for (const std::string& argument : arguments) quiescer["prepare"].push_back(argument);
    }
    if (quiescer.contains("os_user")) quiescer["os_user"] = "nobody";
    if (timeout_seconds > 0) quiescer["timeout_seconds"] = timeout_seconds;
    config["auto_thaw_seconds"] = 20;
    configure(config.dump());
  }

  std::map<std::string, std::string> files_;
  const Filesystem* data_ = nullptr;
};

/// The databases that are held by a session, by their example's name.
struct Product {
  std::string name;
  std::string client;
  std::string refusal;  ///< What the message says when the server refuses.
  bool mendable;        ///< Whether the lock can be given back on a new connection, or needs not be.
};
void PrintTo(const Product& product, std::ostream* out) { *out << product.name; }

class SessionExamples : public Examples, public testing::WithParamInterface<Product> {
 protected:
  static constexpr const char* kServer = "/srv/stand-in/";

  void SetUp() override {
    Examples::SetUp();
    if (IsSkipped()) return;
    fs::create_directories(kServer);
    ::chmod(kServer, 0777);
    install("/usr/local/sbin/" + GetParam().client, files_.at("client.py"));
  }
  static void behave(const std::string& how) { write_text(std::string(kServer) + "behaviour", how); }
  static pid_t client() { return std::stoi(read_text(std::string(kServer) + "pid")); }
  static bool client_lives() {
    const char state = process_state(client());
    return state != '\0' && state != 'Z' && state != 'X';
  }
  static bool held() {
    const std::string file = std::string(kServer) + "held";
    if (!fs::exists(file)) return false;
    return GetParam().client != "sqlcmd" || client_lives();  // There it ends with its session.
  }
  void expect_nothing_left() {
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone(seconds(5)));
    EXPECT_TRUE(eventually([] { return !client_lives(); }, seconds(3)));
  }
};

TEST_P(SessionExamples, HoldTheirDatabaseFromPreScriptToPostScript) {
  use(GetParam().name);
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(held());
  const pid_t connection = client();
  expect(0, {"post-script"});
  EXPECT_FALSE(held());
  EXPECT_EQ(client(), connection) << "released on another connection";
  expect_nothing_left();
}

TEST_P(SessionExamples, GiveTheRefusalOfTheirServer) {
  use(GetParam().name);
  behave("refuse");
  const auto pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr(GetParam().refusal));
  EXPECT_FALSE(held());
  expect_nothing_left();
}

TEST_P(SessionExamples, AreKilledWithTheirClientWhenTheServerHangs) {
  use(GetParam().name, {}, 1);
  behave("hang");
  const auto pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("did not say READY in time"));
  EXPECT_FALSE(held());
  expect_nothing_left();
}

TEST_P(SessionExamples, ReleaseOnANewConnectionWhenTheirsIsLostAnd202SaysSo) {
  use(GetParam().name);
  expect(0, {"pre-script"});
  ASSERT_EQ(::kill(client(), SIGKILL), 0);
  if (!GetParam().mendable) {
    EXPECT_THAT(expect(202, {"post-script"}).err, HasSubstr("told THAW"));
    expect_nothing_left();
    return;
  }
  ASSERT_TRUE(eventually([&] { return !agent_process(binary(), "dlm-keeper"); }, seconds(5)));
  EXPECT_FALSE(held());
  EXPECT_THAT(expect(202, {"post-script"}).err, HasSubstr(GetParam().name + " was lost while it was quiesced"));
  expect_nothing_left();
}

TEST_P(SessionExamples, NoticeALostConnectionUnderBashAsWell) {
  // Where sh is bash, as on Amazon Linux and Red Hat.
  fs::create_symlink("/bin/bash", "/usr/local/sbin/sh");
  for (auto& [name, content] : files_) {
    if (content.starts_with("#!/bin/sh")) content.replace(0, 9, "#!/usr/local/sbin/sh");
  }
  use(GetParam().name, {}, 3);
  expect(0, {"pre-script"});
  EXPECT_TRUE(held());
  expect(0, {"post-script"});
  EXPECT_FALSE(held());
  expect(0, {"pre-script"});
  ASSERT_EQ(::kill(client(), SIGKILL), 0);
  EXPECT_TRUE(!GetParam().mendable || eventually([] { return !held(); }, seconds(5)));
  expect(202, {"post-script"});
  expect_nothing_left();
}

TEST_P(SessionExamples, ReleaseWhenTheWatchdogDies) {
  use(GetParam().name);
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_TRUE(eventually([] { return !held(); }, seconds(5)));
  expect_nothing_left();
  expect(202, {"post-script"});
}

TEST_P(SessionExamples, ReleaseAtTheDeadline) {
  use(GetParam().name);
  expect(0, {"pre-script", "--auto-thaw", "2"});
  EXPECT_TRUE(held());
  EXPECT_TRUE(eventually([] { return !held(); }, seconds(7)));
  expect_nothing_left();
  expect(203, {"post-script"});
}

class MongodbExample : public SessionExamples {};

TEST_P(MongodbExample, LogsIn) {
  write_text("/srv/mongodb.js", "db.getSiblingDB('admin').auth('dlm_freeze', 'wrong')\n");
  use("mongodb");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("Authentication failed"));
  write_text("/srv/mongodb.js", "db.getSiblingDB('admin').auth('dlm_freeze', 'right')\n");
  expect(0, {"pre-script"});
  EXPECT_TRUE(held());
  expect(0, {"post-script"});
  EXPECT_FALSE(held());
}

INSTANTIATE_TEST_SUITE_P(StandIn, MongodbExample, testing::Values(Product{"mongodb", "mongosh", "", true}));

INSTANTIATE_TEST_SUITE_P(StandIns, SessionExamples,
                         testing::Values(Product{"mongodb", "mongosh", "not authorized on admin", true},
                                         Product{"oracle", "sqlplus", "ORA-01123: cannot start online backup", true},
                                         Product{"db2", "db2", "SQL1552N", false},
                                         Product{"sqlserver", "sqlcmd", "does not have permission", true}),
                         [](const testing::TestParamInfo<Product>& product) { return product.param.name; });

class CassandraExample : public Examples {
 protected:
  void SetUp() override {
    Examples::SetUp();
    if (IsSkipped()) return;
    use("cassandra");
  }
};

TEST_F(CassandraExample, FlushesBeforeTheFreeze) {
  install("/usr/local/sbin/nodetool", "#!/bin/sh\n[ \"$*\" = flush ] && touch /srv/data/flushed\n");
  ::chmod("/srv/data", 0777);
  use("cassandra");
  expect(0, {"pre-script"});
  EXPECT_TRUE(fs::exists("/srv/data/flushed"));
  EXPECT_TRUE(frozen(*data_));
  expect(0, {"post-script"});
}

TEST_F(CassandraExample, GivesTheErrorOfNodetool) {
  install("/usr/local/sbin/nodetool",
          "#!/bin/sh\necho \"nodetool: Failed to connect to '127.0.0.1:7199'\" >&2\nexit 1\n");
  use("cassandra");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("Failed to connect to '127.0.0.1:7199'"));
}

/// A real redis-server, whose data directory is on the filesystem that gets frozen.
class RedisExample : public Examples {
 protected:
  static constexpr const char* kSocket = "/srv/redis.sock";

  void SetUp() override {
    if (::access("/usr/bin/redis-server", X_OK) != 0) GTEST_SKIP() << "redis-server is not installed";
    Examples::SetUp();
    if (IsSkipped()) return;
    use("redis", {"-s", kSocket});
  }
  void TearDown() override {
    for (const std::string& socket : started_) cli(socket, {"SHUTDOWN", "NOSAVE"});
    Examples::TearDown();
  }

  void start(const std::string& directory, const std::string& socket, const std::vector<std::string>& more = {}) {
    std::vector<std::string> command = {"redis-server",  "--port",      "0",   "--unixsocket", socket, "--dir",
                                        directory,       "--daemonize", "yes", "--save",       "",     "--logfile",
                                        "/srv/redis.log"};
    command.insert(command.end(), more.begin(), more.end());
    run_tool(command);
    started_.push_back(socket);
    ASSERT_TRUE(eventually([&] { return cli(socket, {"PING"}) == "PONG\n"; }, seconds(10)));
  }
  static std::string cli(const std::string& socket, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"redis-cli", "-s", socket});
    try {
      return run_tool(arguments);
    } catch (const std::exception& error) {
      return error.what();
    }
  }
  static void fill(int keys) {
    const std::string script = "for i = 1, " + std::to_string(keys) + " do redis.call('SET', 'key' .. i, i) end";
    ASSERT_EQ(cli(kSocket, {"EVAL", script, "0"}), "\n");
  }
  /// What a server sees that is started on a copy of the data directory as it is.
  std::string keys_in_a_copy(const std::vector<std::string>& more = {}) {
    fs::copy("/srv/data", "/srv/copy", fs::copy_options::recursive);
    start("/srv/copy", "/srv/copy.sock", more);
    return cli("/srv/copy.sock", {"DBSIZE"});
  }

 private:
  std::vector<std::string> started_;
};

TEST_F(RedisExample, HasEverythingInTheSnapshotThatWasWrittenBefore) {
  start("/srv/data", kSocket);
  fill(20000);
  ASSERT_FALSE(fs::exists("/srv/data/dump.rdb"));
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*data_));
  EXPECT_EQ(keys_in_a_copy(), "20000\n");
  expect(0, {"post-script"});
  EXPECT_EQ(cli(kSocket, {"SET", "after", "x"}), "OK\n");
}

TEST_F(RedisExample, WaitsForASaveUnderWayAndMakesOneOfItsOwn) {
  start("/srv/data", kSocket, {"--rdb-key-save-delay", "200"});  // Microseconds a key: the save takes a second.
  fill(5000);
  ASSERT_EQ(cli(kSocket, {"BGSAVE"}), "Background saving started\n");
  fill(6000);  // Too late for that one.
  expect(0, {"pre-script"});
  EXPECT_EQ(keys_in_a_copy(), "6000\n");
  expect(0, {"post-script"});
}

TEST_F(RedisExample, NeedsNoSaveWithTheAppendOnlyFile) {
  start("/srv/data", kSocket, {"--appendonly", "yes"});
  fill(1000);
  expect(0, {"pre-script"});
  EXPECT_FALSE(fs::exists("/srv/data/dump.rdb"));
  EXPECT_EQ(keys_in_a_copy({"--appendonly", "yes"}), "1000\n");
  expect(0, {"post-script"});
}

TEST_F(RedisExample, SaysWhyWhenASaveFails) {
  start("/srv/data", kSocket, {"--dbfilename", "dump.rdb"});
  fill(10);
  fs::create_directories("/srv/data/dump.rdb/in-the-way");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("BGSAVE has failed"));
  EXPECT_TRUE(writable(*data_));
}

TEST_F(RedisExample, SaysWhyWhenTheServerDoesNotRun) {
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("Could not connect to Redis"));
}

TEST_F(RedisExample, LogsInWithItsPasswordAndSaysSoWhenThatIsMissing) {
  start("/srv/data", kSocket);
  ASSERT_EQ(cli(kSocket, {"CONFIG", "SET", "requirepass", "secret"}), "OK\n");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("NOAUTH"));
  write_text("/srv/redis.password", "secret\n");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_TRUE(fs::exists("/srv/data/dump.rdb"));
  ASSERT_EQ(
      run_tool({"redis-cli", "-s", kSocket, "--no-auth-warning", "-a", "secret", "CONFIG", "SET", "requirepass", ""}),
      "OK\n");
}

}  // namespace
}  // namespace dlm_freeze::integration
