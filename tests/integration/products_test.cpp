// SPDX-License-Identifier: Apache-2.0
// InterSystems IRIS and SAP HANA on real filesystems. The products are those of tests/standins, whose programs write to
// the filesystem of their database and hang when that is frozen; so a session that ends has run none of them meanwhile.
#include <gmock/gmock.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "harness/host_test.hpp"
#include "rounds.hpp"
#include "standins/standins.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Products : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    data_ = &add("ext4", "/srv/data");
    database_ = &add("xfs", "/srv/database");
  }

  void add_iris() {
    standins_.emplace("/srv/standins");
    standins_->add_instance("A", "/srv/database/a");
    standins_->add_instance("B", "/srv/database/b");
  }
  [[nodiscard]] json iris(json more = json::object()) const {
    more["type"] = "iris";
    more["iris_command"] = standins_->program("iris");
    return more;
  }
  void configure_quiescers(const std::vector<json>& quiescers, int auto_thaw = 20) const {
    configure(json{{"auto_thaw_seconds", auto_thaw}, {"quiescers", quiescers}}.dump(2));
  }
  [[nodiscard]] bool is_held() const { return standins_->is_suspended("A") && standins_->is_suspended("B"); }
  [[nodiscard]] bool is_released() const { return !standins_->is_suspended("A") && !standins_->is_suspended("B"); }

  std::optional<Standins> standins_;
  const Filesystem* data_ = nullptr;
  const Filesystem* database_ = nullptr;
};

TEST_F(Products, OfIrisKeepWritingWhileTheRestIsFrozen) {
  add_iris();
  configure_quiescers({iris()});
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("WARN: /srv/database is not frozen: holds /srv/database/a/mgr, which iris needs (A "
                                 "database IRISSYS)"));
  EXPECT_THAT(pre.out, HasSubstr("froze 1 filesystem "));
  EXPECT_TRUE(is_held());
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(*database_));
  expect(0, {"post-script"});
  EXPECT_TRUE(is_released());
  EXPECT_TRUE(writable(*data_));
  EXPECT_THAT(read_text("/run/dlm-freeze-iris/daemon/A.log"), HasSubstr("System suspended"));
}

TEST_F(Products, OfIrisAreFrozenForAShortTimeWhenToldTo) {
  add_iris();
  configure_quiescers({iris({{"freeze_filesystems", true}})}, 60);
  EXPECT_THAT(expect(0, {"dry-run"}).out, HasSubstr("WARN: auto-thaw in 25 seconds instead of 60"));
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, AllOf(HasSubstr("WARN: auto-thaw in 25 seconds instead of 60: iris must not be frozen for "
                                       "longer"),
                             HasSubstr("auto-thaw in 25 seconds\n"), HasSubstr("froze 2 filesystems")));
  EXPECT_TRUE(frozen(*database_));
  const auto status = json::parse(expect(0, {"status", "--json"}).out);
  EXPECT_LE(status["seconds_left"].get<double>(), 25);
  EXPECT_TRUE(is_held());
  EXPECT_LE(std::stoi(standins_->get("iris/A/limit")), 35);
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(*database_));
  EXPECT_TRUE(is_released());
}

TEST_F(Products, OfIrisAreThawedAfterTheFilesystemsAtTheDeadline) {
  add_iris();
  configure_quiescers({iris({{"freeze_filesystems", true}})});
  expect(0, {"pre-script", "--auto-thaw", "3"});
  EXPECT_TRUE(frozen(*database_));
  EXPECT_TRUE(all_gone(std::chrono::seconds(15)));
  EXPECT_TRUE(is_released());
  EXPECT_TRUE(writable(*database_));
  expect(203, {"post-script"});
}

TEST_F(Products, OfAContainerHaveTheirStorageLeftAlone) {
  add_iris();
  const Filesystem& volume = add("ext4", "/srv/volume");
  const Filesystem& docker = add("ext4", "/srv/docker");
  standins_->remove("docker");
  fs::create_directory_symlink("/srv/docker", standins_->program("state/docker"));
  fs::create_directory("/srv/docker/layer");
  standins_->add_container("box", "/srv/volume");
  for (const char* instance : {"A", "B"}) standins_->set(std::string("iris/") + instance + "/user", "root");
  json container = {{"type", "iris"}, {"docker_container", "box"}, {"container_command", standins_->program("docker")}};
  configure_quiescers({container});
  expect(0, {"pre-script"});
  EXPECT_TRUE(is_held());
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(volume));
  EXPECT_TRUE(writable(docker));
  expect(0, {"post-script"});
  EXPECT_TRUE(is_released());

  container["freeze_filesystems"] = true;
  configure_quiescers({container});
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("WARN: /srv/docker is not frozen: holds /srv/docker, which iris needs (container's "
                                 "own files)"));
  EXPECT_TRUE(frozen(volume));
  EXPECT_TRUE(writable(docker));
  expect(0, {"post-script"});
  EXPECT_TRUE(is_released());
}

