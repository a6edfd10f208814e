// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "quiesce/foreign_server.hpp"

namespace dlm_freeze::mysql {

/// Numbers of errors that are told apart: the server's (1000 and up) and the client library's (2000
/// and up).
inline constexpr unsigned kGivenUp = 0;  ///< Ours: the deadline came, or the stage was cancelled.
inline constexpr unsigned kTooManyConnections = 1040;
inline constexpr unsigned kAccessDenied = 1045;
inline constexpr unsigned kNodeNotReady = 1047;
inline constexpr unsigned kServerShutdown = 1053;
inline constexpr unsigned kParseError = 1064;
inline constexpr unsigned kHostNotAllowed = 1130;
inline constexpr unsigned kTooManyUserConnections = 1203;
inline constexpr unsigned kLockWaitTimeout = 1205;
inline constexpr unsigned kUserLimitReached = 1226;
inline constexpr unsigned kPrivilegeMissing = 1227;
inline constexpr unsigned kQueryInterrupted = 1317;
inline constexpr unsigned kPluginNotLoaded = 1524;
inline constexpr unsigned kAccessDeniedNoPassword = 1698;
inline constexpr unsigned kPasswordExpired = 1820;
inline constexpr unsigned kPasswordExpiredLogin = 1862;
inline constexpr unsigned kAccountLocked = 3118;
inline constexpr unsigned kUnknownThread = 1094;
inline constexpr unsigned kUnknownVariable = 1193;
inline constexpr unsigned kForbiddenByOption = 1290;  ///< By --skip-grant-tables, for one.
inline constexpr unsigned kConnectionError = 2002;
inline constexpr unsigned kHostError = 2003;
inline constexpr unsigned kServerGone = 2006;
inline constexpr unsigned kServerLost = 2013;
inline constexpr unsigned kTlsError = 2026;
inline constexpr unsigned kClientPluginMissing = 2059;

/// Why a server gave no result.
struct SqlError {
  unsigned code = 0;
  std::string message;
};

template <typename T>
using SqlResult = tl::expected<T, SqlError>;

/// What a statement gave: small results only. NULL is an empty text.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  /// The cell in the first of these columns that exists; empty when none does. Versions differ in
  /// names.
  [[nodiscard]] std::string cell(std::size_t row, std::initializer_list<std::string_view> names) const;
};

/// Where a server is and who logs in.
struct ServerAddress {
  std::string socket;            ///< Empty: by TCP.
  std::string host;              ///< For TCP.
  unsigned port = 0;             ///< For TCP; 0 is the library's default.
  std::string user;              ///< Empty: the option files', else the operating system's name.
  std::string password;          ///< Empty: the option files', else none.
  std::string defaults_file;     ///< Read instead of the standard option files.
  std::string tls = "required";  ///< For TCP: off, required or verify.
  std::string tls_ca;
  std::optional<ForeignServer> server{};  ///< In a mount namespace of its own: `socket` is as it names it.

  /// For people: the socket, or host and port.
  [[nodiscard]] std::string text() const;
};

/// One session on a server. One statement at a time, each sent and then waited for by poll(2), so
/// that it can be given up at once with either client library. Never reconnects: what the session
/// holds, it holds as long as this lives.
class Connection {
 public:
  /// Connects and logs in. The library does that in one blocking call, which therefore runs in a
  /// thread of its own and is left alone there when it is given up: it ends by its own time-out and
  /// hangs up.
  [[nodiscard]] static SqlResult<Connection> open(const ServerAddress& address, const Patience& patience);

  Connection(Connection&& other) noexcept;
  Connection& operator=(Connection&& other) noexcept;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  /// Runs a statement. Given up, it goes on at the server: then `busy`, and it has to be waited for
  /// again.
  [[nodiscard]] SqlResult<Table> query(std::string_view statement, const Patience& patience);

  /// Waits for the statement that was given up.
  [[nodiscard]] SqlResult<Table> wait(const Patience& patience);
  [[nodiscard]] bool busy() const { return busy_; }

  /// Whether an idle session has ended: the server has hung up or said good-bye.
  [[nodiscard]] bool lost() const;

  [[nodiscard]] int fd() const;

  /// The session's number, as the server gave it at the log-in.
  [[nodiscard]] std::uint32_t id() const;

 private:
  struct Handle;  // The library's.
  struct Attempt;

  explicit Connection(std::unique_ptr<Handle> handle);

  std::unique_ptr<Handle> handle_;
  bool busy_ = false;
};

/// Loads the client library that this host has. Called first before there are threads; fails where there is none.
[[nodiscard]] Result<void> prepare_library();

/// For the thread that is about to use a connection: frees what the library keeps for it.
class LibraryThread {
 public:
  LibraryThread();
  LibraryThread(const LibraryThread&) = delete;
  LibraryThread& operator=(const LibraryThread&) = delete;
  ~LibraryThread();
};

}  // namespace dlm_freeze::mysql
