// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/table_files.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace dlm_freeze::mysql {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class TableFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/table-files.XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    path_ = fs::canonical(name);
    for (const char* directory : {"data/shop", "data/aria", "more/shop", "whole"})
      fs::create_directories(path_ / directory);
  }
  void TearDown() override { fs::remove_all(path_); }

  void write(const std::string& name, const std::string& text) const { std::ofstream(path_ / name) << text; }

  [[nodiscard]] std::vector<std::string> found(const std::string& root = "") const {
    std::vector<std::string> texts;
    for (const DataLocation& location : find_linked_tables(path_ / "data", root)) {
      EXPECT_EQ(location.role, DataRole::data);
      texts.push_back(location.what + "=" + location.path.substr(path_.string().size()));
    }
    return texts;
  }

  fs::path path_;
};

TEST_F(TableFiles, InTheDataDirectoryAreNoOthers) {
  write("data/shop/t.ibd", "");
  fs::create_symlink("t.ibd", path_ / "data/shop/u.ibd");
  fs::create_symlink(path_ / "data/shop", path_ / "data/same");
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(TableFiles, AreFoundByLinksOfTablesAndOfSchemas) {
  write("more/shop/y.MYD", "");
  fs::create_symlink(path_ / "more/shop/y.MYD", path_ / "data/shop/y.MYD");
  fs::create_symlink(path_ / "more/shop/y.MYI", path_ / "data/shop/y.MYI");
  fs::create_symlink(path_ / "whole", path_ / "data/whole");
  EXPECT_THAT(found(), UnorderedElementsAre("tables of shop=/more/shop", "schema whole=/whole"));
}

TEST_F(TableFiles, AreFoundBehindLinksToLinks) {
  write("whole/y.MYD", "");
  fs::create_symlink(path_ / "whole/y.MYD", path_ / "more/shop/y.MYD");
  fs::create_symlink(path_ / "more/shop/y.MYD", path_ / "data/shop/y.MYD");
  EXPECT_THAT(found(), ElementsAre("tables of shop=/whole"));
}

TEST_F(TableFiles, AreFoundByIslFiles) {
  write("data/shop/t.isl", (path_ / "more/shop/t.ibd").string() + "\n");
  write("data/shop/empty.isl", "");
  ASSERT_EQ(::mkfifo((path_ / "data/shop/trap.isl").c_str(), 0600), 0);
  EXPECT_THAT(found(), ElementsAre("tables of shop=/more/shop"));
}

TEST_F(TableFiles, OfAServerInAChrootAreBelowItsRoot) {
  fs::create_directories(path_ / "jail/more");
  write("data/shop/t.isl", "/more/t.ibd");
  fs::create_symlink("/more/y.MYD", path_ / "data/shop/y.MYD");
  EXPECT_THAT(found(path_ / "jail"), ElementsAre("tables of shop=/jail/more"));
}

TEST(DataFiles, AreToldByTheirNames) {
  for (const char* name :
       {"t.ibd", "y.MYD", "a.MAI", "ibdata1", "undo_001", "binlog.000001", "binlog.index", "000012.sst"})
    EXPECT_TRUE(is_data_file(name)) << name;
  for (const char* name : {"error.log", "mysqld.err", "slow.log", "x.1", "mysqld.pid", "general.log.000"})
    EXPECT_FALSE(is_data_file(name)) << name;
}

TEST(DataFiles, AreInTheirSettingWithASize) {
  EXPECT_THAT(paths_of_data_files("ibdata1:12M;/more/ibdata2:10M:autoextend"), ElementsAre("ibdata1", "/more/ibdata2"));
  EXPECT_THAT(paths_of_data_files(""), IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze::mysql
