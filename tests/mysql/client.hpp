// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace dlm_freeze::integration {

/// A session on a server, as an application has it: blocking, each failure thrown as
/// std::runtime_error.
class Client {
 public:
  explicit Client(const std::string& socket, const std::string& user = "root", const std::string& password = "");
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  using Row = std::vector<std::string>;
  std::vector<Row> query(const std::string& statement);

  /// The only cell of a statement's result.
  std::string value(const std::string& statement);

  /// The number of the error that a statement ends with; 0 when it succeeds.
  unsigned error_of(const std::string& statement);

  /// Its number on the server.
  [[nodiscard]] unsigned long id() const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace dlm_freeze::integration
