// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/connection.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
#include "quiesce/acting_as.hpp"
#include "quiesce/mysql/client_library.hpp"
#include "quiesce/mysql/greeting.hpp"

namespace dlm_freeze::mysql {
namespace {

/// How long the library may wait for the rest of an answer that has begun, and for each step of a
/// log-in.
constexpr unsigned kLibraryTimeout = 5;

/// What client_library() gave, where it is known to be there: a handle is only made with it.
const ClientLibrary& library() { return *client_library(); }

void set_number(ClientHandle* handle, ClientOption option, unsigned value) {
  library().options(handle, static_cast<int>(option), &value);
}

void set_text(ClientHandle* handle, int option, const std::string& value) {
  if (!value.empty()) library().options(handle, option, value.c_str());
}

/// Said outright: the libraries take the host "localhost" for the default socket.
void set_protocol(ClientHandle* handle, const ServerAddress& address) {
  const ClientProtocol protocol = address.socket.empty() ? ClientProtocol::tcp : ClientProtocol::socket;
  set_number(handle, ClientOption::protocol, static_cast<unsigned>(protocol));
}

void set_tls(ClientHandle* handle, const ServerAddress& address) {
  const ClientOptionNumbers& numbers = library().numbers;
  if (!address.socket.empty() || !library().can_encrypt()) return;
  set_text(handle, numbers.tls_ca, address.tls_ca);
  const bool off = address.tls == "off";
  const bool verify = address.tls == "verify";
  if (numbers.tls_mode < 0) {
    const char enforced = off ? 0 : 1;
    const char verified = verify ? 1 : 0;
    library().options(handle, numbers.tls_enforce, &enforced);
    library().options(handle, numbers.tls_verify, &verified);
    return;
  }
  const ClientTlsMode encrypted = verify ? ClientTlsMode::verify_identity : ClientTlsMode::required;
  const auto mode = static_cast<unsigned>(off ? ClientTlsMode::disabled : encrypted);
  library().options(handle, numbers.tls_mode, &mode);
  // Without TLS the password is sent encrypted with the server's own key, which MariaDB's library always asks for.
  const bool ask_for_key = off;
  library().options(handle, numbers.ask_for_password_key, &ask_for_key);
}

/// Whether the library compares the name in a certificate with this host. MariaDB's does not for these two from 3.4.2
/// on (its plugins/auth/my_auth.c, is_local_connection), and without a CA believes any issuer there.
bool checks_name_of(const std::string& host) {
  constexpr unsigned long kFirstLenient = 30400;
  constexpr unsigned long kServersVersion = 100000;  // What older ones give instead of their own.
  if (!library().name.starts_with("libmariadb.")) return true;
  const unsigned long version = library().get_client_version();
  const bool is_lenient = version >= kFirstLenient && version < kServersVersion;
  return !is_lenient || (host != "127.0.0.1" && host != "::1");
}

const char* text_or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

/// Whether the connection is by the protocol that is configured. With Oracle's library an option file has the last
/// word, and could lead to another server.
bool is_as_configured(ClientHandle* handle, const ServerAddress& address) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  const bool known = ::getsockname(library().socket_of(handle), reinterpret_cast<sockaddr*>(&own), &size) == 0;
  return known && (own.ss_family == AF_UNIX) == !address.socket.empty();
}

bool needs_tls(const ServerAddress& address) { return address.socket.empty() && address.tls != "off"; }

/// Opens the server's socket. Before a password is sent there it is known who listens; without one that can wait until
/// the login, and the server has no connection without a login to warn of in its log.
Result<std::shared_ptr<const UniqueFd>> open_listener(const ServerAddress& address, const Patience& patience) {
  auto place = open_place(*address.server, address.socket, S_IFSOCK, patience);
  if (!place || (address.password.empty() && address.defaults_file.empty())) return place;
  if (auto checked = check_listener_is(*address.server, **place); !checked) return tl::unexpected(checked.error());
  return place;
}

SqlError error_of(ClientHandle* handle) { return {library().error_number(handle), library().error(handle)}; }

}  // namespace

