// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// What happened is over, and the snapshots that were taken inside it are consistent.
[[nodiscard]] bool was_good(const SessionRecord& record);

/// What AWS Systems Manager's inventory shows of this host: one item of the custom type "Custom:DlmFreeze", in a file
/// that the SSM agent uploads (packaging/inventory.schema.json).
///
/// The agent drops an item that breaks one of its rules without a word to anybody, so this one cannot break them: a
/// flat object of at most 50 attributes, each a string of at most 4,096 bytes of UTF-8 (amazon-ssm-agent,
/// agent/plugins/inventory/gatherers/custom).
class InventoryItem {
 public:
  static constexpr std::size_t kLongestValue = 4096;
  static constexpr std::string_view kFileName = "dlm-freeze.json";

  /// The item in the text of such a file. Errors: it is none.
  [[nodiscard]] static Result<InventoryItem> parse(std::string_view text);

  /// Sets an attribute, or replaces it. `value` may be any bytes: control characters and what is not UTF-8 are escaped,
  /// and what is too long loses its middle.
  void set(std::string_view attribute, std::string_view value);

  /// Empty when there is no such attribute.
  [[nodiscard]] std::string get(std::string_view attribute) const;

  /// Sets what is known of the last session: LastOutcome and the like. LastGoodAt stays where this one was not good.
  void note_session(const SessionRecord& record);

  /// Takes over what `earlier` knows of the last session.
  void keep_session_of(const InventoryItem& earlier);

  /// The file's content.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::pair<std::string, std::string>> attributes_;
};

/// Where the agent below `agent` looks for custom items. Its last part, `custom`, may be missing. Where several
/// instances have left directories (an image of another host), it is that of `instance`, this host's id. Errors: there
/// is none, or it cannot be told which.
[[nodiscard]] Result<std::string> find_inventory_directory(const std::string& agent, const std::string& instance);

/// Where the SSM agent keeps its state.
inline constexpr const char* kAgentDirectory = "/var/lib/amazon/ssm";

/// "i-0123456789abcdef0", from what the hypervisor says of itself (the asset tag of a Nitro instance); else empty.
[[nodiscard]] std::string instance_id();

/// The item in `directory`; nothing when there is none or it is damaged.
[[nodiscard]] InventoryItem read_inventory(const std::string& directory);

/// The agent's directory, if an item is in it; else empty: whoever wants one has it made by a probe.
[[nodiscard]] std::string inventory_in_use();

/// Replaces the item in `directory`, whole or not at all. Makes the directory, not its parents.
[[nodiscard]] Result<void> write_inventory(const std::string& directory, const InventoryItem& item);

/// Rewrites what the item in `directory`, if there is one, says of the last session. Only after the thaw.
[[nodiscard]] Result<void> note_in_inventory(const std::string& directory, const SessionRecord& record);

}  // namespace dlm_freeze
