#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Process 1 of a machine with Debian 11's kernel: installs the packages, freezes and thaws the filesystem of its second disk, and
# switches itself off. /given has the packages.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
trap 'echo o >/proc/sysrq-trigger; sleep 60' EXIT
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /dev/disk/by-uuid
ln -s ../../vdb "/dev/disk/by-uuid/$(blkid -o value -s UUID /dev/vdb)" # There is no udev.
mount /dev/vdb /data
exec </dev/null >/dev/console 2>&1

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

step "Linux $(uname -r)"
dpkg --install /given/*.deb
cat >/etc/dlm-freeze/config.json <<'END'
{"quiescers": [{"type": "command", "name": "orders", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]}
END
expect 0 dlm-freeze dry-run --all
printed '/data .*freeze'
step "freeze, status, post-script"
expect 0 dlm-freeze pre-script
expect 0 dlm-freeze status
printed 'A session is active (held)'
write_and_wait /data/written
dd if=/dev/vdb of=/root/copy bs=1M status=none
expect 0 dlm-freeze post-script
wait "$writer"
step "auto-thaw"
expect 0 dlm-freeze pre-script --auto-thaw 2
write_and_wait /data/late
wait "$writer"
expect 203 dlm-freeze post-script
expect 0 dlm-freeze history
step "verify, with a limit by version 2 of the cgroups"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
hook() {
  printf '{"databases": {"orders": {"hook": ["/bin/sh", "-c", "%s"]}}}\n' "$1" >/root/databases.json
}
check=(dlm-freeze verify --check --memory 64 --databases /root/databases.json /root/copy)
hook 'grep -q /dlm-freeze-verify- /proc/self/cgroup'
expect 0 "${check[@]}"
hook 'head -c 300M /dev/zero | tail -n 1 >/dev/null'
expect 2 "${check[@]}"
printed '64.0 MiB of memory were not enough'
[ -z "$(find /sys/fs/cgroup -name 'dlm-freeze-verify-*')" ]
echo passed
