#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-elf.sh DIRECTORY: what is shipped from here, the program and its modules, starts on every host that has the glibc of
# RHEL 8, SLES 15, Ubuntu 20.04, Debian 11 or Amazon Linux 2, or a newer one, and libmount; the module for PostgreSQL needs
# libpq besides. For any architecture. check-rpm-requires.py and check-packages read the numbers here.

set -eu
# Of the program, and of its modules, which load with a client library that may want more.
glibc=2.18
glibc_of_modules=2.17
libmount=2.24
libsystemd=238
directory=$1
checked=0
failed=0

offence() {
  echo "$file: $1" >&2
  failed=1
}

# no_newer PREFIX VERSION: of all versions of symbols that begin so.
no_newer() {
  newest=$(readelf --wide --version-info "$file" | sed -n "s/.* Name: $1\([0-9.]*\) .*/\1/p" | sort -Vu | tail -n 1)
  [ "$(printf '%s\n' "$newest" "$2" | sort -V | tail -n 1)" = "$2" ] ||
    offence "needs $1$newest, not $2: $(readelf --wide --dyn-syms "$file" | grep -o "[^ ]*@$1$newest" | tr '\n' ' ')"
}

for file in "$directory"/bin/dlm-freeze "$directory"/lib/dlm-freeze/*.so; do
  [ -f "$file" ] || offence "is missing"
  checked=$((checked + 1))
  # The last two are parts of libc since 2.34, and there still.
  allowed="libc.so.6 libm.so.6 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 libpthread.so.0 libdl.so.2"
  case $file in
    */dlm-freeze | */verify.so) allowed="$allowed libmount.so.1" ;;
    */systemd-scope.so) allowed="$allowed libsystemd.so.0" ;;
    */quiesce-postgresql.so) allowed="$allowed libpq.so.5" ;;
  esac
  for library in $(readelf --wide --dynamic "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
    case " $allowed " in
      *" $library "*) ;;
      *) offence "needs $library, allowed are: $allowed" ;;
    esac
  done
  case $file in
    */bin/dlm-freeze) no_newer GLIBC_ $glibc ;;
    *) no_newer GLIBC_ $glibc_of_modules ;;
  esac
  [ -n "$newest" ] || offence "names no version of glibc"
  no_newer MOUNT_ $libmount
  no_newer LIBSYSTEMD_ $libsystemd
done

[ "$failed" -eq 0 ] || exit 1
echo "$checked files need nothing newer than glibc $glibc, libmount $libmount and libsystemd $libsystemd"
