# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What run and nightly share: named steps, of which a failed one does not hide those after it. Sourced, with the names of
# the steps that are wanted as arguments: none for all of them, --list for their names.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8 HOME="${HOME:-/root}"

wanted=("$@")
known=()
failed=()
summary=()

# step NAME COMMAND...
step() {
  local name=$1 start=$SECONDS verdict=ok
  shift
  known+=("$name")
  [ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
  echo "=== $name: $*"
  local status=0
  "$@" </dev/null || status=$?
  case $status in
    0) ;;
    77) verdict=SKIPPED ;;
    *)
      verdict=FAILED
      failed+=("$name")
      ;;
  esac
  summary+=("$(printf '%-8s %4d s  %s' "$verdict" $((SECONDS - start)) "$name")")
  echo "=== ${summary[-1]}"
}

# What the tests that failed printed, shortened: the last thing to be seen, so that the end of a log tells what is wrong.
show_failed_tests() {
  local list
  for list in build/*/Testing/Temporary/LastTestsFailed.log; do
    [ -s "$list" ] || continue
    echo "--- failed in $(cut -d/ -f1-2 <<<"$list"):"
    sed 's/^[0-9]*:/  /' "$list"
    cat "${list%LastTestsFailed.log}"{FirstTry,LastTest}.log 2>/dev/null |
      grep -E -A 8 ': Failure$|ERROR: |FAILED:|runtime error:' | cut -c1-300 | head -120 || true
  done
}

# summarize: says how it went; fails if a step did.
summarize() {
  local name
  if [ "${wanted[*]}" = --list ]; then
    printf '%s\n' "${known[@]}"
    return 0
  fi
  for name in "${wanted[@]}"; do
    [[ " ${known[*]} " == *" $name "* ]] || failed+=("$name, which is no step")
  done
  echo
  [ ${#failed[@]} -eq 0 ] || show_failed_tests
  printf '%s\n' "${summary[@]}"
  if [ ${#failed[@]} -gt 0 ]; then
    echo "FAILED: ${failed[*]}"
    return 1
  fi
  echo "PASSED in $SECONDS s"
}

build() {
  local preset=$1
  shift
  cmake --preset "$preset" && cmake --build --preset "$preset" "$@"
}

# sanitize PRESET [WRAPPER...]: what needs no root; the agent itself is run by those tests.
sanitize() {
  local preset=$1 jobs
  jobs=$(nproc)
  shift
  build "$preset" --target unprivileged_tests && "$@" ctest --preset "$preset" --exclude-regex "^older_kernel[.]" --parallel "$jobs"
}
