# SPDX-License-Identifier: Apache-2.0
"""The whole story: a database at work, a snapshot without the agent and one with it, both restored and compared."""

import concurrent.futures
import time

import agent
import stage
from database import LIVE
from mariadb import MariaDB
from postgresql import PostgreSQL
from restored import FILE, Restored
from rows import side_by_side
from sabotage import Sabotage, pace
from screen import bad, fold, good, heading, run, say
from stage import STAGE
from timeline import Timeline
from writers import Writer, Writers, lines, money

BEFORE, HELD, AFTER = 2.5, 1.0, 1.5  # seconds of writing before each snapshot, of waiting, and at the end
CLIENTS = 4


class Story:
    def __init__(self, guard, database):
        self.guard = guard
        self.database = database
        self.sabotage = Sabotage()
        self.marks = []

    def build_the_scene(self):
        product = self.database.product
        heading(f"1. A host with a {product}")
        self.sabotage.announce()
        say(f"""A scratch btrfs plays EBS: a snapshot of it is one point in time across all volumes. The host has three, each
            in an image file there. Four clients move money between {product}'s accounts and write a journal; an application
            appends to a file. All that is acknowledged to them is noted outside of the volumes.""")
        stage.make_volumes(self.database.volumes)
        self.guard.protect([volume.mount_point for volume in self.database.volumes], stage.loops())
        server = self.database.create()
        stage.write_back(self.database.volumes)
        for volume in self.database.volumes:
            print(f"  {str(volume.mount_point):<18}{volume.type:<6}{volume.holds}")
        heading("2. What would be frozen, and why")
        agent.configure(self._mount_points(), [] if self.sabotage.is_on("quiesce") else [self.database.quiescer()])
        agent.dry_run(self._mount_points())
        return server

    def _mount_points(self):
        return [volume.mount_point for volume in self.database.volumes]

    def hire_writers(self):
        clients = [
            Writer(f"client {number}", self.database.client(LIVE), money(number)) for number in range(1, CLIENTS + 1)]
        application = Writer("appender", ["append", str(STAGE / FILE)], lines("orders"))
        self.writers = Writers([*clients, application])

    def take_a(self, server):
        heading("3. Snapshot A: while they write, without the agent")
        self.writers.start()
        self.writers.go_on(pace(BEFORE))
        position = self.database.position(server)
        moment = time.monotonic()
        stage.take_snapshot("A")
        self.marks.append((moment, "A"))
        return Restored("A", self.database, moment, position, is_held=False)

    def take_b(self):
        self.writers.go_on(pace(BEFORE))
        heading("4. Snapshot B: between pre-script and post-script")
        self.pre = time.monotonic()
        agent.pre_script(self.guard)
        position = agent.facts()
        if self.sabotage.is_on("thaw"):
            agent.post_script(self.guard)
            self.writers.go_on(0.5)
        run("dlm-freeze status")
        self.writers.go_on(pace(HELD))
        moment = time.monotonic()
        stage.take_snapshot("B")
        if not self.sabotage.is_on("thaw"):
            agent.post_script(self.guard)
        self.post = time.monotonic()
        self.marks += [(self.pre, "pre-script"), (moment, "B"), (self.post, "post-script")]
        self.writers.go_on(pace(AFTER))
        self.writers.stop()
        return Restored("B", self.database, moment, position, is_held=True)

    def restore(self, snapshots):
        heading("5. Both restored, side by side: volumes of their own, and a server each")
        for restored in snapshots:
            restored.mount()
        self.sabotage.change_a_byte("B")
        for restored in snapshots:
            restored.start()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Restored.wait, snapshots))
        self.guard.protect([], stage.loops())
        for restored in snapshots:
            restored.examine(self.writers)

    def compare(self, a, b):
        heading("6. What was in them")
        print()
        side_by_side("A: without the agent", a.rows, "B: with dlm-freeze", b.rows)
        print()
        for note in self.database.notes:
            say(note)

    def show_the_timeline(self, picture):
        heading("7. What the writers saw")
        print()
        self.timeline = Timeline(self.writers, self.marks)
        print(self.timeline.text(), flush=True)
        self.timeline.draw(
            picture, f"{self.database.product} and an application: snapshot A without dlm-freeze, snapshot B with it")

    def judge(self, a, b):
        """The exit code, and why."""
        faults = [*b.faults, *self._unheld()]
        print()
        if a.faults:
            say(f"A is what a power failure would have left: {'; '.join(a.faults)}.")
        else:
            say("A happens to be whole this time. Nothing made it so but luck.")
        if faults:
            print(bad("B is not perfect:"))
            for fault in faults:
                print("\n".join(fold(f"  {fault}")))
            return 1
        span = self.post - self.pre
        print(good("B is perfect") + f": nothing lost, nothing damaged. The writers waited for {span:.1f} s.")
        return 0

    def _unheld(self):
        """What the writers saw that they should not have seen."""
        for name in self.timeline.rows:
            waited = self.timeline.waits(name, self.pre, self.post)
            if waited < 0.8 * pace(HELD):
                yield f"{name} was not held: its longest wait was {waited:.2f} s"
            if not self.timeline.writes_between(name, self.post, self.timeline.ended):
                yield f"{name} did not go on after post-script"


def tell(guard, options, picture):
    story = Story(guard, PostgreSQL() if options.postgresql else MariaDB())
    server = story.build_the_scene()
    story.hire_writers()
    snapshots = [story.take_a(server), story.take_b()]
    story.restore(snapshots)
    story.compare(*snapshots)
    story.show_the_timeline(picture)
    return story.judge(*snapshots)
