// SPDX-License-Identifier: Apache-2.0
// dry-run and status: what they say, and that they change nothing.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

class Reports : public HostTest {
 protected:
  nlohmann::json json_of(const std::vector<std::string>& arguments) {
    const auto result = expect(0, arguments);
    auto parsed = nlohmann::json::parse(result.out, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << result.text();
    return parsed;
  }

  /// The output of a command, which has to be what its schema says.
  nlohmann::json documented(const std::vector<std::string>& arguments, const std::string& schema = "status") {
    auto json = json_of(arguments);
    write_text("/srv/etc/output.json", json.dump());
    run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
              DLM_FREEZE_SOURCE_DIR "/packaging/" + schema + ".schema.json", "/srv/etc/output.json"});
    return json;
  }

  /// The lines of `history --json`, each of which has to be what its schema says.
  std::vector<nlohmann::json> documented_history() {
    const auto lines = expect(0, {"history", "--json"}).out;
    write_text("/srv/etc/output.json", lines);
    run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
              DLM_FREEZE_SOURCE_DIR "/packaging/history.schema.json", "/srv/etc/output.json"});
    std::vector<nlohmann::json> sessions;
    std::istringstream stream(lines);
    for (std::string line; std::getline(stream, line);) sessions.push_back(nlohmann::json::parse(line));
    return sessions;
  }
};

TEST_F(Reports, DryRunSaysWhatPreScriptWouldDoAndChangesNothing) {
  const auto& data = add("ext4", "/srv/data");
  add("ext4", "/srv/with blank");
  const Writer writer(data);
  const auto table = read_text("/proc/self/mountinfo");

  const auto dry_run = expect(0, {"dry-run", "--all"});
  EXPECT_THAT(dry_run.out, AllOf(HasSubstr("/srv/data"), HasSubstr("/srv/with"), HasSubstr(data.device())));
  const auto json = documented({"dry-run", "--json"}, "dry-run");
  EXPECT_THAT(json.dump(), AllOf(HasSubstr("\"/srv/data\""), HasSubstr("\"/srv/with blank\"")));
  EXPECT_THAT(documented({"dry-run", "--probe", "--json"}, "dry-run")["probes"].dump(), HasSubstr("\"privilege\""));

  EXPECT_EQ(read_text("/proc/self/mountinfo"), table);
  EXPECT_FALSE(fs::exists("/run/dlm-freeze"));
  EXPECT_TRUE(processes().empty());
  EXPECT_TRUE(writer.goes_on());
  EXPECT_TRUE(writer.stalls().empty()) << "a write had to wait";
}

TEST_F(Reports, DryRunNamesEveryMountWithAReason) {
  add("ext4", "/srv/data");
  add("ext4", "/srv/hidden/data");
  mount_tmpfs("/srv/hidden");
  mount_tmpfs("/var/lib");
  add("ext4", "/var/lib/amazon/ssm");
  bind_mount("/usr", "/srv/usr");
  const auto dry_run = expect(0, {"dry-run", "--all"});
  const auto json = documented({"dry-run", "--json"}, "dry-run").dump();
  for (const char* mount_point : {"/srv/data", "/srv/hidden/data", "/var/lib/amazon/ssm"}) {
    EXPECT_THAT(dry_run.out, HasSubstr(mount_point));
    EXPECT_THAT(json, HasSubstr(mount_point));
  }
}

/// Two partitions of a loop device, of which the first is mounted.
class HalfMountedDisk {
 public:
  explicit HalfMountedDisk(const std::string& mount_point) : mount_point_(mount_point) {
    run_tool({"addpart", disk_.path(), "1", "2048", "40960"});
    run_tool({"addpart", disk_.path(), "2", "43008", "40960"});
    run_tool({"mkfs.ext4", "-q", disk_.path() + "p1"});
    fs::create_directories(mount_point);
    check(::mount((disk_.path() + "p1").c_str(), mount_point.c_str(), "ext4", 0, nullptr), "mount " + mount_point);
  }
  HalfMountedDisk(const HalfMountedDisk&) = delete;
  HalfMountedDisk& operator=(const HalfMountedDisk&) = delete;
  ~HalfMountedDisk() {
    ::umount(mount_point_.c_str());
    for (const char* number : {"1", "2"}) run_tool({"delpart", disk_.path(), number});
  }

