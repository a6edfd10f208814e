// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/connection.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <cerrno>
#include <mutex>
#include <utility>

#include "base/wait.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "quiesce/postgresql/session_settings.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze::postgresql {
namespace {

/// Classes of SQLSTATE that speak of the server's state and not of the statement: connection exception, invalid
/// authorization, insufficient resources, operator intervention (starting up, shutting down), I/O error.
bool is_servers_state(std::string_view sql_state) {
  return sql_state.starts_with("08") || sql_state.starts_with("28") || sql_state.starts_with("53") ||
         sql_state.starts_with("57") || sql_state.starts_with("58");
}

/// One line of libpq's or the server's words, which come with newlines.
std::string one_line(const char* text) {
  std::string line;
  for (const char* at = text == nullptr ? "" : text; *at != '\0'; ++at) {
    const bool blank = *at == '\n' || *at == '\t' || *at == ' ';
    if (!blank) {
      line += *at;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (line.ends_with(' ')) line.pop_back();
  return line;
}

struct ClearResult {
  void operator()(PGresult* result) const noexcept { ::PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, ClearResult>;

void append_rows(const PGresult* result, std::vector<std::vector<std::string>>& rows) {
  for (int row = 0; row < ::PQntuples(result); ++row) {
    std::vector<std::string>& fields = rows.emplace_back();
    for (int field = 0; field < ::PQnfields(result); ++field) fields.emplace_back(::PQgetvalue(result, row, field));
  }
}

/// Goes on connecting until `reached` or until it has failed, which PQstatus tells.
template <typename Predicate>
Result<void> connect_until(PGconn* connection, const Patience& patience, Predicate reached) {
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (::PQstatus(connection) != CONNECTION_BAD && next != PGRES_POLLING_FAILED && !reached(next)) {
    const short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (auto ready = await_server(::PQsocket(connection), events, patience); !ready) return ready;
    next = ::PQconnectPoll(connection);
  }
  return {};
}

constexpr const char* kPoolerAdvice =
    ": a connection pooler answers, whose sessions are those of applications: name the server's own socket or port in "
    "conninfo";

/// Whether the process at the other end of a socket is one of the server's user.
Result<void> check_user_of_peer(int socket, std::optional<uid_t> server) {
  const auto user = peer_user(socket);
  if (!user || !server || *user == 0 || *user == *server) return {};
  return failure("what listens there is a process of uid " + std::to_string(*user) + ", not of uid " +
                     std::to_string(*server) + " as before, so it is not used",
                 ErrorKind::not_ready);
}

/// Tells a hang-up of the server from anything that it may say.
UniqueFd new_loss_fd(int socket) {
  UniqueFd watch(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLRDHUP;  // EPOLLHUP and EPOLLERR are always reported.
  if (!watch || ::epoll_ctl(watch.get(), EPOLL_CTL_ADD, socket, &event) != 0) return {};
  return watch;
}

}  // namespace

void Connection::Close::operator()(pg_conn* connection) const noexcept { ::PQfinish(connection); }

Connection::Handle Connection::start(const ConnectionOptions& options) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const auto& [keyword, value] : options.all()) {
    keywords.push_back(keyword.c_str());
    values.push_back(value.c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  Handle handle(::PQconnectStartParams(keywords.data(), values.data(), 0));
  // Warnings of the server would go to stderr, which is nobody's.
  if (handle)
    ::PQsetNoticeProcessor(
        handle.get(), [](void* /*unused*/, const char* /*message*/) {}, nullptr);
  return handle;
}

Result<Reached> reach(const ConnectionOptions& options, const std::optional<Account>& account,
                      const Patience& patience) {
  const auto acting = ActingAs::begin(account);
  if (!acting) return tl::unexpected(acting.error());
  const Connection::Handle handle = Connection::start(options);
  if (!handle) return failure("out of memory");
  PGconn* connection = handle.get();
  // The first packet is sent after that status.
  const auto waited =
      connect_until(connection, patience, [&](auto /*next*/) { return ::PQstatus(connection) == CONNECTION_MADE; });
  Reached reached;
  const char* host = ::PQhost(connection);
  const char* port = ::PQport(connection);
  reached.endpoint = {host != nullptr ? host : "", port != nullptr ? port : ""};
  if (!waited) {
    reached.problem = waited.error().message;
  } else if (::PQstatus(connection) == CONNECTION_BAD) {
    reached.problem = one_line(::PQerrorMessage(connection));
  }
  return reached;
}

Result<Connection::Handle> Connection::log_in(Handle handle, const Patience& patience,
                                              const std::function<Result<void>(int socket)>& check_peer) {
  if (!handle) return failure("out of memory");
  PGconn* connection = handle.get();
  // Nothing is said to the server before that status.
  const auto made = [&](auto /*next*/) { return ::PQstatus(connection) == CONNECTION_MADE; };
  auto done = connect_until(connection, patience, made);
  if (done && ::PQstatus(connection) == CONNECTION_MADE) {
    if (auto checked = check_peer(::PQsocket(connection)); !checked) return tl::unexpected(checked.error());
    done = connect_until(connection, patience, [](auto next) { return next == PGRES_POLLING_OK; });
  }
  if (!done) return tl::unexpected(done.error().with_context("cannot log in"));
  if (::PQstatus(connection) == CONNECTION_OK) return handle;
  std::string message = "cannot log in: " + one_line(::PQerrorMessage(connection));
  if (message.find("unsupported startup parameter") != std::string::npos) message += kPoolerAdvice;
  return failure(std::move(message), ErrorKind::not_ready);
}

/// Begins to connect in a thread of its own: a socket's directory in a container may be one that never answers.
Result<Connection::Handle> Connection::start_aside(const ConnectionOptions& options,
                                                   const std::optional<Account>& account, const Patience& patience) {
  struct Start {
    UniqueFd ended;
    std::mutex mutex;
    Handle handle;
    Result<void> acted;
  };
  auto ended = new_event();
  if (!ended) return tl::unexpected(ended.error());
  const auto begun = std::make_shared<Start>();
  begun->ended = std::move(*ended);
  run_detached([begun, options, account] {
    const auto acting = ActingAs::begin(account);
    Handle handle = acting ? start(options) : nullptr;
    const std::lock_guard lock(begun->mutex);
    begun->handle = std::move(handle);
    if (!acting) begun->acted = tl::unexpected(acting.error());
    raise_event(begun->ended.get());
  });
  if (!wait_readable(begun->ended.get(), patience))
    return failure("cannot log in: its socket does not answer", ErrorKind::not_ready);
  const std::lock_guard lock(begun->mutex);
  if (!begun->acted) return tl::unexpected(begun->acted.error());
  return std::move(begun->handle);
}

Result<Connection> Connection::open(const ConnectionOptions& options, const std::optional<Account>& account,
                                    std::optional<uid_t> server, const Patience& patience) {
  ConnectionOptions with_settings = options;
  with_settings.add_startup_settings(startup_settings());
  // Until the login is done: libpq may connect more than once.
  const auto acting = ActingAs::begin(account);
  if (!acting) return tl::unexpected(acting.error());
  return begin_session(
      log_in(start(with_settings), patience, [&](int socket) { return check_user_of_peer(socket, server); }), patience);
}

Result<Connection> Connection::open(ConnectionOptions options, const std::optional<Account>& account,
                                    const ForeignServer& server, const std::string& socket, const Patience& patience) {
  const std::size_t slash = socket.rfind('/');
  const auto directory = open_place(server, socket.substr(0, slash), S_IFDIR, patience);
  if (!directory) return tl::unexpected(directory.error());
  options.set("host", path_of_descriptor(**directory));
  options.set("port", socket.substr(socket.rfind('.') + 1));
  options.add_startup_settings(startup_settings());
  auto handle = start_aside(options, account, patience);
  if (!handle) return tl::unexpected(handle.error());
  const auto acting = ActingAs::begin(account);
  if (!acting) return tl::unexpected(acting.error());
  return begin_session(log_in(std::move(*handle), patience, [&](int peer) { return check_peer_is(server, peer); }),
                       patience);
}

Result<Connection> Connection::begin_session(Result<Handle> handle, const Patience& patience) {
  if (!handle) return tl::unexpected(handle.error());
  Connection connection(std::move(*handle));
  ::PQsetnonblocking(connection.handle_.get(), 1);
  connection.loss_ = new_loss_fd(::PQsocket(connection.handle_.get()));
  if (!connection.loss_) return system_failure("cannot watch the connection", errno);
  if (auto ready = connection.set_up(patience); !ready) return tl::unexpected(ready.error());
  return connection;
}

/// The first statements of a session. Nothing of it is changed before it is known to be ours.
Result<void> Connection::set_up(const Patience& patience) {
  const auto backend = row("SELECT pg_catalog.pg_backend_pid()", patience);
  if (!backend) return tl::unexpected(backend.error());
  if ((*backend)[0] != std::to_string(::PQbackendPID(handle_.get()))) {
    return failure(std::string("the session is not with the server itself") + kPoolerAdvice, ErrorKind::not_ready);
  }
  const auto reply = run(session_statements(version()), patience);
  if (!reply) return tl::unexpected(reply.error());
  if (!reply->ok()) return failure("cannot set up the session: " + reply->message);
  return {};
}

Failure Connection::lost(const std::string& what) const {
  std::string message = one_line(::PQerrorMessage(handle_.get()));
  return failure(message.empty() ? what : message, ErrorKind::not_ready);
}

Result<void> Connection::send(const std::string& statement, const Patience& patience) {
  PGconn* connection = handle_.get();
  if (::PQsendQuery(connection, statement.c_str()) == 0) return lost("cannot send to the server");
  for (;;) {
    const int unsent = ::PQflush(connection);
    if (unsent < 0) return lost("cannot send to the server");
    if (unsent == 0) return {};
    if (auto ready = await_server(::PQsocket(connection), POLLIN | POLLOUT, patience); !ready) return ready;
    if (::PQconsumeInput(connection) == 0) return lost("the server has closed the connection");
  }
}

/// Waits until libpq has a whole result, or knows that there is none.
Result<void> Connection::await_result(const Patience& patience) {
  PGconn* connection = handle_.get();
  while (::PQisBusy(connection) != 0) {
    if (auto ready = await_server(::PQsocket(connection), POLLIN, patience); !ready) return ready;
    if (::PQconsumeInput(connection) == 0) return lost("the server has closed the connection");
  }
  return {};
}

Result<Reply> Connection::run(const std::string& statement, const Patience& patience) {
  if (auto sent = send(statement, patience); !sent) return tl::unexpected(sent.error());
  Reply reply;
  for (;;) {
    if (auto there = await_result(patience); !there) return tl::unexpected(there.error());
    const ResultHandle result(::PQgetResult(handle_.get()));
    if (!result) return reply;
    const ExecStatusType status = ::PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK) {
      append_rows(result.get(), reply.rows);
    } else if (status != PGRES_COMMAND_OK && status != PGRES_EMPTY_QUERY) {
      const char* sql_state = ::PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
      // Without one it is libpq that speaks: the connection is gone.
      if (sql_state == nullptr) return lost("the server has closed the connection");
      reply.sql_state = sql_state;
      reply.message = one_line(::PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY));
    }
  }
}

Result<std::vector<std::string>> Connection::row(const std::string& statement, const Patience& patience) {
  auto reply = run(statement, patience);
  if (!reply) return tl::unexpected(reply.error());
  if (!reply->ok())
    return failure(reply->message, is_servers_state(reply->sql_state) ? ErrorKind::not_ready : ErrorKind::failed);
  if (reply->rows.size() != 1)
    return failure("the server gave " + std::to_string(reply->rows.size()) + " rows instead of one");
  return std::move(reply->rows[0]);
}

int Connection::version() const { return ::PQserverVersion(handle_.get()); }

}  // namespace dlm_freeze::postgresql
