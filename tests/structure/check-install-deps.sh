#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-install-deps.sh ROOT: scripts/install-deps names the packages of the release or the distribution that it is run on.

set -eu
cd "$1"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# on OS_RELEASE TEXT: what `install-deps --check` prints there.
on() {
  printf '%b' "$1" >"$scratch/os-release"
  OS_RELEASE=$scratch/os-release scripts/install-deps --check demo-postgresql >"$scratch/out" 2>&1 || true
  grep -q -- "$2" "$scratch/out" || {
    echo "no '$2' where os-release says $1:" >&2
    cat "$scratch/out" >&2
    exit 1
  }
}

on 'ID=fedora\nPRETTY_NAME="Fedora 42"\n' 'Fedora 42 is not Debian'
on 'ID=fedora\n' 'dnf install gcc-c++'
on 'ID="rhel"\nID_LIKE="fedora"\n' 'dnf install gcc-c++'
on 'ID="rocky"\nID_LIKE="rhel centos fedora"\n' 'dnf install gcc-c++'
on 'ID="amzn"\nID_LIKE="fedora"\n' 'dnf install gcc-c++'
on 'ID="sles"\nID_LIKE="suse"\n' 'zypper install gcc-c++'
on 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n' 'zypper install gcc-c++'
on 'ID=arch\n' 'build-essential'
on 'ID=debian\nVERSION_CODENAME=trixie\n' 'postgresql-17'
on 'ID=debian\nVERSION_CODENAME=forky\n' 'postgresql-18'
on 'ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n' 'postgresql-16'
