// SPDX-License-Identifier: Apache-2.0
// What is known of a cluster without a server, and what is kept of a backup.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "quiesce/postgresql/backup_files.hpp"
#include "quiesce/postgresql/cluster_files.hpp"
#include "quiesce/postgresql/connection_options.hpp"
#include "quiesce/postgresql/parts_elsewhere.hpp"

namespace dlm_freeze::postgresql {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A directory of the test's own.
class Scratch : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/postgresql-files.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    path_ = fs::canonical(name);
  }
  void TearDown() override { fs::remove_all(path_); }

  void write(const fs::path& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name) << text;
  }
  [[nodiscard]] std::string read(const fs::path& name) const {
    std::ifstream file(path_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path path_;
};

TEST(SocketLock, SaysWhoListensAndWhereTheDataIs) {
  const auto lock = parse_socket_lock("4711\n/var/lib/postgresql/15/main\n1763917431\n5432\n/run/postgresql\n");
  ASSERT_TRUE(lock);
  EXPECT_EQ(lock->pid, 4711);
  EXPECT_EQ(lock->data_directory, "/var/lib/postgresql/15/main");
}

TEST(SocketLock, OfAnotherShapeIsAnError) {
  for (const char* text :
       {"", "\n", "4711", "4711\n", "4711\ndata\n", "x\n/data\n", "47 11\n/data\n", "99999999999999\n/data\n"}) {
    EXPECT_FALSE(parse_socket_lock(text)) << text;
  }
}

using Sockets = Scratch;

TEST_F(Sockets, AreFoundWithoutTheirLockFiles) {
  const fs::path socket = path_ / ".s.PGSQL.5432";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket.string().copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  write(".s.PGSQL.5432.lock", "1\n/data\n");
  write(".s.PGSQL.5433", "no socket");
  EXPECT_THAT(sockets_in(path_), ElementsAre(socket));
  EXPECT_THAT(sockets_in(path_ / "absent"), IsEmpty());
}

class ClusterParts : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    fs::create_directories(path_ / "wal");
    fs::create_directories(path_ / "space");
    fs::create_directories(path_ / "main/pg_tblspc");
    fs::create_symlink(path_ / "wal", path_ / "main/pg_wal");
    fs::create_symlink(path_ / "space", path_ / "main/pg_tblspc/16384");
    fs::create_symlink(path_ / "main", path_ / "link");
  }

  [[nodiscard]] std::vector<std::string> parts() const {
    std::vector<std::string> texts;
    for (const DataLocation& location : find_cluster_files(path_ / "link", 0).locations)
      texts.push_back(location.what + "=" + location.path);
    return texts;
  }
};

TEST_F(ClusterParts, AreFollowedThroughSymbolicLinks) {
  EXPECT_THAT(parts(), ElementsAre("data=" + (path_ / "main").string(), "WAL=" + (path_ / "wal").string(),
                                   "tablespace 16384=" + (path_ / "space").string()));
}

TEST_F(ClusterParts, IncludeWhateverLinksLeadTo) {
  for (const char* const directory :
       {"main/base", "main/pg_multixact", "space/PG_15_1/7", "more/pgsql_tmp", "more/log"})
    fs::create_directories(path_ / directory);
  for (const char* const file : {"more/16384/PG_VERSION", "files/2600", "files/conf", "files/wal"}) write(file, "");
  const auto link = [this](const std::string& from, const std::string& to) {
    fs::create_symlink(path_ / to, path_ / from);
  };
  link("main/base/16384", "more/16384");
  link("main/pg_xact", "more");
  link("main/base/pgsql_tmp", "more/pgsql_tmp");
  link("main/log", "more/log");
  link("main/postgresql.conf", "files/conf");
  link("space/PG_15_1/7/2600", "files/2600");
  link("main/pg_multixact/circle", "main/pg_multixact");
  link("main/pg_multixact/null", "../../../../../../../../dev/null");
  EXPECT_THAT(parts(),
              testing::UnorderedElementsAre(
                  "data=" + (path_ / "main").string(), "WAL=" + (path_ / "wal").string(),
                  "tablespace 16384=" + (path_ / "space").string(), "base/16384=" + (path_ / "more/16384").string(),
                  "pg_xact=" + (path_ / "more").string(), "base/pgsql_tmp=" + (path_ / "more/pgsql_tmp").string(),
                  "pg_tblspc/16384/PG_15_1/7=" + (path_ / "files").string()));
  for (const DataLocation& location : find_cluster_files(path_ / "main", 0).locations)
    EXPECT_EQ(location.role == DataRole::temporary, location.what == "base/pgsql_tmp") << location.what;
  link("main/base/8", "not there");
  EXPECT_THAT(find_cluster_files(path_ / "main", 0).problems,
              ElementsAre("base/8 (" + (path_ / "main/base/8").string() + "): No such file or directory"));
}

