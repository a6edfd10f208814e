# SPDX-License-Identifier: Apache-2.0
"""The short story: three scratch filesystems with a writer on each, frozen, looked at and thawed."""

import time

import agent
import stage
from screen import heading, run, say
from timeline import Timeline
from writers import Writer, Writers, lines

AROUND, HELD = 1.0, 1.5  # seconds: what is shown before and after, and how long they are frozen
VOLUMES = tuple(stage.Volume(kind, kind, 320, "") for kind in ("ext4", "xfs", "btrfs"))

EXPLANATION = f"""\
pre-script wrote back what was dirty, started a watchdog and froze the three filesystems at the same time; then it exited,
and the watchdog alone held them. Each writer was blocked inside one write: no error, no lost data, only a wait. What is on
the disks in that time is what a snapshot should see. post-script had the watchdog thaw them, and the same write completed.
Without post-script, the watchdog would have thawed them after {agent.AUTO_THAW} seconds."""
EXIT_CODES = """
  Exit codes:
      0  done                                  1  usage
    201  pre-script failed, all is undone    204  frozen, or a session is active
    202  post-script failed, or not held     205  no session to end
    203  the deadline came first             206  a database is not ready
"""


def freeze_for_a_while(guard):
    """Gives the times of pre-script and post-script."""
    heading("Before the snapshot")
    pre = time.monotonic()
    agent.pre_script(guard)
    heading("Now the snapshot would be taken")
    time.sleep(HELD)
    run("dlm-freeze status")
    heading("After the snapshot")
    post = time.monotonic()
    agent.post_script(guard)
    return pre, post


def judge(timeline, pre, post):
    """Says what each writer saw. Gives the exit code: 1 unless it was held once for as long as the freeze lasted, but for the
    pause before that write, and wrote before and after."""
    code = 0
    print()
    for name in timeline.rows:
        before = timeline.writes_between(name, timeline.began, pre)
        after = timeline.writes_between(name, post, timeline.ended)
        waited = timeline.waits(name, pre, post)
        print(f"  {name:<6} {before:3} writes, one that waited {waited:.3f} s, {after:3} writes")
        if before < 5 or after < 5 or waited < 0.9 * HELD:
            print(f"demo: the writer on {name} was not stopped by the freeze, or did not continue after it")
            code = 1
    return code


def tell(guard, options, picture):
    heading("Three scratch filesystems, with a writer on each")
    for volume in VOLUMES:
        image = stage.STAGE / f"{volume.name}.img"
        stage.make_filesystem(image, volume.type, volume.megabytes, volume.mount_point)
    mount_points = [volume.mount_point for volume in VOLUMES]
    guard.protect(mount_points, stage.loops())
    agent.configure(mount_points, [])
    heading("What would be frozen, and why")
    agent.dry_run(mount_points)
    writers = Writers([
        Writer(volume.name, ["append", str(volume.mount_point / "data")], lines(volume.name)) for volume in VOLUMES])
    writers.start()
    writers.go_on(AROUND)
    pre, post = freeze_for_a_while(guard)
    writers.go_on(AROUND)
    writers.stop()
    heading("What the writers saw")
    timeline = Timeline(writers, [(pre, "pre-script"), (post, "post-script")])
    print(timeline.text())
    timeline.draw(picture, "Three filesystems, frozen and thawed")
    code = judge(timeline, pre, post)
    heading("What happened")
    say(EXPLANATION)
    print(EXIT_CODES)
    say('The scratch filesystems go when the demo ends. To freeze one of your own, see "By hand" in README.md.')
    return code
