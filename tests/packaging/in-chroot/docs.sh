#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the chroot: the commands of the pages, line by line, as root. In /given are the packages, where the pages have them,
# and the commands of each page.

# shellcheck source=tests/packaging/in-chroot/common.bash
source "$(dirname "$0")/common.bash"

sudo() { "$@"; }
dlm-freeze() {
  [ ! -e $config ] || mean_data
  command dlm-freeze "$@"
}
export config
export -f sudo mean_data dlm-freeze
echo 'APT::Get::Assume-Yes "true"; quiet "2"; Dpkg::Use-Pty "0";' >/etc/apt/apt.conf.d/unattended

# page NAME: every command has to succeed.
page() {
  step "$1"
  (cd /given && bash -euxo pipefail "$1.commands" </dev/null)
}

page install.md
nothing_left
apt_get install /given/build/packages/dlm-freeze_*_amd64.deb
page other-callers.md
[ "$(stat -c %a /etc/azure/dlm-freeze-pre-script)" = 700 ] || fail "what Azure's agent wants"
grep -qx 'fsfreeze-hook=.*/fsfreeze-hook' /etc/qemu/qemu-ga.conf || fail "what QEMU's guest agent reads"
step "done"
