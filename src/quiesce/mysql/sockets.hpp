// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

namespace dlm_freeze::mysql {

/// Where packages put a server's socket, as globs. X Protocol sockets (mysqlx.sock) do not match.
inline constexpr std::array<std::string_view, 6> kSockets = {
    "/run/mysqld/mysqld*.sock",     // Debian, Ubuntu; several instances too
    "/var/lib/mysql/mysql.sock",    // RHEL, Amazon Linux, Oracle's and Percona's RPMs
    "/var/lib/mysql-*/mysql.sock",  // the same, several instances
    "/run/mysql/mysql.sock",        // SUSE
    "/var/lib/mysqld/mysql.sock",   // older SUSE
    "/tmp/mysql.sock",              // Oracle's tar archives
};

/// The servers' executables.
inline constexpr std::array<std::string_view, 2> kPrograms = {"mysqld", "mariadbd"};

}  // namespace dlm_freeze::mysql
