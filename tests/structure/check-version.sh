#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-version.sh ROOT: the version is the same wherever it has to be written down.

set -eu
cd "$1"
version=$(sed -n 's/^  VERSION //p' CMakeLists.txt)
failed=0

# said FILE VERSION: what that file says.
said() {
  [ "$2" = "$version" ] || {
    echo "$1 says '$2', CMakeLists.txt says '$version'" >&2
    failed=1
  }
}

said packaging/deb/changelog "$(sed -n '1s/.*(\(.*\)-1).*/\1/p' packaging/deb/changelog)"
said packaging/rpm/dlm-freeze.spec "$(sed -n 's/.*%global version_of_project \(.*\)}$/\1/p' packaging/rpm/dlm-freeze.spec)"
said "packaging/rpm/dlm-freeze.spec, %changelog" \
  "$(sed -n '/^%changelog/,$ s/^\*.* - \(.*\)-1$/\1/p' packaging/rpm/dlm-freeze.spec | head -n 1)"
said docs/install.md "$(sed -n 's/^git archive .* -o dlm-freeze-\(.*\)\.tar\.gz HEAD$/\1/p' docs/install.md)"
exit "$failed"
