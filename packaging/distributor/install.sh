#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by the SSM agent, as root, in the directory that the .zip was unpacked to; also as update.sh, since a package manager
# updates in place, and to an older version as well. Installs dlm-freeze, and the module of each database server that is on the host.

set -eu
cd "$(dirname "$0")"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
. ./modules.sh

if is_there ./*.deb; then
  set -- ./dlm-freeze_*.deb
  for module in $(modules_wanted); do
    set -- "$@" ./dlm-freeze-"$module"_*.deb
  done
  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends --allow-downgrades -o DPkg::Lock::Timeout=120 \
    -o Dpkg::Options::=--force-confold install "$@" </dev/null
else
  set -- ./dlm-freeze-[0-9]*.rpm
  for module in $(modules_wanted); do
    set -- "$@" ./dlm-freeze-"$module"-[0-9]*.rpm
  done
  status=0
  if command -v dnf >/dev/null; then
    dnf --assumeyes install "$@" || status=$?
  elif command -v zypper >/dev/null; then
    zypper --non-interactive --no-gpg-checks install --allow-unsigned-rpm --oldpackage "$@" || status=$?
  else
    yum --assumeyes install "$@" || status=$?
  fi
  # Some versions of these do not go back to an older one, and say so by an exit code or by none.
  if ! rpm --query "$(rpm --query --package ./dlm-freeze-[0-9]*.rpm)" >/dev/null && rpm --query dlm-freeze >/dev/null; then
    rpm --upgrade --oldpackage "$@"
  elif [ $status -ne 0 ]; then
    exit $status
  fi
fi
dlm-freeze --version
