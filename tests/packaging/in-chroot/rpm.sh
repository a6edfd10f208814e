#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the chroot: the life of the .rpm, as far as a Debian can tell. In /given are `old` and `new`, the same in two
# versions. --nodeps: what they need comes from Debian's packages, which rpm does not know.

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

step "install"
apt_get install libmariadb3 libpq5
rpm --install --nodeps /given/old/*.rpm
rpm --query --configfiles dlm-freeze | grep -qx "$config" || fail "$config is no configuration file"
check_installed

hold
step "upgrade while it is held"
rpm --upgrade --nodeps /given/new/*.rpm
rpm --query dlm-freeze | grep -q -- '-2\b' || fail "rpm does not know the new version"
end_with_the_new_version

step "a module and a program of different versions do not go together"
rpm --query --requires dlm-freeze-mysql | grep -qx "dlm-freeze(x86-64) = $(rpm --query --queryformat '%{version}-%{release}' dlm-freeze)" ||
  fail "the module does not want its own version"

refused rpm --erase --nodeps dlm-freeze dlm-freeze-mysql dlm-freeze-postgresql
refused rpm --erase dlm-freeze-mysql

step "erase"
rpm --erase dlm-freeze dlm-freeze-mysql dlm-freeze-postgresql
[ -e $config.rpmsave ] || fail "the configuration of the administrator is lost"
rm $config.rpmsave
rmdir /etc/dlm-freeze
nothing_left
step "done"
