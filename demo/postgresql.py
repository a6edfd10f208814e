# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL as Debian ships it, its WAL on a volume of its own."""

import pathlib
import re
import subprocess

from database import Database, LIVE
from rows import Row
from screen import Failed, quietly, run
from stage import STAGE, Volume


def programs():
    """The directory of the newest version's."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        raise Failed("demo: PostgreSQL is not installed: sudo scripts/install-deps demo-postgresql")
    return found[-1].parent


class PostgreSQL(Database):
    product = "PostgreSQL"
    account = "postgres"
    volumes = (
        Volume("data", "xfs", 400, "PostgreSQL: the data directory"),
        Volume("wal", "ext4", 256, "PostgreSQL: the WAL"),
        Volume("files", "ext4", 128, "a file that is appended to without fsync"),
    )
    # Nothing holds them but the freeze: what is durable in that moment and not acknowledged yet is in the snapshot.
    writers_are_held = False

    def create(self):
        for directory in (STAGE / "data/postgresql", STAGE / "wal/postgresql"):
            directory.mkdir(mode=0o700)
            self.give(directory)
        quietly(*self.as_account(programs() / "initdb", "-D", STAGE / "data/postgresql", "-X", STAGE / "wal/postgresql",
                                 "-A", "trust", "-U", "postgres", "--no-sync", "--no-instructions"))
        server = self.start(LIVE)
        server.must_wait("postgres")
        server.query("CREATE DATABASE bank", "postgres")
        server.query(self.schema().rstrip(";\n"))
        return server

    def server(self, instance):
        return [programs() / "postgres", "-D", STAGE / "data/postgresql", "-k", self.directory(instance),
                "-c", "listen_addresses=", "-c", "shared_buffers=32MB"]

    def log(self, instance):
        return self.directory(instance) / "output"

    def client(self, instance, database="bank"):
        return [programs() / "psql", "-X", "-q", "-A", "-t", "-F\t", "-v", "ON_ERROR_STOP=1",
                "-h", self.directory(instance), "-U", "postgres", database]

    def quiescer(self):
        return {"type": "postgresql", "name": "bank", "conninfo": f"host={self.directory(LIVE)}"}

    def position(self, server):
        return {}  # that of its last checkpoint, which it finds itself

    def before_start(self, name):
        run(f"rm {name}/data/postgresql/postmaster.pid")

    def examine(self, name, position, is_exact):
        return []

    def check(self, server, position, is_exact):
        log = self.log(server.instance).read_text(errors="replace")
        started = re.search(r"redo starts at (\S+)", log)
        found = started.group(1) if started else "nowhere"
        wanted = position.get("redo_lsn", "none")
        fault = f"recovery starts at {found} instead of {wanted}" if is_exact and found != wanted else ""
        rows = [Row("recovery starts at", found, fault), Row("  on record", wanted)]
        ran = subprocess.run(
            [programs() / "pg_amcheck", "--install-missing", "-h", self.directory(server.instance), "-U", "postgres", "bank"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        problem = (ran.stdout.strip().splitlines() or ["it fails"])[0] if ran.returncode != 0 else ""
        return rows + [Row("pg_amcheck", problem or "OK", problem)]
