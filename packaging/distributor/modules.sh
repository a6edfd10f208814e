# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Which modules this host needs; read by install.sh and validate.sh.

# is_there FILE...: any of them. Takes the globs of the caller, which stay as they are where they match nothing.
is_there() {
  for file; do
    [ ! -e "$file" ] || return 0
  done
  return 1
}

has_module() { [ -e "/usr/lib/dlm-freeze/quiesce-$1.so" ]; }

# Of the servers that are here, and those that are installed: a module goes with its own version of dlm-freeze only.
modules_wanted() {
  if has_module mysql || is_there /usr/sbin/mysqld /usr/sbin/mariadbd /usr/libexec/mysqld /usr/libexec/mariadbd; then
    echo mysql
  fi
  if has_module postgresql || is_there /usr/bin/postgres /usr/lib/postgresql*/bin/postgres \
    /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres; then
    echo postgresql
  fi
}
