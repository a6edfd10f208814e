// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "quiesce/mysql/connection.hpp"

namespace dlm_freeze::mysql {

/// The options of the configuration.
struct MysqlSettings {
  ServerAddress address;
  std::string password_file;
  std::string container;               ///< Where the server runs; empty: on the host, or at `address.host`.
  std::string lock = "auto";           ///< See choose_lock.
  std::chrono::seconds long_query{2};  ///< Statements older than that are waited for; 0: none.
  std::chrono::seconds wait{3};        ///< How long.
  std::chrono::seconds lock_wait{3};   ///< How long the lock may take.
  bool kill_selects = false;           ///< Whether statements that only read are ended when waiting did not help.
  bool stop_applier = false;
  bool required = true;  ///< Not among the options; see QuiescerConfig.
};

}  // namespace dlm_freeze::mysql
