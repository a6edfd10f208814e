// SPDX-License-Identifier: Apache-2.0
#include "record/inventory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <random>

#include "base/text.hpp"
#include "dlm_freeze/base/json.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMostAttributes = 50;
constexpr std::size_t kLongestName = 64;
constexpr std::size_t kLongestValue = 4096;

bool is_utf8(std::string_view text) {
  for (std::size_t size = 0; !text.empty(); text.remove_prefix(size)) {
    if (!first_character(text, size)) return false;
  }
  return true;
}

/// Why the SSM agent would refuse the item, or take less than all of it; empty where it takes it. These are the rules
/// of its gatherer of custom inventory; they are written down here on their own, so that the item cannot follow a wrong
/// one.
std::string refusal_of(const std::string& text) {
  const auto json = Json::parse(text);
  if (!json) return "not JSON: " + json.error().message;
  const Json* type = json->find("TypeName");
  const Json* version = json->find("SchemaVersion");
  const Json* content = json->find("Content");
  if (type == nullptr || type->as_string() == nullptr || !type->as_string()->starts_with("Custom:")) return "the type";
  if (type->as_string()->size() > 100) return "a long type";
  if (version == nullptr || version->as_string() == nullptr) return "the version";
  const std::string& number = *version->as_string();
  const std::size_t dot = number.find('.');
  if (dot == 0 || dot == std::string::npos || dot + 1 == number.size()) return "the form of the version";
  if (content == nullptr || content->as_object() == nullptr) return "the content is no object";
  if (content->as_object()->empty() || content->as_object()->size() > kMostAttributes) return "how many attributes";
  for (const auto& [name, value] : *content->as_object()) {
    if (name.empty() || name.size() > kLongestName || std::isupper(static_cast<unsigned char>(name.front())) == 0)
      return "the name " + name;
    if (value.as_string() == nullptr) return "no string: " + name;
    if (value.as_string()->size() > kLongestValue) return "too long: " + name;
    if (!is_utf8(*value.as_string())) return "not UTF-8: " + name;
  }
  return {};
}

SessionRecord ended(SessionEnd end, int at, std::vector<std::string> problems = {}) {
  SessionRecord record;
  record.execution_id = "11111111-2222-3333-4444-555555555555";
  record.phase = Phase::ended;
  record.end = end;
  record.ended_at = std::chrono::system_clock::from_time_t(at);
  record.problems = std::move(problems);
  return record;
}

TEST(InventoryItem, IsTakenWholeWhateverItsTextsAre) {
  std::mt19937 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same every time.
  const std::vector<std::string> pieces = {"\"",
                                           "\\",
                                           "'",
                                           "\n",
                                           "\t",
                                           "\x1b[31m",
                                           std::string(1, '\0'),
                                           "\x7f",
                                           "\xff\xfe",
                                           "\xc3",
                                           "\xed\xa0\x80",
                                           "ü",
                                           "日本",
                                           "\U0001F600",
                                           "\u202e",
                                           "\u2028",
                                           "{}",
                                           "</x>",
                                           "/srv/data",
                                           "vol-0123456789abcdef0",
                                           ", "};
  const auto some_text = [&](std::size_t most) {
    std::string text;
    for (std::size_t length = random() % most; text.size() < length;) text += pieces[random() % pieces.size()];
    return text;
  };
  for (int round = 0; round < 500; ++round) {
    InventoryItem item;
    item.set("Ready", "no");
    item.set("Reason", some_text(10 * 1024));
    std::string volumes;
    for (std::size_t i = 0; i < 48; ++i) volumes += some_text(200) + ", ";
    item.set("VolumesCovered", volumes);
    item.note_session(ended(SessionEnd::completed, round));
    ASSERT_EQ(refusal_of(item.text()), "") << item.text();
    ASSERT_TRUE(InventoryItem::parse(item.text()));
  }
}

TEST(InventoryItem, KeepsItsLongestValue) {
  InventoryItem item;
  item.set("Reason", std::string(kLongestValue, 'x'));
  EXPECT_EQ(item.get("Reason").size(), kLongestValue);
  item.set("Reason", "begin" + std::string(kLongestValue, 'x') + "end");
  EXPECT_EQ(item.get("Reason").size(), kLongestValue);
  EXPECT_THAT(item.get("Reason"), testing::AllOf(testing::StartsWith("begin"), testing::EndsWith("end")));
}

