# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# For the programs beside it, which stand in for products that cannot be had here. Each keeps its state in the directory
# `state` beside itself, and notes what it was called for in state/calls.
#
# A test makes something go wrong by a file state/fail/NAME, or state/fail/NAME.INSTANCE:
#   exit N TEXT   print TEXT and exit with N, without doing it
#   hang          never end, without doing it
#   late          do it, and never end
#   straggle N    never end, and do it after N seconds even if killed
# With "once " before it, only the next time.

set -u
here=${0%/*}
state=$here/state

# be_straggler SECONDS FUNCTION ARGUMENT...: what is left of a program that act has let straggle
be_straggler() {
  sleep "$1"
  shift
  "$@"
  exit
}

call() { echo "$*" >>"$state/calls"; }

now() { date +%s%3N; }

# never_end: until it is killed.
never_end() { exec sleep 100000; }

# act NAME INSTANCE FUNCTION ARGUMENT...: runs FUNCTION, unless a test wants something else.
act() {
  wanted=
  for file in "$state/fail/$1.$2" "$state/fail/$1"; do
    if [ -n "$wanted" ] || [ ! -f "$file" ]; then continue; fi
    wanted=$(cat "$file")
    case $wanted in once\ *) rm -f "$file" && wanted=${wanted#once } ;; esac
  done
  shift 2
  case $wanted in
    "") "$@" ;;
    hang) never_end ;;
    late) ("$@") >/dev/null 2>&1; never_end ;;
    exit\ *)
      wanted=${wanted#exit }
      echo "${wanted#* }"
      exit "${wanted%% *}"
      ;;
    straggle\ *)
      seconds=${wanted#straggle }
      # In a session of its own, so that whoever kills the caller's process group does not reach it.
      setsid "$0" --straggler "$seconds" "$@" >/dev/null 2>&1 &
      never_end
      ;;
    *) echo "$wanted" && exit 0 ;;
  esac
}
