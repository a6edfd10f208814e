/*
 * The protocol of docs/protocol.md, for spin. docs/model/README.md explains it,
 * tests/model/check-model.sh runs it.
 *
 * Every process is a loop over guarded steps; one d_step is one thing that the others can see, and between
 * any two of them any process may be killed. A process that is dead or gone takes no step.
 *
 * What a run may contain (set with -D):
 *   KILLS   how many SIGKILLs the world deals out                            (2)
 *   STOPS   how often it SIGSTOPs the watchdog (SIGCONT may follow or not)   (0)
 *   ANY     ... or the freezer or the sentinel
 *   DEAF    ... and SIGKILL may have no effect on a watchdog that is stopped
 *   HANGS   how often watchdog or sentinel hang in the kernel as they put a file of the record in place  (0)
 *   FAILS   how often FITHAW fails                                           (0)
 *   THAW_HANGS  FITHAW of filesystem 1 may never return
 *   NO_THREADS  from some moment on no new thread is to be had
 *   OTHERS  how often a foreign freezer freezes filesystem 0                 (1)
 *   SPACED  no second death of watchdog or sentinel before the first one has been answered
 *   QUIET   the deadline never comes: what is undone, is undone at once
 *   LIMIT   the watchdog may limit dirty memory before databases are quiesced
 *   RUDE    a stranger thaws our freeze of filesystem 0 while it is held
 *   BOTH    either filesystem may fail, hang or be frozen by others: the model without its symmetry
 *   ONE     filesystem 1 is passed over from the start (only to find a mistake sooner)
 *   WITNESS print what has been reached
 *   BUG_*   one deliberate mistake
 *   TIGHT_* one exception of the properties withdrawn
 */
#ifndef KILLS
#define KILLS 2
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef HANGS
#define HANGS 0
#endif
#ifndef FAILS
#define FAILS 0
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#ifdef BOTH
#define MAY_FAIL(i) true
#else
#define MAY_FAIL(i) (i == 1)
#endif
#ifdef WITNESS
#define SEEN(x) c_code { static int s; if (!s) { s = 1; printf("seen " #x "\n"); } }
#else
#define SEEN(x) skip
#endif
#ifdef RUDE
#define STRANGERS 1
#else
#define STRANGERS 0
#endif

/* ---- the processes ---------------------------------------------------------------------------------- */

#define F 0			/* freezer, with one thread a filesystem */
#define W 1			/* watchdog */
#define S 2			/* sentinel */
#define P 3			/* pre-script */
#define O 4			/* post-script */
#define X 5			/* a sentinel that has been replaced */

#define UNBORN 0
#define ALIVE  1
#define KILLED 2
#define GONE   3		/* ended by itself */
byte life[6];
byte stop[3];			/* F, W, S: 1 makes no step, for a while; 2 for good. By SIGSTOP, or in a call to the kernel: */
byte puts[3];			/* W, S: hangs as it puts this in the record's place, which happens when the call returns */
bit  doomed;			/* SIGKILL is pending for a W that hangs: it dies when the call returns */

#define UP(x)   (life[x] == ALIVE)
#define OFF(x)  (life[x] != ALIVE)
#define RUNS(x) (UP(x) && !stop[x])
#define W_RUNS  (RUNS(W) && !over)	/* that the session is over, W sees before it does anything of consequence */

byte at[5];			/* where in its program each process is: */
#define F_START  0
#define F_RUNS   1
#define F_SAID   2		/* has answered */
#define F_ALONE  3		/* has found P gone: undoes what it froze */

#define W_START  0
#define W_SERVES 1
#define W_HELD   2		/* has checked, has put the record `held` in place, has not answered */
#define W_SENDS  3		/* has seen ending = 0 once more, has not sent the answer */
#define W_UNDOES 4
#define W_WROTE  5		/* has written the outcome */
#define W_LIMITS 6		/* has seen ending = 0, is about to set the limit */
#define W_LIMITED 7		/* has set it, has not looked at ending again */

#define S_WAITS  0
#define S_UNDOES 1
#define S_WROTE  2

#define P_START    0
#define P_QUIESCES 1
#define P_FREEZES  2
#define P_COMMITS  3
#define P_BACK     4		/* has told W to end, waits for the end of file */
#define P_UNDOES   5		/* W and S are dead: stands in for them */
#define P_WROTE    6
#define P_HELPS    7		/* W does not react: thaws what is frozen, and leaves the rest to W or S */

#define O_START  0
#define O_WAITS  1		/* has connected if there was a watchdog, waits for the lock */
#define O_FENCES 2		/* has the lock; the record is unsettled */
#define O_THAWS  3

byte thr[2];			/* and where each thread of the freezer: */
#define T_WAIT   0
#define T_ECHO   1		/* has written `freezing` */
#define T_CALL   2		/* has seen ending = 0 */
#define T_INSIDE 3		/* in FIFREEZE, may return at any time */
#define T_HUNG   4		/* in FIFREEZE, never returns */
#define T_BACK   5		/* has returned, result not recorded */
#define T_FROZE  6		/* recorded `frozen`, has not looked at ending again */
#define T_UNDO   7		/* has seen ending = 1 */
#define T_DONE   8

/* what they keep to themselves */
byte why;			/* W: the outcome to write */
bit  won;			/* W: has answered the commit */
bit  alone;			/* W: a new S could not get its threads */
bit  missed;			/* W: a FITHAW of what should have been frozen found it thawed (EINVAL) */
bit  tried[2], hit[2];		/* O: FITHAW has been called; it found something to thaw */
bit  fails_again[2];		/* O: FITHAW has failed */
bit  silent;			/* O: nobody of the freezer is left */

/* ---- the page --------------------------------------------------------------------------------------- */

#define IDLE     0
#define FREEZING 1
#define FROZEN   2
#define BUSY     3
#define UNSUPP   4
#define FAILED   5
#define THAWING  6
#define THAWED   7
#define UNTHAWED 8		/* FITHAW has failed as often as it was tried */
byte state[2];
byte by[2];			/* thawing: by whom */
bit did[2];			/* not in the page: whoever is thawing has returned from FITHAW and not stored it */
bit retried[2];			/* FITHAW has failed once */
bit ending, over;

#define FIT(i)      (state[i] == FROZEN || state[i] == UNSUPP)
#define RESOLVED(i) (state[i] != FREEZING && state[i] != FROZEN && state[i] != THAWING)

