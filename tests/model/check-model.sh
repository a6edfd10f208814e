#!/bin/bash
# Checks the model of the protocol with spin: every property must hold, every deliberate mistake must be found.
#
#   check-model.sh [--changed] [path of protocol.pml]
#
# --changed      only what differs from the model and the script that last passed with MODEL_FULL: a search that is
#                exhaustive has the same result each time. Their digests are in the file `passed`.
# JOBS=n         how many searches at a time (2 or the number of processors, whichever is less)
# MODEL_FULL=1   also the large searches (minutes, and up to 2 GB each); writes `passed`
# Exit: 0 all as expected, 1 something is not, 77 spin or a C compiler is missing.
set -u

cc=${CC:-cc}
for tool in spin "${cc%% *}"; do
    command -v "$tool" >/dev/null 2>&1 || { echo "SKIPPED: $tool is not installed, the model was not checked"; exit 77; }
done

here=$(cd "$(dirname "$0")" && pwd)
self=$here/$(basename "$0")

# ---- one search: check-model.sh --one MODEL DIR 'EXPECTED|NAME|DEFINES' ---------------------------------
if [ "${1:-}" = --one ]; then
    model=$2 dir=$3
    IFS='|' read -r expected name defines <<<"$4"
    work=$(mktemp -d "$dir/run.XXXXXX") && cd "$work" || exit 1
    say() { printf '%-8s %-66s %s\n' "$1" "$name" "$2"; [ "$1" = FAILED ] && touch "$dir/failed"; rm -rf "$work"; exit 0; }

    [ "$expected" != reach ] || defines="$defines -DWITNESS"
    # shellcheck disable=SC2086  # the defines are words
    if ! spin -a $defines "$model" >spin.log 2>&1 || [ ! -f pan.c ] || grep -q 'Error' spin.log; then
        sed 's/^/    /' spin.log; say FAILED "spin cannot read the model"
    fi
    case $expected in
        end | cycle) how="-DNP" run="-l" ;;
        *)           how="-DSAFETY" run="" ;;
    esac
    # Mistakes are found early: an optimizer takes longer than it saves.
    case $expected in hold | end | reach) level=-O2 ;; *) level=-O0 ;; esac
    # shellcheck disable=SC2086  # CC may be "ccache cc"
    $cc $level -w $how -DNOREDUCE -DNOBOUNDCHECK -DMEMLIM=2000 -o pan pan.c >cc.log 2>&1 ||
        { sed 's/^/    /' cc.log; say FAILED "the search cannot be compiled"; }
    began=$SECONDS
    # -E: processes that are dead or gone end in the middle of their programs; the model itself asks
    # whether everybody has ended who should have.
    ./pan -E -m20000 -w24 $run >pan.log 2>&1
    status=$?
    count=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log | head -1)
    took="$(printf '%.0f' "${count:-0}") states, $((SECONDS - began)) s"

    whole=yes
    [ $status -eq 0 ] || whole="pan exits $status"
    grep -q '^Full statespace search for:' pan.log || whole="not an exhaustive search"
    for sign in 'max search depth too small' 'out of memory' 'MEMLIM' 'resize hashtable failed' 'aborting' 'Interrupted' \
                'Bit statespace' 'Hash-Compact' 'Search not completed'; do
        if grep -qi -- "$sign" pan.log; then whole="the search is not complete: $sign"; break; fi
    done
    errors=$(sed -n 's/.*errors: \([0-9]*\)$/\1/p' pan.log)
    first=$(grep -m1 -E 'assertion violated|non-progress cycle \(|invalid end state' pan.log)

    case $expected in
        hold | end | reach)
            [ "$errors" = 0 ] || { grep '^pan' pan.log | sed 's/^/    /'; say FAILED "${first:-no result}"; }
            [ "$whole" = yes ] || say FAILED "$whole"
            if [ "$expected" = end ]; then
                grep -q 'non-progress cycles.*+' pan.log || say FAILED "cycles were not looked for"
            fi
            [ "$expected" != reach ] || sed -n 's/^seen //p' pan.log >"$(mktemp "$dir/seen.XXXXXX")"
            say ok "$took" ;;
        find)
            case $first in *'assertion violated'*) say found "$took" ;; *) say FAILED "the mistake was not found ($took)" ;; esac ;;
        cycle)
            case $first in *'non-progress cycle'*) say found "$took" ;; *) say FAILED "the endless run was not found ($took)" ;; esac ;;
    esac
    exit 0
