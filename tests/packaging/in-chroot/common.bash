# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the scripts here share; sourced. /data is an ext4 of ours.

set -euo pipefail
readonly config=/etc/dlm-freeze/config.json

# step WORD...: what is going on, for whoever reads the log of a failure.
step() { echo "--- $*"; }
fail() { echo "FAILED: $*" >&2 && exit 1; }

# expect CODE COMMAND...: the exit code has to be that. What it printed is in /tmp/out.
expect() {
  local expected=$1 code=0
  shift
  "$@" >/tmp/out 2>&1 </dev/null || code=$?
  cat /tmp/out
  [ "$code" = "$expected" ] || fail "$* answered $code, not $expected"
}

# printed PATTERN: by the last `expect`.
printed() { grep -q "$1" /tmp/out || fail "it did not print: $1"; }

apt_get() { apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" </dev/null; }

is_waiting() { grep -q '^State:.D' "/proc/$1/status"; }

# write_and_wait FILE: starts a write that waits for a thaw, as $writer.
write_and_wait() {
  touch "$1" >/dev/null 2>&1 &
  writer=$!
  for _ in {1..100}; do
    ! is_waiting $writer || return 0
    sleep 0.05
  done
  fail "a write to $1 does not wait"
}

check_installed() {
  step "what is installed"
  dlm-freeze --version
  [ "$(stat -c '%a %U %G' /run/dlm-freeze)" = "700 root root" ] || fail "/run/dlm-freeze"
  [ "$(stat -c '%a %U %G' $config)" = "644 root root" ] || fail "$config"
  gzip -t /usr/share/man/man8/dlm-freeze.8.gz || fail "the manual page"

  step "the configuration that comes with it changes nothing"
  cp $config /tmp/config.json
  without_load() { sed '/"write_back": {/,/}/d'; } # What is dirty changes at any time.
  dlm-freeze dry-run --json | without_load >/tmp/with
  rm $config
  dlm-freeze dry-run --json | without_load >/tmp/without
  cmp /tmp/with /tmp/without || fail "dry-run differs without $config"

  step "the modules are found and can be loaded"
  cat >$config <<'END'
{ "quiescers": [ { "type": "mysql", "socket": "/run/mysqld/mysqld.sock", "required": false },
                 { "type": "postgresql", "conninfo": "host=/run/postgresql", "required": false } ] }
END
  expect 0 dlm-freeze dry-run --all
  printed '^ *mysql  *mysql '
  printed '^ *postgresql  *postgresql '
  cp /tmp/config.json $config
}

# The chroot is not the host, so pre-script has to be told that /data is meant.
mean_data() { sed -i 's|// "filesystems": .*|"filesystems": { "include": ["/data"] }|' $config; }

# Freezes /data and leaves a write to it waiting; what the administrator has changed in the configuration is in it.
hold() {
  step "freeze, for real"
  mean_data
  expect 0 dlm-freeze dry-run --all
  printed '/data .*freeze'
  sed -i 's|// "auto_thaw_seconds": 60, |"auto_thaw_seconds": 50, //|' $config
  expect 0 dlm-freeze pre-script
  expect 0 dlm-freeze status
  printed 'A session is active (held)'
  watchdog=$(pgrep -x dlm-watchdog) || fail "there is no watchdog"
  write_and_wait /data/written
}

# After an upgrade since `hold`.
end_with_the_new_version() {
  grep -q '"auto_thaw_seconds": 50' $config || fail "the configuration of the administrator was replaced"
  [ "$(pgrep -x dlm-watchdog)" = "$watchdog" ] || fail "the watchdog was replaced"
  readlink "/proc/$watchdog/exe" | grep -q deleted || fail "the program was not replaced"
  is_waiting "$writer" || fail "/data is not frozen any more"
  expect 0 dlm-freeze post-script
  wait "$writer"
  [ -e /data/written ] || fail "the write was lost"
}

# refused COMMAND...: does not remove anything while a session is active.
refused() {
  local packages=(/usr/bin/dlm-freeze /usr/lib/dlm-freeze/quiesce-{mysql,postgresql}.so)
  step "removal in the middle of a session is refused"
  expect 0 dlm-freeze pre-script
  ! "$@" >/tmp/out 2>&1 || fail "$* did"
  cat /tmp/out
  printed 'a session is active'
  stat "${packages[@]}" >/dev/null || fail "$* removed something"
  expect 0 dlm-freeze post-script
}

# Of the packages, anywhere.
nothing_left() {
  local left
  left=$(find / -xdev \( -path /given -o -path /proc -o -path /tmp \) -prune -o -name '*dlm-freeze*' -print)
  [ -z "$left" ] || fail "left behind: $left"
  [ ! -e /run/dlm-freeze ] || fail "/run/dlm-freeze is left behind"
}