/* ---- the kernel: superblocks, and the threads inside FIFREEZE --------------------------------------- */

#define CLEAR  0
#define MID    1		/* our FIFREEZE is under way */
#define OURS   2
#define THEIRS 3
byte sb[2];
byte result[2];			/* of a FIFREEZE that has returned and is not recorded */

bit stuck;			/* a FITHAW of filesystem 1 never returns, nor does any that comes after it */
bit poor;			/* no new thread is to be had */
bit late[2];			/* a thread of a W that S has replaced, but could not kill, is about to call FITHAW */

#define INSIDE(i) (thr[i] == T_INSIDE || thr[i] == T_HUNG)
#define STUCK(i) (i == 1 && stuck)
#define HUNG (thr[0] == T_HUNG || thr[1] == T_HUNG || stuck)

/* ---- channels, life lines, the lock ----------------------------------------------------------------- */

#define QUIESCE 1
#define COMMIT  2
#define YES 1
#define NO  2
byte toW;			/* P to W, unread */
bit  endW;			/* P to W: end, behind toW */
byte fromW;			/* W to P */
bit  toF;			/* P to F: freeze */
byte fromF;			/* F to P */
bit  connected;			/* post-script to W: end */

#define EOF_WS (OFF(W) && OFF(S))		/* P's end of the channel P-W */
#define EOF_P  OFF(P)				/* W's and F's end of P's channels */
#define F_ENDED (OFF(F) && !INSIDE(0) && !INSIDE(1))
#if defined(BUG_ONE_LIFELINE)
#define EOF_LIFE(i) F_ENDED			/* a life line for the whole freezer */
#elif defined(BUG_NO_LIFELINE)
#define EOF_LIFE(i) OFF(F)			/* the freezer's death is taken for the end of the call */
#else
#define EOF_LIFE(i) (OFF(F) && !INSIDE(i) && !(STUCK(i) && by[i] == F))	/* a life line for each filesystem */
#endif

/* ---- the limit on dirty memory ----------------------------------------------------------------------- */

bit limited;			/* it is not as it was before the session */
bit noted;			/* the record says what it was before */

bit unlocked;			/* W or S has given up the lock, for all who share it */
#if defined(BUG_P_DROPS_LOCK)
#define LOCK_FREE (unlocked || EOF_WS)
#elif defined(BUG_S_HAS_NO_LOCK)
#define LOCK_FREE (unlocked || OFF(W) && OFF(P))
#elif defined(BUG_LOCK_NOT_RELEASED)
#define LOCK_FREE (EOF_WS && OFF(P))
#else
#define LOCK_FREE (unlocked || EOF_WS && OFF(P))
#endif

/* ---- the record ------------------------------------------------------------------------------------- */

#define R_NONE     0
#define R_FREEZING 1
#define R_HELD     2
#define R_OK       3
#define R_AUTO     4
#define R_LOST     5		/* watchdog lost, or a thaw that found nothing to thaw */
#define R_BACK     6		/* rolled back */
#define R_LIMITED  7		/* nothing is frozen, but a limit may be set */
byte record;
bit  struck[2];			/* not on the record: nothing to freeze there, or it is thawed */
bit  left;			/* the session has ended, but the record lists what could not be thawed */
bit  unlinked;			/* S has removed the files that W had ready: W can put nothing in place any more */
#define UNSETTLED (record == R_FREEZING || record == R_HELD || record == R_LIMITED || left)

/* ---- what only the properties read ------------------------------------------------------------------ */

byte kills = KILLS, stops = STOPS, hangs = HANGS, fails = FAILS, others = OTHERS, strangers = STRANGERS;
byte theirs;			/* the foreign freezer has frozen 1: filesystem 0, 2: filesystem 1 */
bit  second;			/* the second half of a run: no more kills, one more post-script */
bit  committed;			/* W has answered the commit */
bit  cancelled;			/* P has gone over to rolling back */
bit  came;			/* a post-script has started */
bit  lasted;			/* what was committed was still frozen when it did, or it was committed after */
bit  orphan;			/* W and S were killed, and no P is left to stand in */
bit  gaveup;			/* P stood in, and ended with a FIFREEZE still under way */
bit  deserted;			/* F has found P gone */
byte unsaid[2];			/* F was killed with a FIFREEZE unrecorded: 1 it was EBUSY, 2 it was anything else, or nothing yet */
bit  redo[2];			/* somebody was killed with a FITHAW unrecorded */
bit  replaced;			/* S has taken the place of a W that lives and may go on */
bit  rework;			/* a recovery was killed with a FITHAW unrecorded */

#define HOLDS(i) (sb[i] == OURS || state[i] == UNSUPP)

/* ---- death ------------------------------------------------------------------------------------------ */

inline unrecorded_thaw(x, i) {
	if :: state[i] == THAWING && by[i] == x && did[i] -> redo[i] = 1 :: else fi
}
inline unrecorded_freeze(i) {
	if :: state[i] == FREEZING && !INSIDE(i) -> unsaid[i] = (result[i] == BUSY -> 1 : 2) :: else fi;
	if :: !INSIDE(i) -> thr[i] = T_DONE; result[i] = 0 :: else fi
}
inline bereave() {
	if :: life[W] == KILLED && (life[S] == KILLED || alone) && OFF(P) && !over -> orphan = 1 :: else fi
}
inline kill(x) {
	life[x] = KILLED; at[x] = 0;
	unrecorded_thaw(x, 0); unrecorded_thaw(x, 1);
	bereave()
}
inline kill_F() { kill(F); stop[F] = 0; unrecorded_freeze(0); unrecorded_freeze(1) }
inline kill_W() { kill(W); stop[W] = 0; doomed = 0; why = 0; won = 0; toW = 0; endW = 0; connected = 0; late[0] = 0; late[1] = 0 }
inline kill_S() { kill(S); stop[S] = 0 }
inline kill_P() { kill(P); fromW = 0; fromF = 0 }
inline kill_O() {
	if :: at[O] == O_THAWS && (tried[0] && !struck[0] || tried[1] && !struck[1]) -> rework = 1 :: else fi;
	kill(O)
}
inline leave(x) { life[x] = GONE; at[x] = 0 }

/* ---- FITHAW ----------------------------------------------------------------------------------------- */

