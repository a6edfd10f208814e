// SPDX-License-Identifier: Apache-2.0
// verify --check on copies of filesystems, good ones and damaged ones. With servers: tests/mysql, tests/postgresql.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/copies.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

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

  /// Loop devices on `image`.
  static int loops_on(const std::string& image) {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/sys/block")) {
      const fs::path backing = entry.path() / "loop/backing_file";
      if (fs::exists(backing) && read_text(backing).find(fs::path(image).filename()) != std::string::npos) ++count;
    }
    return count;
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

TEST_P(VerifyTypes, AreBadWhenTheyAreDamaged) {
  const Filesystem& data = add_data(GetParam());
  const std::string inode = run_tool({"stat", "--format=%i", "/srv/data/file7"});
  const std::string copy = hold_and_copy(data);
  if (GetParam() == "ext4") {
    run_tool({"debugfs", "-w", "-R", "clri file7", copy});
  } else if (GetParam() == "xfs") {
    run_tool({"xfs_db", "-x", "-c", "inode " + inode.substr(0, inode.find('\n')), "-c", "write core.nlinkv2 9", copy});
  } else {
    const std::string image = read_text(copy);
    spoil(copy, image.find(std::string(4096, 'x')) + 100, 4);
  }
  EXPECT_THAT(verify(1, {copy}).out, HasSubstr("bad: "));
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
  run_tool({"mount", "-o", "loop", copy, "/srv/mounted"});
  EXPECT_THAT(verify(2, {"/srv/mounted"}).out, HasSubstr("it is mounted for writing: unmount it, and name the device"));
  run_tool({"umount", "/srv/mounted"});
}

TEST_F(VerifyChecks, FindAnErrorThatTheKernelHasNoted) {
  const std::string copy = hold_and_copy(add_data("ext4"));
  run_tool({"debugfs", "-w", "-R", "set_super_value state 2", copy});
  EXPECT_THAT(verify(1, {copy}).out, HasSubstr("the kernel has noted errors in it"));
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
}

TEST_F(VerifyChecks, LeaveNothingBehindWhenTheyAreKilled) {
  const std::string copy = hold_and_copy(add_data("xfs"));
  const int moments = is_thorough() ? 50 : 4;
  for (int moment = 0; moment < moments; ++moment) {
    restart_safety_limit();
    const auto run = start({"verify", "--check", copy});
    sleep_for(Milliseconds(moment * 1500 / moments));
    ::kill(run->pid(), SIGKILL);
    static_cast<void>(run->wait());
    EXPECT_TRUE(eventually([&] { return loops_on(copy) == 0 && processes().empty(); }, Milliseconds(5000)))
        << "killed after " << moment * 1500 / moments << " ms";
  }
  verify(0, {copy});
  EXPECT_EQ(loops_on(copy), 0);
}

}  // namespace
}  // namespace dlm_freeze::integration
