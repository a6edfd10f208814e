// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::integration {

/// An HTTP server on 127.0.0.1 that says what a test wants, one connection at a time.
class HttpStandin {
 public:
  /// Listens at once; port 0: at any that is free.
  explicit HttpStandin(int port = 0);
  HttpStandin(const HttpStandin&) = delete;
  HttpStandin& operator=(const HttpStandin&) = delete;
  ~HttpStandin();

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] std::string address() const { return "http://127.0.0.1:" + std::to_string(port_); }

  /// What is sent for that path, byte for byte; then the connection ends. Any other path is a 404.
  void answer(const std::string& path, const std::string& bytes);

  /// The same with status 200.
  void answer_json(const std::string& path, const std::string& body);

  /// From here on requests are taken, and nothing is ever said.
  void fall_silent();

  /// The paths that were asked for since the last call.
  std::vector<std::string> take_requests();

 private:
  void serve();
  void serve_one(UniqueFd connection);

  UniqueFd listener_;
  UniqueFd stop_;
  int port_ = 0;
  std::mutex mutex_;
  std::map<std::string, std::string> answers_;
  std::vector<std::string> requests_;
  std::vector<UniqueFd> kept_;
  bool silent_ = false;
  std::thread thread_;
};

}  // namespace dlm_freeze::integration
