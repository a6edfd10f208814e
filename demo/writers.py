# SPDX-License-Identifier: Apache-2.0
"""Those who write while the story is told, and the notes of what was acknowledged to them.

The notes are kept in this process, outside of the volumes: what a client was told is done, with the time at which it
was told."""

import dataclasses
import itertools
import random
import subprocess
import threading
import time

from screen import Failed

PAUSE = 0.01  # seconds between two writes
ACCOUNTS = 64
BALANCE = 1000  # of each account in the beginning
LINE = 400  # bytes


@dataclasses.dataclass(frozen=True)
class Request:
    kind: str  # what is acknowledged: "transfer", "journal", "line"
    content: object  # what a restored copy has to have for it
    text: str  # a line for the client, which answers "done"


@dataclasses.dataclass(frozen=True)
class Note:
    request: Request
    began: float
    ended: float


class Writer(threading.Thread):
    """A client that is sent requests, one after the other, and notes each answer."""

    def __init__(self, name, command, requests):
        super().__init__(name=name, daemon=True)
        self.notes = []
        self.problem = ""
        self.is_over = threading.Event()
        self.requests = requests
        self.client = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)

    def run(self):
        try:
            while not self.is_over.wait(PAUSE):
                self._write(next(self.requests))
                if self.problem:
                    break
        except OSError as error:
            self.problem = str(error)
        self.client.stdin.close()

    def _write(self, request):
        began = time.monotonic()
        self.client.stdin.write(request.text + "\n")
        answer = self.client.stdout.readline()
        if answer == "done\n":
            self.notes.append(Note(request, began, time.monotonic()))
        else:
            self.problem = answer + self.client.stdout.read() if answer else "its client ended"


class Writers:
    """All of them. Each answers for itself: a problem of one is an error of the demo."""

    def __init__(self, members):
        self.members = members

    def start(self):
        self.began = time.monotonic()
        for writer in self.members:
            writer.start()

    def go_on(self, seconds):
        time.sleep(seconds)
        for writer in self.members:
            if writer.problem:
                raise Failed(f"demo: {writer.name} could not write: {writer.problem}")

    def stop(self):
        for writer in self.members:
            writer.is_over.set()
        for writer in self.members:
            writer.join(10)
        self.go_on(0)
        self.ended = time.monotonic()

    def acknowledged(self, kind, moment):
        """The contents of what had been acknowledged by then."""
        return [
            note.request.content for writer in self.members for note in list(writer.notes)
            if note.ended <= moment and note.request.kind == kind]


def money(writer):
    """Moves money between two accounts in a transaction, then writes a line to the journal table."""
    chance = random.Random(writer)
    for number in itertools.count(1):
        source, target = chance.sample(range(1, ACCOUNTS + 1), 2)
        amount = chance.randint(1, 9)
        changes = sorted([(source, -amount), (target, amount)])  # in one order, so that no two wait for each other
        updates = " ".join(f"UPDATE account SET balance = balance + {by} WHERE id = {which};" for which, by in changes)
        row = (writer, number, source, target, amount)
        yield Request("transfer", row, f"BEGIN; {updates} INSERT INTO transfer VALUES {row}; COMMIT; SELECT 'done';")
        row = (writer, number, f"{amount} from account {source} to account {target}")
        yield Request("journal", row, f"INSERT INTO journal VALUES {row}; SELECT 'done';")


def lines(name):
    """Lines of a file, each different from all others."""
    for number in itertools.count(1):
        line = f"{name} {number} ".ljust(LINE - 1, ".")
        yield Request("line", (line + "\n").encode(), line)
