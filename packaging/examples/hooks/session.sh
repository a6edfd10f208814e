# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154
# For hooks that hold a database through its own client, on one connection from the lock to its release. They read this
# file, define what is below, and end with: run_session "$@"
#
#   client         becomes the client, which reads statements from its input; gets the hook's arguments
#   mark           prints the statement that makes the client print the line $done_mark
#   is_error LINE  whether a line that the client prints is an error
#   login          the statement that a new connection begins with, if there is one
#   hold           the statement that takes the lock
#   release        the statement that gives it back

done_mark=dlm-freeze-done
login=

# Statements go to the client by descriptor 3, what it prints comes back by descriptor 4. Fails, as `ask`, when it does
# not answer a first time.
connect() {
  directory=$(mktemp -d) && mkfifo "$directory/statements" "$directory/answers" || exit 1
  (exec 3>&- 4<&- && client "$@") <"$directory/statements" >"$directory/answers" 2>&1 &
  client=$!
  exec 3>"$directory/statements" 4<"$directory/answers"
  rm -r "$directory"
  ask "$login"
}

disconnect() {
  exec 3>&- 4<&-
  wait "$client" 2>/dev/null
}

# ask STATEMENT: 0 when it was done, 1 when the database refused, 2 when the client ended before it said which.
ask() {
  refusal=
  {
    [ -z "$1" ] || printf '%s\n' "$1"
    mark
  } >&3 2>/dev/null
  while IFS= read -r line <&4; do
    case $line in
      *"$done_mark"*)
        [ -n "$refusal" ] || return 0
        echo "$refusal"
        return 1
        ;;
    esac
    if [ -n "$refusal" ] || is_error "$line"; then
      [ ${#refusal} -gt 500 ] || refusal="$refusal${refusal:+ }$line"
    fi
    last=$line
  done
  echo "the client has ended: ${refusal:-${last:-it said nothing}}"
  return 2
}

# Gives the lock back; when the client is gone, on a new connection, since the lock may have outlived it.
let_go() {
  trap '' TERM
  ask "$release"
  status=$?
  disconnect
  [ "$status" -eq 2 ] || return "$status"
  connect "$@" && ask "$release"
  status=$?
  disconnect
  return "$status"
}

run_session() {
  trap '' PIPE
  last=
  connect "$@" || exit 1
  ask "$hold"
  case $? in
    0) ;;
    1) exit 1 ;;
    *) # It may hold, or not.
      let_go "$@"
      exit 1
      ;;
  esac

  trap 'echo "the connection was lost"; let_go "$@"; exit 1' TERM
  echo READY
  hook=$$
  {
    while read -r _ <&4; do :; done
    kill -TERM "$hook"
  } &
  watch=$!
  read -r _ || : # THAW, or the end of the input: dlm-freeze is gone.
  trap '' TERM
  kill -KILL "$watch"
  wait "$watch" 2>/dev/null
  let_go "$@"
  exit $?
}
