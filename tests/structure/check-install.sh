#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-install.sh BUILD_DIR: an installed tree has an agent that runs, and a kit that modules can be built with.

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

# A module outside of this tree, as docs/writing-a-quiescer.md has it.
source=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$prefix/module/sample_module"
cp "$source"/sample_module/*.?pp "$prefix/module/sample_module"
cat >"$prefix/module/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(my-quiescer CXX)
find_package(dlm-freeze REQUIRED)
dlm_freeze_add_quiescer_module(flag_file sample_module/flag_file_quiescer.cpp sample_module/module.cpp)
target_include_directories(quiesce-flag_file PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
END
{ cmake -S "$prefix/module" -B "$prefix/module/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release &&
  cmake --build "$prefix/module/build"; } >"$prefix/log" 2>&1 || {
  cat "$prefix/log"
  exit 1
}
cp "$prefix/module/build/quiesce-flag_file.so" "$prefix/lib/dlm-freeze"
# The installed program loads it: only so does it know which options there are.
if [ "$(id -u)" -eq 0 ]; then
  chmod 755 "$prefix"
  echo '{"quiescers": [{"type": "flag_file", "nonsense": 1}]}' >"$prefix/config.json"
  "$prefix/bin/dlm-freeze" --config "$prefix/config.json" dry-run 2>&1 | grep -q 'nonsense is not known' || {
    echo "the installed program does not load a module that was built with the installed kit" >&2
    exit 1
  }
fi
