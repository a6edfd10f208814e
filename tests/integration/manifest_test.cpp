// SPDX-License-Identifier: Apache-2.0
// What a snapshot says of itself: the manifest in each filesystem that is frozen.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";

std::string manifest_in(const std::string& directory) { return directory + "/.dlm-freeze/manifest.json"; }

json manifest_of(const std::string& directory) {
  auto parsed = json::parse(read_text(manifest_in(directory)), nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << directory;
  return parsed;
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777U;
}

class Manifests : public HostTest {
 protected:
  void hold_once() {
    expect(0, {"pre-script", "--execution-id", kExecution});
    expect(0, {"post-script", "--execution-id", kExecution});
  }

  /// A session in which `filesystem` gets none, which is said and is no failure.
  void hold_without(const Filesystem& filesystem, const std::string& why) {
    const auto pre = expect(0, {"pre-script"});
    EXPECT_THAT(pre.out, AllOf(HasSubstr("WARN: the snapshot of " + filesystem.mount_point()), HasSubstr(why)));
    EXPECT_TRUE(frozen(filesystem));
    expect(0, {"post-script"});
  }
};

TEST_F(Manifests, LieInTheCopiesOfEachFilesystemAndNameAllOfThem) {
  // Made first and unmounted before its copy is mounted: two btrfs of one UUID cannot be.
  std::vector<std::string> copies;
  std::vector<const Filesystem*> all;
  for (const char* type : {"ext4", "xfs", "btrfs"}) all.push_back(&add(type, std::string("/srv/") + type));
  expect(0, {"pre-script", "--execution-id", kExecution});
  for (const Filesystem* one : all) {
    copies.push_back(one->image() + ".copy");
    run_tool({"cp", "--sparse=always", one->image(), copies.back()});
  }
  expect(0, {"post-script", "--execution-id", kExecution});

  std::vector<json> manifests;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string type = fs::path(all[i]->mount_point()).filename();
    const std::string copy = "/srv/copy-" + type;
    fs::create_directory(copy);
    if (type == "btrfs") run_tool({"btrfstune", "-f", "-u", copies[i]});
    run_tool({"mount", "-o", type == "xfs" ? "loop,nouuid" : "loop", copies[i], copy});
    EXPECT_EQ(mode_of(copy + "/.dlm-freeze"), 0700U);
    EXPECT_EQ(mode_of(manifest_in(copy)), 0600U);
    write_text("/srv/etc/manifest.json", read_text(manifest_in(copy)));
    run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
              DLM_FREEZE_SOURCE_DIR "/packaging/manifest.schema.json", "/srv/etc/manifest.json"});
    manifests.push_back(manifest_of(copy));
    run_tool({"umount", copy});
    json& manifest = manifests.back();
    const json member = manifest["members"][manifest["member"].get<std::size_t>()];
    EXPECT_EQ(member["mount_point"], all[i]->mount_point());
    EXPECT_EQ(member["type"], type);
    EXPECT_EQ(run_tool({"blkid", "-p", "-o", "value", "-s", "UUID", all[i]->device()}),
              member["uuid"].get<std::string>() + "\n");
    EXPECT_GT(member["size_bytes"], 0);
    EXPECT_EQ(manifest["execution_id"], kExecution);
    manifest.erase("member");
  }
  EXPECT_EQ(manifests[0]["members"].size(), all.size());
  EXPECT_EQ(manifests[0], manifests[1]);
  EXPECT_EQ(manifests[1], manifests[2]);
  const auto status = json::parse(expect(0, {"status", "--json"}).out);
  EXPECT_EQ(status["session"]["session_id"], manifests[0]["session_id"]);
}

