// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "fakes/fake_databases.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::FakeDatabases;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const QuiescerType& found_type() {
  static const QuiescerType kType = {
      .name = "found",
      .description = "is always found",
      .options = {},
      .create = nullptr,
      .detect =
          [] {
            return std::vector<QuiescerConfig>{{"found", "one", false, Json::Object()},
                                               {"found", "two", false, Json::Object()}};
          },
  };
  return kType;
}

TEST(Registry, HasTheTypesOfTheProgram) {
  QuiescerRegistry registry(builtin_quiescer_types(), module_quiescer_types(), "/nowhere");
  const auto command = registry.find("command");
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_EQ((*command)->name, "command");
  const auto names = registry.names();
  EXPECT_NE(std::find(names.begin(), names.end(), "command"), names.end());
}

TEST(Registry, DescribesEveryOptionOfEveryType) {
  for (const QuiescerType* type : builtin_quiescer_types()) {
    EXPECT_FALSE(type->description.empty()) << type->name;
    EXPECT_NE(type->create, nullptr) << type->name;
    for (const OptionSpec& option : type->options) {
      EXPECT_TRUE(option.description.ends_with('.')) << type->name << "." << option.name;
      if (option.type == OptionType::integer) {
        EXPECT_LT(option.range.minimum, option.range.maximum) << type->name << "." << option.name;
      }
    }
  }
}

TEST(Registry, SaysWhichTypesThereAreForOneThatThereIsNot) {
  QuiescerRegistry registry({&found_type(), &FakeDatabases::type()}, {{"oracle", {}}}, "/nowhere");
  const auto type = registry.find("mongo");
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().message, "there is no quiescer of type 'mongo'; there are: found, fake, oracle");
}

TEST(Registry, SaysWhichPackageAModuleIsIn) {
  QuiescerRegistry registry({}, {{"mysql", {}}}, "/nowhere/modules");
  const auto type = registry.find("mysql");
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().message,
            "the module for mysql is not installed (/nowhere/modules/quiesce-mysql.so): install the package "
            "dlm-freeze-mysql");
}

/// The sample module, in a directory that root alone can write.
class RegistryWithASample : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "a module has to belong to root";
    install("quiesce-flag_file.so");
  }
  void install(const std::string& name) const {
    scratch_.write(name, fakes::content_of(DLM_FREEZE_SAMPLE_MODULE));
    ::chmod((scratch_ / name).c_str(), 0644);
  }
  [[nodiscard]] std::string error_for(const std::string& name) const {
    QuiescerRegistry registry({}, {}, scratch_.path());
    const auto type = registry.find(name);
    return type ? "none" : type.error().message;
  }
  fakes::Scratch scratch_;
};

TEST_F(RegistryWithASample, FindsAModuleItHasNotHeardOf) {
  QuiescerRegistry registry({}, {}, scratch_.path());
  const auto type = registry.find("flag_file");
  ASSERT_TRUE(type) << type.error().message;
  EXPECT_EQ((*type)->name, "flag_file");
  EXPECT_THAT(registry.names(), ElementsAre("flag_file"));
  EXPECT_EQ(*registry.find("flag_file"), *type) << "loaded once";

  const std::string flag = scratch_ / "flag";
  const QuiescerConfig config{"flag_file", "app", true, Json::Object{{"path", flag}}};
  ASSERT_TRUE(check_options(**type, config.options, "quiescers[0]"));
  auto quiescer = make_quiescer(**type, config);
  ASSERT_TRUE(quiescer) << quiescer.error().message;
  StageContext context{
      Deadline::in(std::chrono::seconds(5)), -1, "None", [](const std::string&) { return Coverage(); }, {}};
  EXPECT_TRUE((*quiescer)->probe(context));
  EXPECT_TRUE((*quiescer)->quiesce(context));
  EXPECT_EQ(::access(flag.c_str(), F_OK), 0);
  EXPECT_TRUE((*quiescer)->release(context, Outcome::completed));
  EXPECT_NE(::access(flag.c_str(), F_OK), 0);
}