#ifdef TIGHT_BUSY
#define X_BUSY(i) false
#else
#define X_BUSY(i) (unsaid[i] == 1)
#endif
#ifdef TIGHT_NOTHING
#define X_NOTHING(i) false
#else
#define X_NOTHING(i) (unsaid[i] == 2)
#endif
#ifdef TIGHT_REDO
#define X_REDO(i) false
#else
#define X_REDO(i) redo[i]
#endif
#if !defined(DEAF) || defined(TIGHT_LATE)
#define X_LATE false
#else
#define X_LATE replaced
#endif
#ifdef TIGHT_RECORD_FREEZING
#define X_FREEZING false
#else
#define X_FREEZING (record == R_FREEZING)
#endif
#ifdef TIGHT_RECORD_ENDING
#define X_ENDING false
#else
#define X_ENDING ending
#endif
#ifdef TIGHT_RECORD_REWORK
#define X_REWORK false
#else
#define X_REWORK rework
#endif

/* by those who see the page */
inline fithaw(i) {
	assert(sb[i] != MID);		/* nobody thaws before the freeze has returned */
	assert(sb[i] != THEIRS || X_BUSY(i) || X_NOTHING(i) || X_REDO(i) || X_LATE);
	if :: sb[i] == CLEAR && !redo[i] && !unsaid[i] -> missed = 1 :: else fi;	/* EINVAL */
	sb[i] = CLEAR; unsaid[i] = 0; redo[i] = 0
}
/* by a W that has been replaced and lives */
inline fithaw_late(i) {
	assert(sb[i] != THEIRS || X_LATE);
	if :: sb[i] == OURS -> sb[i] = CLEAR; redo[i] = 1 :: sb[i] == THEIRS -> sb[i] = CLEAR :: else fi
}
/* by those who have only the record; one that comes before the freeze has returned is lost (EINVAL) */
inline fithaw_recorded(i) {
	assert(sb[i] != THEIRS || X_FREEZING || X_ENDING || X_REWORK);
	if :: sb[i] != MID -> sb[i] = CLEAR :: else fi
}

/* ---- the freezer ------------------------------------------------------------------------------------ */

#define F_HAS(i) (state[i] == FROZEN || state[i] == THAWING && by[i] == F)

/* thaw one filesystem: in W, S and P a thread for each; the freezer's own thread in F */
#define UNDO_STEPS(x, i, busy) \
	:: d_step { (busy) && state[i] == FROZEN -> state[i] = THAWING; by[i] = x } \
	:: d_step { (busy) && state[i] == THAWING && by[i] == x && !did[i] && !STUCK(i) -> fithaw(i); did[i] = 1 } \
	FAIL_STEPS(x, i, busy) \
	:: d_step { (busy) && state[i] == THAWING && by[i] == x && did[i] -> did[i] = 0; by[i] = 0; retried[i] = 0; state[i] = THAWED }
#if FAILS > 0
#ifdef BUG_THAW_ONCE
#define ENOUGH(i) true
#else
#define ENOUGH(i) retried[i]
#endif
#define FAIL_STEPS(x, i, busy) \
	:: d_step { (busy) && state[i] == THAWING && by[i] == x && !did[i] && fails && sb[i] == OURS -> fails--; \
		if :: ENOUGH(i) -> retried[i] = 0; by[i] = 0; state[i] = UNTHAWED :: else -> retried[i] = 1 fi } \
	:: d_step { (busy) && state[i] == UNTHAWED && x != F && HUNG -> by[i] = x; state[i] = THAWING }
#elif defined(THAW_HANGS)
#define FAIL_STEPS(x, i, busy) \
	:: d_step { (busy) && i == 1 && state[i] == THAWING && by[i] == x && !did[i] && sb[i] == OURS && !stuck -> stuck = 1 }
#else
#define FAIL_STEPS(x, i, busy)
#endif
/* and take over what somebody who has ended left in between */
#ifdef BUG_TAKE_LIVING
#define LEFT(x, i) true
#else
#define LEFT(x, i) (by[i] == F && EOF_LIFE(i) || by[i] != F && OFF(by[i]) || by[i] == W && x == S)
#endif
#define TAKE_STEPS(x, i, busy) \
	:: d_step { (busy) && (state[i] == FREEZING && EOF_LIFE(i) || state[i] == THAWING && by[i] != x && LEFT(x, i)) -> \
		if :: state[i] == THAWING && by[i] == W && UP(W) -> late[i] = !did[i]; redo[i] = redo[i] || did[i] :: else fi; \
		state[i] = THAWING; by[i] = x; did[i] = 0 }
/* and get rid of a freezer that is stopped: one that is not, is done within the patience of whoever ends the session */
#define UNSETTLED_BY_F(i) (state[i] == FREEZING || state[i] == THAWING && by[i] == F)
#ifdef BUG_F_SPARED
#define FENCE_STEPS(busy)
#else
#define FENCE_STEPS(busy) \
	:: d_step { (busy) && UP(F) && stop[F] && (UNSETTLED_BY_F(0) || UNSETTLED_BY_F(1)) -> SEEN(freezer_killed); kill_F() }
#endif

proctype FreezerThread(byte i)
{
	do
	:: d_step { RUNS(F) && thr[i] == T_WAIT && at[F] != F_START -> state[i] = FREEZING; thr[i] = T_ECHO }
	:: d_step { RUNS(F) && thr[i] == T_ECHO ->
		if
#ifndef BUG_NO_RECHECK
		:: ending -> state[i] = IDLE; thr[i] = T_DONE
#endif
		:: else -> thr[i] = T_CALL
		fi }

	/* FIFREEZE. Only filesystem 1 fails, cannot freeze or hangs for ever; only filesystem 0 is frozen by others */
	:: d_step { RUNS(F) && thr[i] == T_CALL && sb[i] == CLEAR -> sb[i] = MID; thr[i] = T_INSIDE }
	:: d_step { RUNS(F) && thr[i] == T_CALL && sb[i] == THEIRS -> result[i] = BUSY; thr[i] = T_BACK }
	:: d_step { RUNS(F) && thr[i] == T_CALL && MAY_FAIL(i) -> result[i] = UNSUPP; thr[i] = T_BACK }
	:: d_step { thr[i] == T_INSIDE && MAY_FAIL(i) -> thr[i] = T_HUNG }
	:: d_step { thr[i] == T_INSIDE ->		/* it returns also to a thread that was killed */
		sb[i] = OURS;
		if :: UP(F) -> result[i] = FROZEN; thr[i] = T_BACK :: else -> thr[i] = T_DONE fi }
	:: d_step { thr[i] == T_INSIDE && MAY_FAIL(i) ->
		sb[i] = CLEAR;
		if :: UP(F) -> result[i] = FAILED; thr[i] = T_BACK :: else -> unsaid[i] = 2; thr[i] = T_DONE fi }

	:: d_step { RUNS(F) && thr[i] == T_BACK ->
		state[i] = result[i]; result[i] = 0; thr[i] = (state[i] == FROZEN -> T_FROZE : T_DONE) }
	:: d_step { RUNS(F) && thr[i] == T_FROZE ->
		if
#ifndef BUG_NO_UNDO
		:: ending -> thr[i] = T_UNDO
#endif
		:: else -> thr[i] = T_DONE
		fi }
	UNDO_STEPS(F, i, RUNS(F) && (thr[i] == T_UNDO || at[F] == F_ALONE && thr[i] == T_DONE))
	:: d_step { RUNS(F) && thr[i] == T_UNDO && !F_HAS(i) -> thr[i] = T_DONE }
	od
}

