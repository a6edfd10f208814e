#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-arm64.sh PACKAGES: the program and the modules in the packages for arm64 start under qemu-user on a Debian of that
# architecture, and the .deb and the .rpm hold the same. Freezing goes untested: qemu-user answers ENOSYS to FIFREEZE. So a
# session of databases alone, and without any: watchdog, sentinel and freezer all the same.

set -eu
packages=$1
sysroot=${DLM_FREEZE_SYSROOTS:-/var/cache/dlm-freeze}/bullseye-arm64
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

for deb in "$packages"/*_arm64.deb; do
  dpkg-deb -x "$deb" "$scratch/deb"
done
mkdir "$scratch/rpm"
for rpm in "$packages"/*.aarch64.rpm; do
  rpm2cpio "$rpm" | (cd "$scratch/rpm" && cpio --extract --make-directories --quiet)
done
for file in bin/dlm-freeze lib/dlm-freeze/systemd-scope.so lib/dlm-freeze/verify.so lib/dlm-freeze/quiesce-mysql.so lib/dlm-freeze/quiesce-postgresql.so; do
  cmp "$scratch/deb/usr/$file" "$scratch/rpm/usr/$file"
  file --brief "$scratch/deb/usr/$file" | grep -q 'ARM aarch64.*, stripped'
done
sh "$(dirname "$0")/../structure/check-elf.sh" "$scratch/deb/usr"

agent() {
  qemu-aarch64-static -L "$sysroot" "$scratch/deb/usr/bin/dlm-freeze" --state-dir "$scratch/state" "$@"
}

# expect CODE TEXT ARGUMENT...: the exit code, and what is printed.
expect() {
  code=0
  agent_expected=$1
  text=$2
  shift 2
  agent "$@" >"$scratch/out" 2>&1 || code=$?
  if [ "$code" != "$agent_expected" ] || ! grep -q "$text" "$scratch/out"; then
    echo "dlm-freeze $* answered $code, not $agent_expected with '$text':"
    cat "$scratch/out"
    exit 1
  fi
}

cat >"$scratch/modules.json" <<'END'
{ "filesystems": { "freeze": false },
  "quiescers": [ { "type": "mysql", "socket": "/run/none/mysqld.sock", "required": false },
                 { "type": "postgresql", "conninfo": "host=/run/none", "required": false } ] }
END
expect 0 '^dlm-freeze [0-9.]*$' --version
expect 0 'Nothing was changed' dry-run
expect 0 'No session is active' status
expect 0 '^ *mysql .*absent, skipped' --config "$scratch/modules.json" dry-run
expect 0 '^ *postgresql .*absent, skipped' --config "$scratch/modules.json" dry-run
expect 1 'Return Error Code: 1' --nonsense # an exception, which has to be unwound
expect 205 'Return Error Code: 205' post-script
expect 0 'pre-script completed' --config "$scratch/modules.json" pre-script --auto-thaw 20
expect 0 'A session is active (held)' status
expect 0 'post-script completed' post-script
echo "the packages for arm64 start"
