// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "quiesce/mysql/connection.hpp"

namespace dlm_freeze::mysql {

struct MysqlSettings {
  ServerAddress address;
  std::string password_file;
  std::string lock;                   ///< The option of that name; see choose_lock.
  std::chrono::seconds long_query{};  ///< Statements older than that are waited for; 0: none.
  std::chrono::seconds wait{};        ///< How long.
  std::chrono::seconds lock_wait{};   ///< How long the lock may take.
  bool kill_selects = false;          ///< Whether statements that only read are ended when waiting did not help.
  bool stop_applier = false;
  bool required = true;
};

}  // namespace dlm_freeze::mysql
