#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by the SSM agent, as root, in the directory that the .zip was unpacked to; also as update.sh, since a package manager
# updates in place. Installs dlm-freeze, and the module of each database server that is on the host.

set -eu
cd "$(dirname "$0")"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# is_there FILE...: any of them. Takes the globs of the caller, which stay as they are where they match nothing.
is_there() {
  for file; do
    [ ! -e "$file" ] || return 0
  done
  return 1
}

modules=
! is_there /usr/sbin/mysqld /usr/sbin/mariadbd /usr/libexec/mysqld /usr/libexec/mariadbd || modules="$modules mysql"
! is_there /usr/bin/postgres /usr/lib/postgresql*/bin/postgres /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres ||
  modules="$modules postgresql"

if is_there ./*.deb; then
  set -- ./dlm-freeze_*.deb
  for module in $modules; do
    set -- "$@" ./dlm-freeze-"$module"_*.deb
  done
  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 \
    -o Dpkg::Options::=--force-confold install "$@" </dev/null
else
  set -- ./dlm-freeze-[0-9]*.rpm
  for module in $modules; do
    set -- "$@" ./dlm-freeze-"$module"-[0-9]*.rpm
  done
  if command -v dnf >/dev/null; then
    dnf --assumeyes install "$@"
  elif command -v zypper >/dev/null; then
    zypper --non-interactive --no-gpg-checks install --allow-unsigned-rpm "$@"
  else
    yum --assumeyes install "$@"
  fi
fi
dlm-freeze --version
