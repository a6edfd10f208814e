// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/connection.hpp"

#include <fcntl.h>
#include <mysql.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "base/wait.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::mysql {
namespace {

/// How long the library may wait for the rest of an answer that has begun, and for each step of a
/// log-in.
constexpr unsigned kLibraryTimeout = 5;

void set_number(MYSQL* handle, mysql_option option, unsigned value) { ::mysql_options(handle, option, &value); }

void set_text(MYSQL* handle, mysql_option option, const std::string& value) {
  if (!value.empty()) ::mysql_options(handle, option, value.c_str());
}

/// Said outright: the libraries take the host "localhost" for the default socket.
void set_protocol(MYSQL* handle, const ServerAddress& address) {
  set_number(handle, MYSQL_OPT_PROTOCOL,
             address.socket.empty() ? unsigned{MYSQL_PROTOCOL_TCP} : unsigned{MYSQL_PROTOCOL_SOCKET});
}

void set_tls(MYSQL* handle, const ServerAddress& address) {
  if (!address.socket.empty()) return;
  set_text(handle, MYSQL_OPT_SSL_CA, address.tls_ca);
  const bool off = address.tls == "off";
  const bool verify = address.tls == "verify";
  // The two libraries have no option for this in common.
#ifdef LIBMARIADB
  const my_bool enforce = off ? 0 : 1;
  const my_bool check = verify ? 1 : 0;
  ::mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &enforce);
  ::mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &check);
#else
  const unsigned encrypted = verify ? SSL_MODE_VERIFY_IDENTITY : SSL_MODE_REQUIRED;
  set_number(handle, MYSQL_OPT_SSL_MODE, off ? unsigned{SSL_MODE_DISABLED} : encrypted);
  // Without TLS the password is sent encrypted with the server's own key, which the other library always asks for.
  const bool ask_for_key = off;
  ::mysql_options(handle, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &ask_for_key);
#endif
}

/// Whether the library compares the name in a certificate with this host. MariaDB's does not for these two from 3.4.2
/// on (its plugins/auth/my_auth.c, is_local_connection), and without a CA believes any issuer there.
bool checks_name_of([[maybe_unused]] const std::string& host) {
#ifdef LIBMARIADB
  constexpr unsigned long kFirstLenient = 30400;
  constexpr unsigned long kServersVersion = 100000;  // What older ones give instead of their own.
  const unsigned long version = ::mysql_get_client_version();
  const bool is_lenient = version >= kFirstLenient && version < kServersVersion;
  return !is_lenient || (host != "127.0.0.1" && host != "::1");
#else
  return true;
#endif
}

const char* text_or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

int socket_of(MYSQL* handle) {
#ifdef LIBMARIADB
  return static_cast<int>(::mysql_get_socket(handle));
#else
  return static_cast<int>(handle->net.fd);
#endif
}

/// Whether the connection is by the protocol that is configured. With Oracle's library an option file has the last
/// word, and could lead to another server.
bool is_as_configured(MYSQL* handle, const ServerAddress& address) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  const bool known = ::getsockname(socket_of(handle), reinterpret_cast<sockaddr*>(&own), &size) == 0;
  return known && (own.ss_family == AF_UNIX) == !address.socket.empty();
}

SqlError error_of(MYSQL* handle) { return {::mysql_errno(handle), ::mysql_error(handle)}; }

}  // namespace

std::string Table::cell(std::size_t row, std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    const auto column = std::find(columns.begin(), columns.end(), name);
    if (column != columns.end()) return rows.at(row).at(static_cast<std::size_t>(column - columns.begin()));
  }
  return "";
}

std::string ServerAddress::text() const {
  if (!socket.empty()) return socket;
  return host + (port != 0 ? ":" + std::to_string(port) : "");
}

