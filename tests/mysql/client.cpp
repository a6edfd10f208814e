// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <stdexcept>

#include "quiesce/mysql/client_library.hpp"

namespace dlm_freeze::integration {
namespace {

/// The one that the module under test uses.
const mysql::ClientLibrary& library() { return mysql::client_library().value(); }

}  // namespace

struct Client::Handle {
  Handle() : raw(library().init(nullptr)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { library().close(raw); }

  mysql::ClientHandle* raw;
};

Client::Client(const std::string& socket, const std::string& user, const std::string& password)
    : handle_(std::make_unique<Handle>()) {
  mysql::ClientHandle* const raw = handle_->raw;
  if (library().real_connect(raw, "localhost", user.c_str(), password.c_str(), nullptr, 0, socket.c_str(), 0) ==
      nullptr) {
    throw std::runtime_error(socket + ": " + library().error(raw));
  }
}

Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

std::vector<Client::Row> Client::query(const std::string& statement) {
  if (error_of(statement) != 0) {
    throw std::runtime_error(statement + ": " + library().error(handle_->raw));
  }
  std::vector<Row> rows;
  mysql::ClientResult* const result = library().store_result(handle_->raw);
  if (result == nullptr) return rows;
  const unsigned width = library().num_fields(result);
  while (char** cells = library().fetch_row(result)) {
    Row row;
    for (unsigned i = 0; i < width; ++i) row.emplace_back(cells[i] != nullptr ? cells[i] : "");
    rows.push_back(std::move(row));
  }
  library().free_result(result);
  return rows;
}

std::string Client::value(const std::string& statement) { return query(statement).at(0).at(0); }

unsigned Client::error_of(const std::string& statement) {
  if (library().send_query(handle_->raw, statement.data(), statement.size()) == 0 &&
      library().read_query_result(handle_->raw) == 0) {
    return 0;
  }
  return library().error_number(handle_->raw);
}

unsigned long Client::id() const { return library().thread_id(handle_->raw); }

}  // namespace dlm_freeze::integration