#define F_THREADS (thr[0] == T_DONE && thr[1] == T_DONE)
active proctype Freezer()
{
	do
	:: d_step { RUNS(F) && at[F] == F_START && toF ->
#if defined(NO_THREADS) && !defined(BUG_THREADS_LATE)
		if
		:: poor -> SEEN(freezer_refused); fromF = NO; thr[0] = T_DONE; thr[1] = T_DONE; leave(F)
		:: else -> at[F] = F_RUNS
		fi
#else
		at[F] = F_RUNS
#endif
		}
	:: d_step { RUNS(F) && at[F] == F_START && !toF && EOF_P -> thr[0] = T_DONE; thr[1] = T_DONE; leave(F) }
	:: d_step { RUNS(F) && at[F] == F_RUNS && !EOF_P && F_THREADS && FIT(0) && FIT(1) -> fromF = YES; at[F] = F_SAID }
	:: d_step { RUNS(F) && at[F] == F_RUNS && !EOF_P && (thr[0] == T_DONE && !FIT(0) || thr[1] == T_DONE && !FIT(1)) ->
		fromF = NO; at[F] = F_SAID }
	:: d_step { RUNS(F) && at[F] == F_RUNS && EOF_P -> deserted = 1; SEEN(freezer_alone);
#ifndef BUG_F_STAYS
		ending = 1; at[F] = F_ALONE }
#else
		at[F] = F_SAID }
#endif
	:: d_step { RUNS(F) && at[F] == F_SAID && F_THREADS -> leave(F) }
	:: d_step { RUNS(F) && at[F] == F_ALONE && F_THREADS && !F_HAS(0) && !F_HAS(1) -> leave(F) }
	od
}

/* ---- putting a file of the record in place, which may hang -------------------------------------------- */

/* Only who has the lock does that. `lists`: which filesystems the new record has in it */
inline put(r) {
	assert(!unlocked);		/* nobody writes over what a post-script may have read, or over the record of the next session */
	record = r;
	noted = (r == R_LIMITED || r == R_FREEZING && noted);
	if
	:: r == R_LIMITED -> struck[0] = 1; struck[1] = 1
	:: r == R_FREEZING -> struck[0] = 0; struck[1] = 0
	:: r == R_HELD -> struck[0] = (state[0] == UNSUPP); struck[1] = (state[1] == UNSUPP)
#if FAILS > 0 && !defined(BUG_FAILED_FORGOTTEN)
	:: else -> struck[0] = (state[0] != UNTHAWED); struck[1] = (state[1] != UNTHAWED); left = !struck[0] || !struck[1]
#else
	:: else -> skip
#endif
	fi
}
inline hang_in_put(x, r) { SEEN(hung); hangs--; stop[x] = 1; puts[x] = r }
/* the call returns; that it was made by somebody who has been killed makes no difference to what it does */
inline return_W() {
	stop[W] = 0;
	if
#ifndef BUG_FILES_STAY
	:: puts[W] && unlinked -> if :: at[W] == W_WROTE -> at[W] = W_UNDOES :: else fi
#endif
	:: else -> if :: puts[W] -> put(puts[W]) :: else fi
	fi;
	puts[W] = 0;
	if :: doomed -> SEEN(doomed_returned); kill_W() :: else fi
}
inline return_S() {
	stop[S] = 0;
	if :: puts[S] && !over -> put(puts[S]) :: else fi;
	puts[S] = 0
}

/* ---- the watchdog ----------------------------------------------------------------------------------- */

/* `ending` is exchanged: an end that was not the first is somebody else's, and no success */
inline end_session(r) {
#ifndef BUG_END_UNHEEDED
	why = (ending && won -> R_LOST : r);
#else
	why = r;
#endif
	at[W] = W_UNDOES; toW = 0; endW = 0; connected = 0;
#ifndef BUG_ENDING_AFTER_SCAN
	ending = 1
#endif
}

#if defined(BUG_NO_RESPAWN)
#define S_MISSING (life[S] == UNBORN)
#elif defined(BUG_RESPAWN_STOPS)
#define S_MISSING (OFF(S) && at[W] != W_UNDOES && at[W] != W_WROTE)
#elif defined(BUG_NO_SENTINEL)
#define S_MISSING false
#else
#define S_MISSING (OFF(S) && !alone)
#endif

/* what the one before was thawing is a dead one's; W makes new files in place of those that it may have removed */
inline born_S() {
	life[S] = ALIVE; unlinked = 0;
	if :: by[0] == S -> by[0] = X :: else fi;
	if :: by[1] == S -> by[1] = X :: else fi
}

/* Threads that are started when they are needed, and not to be had then: what is to be thawed is thawed in turn */
#ifdef BUG_THREADS_LATE
#define FREE(x) !(poor && stuck && by[1] == x)
#else
#define FREE(x) true
#endif
#ifdef BUG_ONE_BY_ONE
#define W_BUSY0 (W_RUNS && at[W] == W_UNDOES && RESOLVED(1))
#else
#define W_BUSY0 (W_RUNS && at[W] == W_UNDOES && FREE(W))
#endif
#define W_BUSY1 (W_RUNS && at[W] == W_UNDOES)
#ifdef BUG_LIMIT_STAYS
#define LIMIT_STAYS true
#else
#define LIMIT_STAYS false
#endif

active proctype Watchdog()
{
	do
#if defined(NO_THREADS) && !defined(BUG_THREADS_LATE)
	:: d_step { W_RUNS && at[W] == W_START && poor && life[S] == UNBORN -> SEEN(watchdog_refused); leave(W) }
	:: d_step { W_RUNS && S_MISSING && poor && life[S] != UNBORN -> SEEN(watchdog_alone); alone = 1 }
	:: d_step { W_RUNS && S_MISSING && !poor -> born_S() }
#else
	:: d_step { W_RUNS && S_MISSING -> if :: life[S] == KILLED -> SEEN(respawn) :: else fi; born_S() }
#endif
	:: d_step { W_RUNS && at[W] == W_START && (life[S] != UNBORN || !S_MISSING) -> at[W] = W_SERVES }
#ifdef LIMIT
	/* prepare: the record first, and ending is read before and after the limit is written */
#ifndef BUG_LIMIT_UNRECORDED
	:: d_step { W_RUNS && at[W] == W_SERVES && record == R_NONE && !ending -> put(R_LIMITED) }
	:: d_step { W_RUNS && at[W] == W_SERVES && record == R_LIMITED && !limited && !ending -> at[W] = W_LIMITS }
#else
	:: d_step { W_RUNS && at[W] == W_SERVES && record == R_NONE && !limited && !ending -> at[W] = W_LIMITS }
#endif
	:: d_step { RUNS(W) && at[W] == W_LIMITS -> SEEN(limited); limited = 1; at[W] = W_LIMITED }
	:: d_step { RUNS(W) && at[W] == W_LIMITED ->
#ifndef BUG_LIMIT_UNCHECKED
		if :: ending -> SEEN(limit_late); limited = 0 :: else fi;
#endif
		at[W] = W_SERVES }
#ifndef BUG_LIMIT_STAYS
	:: d_step { W_RUNS && at[W] == W_SERVES && toW == COMMIT && limited -> limited = 0 }
#endif
	:: d_step { W_BUSY1 && limited -> limited = 0 }
#endif
	:: d_step { W_RUNS && at[W] == W_SERVES && toW == QUIESCE && !EOF_P ->
#ifndef BUG_RECORD_LATE
		if
		:: ending -> end_session(R_BACK)
		:: else -> put(R_FREEZING); toW = 0; fromW = YES
		fi
#else
		toW = 0; fromW = YES
#endif
		}
	:: d_step { W_RUNS && at[W] == W_SERVES && toW == QUIESCE && !EOF_P && hangs && !ending -> hang_in_put(W, R_FREEZING) }
	:: d_step { W_RUNS && at[W] == W_SERVES && toW == COMMIT && (!limited || LIMIT_STAYS) -> toW = 0;
		if
#ifndef BUG_COMMIT_UNCHECKED
		:: ending || !FIT(0) || !FIT(1) -> if :: !EOF_P -> fromW = NO :: else fi; end_session(R_BACK)
#endif
		:: else -> put(R_HELD); at[W] = W_HELD
		fi }
	:: d_step { W_RUNS && at[W] == W_SERVES && toW == COMMIT && !limited && hangs && !ending && FIT(0) && FIT(1) ->
		toW = 0; hang_in_put(W, R_HELD); at[W] = W_HELD }
	:: d_step { W_RUNS && at[W] == W_HELD ->
		if
#ifndef BUG_ANSWER_UNHEEDED
		:: EOF_P -> end_session(R_BACK)		/* the answer cannot be sent */
#else
		:: EOF_P -> won = 1; at[W] = W_SERVES
#endif
#ifndef BUG_ANSWER_UNCHECKED
		:: !EOF_P && ending -> fromW = NO; end_session(R_BACK)
#endif
		:: else -> at[W] = W_SENDS
		fi }
	:: d_step { RUNS(W) && at[W] == W_SENDS && EOF_P -> end_session(R_BACK) }
	:: d_step { RUNS(W) && at[W] == W_SENDS && !EOF_P ->
		SEEN(commit);
#ifndef DEAF
		assert(HOLDS(0) && HOLDS(1) && !ending && !over && !limited || cancelled);
#endif
		fromW = YES; won = 1; at[W] = W_SERVES; committed = 1; lasted = came && HOLDS(0) && HOLDS(1) }

	/* what ends the session: P says so, P is gone, the deadline (or SIGTERM), post-script */
#ifdef BUG_DEAF_AFTER_COMMIT
	:: d_step { W_RUNS && at[W] == W_SERVES && endW && !toW && !won -> end_session(R_BACK) }
#else
	:: d_step { W_RUNS && at[W] == W_SERVES && endW && !toW -> end_session(R_BACK) }
#endif
#ifndef BUG_EOF_UNHEEDED
	:: d_step { W_RUNS && at[W] == W_SERVES && EOF_P && !won && toW != COMMIT -> end_session(R_BACK) }
#endif
#ifndef QUIET
	:: d_step { W_RUNS && at[W] == W_SERVES -> end_session(R_AUTO) }
#endif
	:: d_step { W_RUNS && at[W] == W_SERVES && connected -> end_session((won -> R_OK : R_BACK)) }

	UNDO_STEPS(W, 0, W_BUSY0)
	UNDO_STEPS(W, 1, W_BUSY1)
	TAKE_STEPS(W, 0, W_BUSY0)
	TAKE_STEPS(W, 1, W_BUSY1)
	FENCE_STEPS(W_BUSY1)
#ifdef BUG_THAW_BUSY
	:: d_step { W_BUSY0 && state[0] == BUSY -> state[0] = THAWING; by[0] = W }
#endif
	/* where S has removed W's file, S puts its own in place; if it was killed before it did, W makes a new one */
	:: d_step { W_RUNS && at[W] == W_UNDOES && RESOLVED(0) && RESOLVED(1) && !limited && !(unlinked && UP(S)) ->
#ifndef BUG_EINVAL_IGNORED
		if :: missed || state[0] == UNTHAWED || state[1] == UNTHAWED -> why = R_LOST :: else fi;
#endif
		put(why); at[W] = W_WROTE }
	:: d_step { W_RUNS && at[W] == W_UNDOES && RESOLVED(0) && RESOLVED(1) && !limited && !unlinked && hangs ->
		if :: missed || state[0] == UNTHAWED || state[1] == UNTHAWED -> why = R_LOST :: else fi;
		hang_in_put(W, why); at[W] = W_WROTE }
	:: d_step { W_RUNS && at[W] == W_WROTE -> ending = 1; over = 1 }	/* and it removes S's file, in case S is in its place */
	:: d_step { RUNS(W) && over && at[W] != W_LIMITS && at[W] != W_LIMITED -> unlocked = 1; why = 0; won = 0; toW = 0; endW = 0; connected = 0; fromW = 0; leave(W) }

	/* it has been replaced and does not know yet */
	:: d_step { RUNS(W) && late[0] -> late[0] = 0; fithaw_late(0) }
	:: d_step { RUNS(W) && late[1] -> late[1] = 0; fithaw_late(1) }
	od
}

/* ---- the sentinel ----------------------------------------------------------------------------------- */

#define S_BUSY (RUNS(S) && at[S] == S_UNDOES && FREE(S))
#define S_BUSY1 (RUNS(S) && at[S] == S_UNDOES)

#ifndef BUG_RECORD_BEFORE_THAW
#ifdef BUG_LIMIT_S_LEAVES
#define S_PUTS (RUNS(S) && at[S] == S_UNDOES && RESOLVED(0) && RESOLVED(1) && !over)
#else
#define S_PUTS (RUNS(S) && at[S] == S_UNDOES && RESOLVED(0) && RESOLVED(1) && !over && !limited)
#endif
#else
#define S_PUTS (RUNS(S) && at[S] == S_UNDOES && record != R_LOST)
#endif

inline replace_W() { ending = 1; at[S] = S_UNDOES }

active proctype Sentinel()
{
	do
#ifdef BUG_S_LEAVES
	:: d_step { RUNS(S) && at[S] == S_WAITS && !over -> leave(S) }
#endif
	:: d_step { RUNS(S) && at[S] == S_WAITS && OFF(W) && !over -> replace_W() }
	/* the watchdog has overrun (in this model: it is stopped, or hangs): kill it, wait a moment, stand in for it */
#ifndef QUIET
#ifndef BUG_NO_FENCE
	:: d_step { RUNS(S) && at[S] == S_WAITS && UP(W) && stop[W] && !puts[W] && !over -> SEEN(fence); kill_W() }
#ifdef BUG_S_WAITS_FOR_W
	:: d_step { RUNS(S) && at[S] == S_WAITS && UP(W) && stop[W] && puts[W] && !over && !doomed -> doomed = 1 }
#else
	:: d_step { RUNS(S) && at[S] == S_WAITS && UP(W) && stop[W] && puts[W] && !over -> SEEN(doomed); doomed = 1; replace_W() }
#endif
#ifdef DEAF
	:: d_step { RUNS(S) && at[S] == S_WAITS && UP(W) && stop[W] && !puts[W] && !over -> SEEN(deaf); replaced = 1; replace_W() }
#endif
#else
	:: d_step { RUNS(S) && at[S] == S_WAITS && UP(W) && stop[W] && !over -> replace_W() }
#endif
#endif
	UNDO_STEPS(S, 0, S_BUSY)
	UNDO_STEPS(S, 1, S_BUSY1)
	TAKE_STEPS(S, 0, S_BUSY)
	TAKE_STEPS(S, 1, S_BUSY1)
	FENCE_STEPS(S_BUSY1)
#ifndef BUG_LIMIT_S_LEAVES
	:: d_step { S_BUSY1 && limited -> SEEN(sentinel_lifted); limited = 0 }
#endif
	:: d_step { S_PUTS && UP(W) && !unlinked -> unlinked = 1 }
	:: d_step { S_PUTS && (OFF(W) || unlinked) -> SEEN(sentinel_undid);
#ifndef BUG_S_SAYS_OK
		put(R_LOST);
#else
		put((committed -> R_OK : R_LOST));
#endif
#ifndef BUG_RECORD_BEFORE_THAW
		at[S] = S_WROTE }
	:: d_step { S_PUTS && (OFF(W) || unlinked) && hangs -> hang_in_put(S, R_LOST); at[S] = S_WROTE }
#else
		}
	:: d_step { S_PUTS && (OFF(W) || unlinked) && hangs -> hang_in_put(S, R_LOST) }
	:: d_step { S_BUSY && record == R_LOST && RESOLVED(0) && RESOLVED(1) -> at[S] = S_WROTE }
#endif
	:: d_step { RUNS(S) && at[S] == S_WROTE && !over -> over = 1 }
#ifndef BUG_OVER_UNHEEDED
	:: d_step { RUNS(S) && over -> unlocked = 1; leave(S) }
#else
	:: d_step { RUNS(S) && over -> leave(S) }
#endif
	od
}

/* ---- pre-script ------------------------------------------------------------------------------------- */

#define P_BUSY (UP(P) && at[P] == P_UNDOES)
#define P_HELP (UP(P) && at[P] == P_HELPS)
#ifdef BUG_LIMIT_P_LEAVES
#define LIMIT_P_LEAVES true
#else
#define LIMIT_P_LEAVES false
#endif
/* in FIFREEZE, or in the hands of the freezer: P cannot do anything about it */
#define WAITING(i) ((state[i] == FREEZING || state[i] == THAWING && by[i] == F) && !EOF_LIFE(i) || STUCK(i) && state[i] == THAWING)
#define HAS(i) (state[i] == FROZEN || UNSETTLED_BY_F(i) && EOF_LIFE(i) || state[i] == THAWING && by[i] == P && !STUCK(i))

inline exit_P() { leave(P); bereave() }

#if defined(BUG_P_TRUSTS) || defined(BUG_ANSWER_UNCHECKED)
#define ANSWER_STANDS true
#else
#define ANSWER_STANDS !ending			/* nobody has begun to thaw since W looked */
#endif

active proctype PreScript()
{
	do
	:: d_step { UP(P) && at[P] == P_START -> toW = QUIESCE; at[P] = P_QUIESCES }
	:: d_step { UP(P) && at[P] == P_QUIESCES && fromW == YES -> fromW = 0; toF = 1; at[P] = P_FREEZES }
#ifndef BUG_COMMIT_UNCHECKED
	:: d_step { UP(P) && at[P] == P_FREEZES && fromF == YES -> fromF = 0; toW = COMMIT; at[P] = P_COMMITS }
#else
	:: d_step { UP(P) && at[P] == P_FREEZES && fromF != 0 -> fromF = 0; toW = COMMIT; at[P] = P_COMMITS }
#endif
	:: d_step { UP(P) && at[P] == P_COMMITS && fromW == YES && ANSWER_STANDS -> fromW = 0; assert(committed);
#ifndef RUDE
		assert(HOLDS(0) && HOLDS(1));
#endif
		SEEN(pre_0); exit_P() }								/* 0 */

	/* a refusal, an end of file, or the time is up: roll back. P exits 201 from here on */
	:: d_step { UP(P) && at[P] >= P_QUIESCES && at[P] <= P_COMMITS -> endW = UP(W); fromW = 0; fromF = 0; at[P] = P_BACK;
		cancelled = 1 }
	:: d_step { UP(P) && at[P] == P_BACK && EOF_WS ->
		if :: over -> exit_P() :: else -> ending = 1; at[P] = P_UNDOES fi }
#ifndef BUG_NO_BUDGET
	:: d_step { UP(P) && at[P] == P_BACK && !EOF_WS ->			/* the time is up: thaw what is frozen, W or S see to the rest */
#if (STOPS > 0 || HANGS > 0) && !defined(BUG_P_LEAVES)
		if :: !over -> SEEN(pre_helps); ending = 1; at[P] = P_HELPS :: else -> exit_P() fi
#else
		exit_P()
#endif
		}
#endif
	UNDO_STEPS(P, 0, P_BUSY || P_HELP)
	UNDO_STEPS(P, 1, P_BUSY || P_HELP)
	:: d_step { P_HELP && !HAS(0) && !HAS(1) && !limited -> exit_P() }
#ifndef BUG_LIMIT_P_LEAVES
	:: d_step { (P_BUSY || P_HELP) && limited -> SEEN(pre_lifted); limited = 0 }
#endif
	TAKE_STEPS(P, 0, P_BUSY || P_HELP)
	TAKE_STEPS(P, 1, P_BUSY || P_HELP)
	/* it may have to leave before F is dead, and an F that lives undoes its own work: SIGCONT, not SIGKILL */
	:: d_step { P_BUSY && UP(F) && stop[F] && (UNSETTLED_BY_F(0) || UNSETTLED_BY_F(1)) -> stop[F] = 0 }
	:: d_step { P_BUSY && RESOLVED(0) && RESOLVED(1) && (!limited || LIMIT_P_LEAVES) -> SEEN(pre_stood_in); put(R_BACK); at[P] = P_WROTE }
	:: d_step { UP(P) && at[P] == P_WROTE -> over = 1; exit_P() }
	:: d_step { P_BUSY && !(UP(F) && stop[F]) && (WAITING(0) || WAITING(1)) && (RESOLVED(0) || WAITING(0)) && (RESOLVED(1) || WAITING(1)) ->
		SEEN(pre_gave_up); gaveup = 1; limited = 0; leave(P) }
	od
}

/* ---- post-script, and what the next pre-script does before it starts -------------------------------- */

#if FAILS > 0
#define O_FAILS(i) \
	:: d_step { UP(O) && at[O] == O_THAWS && !tried[i] && fails && sb[i] == OURS -> \
		fails--; tried[i] = 1; hit[i] = 0; fails_again[i] = 1 }
#else
#define O_FAILS(i)
#endif

active proctype PostScript()
{
	do
	:: d_step { UP(O) && at[O] == O_START && (second || !came) ->
		if :: !came -> came = 1; lasted = (committed && HOLDS(0) && HOLDS(1)) :: else fi;
		connected = UP(W); at[O] = O_WAITS }
	:: d_step { UP(O) && at[O] == O_WAITS && !second -> leave(O) }		/* the time is up: 202 */
	:: d_step { UP(O) && at[O] == O_WAITS && LOCK_FREE ->
		if
		:: UNSETTLED -> at[O] = O_FENCES
		:: else ->
			assert(record != R_OK || lasted);
			if
			:: record == R_OK -> SEEN(post_0)
			:: record == R_AUTO -> SEEN(post_203)
			:: record == R_LOST -> SEEN(post_202)
			:: else -> SEEN(post_205)
			fi;
			leave(O)
		fi }
	:: d_step { UP(O) && at[O] == O_FENCES ->
#ifndef BUG_LIMIT_O_LEAVES
		if :: noted -> if :: limited -> SEEN(recovery_lifted) :: else fi; limited = 0 :: else fi;
#endif
#ifndef BUG_NO_FREEZER_LOCK
#ifndef BUG_FREEZER_SPARED
		if :: UP(F) && !left -> SEEN(freezer_fenced); kill_F() :: else fi;
#endif
		silent = F_ENDED || left;
#else
		silent = 1;
#endif
		tried[0] = struck[0]; tried[1] = struck[1]; hit[0] = struck[0]; hit[1] = struck[1]; at[O] = O_THAWS }
	/* the last post-script is patient: it repeats a FITHAW that comes before the freeze has returned */
	:: d_step { UP(O) && at[O] == O_THAWS && !tried[0] && (!second || silent || !INSIDE(0)) ->
		tried[0] = 1; hit[0] = (sb[0] == OURS || sb[0] == THEIRS); fithaw_recorded(0) }
	:: d_step { UP(O) && at[O] == O_THAWS && !tried[1] && (!second || silent || !INSIDE(1)) ->
		tried[1] = 1; hit[1] = (sb[1] == OURS || sb[1] == THEIRS); fithaw_recorded(1) }
	O_FAILS(0)
	O_FAILS(1)
	:: d_step { UP(O) && at[O] == O_THAWS && tried[0] && tried[1] ->		/* 202 */
		if
		:: fails_again[0] || fails_again[1] -> SEEN(recovery_failed);
			struck[0] = (silent -> !fails_again[0] : hit[0]); struck[1] = (silent -> !fails_again[1] : hit[1]);
			if :: silent -> record = R_LOST; left = 1 :: else fi
		:: else ->
			if
			:: silent || second || hit[0] && hit[1] -> SEEN(recovered); record = R_LOST; left = 0
			:: else -> SEEN(recovered_in_part); struck[0] = hit[0]; struck[1] = hit[1]
			fi
		fi;
		fails_again[0] = 0; fails_again[1] = 0;
		leave(O) }
	od
}

/* ---- the world: kills, strangers, and the questions when nothing moves any more ---------------------- */

#ifdef SPACED
#define MAY_KILL_W (life[S] != KILLED || !S_MISSING)
#define MAY_KILL_S UP(W)
#else
#define MAY_KILL_W true
#define MAY_KILL_S true
#endif

