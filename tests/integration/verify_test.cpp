// SPDX-License-Identifier: Apache-2.0
// verify --check on copies of filesystems, good ones and damaged ones. With servers: tests/mysql, tests/postgresql.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/control_group.hpp"
#include "harness/copies.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class VerifyChecks : public HostTest {
 protected:
  Filesystem& add_data(const std::string& type) {
    Filesystem& data = add(FilesystemSpec{.type = type, .mount_point = "/srv/data"});
    for (int i = 0; i < 50; ++i) write_text("/srv/data/file" + std::to_string(i), std::string(5000, 'x'));
    return data;
  }

  /// A copy of it that was made while it was frozen.
  std::string hold_and_copy(const Filesystem& data) {
    expect(0, {"pre-script"});
    std::string copy = copy_image(data, "data");
    expect(0, {"post-script"});
    run_tool({"cp", "--sparse=always", copy, copy + ".kept"});
    return copy;
  }

  /// Throws when the copy is not what it was.
  static void expect_untouched(const std::string& copy) { run_tool({"cmp", copy, copy + ".kept"}); }

  RunResult verify(int expected, const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"verify", "--check"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return expect(expected, all);
  }

  /// What is there of verify, beside this process: loop devices on files whose path has `name`, processes whose command
  /// line has it, the agent's.
  [[nodiscard]] std::vector<std::string> traces_of(const std::string& name) const {
    std::vector<std::string> traces;
    for (const AgentProcess& process : processes()) traces.push_back(process.name());
    const auto look = [&](const fs::path& file) {
      std::ostringstream text;
      text << std::ifstream(file).rdbuf();  // It may be gone already, or go now.
      if (text.str().find(name) != std::string::npos) traces.push_back(file.string() + ": " + text.str());
    };
    for (const auto& device : fs::directory_iterator("/sys/block")) look(device.path() / "loop/backing_file");
    for (const auto& process : fs::directory_iterator("/proc")) look(process.path() / "cmdline");
    return traces;
  }

  /// Those that verify has made for itself.
  static std::vector<std::string> cgroups() {
    std::vector<std::string> found;
    for (const ControlGroup& own : parse_control_groups(read_text("/proc/self/cgroup"))) {
      const std::string mount = hierarchy_of(read_text("/proc/self/mountinfo"), own.controllers);
      for (const auto& entry : fs::directory_iterator(mount + own.path)) {
        if (entry.path().filename().string().starts_with("dlm-freeze-verify-")) found.push_back(entry.path());
      }
    }
    return found;
  }

  /// The kernel unmounts, and takes loop devices away, after the last process has ended.
  void expect_no_trace_of(const std::string& name) const {
    EXPECT_TRUE(eventually([&] { return traces_of(name).empty(); }, std::chrono::seconds(10)))
        << testing::PrintToString(traces_of(name));
  }
};

class VerifyTypes : public VerifyChecks, public testing::WithParamInterface<std::string> {};

TEST_P(VerifyTypes, AreGoodAsTheyWereFrozenFromImagesAndDevicesAndInPlace) {
  const Filesystem& data = add_data(GetParam());
  // A deleted file that is still open: what checkers take for damage.
  const UniqueFd deleted(check(::open("/srv/data/deleted", O_CREAT | O_RDWR | O_CLOEXEC, 0600), "open"));
  ASSERT_EQ(::write(deleted.get(), "x", 1), 1);
  fs::remove("/srv/data/deleted");
  const std::string copy = hold_and_copy(data);
  EXPECT_THAT(verify(0, {copy}).out, HasSubstr("GOOD"));
  {
    const LoopDevice device(copy, 0);
    verify(0, {device.path()});
    expect_untouched(copy);
    fs::create_directory("/srv/mounted");
    const std::string options = GetParam() == "xfs" ? "ro,nouuid,norecovery" : "ro";
    run_tool({"mount", "-o", options, device.path(), "/srv/mounted"});
    verify(0, {"/srv/mounted"});
    run_tool({"umount", "/srv/mounted"});
  }
}

TEST_P(VerifyTypes, AreBadWhenTheyWereWrittenToAfterTheThaw) {
  const Filesystem& data = add_data(GetParam());
  hold_and_copy(data);
  const UniqueFd file(check(::open("/srv/data/later", O_CREAT | O_RDWR | O_CLOEXEC, 0600), "open"));
  ASSERT_EQ(::write(file.get(), "x", 1), 1);
  ASSERT_EQ(::fsync(file.get()), 0);
  EXPECT_THAT(verify(1, {copy_image(data, "later")}).out, HasSubstr("was not frozen, or was written to after that"));
}

