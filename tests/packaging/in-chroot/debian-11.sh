#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside a chroot with Debian 11, whose glibc is the oldest that is tried: the packages, with that Debian's servers and client
# libraries. /given has the packages.

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

# held: a session of /data that post-script ends well.
held() {
  expect 0 dlm-freeze pre-script
  for line; do printed "$line"; done
  expect 0 dlm-freeze status
  printed 'A session is active (held)'
  write_and_wait /data/written
  expect 0 dlm-freeze post-script
  wait "$writer"
}

step "install"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d # no server but ours
chmod 755 /usr/sbin/policy-rc.d
apt_get install /given/*.deb
check_installed
expect 1 dlm-freeze --nonsense # an exception, which has to be unwound
expect 205 dlm-freeze post-script

step "freeze and thaw"
mean_data
held
expect 0 dlm-freeze pre-script --auto-thaw 2
write_and_wait /data/late
wait "$writer"
expect 203 dlm-freeze post-script

step "without a client library"
mkdir -p /run/mysqld
adduser --quiet --system --group --no-create-home mysql
apt_get install mariadb-server-core-10.5 mariadb-client-core-10.5
mariadb-install-db --force --user=mysql --datadir=/data/mysql --auth-root-authentication-method=socket >/tmp/out 2>&1 ||
  { cat /tmp/out && fail "there is no database"; }
chown mysql: /run/mysqld
mariadbd --no-defaults --user=mysql --datadir=/data/mysql --socket=/run/mysqld/mysqld.sock --skip-networking 2>/tmp/mariadbd &
for _ in {1..200}; do
  [ ! -S /run/mysqld/mysqld.sock ] || break
  sleep 0.1
done
library=$(ldconfig -p | awk '/libmariadb.so.3 / { print $NF }')
mv "$library" /tmp/libmariadb
ldconfig
expect 201 dlm-freeze pre-script
printed 'no client library of MySQL or MariaDB is installed'
mv /tmp/libmariadb "$library"
ldconfig

step "MariaDB 10.5, by Debian 11's libmariadb"
held 'mysql: .*locked in'
mariadb --execute shutdown
wait %2 || true

step "PostgreSQL 13, by Debian 11's libpq"
mkdir -p /etc/postgresql-common
echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
apt_get install postgresql-13
install -d -o postgres /data/postgresql
setpriv --reuid postgres --regid postgres --clear-groups /usr/lib/postgresql/13/bin/initdb -D /data/postgresql >/dev/null
setpriv --reuid postgres --regid postgres --clear-groups /usr/lib/postgresql/13/bin/pg_ctl -w -D /data/postgresql \
  -l /data/postgresql/log -o '-k /run/postgresql' start >/dev/null
held 'postgresql'
setpriv --reuid postgres --regid postgres --clear-groups /usr/lib/postgresql/13/bin/pg_ctl -w -D /data/postgresql stop >/dev/null
step "done"
