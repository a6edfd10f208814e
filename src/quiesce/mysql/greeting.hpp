// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "quiesce/mysql/client_library.hpp"
#include "quiesce/mysql/connection.hpp"

namespace dlm_freeze::mysql {

/// What a server sends first, unasked, says about TLS.
enum class Greeting {
  incomplete,
  offers_tls,
  lacks_tls,
  refuses,  ///< No greeting but an error: "Too many connections", say.
};

/// Of the bytes that have come so far. (MySQL's documentation of the protocol: Protocol::HandshakeV10.)
[[nodiscard]] Greeting judge_greeting(std::string_view bytes);

[[nodiscard]] SqlError no_tls_error();

/// Lets GreetingGuard see what the library receives, if that is MariaDB's; Oracle's needs none. Once, before there is a
/// connection.
void watch_greetings(const ClientLibrary& library);

/// While it lives, nothing is sent to a server that this thread logs in to before its greeting has offered TLS.
/// MariaDB's library goes on in the clear with one that has none, whatever is enforced, and takes the connection for
/// encrypted: it gives the password as it is to whoever asks in the way of caching_sha2_password, MySQL's default.
class GreetingGuard {
 public:
  GreetingGuard();
  GreetingGuard(const GreetingGuard&) = delete;
  GreetingGuard& operator=(const GreetingGuard&) = delete;
  ~GreetingGuard();

  /// What the greeting says about why the log-in failed, else what the library said: that calls an error in the place
  /// of a greeting one of the connection.
  [[nodiscard]] SqlError explained(SqlError error) const;

  /// Called for whatever the library received.
  void received(ClientHandle* handle, std::string_view bytes);

 private:
  std::string greeting_;
  Greeting verdict_ = Greeting::incomplete;
};

}  // namespace dlm_freeze::mysql
