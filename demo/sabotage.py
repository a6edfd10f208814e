# SPDX-License-Identifier: Apache-2.0
"""Ways to spoil the demo, for its tests: it has to notice each of them and exit with 1.

The environment variable DLM_FREEZE_DEMO_SABOTAGE names one; the demo says so on its screen.

    quiesce        the database is not quiesced, the filesystems are frozen all the same
    thaw           post-script comes before snapshot B is taken
    byte-file      a byte of the appended file changes on the volumes made of B
    byte-table     the same in a row of the journal table (MariaDB)
    byte-log       the same in the binary log (MariaDB)

DLM_FREEZE_DEMO_PACE=0.5 halves the time in which the writers write and wait."""

import os

from screen import Failed, bad
from stage import STAGE

BYTES = {
    "byte-file": ("files/orders.log", b"orders "),
    "byte-table": ("data/mariadb/bank/journal.MYD", b"account "),
    "byte-log": ("binlog/mariadb/bin.000001", b"account "),
}
WAYS = ("quiesce", "thaw", *BYTES)


class Sabotage:
    def __init__(self):
        self.way = os.environ.get("DLM_FREEZE_DEMO_SABOTAGE", "")
        if self.way and self.way not in WAYS:
            raise Failed(f"demo: DLM_FREEZE_DEMO_SABOTAGE is none of {' '.join(WAYS)}")

    def announce(self):
        if self.way:
            print(bad(f"SABOTAGED ({self.way}): this run is a test, and has to fail"), flush=True)

    def is_on(self, way):
        return self.way == way

    def change_a_byte(self, name):
        """Of a copy that is mounted."""
        if self.way not in BYTES:
            return
        file, text = BYTES[self.way]
        with open(STAGE / name / file, "r+b") as opened:
            content = opened.read()
            at = content.find(text, len(content) // 2)
            opened.seek(at)
            opened.write(bytes([content[at] ^ 1]))


def pace(seconds):
    return seconds * float(os.environ.get("DLM_FREEZE_DEMO_PACE", "1"))
