#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-elf.sh DIRECTORY: what is shipped from here, the program and its modules, starts on every host that has glibc 2.34
# (Amazon Linux 2023, RHEL 9, Ubuntu 22.04 and newer) and libmount; each module needs its own library besides. For
# any architecture.

set -eu
glibc=2.34
directory=$1
checked=0
failed=0

offence() {
  echo "$file: $1" >&2
  failed=1
}

for file in "$directory"/bin/dlm-freeze "$directory"/lib/dlm-freeze/*.so; do
  [ -f "$file" ] || offence "is missing"
  checked=$((checked + 1))
  allowed="libc.so.6 libm.so.6 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1"
  case $file in
    */dlm-freeze) allowed="$allowed libmount.so.1" ;;
    */quiesce-mysql.so) allowed="$allowed libmariadb.so.3 libmysqlclient.so.21 libmysqlclient.so.24" ;;
    */systemd-scope.so) allowed="$allowed libsystemd.so.0" ;;
    */quiesce-postgresql.so) allowed="$allowed libpq.so.5" ;;
  esac
  for library in $(readelf --wide --dynamic "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case " $allowed " in
      *" $library "*) ;;
      *) offence "needs $library, allowed are: $allowed" ;;
    esac
  done
  newest=$(readelf --wide --version-info "$file" | sed -n 's/.* Name: GLIBC_\([0-9.]*\) .*/\1/p' | sort -Vu | tail -n 1)
  [ -n "$newest" ] || offence "names no version of glibc"
  [ "$(printf '%s\n' "$newest" "$glibc" | sort -V | tail -n 1)" = "$glibc" ] ||
    offence "needs glibc $newest: $(readelf --wide --dyn-syms "$file" | grep -o "[^ ]*@GLIBC_$newest" | tr '\n' ' ')"
done

[ "$failed" -eq 0 ] || exit 1
echo "$checked files need nothing newer than glibc $glibc"
