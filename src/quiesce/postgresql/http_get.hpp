// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "dlm_freeze/base/error.hpp"
#include "quiesce/postgresql/connection.hpp"

namespace dlm_freeze::postgresql {

/// A server that is asked by HTTP. The address is one in numbers, so that nothing is ever looked up.
struct HttpPlace {
  std::string host;
  std::string port;

  /// "http://127.0.0.1:8008"
  [[nodiscard]] std::string text() const;
};

/// Reads "http://ADDRESS[:PORT]", with nothing behind it but a slash. "localhost" is 127.0.0.1; an address of IPv6
/// stands in brackets. Errors: another scheme, a name that would have to be looked up, no port.
[[nodiscard]] Result<HttpPlace> parse_http_place(std::string_view text, std::string_view default_port);

struct HttpAnswer {
  int status = 0;
  std::string body;
};

/// One request in HTTP/1.0 by a connection of its own, which waits for nothing but by poll. Redirects are not followed;
/// an answer of more than 256 KiB is an error, as is one that is not whole in time (not_ready).
[[nodiscard]] Result<HttpAnswer> http_get(const HttpPlace& place, std::string_view path, const Patience& patience);

}  // namespace dlm_freeze::postgresql
