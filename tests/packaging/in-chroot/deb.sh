#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the chroot (../chroot): the life of the Debian packages. In /given are `old` and `new`, the same packages in two
# versions; /data is an ext4 of ours.

set -euo pipefail

# say, step: what is going on, for whoever reads the log of a failure.
step() { echo "--- $*"; }
fail() { echo "FAILED: $*" >&2 && exit 1; }

# expect CODE COMMAND...: the exit code has to be that.
expect() {
  local expected=$1 code=0
  shift
  "$@" >/tmp/out 2>&1 </dev/null || code=$?
  cat /tmp/out
  [ "$code" = "$expected" ] || fail "$* answered $code, not $expected"
}

apt_get() { apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null; }
watchdog() { pgrep -x dlm-watchdog || fail "there is no watchdog"; }
is_waiting() { grep -q '^State:.D' "/proc/$1/status"; }

# A write to /data that is still waiting when it should be: $writer.
start_writer() {
  touch "/data/$1" >/dev/null 2>&1 &
  writer=$!
  for _ in {1..100}; do
    is_waiting "$writer" && return
    sleep 0.05
  done
  fail "a write to /data does not wait"
}

config=/etc/dlm-freeze/config.json

step "install"
apt_get install /given/old/*.deb
dlm-freeze --version
[ "$(stat -c '%a %U %G' /run/dlm-freeze)" = "700 root root" ] || fail "/run/dlm-freeze"
[ "$(stat -c '%a %U %G' $config)" = "644 root root" ] || fail "$config"
dpkg-query -W -f='${Conffiles}' dlm-freeze | grep -q " $config " || fail "$config is no conffile"
gzip -t /usr/share/man/man8/dlm-freeze.8.gz || fail "the manual page"

step "the configuration that comes with it changes nothing"
dlm-freeze dry-run --json >/tmp/with
mv $config /tmp/config.json
dlm-freeze dry-run --json >/tmp/without
cmp /tmp/with /tmp/without || fail "dry-run differs without $config"

step "the modules are found and can be loaded"
cat >$config <<'END'
{ "quiescers": [ { "type": "mysql", "socket": "/run/mysqld/mysqld.sock", "required": false },
                 { "type": "postgresql", "conninfo": "host=/run/postgresql", "required": false } ] }
END
expect 0 dlm-freeze dry-run
for type in mysql postgresql; do
  grep -q "^ *$type  *$type " /tmp/out || fail "$type is not in dry-run"
done
mv /tmp/config.json $config

step "freeze, for real"
expect 0 dlm-freeze dry-run
grep -q '/data .*freeze' /tmp/out || fail "/data would not be frozen"
sed -i 's|// "auto_thaw_seconds": 60, |"auto_thaw_seconds": 50 //|' $config
expect 0 dlm-freeze pre-script
start_writer one
expect 0 dlm-freeze status
grep -q 'A session is active (held)' /tmp/out || fail "status"
before=$(watchdog)

step "upgrade while it is held"
apt_get install /given/new/*.deb
dpkg-query -W dlm-freeze | grep -q -- '-2$' || fail "dpkg does not know the new version"
grep -q '"auto_thaw_seconds": 50' $config || fail "the configuration of the administrator was replaced"
[ "$(watchdog)" = "$before" ] || fail "the watchdog was replaced"
readlink "/proc/$before/exe" | grep -q deleted || fail "the watchdog does not run the old program"
is_waiting "$writer" || fail "/data is not frozen any more"
expect 0 dlm-freeze post-script
wait "$writer"
[ -e /data/one ] || fail "the write was lost"

step "a module and a program of different versions do not go together"
dpkg-deb -f /given/new/dlm-freeze-mysql_*.deb Depends | grep -q "dlm-freeze (= $(dpkg-query -W -f='${Version}' dlm-freeze))" ||
  fail "the module does not want its own version"

step "removal in the middle of a session is refused"
expect 0 dlm-freeze pre-script
expect 100 apt_get remove dlm-freeze
grep -q 'a session is active' /tmp/out || fail "apt does not say why"
expect 0 dlm-freeze post-script
dpkg --configure -a

step "remove, purge"
apt_get remove dlm-freeze
[ -e $config ] || fail "the configuration is gone before the purge"
apt_get purge 'dlm-freeze*'
left=$(find / -xdev \( -path /given -o -path /proc -o -path /tmp \) -prune -o -name '*dlm-freeze*' -print)
[ -z "$left" ] || fail "left behind: $left"
[ ! -e /run/dlm-freeze ] || fail "/run/dlm-freeze is left behind"
touch /data/end
step "done"
