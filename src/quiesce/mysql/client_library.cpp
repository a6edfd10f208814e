// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/client_library.hpp"

#include <dlfcn.h>

#include <array>
#include <string_view>
#include <vector>

namespace dlm_freeze::mysql {
namespace {

constexpr const char* kLookedFor =
    "libmariadb.so.3, and libmysqlclient and libperconaserverclient from .so.24 down to .so.18";

/// The libraries that are known, the one that the most is tested with first. A newer major version may have another
/// interface.
std::vector<std::string> names() {
  std::vector<std::string> all = {"libmariadb.so.3"};
  for (const char* version : {"24", "23", "22", "21", "20", "18"}) {
    all.push_back(std::string("libmysqlclient.so.") + version);
    all.push_back(std::string("libperconaserverclient.so.") + version);
  }
  all.emplace_back("libmariadbclient.so.18");
  return all;
}

template <typename Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  return function != nullptr;
}

/// By the enumerations mysql_option of MariaDB Connector/C 3, MySQL 5.7 and MySQL 8.0 to 9.7. The libraries before
/// these two, and MariaDB's before Connector/C, cannot be told to encrypt by numbers that all of them share.
ClientOptionNumbers numbers_of(bool is_connector_c, bool is_mariadb, unsigned long version) {
  ClientOptionNumbers numbers;
  if (!is_mariadb && version >= 80000) {
    numbers.connect_attribute = 27;
    numbers.tls_ca = 21;
    numbers.tls_mode = 35;
    numbers.ask_for_password_key = 36;
  } else if (is_connector_c || (!is_mariadb && version >= 50700)) {
    numbers.connect_attribute = 33;
    numbers.tls_ca = 27;
    numbers.tls_enforce = 38;
    numbers.tls_verify = 21;
  }
  return numbers;
}

bool find_functions(void* library, ClientLibrary& client) {
  find(library, "mysql_options4", client.options4);
  find(library, "mysql_get_socket", client.get_socket);
  find(library, "ma_pvio_register_callback", client.register_callback);
  return find(library, "mysql_server_init", client.server_init) &&
         find(library, "mysql_thread_init", client.thread_init) &&
         find(library, "mysql_thread_end", client.thread_end) &&
         find(library, "mysql_get_client_version", client.get_client_version) &&
         find(library, "mysql_init", client.init) && find(library, "mysql_close", client.close) &&
         find(library, "mysql_options", client.options) && find(library, "mysql_real_connect", client.real_connect) &&
         find(library, "mysql_errno", client.error_number) && find(library, "mysql_error", client.error) &&
         find(library, "mysql_get_ssl_cipher", client.get_ssl_cipher) &&
         find(library, "mysql_thread_id", client.thread_id) && find(library, "mysql_send_query", client.send_query) &&
         find(library, "mysql_read_query_result", client.read_query_result) &&
         find(library, "mysql_store_result", client.store_result) &&
         find(library, "mysql_field_count", client.field_count) &&
         find(library, "mysql_free_result", client.free_result) &&
         find(library, "mysql_num_fields", client.num_fields) &&
         find(library, "mysql_fetch_field", client.fetch_field) && find(library, "mysql_fetch_row", client.fetch_row) &&
         find(library, "mysql_fetch_lengths", client.fetch_lengths);
}

Result<ClientLibrary> load() {
  std::string problem;
  for (const std::string& name : names()) {
    void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const std::string error = ::dlerror();
      const bool is_missing = error.starts_with(name + ": cannot open shared object file: No such file");
      if (!is_missing && problem.empty()) problem = "; " + error;
      continue;
    }
    ClientLibrary client{};
    client.name = name;
    if (find_functions(library, client)) {
      const bool is_connector_c = ::dlsym(library, "mysql_optionsv") != nullptr;
      client.numbers = numbers_of(is_connector_c, client.get_socket != nullptr, client.get_client_version());
      // Told to encrypt, it does not insist: see GreetingGuard.
      if (is_connector_c && client.register_callback == nullptr) client.numbers.tls_enforce = -1;
      client.server_init(0, nullptr, nullptr);
      return client;
    }
    if (problem.empty()) problem = "; " + name + " lacks a function";
    ::dlclose(library);
  }
  return failure("no client library of MySQL or MariaDB is installed (looked for " + std::string(kLookedFor) + ")" +
                 problem + ": install the server's own, or the package libmariadb3 or mariadb-connector-c");
}

/// How every MYSQL of Oracle's begins, from 5.5 to 9.7.
struct HandleStart {
  void* stream;
  std::array<unsigned char*, 4> buffers;
  int socket;
};

}  // namespace

int ClientLibrary::socket_of(ClientHandle* handle) const {
  return get_socket != nullptr ? get_socket(handle) : reinterpret_cast<const HandleStart*>(handle)->socket;
}

const Result<ClientLibrary>& client_library() {
  static const Result<ClientLibrary> kLibrary = load();
  return kLibrary;
}

}  // namespace dlm_freeze::mysql
