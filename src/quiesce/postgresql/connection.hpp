// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "quiesce/foreign_server.hpp"
#include "quiesce/postgresql/account.hpp"
#include "quiesce/postgresql/connection_options.hpp"

struct pg_conn;  // libpq's

namespace dlm_freeze::postgresql {

/// What a server answers to a statement.
struct Reply {
  std::string sql_state;                       ///< "57014"; empty when the statement succeeded.
  std::string message;                         ///< The server's, when it did not.
  std::vector<std::vector<std::string>> rows;  ///< Null is an empty text.

  [[nodiscard]] bool ok() const { return sql_state.empty(); }
};

/// Where a server listens.
struct Endpoint {
  std::string host;  ///< A directory when it begins with '/', else a name or an address.
  std::string port;

  [[nodiscard]] bool is_socket() const { return host.starts_with('/'); }
  /// "/run/postgresql/.s.PGSQL.5432"
  [[nodiscard]] std::string socket() const { return host + "/.s.PGSQL." + port; }
};

/// Asks libpq where `options` lead, and whether somebody listens there. Nothing is said to the server.
struct Reached {
  Endpoint endpoint;
  std::string problem;  ///< Why nobody can be reached; empty when somebody listens.
};
[[nodiscard]] Result<Reached> reach(const ConnectionOptions& options, const std::optional<Account>& account,
                                    const Patience& patience);

/// A session with a server. Everything waits by poll, so that a deadline or a cancellation is kept to the millisecond;
/// only the look-up of a host name is not under its control. Closing it is never slow: a statement that is still
/// running is left to the server, which ends it by its time-out, and from version 14 on when it notices that the client
/// is gone.
class Connection {
 public:
  /// Logs in, as `account` if the server is local, to a session with the settings of session_settings.hpp. Any failure
  /// is of kind not_ready: also that it is a connection pooler that answers, whose sessions are those of applications,
  /// or at a local socket a process of neither root nor `server`.
  [[nodiscard]] static Result<Connection> open(const ConnectionOptions& options, const std::optional<Account>& account,
                                               std::optional<uid_t> server, const Patience& patience);

  /// The same for a server in another mount namespace, at a socket as it names it: the process that listens there has
  /// to be that server.
  [[nodiscard]] static Result<Connection> open(ConnectionOptions options, const std::optional<Account>& account,
                                               const ForeignServer& server, const std::string& socket,
                                               const Patience& patience);

  /// Runs one statement. An error here means that no answer came (not_ready; failed when cancelled): the session is
  /// of no use any more. A statement that the server refuses is a Reply.
  [[nodiscard]] Result<Reply> run(const std::string& statement, const Patience& patience);

  /// The only row of a statement that gives one. A statement that the server refuses is an error, of kind not_ready
  /// when it is the server's state that forbids it.
  [[nodiscard]] Result<std::vector<std::string>> row(const std::string& statement, const Patience& patience);

  [[nodiscard]] int version() const;  ///< 150020

  /// Readable once the server has closed the connection. The socket itself would also be readable for what a server
  /// says unasked, such as the new value of a setting.
  [[nodiscard]] int loss_fd() const { return loss_.get(); }

 private:
  struct Close {
    void operator()(pg_conn* connection) const noexcept;
  };
  using Handle = std::unique_ptr<pg_conn, Close>;
  friend Result<Reached> reach(const ConnectionOptions& options, const std::optional<Account>& account,
                               const Patience& patience);

  explicit Connection(Handle handle) : handle_(std::move(handle)) {}
  static Handle start(const ConnectionOptions& options);
  [[nodiscard]] static Result<Handle> start_aside(const ConnectionOptions& options,
                                                  const std::optional<Account>& account, const Patience& patience);
  /// `check_peer` is asked whether it is the server that listens, before anything is said to it.
  [[nodiscard]] static Result<Handle> log_in(Handle handle, const Patience& patience,
                                             const std::function<Result<void>(int socket)>& check_peer);
  [[nodiscard]] static Result<Connection> begin_session(Result<Handle> handle, const Patience& patience);
  [[nodiscard]] Result<void> set_up(const Patience& patience);
  [[nodiscard]] Result<void> send(const std::string& statement, const Patience& patience);
  [[nodiscard]] Result<void> await_result(const Patience& patience);
  [[nodiscard]] Failure lost(const std::string& what) const;

  Handle handle_;
  UniqueFd loss_;
};

}  // namespace dlm_freeze::postgresql
