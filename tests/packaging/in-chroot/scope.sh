#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the chroot: boots a systemd, with processes, control groups and a /dev of its own, in which a service calls
# pre-script and is then killed with all of its control group. No filesystem is frozen. /given has the packages.

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"
export SYSTEMD_LOG_LEVEL=warning

# Not the sysctls, devices and control groups of the host that this runs on: systemd as PID 1 changes them.
boot() {
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mount --bind /proc/sys /proc/sys
  mount -o remount,bind,ro /proc/sys
  nothing_but_data
  exec env container=test /lib/systemd/systemd --system --unit=scope-test.target --show-status=no --log-target=console \
    --log-level=warning --default-standard-output=inherit
}

prepare() {
  step "install"
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  apt_get install /given/dlm-freeze_*_amd64.deb systemd
  cat >$config <<'END_OF_FILE'
{ "filesystems": { "freeze": false },
  "quiescers": [ { "type": "command", "name": "db", "freeze": ["/bin/touch", "/run/held"], "thaw": ["/bin/rm", "-f", "/run/held"] } ] }
END_OF_FILE
  cat >/etc/systemd/system/caller.service <<'END_OF_FILE'
[Unit]
DefaultDependencies=no
[Service]
KillMode=control-group
ExecStart=/bin/bash -c 'dlm-freeze pre-script --auto-thaw 60; echo $? >/run/answer; exec sleep 1000'
StandardOutput=append:/run/caller
StandardError=append:/run/caller
END_OF_FILE
  cat >/etc/systemd/system/scope-test.service <<END_OF_FILE
[Unit]
DefaultDependencies=no
[Service]
ExecStart=/bin/bash $0 inside
StandardOutput=append:/tmp/inside
StandardError=append:/tmp/inside
END_OF_FILE
  cat >/etc/systemd/system/scope-test.target <<'END_OF_FILE'
[Unit]
DefaultDependencies=no
Wants=scope-test.service
END_OF_FILE
  mount -t tmpfs -o mode=755 tmpfs /dev
  mknod -m 666 /dev/null c 1 3
  mknod -m 666 /dev/zero c 1 5
  mknod -m 666 /dev/full c 1 7
  mknod -m 666 /dev/random c 1 8
  mknod -m 666 /dev/urandom c 1 9
  mkdir /dev/shm /dev/pts
  mount -o remount,bind,ro /sys
}

# Of the host, as seen without a namespace of our own; a child that systemd gets as its root.
in_own_cgroup() {
  local groups group status=0
  groups=$(mktemp -d)
  mount -t cgroup2 cgroup2 "$groups"
  group=$groups/dlm-freeze-test.$RANDOM
  mkdir "$group"
  (
    echo "$BASHPID" >"$group/cgroup.procs"
    exec timeout --foreground --kill-after=5 60 \
      unshare --cgroup --uts --ipc --pid --fork --kill-child --mount --mount-proc "$@"
  ) || status=$?
  find "$group" -depth -type d -exec rmdir {} +
  umount "$groups"
  return $status
}

call() {
  rm -f /run/answer /run/caller
  systemctl start caller.service
  for _ in {1..200}; do
    [ ! -s /run/answer ] || break
    sleep 0.05
  done
  cat /run/caller
  [ "$(cat /run/answer)" = 0 ] || fail "pre-script answered $(cat /run/answer)"
  [ -e /run/held ] || fail "the database is not held"
  watchdog=$(pgrep -x dlm-watchdog)
  sentinel=$(pgrep -x dlm-sentinel)
}

# is_in PROCESS UNIT
is_in() {
  local group
  group=$(cat "/proc/$1/cgroup")
  [[ $group == */"$2" ]] || fail "$1 is in $group, not in $2"
}

is_gone() {
  for _ in {1..100}; do
    [ -e "/proc/$1" ] || return 0
    sleep 0.05
  done
  fail "$1 lives"
}

# What could be frozen if it were asked for, which it is not.
nothing_but_data() {
  local visible
  visible=$(awk '($3 !~ /^0:/ || / - btrfs /) { print $5 }' /proc/self/mountinfo)
  [ "$visible" = /data ] || fail "what could be frozen is not /data alone: $visible"
}

inside() {
  nothing_but_data

  step "the session has a scope"
  call
  # Where CAP_SYS_RESOURCE is missing, that is said.
  ! grep 'WARN' /run/caller | grep -v 'OOM killer' || fail "pre-script warned"
  is_in "$watchdog" "dlm-freeze-$watchdog.scope"
  is_in "$sentinel" "dlm-freeze-$watchdog.scope"

  step "a new sentinel is born there"
  kill -KILL "$sentinel"
  is_gone "$sentinel"
  for _ in {1..100}; do
    ! sentinel=$(pgrep -x dlm-sentinel) || break
    sleep 0.05
  done
  is_in "$sentinel" "dlm-freeze-$watchdog.scope"

  step "the caller is killed, with all that it started"
  caller=$(systemctl show --property MainPID --value caller.service)
  is_in "$caller" caller.service
  systemctl kill --signal=KILL caller.service
  is_gone "$caller"
  expect 0 dlm-freeze status
  printed 'A session is active (held)'
  [ "$(pgrep -x dlm-watchdog)" = "$watchdog" ] || fail "the watchdog is gone"
  expect 0 dlm-freeze post-script
  [ ! -e /run/held ] || fail "the database is still held"
  is_gone "$watchdog"
  for _ in {1..40}; do
    left=$(systemctl list-units --all --plain --no-legend 'dlm-freeze-*')
    [ -n "$left" ] || break
    sleep 0.05
  done
  [ -z "$left" ] || fail "left behind: $left"

  step "the caller is stopped"
  call
  is_in "$watchdog" "dlm-freeze-$watchdog.scope"
  systemctl stop caller.service
  expect 0 dlm-freeze status
  printed 'A session is active (held)'
  expect 0 dlm-freeze post-script

  step "a stop of the scope ends the session"
  call
  is_in "$watchdog" "dlm-freeze-$watchdog.scope"
  systemctl stop "dlm-freeze-$watchdog.scope"
  expect 203 dlm-freeze post-script
  systemctl stop caller.service

  step "without the module it stays with its caller"
  mv /usr/lib/dlm-freeze/systemd-scope.so /tmp
  call
  grep "WARN: the watchdog stays in the caller's cgroup: .*systemd-scope.so" /run/caller || fail "no word of it"
  is_in "$watchdog" caller.service
  systemctl kill --signal=KILL caller.service
  is_gone "$watchdog"
  expect 202 dlm-freeze post-script
  [ ! -e /run/held ] || fail "the database is still held"
  mv /tmp/systemd-scope.so /usr/lib/dlm-freeze
}

case ${1:-} in
  "")
    prepare
    step "boot"
    touch /tmp/inside
    in_own_cgroup "$0" boot || fail "systemd answered $?"
    cat /tmp/inside
    [ "$(tail -n 1 /tmp/inside)" = passed ] || fail "see above"
    step "done"
    ;;
  boot) boot ;;
  inside)
    trap 'systemctl --force --force exit 2>/dev/null || kill -s SIGRTMIN+13 1' EXIT
    inside
    echo passed
    ;;
esac