std::string Table::cell(std::size_t row, std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    const auto column = std::find(columns.begin(), columns.end(), name);
    if (column != columns.end()) return rows.at(row).at(static_cast<std::size_t>(column - columns.begin()));
  }
  return "";
}

std::string ServerAddress::text() const {
  if (!socket.empty()) return socket + (server ? " of " + server->where : "");
  return host + (port != 0 ? ":" + std::to_string(port) : "");
}

struct Connection::Handle {
  Handle() : raw(library().init(nullptr)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { library().close(raw); }

  ClientHandle* raw;
};

Connection::Connection(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Connection::Connection(Connection&& other) noexcept = default;
Connection& Connection::operator=(Connection&& other) noexcept = default;
Connection::~Connection() = default;

/// A log-in under way, shared by the thread that does it and the one that waits.
struct Connection::Attempt {
  ServerAddress address;
  std::shared_ptr<const UniqueFd> place;  ///< The socket of a server in another mount namespace.
  UniqueFd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  bool given_up = false;
  std::optional<SqlResult<std::unique_ptr<Handle>>> result;

  void run() {
    const LibraryThread thread;
    SqlResult<std::unique_ptr<Handle>> opened = place ? connect_as_its_root() : connect();
    const std::lock_guard lock(mutex);
    if (given_up) return;  // Hangs up.
    result.emplace(std::move(opened));
    const std::uint64_t one = 1;
    static_cast<void>(!::write(done.get(), &one, sizeof one));
  }

  /// In a user namespace of its own, root is somebody else.
  [[nodiscard]] SqlResult<std::unique_ptr<Handle>> connect_as_its_root() const {
    const auto root = root_account_of(*address.server);
    if (!root) return tl::unexpected(SqlError{kConnectionError, root.error().message});
    const auto acting = ActingAs::begin(*root);
    if (!acting) return tl::unexpected(SqlError{kConnectionError, acting.error().message});
    auto handle = connect();
    if (!handle) return handle;
    const auto checked = check_peer_is(*address.server, library().socket_of((*handle)->raw));
    if (!checked) return tl::unexpected(SqlError{kConnectionError, checked.error().message});
    return handle;
  }

  [[nodiscard]] SqlResult<std::unique_ptr<Handle>> connect() const {
    if (address.socket.empty() && address.tls == "verify" && !checks_name_of(address.host)) {
      return tl::unexpected(
          SqlError{kTlsError, "MariaDB's client library does not check the name in the certificate of a server at " +
                                  address.host + ": set host to that name, or tls to required"});
    }
    auto handle = std::make_unique<Handle>();
    ClientHandle* const raw = handle->raw;
    if (raw == nullptr) return tl::unexpected(SqlError{kServerLost, "out of memory"});
    if (needs_tls(address) && !library().can_encrypt()) {
      return tl::unexpected(SqlError{kTlsError, library().name + " is too old to be told to encrypt: set tls to off, "
                                                                 "or give the server's socket"});
    }
    for (const ClientOption option :
         {ClientOption::connect_timeout, ClientOption::read_timeout, ClientOption::write_timeout}) {
      set_number(raw, option, kLibraryTimeout);
    }
    set_text(raw, static_cast<int>(ClientOption::default_file), address.defaults_file);
    // No container is sent what the standard option files of this host have.
    if (!place || !address.defaults_file.empty())
      set_text(raw, static_cast<int>(ClientOption::default_group), "dlm-freeze");
    set_number(raw, ClientOption::local_infile, 0);  // Or the server could ask for any file of root's.
    if (library().options4 != nullptr && library().numbers.connect_attribute >= 0)
      library().options4(raw, library().numbers.connect_attribute, "program_name", "dlm-freeze");
    set_protocol(raw, address);
    set_tls(raw, address);
    // A log-in begins with the option files, which Oracle's library (9.7) keeps in a std::map without a lock: two at
    // once crash. The next one waits for that, but not for a server that does not answer.
    static std::timed_mutex reading_option_files;
    const std::unique_lock reading(reading_option_files, std::chrono::milliseconds(200));
    // A host is always given: one in an option file would win over the socket otherwise. So is a database, in which
    // nobody can define a function that a name could be taken for.
    const char* const host = address.socket.empty() ? address.host.c_str() : "localhost";
    const std::string socket = place ? path_of_descriptor(*place) : address.socket;
    std::optional<GreetingGuard> guard;
    if (needs_tls(address)) guard.emplace();
    if (library().real_connect(raw, host, text_or_null(address.user), text_or_null(address.password),
                               "information_schema", address.port, text_or_null(socket), 0) == nullptr) {
      return tl::unexpected(guard ? guard->explained(error_of(raw)) : error_of(raw));
    }
    guard.reset();
    if (!is_as_configured(raw, address)) {
      return tl::unexpected(
          SqlError{kConnectionError, "an option file asks for another protocol than the configuration"});
    }
    if (needs_tls(address) && library().get_ssl_cipher(raw) == nullptr) return tl::unexpected(no_tls_error());
    // A program that some other quiescer starts must not inherit, and so keep alive, what this
    // session holds.
    ::fcntl(library().socket_of(raw), F_SETFD, FD_CLOEXEC);
    return handle;
  }
};

SqlResult<Connection> Connection::open(const ServerAddress& address, const Patience& patience) {
  if (const auto prepared = prepare_library(); !prepared)
    return tl::unexpected(SqlError{kConnectionError, prepared.error().message});
  const auto attempt = std::make_shared<Attempt>();
  attempt->address = address;
  if (address.server) {
    auto place = open_listener(address, patience);
    if (!place) return tl::unexpected(SqlError{kConnectionError, place.error().message});
    attempt->place = std::move(*place);
  }
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
  if (library().send_query(handle_->raw, statement.data(), statement.size()) != 0)
    return tl::unexpected(error_of(handle_->raw));
  busy_ = true;
  return wait(patience);
}

SqlResult<Table> Connection::wait(const Patience& patience) {
  if (!wait_readable(fd(), patience)) {
    return tl::unexpected(SqlError{kGivenUp, "it did not answer in time"});
  }
  busy_ = false;
  ClientHandle* const raw = handle_->raw;
  if (library().read_query_result(raw) != 0) return tl::unexpected(error_of(raw));
  const std::unique_ptr<ClientResult, decltype(ClientLibrary::free_result)> result(library().store_result(raw),
                                                                                   library().free_result);
  if (!result) {
    if (library().field_count(raw) != 0) return tl::unexpected(error_of(raw));
    return Table();
  }
  Table table;
  const unsigned width = library().num_fields(result.get());
  while (const ClientField* field = library().fetch_field(result.get())) table.columns.emplace_back(field->name);
  while (char** row = library().fetch_row(result.get())) {
    const unsigned long* const lengths = library().fetch_lengths(result.get());
    std::vector<std::string>& cells = table.rows.emplace_back();
    for (unsigned i = 0; i < width; ++i) cells.emplace_back(row[i] != nullptr ? std::string(row[i], lengths[i]) : "");
  }
  return table;
}

bool Connection::lost() const {
  pollfd event = {fd(), POLLIN | POLLRDHUP, 0};
  return ::poll(&event, 1, 0) != 0;
}

int Connection::fd() const { return library().socket_of(handle_->raw); }

std::uint32_t Connection::id() const { return static_cast<std::uint32_t>(library().thread_id(handle_->raw)); }

Result<void> prepare_library() {
  const auto& found = client_library();
  if (!found) return tl::unexpected(found.error());
  static std::once_flag watched;
  std::call_once(watched, [&found] { watch_greetings(*found); });
  return {};
}

LibraryThread::LibraryThread() {
  if (client_library()) library().thread_init();
}
LibraryThread::~LibraryThread() {
  if (client_library()) library().thread_end();
}

}  // namespace dlm_freeze::mysql
