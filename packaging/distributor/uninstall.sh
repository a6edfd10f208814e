#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by the SSM agent, as root. The configuration stays. Refused while a session is active: it could not be ended.

set -eu
cd "$(dirname "$0")"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# The packages refuse as well; this is before the package manager has touched anything.
case $(dlm-freeze status --json | tr -d ' ') in
  *'"active":true'* | *'"orphaned":true'*)
    echo "uninstall.sh: a session is active, and only dlm-freeze can end it: run dlm-freeze post-script first" >&2
    exit 1
    ;;
esac

if ls ./*.deb >/dev/null 2>&1; then # the packages that it was installed from are still here
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 remove dlm-freeze </dev/null
elif command -v dnf >/dev/null; then
  dnf --assumeyes remove dlm-freeze
elif command -v zypper >/dev/null; then
  zypper --non-interactive remove dlm-freeze
else
  yum --assumeyes remove dlm-freeze
fi
