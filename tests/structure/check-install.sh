#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-install.sh BUILD_DIR [shipped]: an installed tree has an agent that runs and, if it is one that is shipped, starts
# on other hosts as well.

set -eu
build=$1
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix" >"$prefix/log" || {
  cat "$prefix/log"
  exit 1
}
"$prefix/bin/dlm-freeze" --version
"$prefix/bin/dlm-freeze" --help >/dev/null
examples=$prefix/share/doc/dlm-freeze/examples
for hook in mongodb-session oracle-session db2-session sqlserver-session redis-save; do
  [ -x "$examples/hooks/$hook" ] || {
    echo "$examples/hooks/$hook is missing" >&2
    exit 1
  }
done

[ "${2:-}" != shipped ] || sh "$(dirname "$0")/check-elf.sh" "$prefix"
