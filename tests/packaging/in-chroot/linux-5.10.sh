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
mount /dev/vdb /data
exec </dev/null >/dev/console 2>&1

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

step "Linux $(uname -r)"
dpkg --install /given/*.deb
expect 0 dlm-freeze dry-run --all
printed '/data .*freeze'
step "freeze, status, post-script"
expect 0 dlm-freeze pre-script
expect 0 dlm-freeze status
printed 'A session is active (held)'
write_and_wait /data/written
expect 0 dlm-freeze post-script
wait "$writer"
step "auto-thaw"
expect 0 dlm-freeze pre-script --auto-thaw 2
write_and_wait /data/late
wait "$writer"
expect 203 dlm-freeze post-script
expect 0 dlm-freeze history
echo passed
