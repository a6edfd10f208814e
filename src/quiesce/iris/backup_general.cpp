// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/backup_general.hpp"

#include "quiesce/literal.hpp"

namespace dlm_freeze::iris {
namespace {

std::string call(const std::string& method, const std::string& arguments) {
  return "##Class(Backup.General)." + method + "(" + arguments + ")";
}

}  // namespace

std::string objectscript_literal(const std::string& text) { return literal(text, '"'); }

std::string is_suspended_call() { return call("IsWDSuspendedExt", ""); }

std::string freeze_call(const std::string& log_file, const std::string& marker, std::chrono::seconds block_after,
                        std::optional<std::chrono::seconds> suspend_limit) {
  // LogFile, Text, SwitchJournalFile, TimeOut, Hibernate, Verbose, ExternalFreezeTimeOut, Username, Password,
  // WDSuspendLimit
  return call("ExternalFreeze", objectscript_literal(log_file) + "," + objectscript_literal(marker) + ",,,,," +
                                    std::to_string(block_after.count()) +
                                    (suspend_limit ? ",,," + std::to_string(suspend_limit->count()) : ""));
}

bool has_too_many_arguments(std::string_view output) { return output.find("<PARAMETER>") != std::string_view::npos; }

std::string thaw_call(const std::string& log_file) { return call("ExternalThaw", objectscript_literal(log_file)); }

std::string set_history_call(const std::string& log_file, const std::string& description) {
  return call("ExternalSetHistory", objectscript_literal(log_file) + "," + objectscript_literal(description));
}

}  // namespace dlm_freeze::iris