TEST_F(Manifests, SayWhatTheDatabasesSaid) {
  add("ext4", "/srv/data");
  configure(
      R"({"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  hold_once();
  const json databases = manifest_of("/srv/data")["databases"];
  ASSERT_EQ(databases.size(), 1U);
  EXPECT_EQ(databases[0]["name"], "orders");
}

TEST_F(Manifests, AreReplacedByEachSessionAndNotWrittenWhereTheConfigurationSaysSo) {
  add("ext4", "/srv/data");
  hold_once();
  const json first = manifest_of("/srv/data");
  hold_once();
  EXPECT_NE(first["session_id"], manifest_of("/srv/data")["session_id"]);
  configure(R"({"manifest": false, "quiescers": []})");
  hold_once();
  EXPECT_FALSE(fs::exists("/srv/data/.dlm-freeze")) << "the snapshot would say that it is of the session before";
  hold_once();
  EXPECT_FALSE(fs::exists("/srv/data/.dlm-freeze"));
}

TEST_F(Manifests, OfAnEarlierSessionAreRemovedWhereNoneMayLieAnyMore) {
  add("ext4", "/srv/data");
  hold_once();
  ASSERT_EQ(::chown("/srv/data", 1234, 1234), 0);
  hold_once();
  EXPECT_FALSE(fs::exists(manifest_in("/srv/data")));
}

TEST_F(Manifests, AreNotPutWhereSomebodyElseMayHavePutSomething) {
  const auto& data = add("ext4", "/srv/data");
  fs::create_directory("/srv/elsewhere");

  fs::create_symlink("/srv/elsewhere", "/srv/data/.dlm-freeze");
  hold_without(data, "is not a directory");
  EXPECT_TRUE(fs::is_empty("/srv/elsewhere"));
  fs::remove("/srv/data/.dlm-freeze");

  ASSERT_EQ(::mkfifo("/srv/data/.dlm-freeze", 0600), 0);
  hold_without(data, "is not a directory");
  fs::remove("/srv/data/.dlm-freeze");

  fs::create_directory("/srv/data/.dlm-freeze");
  ASSERT_EQ(::chown("/srv/data/.dlm-freeze", 1234, 1234), 0);
  hold_without(data, "is not root's");
  EXPECT_TRUE(fs::is_empty("/srv/data/.dlm-freeze"));
  ASSERT_EQ(::chown("/srv/data/.dlm-freeze", 0, 0), 0);
  ASSERT_EQ(::chmod("/srv/data/.dlm-freeze", 0777), 0);
  hold_without(data, "can be written by others");

  mount_tmpfs("/srv/data/.dlm-freeze");
  hold_without(data, "is on another filesystem");
  run_tool({"umount", "/srv/data/.dlm-freeze"});

  // Within root's own directory only root can have planted anything; it is replaced, and not followed.
  ASSERT_EQ(::chmod("/srv/data/.dlm-freeze", 0700), 0);
  write_text("/srv/elsewhere/file", "untouched");
  fs::create_symlink("/srv/elsewhere/file", manifest_in("/srv/data"));
  fs::create_symlink("/srv/elsewhere/file", "/srv/data/.dlm-freeze/.manifest.json.new");
  hold_once();
  EXPECT_EQ(read_text("/srv/elsewhere/file"), "untouched");
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(manifest_in("/srv/data"))));
}

TEST_F(Manifests, AreNotPutIntoADirectoryThatIsADatabases) {
  const auto& data = add("ext4", "/srv/data");
  ASSERT_EQ(::chown("/srv/data", 1234, 1234), 0);
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(data));
  EXPECT_THAT(pre.out, AllOf(HasSubstr("INFO: no manifest in root directories"), Not(HasSubstr("gets no manifest"))));
  expect(0, {"post-script"});
  EXPECT_FALSE(fs::exists("/srv/data/.dlm-freeze"));
}

TEST_F(Manifests, OfAFullFilesystemAreAWarningAndLeaveNoOtherSessions) {
  for (const char* type : {"ext4", "xfs", "btrfs"}) {
    const std::string mount_point = std::string("/srv/") + type;
    const auto& full = add(type, mount_point);
    hold_once();
    ASSERT_TRUE(fs::exists(manifest_in(mount_point)));
    // The last blocks too.
    for (const char* block : {"1M", "4k", "1k", "100"}) {
      try {
        run_tool({"dd", "if=/dev/urandom", "of=" + mount_point + "/fill" + block, std::string("bs=") + block});
      } catch (const std::exception&) {  // That it is full is what is wanted.
      }
      full.sync();
    }
    const auto pre = expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(full)) << type;
    expect(0, {"post-script"});
    const bool is_said = pre.out.find("WARN: the snapshot of " + mount_point) != std::string::npos;
    // Whether a full one still takes a small file is its own affair.
    EXPECT_EQ(fs::exists(manifest_in(mount_point)), !is_said) << type << pre.text();
    run_tool({"umount", "-l", mount_point});
  }
}

TEST_F(Manifests, GoThroughTheMountThatShowsMostAndCanBeWritten) {
  const auto& data = add("ext4", "/srv/data");
  fs::create_directories("/srv/data/deep/er");
  bind_mount("/srv/data/deep", "/srv/bound");
  hold_once();
  EXPECT_TRUE(fs::exists(manifest_in("/srv/data")));
  EXPECT_FALSE(fs::exists(manifest_in("/srv/bound")));
  fs::remove_all("/srv/data/.dlm-freeze");

  run_tool({"mount", "-o", "remount,bind,ro", "/srv/data"});
  hold_once();
  EXPECT_TRUE(fs::exists(manifest_in("/srv/bound")));
  EXPECT_EQ(manifest_of("/srv/bound")["members"][0]["directory"], "/deep");

  run_tool({"mount", "-o", "remount,bind,ro", "/srv/bound"});
  hold_without(data, "read-only");
}

