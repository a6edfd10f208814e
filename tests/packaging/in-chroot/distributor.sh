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

# release KIND NUMBER: of all that is installed.
release() {
  local found
  case $1 in
    deb) found=$(dpkg-query -W -f='${Status} ${Package} ${Version}\n' 'dlm-freeze*' | sed -n 's/^install ok installed //p') ;;
    rpm) found=$(rpm --query --all --queryformat '%{name} %{version}-%{release}\n' 'dlm-freeze*') ;;
  esac
  [ "$(grep -c -- "-$2\$" <<<"$found")" = 3 ] || fail "not release $2: $found"
}

# life KIND: of a host that has a MariaDB, and gets a PostgreSQL later.
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

  step "$1: the module of a server that came later comes with the next install of the same version"
  as_the_agent old "$1" validate.sh || fail "it is not valid"
  touch /usr/bin/postgres
  ! as_the_agent old "$1" validate.sh || fail "no module was missed"
  as_the_agent old "$1" install.sh
  module postgresql || fail "the module for PostgreSQL is not installed"
  as_the_agent old "$1" validate.sh || fail "it is not valid"
  rm /usr/bin/postgres

  hold
  step "$1: update while it is held"
  as_the_agent new "$1" update.sh
  end_with_the_new_version

  step "$1: back to the older version, and forth"
  as_the_agent old "$1" update.sh
  release "$1" 1
  as_the_agent new "$1" update.sh
  release "$1" 2

  expect 0 dlm-freeze pre-script
  step "$1: uninstalling in the middle of a session is refused"
  ! as_the_agent new "$1" uninstall.sh || fail "it was removed"
  for left in installed "module mysql" "module postgresql"; do
    $left || fail "something was removed: not $left"
  done
  expect 0 dlm-freeze post-script
  as_the_agent new "$1" uninstall.sh
  ! installed || fail "it is still installed"
  rm /usr/sbin/mariadbd
}

life deb
apt_get purge dlm-freeze

# The package managers of the other distributions, as far as their command lines go; rpm does the work.
apt_get install libmariadb3 libpq5
cat >/usr/local/bin/rpm <<'END'
#!/bin/sh
[ "$1" != --upgrade ] || set -- "$@" --nodeps # what they need comes from Debian's packages, which rpm does not know
exec /usr/bin/rpm "$@"
END
chmod 755 /usr/local/bin/rpm
for manager in dnf zypper yum; do
  cat >/usr/local/bin/$manager <<'END'
#!/bin/bash
old=
for argument; do
  case $argument in
    --oldpackage) old=$argument ;;
    --*) ;;
    install | remove) verb=$argument ;;
    *) packages+=("$argument") ;;
  esac
done
case $verb in
  install) exec rpm --upgrade $old --replacepkgs "${packages[@]}" ;;
  remove) exec rpm --erase $(rpm --query --all 'dlm-freeze*') ;;
esac
END
  chmod 755 /usr/local/bin/$manager
  rm -f /data/written
  life rpm
  rm /usr/local/bin/$manager /etc/dlm-freeze/config.json.rpmsave
done
step "done"