struct Connection::Handle {
  Handle() : raw(::mysql_init(nullptr)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { ::mysql_close(raw); }

  MYSQL* raw;
};

Connection::Connection(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Connection::Connection(Connection&& other) noexcept = default;
Connection& Connection::operator=(Connection&& other) noexcept = default;
Connection::~Connection() = default;

/// A log-in under way, shared by the thread that does it and the one that waits.
struct Connection::Attempt {
  ServerAddress address;
  UniqueFd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  bool given_up = false;
  std::optional<SqlResult<std::unique_ptr<Handle>>> result;

  void run() {
    const LibraryThread thread;
    SqlResult<std::unique_ptr<Handle>> opened = connect();
    const std::lock_guard lock(mutex);
    if (given_up) return;  // Hangs up.
    result.emplace(std::move(opened));
    const std::uint64_t one = 1;
    static_cast<void>(!::write(done.get(), &one, sizeof one));
  }

  [[nodiscard]] SqlResult<std::unique_ptr<Handle>> connect() const {
    if (address.socket.empty() && address.tls == "verify" && !checks_name_of(address.host)) {
      return tl::unexpected(
          SqlError{kTlsError, "MariaDB's client library does not check the name in the certificate of a server at " +
                                  address.host + ": set host to that name, or tls to required"});
    }
    auto handle = std::make_unique<Handle>();
    MYSQL* const raw = handle->raw;
    if (raw == nullptr) return tl::unexpected(SqlError{kServerLost, "out of memory"});
    for (const mysql_option option : {MYSQL_OPT_CONNECT_TIMEOUT, MYSQL_OPT_READ_TIMEOUT, MYSQL_OPT_WRITE_TIMEOUT}) {
      set_number(raw, option, kLibraryTimeout);
    }
    set_text(raw, MYSQL_READ_DEFAULT_FILE, address.defaults_file);
    set_text(raw, MYSQL_READ_DEFAULT_GROUP, "dlm-freeze");
    set_number(raw, MYSQL_OPT_LOCAL_INFILE, 0);  // Or the server could ask for any file of root's.
    ::mysql_options4(raw, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "dlm-freeze");
    set_protocol(raw, address);
    set_tls(raw, address);
    // A log-in begins with the option files, which Oracle's library (9.7) keeps in a std::map without a lock: two at
    // once crash. The next one waits for that, but not for a server that does not answer.
    static std::timed_mutex reading_option_files;
    const std::unique_lock reading(reading_option_files, std::chrono::milliseconds(200));
    // A host is always given: one in an option file would win over the socket otherwise. So is a database, in which
    // nobody can define a function that a name could be taken for.
    const char* const host = address.socket.empty() ? address.host.c_str() : "localhost";
    if (::mysql_real_connect(raw, host, text_or_null(address.user), text_or_null(address.password),
                             "information_schema", address.port, text_or_null(address.socket), 0) == nullptr) {
      return tl::unexpected(error_of(raw));
    }
    if (!is_as_configured(raw, address)) {
      return tl::unexpected(
          SqlError{kConnectionError, "an option file asks for another protocol than the configuration"});
    }
    // MariaDB's library goes on in the clear with a server that has no TLS, whatever is enforced.
    if (address.socket.empty() && address.tls != "off" && ::mysql_get_ssl_cipher(raw) == nullptr) {
      return tl::unexpected(SqlError{kTlsError, "the server does not offer TLS: set it up there, or set tls to off"});
    }
    // A program that some other quiescer starts must not inherit, and so keep alive, what this
    // session holds.
    ::fcntl(socket_of(raw), F_SETFD, FD_CLOEXEC);
    return handle;
  }
};

SqlResult<Connection> Connection::open(const ServerAddress& address, const Patience& patience) {
  const auto attempt = std::make_shared<Attempt>();
  attempt->address = address;
  run_detached([attempt] { attempt->run(); });
  const bool done = wait_readable(attempt->done.get(), patience);
  const std::lock_guard lock(attempt->mutex);
  if (!done || !attempt->result) {
    attempt->given_up = true;
    return tl::unexpected(SqlError{kGivenUp, "the server accepts connections but does not answer"});
  }
  if (!*attempt->result) return tl::unexpected(attempt->result->error());
  return Connection(std::move(**attempt->result));
}

SqlResult<Table> Connection::query(std::string_view statement, const Patience& patience) {
  if (::mysql_send_query(handle_->raw, statement.data(), statement.size()) != 0)
    return tl::unexpected(error_of(handle_->raw));
  busy_ = true;
  return wait(patience);
}

SqlResult<Table> Connection::wait(const Patience& patience) {
  if (!wait_readable(fd(), patience)) {
    return tl::unexpected(SqlError{kGivenUp, "it did not answer in time"});
  }
  busy_ = false;
  MYSQL* const raw = handle_->raw;
  if (::mysql_read_query_result(raw) != 0) return tl::unexpected(error_of(handle_->raw));
  const std::unique_ptr<MYSQL_RES, decltype(&::mysql_free_result)> result(::mysql_store_result(raw),
                                                                          ::mysql_free_result);
  if (!result) {
    if (::mysql_field_count(raw) != 0) return tl::unexpected(error_of(handle_->raw));
    return Table();
  }
  Table table;
  const unsigned width = ::mysql_num_fields(result.get());
  const MYSQL_FIELD* const fields = ::mysql_fetch_fields(result.get());
  for (unsigned i = 0; i < width; ++i) table.columns.emplace_back(fields[i].name);
  while (MYSQL_ROW row = ::mysql_fetch_row(result.get())) {
    const unsigned long* const lengths = ::mysql_fetch_lengths(result.get());
    std::vector<std::string>& cells = table.rows.emplace_back();
    for (unsigned i = 0; i < width; ++i) cells.emplace_back(row[i] != nullptr ? std::string(row[i], lengths[i]) : "");
  }
  return table;
}

bool Connection::lost() const {
  pollfd event = {fd(), POLLIN | POLLRDHUP, 0};
  return ::poll(&event, 1, 0) != 0;
}

int Connection::fd() const { return socket_of(handle_->raw); }

std::uint32_t Connection::id() const { return static_cast<std::uint32_t>(::mysql_thread_id(handle_->raw)); }

void prepare_library() { static_cast<void>(::mysql_library_init(0, nullptr, nullptr)); }

LibraryThread::LibraryThread() { static_cast<void>(::mysql_thread_init()); }
LibraryThread::~LibraryThread() { ::mysql_thread_end(); }

}  // namespace dlm_freeze::mysql