TEST_F(Manifests, DoNotHideThatAnotherProgramHasFrozenTheFilesystem) {
  const auto& theirs = add("ext4", "/srv/theirs");
  theirs.freeze();
  const auto pre = expect(204, {"pre-script"});
  EXPECT_LT(pre.run_time(), Milliseconds(3000));
  EXPECT_TRUE(theirs.thaw());
  EXPECT_TRUE(all_gone());
}

class Verify : public Manifests {
 protected:
  void SetUp() override {
    Manifests::SetUp();
    if (IsSkipped()) return;
    for (const char* type : {"ext4", "xfs", "btrfs"})
      paths_.push_back(add(type, std::string("/srv/") + type).mount_point());
    hold_once();
  }

  RunResult verify(int expected, std::vector<std::string> paths, const std::string& option = {}) {
    paths.insert(paths.begin(), "verify");
    if (!option.empty()) paths.push_back(option);
    return expect(expected, paths);
  }

  std::vector<std::string> paths_;
};

TEST_F(Verify, OfAllFilesystemsOfASessionIsGood) {
  const auto text = verify(0, paths_);
  for (const std::string& path : paths_) EXPECT_THAT(text.out, HasSubstr(path));
  EXPECT_THAT(text.out, HasSubstr("Not checked: "));
  write_text("/srv/etc/verify.json", verify(0, paths_, "--json").out);
  run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
            DLM_FREEZE_SOURCE_DIR "/packaging/verify.schema.json", "/srv/etc/verify.json"});
}

TEST_F(Verify, FindsWhatIsMissingOrTwiceOrNoDirectory) {
  EXPECT_THAT(verify(1, {paths_[0], paths_[2]}).out, HasSubstr("missing"));
  bind_mount(paths_[0], "/srv/again");
  EXPECT_THAT(verify(1, {paths_[0], paths_[1], paths_[2], "/srv/again"}).out, HasSubstr("the same filesystem as"));
  EXPECT_THAT(verify(1, {paths_[0], paths_[1], paths_[2], "/srv/nowhere"}).out, HasSubstr("cannot be opened"));
  verify(2, {"/srv/etc"});
  verify(1, {});
}

TEST_F(Verify, FindsAMemberOfAnotherSession) {
  configure(R"({"quiescers": [], "filesystems": {"exclude": ["/srv/xfs"]}})");
  hold_once();
  const auto result = verify(1, paths_);
  EXPECT_THAT(result.out, HasSubstr("of another session"));
}

TEST_F(Verify, FindsWhatWasAlteredOrCopiedOrMayBeAnybodys) {
  const std::string good = read_text(manifest_in(paths_[0]));
  std::string altered = good;
  altered.replace(altered.find("\"host\": \""), 9, "\"host\": \"x");
  write_text(manifest_in(paths_[0]), altered);
  EXPECT_THAT(verify(1, paths_).out, HasSubstr("altered"));

  std::string newer = good;
  newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 2");
  write_text(manifest_in(paths_[0]), newer);
  EXPECT_THAT(verify(1, paths_).out, HasSubstr("the manifest is of version 2"));

  write_text(manifest_in(paths_[0]), good.substr(0, good.size() / 2));
  EXPECT_THAT(verify(1, paths_).out, HasSubstr("bad: the manifest"));

  // The manifest of /srv/xfs, on /srv/ext4.
  write_text(manifest_in(paths_[0]), read_text(manifest_in(paths_[1])));
  EXPECT_THAT(verify(1, {paths_[0], paths_[2]}).out, HasSubstr("the filesystem has the UUID"));

  write_text(manifest_in(paths_[0]), good);
  verify(0, paths_);
  ASSERT_EQ(::chmod(manifest_in(paths_[0]).c_str(), 0666), 0);
  EXPECT_THAT(verify(1, paths_).out, HasSubstr("can be written by others"));
  ASSERT_EQ(::chmod(manifest_in(paths_[0]).c_str(), 0600), 0);
  fs::remove(manifest_in(paths_[0]));
  EXPECT_THAT(verify(1, paths_).out, HasSubstr("bad: has no manifest"));
  ASSERT_EQ(::mkfifo(manifest_in(paths_[0]).c_str(), 0600), 0);
  verify(1, paths_);
}

TEST_F(Verify, NeverTakesWhatHasNoManifestByRuleForGood) {
  ASSERT_EQ(::chown(paths_[1].c_str(), 1234, 1234), 0);
  fs::remove_all(paths_[1] + "/.dlm-freeze");
  hold_once();
  EXPECT_THAT(verify(2, paths_).out, HasSubstr("unchecked: has no manifest"));
}

}  // namespace
}  // namespace dlm_freeze::integration
