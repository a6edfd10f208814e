#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the chroot: the life of the Debian packages. In /given are `old` and `new`, the same in two versions.

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

step "install"
apt_get install /given/old/*.deb
dpkg-query -W -f='${Conffiles}' dlm-freeze | grep -q " $config " || fail "$config is no conffile"
check_installed

hold
step "upgrade while it is held"
apt_get install /given/new/*.deb
dpkg-query -W dlm-freeze | grep -q -- '-2$' || fail "dpkg does not know the new version"
end_with_the_new_version

step "a module and a program of different versions do not go together"
dpkg-deb -f /given/new/dlm-freeze-mysql_*.deb Depends | grep -q "dlm-freeze (= $(dpkg-query -W -f='${Version}' dlm-freeze))" ||
  fail "the module does not want its own version"

refused apt_get remove dlm-freeze
dpkg --configure -a

step "remove, purge"
apt_get remove dlm-freeze
[ -e $config ] || fail "the configuration is gone before the purge"
mkdir -p /var/lib/dlm-freeze/postgresql/kept
apt_get purge 'dlm-freeze*'
[ -d /var/lib/dlm-freeze/postgresql/kept ] || fail "what a backup of PostgreSQL needs is gone"
rm -r /var/lib/dlm-freeze
nothing_left
step "done"
