# SPDX-License-Identifier: Apache-2.0
"""A snapshot restored: mounted read-write on a copy of its own, with a server on it, and what is found there."""

from database import QueryFailed
from rows import Row, compare, compare_bytes
from stage import STAGE, journal, make_copy, mount_copy, copy_of
from writers import ACCOUNTS, BALANCE

FILE = "files/orders.log"  # what the application appends to


class Restored:
    """`moment`: when the snapshot was begun. `position`: where the database's log stood, as the agent recorded it; without
    an agent, as the server said just before. `is_held`: nobody could write meanwhile, so nothing else may be in there."""

    def __init__(self, name, database, moment, position, is_held):
        self.name = name
        self.database = database
        self.moment = moment
        self.position = position
        self.is_held = is_held
        self.rows = []
        self.server = None
        self.problem = ""

    def mount(self):
        make_copy(self.name)
        for volume in self.database.volumes:
            needed, text = journal(volume, copy_of(self.name))
            # xfs leaves a record for the next mount in every freeze, on purpose.
            fault = f"the journal of {volume.name} had to be replayed" if needed and volume.type != "xfs" else ""
            self.rows.append(Row(f"journal of {volume.name} ({volume.type})", text, fault))
        mount_copy(self.name, self.database.volumes)

    def start(self):
        """Looks at what the server is going to change, and starts it."""
        self.log_rows = self.database.examine(self.name, self.position, self.is_held)
        self.database.before_start(self.name)
        self.server = self.database.start(self.name)

    def wait(self):
        self.problem = self.server.wait()

    def examine(self, writers):
        """Compares what is there with the notes of the writers."""
        if self.problem:
            self.rows.append(Row("first query after", self.problem, self.problem))
        else:
            self.rows += self._tables(writers)
        content = (STAGE / self.name / FILE).read_bytes() if (STAGE / self.name / FILE).exists() else b""
        self.rows += compare_bytes(b"".join(writers.acknowledged("line", self.moment)), content, self.is_held)
        self.rows += self.log_rows
        if not self.problem:
            self.rows += self.database.check(self.server, self.position, self.is_held)
            self.rows.append(Row("first query after", f"{self.server.seconds:.2f} s"))

    def _tables(self, writers):
        rows, transfers = [], set()
        for table, what in self.database.kinds.items():
            acknowledged = set(writers.acknowledged(table, self.moment))
            try:
                present = {typed(row) for row in self.server.query(f"SELECT * FROM {table}")}
            except QueryFailed as error:
                rows.append(Row(what, str(error), f"{table} cannot be read"))
                continue
            rows += compare(what, acknowledged, present, self.is_held and self.database.writers_are_held)
            if table == "transfer":
                transfers = present
        return rows + [self._balances(transfers)]

    def _balances(self, transfers):
        """Their sum, and each against the transfers that are there."""
        expected = {account: BALANCE for account in range(1, ACCOUNTS + 1)}
        for _, _, source, target, amount in transfers:
            expected[source] -= amount
            expected[target] += amount
        try:
            balances = dict(typed(row) for row in self.server.query("SELECT id, balance FROM account"))
        except QueryFailed as error:
            return Row("sum of the balances", str(error), "the accounts cannot be read")
        fault = ""
        if sum(balances.values()) != ACCOUNTS * BALANCE:
            fault = "money was lost or made"
        elif balances != expected:
            fault = "the accounts are not what the transfers make"
        return Row("sum of the balances", f"{sum(balances.values()):,}", fault)

    @property
    def faults(self):
        return [row.fault for row in self.rows if row.fault]


def typed(row):
    """A row with its numbers as numbers."""
    return tuple(int(cell) if cell.lstrip("-").isdigit() else cell for cell in row)
