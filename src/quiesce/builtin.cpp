// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/command/command_quiescer.hpp"
#include "quiesce/hana/hana_quiescer.hpp"
#include "quiesce/iris/iris_quiescer.hpp"
#include "quiesce/mysql/sockets.hpp"
#include "quiesce/postgresql/programs.hpp"

namespace dlm_freeze {

std::vector<const QuiescerType*> builtin_quiescer_types() {
  return {&command::quiescer_type(), &iris::quiescer_type(), &hana::quiescer_type()};
}

std::vector<ModuleType> module_quiescer_types() {
  return {
      {.name = "mysql",
       .signs = {mysql::kSockets.begin(), mysql::kSockets.end()},
       .accounts = {"mysql", "mariadb"},
       .programs = {mysql::kPrograms.begin(), mysql::kPrograms.end()}},
      {.name = "postgresql",
       .signs = {"/run/postgresql/.s.PGSQL.*", "/tmp/.s.PGSQL.*"},
       .accounts = {"postgres"},
       .programs = {postgresql::kPrograms.begin(), postgresql::kPrograms.end()}},
  };
}

}  // namespace dlm_freeze
