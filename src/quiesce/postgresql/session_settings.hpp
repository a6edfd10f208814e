// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace dlm_freeze::postgresql {

/// What every session of ours runs with, whatever its role, its database, the server's configuration or a service file
/// says: names are looked up where no user of the database can define any, and nothing ends the session or one of its
/// statements behind our back. Given with the connection, as the value of libpq's `options`, so that they hold before
/// the first statement and win over ALTER ROLE and ALTER DATABASE.
[[nodiscard]] std::string startup_settings();

/// The same once more and what only some versions know, as statements for a server of that version (150020).
[[nodiscard]] std::string session_statements(int version);

/// Keeps login triggers from being run (event triggers at login, from version 17 on). A superuser's right: the server
/// refuses the login of any other role that asks for it, and names kLoginTriggers.
inline constexpr const char* kLoginTriggers = "event_triggers";
[[nodiscard]] std::string without_login_triggers();

}  // namespace dlm_freeze::postgresql