/// What is detected in standard places, which these tests put there for themselves alone.
class DetectedProducts : public Products {
 protected:
  void SetUp() override {
    Products::SetUp();
    if (IsSkipped()) return;
    configure(kDetection);
  }
  void TearDown() override {
    if (server_ > 0) {
      ::kill(server_, SIGKILL);
      static_cast<void>(reap(server_, std::chrono::seconds(5)));
    }
    Products::TearDown();
    if (made_sap_) fs::remove("/usr/sap");
  }

  void put_iris_into_place() {
    mount_tmpfs("/usr/local/bin");
    standins_.emplace("/usr/local/bin");
  }

  /// A system HDB with its account, hdbadm.
  void put_hana_into_place() {
    made_sap_ = !fs::exists("/usr/sap");
    mount_tmpfs("/usr/sap");
    fs::create_directories("/usr/sap/HDB/HDB00/exe");
    write_text("/srv/passwd", read_text("/etc/passwd") + "hdbadm:x:54321:54321::/usr/sap/HDB/home:/bin/sh\n");
    check(::mount("/srv/passwd", "/etc/passwd", nullptr, MS_BIND, nullptr), "bind /etc/passwd");
    check(::chown("/usr/sap/HDB/HDB00", 54321, 54321), "chown");
    standins_.emplace("/usr/sap/HDB/hdbclient");
    standins_->start_hana();
    standins_->set("hana/user", "hdbadm");
    fs::create_directories("/srv/database/HDB");
    fs::create_directories("/srv/log/HDB");
    fs::create_directories("/usr/sap/HDB/SYS/global/hdb/custom/config");
    write_text("/usr/sap/HDB/SYS/global/hdb/custom/config/global.ini",
               "[persistence]\nbasepath_datavolumes = /srv/database/HDB\nbasepath_logvolumes = /srv/log/HDB\n");
  }

  /// A process with the name and the account of the database's.
  void start_hana_process() {
    fs::copy_file("/bin/sleep", "/srv/bin/hdbnameserver");
    const pid_t parent = ::getpid();
    server_ = check(::fork(), "fork");
    if (server_ != 0) {
      ASSERT_TRUE(
          eventually([&] { return read_text("/proc/" + std::to_string(server_) + "/comm") == "hdbnameserver\n"; },
                     std::chrono::seconds(5)));
      return;
    }
    die_with_parent(parent);
    if (::setresgid(54321, 54321, 54321) != 0 || ::setresuid(54321, 54321, 54321) != 0) ::_exit(1);
    ::execl("/srv/bin/hdbnameserver", "hdbnameserver", "1000", nullptr);
    ::_exit(1);
  }

  bool made_sap_ = false;
  pid_t server_ = -1;
};

TEST_F(DetectedProducts, OfIrisAreHeldWithoutAConfiguration) {
  put_iris_into_place();
  standins_->add_instance("A", "/srv/database/a");
  standins_->add_instance("B", "/srv/database/b");
  expect(0, {"pre-script"});
  EXPECT_TRUE(is_held());
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(*database_));
  expect(0, {"post-script"});
  EXPECT_TRUE(is_released());
}

TEST_F(DetectedProducts, OfIrisAreNotWhateverIsCalledSo) {
  put_iris_into_place();
  fs::remove("/usr/local/bin/irissession");
  write_text("/usr/local/bin/iris", "#!/bin/sh\necho unknown command >&2\nexit 1\n");
  EXPECT_THAT(expect(0, {"pre-script"}).out, Not(HasSubstr("iris")));
  expect(0, {"post-script"});
}

TEST_F(DetectedProducts, OfIrisAreSkippedWhenTheyAreDown) {
  put_iris_into_place();
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: iris is skipped: there is no instance"));
  expect(0, {"post-script"});
  standins_->add_instance("A", "/srv/database/a");
  standins_->remove("iris/A/up");
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: iris is skipped: instance A is down"));
  expect(0, {"post-script"});
}

TEST_F(DetectedProducts, OfHanaAreHeldWithoutAConfigurationWhenTheKeyIsThere) {
  put_hana_into_place();
  const Filesystem& log = add("ext4", "/srv/log");
  fs::create_directories("/srv/log/HDB");
  start_hana_process();
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("WARN: /srv/log is not frozen: holds /srv/log/HDB, which hana HDB needs (log)"));
  EXPECT_THAT(standins_->catalog(), HasSubstr("|prepared|"));
  EXPECT_TRUE(frozen(*database_));
  EXPECT_TRUE(writable(log));
  expect(0, {"post-script"});
  EXPECT_THAT(standins_->catalog(), AllOf(Not(HasSubstr("|prepared|")), HasSubstr("|successful|dlm-freeze")));

  configure(json{{"auto_thaw_seconds", 20}, {"quiescers", {{{"type", "hana"}, {"freeze_log", true}}}}}.dump());
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(log));
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(log));
}