/// The last line that a program prints.
std::string line_of(const std::vector<std::string>& command) {
  std::string text = run_tool(command);
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

/// Damage to an image of `type`, whose /file7 has that inode.
std::vector<Damage> damages_of(const std::string& type, const std::string& inode) {
  const auto debugfs = [](const std::string& command) {
    return [command](const std::string& image) { run_tool({"debugfs", "-w", "-R", command, image}); };
  };
  const auto xfs_db = [](const std::string& where, const std::string& change) {
    return [where, change](const std::string& image) { run_tool({"xfs_db", "-x", "-c", where, "-c", change, image}); };
  };
  if (type == "ext4") {
    return {{"lost_inode", debugfs("clri file7"), "/srv/data (e2fsck -f -n)"},
            {"block_bitmap",
             [debugfs](const std::string& image) {
               debugfs("freeb " + line_of({"debugfs", "-R", "bmap file7 0", image}))(image);
             },
             "/srv/data (e2fsck -f -n)"},
            {"noted_error", debugfs("set_super_value state 2"), "the kernel has noted errors in it"}};
  }
  if (type == "xfs") {
    return {{"link_count", xfs_db("inode " + inode, "write core.nlinkv2 9"), "/srv/data (xfs_repair -n)"},
            {"free_space", xfs_db("agf 0", "write -d freeblks 7"), "its xfs cannot be mounted"},
            {"inode_checksum", xfs_db("inode " + inode, "write -c core.size 77"), "/srv/data (xfs_repair -n)"}};
  }
  // Of metadata there are two copies.
  const auto spoil_each = [](const std::string& what) {
    return [what](const std::string& image) {
      std::istringstream found(run_tool({"grep", "--text", "--only-matching", "--byte-offset", what, image}));
      for (std::string line; std::getline(found, line);) spoil(image, std::stoul(line) + 3, 1);
    };
  };
  return {{"data", spoil_each(std::string(4096, 'x')), "/srv/data (btrfs check)"},
          {"metadata", spoil_each("file7"), "its btrfs cannot be mounted"}};
}

TEST_P(VerifyTypes, AreBadWhenTheyAreDamaged) {
  const Filesystem& data = add_data(GetParam());
  const std::string inode = line_of({"stat", "--format=%i", "/srv/data/file7"});
  const std::string copy = hold_and_copy(data);
  for (const Damage& damage : damages_of(GetParam(), inode)) {
    SCOPED_TRACE(damage.name);
    const std::string damaged = copy + "." + damage.name;
    run_tool({"cp", "--sparse=always", copy, damaged});
    damage.make(damaged);
    EXPECT_THAT(verify(1, {damaged}).text(), HasSubstr(damage.found));
  }
}

INSTANTIATE_TEST_SUITE_P(Filesystems, VerifyTypes, testing::Values("ext4", "xfs", "btrfs"),
                         [](const auto& parameter) { return parameter.param; });

TEST_F(VerifyChecks, NeverTakeForGoodWhatIsCutOffOrNoFilesystemOrMountedForWriting) {
  const std::string copy = hold_and_copy(add_data("ext4"));
  fs::copy(copy, copy + ".short");
  fs::resize_file(copy + ".short", fs::file_size(copy) / 4);
  EXPECT_THAT(verify(1, {copy + ".short"}).err, HasSubstr("cannot be mounted"));
  write_text("/srv/text", std::string(100'000, 'x'));
  EXPECT_THAT(verify(1, {copy, "/srv/text"}).out, HasSubstr("has no ext4, XFS or btrfs on it"));

  fs::create_directory("/srv/mounted");
  // mount(8) takes a loop device that the image has already: verify's own, read-only, may not have gone yet.
  fs::copy(copy, copy + ".mounted");
  run_tool({"mount", "-o", "loop", copy + ".mounted", "/srv/mounted"});
  EXPECT_THAT(verify(2, {"/srv/mounted"}).out, HasSubstr("it is mounted for writing: unmount it, and name the device"));
  run_tool({"umount", "/srv/mounted"});
}

TEST_F(VerifyChecks, NameTheProgramThatIsMissing) {
  const std::string copy = hold_and_copy(add_data("ext4"));
  const std::string checker = fs::canonical("/sbin/e2fsck");
  run_tool({"mount", "--bind", "/dev/null", checker});
  EXPECT_THAT(verify(2, {copy}).out, HasSubstr("unchecked: there is no program e2fsck on this host"));
  run_tool({"umount", checker});
}

TEST_F(VerifyChecks, AreReportedAsJsonAndForJUnit) {
  const std::string copy = hold_and_copy(add_data("ext4"));
  write_text("/srv/etc/verify.json", verify(0, {copy, "--json", "--junit", "/srv/etc/junit.xml"}).out);
  run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
            DLM_FREEZE_SOURCE_DIR "/packaging/verify.schema.json", "/srv/etc/verify.json"});
  EXPECT_TRUE(json::parse(read_text("/srv/etc/verify.json"))["not_checked"].empty());
  EXPECT_THAT(read_text("/srv/etc/junit.xml"),
              AllOf(HasSubstr("tests=\"3\" failures=\"0\" errors=\"0\""),
                    HasSubstr("<testcase classname=\"/srv/data\" name=\"e2fsck -f -n\"")));
  run_tool({"debugfs", "-w", "-R", "clri file7", copy});
  verify(1, {copy, "--junit", "/srv/etc/junit.xml"});
  EXPECT_THAT(read_text("/srv/etc/junit.xml"), HasSubstr("<failure message="));

  // A run that comes to no result leaves nothing of an earlier one, and is a document as well.
  verify(0, {copy + ".kept", "--junit", "/srv/etc/junit.xml"});
  const auto failed =
      verify(2, {copy + ".kept", "--junit", "/srv/etc/junit.xml", "--json", "--databases", "/srv/none"});
  EXPECT_THAT(read_text("/srv/etc/junit.xml"), HasSubstr("errors=\"1\""));
  write_text("/srv/etc/verify.json", failed.out);
  run_tool({"/usr/bin/python3", DLM_FREEZE_SOURCE_DIR "/tests/integration/check-output.py",
            DLM_FREEZE_SOURCE_DIR "/packaging/verify.schema.json", "/srv/etc/verify.json"});
  EXPECT_EQ(json::parse(failed.out)["verdict"], "unchecked");
  EXPECT_THAT(json::parse(failed.out)["checks"][0]["why"], HasSubstr("/srv/none"));
}

TEST_F(VerifyChecks, RunAHookWhereNothingOfTheHostsCanBeReached) {
  const auto& data = add_data("ext4");
  configure(
      R"({"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  const std::string copy = hold_and_copy(data);
  EXPECT_THAT(verify(2, {copy}).out, HasSubstr("no server of type command is started: name a hook"));

  const auto hook = [&](int expected, const std::string& script) {
    write_text("/srv/etc/databases.json",
               json{{"databases", {{"orders", {{"hook", {"/bin/sh", "-c", script}}}}}}}.dump());
    return verify(expected, {copy, "--databases", "/srv/etc/databases.json"}).out;
  };
  hook(0, "test \"$DLM_FREEZE_DATABASE\" = orders && test -s /srv/data/file7 && echo changed >/srv/data/file7");
  expect_untouched(copy);
  EXPECT_EQ(read_text("/srv/data/file7").size(), 5000U);
  hook(0, "test \"$(tail -n +3 /proc/net/dev | grep -vc lo:)\" = 0 && test ! -e /srv/etc && test ! -e /run/dlm-freeze");
  hook(0, "test $(ls /proc | grep -c '^[0-9]') -lt 10");
  EXPECT_THAT(hook(1, "echo it is broken; exit 1"), HasSubstr("it is broken"));
  EXPECT_THAT(hook(2, "echo it is not known; exit 2"), HasSubstr("unchecked: it is not known"));
  EXPECT_THAT(verify(2, {copy, "--databases", "/srv/etc/none.json"}).err, HasSubstr("/srv/etc/none.json"));
  write_text("/srv/etc/databases.json", R"({"databases": {"orders": {"hook": ["/bin/true"]}, "order": {}}})");
  EXPECT_THAT(verify(2, {copy, "--databases", "/srv/etc/databases.json"}).out,
              HasSubstr("unchecked: the session has no database of this name"));
}

TEST_F(VerifyChecks, TakeNoMoreMemoryThanTheyMay) {
  const auto& data = add_data("ext4");
  configure(
      R"({"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  const std::string copy = hold_and_copy(data);
  const auto hook = [&](int expected, const std::string& script, const char* memory) {
    write_text("/srv/etc/databases.json",
               json{{"databases", {{"orders", {{"hook", {"/bin/sh", "-c", script}}}}}}}.dump());
    return verify(expected, {copy, "--databases", "/srv/etc/databases.json", "--memory", memory}).out;
  };
  // It keeps all of a line, however long that is.
  const std::string takes_all = "head -c 300M /dev/zero | tail -n 1 >/dev/null";
  EXPECT_THAT(hook(2, takes_all, "64"),
              HasSubstr("unchecked: the kernel ended a process, since 64.0 MiB of memory were not enough"));
  EXPECT_THAT(hook(1, takes_all + "; echo it is broken; exit 1", "1024"),
              HasSubstr("bad: exited with status 1 (it is broken)"));
  EXPECT_THAT(hook(1, "head -c 60M /dev/zero >/srv/data/large", "64"), HasSubstr("No space left on device"));
  hook(0, "head -c 30M /dev/zero >/srv/data/large", "64");

  const std::string in_a_cgroup = "grep -q /dlm-freeze-verify- /proc/self/cgroup";
  write_text("/srv/etc/databases.json",
             json{{"databases", {{"orders", {{"hook", {"/bin/sh", "-c", in_a_cgroup}}}}}}}.dump());
  verify(0, {copy, "--databases", "/srv/etc/databases.json"});
  EXPECT_THAT(cgroups(), IsEmpty());
  const auto run = start({"verify", "--check", copy, "--databases", "/srv/etc/databases.json"});
  EXPECT_TRUE(eventually([&] { return !cgroups().empty(); }, std::chrono::seconds(10)));
  ::kill(run->pid(), SIGKILL);
  static_cast<void>(run->wait());
  verify(0, {copy, "--databases", "/srv/etc/databases.json"});
  EXPECT_TRUE(eventually([&] { return cgroups().empty(); }, std::chrono::seconds(2)));
}

TEST_F(VerifyChecks, TakeAManifestOnlyFromTheDirectoryThatItNames) {
  configure(
      R"({"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  const std::string copy = hold_and_copy(add_data("ext4"));
  write_text("/srv/etc/databases.json",
             json{{"databases", {{"orders", {{"hook", {"/bin/sh", "-c", "test -e /srv/data/file7"}}}}}}}.dump());
  const auto verify_with = [&](int expected, const std::string& name, const std::function<void(std::string)>& change) {
    return verify(expected, {changed_copy(copy, name, change), "--databases", "/srv/etc/databases.json"}).text();
  };
  // A backup of the whole filesystem, by its side or alone.
  const auto back_up = [](const std::string& at) {
    fs::create_directory(at + "/backup");
    run_tool({"cp", "-a", at + "/.dlm-freeze", at + "/backup"});
  };
  verify_with(0, "with_backup", back_up);
  EXPECT_THAT(verify_with(2, "backup_alone",
                          [&](const std::string& at) {
                            back_up(at);
                            fs::remove_all(at + "/.dlm-freeze");
                          }),
              HasSubstr("has no manifest"));
  // A directory that alone was mounted, with what the options of an overlay would be cut at.
  const auto move_below = [](const std::string& at) {
    fs::create_directory(at + "/a:b,c");
    for (const char* name : {".dlm-freeze", "file7"}) fs::rename(at + "/" + name, at + "/a:b,c/" + name);
    edit_manifest(at + "/a:b,c", R"("directory": "/")", R"("directory": "/a:b,c")");
  };
  verify_with(0, "subdirectory", move_below);
  EXPECT_THAT(verify_with(2, "two",
                          [&](const std::string& at) {
                            back_up(at);
                            move_below(at);
                            fs::rename(at + "/backup/.dlm-freeze", at + "/.dlm-freeze");
                          }),
              HasSubstr("has a manifest in /, /a:b,c: mount it read-only"));
}

TEST_F(VerifyChecks, LookAtTheDeviceThatIsMountedWhateverItsPathLeadsToByNow) {
  const std::string copy = hold_and_copy(add_data("ext4"));
  fs::copy(copy, copy + ".bad");
  run_tool({"debugfs", "-w", "-R", "clri file7", copy + ".bad"});
  const LoopDevice good(copy, 0);
  const LoopDevice bad(copy + ".bad", 0);
  fs::create_symlink(bad.path(), "/srv/device");
  fs::create_directory("/srv/mounted");
  check(::mount("/srv/device", "/srv/mounted", "ext4", MS_RDONLY, ""), "mount");
  fs::remove("/srv/device");
  fs::create_symlink(good.path(), "/srv/device");
  EXPECT_THAT(verify(1, {"/srv/mounted"}).text(), HasSubstr("(e2fsck -f -n)"));
  run_tool({"umount", "/srv/mounted"});
}

TEST_F(VerifyChecks, DoNotPanicTheKernelBecauseACopySaysThatAnErrorDoes) {
  const auto& data = add_data("ext4");
  configure(
      R"({"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  const std::string copy = hold_and_copy(data);
  run_tool({"tune2fs", "-e", "panic", copy});
  const std::string none_does = "! grep -q errors=panic /proc/fs/ext4/*/options";
  write_text("/srv/etc/databases.json",
             json{{"databases", {{"orders", {{"hook", {"/bin/sh", "-c", none_does}}}}}}}.dump());
  verify(0, {copy, "--databases", "/srv/etc/databases.json"});
}

/// What a copy says of itself is whoever's who could write to it.
TEST_F(VerifyChecks, WriteNothingToTheHostWhereverAManifestSaysThatItWasMounted) {
  const auto& data = add_data("ext4");
  const auto& logs = add(FilesystemSpec{.type = "ext4", .mount_point = "/srv/logs"});
  configure(
      R"({"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  fs::create_directory_symlink("/.dlm-freeze-host/srv/victim", "/srv/data/link");
  expect(0, {"pre-script"});
  const std::vector<std::string> copies = {copy_image(data, "data"), copy_image(logs, "logs")};
  expect(0, {"post-script"});
  fs::create_directory("/srv/victim");
  fs::permissions("/srv/victim", fs::perms::owner_all);
  write_text("/srv/etc/databases.json", json{{"databases", {{"orders", {{"hook", {"/bin/true"}}}}}}}.dump());

  const auto verify_mounted_at = [&](int expected, const std::string& mount_point) {
    std::vector<std::string> arguments = {"--databases", "/srv/etc/databases.json"};
    for (const std::string& copy : copies) {
      arguments.push_back(changed_copy(copy, fs::path(copy).filename().string() + ".moved", [&](const auto& directory) {
        edit_manifest(directory, "\"/srv/logs\"", "\"" + mount_point + "\"");
      }));
    }
    const std::string text = verify(expected, arguments).text();
    EXPECT_TRUE(fs::is_empty("/srv/victim")) << mount_point;
    EXPECT_EQ(fs::status("/srv/victim").permissions(), fs::perms::owner_all) << mount_point;
    return text;
  };
  verify_mounted_at(0, "/srv/logs");
  verify_mounted_at(0, "/.dlm-freeze-host/srv/victim");
  verify_mounted_at(0, "/.dlm-freeze-host/srv/victim/made");
  verify_mounted_at(0, "/etc");
  verify_mounted_at(0, "/proc/self/root/srv/victim/made");
  EXPECT_THAT(verify_mounted_at(2, "/srv/data/link/made"), HasSubstr("'link' is not a directory"));
  EXPECT_THAT(verify_mounted_at(1, ""), HasSubstr("'' is no mount point"));
}

TEST_F(VerifyChecks, LeaveNothingBehindWhenTheyAreKilled) {
  const auto& data = add_data("xfs");
  configure(
      R"({"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  expect(0, {"pre-script"});
  // A name that nothing else on this machine has.
  const std::string name = fs::path(own_place()).filename();
  const std::string copy = copy_image(data, name);
  expect(0, {"post-script"});
  const std::string scratch = own_place();
  fs::create_directory(scratch);
  write_text("/srv/etc/databases.json",
             json{{"databases", {{"orders", {{"hook", {"/bin/sh", "-c", "sleep 0.5 # " + name}}}}}}}.dump());
  const std::vector<std::string> arguments = {"verify",    "--check", copy, "--databases", "/srv/etc/databases.json",
                                              "--scratch", scratch};
  const auto began = Clock::now();
  expect(0, arguments);
  const auto whole = std::chrono::duration_cast<Milliseconds>(Clock::now() - began);
  expect_no_trace_of(name);

  const auto before = mounts().size();
  const int moments = is_thorough() ? 50 : 6;
  for (int moment = 0; moment < moments; ++moment) {
    restart_safety_limit();
    const auto after = whole * moment / moments;
    SCOPED_TRACE("killed after " + std::to_string(after.count()) + " ms");
    const auto run = start(arguments);
    sleep_for(after);
    ::kill(run->pid(), SIGKILL);
    static_cast<void>(run->wait());
    expect_no_trace_of(name);
    EXPECT_EQ(mounts().size(), before);
    EXPECT_TRUE(fs::is_empty(scratch));
  }
  expect(0, arguments);
}

}  // namespace
}  // namespace dlm_freeze::integration
