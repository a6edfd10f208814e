// SPDX-License-Identifier: Apache-2.0
// tests/data/config has one file for each thing that can be right or wrong in a configuration:
//
//   good/            read without an error
//   bad/             refused, with the message that the comment in their first line begins; also by the JSON schema
//   beyond_schema/   the same, but a JSON schema cannot say it
//   bad_together/    each option of it is right, and the type of the first quiescer refuses it with that message; also
//                    by the JSON schema
//
// check-config-schema.py checks the same files against packaging/config.schema.json.
#include "cli/config_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::content_of;
using fakes::Scratch;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::string kCorpus = std::string(DLM_FREEZE_TEST_DATA) + "/config/";
const std::string kPackaging = std::string(DLM_FREEZE_TEST_DATA) + "/../../packaging/";

Result<FileSettings> parse(std::string_view text) {
  QuiescerRegistry registry(builtin_quiescer_types(), module_quiescer_types(), DLM_FREEZE_MODULES);
  return parse_config(text, registry);
}

FileSettings parsed(std::string_view text) {
  auto settings = parse(text);
  EXPECT_TRUE(settings) << settings.error().message;
  return settings ? std::move(*settings) : FileSettings();
}

std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// What a file says of itself: "// <message>".
std::string expected_message(const std::string& text) {
  const std::string first_line = text.substr(0, text.find('\n'));
  return first_line.starts_with("// ") ? first_line.substr(3) : "no message in the first line";
}

TEST(ConfigCorpus, IsReadWhereItIsGood) {
  for (const std::string& path : files_in(kCorpus + "good")) {
    const auto settings = parse(content_of(path));
    EXPECT_TRUE(settings) << path << ": " << settings.error().message;
  }
}

TEST(ConfigCorpus, IsRefusedWithKeyAndLineWhereItIsBad) {
  for (const char* directory : {"bad", "beyond_schema"}) {
    for (const std::string& path : files_in(kCorpus + directory)) {
      const std::string text = content_of(path);
      const auto settings = parse(text);
      ASSERT_FALSE(settings) << path;
      EXPECT_THAT(settings.error().message, StartsWith(expected_message(text))) << path;
      EXPECT_EQ(settings.error().kind, ErrorKind::configuration) << path;
    }
  }
}

TEST(ConfigFile, IsNotWhatIsWrongWhereAModuleIsNotInstalled) {
  QuiescerRegistry registry(builtin_quiescer_types(), module_quiescer_types(), "/nowhere");
  const auto settings = parse_config("{ \"quiescers\": [\n{ \"type\": \"mysql\" }] }", registry);
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().kind, ErrorKind::failed);
  EXPECT_THAT(settings.error().message,
              StartsWith("line 2: quiescers[0].type: the module for mysql is not installed (/nowhere/"));
}

TEST(ConfigCorpus, IsRefusedByTheTypeWhereItsOptionsAreBadTogether) {
  for (const std::string& path : files_in(kCorpus + "bad_together")) {
    const std::string text = content_of(path);
    const FileSettings settings = parsed(text);
    ASSERT_TRUE(settings.quiescers) << path;
    QuiescerRegistry registry(builtin_quiescer_types(), {}, "/nowhere");
    const auto type = registry.find(settings.quiescers->at(0).type);
    ASSERT_TRUE(type) << path;
    const auto quiescer = make_quiescer(**type, settings.quiescers->at(0));
    ASSERT_FALSE(quiescer) << path;
    EXPECT_EQ(quiescer.error().message, expected_message(text)) << path;
  }
}

/// The names in a list of strings, or of the members of an object.
std::vector<std::string> names_in(const Json* json) {
  std::vector<std::string> names;
  if (json != nullptr && json->as_object() != nullptr) {
    for (const auto& [name, value] : *json->as_object()) names.push_back(name);
  }
  if (json != nullptr && json->as_array() != nullptr) {
    for (const Json& element : *json->as_array()) names.push_back(*element.as_string());
  }
  return names;
}