TEST_F(RegistryWithASample, RefusesOneThatOthersMayChange) {
  ::chmod((scratch_ / "quiesce-flag_file.so").c_str(), 0666);
  EXPECT_EQ(error_for("flag_file"), "the module for flag_file is refused: " + (scratch_ / "quiesce-flag_file.so") +
                                        " is writable by users other than root: chmod go-w " +
                                        (scratch_ / "quiesce-flag_file.so"));
}

TEST_F(RegistryWithASample, RefusesOneWithTheNameOfAnother) {
  install("quiesce-other.so");
  EXPECT_EQ(error_for("other"), (scratch_ / "quiesce-other.so") + " holds the type 'flag_file': rename it accordingly");
}

TEST_F(RegistryWithASample, TakesNoPathForAName) {
  install("sub/quiesce-x.so");
  for (const char* name : {"../flag_file", "x/../flag_file", "Flag_File", "flag_file.so", "flag file", ""}) {
    EXPECT_EQ(error_for(name), "there is no quiescer of type '" + std::string(name) + "'; there are: ");
  }
}

TEST(Registry, RefusesAModuleThatIsNone) {
  const fakes::Scratch scratch;
  scratch.write("quiesce-mysql.so", "this is no shared object");
  QuiescerRegistry registry({}, {{"mysql", {}}}, scratch.path());
  const auto type = registry.find("mysql");
  ASSERT_FALSE(type);
  EXPECT_THAT(type.error().message, HasSubstr("cannot load " + (scratch / "quiesce-mysql.so")));
}

TEST(Registry, FindsAModuleTypeThatIsBuiltInWithoutItsModule) {
  QuiescerRegistry registry({&FakeDatabases::type()}, {{"fake", {}}}, "/nowhere");
  EXPECT_TRUE(registry.find("fake"));
  EXPECT_THAT(registry.names(), ElementsAre("fake"));
}

TEST(Detection, AsksEveryTypeThatCanDetect) {
  QuiescerRegistry registry({&found_type(), &FakeDatabases::type()}, {}, "/nowhere");
  const auto found = registry.detect();
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ((*found)[0].name, "one");
  EXPECT_EQ((*found)[1].name, "two");
}

TEST(Detection, FailsWhenADatabaseIsThereAndItsModuleIsNot) {
  const fakes::Scratch scratch;
  const std::string sign = scratch.write("run/mysqld.sock", "");
  const std::string pattern = scratch / "run/*.sock";
  QuiescerRegistry registry({}, {{"mysql", {"/nowhere/*", pattern}}}, "/nowhere/modules");
  const auto found = registry.detect();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("found " + sign + ": the module for mysql is not installed"));
}

TEST(Detection, BelievesNoSignThatAnybodyCouldHaveMade) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs to make files of others";
  const fakes::Scratch scratch;
  const std::string sign = scratch.write("tmp/mysql.sock", "");
  ASSERT_EQ(::chmod((scratch / "tmp").c_str(), 01777), 0);
  ASSERT_EQ(::lchown(sign.c_str(), 65534, 65534), 0);
  QuiescerRegistry registry({}, {{"mysql", {sign}, {"mysql"}}}, "/nowhere/modules");
  EXPECT_TRUE(registry.detect());
  ASSERT_EQ(::lchown(sign.c_str(), 0, 0), 0);
  EXPECT_FALSE(registry.detect());
}

TEST(Detection, DoesNotNeedTheModuleOfADatabaseThatIsNotThere) {
  QuiescerRegistry registry({}, {{"mysql", {"/nowhere/*.sock"}}}, "/nowhere/modules");
  const auto found = registry.detect();
  ASSERT_TRUE(found);
  EXPECT_THAT(*found, IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze
