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
 *   OTHERS  how often a foreign freezer freezes filesystem 0                 (1)
 *   SPACED  no second death of watchdog or sentinel before the first one has been answered
 *   QUIET   the deadline never comes: what is undone, is undone at once
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

#define UNBORN 0
#define ALIVE  1
#define KILLED 2
#define GONE   3		/* ended by itself */
byte life[5];
byte stopped;			/* the watchdog: 1 stopped, 2 stopped for good */

#define UP(x)  (life[x] == ALIVE)
#define OFF(x) (life[x] != ALIVE)
#define W_RUNS (UP(W) && !stopped)

byte at[5];			/* where in its program each process is: */
#define F_START  0
#define F_RUNS   1
#define F_SAID   2		/* has answered */
#define F_ALONE  3		/* has found P gone: undoes what it froze */

#define W_START  0
#define W_SERVES 1
#define W_HELD   2		/* has checked, has put the record `held` in place, has not answered */
#define W_UNDOES 3
#define W_WROTE  4		/* has written the outcome */

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
bit  missed;			/* W: a FITHAW of what should have been frozen found it thawed (EINVAL) */
bit  tried[2], hit[2];		/* O: FITHAW has been called; it found something to thaw */
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
byte state[2];
byte by[2];			/* thawing: by whom */
bit did[2];			/* not in the page: whoever is thawing has returned from FITHAW and not stored it */
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

#define INSIDE(i) (thr[i] == T_INSIDE || thr[i] == T_HUNG)
#define HUNG (thr[0] == T_HUNG || thr[1] == T_HUNG)

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
#define EOF_LIFE(i) (OFF(F) && !INSIDE(i))	/* a life line for each filesystem */
#endif

#if defined(BUG_P_DROPS_LOCK)
#define LOCK_FREE EOF_WS
#elif defined(BUG_S_HAS_NO_LOCK)
#define LOCK_FREE (OFF(W) && OFF(P))
#else
#define LOCK_FREE (EOF_WS && OFF(P))
#endif

/* ---- the record ------------------------------------------------------------------------------------- */

#define R_NONE     0
#define R_FREEZING 1
#define R_HELD     2
#define R_OK       3
#define R_AUTO     4
#define R_LOST     5		/* watchdog lost, or a thaw that found nothing to thaw */
#define R_BACK     6		/* rolled back */
byte record;
bit  struck[2];			/* not on the record: nothing to freeze there, or a recovery has thawed it */
#define UNSETTLED (record == R_FREEZING || record == R_HELD)

/* ---- what only the properties read ------------------------------------------------------------------ */

byte kills = KILLS, stops = STOPS, others = OTHERS, strangers = STRANGERS;
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
	if :: life[W] == KILLED && life[S] == KILLED && OFF(P) && !over -> orphan = 1 :: else fi
}
inline kill(x) {
	life[x] = KILLED; at[x] = 0;
	unrecorded_thaw(x, 0); unrecorded_thaw(x, 1);
	bereave()
}
inline kill_F() { kill(F); unrecorded_freeze(0); unrecorded_freeze(1) }
inline kill_W() { kill(W); stopped = 0; why = 0; won = 0; toW = 0; endW = 0; connected = 0 }
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
	assert(sb[i] != THEIRS || X_BUSY(i) || X_NOTHING(i) || X_REDO(i));
	if :: sb[i] == CLEAR && !redo[i] && !unsaid[i] -> missed = 1 :: else fi;	/* EINVAL */
	sb[i] = CLEAR; unsaid[i] = 0; redo[i] = 0
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
	:: d_step { (busy) && state[i] == THAWING && by[i] == x && !did[i] -> fithaw(i); did[i] = 1 } \
	:: d_step { (busy) && state[i] == THAWING && by[i] == x && did[i] -> did[i] = 0; by[i] = 0; state[i] = THAWED }
/* and take over what somebody who has ended left in between */
#ifdef BUG_TAKE_LIVING
#define LEFT(i) true
#else
#define LEFT(i) (by[i] == F && EOF_LIFE(i) || by[i] != F && W_LEFT(i))
#endif
#ifdef BUG_NO_FENCE
#define W_LEFT(i) (OFF(by[i]) || by[i] == W && stopped)
#else
#define W_LEFT(i) OFF(by[i])
#endif
#define TAKE_STEPS(x, i, busy) \
	:: d_step { (busy) && (state[i] == FREEZING && EOF_LIFE(i) || state[i] == THAWING && by[i] != x && LEFT(i)) -> \
		state[i] = THAWING; by[i] = x; did[i] = 0 }

proctype FreezerThread(byte i)
{
	do
	:: d_step { UP(F) && thr[i] == T_WAIT && at[F] != F_START -> state[i] = FREEZING; thr[i] = T_ECHO }
	:: d_step { UP(F) && thr[i] == T_ECHO ->
		if
#ifndef BUG_NO_RECHECK
		:: ending -> state[i] = IDLE; thr[i] = T_DONE
#endif
		:: else -> thr[i] = T_CALL
		fi }

	/* FIFREEZE. Only filesystem 1 fails, cannot freeze or hangs for ever; only filesystem 0 is frozen by others */
	:: d_step { UP(F) && thr[i] == T_CALL && sb[i] == CLEAR -> sb[i] = MID; thr[i] = T_INSIDE }
	:: d_step { UP(F) && thr[i] == T_CALL && sb[i] == THEIRS -> result[i] = BUSY; thr[i] = T_BACK }
	:: d_step { UP(F) && thr[i] == T_CALL && MAY_FAIL(i) -> result[i] = UNSUPP; thr[i] = T_BACK }
	:: d_step { thr[i] == T_INSIDE && MAY_FAIL(i) -> thr[i] = T_HUNG }
	:: d_step { thr[i] == T_INSIDE ->		/* it returns also to a thread that was killed */
		sb[i] = OURS;
		if :: UP(F) -> result[i] = FROZEN; thr[i] = T_BACK :: else -> thr[i] = T_DONE fi }
	:: d_step { thr[i] == T_INSIDE && MAY_FAIL(i) ->
		sb[i] = CLEAR;
		if :: UP(F) -> result[i] = FAILED; thr[i] = T_BACK :: else -> unsaid[i] = 2; thr[i] = T_DONE fi }

	:: d_step { UP(F) && thr[i] == T_BACK ->
		state[i] = result[i]; result[i] = 0; thr[i] = (state[i] == FROZEN -> T_FROZE : T_DONE) }
	:: d_step { UP(F) && thr[i] == T_FROZE ->
		if
#ifndef BUG_NO_UNDO
		:: ending -> thr[i] = T_UNDO
#endif
		:: else -> thr[i] = T_DONE
		fi }
	UNDO_STEPS(F, i, UP(F) && (thr[i] == T_UNDO || at[F] == F_ALONE && thr[i] == T_DONE))
	:: d_step { UP(F) && thr[i] == T_UNDO && !F_HAS(i) -> thr[i] = T_DONE }
	od
}

#define F_THREADS (thr[0] == T_DONE && thr[1] == T_DONE)
active proctype Freezer()
{
	do
	:: d_step { UP(F) && at[F] == F_START && toF -> at[F] = F_RUNS }
	:: d_step { UP(F) && at[F] == F_START && !toF && EOF_P -> thr[0] = T_DONE; thr[1] = T_DONE; leave(F) }
	:: d_step { UP(F) && at[F] == F_RUNS && !EOF_P && F_THREADS && FIT(0) && FIT(1) -> fromF = YES; at[F] = F_SAID }
	:: d_step { UP(F) && at[F] == F_RUNS && !EOF_P && (thr[0] == T_DONE && !FIT(0) || thr[1] == T_DONE && !FIT(1)) ->
		fromF = NO; at[F] = F_SAID }
	:: d_step { UP(F) && at[F] == F_RUNS && EOF_P -> deserted = 1; SEEN(freezer_alone);
#ifndef BUG_F_STAYS
		ending = 1; at[F] = F_ALONE }
#else
		at[F] = F_SAID }
#endif
	:: d_step { UP(F) && at[F] == F_SAID && F_THREADS -> leave(F) }
	:: d_step { UP(F) && at[F] == F_ALONE && F_THREADS && !F_HAS(0) && !F_HAS(1) -> leave(F) }
	od
}

/* ---- the watchdog ----------------------------------------------------------------------------------- */


inline end_session(r) {
	why = r; at[W] = W_UNDOES; toW = 0; endW = 0; connected = 0;
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
#define S_MISSING OFF(S)
#endif

#ifdef BUG_ONE_BY_ONE
#define W_BUSY0 (W_RUNS && at[W] == W_UNDOES && RESOLVED(1))
#else
#define W_BUSY0 (W_RUNS && at[W] == W_UNDOES)
#endif
#define W_BUSY1 (W_RUNS && at[W] == W_UNDOES)

active proctype Watchdog()
{
	do
	:: d_step { W_RUNS && at[W] == W_START && (life[S] != UNBORN || !S_MISSING) -> at[W] = W_SERVES }
	:: d_step { W_RUNS && S_MISSING -> if :: life[S] == KILLED -> SEEN(respawn) :: else fi; life[S] = ALIVE }
	:: d_step { W_RUNS && at[W] == W_SERVES && toW == QUIESCE && !EOF_P -> toW = 0; fromW = YES;
#ifndef BUG_RECORD_LATE
		record = R_FREEZING
#endif
		}
	:: d_step { W_RUNS && at[W] == W_SERVES && toW == COMMIT -> toW = 0;
		if
#ifndef BUG_COMMIT_UNCHECKED
		:: ending || !FIT(0) || !FIT(1) -> if :: !EOF_P -> fromW = NO :: else fi; end_session(R_BACK)
#endif
		:: else -> record = R_HELD; struck[0] = (state[0] == UNSUPP); struck[1] = (state[1] == UNSUPP); at[W] = W_HELD
		fi }
	:: d_step { W_RUNS && at[W] == W_HELD ->
		if
#ifndef BUG_ANSWER_UNHEEDED
		:: EOF_P -> end_session(R_BACK)		/* the answer cannot be sent */
#else
		:: EOF_P -> won = 1; at[W] = W_SERVES
#endif
		:: else ->
			SEEN(commit);
			assert(HOLDS(0) && HOLDS(1) && !ending && !over);
			fromW = YES; won = 1; at[W] = W_SERVES; committed = 1; lasted = came
		fi }

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
#ifdef BUG_THAW_BUSY
	:: d_step { W_BUSY0 && state[0] == BUSY -> state[0] = THAWING; by[0] = W }
#endif
	:: d_step { W_RUNS && at[W] == W_UNDOES && RESOLVED(0) && RESOLVED(1) ->
#ifndef BUG_EINVAL_IGNORED
		if :: missed -> why = R_LOST :: else fi;
#endif
		record = why; at[W] = W_WROTE }
	:: d_step { W_RUNS && at[W] == W_WROTE -> ending = 1; over = 1; why = 0; won = 0; leave(W) }
	od
}

/* ---- the sentinel ----------------------------------------------------------------------------------- */

#define S_BUSY (UP(S) && at[S] == S_UNDOES)

active proctype Sentinel()
{
	do
#ifdef BUG_S_LEAVES
	:: d_step { UP(S) && at[S] == S_WAITS -> leave(S) }
#endif
	:: d_step { UP(S) && at[S] == S_WAITS && OFF(W) ->
		if :: over -> leave(S) :: else -> ending = 1; at[S] = S_UNDOES fi }
	/* the watchdog has overrun (in this model: it is stopped): kill it first, then stand in for it */
#ifndef BUG_NO_FENCE
	:: d_step { UP(S) && at[S] == S_WAITS && UP(W) && stopped -> SEEN(fence); kill_W() }
#else
	:: d_step { UP(S) && at[S] == S_WAITS && UP(W) && stopped && !over -> ending = 1; at[S] = S_UNDOES }
#endif
	UNDO_STEPS(S, 0, S_BUSY)
	UNDO_STEPS(S, 1, S_BUSY)
	TAKE_STEPS(S, 0, S_BUSY)
	TAKE_STEPS(S, 1, S_BUSY)
	:: d_step { S_BUSY && RESOLVED(0) && RESOLVED(1) -> SEEN(sentinel_undid);
#ifndef BUG_S_SAYS_OK
		record = R_LOST;
#else
		record = (committed -> R_OK : R_LOST);
#endif
		at[S] = S_WROTE }
	:: d_step { UP(S) && at[S] == S_WROTE -> over = 1; leave(S) }
	od
}

/* ---- pre-script ------------------------------------------------------------------------------------- */

#define P_BUSY (UP(P) && at[P] == P_UNDOES)
/* in FIFREEZE, or in the hands of the freezer: P cannot do anything about it */
#define WAITING(i) ((state[i] == FREEZING || state[i] == THAWING && by[i] == F) && !EOF_LIFE(i))

inline exit_P() { leave(P); bereave() }

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
	:: d_step { UP(P) && at[P] == P_COMMITS && fromW == YES -> fromW = 0; assert(committed); SEEN(pre_0); exit_P() }	/* 0 */

	/* a refusal, an end of file, or the time is up: roll back. P exits 201 from here on */
	:: d_step { UP(P) && at[P] >= P_QUIESCES && at[P] <= P_COMMITS -> endW = UP(W); fromW = 0; fromF = 0; at[P] = P_BACK;
		cancelled = 1 }
	:: d_step { UP(P) && at[P] == P_BACK && EOF_WS ->
		if :: over -> exit_P() :: else -> ending = 1; at[P] = P_UNDOES fi }
#ifndef BUG_NO_BUDGET
	:: d_step { UP(P) && at[P] == P_BACK && !EOF_WS -> exit_P() }		/* the time is up: W or S see to it */
#endif
	UNDO_STEPS(P, 0, P_BUSY)
	UNDO_STEPS(P, 1, P_BUSY)
	TAKE_STEPS(P, 0, P_BUSY)
	TAKE_STEPS(P, 1, P_BUSY)
	:: d_step { P_BUSY && RESOLVED(0) && RESOLVED(1) -> SEEN(pre_stood_in); record = R_BACK; at[P] = P_WROTE }
	:: d_step { UP(P) && at[P] == P_WROTE -> over = 1; exit_P() }
	:: d_step { P_BUSY && (WAITING(0) || WAITING(1)) && (RESOLVED(0) || WAITING(0)) && (RESOLVED(1) || WAITING(1)) ->
		SEEN(pre_gave_up); gaveup = 1; leave(P) }
	od
}

/* ---- post-script, and what the next pre-script does before it starts -------------------------------- */


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
#ifndef BUG_NO_FREEZER_LOCK
#ifndef BUG_FREEZER_SPARED
		if :: UP(F) -> SEEN(freezer_fenced); kill_F() :: else fi;
#endif
		silent = F_ENDED;
#else
		silent = 1;
#endif
		tried[0] = struck[0]; tried[1] = struck[1]; hit[0] = struck[0]; hit[1] = struck[1]; at[O] = O_THAWS }
	/* the last post-script is patient: it repeats a FITHAW that comes before the freeze has returned */
	:: d_step { UP(O) && at[O] == O_THAWS && !tried[0] && (!second || silent || !INSIDE(0)) ->
		tried[0] = 1; hit[0] = (sb[0] == OURS || sb[0] == THEIRS); fithaw_recorded(0) }
	:: d_step { UP(O) && at[O] == O_THAWS && !tried[1] && (!second || silent || !INSIDE(1)) ->
		tried[1] = 1; hit[1] = (sb[1] == OURS || sb[1] == THEIRS); fithaw_recorded(1) }
	:: d_step { UP(O) && at[O] == O_THAWS && tried[0] && tried[1] ->		/* 202 */
		if
		:: silent || second || hit[0] && hit[1] -> SEEN(recovered); record = R_LOST
		:: else -> SEEN(recovered_in_part); struck[0] = hit[0]; struck[1] = hit[1]
		fi;
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
#define X_GAVEUP (gaveup && life[F] == KILLED && UNSETTLED)	/* P stood in, the freeze hung longer than P had time, F killed */
#endif
#ifdef TIGHT_STOPPED
#define X_STOPPED false
#else
#define X_STOPPED (stopped && OFF(S))			/* W stopped for good, S killed */
#endif
#ifdef SPACED
#define THAWED_BY_NOW(i) (sb[i] != OURS)
#else
#define THAWED_BY_NOW(i) (sb[i] != OURS || X_ORPHAN || X_GAVEUP || X_STOPPED)
#endif

inline ask_first() {
#ifndef QUIET
	assert(THAWED_BY_NOW(0)); assert(THAWED_BY_NOW(1));
	assert(OFF(W) || HUNG || stopped);
	assert(OFF(S) || HUNG);
#else
	if
	:: committed && !cancelled && !came && UP(W) -> assert(HOLDS(0) && HOLDS(1) && UP(S))
	:: else -> assert(THAWED_BY_NOW(0)); assert(THAWED_BY_NOW(1)); assert(EOF_WS || HUNG)
	fi;
#endif
	assert(OFF(P));
	assert(OFF(F) || HUNG);
	assert(OFF(O));
	/* a freezer that found P gone has thawed what it froze, but for what another one was thawing when it died */
	assert(!deserted || life[F] != GONE || sb[0] != OURS || state[0] == THAWING && by[0] != F);
	assert(!deserted || life[F] != GONE || sb[1] != OURS || state[1] == THAWING && by[1] != F)
}
inline ask_second() {
	assert(sb[0] != OURS || X_STOPPED);
	assert(sb[1] != OURS || X_STOPPED);
	assert(LOCK_FREE || HUNG || stopped);
	assert(OFF(O) || HUNG || stopped)
}

active proctype World()
{
	do
	:: d_step { !second && kills && UP(W) && MAY_KILL_W -> kills--; kill_W() }
	:: d_step { !second && kills && UP(S) && MAY_KILL_S -> kills--; kill(S) }
	:: d_step { !second && kills && UP(F) -> kills--; kill_F() }
	:: d_step { !second && kills && UP(P) -> kills--; kill_P() }
	:: d_step { !second && kills && UP(O) && came -> kills--; kill_O() }
	:: d_step { stops && W_RUNS -> stops--; stopped = 1 }
	:: d_step { stopped == 1 -> stopped = 0 }
	:: d_step { others && sb[0] == CLEAR -> others--; sb[0] = THEIRS; theirs = 1 }
#ifdef BOTH
	:: d_step { others && sb[1] == CLEAR -> others--; sb[1] = THEIRS; theirs = 2 }
#endif
	:: d_step { theirs -> if :: sb[theirs - 1] == THEIRS -> sb[theirs - 1] = CLEAR :: else fi; theirs = 0 }
	:: d_step { strangers && committed && sb[0] == OURS -> strangers--; sb[0] = CLEAR }
	/* from here on nobody does anything to anybody, and no post-script comes if none has come */
	:: d_step { !second && (kills || stops || others || strangers || theirs || stopped == 1 || UP(O) && !came) ->
		kills = 0; stops = 0; others = 0; strangers = 0; theirs = 0;
		if :: stopped -> stopped = 2 :: else fi;
		if :: UP(O) && !came -> leave(O) :: else fi }
#ifdef QUIET
	:: timeout -> d_step { ask_first() }; break
#else
	:: !second && timeout -> d_step { ask_first(); second = 1; life[O] = ALIVE }
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