TEST(ConfigSchema, KnowsTheOptionsOfEveryType) {
  const auto schema = Json::parse(content_of(kPackaging + "config.schema.json"));
  ASSERT_TRUE(schema) << schema.error().message;
  QuiescerRegistry registry(builtin_quiescer_types(), module_quiescer_types(), DLM_FREEZE_MODULES);
  for (const std::string_view name : registry.names()) {
    const auto found = registry.find(name);
    ASSERT_TRUE(found) << found.error().message;
    const QuiescerType* const type = *found;
    const Json* definition = schema->find("definitions")->find(type->name);
    ASSERT_NE(definition, nullptr) << type->name;
    std::vector<std::string> options = {"type", "name", "required"};
    std::vector<std::string> mandatory;
    for (const OptionSpec& option : type->options) {
      options.emplace_back(option.name);
      if (option.mandatory) mandatory.emplace_back(option.name);
      const Json* property = definition->find("properties")->find(option.name);
      ASSERT_NE(property, nullptr) << option.name;
      EXPECT_THAT(names_in(property->find("enum")),
                  testing::ElementsAreArray(std::vector<std::string>(option.choices.begin(), option.choices.end())));
      if (option.type != OptionType::integer) continue;
      EXPECT_EQ(*property->find("minimum")->as_integer(), option.range.minimum) << option.name;
      EXPECT_EQ(*property->find("maximum")->as_integer(), option.range.maximum) << option.name;
    }
    EXPECT_THAT(names_in(definition->find("properties")), testing::UnorderedElementsAreArray(options));
    EXPECT_THAT(names_in(definition->find("required")), testing::UnorderedElementsAreArray(mandatory));
  }
}

TEST(ConfigExample, IsRead) {
  const FileSettings settings = parsed(content_of(kPackaging + "config.example.json"));
  ASSERT_TRUE(settings.quiescers);
  EXPECT_EQ(settings.quiescers->size(), 1U);
}

TEST(ConfigExample, ShowsTheDefaults) {
  const FileSettings example = parsed(content_of(kPackaging + "config.example.json"));
  const Settings defaults;
  EXPECT_EQ(example.auto_thaw, defaults.auto_thaw);
  EXPECT_EQ(example.timeout, defaults.timeout);
  EXPECT_EQ(example.filesystems.freeze, defaults.filesystems.freeze);
  EXPECT_EQ(example.filesystems.include, defaults.filesystems.include);
  EXPECT_EQ(example.filesystems.exclude, defaults.filesystems.exclude);
  EXPECT_EQ(example.filesystems.protect, defaults.filesystems.protect);
}

TEST(Config, SaysNothingWhenItIsEmpty) {
  const FileSettings settings = parsed("{}");
  EXPECT_FALSE(settings.auto_thaw);
  EXPECT_FALSE(settings.timeout);
  EXPECT_FALSE(settings.quiescers) << "detect them";
  EXPECT_TRUE(settings.filesystems.freeze);
  EXPECT_THAT(settings.filesystems.include, IsEmpty());
  EXPECT_THAT(settings.filesystems.exclude, IsEmpty());
  EXPECT_EQ(settings.filesystems.protect, Settings().filesystems.protect);
}

TEST(Config, SetsTheTimes) {
  const FileSettings settings = parsed(R"({"auto_thaw_seconds": 3600, "timeout_seconds": 120})");
  EXPECT_EQ(settings.auto_thaw, seconds(3600));
  EXPECT_EQ(settings.timeout, seconds(120));
}

TEST(Config, PromisesALongestStall) {
  EXPECT_FALSE(parsed("{}").max_stall);
  EXPECT_EQ(parsed(R"({"max_stall_seconds": 2})").max_stall, seconds(2));
  EXPECT_EQ(parsed(R"({"max_stall_seconds": 0.25})").max_stall, std::chrono::milliseconds(250));
}