  [[nodiscard]] std::string name() const { return fs::path(disk_.path()).filename(); }

 private:
  std::string mount_point_;
  LoopDevice disk_{"/srv/images/disk", std::uint64_t{64} << 20};
};

TEST_F(Reports, DryRunSaysWhatOfADiskIsNotMounted) {
  const HalfMountedDisk disk("/srv/half");
  const std::string name = disk.name();
  const auto json = documented({"dry-run", "--json"}, "dry-run");
  EXPECT_EQ(json["consistency"]["answer"], "partly");
  EXPECT_EQ(json["consistency"]["partly"].dump(),
            R"([{"name":")" + name + R"(","why":"not mounted: )" + name + "p2\"}]");
  EXPECT_THAT(expect(0, {"dry-run"}).out,
              AllOf(testing::StartsWith("Consistent: partly, for " + name + " (not mounted: " + name + "p2)"),
                    testing::ContainsRegex("\n  " + name + " +64.0 MiB +partly covered +/srv/half +not mounted: ")));
}

TEST_F(Reports, DryRunWorksWhileASessionIsHeld) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  EXPECT_LT(expect(0, {"dry-run"}).run_time(), std::chrono::seconds(1));
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(Reports, StatusWorksBeforeDuringAndAfterASession) {
  const auto& data = add("ext4", "/srv/data");
  add("xfs", "/srv/other");
  const auto before = documented({"status", "--json"});
  EXPECT_FALSE(fs::exists("/run/dlm-freeze"));

  expect(0, {"pre-script", "--execution-id", "11111111-2222-3333-4444-555555555555"});
  const auto text = expect(0, {"status"});
  EXPECT_LT(text.run_time(), std::chrono::seconds(1));
  EXPECT_THAT(text.out, AllOf(HasSubstr("/srv/data"), HasSubstr("/srv/other")));
  const auto held = documented({"status", "--json"});
  EXPECT_THAT(held.dump(), AllOf(HasSubstr("/srv/data"), HasSubstr("11111111-2222-3333-4444-555555555555")));
  EXPECT_TRUE(frozen(data));

  expect(0, {"post-script"});
  const auto after = documented({"status", "--json"});
  EXPECT_NE(before, held);
  EXPECT_NE(held, after);
  EXPECT_NE(before, after) << "it does not say how the last session ended";
}

/// The item that dry-run has left for the inventory.
std::string attribute(const std::string& name) {
  const auto json = nlohmann::json::parse(read_text("/srv/custom/dlm-freeze.json"), nullptr, false);
  return json.is_discarded() ? "not JSON" : json["Content"].value(name, std::string("absent"));
}

TEST_F(Reports, TheInventoryHasTheCodeOfThePreScriptRightAfter) {
  const std::vector<std::string> probe = {"dry-run", "--inventory", "/srv/custom"};
  const auto& data = add("ext4", "/srv/data");
  const std::string good = R"({"quiescers": []})";
  for (const std::string& configuration :
       {std::string(R"({"quiescers": [)"), std::string(R"({"quiescers": [{"type": "nosuch"}]})"),
        std::string(
            R"({"quiescers": [{"type": "command", "name": "shop", "freeze": ["/bin/true"], "thaw": ["/bin/true"],
                                       "probe": ["/bin/false"]}]})"),
        std::string(R"({"quiescers": [{"type": "mysql", "socket": "/nowhere/s"}]})"), good}) {
    configure(configuration);
    static_cast<void>(run(probe));
    const auto pre_script = run({"pre-script"});
    ASSERT_TRUE(pre_script.exit_code.has_value());
    EXPECT_EQ(attribute("ExitCode"), std::to_string(*pre_script.exit_code)) << pre_script.text();
    EXPECT_EQ(attribute("Ready"), *pre_script.exit_code == 0 ? "yes" : "no") << attribute("Reason");
  }
  EXPECT_TRUE(frozen(data));
  static_cast<void>(run(probe));
  EXPECT_EQ(attribute("ExitCode"), "204") << "while a session is held";
  expect(0, {"post-script"});
  static_cast<void>(run(probe));
  EXPECT_EQ(attribute("ExitCode"), "0");
  EXPECT_EQ(attribute("Ready"), "yes");
}

TEST_F(Reports, TheInventoryHearsOfEverySession) {
  mount_tmpfs("/var/lib");
  fs::create_directories("/var/lib/amazon/ssm/i-0123456789abcdef0/inventory");
  const std::string file = "/var/lib/amazon/ssm/i-0123456789abcdef0/inventory/custom/dlm-freeze.json";
  const auto outcome = [&] {
    const auto json = nlohmann::json::parse(read_text(file), nullptr, false);
    return json.is_discarded() ? "not JSON" : json["Content"].value("LastOutcome", std::string("none"));
  };
  add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_FALSE(fs::exists(file)) << "nobody has asked for it";
  expect(0, {"dry-run", "--inventory"});
  EXPECT_EQ(outcome(), "completed");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(eventually([&] { return outcome() == "auto_thawed"; }, std::chrono::seconds(5))) << outcome();
  expect(203, {"post-script"});
}

TEST_F(Reports, TheInventoryIsNotWrittenToWhatIsFrozen) {
  add("ext4", "/srv/data");
  expect(0, {"dry-run", "--inventory", "/srv/data/custom"});
  expect(0, {"pre-script"});
  const auto probe = run({"dry-run", "--inventory", "/srv/data/custom"});
  EXPECT_EQ(probe.exit_code, 204);
  EXPECT_THAT(probe.out, HasSubstr("which the active session holds frozen"));
  EXPECT_LT(probe.run_time(), std::chrono::seconds(2));
  expect(0, {"post-script"});
}

TEST_F(Reports, StatusWatchEndsWithTheSession) {
  add("ext4", "/srv/data");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  const auto watch = start({"status", "--watch"})->wait(std::chrono::seconds(5));
  EXPECT_EQ(watch.exit_code, 0) << watch.text();
  EXPECT_LT(watch.run_time(), std::chrono::seconds(3));
  expect(203, {"post-script"});
}

TEST_F(Reports, HistoryHasEverySessionHoweverItEnded) {
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [], "metrics_file": "/srv/etc/dlm_freeze.prom"})");
  add("ext4", "/srv/data");
  EXPECT_THAT(expect(0, {"history"}).out, HasSubstr("No session is on record"));
  // post-script does not wait for the last lines of the watchdog.
  const auto ends_are = [&](const std::vector<std::string>& expected) {
    std::vector<std::string> ends;
    return eventually(
        [&] {
          ends.clear();
          for (const auto& session : documented_history()) ends.push_back(session["end"]);
          return ends == expected;
        },
        std::chrono::seconds(5));
  };

  expect(0, {"pre-script", "--execution-id", "11111111-2222-3333-4444-555555555555"});
  EXPECT_FALSE(fs::exists("/var/lib/dlm-freeze/history.jsonl")) << "written while something is frozen";
  expect(0, {"post-script"});
  EXPECT_TRUE(ends_are({"completed"}));
  EXPECT_THAT(read_text("/srv/etc/dlm_freeze.prom"), HasSubstr("outcome{outcome=\"completed\"} 1.000"));

  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(ends_are({"completed", "auto_thawed"}));
  expect(203, {"post-script"});

  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_TRUE(ends_are({"completed", "auto_thawed", "watchdog_lost"}));
  expect(202, {"post-script"});

  expect(0, {"pre-script"});
  kill_at_once(processes());
  ASSERT_TRUE(all_gone());
  expect(202, {"post-script"});
  EXPECT_TRUE(ends_are({"completed", "auto_thawed", "watchdog_lost", "watchdog_lost"}));

  EXPECT_THAT(expect(0, {"history"}).out,
              AllOf(HasSubstr("11111111-2222-3333-4444-555555555555"), HasSubstr("/srv/data"), HasSubstr("auto_thawed"),
                    HasSubstr("watchdog_lost (2 problems)")));
  EXPECT_THAT(expect(0, {"history", "--last", "1"}).out, testing::Not(HasSubstr("auto_thawed")));
}

TEST_F(Reports, StatusSaysThatProtectionWasLost) {
  add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  kill_at_once(processes());
  ASSERT_TRUE(all_gone());
  expect(0, {"status"});
  expect(202, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
