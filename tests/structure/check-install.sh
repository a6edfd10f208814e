#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-install.sh BUILD_DIR [LIBRARY...]: an installed tree has an agent that runs and, if libraries are given, that
# needs no others than these.

set -eu
build=$1
shift
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix" >"$prefix/log" || {
  cat "$prefix/log"
  exit 1
}
agent=$prefix/bin/dlm-freeze
"$agent" --version
"$agent" --help >/dev/null
examples=$prefix/share/doc/dlm-freeze/examples
for hook in mongodb-session oracle-session db2-session sqlserver-session redis-save; do
  [ -x "$examples/hooks/$hook" ] || {
    echo "$examples/hooks/$hook is missing" >&2
    exit 1
  }
done

[ $# -gt 0 ] || exit 0
needed=$(readelf --dynamic "$agent" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
for library in $needed; do
  case " $* " in
    *" $library "*) ;;
    *)
      echo "$library is needed, allowed are: $*" >&2
      exit 1
      ;;
  esac
done