TEST_F(ClusterParts, ThatThereIsNoTimeToLookForAreAProblem) {
  EXPECT_THAT(find_parts_elsewhere(path_ / "main", Deadline::in(std::chrono::seconds(0))).problems,
              ElementsAre(HasSubstr("too many files")));
}

TEST_F(ClusterParts, IncludeTheCollectorsLog) {
  write("main/log/postgresql.log", "");
  write("main/current_logfiles", "stderr log/postgresql.log\n");
  EXPECT_THAT(parts(), testing::Contains("server log=" + (path_ / "main/log/postgresql.log").string()));
}

TEST_F(ClusterParts, IncludeTheLogThatStderrLeadsTo) {
  write("log", "");
  const int log = ::open((path_ / "log").c_str(), O_WRONLY);
  const int old = ::dup(STDERR_FILENO);
  ::dup2(log, STDERR_FILENO);
  const ClusterFiles files = find_cluster_files(path_ / "main", ::getpid());
  ::dup2(old, STDERR_FILENO);
  ASSERT_FALSE(files.locations.empty());
  EXPECT_EQ(files.locations.back().what, kServerLog);
  EXPECT_EQ(files.locations.back().path, path_ / "log");
}

TEST_F(ClusterParts, ThatCannotBeFollowedAreSaid) {
  fs::create_symlink("/nowhere/at/all", path_ / "main/pg_tblspc/16385");
  const ClusterFiles files = find_cluster_files(path_ / "main", 0);
  EXPECT_EQ(files.locations.size(), 3U);
  ASSERT_EQ(files.problems.size(), 1U);
  EXPECT_THAT(files.problems[0], HasSubstr("16385"));
}

TEST_F(ClusterParts, TellWhoseTheyAre) {
  EXPECT_FALSE(system_identifier_of(path_ / "main"));
  const std::uint64_t identifier = 7711426672952225926U;
  write("main/global/pg_control", std::string(reinterpret_cast<const char*>(&identifier), sizeof identifier) + "more");
  EXPECT_EQ(system_identifier_of(path_ / "main"), "7711426672952225926");
}

TEST(WalFiles, AreCountedAcrossTheHalvesOfTheirNames) {
  constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;
  EXPECT_THAT(wal_files_between("000000010000000000000002", "000000010000000000000002", 16 * kMegabyte),
              ElementsAre("000000010000000000000002"));
  EXPECT_THAT(wal_files_between("0000000100000001000000FE", "000000010000000200000001", 16 * kMegabyte),
              ElementsAre("0000000100000001000000FE", "0000000100000001000000FF", "000000010000000200000000",
                          "000000010000000200000001"));
  EXPECT_THAT(wal_files_between("00000002000000010000003F", "000000020000000200000000", 64 * kMegabyte),
              ElementsAre("00000002000000010000003F", "000000020000000200000000"));
}

TEST(WalFiles, OfNoSenseAreNone) {
  EXPECT_THAT(wal_files_between("", "000000010000000000000002", 1 << 24), IsEmpty());
  EXPECT_THAT(wal_files_between("00000001000000000000000X", "000000010000000000000002", 1 << 24), IsEmpty());
  EXPECT_THAT(wal_files_between("000000010000000000000002", "000000020000000000000002", 1 << 24), IsEmpty());
  EXPECT_THAT(wal_files_between("000000010000000000000002", "000000010000000000000001", 1 << 24), IsEmpty());
  EXPECT_THAT(wal_files_between("000000010000000000000001", "000000010000000000000002", 0), IsEmpty());
}

TEST(WalFiles, AreLimited) {
  EXPECT_THAT(wal_files_between("000000010000000000000001", "00000001FFFFFFFF000000FF", 1 << 24), IsEmpty());
}

TEST(DirectoryName, IsOneNameAndNoOthers) {
  EXPECT_EQ(directory_name("pg-15_main.1"), "pg-15_main.1");
  EXPECT_EQ(directory_name("../etc passwd"), "%2E.%2Fetc%20passwd");
  EXPECT_EQ(directory_name(".."), "%2E.");
  EXPECT_EQ(directory_name(""), "%");
  EXPECT_EQ(directory_name("%"), "%25");
  EXPECT_NE(directory_name("pg 1"), directory_name("pg_1"));
}

TEST(Positions, AreReadAsTheServerWritesThem) {
  EXPECT_EQ(parse_lsn("16/B374D848"), 0x16B374D848U);
  EXPECT_FALSE(parse_lsn("16B374D848"));
  EXPECT_FALSE(parse_lsn("16/"));
  EXPECT_FALSE(parse_lsn(""));
}

