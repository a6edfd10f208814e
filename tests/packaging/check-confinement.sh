#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check-confinement.sh: the SELinux module is compiled and linked into Debian's own policy, whose assertions it keeps, and lets dlm-freeze
# do what its page says and no more; the AppArmor profile is parsed. Neither is enforced: that takes a kernel with a policy loaded.
# Exits with 77 where Debian's policy cannot be fetched.

set -euo pipefail
packaging=$(realpath "$(dirname "$0")/../../packaging")
tests=$(realpath "$(dirname "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"

features=/etc/apparmor.d/abi/3.0 # of a kernel that enforces everything: this one may have no AppArmor at all
apparmor_parser --skip-kernel-load --skip-cache --policy-features $features --kernel-features $features --warn=all --Werror \
  "$packaging/apparmor/usr.bin.dlm-freeze"

cp "$packaging"/selinux/dlm_freeze.* "$scratch"
cd "$scratch"
make --silent NAME=devel -f /usr/share/selinux/devel/Makefile dlm_freeze.pp

apt-get -q -o Acquire::Retries=3 download selinux-policy-default >/dev/null 2>&1 || {
  echo "check-confinement: SKIPPED: Debian's policy cannot be fetched; the module was compiled" >&2
  exit 77
}
dpkg-deb --extract selinux-policy-default_*.deb policy
cd policy/usr/share/selinux/default
bunzip2 ./*.pp.bz2
mv base.pp "$scratch"
semodule_link -o "$scratch/linked.pp" "$scratch/base.pp" ./*.pp "$scratch/dlm_freeze.pp" >"$scratch/log" 2>&1 || { cat "$scratch/log" && exit 1; }
semodule_expand "$scratch/linked.pp" "$scratch/policy.binary" >/dev/null
"$tests/check-selinux-policy.py" "$scratch/policy.binary"
