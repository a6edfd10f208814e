// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/files.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;
using fakes::content_of;
using fakes::Scratch;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr uid_t kNobody = 65534;

UniqueFd open_directory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : stdfs::directory_iterator(path)) names.push_back(entry.path().filename());
  return names;
}

TEST(ReadFile, GivesTheWholeContent) {
  const Scratch scratch;
  const std::string content = std::string(100'000, 'x') + std::string(1, '\0') + "end";
  EXPECT_EQ(*read_file(scratch.write("file", content)), content);
  EXPECT_EQ(*read_file(scratch.write("empty", "")), "");
}

TEST(ReadFile, NamesThePathThatIsNotThere) {
  const auto content = read_file("/nowhere/file");
  ASSERT_FALSE(content);
  EXPECT_THAT(content.error().message, HasSubstr("/nowhere/file"));
  EXPECT_EQ(content.error().errno_value, ENOENT);
}

TEST(ReadFile, RefusesADirectory) { EXPECT_EQ(read_file("/tmp").error().errno_value, EISDIR); }

TEST(ReadFile, RefusesAFileThatIsTooLarge) {
  const Scratch scratch;
  const std::string path = scratch.write("file", std::string(100, 'x'));
  EXPECT_TRUE(read_file(path, 100));
  EXPECT_FALSE(read_file(path, 99));
}

TEST(ReadFile, DoesNotWaitForEverForAFileWithoutAnEnd) { EXPECT_FALSE(read_file("/dev/zero", 1 << 20)); }

TEST(ReadFile, WaitsForNothingThatStandsInTheFilesPlace) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo((scratch / "fifo").c_str(), 0600), 0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THAT(read_file(scratch / "fifo").error().message, HasSubstr("is a FIFO, not a regular file"));
  EXPECT_THAT(read_file("/dev/tty").error().message, HasSubstr("not a regular file"));
  EXPECT_FALSE(open_regular(AT_FDCWD, scratch / "fifo", O_WRONLY | O_APPEND | O_CREAT));
  EXPECT_FALSE(open_regular(AT_FDCWD, scratch / "fifo", O_RDWR));
  sockaddr_un address{AF_UNIX, {}};
  (scratch / "socket").copy(address.sun_path, sizeof address.sun_path - 1);
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_THAT(read_file(scratch / "socket").error().message, HasSubstr("is a socket"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(ReadFile, ReadsTheFilesOfTheKernel) {
  EXPECT_FALSE(read_file("/proc/self/mountinfo")->empty());
  EXPECT_FALSE(read_file("/sys/kernel/mm/transparent_hugepage/enabled").value_or("absent").empty());
}

TEST(OpenRegular, FollowsNoLinkWhereThatIsWanted) {
  const Scratch scratch;
  const std::string path = scratch.write("file", "x");
  stdfs::create_symlink(path, scratch / "link");
  EXPECT_TRUE(open_regular(AT_FDCWD, scratch / "link", O_RDONLY));
  EXPECT_THAT(open_regular(AT_FDCWD, scratch / "link", O_RDONLY | O_NOFOLLOW).error().message,
              HasSubstr("is a symbolic link"));
  EXPECT_FALSE(open_regular(AT_FDCWD, scratch / "link", O_WRONLY | O_CREAT | O_NOFOLLOW));
}

TEST(ReadFileAt, ReadsInTheDirectory) {
  const Scratch scratch;
  scratch.write("file", "here");
  EXPECT_EQ(*read_file_at(open_directory(scratch.path()).get(), "file"), "here");
}

class AtomicFiles : public testing::Test {
 protected:
  AtomicFile create(std::string_view slot = "slot", std::size_t reserve = 100) {
    auto file = AtomicFile::create(directory_.get(), "file", slot, reserve);
    if (!file) throw std::runtime_error(file.error().message);
    return std::move(*file);
  }
  [[nodiscard]] std::string content() const { return content_of(scratch_ / "file"); }

  Scratch scratch_;
  UniqueFd directory_ = open_directory(scratch_.path());
};

TEST_F(AtomicFiles, PutTheNewContentInPlaceByCommit) {
  scratch_.write("file", "old");
  AtomicFile file = create();
  EXPECT_EQ(content(), "old");
  ASSERT_TRUE(file.commit("new"));
  EXPECT_EQ(content(), "new");
  EXPECT_THAT(names_in(scratch_.path()), UnorderedElementsAre("file"));
}

TEST_F(AtomicFiles, LeaveNothingBehindWhenTheyAreForgotten) {
  scratch_.write("file", "old");
  { const AtomicFile file = create(); }
  EXPECT_EQ(content(), "old");
  EXPECT_THAT(names_in(scratch_.path()), UnorderedElementsAre("file"));
}

TEST_F(AtomicFiles, AreForgottenWhenAnotherOneIsAssigned) {
  AtomicFile one = create("one");
  one = create("two");
  EXPECT_THAT(names_in(scratch_.path()), UnorderedElementsAre(".file.two"));
  ASSERT_TRUE(one.commit("two"));
  EXPECT_EQ(content(), "two");
}

TEST_F(AtomicFiles, AreCommittedWhereTheyWereMovedTo) {
  AtomicFile one = create();
  {
    AtomicFile two(std::move(one));
    ASSERT_TRUE(two.commit("moved"));
  }
  EXPECT_EQ(content(), "moved");
}

TEST_F(AtomicFiles, KeepApartBySlot) {
  AtomicFile one = create("one");
  AtomicFile two = create("two");
  ASSERT_TRUE(one.commit("1"));
  ASSERT_TRUE(two.commit("2"));
  EXPECT_EQ(content(), "2");
}

TEST_F(AtomicFiles, TakeThePlaceOfWhatAKilledRunLeftBehind) {
  scratch_.write(".file.slot", "left behind, and longer than the new one");
  ASSERT_TRUE(create().commit("new"));
  EXPECT_EQ(content(), "new");
}

TEST_F(AtomicFiles, DoNotFollowASymbolicLinkThatWasPlanted) {
  const std::string victim = scratch_.write("victim", "precious");
  stdfs::create_symlink(victim, scratch_ / ".file.slot");
  stdfs::create_symlink(victim, scratch_ / "file");
  ASSERT_TRUE(create().commit("new"));
  EXPECT_EQ(content_of(victim), "precious");
  EXPECT_EQ(content(), "new");
  EXPECT_FALSE(stdfs::is_symlink(scratch_ / "file"));
}

TEST_F(AtomicFiles, AreReadableByTheirOwnerOnly) {
  ::umask(0);
  ASSERT_TRUE(create().commit("new"));
  ::umask(022);
  struct stat info {};
  ASSERT_EQ(::stat((scratch_ / "file").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
}

TEST_F(AtomicFiles, MayGetMoreThanWasReservedAndLess) {
  ASSERT_TRUE(create("slot", 10).commit(std::string(1000, 'x')));
  EXPECT_EQ(content().size(), 1000U);
  ASSERT_TRUE(create("slot", 1000).commit("short"));
  EXPECT_EQ(content(), "short");
  ASSERT_TRUE(create("slot", 10).commit(""));
  EXPECT_EQ(content(), "");
}

TEST_F(AtomicFiles, NeedNothingReserved) {
  const auto file = AtomicFile::create(directory_.get(), "file", "slot", 0);
  EXPECT_TRUE(file) << file.error().message;
}

TEST_F(AtomicFiles, CannotBeMadeWithoutTheirDirectory) { EXPECT_FALSE(AtomicFile::create(-1, "file", "slot", 10)); }

/// Runs `body` in a mount namespace with a tmpfs of 64 KiB at `directory`; 77 where that is not allowed.
int with_small_filesystem(const std::string& directory, const std::function<int()>& body) {
  return fakes::in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0) return 77;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    if (::mount("none", directory.c_str(), "tmpfs", 0, "size=64k") != 0) return 77;
    return body();
  });
}

TEST_F(AtomicFiles, FailAtOnceOnAFullFilesystemAndNotAfterTheReservation) {
  const int status = with_small_filesystem(scratch_.path(), [&] {
    const UniqueFd directory = open_directory(scratch_.path());
    auto file = AtomicFile::create(directory.get(), "file", "slot", 20'000);
    if (!file) return 1;
    // Somebody fills the filesystem now.
    const UniqueFd filler(::openat(directory.get(), "filler", O_WRONLY | O_CREAT, 0600));
    const std::string page(4096, 'x');
    while (::write(filler.get(), page.data(), page.size()) > 0) {
    }
    if (AtomicFile::create(directory.get(), "file", "other", 8192)) return 2;
    if (names_in(scratch_.path()).size() != 2) return 3;  // What could not be reserved is gone again.
    if (!file->commit(std::string(20'000, 'y'))) return 4;
    return content_of(scratch_ / "file") == std::string(20'000, 'y') ? 0 : 5;
  });
  if (status == 77) GTEST_SKIP() << "no mount namespace here";
  EXPECT_EQ(status, 0);
}

TEST_F(AtomicFiles, KeepTheOldContentWhenTheyCannotBeWritten) {
  const int status = with_small_filesystem(scratch_.path(), [&] {
    scratch_.write("file", "old");
    const UniqueFd directory = open_directory(scratch_.path());
    auto file = AtomicFile::create(directory.get(), "file", "slot", 100);
    if (!file) return 1;
    const auto committed = file->commit(std::string(100'000, 'y'));
    if (committed || committed.error().errno_value != ENOSPC) return 2;
    return content_of(scratch_ / "file") == "old" ? 0 : 3;
  });
  if (status == 77) GTEST_SKIP() << "no mount namespace here";
  EXPECT_EQ(status, 0);
}

/// Whoever runs the test, files of root are made and given away only by root.
class Trust : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs to make files of root";
  }
  [[nodiscard]] static std::string complaint(const std::string& path) {
    const auto trusted = check_trusted(path);
    return trusted ? "" : trusted.error().message;
  }

  Scratch scratch_;
};

TEST_F(Trust, IsGivenToAFileOfRootBelowTheStickyTmp) {
  EXPECT_EQ(complaint(scratch_.write("file", "")), "");
  EXPECT_EQ(complaint("/etc/passwd"), "");
  EXPECT_EQ(complaint("/"), "");
}

TEST_F(Trust, IsRefusedToAFileOfSomebodyElse) {
  const std::string path = scratch_.write("file", "");
  ASSERT_EQ(::chown(path.c_str(), kNobody, 0), 0);
  EXPECT_EQ(complaint(path), path + " is owned by uid 65534, not by root: chown root " + path);
}

TEST_F(Trust, IsRefusedToAFileThatOthersMayWrite) {
  const std::string path = scratch_.write("file", "");
  for (const mode_t mode : {0660U, 0606U, 0666U}) {
    ::chmod(path.c_str(), mode);
    EXPECT_EQ(complaint(path), path + " is writable by users other than root: chmod go-w " + path);
  }
  ::chmod(path.c_str(), 0644);
  EXPECT_EQ(complaint(path), "");
}

TEST_F(Trust, IsRefusedToAStickyFile) {
  const std::string path = scratch_.write("file", "");
  ::chmod(path.c_str(), 01666);
  EXPECT_NE(complaint(path), "");
}

TEST_F(Trust, DependsOnEveryDirectoryAbove) {
  const std::string path = scratch_.write("a/b/file", "");
  ::chmod((scratch_ / "a").c_str(), 0777);
  EXPECT_THAT(complaint(path), HasSubstr(scratch_ / "a is writable by users other than root"));
  ::chmod((scratch_ / "a").c_str(), 01777);
  EXPECT_EQ(complaint(path), "") << "sticky";
  ASSERT_EQ(::chown((scratch_ / "a").c_str(), kNobody, 0), 0);
  EXPECT_THAT(complaint(path), HasSubstr(scratch_ / "a is owned by uid 65534"));
}

TEST_F(Trust, IsAskedOfWhatASymbolicLinkLeadsTo) {
  const std::string target = scratch_.write("open/file", "");
  stdfs::create_symlink(target, scratch_ / "link");
  EXPECT_EQ(complaint(scratch_ / "link"), "");
  ::chmod((scratch_ / "open").c_str(), 0777);
  EXPECT_THAT(complaint(scratch_ / "link"), HasSubstr(scratch_ / "open"));
}

TEST_F(Trust, IsRefusedToWhatIsNotThere) { EXPECT_THAT(complaint(scratch_ / "absent"), HasSubstr("No such file")); }

}  // namespace
}  // namespace dlm_freeze