fi

# ---- all of them ---------------------------------------------------------------------------------------
only_changed=no
[ "${1:-}" != --changed ] || { only_changed=yes; shift; }
model=${1:-$here/../../docs/model/protocol.pml}
[ -r "$model" ] || { echo "cannot read $model" >&2; exit 1; }
model=$(cd "$(dirname "$model")" && pwd)/$(basename "$model")

digests() { sha256sum <"$model" && sha256sum <"$self"; }
if [ $only_changed = yes ] && digests | cmp -s - "$here/passed"; then
    echo "the model is the one that passed"
    exit 0
fi

jobs=${JOBS:-$(nproc 2>/dev/null || echo 1)}
[ -n "${JOBS:-}" ] || [ "$jobs" -le 2 ] || jobs=2
dir=$(mktemp -d "${TMPDIR:-/tmp}/check-model.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

# hold: no assertion fails   end: nor can a run go on for ever   reach: the same as hold, and says what has happened
# find: an assertion fails   cycle: a run can go on for ever
properties='
hold|two kills, a foreign freezer                                      |-DKILLS=2
reach|a stop, two kills                                                |-DKILLS=2 -DSTOPS=1 -DOTHERS=0
end|every run ends: a stop, a hang                                     |-DKILLS=0 -DSTOPS=1 -DHANGS=1 -DOTHERS=0
hold|without a deadline: undone at once, two kills                     |-DKILLS=2 -DQUIET
hold|three kills                                                       |-DKILLS=3 -DOTHERS=0
hold|three kills, not at the same instant: always thawed               |-DKILLS=3 -DOTHERS=0 -DSPACED
hold|a stranger thaws, one kill: never reported as success             |-DKILLS=1 -DOTHERS=0 -DRUDE
reach|freezer, watchdog or sentinel is stopped, one kill               |-DKILLS=1 -DOTHERS=0 -DSTOPS=1 -DANY
reach|watchdog or sentinel hangs, twice, one kill                      |-DKILLS=1 -DOTHERS=0 -DHANGS=2
hold|without a deadline: a stop, a hang, one kill                      |-DKILLS=1 -DOTHERS=0 -DQUIET -DSTOPS=1 -DHANGS=1
reach|a watchdog that is stopped and cannot be killed                  |-DKILLS=0 -DOTHERS=0 -DSTOPS=1 -DDEAF
hold|the same, one filesystem, one kill, a foreign freezer             |-DKILLS=1 -DONE -DSTOPS=1 -DDEAF
hold|a thaw fails, one kill                                            |-DKILLS=1 -DOTHERS=0 -DFAILS=1
reach|thaws fail, three times, one kill                                |-DKILLS=1 -DOTHERS=0 -DFAILS=3
reach|a limit on dirty memory, two kills                                |-DKILLS=2 -DONE -DOTHERS=0 -DLIMIT
reach|the same, a stop and a hang, one kill                             |-DKILLS=1 -DONE -DOTHERS=0 -DLIMIT -DSTOPS=1 -DHANGS=1
reach|the same, a watchdog that cannot be killed                        |-DKILLS=0 -DONE -DOTHERS=0 -DLIMIT -DSTOPS=1 -DDEAF
reach|no thread to be had, a thaw that never returns, one kill         |-DKILLS=1 -DOTHERS=0 -DNO_THREADS -DTHAW_HANGS
'
full='
hold|three kills, a foreign freezer                                    |-DKILLS=3
hold|a stop, two kills, a foreign freezer                              |-DKILLS=2 -DSTOPS=1
hold|a hang, two kills, a foreign freezer                              |-DKILLS=2 -DHANGS=1
hold|two kills, everything on either filesystem                        |-DKILLS=2 -DBOTH
hold|four kills                                                        |-DKILLS=4 -DOTHERS=0
hold|any is stopped, twice, one kill                                   |-DKILLS=1 -DOTHERS=0 -DSTOPS=2 -DANY
hold|a watchdog that cannot be killed, a foreign freezer               |-DKILLS=0 -DSTOPS=1 -DDEAF
hold|a watchdog that cannot be killed, one kill                        |-DKILLS=1 -DOTHERS=0 -DSTOPS=1 -DDEAF
hold|no thread to be had, a thaw that never returns, two kills         |-DKILLS=2 -DOTHERS=0 -DNO_THREADS -DTHAW_HANGS
end|every run ends: two kills, a foreign freezer                       |-DKILLS=2
end|every run ends: a stop, one kill                                   |-DKILLS=1 -DSTOPS=1 -DOTHERS=0
end|every run ends: a hang, one kill                                   |-DKILLS=1 -DHANGS=1 -DOTHERS=0
'
# shellcheck disable=SC2016  # the back quotes are meant
mistakes='
find|NO_RECHECK: `freezing` is written, ending is not read             |-DKILLS=1 -DOTHERS=0 -DBUG_NO_RECHECK
find|NO_UNDO: `frozen` is written, ending is not read                  |-DKILLS=2 -DOTHERS=0 -DBUG_NO_UNDO
find|ENDING_AFTER_SCAN: states are read before ending is written       |-DKILLS=0 -DOTHERS=0 -DBUG_ENDING_AFTER_SCAN
find|NO_SENTINEL                                                       |-DKILLS=1 -DOTHERS=0 -DBUG_NO_SENTINEL
find|NO_RESPAWN: a dead sentinel is not replaced                       |-DKILLS=2 -DOTHERS=0 -DSPACED -DBUG_NO_RESPAWN
find|RESPAWN_STOPS: nor is one that dies while the session ends        |-DKILLS=2 -DOTHERS=0 -DSPACED -DBUG_RESPAWN_STOPS
find|NO_FENCE: the sentinel does not try to kill a stopped watchdog     |-DKILLS=0 -DONE -DSTOPS=1 -DBUG_NO_FENCE
find|S_WAITS_FOR_W: it waits until a watchdog that hangs is dead       |-DKILLS=0 -DOTHERS=0 -DHANGS=1 -DBUG_S_WAITS_FOR_W
find|ANSWER_UNCHECKED: nobody looks at ending after the record `held`  |-DKILLS=0 -DOTHERS=0 -DSTOPS=1 -DDEAF -DBUG_ANSWER_UNCHECKED
find|P_TRUSTS: P does not look at ending when it has the answer        |-DKILLS=0 -DOTHERS=0 -DSTOPS=1 -DDEAF -DBUG_P_TRUSTS
find|END_UNHEEDED: watchdog ends well what the sentinel has ended      |-DKILLS=1 -DONE -DOTHERS=0 -DSTOPS=1 -DDEAF -DBUG_END_UNHEEDED
find|FILES_STAY: a rename that hung replaces the outcome               |-DKILLS=0 -DOTHERS=0 -DHANGS=1 -DBUG_FILES_STAY
find|LOCK_NOT_RELEASED: a stopped sentinel keeps the lock              |-DKILLS=0 -DOTHERS=0 -DSTOPS=1 -DANY -DBUG_LOCK_NOT_RELEASED
find|OVER_UNHEEDED: nor does the sentinel release it for the watchdog  |-DKILLS=0 -DOTHERS=0 -DSTOPS=1 -DBUG_OVER_UNHEEDED
find|RECORD_BEFORE_THAW: and recording hangs                           |-DKILLS=1 -DOTHERS=0 -DHANGS=1 -DBUG_RECORD_BEFORE_THAW
find|F_SPARED: a stopped freezer is waited for                         |-DKILLS=0 -DOTHERS=0 -DSTOPS=1 -DANY -DBUG_F_SPARED
find|P_LEAVES: the watchdog hangs, and P rolls back without a thaw     |-DKILLS=0 -DOTHERS=0 -DHANGS=1 -DQUIET -DBUG_P_LEAVES
find|THREADS_LATE: threads are started when there is something to thaw |-DKILLS=0 -DOTHERS=0 -DNO_THREADS -DTHAW_HANGS -DBUG_THREADS_LATE
find|THAW_ONCE: a thaw that failed is not tried again                  |-DKILLS=0 -DOTHERS=0 -DFAILS=1 -DBUG_THAW_ONCE
find|FAILED_FORGOTTEN: what could not be thawed is not on the record   |-DKILLS=0 -DOTHERS=0 -DFAILS=2 -DBUG_FAILED_FORGOTTEN
find|NO_LIFELINE: a dead freezer is taken for the end of its calls     |-DKILLS=1 -DOTHERS=0 -DBUG_NO_LIFELINE
find|ONE_LIFELINE: one for the freezer, not one a filesystem           |-DKILLS=1 -DOTHERS=0 -DBUG_ONE_LIFELINE
find|TAKE_LIVING: what a living process is thawing is thawed again     |-DKILLS=0 -DONE -DBUG_TAKE_LIVING
find|ONE_BY_ONE: the watchdog thaws one after another                  |-DKILLS=1 -DOTHERS=0 -DBUG_ONE_BY_ONE
find|F_STAYS: a freezer that finds P gone leaves all as it is          |-DKILLS=2 -DOTHERS=0 -DBUG_F_STAYS
find|THAW_BUSY: EBUSY is thawed like a freeze of ours                  |-DKILLS=0 -DONE -DBUG_THAW_BUSY
find|COMMIT_UNCHECKED: success whatever the freezer answered           |-DKILLS=0 -DOTHERS=0 -DBUG_COMMIT_UNCHECKED
find|ANSWER_UNHEEDED: the commit is answered to a P that is gone       |-DKILLS=1 -DOTHERS=0 -DQUIET -DBUG_ANSWER_UNHEEDED
find|DEAF_AFTER_COMMIT: P times out, its `end` comes after the answer  |-DKILLS=0 -DOTHERS=0 -DQUIET -DBUG_DEAF_AFTER_COMMIT
find|EOF_UNHEEDED: the watchdog does not notice that P is gone         |-DKILLS=0 -DOTHERS=0 -DQUIET -DBUG_EOF_UNHEEDED
find|NO_BUDGET: P waits for the watchdog without a limit               |-DKILLS=0 -DOTHERS=0 -DBUG_NO_BUDGET
find|RECORD_LATE: no record before the first FIFREEZE                  |-DKILLS=2 -DOTHERS=0 -DBUG_RECORD_LATE
find|S_HAS_NO_LOCK: the lock is the watchdog alone                     |-DKILLS=1 -DONE -DBUG_S_HAS_NO_LOCK
find|P_DROPS_LOCK: P does not keep the lock until it exits             |-DKILLS=2 -DONE -DBUG_P_DROPS_LOCK
find|NO_FREEZER_LOCK: recovery does not wait for a freezer             |-DKILLS=2 -DOTHERS=0 -DBUG_NO_FREEZER_LOCK
find|FREEZER_SPARED: recovery lets a living freezer go on              |-DKILLS=2 -DONE -DBUG_FREEZER_SPARED
find|S_SAYS_OK: the sentinel reports what the watchdog would have      |-DKILLS=1 -DOTHERS=0 -DBUG_S_SAYS_OK
find|EINVAL_IGNORED: FITHAW finds nothing frozen, and nobody says so   |-DKILLS=0 -DOTHERS=0 -DRUDE -DBUG_EINVAL_IGNORED
cycle|S_LEAVES: a sentinel that ends at once is replaced for ever       |-DKILLS=0 -DOTHERS=0 -DBUG_S_LEAVES
find|LIMIT_UNRECORDED: what the limit was is not on the record          |-DKILLS=2 -DONE -DOTHERS=0 -DLIMIT -DBUG_LIMIT_UNRECORDED
find|LIMIT_STAYS: nor is it lifted when all is frozen                   |-DKILLS=0 -DONE -DOTHERS=0 -DLIMIT -DBUG_LIMIT_STAYS
find|LIMIT_UNCHECKED: ending is not read after it is set                |-DKILLS=0 -DONE -DOTHERS=0 -DLIMIT -DSTOPS=1 -DDEAF -DBUG_LIMIT_UNCHECKED
find|LIMIT_S_LEAVES: the sentinel does not lift it                      |-DKILLS=1 -DONE -DOTHERS=0 -DLIMIT -DBUG_LIMIT_S_LEAVES
find|LIMIT_P_LEAVES: nor does P                                         |-DKILLS=2 -DONE -DOTHERS=0 -DLIMIT -DBUG_LIMIT_P_LEAVES
find|LIMIT_O_LEAVES: nor does the next post-script                      |-DKILLS=2 -DONE -DOTHERS=0 -DLIMIT -DBUG_LIMIT_O_LEAVES
find|no exception for a limit when watchdog and sentinel are killed     |-DKILLS=2 -DONE -DOTHERS=0 -DLIMIT -DTIGHT_LIMIT
find|no exception for EBUSY not recorded                               |-DKILLS=1 -DONE -DTIGHT_BUSY
find|no exception for a call not made or failed, not recorded          |-DKILLS=1 -DONE -DTIGHT_NOTHING
find|no exception for a FITHAW not recorded                            |-DKILLS=1 -DONE -DTIGHT_REDO
find|no exception for a record that says `freezing`                    |-DKILLS=2 -DONE -DTIGHT_RECORD_FREEZING
find|no exception for a record older than the ending                   |-DKILLS=2 -DONE -DTIGHT_RECORD_ENDING
find|no exception for a recovery that was killed                       |-DKILLS=3 -DONE -DTIGHT_RECORD_REWORK
find|no exception for watchdog and sentinel both killed                |-DKILLS=2 -DOTHERS=0 -DTIGHT_ORPHAN
find|no exception for P gone in a hung freeze, all others killed       |-DKILLS=3 -DOTHERS=0 -DTIGHT_GAVEUP
find|no exception for a watchdog stopped for good, sentinel killed     |-DKILLS=1 -DOTHERS=0 -DSTOPS=1 -DTIGHT_STOPPED
find|nor for one that hangs for good, sentinel killed                  |-DKILLS=1 -DOTHERS=0 -DHANGS=1 -DTIGHT_STOPPED
find|no exception for a watchdog that cannot be killed and goes on     |-DKILLS=0 -DONE -DSTOPS=1 -DDEAF -DTIGHT_LATE
find|no exception for a thaw that fails twice                          |-DKILLS=0 -DOTHERS=0 -DFAILS=2 -DTIGHT_FAILED
'
[ "${MODEL_FULL:-0}" = 0 ] || properties=$properties$full

began=$SECONDS
printf '%s%s' "$properties" "$mistakes" | grep . | sed 's/ *|-D/|-D/' | tr '\n' '\0' |
    xargs -0 -n 1 -P "$jobs" "$self" --one "$model" "$dir" || touch "$dir/failed"
# No property may hold only because what it speaks of never happens.
while read -r what; do
    grep -qx "$what" "$dir"/seen.* && continue
    printf '%-8s %s\n' FAILED "in no search marked reach: $what"
    touch "$dir/failed"
done < <(grep -o 'SEEN([a-z_0-9]*)' "$model" | sed 's/SEEN(\(.*\))/\1/' | grep -vx x | sort -u)
echo "$(printf '%s%s' "$properties" "$mistakes" | grep -c .) searches, $((SECONDS - began)) s"
if [ -e "$dir/failed" ]; then echo "FAILED"; exit 1; fi
[ "${MODEL_FULL:-0}" = 0 ] || digests >"$here/passed"
exit 0
