# SPDX-License-Identifier: Apache-2.0
"""MariaDB as Debian ships it, with Debian's settings for what is written when; only its memory is made small."""

import zlib

from database import Database, LIVE, QueryFailed
from rows import Row
from screen import quietly
from stage import STAGE, Volume

CONFIGURATION = """\
[mariadbd]
datadir = /run/demo/data/mariadb
log_bin = /run/demo/binlog/mariadb/bin
skip_networking
innodb_buffer_pool_size = 32M
innodb_log_file_size = 8M
# CHECK TABLE is to see what a snapshot holds, not what the server has repaired by then.
myisam_recover_options = OFF
"""
HEADER = 19  # bytes of an event of the binary log
CHECKSUM = 4
FORMAT_DESCRIPTION = 15
IN_USE = 1  # a flag of the first event, which its checksum leaves out


class MariaDB(Database):
    product = "MariaDB"
    account = "nobody"
    volumes = (
        Volume("data", "xfs", 400, "MariaDB: tables in InnoDB, a journal in MyISAM"),
        Volume("binlog", "ext4", 128, "MariaDB: the binary log"),
        Volume("files", "ext4", 128, "a file that is appended to without fsync"),
    )
    writers_are_held = True
    notes = Database.notes + ("The position of A is what the server said just before, that of B what pre-script recorded.",)
    engine, journal_engine = "ENGINE=InnoDB", "ENGINE=MyISAM CHECKSUM=1"
    kinds = {"transfer": "transfers (InnoDB)", "journal": "journal rows (MyISAM)"}

    def create(self):
        (STAGE / "my.cnf").write_text(CONFIGURATION)
        fresh = self.directory("fresh")
        quietly("mariadb-install-db", "--no-defaults", f"--user={self.account}", f"--datadir={fresh}",
                "--auth-root-authentication-method=socket", "--skip-test-db", "--skip-name-resolve",
                "--innodb-log-file-size=8M")
        for directory in (STAGE / "data/mariadb", STAGE / "binlog/mariadb"):
            directory.mkdir()
            self.give(directory)
        quietly("cp", "--archive", "--sparse=always", f"{fresh}/.", STAGE / "data/mariadb")
        server = self.start(LIVE)
        server.must_wait("mysql")
        server.query("CREATE DATABASE bank", "mysql")
        server.query(self.schema().rstrip(";\n"))
        return server

    def server(self, instance):
        directory = self.directory(instance)
        return ["mariadbd", f"--defaults-file={STAGE}/my.cnf", f"--socket={directory}/mariadb.sock", f"--tmpdir={directory}",
                f"--pid-file={directory}/pid", f"--log-error={self.log(instance)}"]

    def log(self, instance):
        return self.directory(instance) / "log"

    def client(self, instance, database="bank"):
        return ["mariadb", "--no-defaults", f"--socket={self.directory(instance)}/mariadb.sock", "--user=root", "--batch",
                "--skip-column-names", "--unbuffered", database]

    def quiescer(self):
        return {"type": "mysql", "name": "bank", "socket": f"{self.directory(LIVE)}/mariadb.sock"}

    def position(self, server):
        file, position = server.query("SHOW MASTER STATUS")[0][:2]
        return {"binary_log_file": file, "binary_log_position": position}

    def examine(self, name, position, is_exact):
        files = sorted((STAGE / name / "binlog/mariadb").glob("bin.0*"))
        end, problem = end_of_binary_log(files[-1].read_bytes()) if files else (0, "there is no file")
        if "binary_log_position" not in position:
            return [Row("binary log ends at", f"{end:,}", problem),
                    Row("  position on record", "none", "no position of the binary log is on record")]
        wanted = int(position["binary_log_position"])
        if not problem and files[-1].name != position["binary_log_file"]:
            problem = f"its last file is {files[-1].name}, not {position['binary_log_file']}"
        if not problem and (end < wanted or end != wanted and is_exact):
            problem = f"it ends at {end:,} instead of {wanted:,}"
        fault = problem and f"the binary log: {problem}"
        return [Row("binary log ends at", f"{end:,}", fault), Row("  position on record", f"{wanted:,}")]

    def check(self, server, position, is_exact):
        try:
            answers = server.query("CHECK TABLE account, transfer, journal EXTENDED")
        except QueryFailed as error:
            return [Row("CHECK TABLE", str(error), "CHECK TABLE fails")]
        answers = [(table.partition(".")[2], kind, text) for table, _, kind, text in answers]
        wrong = [f"{table}: {text}" for table, kind, text in answers if (kind, text) != ("status", "OK")]
        return [Row("CHECK TABLE", wrong[0] if wrong else "OK", "; ".join(wrong))]


def end_of_binary_log(content):
    """Where the last whole event ends, and what is wrong, if anything."""
    if not content.startswith(b"\xfebin"):
        return 0, "it does not begin as a binary log"
    at = 4
    while at < len(content):
        size = int.from_bytes(content[at + 9 : at + 13], "little")
        if size < HEADER + CHECKSUM or at + size > len(content):
            return at, "it ends in the middle of an event"
        event = bytearray(content[at : at + size])
        if event[4] == FORMAT_DESCRIPTION:
            event[17] &= ~IN_USE
        if zlib.crc32(event[:-CHECKSUM]) != int.from_bytes(event[-CHECKSUM:], "little"):
            return at, f"the event at {at:,} is damaged"
        at += size
    return at, ""