TEST(WalFiles, OfABackupAreThoseFromItsLabelToItsEnd) {
  const std::string first =
      first_wal_file("START WAL LOCATION: 0/2000028 (file 000000030000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n");
  EXPECT_EQ(first, "000000030000000000000002");
  EXPECT_EQ(first_wal_file("START WAL LOCATION: 0/2000028"), "");
  EXPECT_EQ(first_wal_file("LABEL: (file 000000030000000000000002)"), "");
  EXPECT_EQ(wal_file_before(0x3000000, first, 1 << 24), first) << "the end is the first byte of the next file";
  EXPECT_EQ(wal_file_before(0x3000001, first, 1 << 24), "000000030000000000000003");
  EXPECT_EQ(wal_file_before(0x100000001, first, 1 << 24), "000000030000000100000000");
}

using SavedBackup = Scratch;

TEST_F(SavedBackup, HoldsLabelMapAndWal) {
  write("pg_wal/A", "wal a");
  write("pg_wal/B", "wal b");
  const std::string directory = path_ / "saved/one";
  ASSERT_TRUE(save_backup_files(directory, {"label", "map", path_ / "pg_wal", {"A", "B"}},
                                Deadline::in(std::chrono::seconds(10))));
  EXPECT_EQ(read("saved/one/backup_label"), "label");
  EXPECT_EQ(read("saved/one/tablespace_map"), "map");
  EXPECT_EQ(read("saved/one/pg_wal/B"), "wal b");
  EXPECT_EQ(read("saved/one/complete"), "5 backup_label\n3 tablespace_map\n5 pg_wal/A\n5 pg_wal/B\n");
}

TEST_F(SavedBackup, IsADirectoryThatThereWasNotBefore) {
  const std::string parent = path_ / "saved";
  EXPECT_EQ(new_name_in(parent, "now"), parent + "/now");
  EXPECT_FALSE(fs::exists(parent));
  ASSERT_TRUE(make_new_directory(parent + "/now"));
  fs::create_symlink("nowhere", parent + "/now-2");
  EXPECT_EQ(new_name_in(parent, "now"), parent + "/now-3");
  EXPECT_FALSE(make_new_directory(parent + "/now"));
  EXPECT_FALSE(make_new_directory(parent + "/now-2"));
}

TEST_F(SavedBackup, HoldsNoFileThatOnlyLooksLikeWal) {
  write("secret", "root's");
  fs::create_directories(path_ / "pg_wal");
  fs::create_symlink(path_ / "secret", path_ / "pg_wal/A");
  ASSERT_EQ(::mkfifo((path_ / "pg_wal/B").c_str(), 0600), 0);
  for (const std::string name : {"A", "B"}) {
    const std::string directory = path_ / ("saved " + name);
    EXPECT_FALSE(
        save_backup_files(directory, {"label", "", path_ / "pg_wal", {name}}, Deadline::in(std::chrono::seconds(10))));
    EXPECT_FALSE(fs::exists(directory + "/complete"));
  }
}

TEST_F(SavedBackup, KeepsTheLabelWhenWalIsGone) {
  const std::string directory = path_ / "saved";
  const auto saved = save_backup_files(directory, {"label", "", path_, {"A"}}, Deadline::in(std::chrono::seconds(10)));
  ASSERT_FALSE(saved);
  EXPECT_THAT(saved.error().message, HasSubstr("/A"));
  EXPECT_EQ(read("saved/backup_label"), "label");
  EXPECT_FALSE(fs::exists(path_ / "saved/tablespace_map"));
  EXPECT_FALSE(fs::exists(path_ / "saved/complete"));
}

TEST_F(SavedBackup, StopsAtTheDeadline) {
  write("A", "wal");
  EXPECT_FALSE(save_backup_files(path_ / "saved", {"label", "", path_, {"A"}}, Deadline::in(std::chrono::seconds(0))));
}

TEST(ConnectionOptions, AreThoseOfAStringOrUri) {
  const auto options = ConnectionOptions::parse("postgresql://ann@/sales?host=/run/postgresql&port=5433");
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_TRUE(options->has("host"));
  EXPECT_TRUE(options->has("user"));
  EXPECT_FALSE(options->has("service"));
}

TEST(ConnectionOptions, KeepWhatIsSet) {
  auto options = ConnectionOptions::parse("port=5433");
  ASSERT_TRUE(options);
  options->set_default("port", "1");
  options->set_default("user", "ann");
  EXPECT_THAT(options->all(), ElementsAre(testing::Pair("port", "5433"), testing::Pair("user", "ann")));
}

TEST(ConnectionOptions, HoldNoSecret) {
  const auto options = ConnectionOptions::parse("user=ann password=geheim");
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().message, HasSubstr("passfile"));
  EXPECT_THAT(options.error().message, testing::Not(HasSubstr("geheim")));
}

TEST(ConnectionOptions, OfNoSenseAreAnError) {
  EXPECT_THAT(ConnectionOptions::parse("hots=a").error().message, HasSubstr("hots"));
}

}  // namespace
}  // namespace dlm_freeze::postgresql
