// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze::mysql {

/// The library's structures: made, and looked into, by the library alone.
struct ClientHandle;
struct ClientResult;

/// What all libraries begin their MYSQL_FIELD with. Their sizes differ: never an array of these.
struct ClientField {
  char* name;
};

/// Options whose numbers are the same in all libraries.
enum class ClientOption : int {
  connect_timeout = 0,
  default_file = 4,
  default_group = 5,
  local_infile = 8,
  protocol = 9,
  read_timeout = 11,
  write_timeout = 12,
};

/// And those whose numbers differ: -1 where a library does not have it.
struct ClientOptionNumbers {
  int connect_attribute = -1;     ///< Two texts, for options4.
  int tls_ca = -1;                ///< A file.
  int tls_enforce = -1;           ///< A char: 0 or 1.
  int tls_verify = -1;            ///< A char: 0 or 1.
  int tls_mode = -1;              ///< An unsigned: ClientTlsMode. It says what the two above do.
  int ask_for_password_key = -1;  ///< A bool.
};

enum class ClientTlsMode : unsigned { disabled = 1, required = 3, verify_identity = 5 };
enum class ClientProtocol : unsigned { tcp = 1, socket = 2 };

/// The client library of MariaDB, Oracle or Percona that is on this host: its functions, named as in its manual less
/// "mysql_". Nothing here is compiled against a header of theirs, so one module works with all of them.
struct ClientLibrary {
  std::string name;  ///< "libmariadb.so.3"
  ClientOptionNumbers numbers;

  int (*server_init)(int, char**, char**);
  char (*thread_init)();
  void (*thread_end)();
  unsigned long (*get_client_version)();
  ClientHandle* (*init)(ClientHandle*);
  void (*close)(ClientHandle*);
  int (*options)(ClientHandle*, int option, const void*);
  int (*options4)(ClientHandle*, int option, const void*, const void*);  ///< Null where there is none.
  ClientHandle* (*real_connect)(ClientHandle*, const char* host, const char* user, const char* password,
                                const char* database, unsigned port, const char* socket, unsigned long flags);
  unsigned (*error_number)(ClientHandle*);
  const char* (*error)(ClientHandle*);
  const char* (*get_ssl_cipher)(ClientHandle*);
  unsigned long (*thread_id)(ClientHandle*);
  int (*send_query)(ClientHandle*, const char*, unsigned long length);
  char (*read_query_result)(ClientHandle*);
  ClientResult* (*store_result)(ClientHandle*);
  unsigned (*field_count)(ClientHandle*);
  void (*free_result)(ClientResult*);
  unsigned (*num_fields)(ClientResult*);
  ClientField* (*fetch_field)(ClientResult*);
  char** (*fetch_row)(ClientResult*);
  unsigned long* (*fetch_lengths)(ClientResult*);

  [[nodiscard]] int socket_of(ClientHandle* handle) const;
  [[nodiscard]] bool can_encrypt() const { return numbers.tls_mode >= 0 || numbers.tls_enforce >= 0; }

  int (*get_socket)(ClientHandle*);  ///< See socket_of. Null with Oracle's.

  /// "ma_pvio_register_callback": 1 and what to call after each transfer, see GreetingGuard. Null with Oracle's.
  int (*register_callback)(char, void (*)(int mode, ClientHandle*, const unsigned char* bytes, std::size_t count));
};

/// The first of those that are known that this host has; loaded by the first call, which has to come before there are
/// threads, and never unloaded. An error names what was looked for.
[[nodiscard]] const Result<ClientLibrary>& client_library();

}  // namespace dlm_freeze::mysql