TEST_F(DetectedProducts, OfHanaMayHaveVolumesThatAreFilesystemsOfTheirOwn) {
  put_hana_into_place();
  fs::create_directories("/srv/database/HDB/mnt00001");
  add("ext4", "/srv/database/HDB/mnt00001");
  configure(json{{"auto_thaw_seconds", 20},
                 {"undiscovered", "ignore"},
                 {"filesystems", {{"exclude", {"/srv/database/HDB/mnt00001"}}}}}
                .dump());
  fs::create_directories("/srv/log/HDB/mnt00001");
  const Filesystem& volume = add("ext4", "/srv/log/HDB/mnt00001");
  start_hana_process();
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("WARN: /srv/log/HDB/mnt00001 is not frozen: "));
  EXPECT_THAT(expect(0, {"dry-run"}).out, HasSubstr("not frozen: data /srv/database/HDB/mnt00001 on "));
  EXPECT_TRUE(frozen(*database_));
  EXPECT_TRUE(writable(volume));
  expect(0, {"post-script"});
}

TEST_F(DetectedProducts, OfHanaThatCannotBeLoggedInToAreNotReady) {
  put_hana_into_place();
  start_hana_process();
  standins_->set("hana/key", "OTHER");
  const auto pre = expect_refused(206, "hana HDB: -10104: Invalid value for KEY (DLMFREEZE)");
  EXPECT_THAT(pre.err, AllOf(HasSubstr("hana HDB: -10104: Invalid value for KEY (DLMFREEZE)"),
                             HasSubstr("as hdbadm: hdbuserstore SET DLMFREEZE <host>:30013 <USER> <PASSWORD>")));
  EXPECT_TRUE(writable(*database_));
}

TEST_F(DetectedProducts, OfHanaTakeOneLoginShellAStage) {
  put_hana_into_place();
  start_hana_process();
  fs::create_directories("/usr/sap/HDB/home");
  write_text("/usr/sap/HDB/home/.profile", "echo login >>/usr/sap/HDB/home/logins\n");
  check(::chown("/usr/sap/HDB/home", 54321, 54321), "chown");
  const auto logins = [] {
    const std::string text = fs::exists("/usr/sap/HDB/home/logins") ? read_text("/usr/sap/HDB/home/logins") : "";
    fs::remove("/usr/sap/HDB/home/logins");
    return std::count(text.begin(), text.end(), '\n');
  };
  expect(0, {"dry-run", "--probe"});
  EXPECT_EQ(logins(), 1);
  expect(0, {"pre-script"});
  EXPECT_EQ(logins(), 2);
  expect(0, {"post-script"});
  EXPECT_EQ(logins(), 1);
}

TEST_F(DetectedProducts, OfASecondaryOfHanaAreNotHeldAndThatIsSaid) {
  put_hana_into_place();
  start_hana_process();
  standins_->remove("hana/up");  // A secondary takes no logins.
  const std::string global_ini = "/usr/sap/HDB/SYS/global/hdb/custom/config/global.ini";
  const std::string primary = read_text(global_ini);
  write_text(global_ini, primary + "[system_replication]\nmode = syncmem\nactual_mode = syncmem\nsite_id = 2\n");
  for (const auto& configuration :
       {json{{"auto_thaw_seconds", 20}}, json{{"auto_thaw_seconds", 20}, {"quiescers", {{{"type", "hana"}}}}}}) {
    configure(configuration.dump());
    for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
      EXPECT_THAT(expect(0, command).out, HasSubstr("it is a secondary of system replication (syncmem)"));
    EXPECT_TRUE(frozen(*data_));
    expect(0, {"post-script"});
  }
  EXPECT_EQ(standins_->take_calls(), "");
  EXPECT_THAT(standins_->catalog(), Not(HasSubstr("dlm-freeze")));

  // Killed whole, it has nothing to undo; after a takeover it is a primary like any other.
  expect(0, {"pre-script"});
  kill_at_once(processes());
  EXPECT_TRUE(all_gone());
  expect(202, {"post-script"});
  write_text(global_ini, primary + "[system_replication]\nmode = primary\nactual_mode = primary\n");
  standins_->set("hana/up", "");
  expect(0, {"pre-script"});
  EXPECT_THAT(standins_->catalog(), HasSubstr("|prepared|"));
  expect(0, {"post-script"});
}

