#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-dependencies.sh ROOT: which directory of include/dlm_freeze and src may include what (docs/ARCHITECTURE.md).
#
#   base <- fs, quiesce <- record <- session <- commands <- cli <- main.cpp; fs and quiesce do not know each other
#   include/dlm_freeze is the kit for writers of modules: it includes nothing of ours but itself
#   the headers of a library have one owner, the file that stops its exceptions
#   every file is named in snake_case and starts with its licence; every header has #pragma once
#
# Prints "file:line: what is wrong" for each offence and exits 1 if there was one.

set -eu
cd "$1"

# shellcheck disable=SC2016 # awk's own $0
offences=$(find include/dlm_freeze src -type f \( -name '*.[ch]' -o -name '*.[ch]pp' \) | sort |
  xargs -r awk '
    function offence(what) { printf "%s:%d: %s\n", FILENAME, FNR, what }

    # The directory of include/dlm_freeze or src that a file belongs to; src/main.cpp is one of its own.
    function area_of(path) {
      sub(/^(include\/dlm_freeze|src|dlm_freeze)\//, "", path)
      if (path == "main.cpp") return "main"
      sub(/\/.*/, "", path)
      return path
    }

    function check_own(header, here, there) {
      here = area_of(FILENAME)
      there = area_of(header)
      if (header !~ /\//) return
      if (FILENAME ~ /^include\// && header !~ /^dlm_freeze\//) offence("\"" header "\" is not in the kit")
      if (here == there) return
      if (!(there in layer)) offence("\"" header "\" belongs to no known directory")
      else if (layer[there] >= layer[here]) offence(here " must not include " there ": " header)
    }

    function check_foreign(header, prefix) {
      for (prefix in owner)
        if (index(header, prefix) == 1) {
          if (FILENAME !~ owner[prefix]) offence("<" header "> may only be included by " owner[prefix])
          return
        }
      if (header ~ /\// && header !~ /^(sys|linux|asm|net|netinet|arpa|tl)\//) offence("<" header "> has no owner")
    }

    BEGIN {
      layer["base"] = 0; layer["fs"] = 1; layer["quiesce"] = 1; layer["record"] = 2; layer["session"] = 3
      layer["commands"] = 4; layer["cli"] = 5; layer["main"] = 6

      owner["libmount"] = "^src/fs/mount_table[.]cpp$"
      owner["CLI/"] = "^src/cli/command_line[.]cpp$"
      owner["nlohmann/"] = "^src/base/json[.]cpp$"
      owner["mysql"] = "^src/quiesce/mysql/"
      owner["mariadb"] = owner["mysql"]
      owner["libpq"] = "^src/quiesce/postgresql/"
      owner["systemd/"] = "^src/session/scope/"
      owner["gtest/"] = "^tests/"
      owner["gmock/"] = owner["gtest/"]
    }

    FNR == 1 {
      if (FILENAME !~ /^[a-z0-9_\/]+[.](hpp|cpp)$/) offence("the name is not snake_case.hpp or .cpp")
      if ($0 !~ /SPDX-License-Identifier: Apache-2.0/) offence("the SPDX line is missing")
      if (!(area_of(FILENAME) in layer)) offence("the directory has no place in the dependency rule")
      if (FILENAME ~ /[.]hpp$/) headers[FILENAME]
    }
    /^#pragma once/ { delete headers[FILENAME] }
    /^[ \t]*#[ \t]*include/ {
      header = $0
      gsub(/^[^"<]*["<]|[">].*$/, "", header)
      if (header ~ /^dlm_freeze\// || $0 ~ /"/) check_own(header)
      else check_foreign(header)
    }
    END { for (name in headers) printf "%s:1: #pragma once is missing\n", name }
  ')

[ -z "$offences" ] || {
  echo "$offences"
  exit 1
}
