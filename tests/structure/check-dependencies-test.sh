#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proves that check-dependencies.sh accepts what is allowed and finds each thing that is not.

set -eu
check=$(dirname "$0")/check-dependencies.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# put FILE LINE...: a source file with its licence line first.
put() {
  file=$tree/$1
  shift
  mkdir -p "$(dirname "$file")"
  printf '%s\n' '// SPDX-License-Identifier: Apache-2.0' "$@" >"$file"
}

# expect TEXT FILE LINE...: with this one file more, the check fails and says TEXT.
expect() {
  text=$1
  shift
  put "$@"
  if said=$(sh "$check" "$tree"); then
    echo "not found: $text" >&2
    exit 1
  fi
  case $said in
    "$1":*"$text"*) ;;
    *)
      echo "expected '$text' in $1, got: $said" >&2
      exit 1
      ;;
  esac
  rm "$tree/$1"
}

put include/dlm_freeze/base/error.hpp '#pragma once' '#include <string>' '#include <sys/ioctl.h>' '#include <tl/expected.hpp>'
put include/dlm_freeze/quiesce/registry.hpp '#pragma once' '#include "dlm_freeze/base/error.hpp"'
put src/fs/plan.hpp '#pragma once' '#include "dlm_freeze/base/error.hpp"'
put src/fs/mount_table.cpp '#include <libmount/libmount.h>' '#include "fs/plan.hpp"' '#include "fs/private.hpp"'
put src/quiesce/mysql/module.cpp '#include <mysql/mysql.h>' '#include "dlm_freeze/quiesce/registry.hpp"'
put src/session/scope/module.cpp '#include <systemd/sd-bus.h>'
put src/cli/logging.cpp '#include "logging.hpp"' '#include "commands/status.hpp"'
put src/main.cpp '#include "cli/command_line.hpp"' '#include "fs/plan.hpp"'
sh "$check" "$tree"

expect 'base must not include fs' src/base/a.cpp '#include "fs/plan.hpp"'
expect 'fs must not include quiesce' src/fs/a.cpp '#include <dlm_freeze/quiesce/registry.hpp>'
expect 'quiesce must not include fs' src/quiesce/iris/a.cpp '  #  include "fs/plan.hpp"'
expect 'record must not include session' src/record/a.hpp '#pragma once' '#include "session/channel.hpp"'
expect 'commands must not include cli' src/commands/a.cpp '#include "cli/logging.hpp"'
expect 'is not in the kit' include/dlm_freeze/quiesce/a.hpp '#pragma once' '#include "base/text.hpp"'
expect 'belongs to no known directory' src/session/a.cpp '#include "util/string.hpp"'
expect 'no place in the dependency rule' src/util/a.cpp
expect '<libmount/libmount.h> may only' src/fs/a.cpp '#include <libmount/libmount.h>'
expect '<CLI/CLI.hpp> may only' src/commands/a.cpp '#include <CLI/CLI.hpp>'
expect '<nlohmann/json.hpp> may only' src/session/a.cpp '#include <nlohmann/json.hpp>'
expect '<libpq-fe.h> may only' src/quiesce/mysql/a.cpp '#include <libpq-fe.h>'
expect '<systemd/sd-bus.h> may only' src/session/a.cpp '#include <systemd/sd-bus.h>'
expect '<gtest/gtest.h> may only' src/base/a.cpp '#include <gtest/gtest.h>'
expect '<boost/asio.hpp> has no owner' src/base/a.cpp '#include <boost/asio.hpp>'
expect 'not snake_case' src/base/UniqueFd.cpp
expect '#pragma once is missing' include/dlm_freeze/base/a.hpp '#include <string>'

echo 'int x;' >"$tree/src/base/a.cpp"
if sh "$check" "$tree" | grep -q 'a.cpp:1: the SPDX line is missing'; then
  echo 'every offence was found'
else
  echo 'not found: a missing licence line' >&2
  exit 1
fi
