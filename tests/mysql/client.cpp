// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include <mysql.h>

#include <stdexcept>

namespace dlm_freeze::integration {

struct Client::Handle {
  Handle() : raw(mysql_init(nullptr)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { mysql_close(raw); }

  MYSQL* raw;
};

Client::Client(const std::string& socket, const std::string& user, const std::string& password)
    : handle_(std::make_unique<Handle>()) {
  MYSQL* const raw = handle_->raw;
  if (mysql_real_connect(raw, "localhost", user.c_str(), password.c_str(), nullptr, 0, socket.c_str(), 0) == nullptr) {
    throw std::runtime_error(socket + ": " + mysql_error(raw));
  }
}

Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

std::vector<Client::Row> Client::query(const std::string& statement) {
  if (error_of(statement) != 0) {
    throw std::runtime_error(statement + ": " + mysql_error(handle_->raw));
  }
  std::vector<Row> rows;
  MYSQL_RES* const result = mysql_store_result(handle_->raw);
  if (result == nullptr) return rows;
  const unsigned width = mysql_num_fields(result);
  while (MYSQL_ROW cells = mysql_fetch_row(result)) {
    Row row;
    for (unsigned i = 0; i < width; ++i) row.emplace_back(cells[i] != nullptr ? cells[i] : "");
    rows.push_back(std::move(row));
  }
  mysql_free_result(result);
  return rows;
}

std::string Client::value(const std::string& statement) { return query(statement).at(0).at(0); }

unsigned Client::error_of(const std::string& statement) {
  if (mysql_real_query(handle_->raw, statement.data(), statement.size()) == 0) return 0;
  return mysql_errno(handle_->raw);
}

unsigned long Client::id() const { return mysql_thread_id(handle_->raw); }

}  // namespace dlm_freeze::integration
