// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/diagnosis.hpp"

#include "quiesce/mysql/client_library.hpp"

namespace dlm_freeze::mysql {

std::string Diagnosis::advice(unsigned code, std::string_view privilege) const {
  switch (code) {
    case kTooManyConnections:
    case kTooManyUserConnections:
    case kUserLimitReached:
      return "; two connections are needed: raise the limit, or end some that are idle (SHOW PROCESSLIST)";
    case kNodeNotReady:
      return "; the node is cut off from its cluster, or joining it: try again when it is synced";
    case kPrivilegeMissing:
      if (!account_.empty()) {
        const std::size_t at = account_.rfind('@');
        return "; GRANT " + std::string(privilege) + " ON *.* TO " + string_literal(account_.substr(0, at)) + "@" +
               string_literal(account_.substr(at + 1)) +
               "; or everything it needs: " + account_statements(maker_, account_.substr(0, at));
      }
      [[fallthrough]];
    case kAccessDenied:
    case kAccessDeniedNoPassword:
    case kHostNotAllowed:
    case kPluginNotLoaded:
    case kPasswordExpired:
    case kPasswordExpiredLogin:
    case kAccountLocked:
      return "; create an account for it, MariaDB: " + account_statements(Maker::mariadb, user_) +
             " MySQL: " + account_statements(Maker::mysql, user_);
    case kGivenUp:
    case kServerShutdown:
    case kServerGone:
    case kServerLost:
      return "; it is starting, shutting down or overloaded: see its error log, and try again";
    case kConnectionError:
    case kHostError:
      return "; start it, or correct the address in the configuration";
    case kClientPluginMissing:
      return "; " + client_library()->name +
             " lacks that plugin: install it (Debian: mysql-client-core), or MariaDB's library (libmariadb3)";
    default:
      return "";
  }
}

Failure Diagnosis::from(const std::string& action, const SqlError& error, std::string_view privilege) const {
  const std::string number = error.code != kGivenUp ? " (error " + std::to_string(error.code) + ")" : "";
  return not_ready(action + ": " + error.message + number + advice(error.code, privilege));
}

}  // namespace dlm_freeze::mysql