/* What may stay frozen past the deadline, until the next post-script or pre-script: */
#ifdef TIGHT_ORPHAN
#define X_ORPHAN false
#else
#define X_ORPHAN (orphan && UNSETTLED)			/* W and S killed, no P to stand in; the record says so */
#endif
#ifdef TIGHT_GAVEUP
#define X_GAVEUP false
#else
/* P stood in, the freeze hung longer than P had time, F was killed or is stopped */
#define X_GAVEUP (gaveup && (life[F] == KILLED || stop[F]) && UNSETTLED)
#endif
/* Neither W nor S makes a step, and neither has ended: at least one of them lives, but is stopped or hangs for good */
#define IDLES(x) (OFF(x) && life[x] != GONE || stop[x])
#define NOBODY (IDLES(W) && IDLES(S) && (UP(W) || UP(S)))
#ifdef TIGHT_STOPPED
#define X_STOPPED false
#else
#define X_STOPPED (NOBODY && !puts[S])			/* one of them is stopped or hangs for good, the other was killed; an S
							   that hangs has thawed before */
#endif
#if FAILS < 2 || defined(TIGHT_FAILED)
#define X_FAILED(i) false
#else
#define X_FAILED(i) (left && !struck[i])		/* FITHAW has failed more than once; the record says so */
#endif
#ifdef SPACED
#define THAWED_BY_NOW(i) (sb[i] != OURS)
#else
#define THAWED_BY_NOW(i) (sb[i] != OURS || STUCK(i) || X_ORPHAN || X_GAVEUP || X_STOPPED || X_FAILED(i))
#endif

#ifdef TIGHT_LIMIT
#define LIFTED_BY_NOW !limited
#else
#define LIFTED_BY_NOW (!limited || X_ORPHAN || X_STOPPED)
#endif

#define DESERTED_RIGHT(i) (!deserted || life[F] != GONE || sb[i] != OURS || state[i] == THAWING && by[i] != F || state[i] == UNTHAWED)

#define BEGUN(i) (stop[W] && state[i] == THAWING && by[i] == W)	/* W was stopped in the middle of the thaw */

inline ask_first() {
#ifndef QUIET
	assert(THAWED_BY_NOW(0)); assert(THAWED_BY_NOW(1));
	assert(LIFTED_BY_NOW);
	assert(OFF(W) || HUNG || stop[W]);
	assert(OFF(S) || HUNG || stop[S]);
#else
	if
	:: committed && !cancelled && !came && UP(W) -> assert(!limited && HOLDS(0) && HOLDS(1) && (UP(S) || stop[W]))
	/* where W is stopped or hangs this comes with the deadline, but for what P, as it rolls back, and F do themselves */
	:: stop[W] && !(cancelled && life[P] == GONE && life[F] != KILLED) -> skip
	:: else ->
		assert(LIFTED_BY_NOW);
		assert(THAWED_BY_NOW(0) || BEGUN(0)); assert(THAWED_BY_NOW(1) || BEGUN(1)); assert(EOF_WS || HUNG || stop[W] || stop[S])
	fi;
#endif
	assert(OFF(P));
	assert(OFF(F) || HUNG || stop[F]);
	assert(OFF(O));
	/* a freezer that found P gone has thawed what it froze, but for what another one was thawing when it died */
	assert(DESERTED_RIGHT(0)); assert(DESERTED_RIGHT(1))
}
inline ask_second() {
	assert(!limited || X_STOPPED);
	assert(sb[0] != OURS || X_STOPPED);
	assert(sb[1] != OURS || X_STOPPED || STUCK(1));
	assert(LOCK_FREE || HUNG || NOBODY);
	assert(OFF(O) || HUNG || NOBODY)
}

#ifdef ANY
#define MAY_STOP(x) true
#else
#define MAY_STOP(x) (x == W)
#endif
/* for good: what is stopped or hangs by now */
#define FOR_GOOD(x) if :: stop[x] -> stop[x] = 2 :: else fi

active proctype World()
{
	do
	:: d_step { !second && kills && UP(W) && !puts[W] && MAY_KILL_W -> kills--; kill_W() }
	:: d_step { !second && kills && UP(S) && !puts[S] && MAY_KILL_S -> kills--; kill_S() }
	:: d_step { !second && kills && UP(F) -> kills--; kill_F() }
	:: d_step { !second && kills && UP(P) -> kills--; kill_P() }
	:: d_step { !second && kills && UP(O) && came -> kills--; kill_O() }
	:: d_step { stops && RUNS(W) -> stops--; stop[W] = 1 }
#ifdef ANY
	:: d_step { stops && RUNS(F) -> stops--; stop[F] = 1 }
	:: d_step { stops && RUNS(S) -> stops--; stop[S] = 1 }
#endif
	:: d_step { stop[W] == 1 -> return_W() }
	:: d_step { stop[S] == 1 -> return_S() }
	:: d_step { stop[F] == 1 -> stop[F] = 0 }
#ifdef NO_THREADS
	:: d_step { !poor && !second -> poor = 1 }
#endif
	:: d_step { others && sb[0] == CLEAR -> others--; sb[0] = THEIRS; theirs = 1 }
#ifdef BOTH
	:: d_step { others && sb[1] == CLEAR -> others--; sb[1] = THEIRS; theirs = 2 }
#endif
	:: d_step { theirs -> if :: sb[theirs - 1] == THEIRS -> sb[theirs - 1] = CLEAR :: else fi; theirs = 0 }
	:: d_step { strangers && committed && sb[0] == OURS -> strangers--; sb[0] = CLEAR }
	/* from here on nobody does anything to anybody, and no post-script comes if none has come */
	:: d_step { !second && (kills || stops || hangs || others || strangers || theirs || stop[F] == 1 || stop[W] == 1 || stop[S] == 1 ||
			UP(O) && !came) ->
		kills = 0; stops = 0; hangs = 0; others = 0; strangers = 0; theirs = 0;
		FOR_GOOD(F); FOR_GOOD(W); FOR_GOOD(S);
		if :: UP(O) && !came -> leave(O) :: else fi }
#ifdef QUIET
	:: timeout -> d_step { ask_first() }; break
#else
	:: !second && timeout -> d_step { ask_first(); second = 1; fails = 0; life[O] = ALIVE }
	:: second && timeout -> d_step { ask_second() }; break
#endif
	od
}

init {
	atomic {
		life[F] = ALIVE; life[W] = ALIVE; life[P] = ALIVE; life[O] = ALIVE;
#ifdef ONE
		state[1] = UNSUPP; thr[1] = T_DONE;
#endif
		run FreezerThread(0); run FreezerThread(1)
	}
}