TEST_F(DetectedProducts, OfHanaAreSkippedWhenTheyAreDown) {
  put_hana_into_place();
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: hana HDB is skipped: system HDB does not run"));
  EXPECT_EQ(standins_->take_calls(), "");
  expect(0, {"post-script"});
}

/// IRIS and two HANA systems, killed at moments spread over pre-script's whole run.
class KilledProducts : public Products {
 protected:
  void SetUp() override {
    Products::SetUp();
    if (IsSkipped()) return;
    add_iris();
    second_.emplace("/srv/second");
    std::vector<json> quiescers = {iris({{"freeze_filesystems", true}})};
    for (const Standins* hana : {&*standins_, &*second_}) {
      hana->start_hana();
      quiescers.push_back({{"type", "hana"},
                           {"name", "hana" + std::to_string(quiescers.size())},
                           {"hdbsql", hana->program("hdbsql")},
                           {"os_user", Standins::kUser}});
    }
    configure_quiescers(quiescers);
    run_time_ = expect(0, {"pre-script"}).run_time();
    expect(0, {"post-script"});
  }

  /// From the start to a fifth past the usual end.
  [[nodiscard]] std::vector<Clock::duration> moments() const {
    const int count = moments_of(16, 50);
    std::vector<Clock::duration> moments;
    for (int i = 0; i < count; ++i) moments.push_back(run_time_ * 12 * i / (10 * count));
    return moments;
  }

  static bool has_open(const Standins& hana) {
    const std::string catalog = hana.catalog();
    return catalog.find("|prepared|") != std::string::npos || catalog.find("|running|") != std::string::npos;
  }
  /// Thawed and released, by whomever, within `limit`.
  [[nodiscard]] testing::AssertionResult all_is_released(Milliseconds limit) {
    const bool released = eventually(
        [&] { return is_released() && !has_open(*standins_) && !has_open(*second_) && processes().empty(); }, limit);
    if (released && writable(*data_) && writable(*database_)) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "A " << standins_->is_suspended("A") << " B " << standins_->is_suspended("B")
                                       << '\n'
                                       << standins_->catalog() << second_->catalog();
  }

  std::optional<Standins> second_;
  Clock::duration run_time_{0};
};

TEST_F(KilledProducts, WithPreScriptsGroupAreReleased) {
  for (const Clock::duration moment : moments()) {
    restart_safety_limit();
    const auto pre = start({"pre-script", "--auto-thaw", "20"});
    sleep_for(moment);
    pre->kill_group();
    const auto result = pre->wait();
    SCOPED_TRACE(result.text());
    // Killed after the watchdog had taken over: then the session is a whole one.
    const bool whole = result.out.find("pre-script completed") != std::string::npos;
    if (whole && !all_gone(std::chrono::seconds(1))) {
      expect(0, {"post-script"});
    } else if (result.exit_code) {
      ASSERT_NE(*result.exit_code, 0);
    }
    ASSERT_TRUE(all_is_released(std::chrono::seconds(15)));
  }
}

TEST_F(KilledProducts, WithTheWatchdogAreReleased) {
  for (const Clock::duration moment : moments()) {
    restart_safety_limit();
    const auto pre = start({"pre-script", "--auto-thaw", "20"});
    sleep_for(moment);
    if (const auto victim = agent_process(binary(), "dlm-watchdog")) static_cast<void>(victim->signal(SIGKILL));
    const auto result = pre->wait();
    SCOPED_TRACE(result.text());
    // 206 when the sentinel takes longer to look after the databases than pre-script has time.
    ASSERT_TRUE(result.exit_code == 0 || result.exit_code == 201 || result.exit_code == 206);
    if (result.exit_code == 0) {
      const auto post = run({"post-script", "--timeout", "20"});
      ASSERT_TRUE(post.exit_code == 0 || post.exit_code == 202) << post.text();
    }
    ASSERT_TRUE(all_is_released(std::chrono::seconds(15)));
  }
}

TEST_F(KilledProducts, WithAllProcessesAreReleasedByTheNextCommand) {
  for (const Clock::duration moment : moments()) {
    restart_safety_limit();
    const auto pre = start({"pre-script", "--auto-thaw", "20"});
    sleep_for(moment);
    const auto result = kill_all_at_once(*pre);
    SCOPED_TRACE(result.text());
    ASSERT_TRUE(all_gone(std::chrono::seconds(5)));
    const auto post = run({"post-script", "--timeout", "30"});
    ASSERT_TRUE(post.exit_code == 202 || post.exit_code == 205) << post.text();
    ASSERT_TRUE(all_is_released(std::chrono::seconds(15))) << post.text();
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
