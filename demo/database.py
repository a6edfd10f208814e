# SPDX-License-Identifier: Apache-2.0
"""What the story needs of a database, and the servers that run it: one on the host's volumes, one on each restored copy."""

import os
import pwd
import subprocess
import time

from screen import Failed
from stage import STAGE
from writers import ACCOUNTS, BALANCE

LIVE = "live"  # the server on the host's volumes; the others have the name of their snapshot
PATIENCE = 60  # seconds


class QueryFailed(Exception):
    """What the client printed."""


class Database:
    """Of a product: how its servers are made, started, and asked."""

    product = ""
    account = ""  # of the operating system, that its servers run as
    volumes = ()
    writers_are_held = False  # before the freeze, so that nothing is in a snapshot that was not acknowledged
    engine, journal_engine = "", ""  # clauses of CREATE TABLE
    notes = ("A freeze leaves a record in the journal of an xfs, on purpose; the next mount replays it.",)
    kinds = {"transfer": "transfers", "journal": "journal rows"}

    def create(self):
        """Puts an empty database onto the host's volumes."""
        raise NotImplementedError

    def server(self, instance):
        """The words that start a server; as root it becomes `account` itself."""
        raise NotImplementedError

    def client(self, instance, database="bank"):
        """The words of a client that reads statements and prints tab-separated rows at once."""
        raise NotImplementedError

    def quiescer(self):
        """Its entry in the agent's configuration."""
        raise NotImplementedError

    def log(self, instance):
        """The server's own log."""
        raise NotImplementedError

    def position(self, server):
        """Where its log ends now, by the names of the agent's facts."""
        raise NotImplementedError

    def examine(self, name, position, is_exact):
        """Rows about a copy that no server has touched yet. `is_exact`: the position is the agent's, so the log has to end
        there, not only to reach it."""
        raise NotImplementedError

    def check(self, server, position, is_exact):
        """Rows about a copy by its server."""
        raise NotImplementedError

    def before_start(self, name):
        """Whatever a person does before the server is started on a copy."""

    def start(self, instance):
        return Server(self, instance)

    def directory(self, instance):
        """For sockets and logs, on no volume."""
        path = STAGE / "run" / instance
        if not path.exists():
            path.mkdir(parents=True)
            self.give(path)
        return path

    def give(self, path):
        """To the account that the servers run as."""
        entry = pwd.getpwnam(self.account)
        os.chown(path, entry.pw_uid, entry.pw_gid)

    def as_account(self, *words):
        group = pwd.getpwnam(self.account).pw_gid
        return ["setpriv", f"--reuid={self.account}", f"--regid={group}", "--clear-groups", *words]

    def schema(self):
        accounts = ", ".join(f"({number}, {BALANCE})" for number in range(1, ACCOUNTS + 1))
        return (
            f"CREATE TABLE account (id INT PRIMARY KEY, balance INT NOT NULL) {self.engine};\n"
            "CREATE TABLE transfer (writer INT, number INT, source INT, target INT, amount INT,"
            f" PRIMARY KEY (writer, number)) {self.engine};\n"
            "CREATE TABLE journal (writer INT, number INT, note VARCHAR(60) NOT NULL,"
            f" PRIMARY KEY (writer, number)) {self.journal_engine};\n"
            f"INSERT INTO account VALUES {accounts};\n")


class Server:
    """A running server. On a copy it has a mount namespace in which the copy is mounted where the original was, as it would
    be on another host."""

    def __init__(self, database, instance):
        self.database = database
        self.instance = instance
        self.seconds = None  # until the first query was answered
        words = database.as_account(*database.server(instance))
        if instance != LIVE:
            binds = " && ".join(
                f"mount --bind {STAGE}/{instance}/{volume.name} {volume.mount_point}" for volume in database.volumes)
            words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{binds} && exec "$@"', "sh", *words]
        output = open(database.directory(instance) / "output", "w")
        self.began = time.monotonic()
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        output.close()

    def wait(self, database="bank"):
        """Until it answers. Gives what went wrong, or ""."""
        while time.monotonic() - self.began < PATIENCE:
            try:
                self.query("SELECT 1", database)
                self.seconds = time.monotonic() - self.began
                return ""
            except QueryFailed as error:
                problem = str(error)
            if self.process.poll() is not None:
                return f"the server does not start: {self._last_words()}"
            time.sleep(0.02)
        return f"the server does not answer: {problem}"

    def must_wait(self, database="bank"):
        problem = self.wait(database)
        if problem:
            raise Failed(f"demo: {self.database.product}: {problem}")

    def query(self, statements, database="bank"):
        """The rows of the answer, each a list of texts."""
        ran = subprocess.run(
            self.database.client(self.instance, database), input=statements + ";\n", text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if ran.returncode != 0:
            raise QueryFailed(ran.stderr.strip() or f"exit code {ran.returncode}")
        return [line.split("\t") for line in ran.stdout.splitlines()]

    def _last_words(self):
        try:
            lines = self.database.log(self.instance).read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        wrong = [line for line in lines if "ERROR" in line or "FATAL" in line or "PANIC" in line]
        return (wrong or lines or ["it has logged nothing"])[-1]