TEST(Config, ChoosesWhatIsLimited) {
  EXPECT_EQ(parsed("{}").dirty_limit, DirtyLimitMode::devices);
  EXPECT_EQ(parsed(R"({"dirty_limit": "host"})").dirty_limit, DirtyLimitMode::host);
  EXPECT_EQ(parsed(R"({"dirty_limit": "none"})").dirty_limit, DirtyLimitMode::none);
}

TEST(Config, SelectsFilesystems) {
  const FileSettings settings = parsed(R"({"filesystems": {"freeze": false, "include": ["/a", "/b/*"],
                                                           "exclude": ["/c"], "protect": ["/d"]}})");
  EXPECT_FALSE(settings.filesystems.freeze);
  EXPECT_THAT(settings.filesystems.include, ElementsAre("/a", "/b/*"));
  EXPECT_THAT(settings.filesystems.exclude, ElementsAre("/c"));
  EXPECT_THAT(settings.filesystems.protect, ElementsAre("/d")) << "in place of the default";
}

TEST(Config, TakesATrailingSlashForNone) {
  const FileSettings settings = parsed(R"({"filesystems": {"include": ["/data/", "/"]}})");
  EXPECT_THAT(settings.filesystems.include, ElementsAre("/data", "/"));
}

TEST(Config, MeansNoQuiescersByAnEmptyList) {
  const FileSettings settings = parsed(R"({"quiescers": []})");
  ASSERT_TRUE(settings.quiescers);
  EXPECT_THAT(*settings.quiescers, IsEmpty());
}

TEST(Config, NamesAQuiescerAfterItsTypeAndRequiresIt) {
  const FileSettings settings =
      parsed(R"({"quiescers": [{"type": "command", "freeze": ["/bin/a", "x"], "thaw": ["/bin/b"]}]})");
  ASSERT_TRUE(settings.quiescers);
  ASSERT_EQ(settings.quiescers->size(), 1U);
  const QuiescerConfig& config = settings.quiescers->front();
  EXPECT_EQ(config.type, "command");
  EXPECT_EQ(config.name, "command");
  EXPECT_TRUE(config.required);
  EXPECT_THAT(names_in(&config.options), ElementsAre("freeze", "thaw")) << "the type is none of its own options";
}

TEST(Config, SetsNameRequiredAndOptionsOfAQuiescer) {
  const FileSettings settings = parsed(R"({"quiescers": [{"type": "command", "name": "db", "required": false,
      "freeze": ["/bin/a"], "thaw": ["/bin/b"], "timeout_seconds": 7}]})");
  const QuiescerConfig& config = settings.quiescers->front();
  EXPECT_EQ(config.name, "db");
  EXPECT_FALSE(config.required);
  EXPECT_EQ(*config.options.find("timeout_seconds")->as_integer(), 7);
}

// The file.

class ConfigFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "they have to belong to root";
  }
  [[nodiscard]] Result<FileSettings> read(const std::string& path, bool may_be_absent = false) {
    return read_config(path, may_be_absent, registry_);
  }

  Scratch scratch_;
  QuiescerRegistry registry_{builtin_quiescer_types(), {}, "/nowhere"};
};

TEST_F(ConfigFiles, AreRead) {
  const auto settings = read(scratch_.write("config.json", R"({"timeout_seconds": 5})"));
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->timeout, seconds(5));
}

TEST_F(ConfigFiles, MayBeAbsentUnlessTheyWereNamed) {
  EXPECT_TRUE(read(scratch_ / "absent.json", true));
  EXPECT_TRUE(read("/nowhere/at/all/config.json", true));
  const auto named = read(scratch_ / "absent.json", false);
  ASSERT_FALSE(named);
  EXPECT_THAT(named.error().message, AllOf(HasSubstr(scratch_ / "absent.json"), HasSubstr("No such file")));
}

TEST_F(ConfigFiles, AreNamedInTheirErrors) {
  const std::string path = scratch_.write("config.json", "{\n  \"timeout\": 5\n}");
  EXPECT_EQ(read(path).error().message, path + ": line 2: timeout is not known");
}

TEST_F(ConfigFiles, AreRefusedWhenOthersMayWriteThem) {
  const std::string path = scratch_.write("config.json", "{}");
  ::chmod(path.c_str(), 0666);
  EXPECT_EQ(read(path).error().message,
            "the configuration is refused: " + path + " is writable by users other than root: chmod go-w " + path);
  EXPECT_FALSE(read(path, true)) << "also the default one";
}

TEST_F(ConfigFiles, AreRefusedWhenTheyBelongToSomebodyElse) {
  const std::string path = scratch_.write("config.json", "{}");
  ASSERT_EQ(::chown(path.c_str(), 65534, 0), 0);
  EXPECT_THAT(read(path).error().message, HasSubstr("is owned by uid 65534"));
}

TEST_F(ConfigFiles, AreRefusedWhereADirectoryAboveThemIsOpen) {
  const std::string path = scratch_.write("etc/config.json", "{}");
  ::chmod((scratch_ / "etc").c_str(), 0777);
  EXPECT_THAT(read(path).error().message, HasSubstr(scratch_ / "etc is writable"));
}

TEST_F(ConfigFiles, AreNotAbsentWhereALinkLeadsNowhere) {
  std::filesystem::create_symlink(scratch_ / "absent.json", scratch_ / "link.json");
  EXPECT_THAT(read(scratch_ / "link.json", true).error().message, HasSubstr("No such file"));
  std::filesystem::create_symlink(scratch_ / "absent", scratch_ / "etc");
  EXPECT_FALSE(read(scratch_ / "etc/config.json", true)) << "a directory on the way";
  EXPECT_FALSE(read(scratch_ / "etc/dlm-freeze/config.json", true));
}

TEST_F(ConfigFiles, AreReadThroughALinkFromWhatItLeadsTo) {
  const std::string path = scratch_.write("real/config.json", R"({"timeout_seconds": 5})");
  std::filesystem::create_symlink(path, scratch_ / "link.json");
  EXPECT_TRUE(read(scratch_ / "link.json"));
  ::chmod((scratch_ / "real").c_str(), 0777);
  EXPECT_THAT(read(scratch_ / "link.json").error().message, HasSubstr(scratch_ / "real is writable"));
}

TEST_F(ConfigFiles, AreCheckedOnWhatIsRead) {
  // One file that may be read and one that may not take turns under the same name: what is read is never the latter.
  const std::string good = scratch_.write("good/config.json", R"({"timeout_seconds": 5})");
  const std::string bad = scratch_.write("bad/config.json", R"({"timeout_seconds": 66})");
  ::chmod(bad.c_str(), 0666);
  const std::string link = scratch_ / "config.json";
  std::filesystem::create_symlink(good, link);
  const pid_t swapper = fakes::start_child([&] {
    for (;;) {
      for (const std::string& target : {bad, good}) {
        ::unlink((link + ".new").c_str());
        if (::symlink(target.c_str(), (link + ".new").c_str()) != 0) return 1;
        if (::rename((link + ".new").c_str(), link.c_str()) != 0) return 2;
      }
    }
  });
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto settings = read(link);
    if (settings) {
      EXPECT_EQ(settings->timeout, seconds(5));
    } else {
      ++refused;
    }
  }
  ::kill(swapper, SIGKILL);
  static_cast<void>(fakes::status_of(swapper));
  EXPECT_GT(refused, 0) << "the two never changed places";
}

TEST_F(ConfigFiles, AreNoFifosAndNobodyWaitsForOne) {
  ASSERT_EQ(::mkfifo((scratch_ / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(read(scratch_ / "fifo").error().message, HasSubstr("is a FIFO"));
  EXPECT_FALSE(read(scratch_ / "fifo", true));
}

TEST_F(ConfigFiles, AreNoDirectories) { EXPECT_FALSE(read(scratch_.path())); }

}  // namespace
}  // namespace dlm_freeze
