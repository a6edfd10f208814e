#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by the SSM agent, as root, where this version is installed already and is to be installed once more: a failure makes it run
# install.sh, which brings the module of a database server that came later.

set -eu
cd "$(dirname "$0")"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
. ./modules.sh

dlm-freeze --version
for module in $(modules_wanted); do
  has_module "$module" || {
    echo "validate.sh: the module for $module is missing" >&2
    exit 1
  }
done
