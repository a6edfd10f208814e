#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the chroot: installs, updates and removes by the scripts of the SSM Distributor package, as the SSM agent runs
# them. In /given are `old` and `new`, each with the .zip files of a version.

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

# as_the_agent VERSION KIND SCRIPT: a bare environment, some other directory, no input.
as_the_agent() {
  local files=/tmp/$1-$2
  [ -d "$files" ] || unzip -q /given/"$1"/dlm-freeze-*-"$2"-x86_64.zip -d "$files"
  (cd / && env -i PATH=/usr/bin:/bin "$files/$3" </dev/null)
}
installed() { [ -x /usr/bin/dlm-freeze ]; }
module() { [ -e "/usr/lib/dlm-freeze/quiesce-$1.so" ]; }

# life KIND: of a host that has a MariaDB and no PostgreSQL.
life() {
  step "$1: install where there is no database"
  as_the_agent old "$1" install.sh
  installed || fail "it is not installed"
  ! module mysql || fail "the module for MySQL was installed without need"
  as_the_agent old "$1" uninstall.sh
  ! installed || fail "it is still installed"

  step "$1: install beside MariaDB"
  touch /usr/sbin/mariadbd
  as_the_agent old "$1" install.sh
  module mysql || fail "the module for MySQL is not installed"
  ! module postgresql || fail "the module for PostgreSQL was installed without need"

  hold
  step "$1: update while it is held"
  as_the_agent new "$1" update.sh
  end_with_the_new_version

  expect 0 dlm-freeze pre-script
  step "$1: uninstalling in the middle of a session is refused"
  ! as_the_agent new "$1" uninstall.sh || fail "it was removed"
  installed || fail "it was removed"
  expect 0 dlm-freeze post-script
  as_the_agent new "$1" uninstall.sh
  ! installed || fail "it is still installed"
  rm /usr/sbin/mariadbd
}

life deb
apt_get purge dlm-freeze

# The package managers of the other distributions, as far as their command lines go; rpm does the work.
apt_get install libmariadb3
for manager in dnf zypper yum; do
  cat >/usr/local/bin/$manager <<'END'
#!/bin/bash
for argument; do
  case $argument in
    --*) ;;
    install | remove) verb=$argument ;;
    *) packages+=("$argument") ;;
  esac
done
case $verb in
  install) exec rpm --upgrade --nodeps "${packages[@]}" ;;
  remove) exec rpm --erase "${packages[@]}" $(rpm --query dlm-freeze-mysql >/dev/null && echo dlm-freeze-mysql) ;;
esac
END
  chmod 755 /usr/local/bin/$manager
  rm -f /data/written
  life rpm
  rm /usr/local/bin/$manager /etc/dlm-freeze/config.json.rpmsave
done
step "done"
