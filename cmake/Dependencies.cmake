# SPDX-License-Identifier: Apache-2.0
# Everything that is looked up outside this repository. All of it is in Debian 12; scripts/install-deps installs it.

find_package(Threads REQUIRED)
find_package(tl-expected REQUIRED) # tl::expected: std::expected is out of clang 14's reach
find_package(nlohmann_json 3.11 REQUIRED) # nlohmann_json::nlohmann_json
find_package(CLI11 2.1 REQUIRED) # CLI11::CLI11

find_package(PkgConfig REQUIRED)
pkg_check_modules(MOUNT REQUIRED IMPORTED_TARGET mount>=2.36) # PkgConfig::MOUNT
pkg_check_modules(LIBPQ REQUIRED IMPORTED_TARGET libpq>=13) # PkgConfig::LIBPQ, for one loadable module only

pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd>=237) # PkgConfig::SYSTEMD, likewise

if(DLM_FREEZE_BUILD_TESTS)
  find_package(GTest REQUIRED) # GTest::gmock_main
  # The header of Oracle's client library or of MariaDB Connector/C. The module for MySQL does without.
  pkg_search_module(MYSQL REQUIRED IMPORTED_TARGET mysqlclient libmariadb) # PkgConfig::MYSQL
endif()

find_program(DLM_FREEZE_CCACHE ccache)
if(DLM_FREEZE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${DLM_FREEZE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${DLM_FREEZE_CCACHE})
endif()