TEST(InventoryItem, CountsOnlyWhatIsConsistentAsGood) {
  InventoryItem item;
  item.note_session(ended(SessionEnd::completed, 1000));
  EXPECT_EQ(item.get("LastGoodAt"), "1970-01-01T00:16:40Z");
  for (const auto& bad :
       {ended(SessionEnd::auto_thawed, 2000), ended(SessionEnd::rolled_back, 3000),
        ended(SessionEnd::watchdog_lost, 4000), ended(SessionEnd::completed, 5000, {"a lost lock"})}) {
    item.note_session(bad);
    EXPECT_EQ(item.get("LastGoodAt"), "1970-01-01T00:16:40Z");
    EXPECT_EQ(item.get("LastEndedAt"), format_utc(bad.ended_at));
    EXPECT_EQ(item.get("LastOutcome"), to_string(bad.end));
  }
  EXPECT_EQ(item.get("LastProblems"), "1");
}

class Inventories : public testing::Test {
 protected:
  void make(const std::string& path) { std::filesystem::create_directories(scratch_ / path); }

  fakes::Scratch scratch_;
};

TEST_F(Inventories, GoWhereTheAgentLooks) {
  EXPECT_FALSE(find_inventory_directory(scratch_ / "absent", ""));
  make("ipc");
  make("i-0123456789abcdef0");
  const auto unregistered = find_inventory_directory(scratch_.path(), "");
  ASSERT_FALSE(unregistered);
  EXPECT_THAT(unregistered.error().message, HasSubstr("--inventory DIR"));
  make("i-0123456789abcdef0/inventory");
  EXPECT_THAT(find_inventory_directory(scratch_.path(), "").value_or(""),
              testing::EndsWith("i-0123456789abcdef0/inventory/custom"));
}

TEST_F(Inventories, GoToTheDirectoryOfThisHostWhereAnImageBroughtThatOfAnother) {
  make("i-0123456789abcdef0/inventory");
  make("mi-0fedcba9876543210/inventory");
  const auto unclear = find_inventory_directory(scratch_.path(), "i-00000000000000000");
  ASSERT_FALSE(unclear);
  EXPECT_THAT(unclear.error().message, HasSubstr("mi-0fedcba9876543210"));
  EXPECT_THAT(find_inventory_directory(scratch_.path(), "mi-0fedcba9876543210").value_or(""),
              HasSubstr("mi-0fedcba9876543210"));
}

TEST_F(Inventories, AreReplacedWhole) {
  InventoryItem item;
  item.set("ProbedAt", "now");
  const std::string directory = scratch_ / "custom";
  ASSERT_TRUE(write_inventory(directory, item));
  item.set("Ready", "yes");
  ASSERT_TRUE(write_inventory(directory, item));
  EXPECT_EQ(fakes::content_of(directory + "/dlm-freeze.json"), item.text());
  EXPECT_EQ(read_inventory(directory).text(), item.text());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory), {}), 1) << "nothing else is left";
  EXPECT_FALSE(write_inventory(scratch_ / "no/such/directory", item));
}

TEST_F(Inventories, HearOfASessionOnlyWhereAProbeHasMadeThem) {
  const std::string directory = scratch_ / "custom";
  make("custom");
  ASSERT_TRUE(note_in_inventory(directory, ended(SessionEnd::completed, 1000)));
  EXPECT_FALSE(std::filesystem::exists(directory + "/dlm-freeze.json"));
  InventoryItem item;
  item.set("ProbedAt", "then");
  item.set("Ready", "yes");
  ASSERT_TRUE(write_inventory(directory, item));
  ASSERT_TRUE(note_in_inventory(directory, ended(SessionEnd::completed, 1000)));
  const InventoryItem now = read_inventory(directory);
  EXPECT_EQ(now.get("LastGoodAt"), "1970-01-01T00:16:40Z");
  EXPECT_EQ(now.get("ProbedAt"), "then");
  EXPECT_EQ(now.get("Ready"), "yes");
}

TEST_F(Inventories, BeginAnewWhereTheFileIsSomethingElse) {
  make("custom");
  for (const char* text : {"", "[]", "{}", R"({"TypeName": "Custom:Other", "Content": {}})", "{\"TypeName\""}) {
    scratch_.write("custom/dlm-freeze.json", text);
    EXPECT_EQ(read_inventory(scratch_ / "custom").get("ProbedAt"), "") << text;
  }
}

}  // namespace
}  // namespace dlm_freeze
