#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-queries.py QUERIES: the queries over a fleet find what they are to find, and nothing else, among 10,000 simulated hosts in
40 accounts with 300 planted cases; and each part of each query is needed: changed, it finds something else.

They are written for Athena and run here by PostgreSQL. What differs: from_iso8601_timestamp and try are functions of Trino,
which are defined below (here a text that is no time gives null, there an error, which try makes null of); the tables are
tables, not files in a bucket, so tables.sql is only looked at."""

import collections
import datetime
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

DIRECTORY = pathlib.Path(sys.argv[1])
NAMES = ["not-ready", "stale", "missing", "old-version", "drift", "failed-last-night", "last-good"]
QUERIES = {name: (DIRECTORY / f"{name}.sql").read_text() for name in NAMES}
HOSTS, ACCOUNTS, REGIONS = 10_000, 40, ["eu-central-1", "us-east-1"]
NOW = datetime.datetime.now(datetime.timezone.utc)

TRINO = """
CREATE FUNCTION from_iso8601_timestamp(text) RETURNS timestamptz LANGUAGE sql STABLE AS
  $$ SELECT CASE WHEN $1 ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$' THEN $1::timestamptz END $$;
CREATE FUNCTION try(timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT $1';
"""


def hours_ago(hours):
    return (NOW - datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Fleet:
    """Hosts that are all well, until cases are planted. `expected` has the ids that each query has to find."""

    def __init__(self):
        self.random = random.Random(20261130)
        self.hosts = [self.good_host(number) for number in range(HOSTS)]
        self.expected = collections.defaultdict(list)
        self.planted = 0
        self.free = list(range(HOSTS))
        self.random.shuffle(self.free)
        self.plant_all()

    def good_host(self, number):
        place = number % (ACCOUNTS * len(REGIONS))
        region = REGIONS[place % len(REGIONS)]
        return {
            "accountid": f"{100000000000 + place // len(REGIONS):012}", "region": region, "resourceid": f"i-{number:017x}",
            "ready": "yes", "exitcode": "0", "reason": "", "probedat": hours_ago(self.random.uniform(0, 25.9)),
            "version": "1.10.12", "confighash": f"hash of {place}", "lastoutcome": "completed", "lastproblems": "0",
            "lastexecutionid": "None", "lastendedat": hours_ago(self.random.uniform(0, 25)),
            "lastgoodat": hours_ago(self.random.uniform(0, 25.9)), "tag": ("dlm-freeze", "true"), "status": "Active",
            "item": True,
        }  # fmt: skip

    def plant(self, count, found_by, **changes):
        for _ in range(count):
            host = self.hosts[self.free.pop()]
            host.update({name: value(host) if callable(value) else value for name, value in changes.items()})
            for query in found_by:
                self.expected[query].append(host["resourceid"])
            self.planted += 1

    def plant_all(self):
        # Found by one or more...
        self.plant(20, ["not-ready"], ready="no", exitcode="206", reason="mysql: the lock is not granted")
        self.plant(5, ["not-ready"], ready=None)
        self.plant(10, ["stale"], probedat=hours_ago(26.1))
        self.plant(5, ["stale"], ready="no", probedat=hours_ago(26.1))
        self.plant(5, ["stale"], ready="no", probedat=hours_ago(300))
        self.plant(5, ["stale"], probedat="yesterday")
        self.plant(5, ["stale"], probedat=None)
        self.plant(5, ["stale"], probedat=hours_ago(-1.1))
        self.plant(5, ["stale"], ready="no", probedat=hours_ago(-1.1))
        self.plant(25, ["missing"], item=False)
        self.plant(5, ["missing"], item=False, status="ConnectionLost")
        self.plant(10, ["old-version"], version="1.9.13")
        self.plant(10, ["old-version"], version="1.10.9")
        self.plant(5, ["old-version"], version="0.99.99")
        self.plant(3, ["old-version"], version="unknown")
        self.plant(2, ["old-version"], version=None)
        self.plant(15, ["drift"], confighash="another")
        self.plant(5, ["drift"], confighash=None)
        self.plant(3, ["drift"], confighash=None, accountid="888888888888", region="eu-west-3")
        self.plant(10, ["failed-last-night"], lastoutcome="rolled_back", lastendedat=hours_ago(1))
        self.plant(10, ["failed-last-night"], lastoutcome="auto_thawed", lastendedat=hours_ago(23.9))
        self.plant(10, ["failed-last-night"], lastoutcome="watchdog_lost", lastproblems="2", lastendedat=hours_ago(9))
        self.plant(10, ["failed-last-night"], lastproblems="1", lastendedat=hours_ago(9))
        self.plant(20, ["last-good", "failed-last-night"], lastoutcome="rolled_back", lastendedat=hours_ago(2), lastgoodat=hours_ago(26.1))
        self.plant(10, ["last-good"], lastgoodat=hours_ago(24 * 40))
        self.plant(8, ["last-good"], lastgoodat=None)
        self.plant(1, ["last-good"], lastgoodat=hours_ago(-2))
        self.plant(1, ["last-good"], lastgoodat=hours_ago(-24 * 365))
        # ...or by none, although they are near to it.
        self.plant(8, [], probedat=hours_ago(25.95))
        self.plant(5, [], probedat=hours_ago(-0.9))
        self.plant(5, ["not-ready"], ready="no", probedat=hours_ago(-0.9))
        self.plant(5, ["not-ready"], ready="no", probedat=hours_ago(25.95))
        self.plant(2, [], confighash="of two", accountid="888888888888", region="eu-west-3")
        self.plant(9, [], item=False, tag=("dlm-freeze", "false"))
        self.plant(8, [], item=False, tag=("Name", "true"))
        self.plant(5, [], item=False, status="Stopped")
        self.plant(5, [], item=False, status="Terminated")
        self.plant(10, [], lastoutcome="auto_thawed", lastendedat=hours_ago(24.1))
        self.plant(4, [], lastgoodat=hours_ago(25.95))
        self.plant(1, [], lastgoodat=hours_ago(-0.9))
        self.plant(5, [], lastoutcome=None, lastproblems=None, lastendedat=None, lastexecutionid=None)

    def rows(self):
        columns = [name for name in self.hosts[0] if name not in ("tag", "status", "item")]
        items = [[host[name] for name in columns] for host in self.hosts if host["item"]]
        key = ("accountid", "region", "resourceid")
        tags = [[*(host[name] for name in key), *host["tag"]] for host in self.hosts]
        tags += [[*(host[name] for name in key), "Owner", "somebody"] for host in self.hosts]
        information = [[*(host[name] for name in key), host["status"]] for host in self.hosts]
        # The same id in another account or Region is another host.
        good = dict(self.good_host(0), confighash="elsewhere")
        other = []
        for host in self.hosts:
            if host["item"] or host["tag"] != ("dlm-freeze", "true"):
                continue
            for place in ({"accountid": "999999999999", "region": host["region"]}, {"accountid": host["accountid"], "region": "eu-west-3"}):
                there = dict(good, resourceid=host["resourceid"], **place)
                other.append([there[name] for name in columns])
                information.append([*(there[name] for name in key), "Active"])
        return columns, items + other, tags, information


class Server:
    """A PostgreSQL of our own, in a directory of its own."""

    def __init__(self):
        programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not programs:
            raise FileNotFoundError("there is no PostgreSQL: scripts/install-deps test")
        self.bin = programs[-1].parent
        self.directory = tempfile.mkdtemp(prefix="dlm-freeze-queries-")
        self.user = []
        if os.getuid() == 0:
            self.user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self.directory, "postgres")
        self.run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--username=fleet", "-D", f"{self.directory}/data")
        options = f"-c listen_addresses= -c unix_socket_directories={self.directory} -c fsync=off -c jit=off"
        self.run("pg_ctl", "-w", "-D", f"{self.directory}/data", "-l", f"{self.directory}/log", "-o", options, "start")

    def close(self):
        self.run("pg_ctl", "-w", "-m", "immediate", "-D", f"{self.directory}/data", "stop")
        shutil.rmtree(self.directory)

    def run(self, program, *arguments):
        words = [*self.user, str(self.bin / program), *arguments]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, cwd="/")

    def sql(self, text):
        """What psql prints; an error raises."""
        words = ["psql", "-h", self.directory, "-U", "fleet", "-d", "postgres", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        ran = subprocess.run(words, input=text, capture_output=True, text=True, cwd="/")
        if ran.returncode != 0:
            raise ValueError(ran.stderr)
        return ran.stdout

    def fill(self, table, columns, rows):
        lines = ["\t".join("\\N" if cell is None else cell for cell in row) for row in rows]
        declared = ", ".join(f"{name} text" for name in columns)
        self.sql(f"CREATE TABLE {table} ({declared}); COPY {table} FROM stdin;\n" + "\n".join(lines) + "\n\\.\n")


# What may be wrong with a query: a condition left out or turned round, another number, another way of joining or sorting.
MUTATIONS = [
    (r"<>", "="), (r">=", "<"), (r"<=", ">"), (r"(?<![<>])= (?=')", "<> "), (r" < ", " > "), (r" > ", " < "), (r"IS NULL", "IS NOT NULL"),
    (r"NOT IN", "IN"), (r"'26' hour", "'27' hour"), (r"'26' hour", "'25' hour"), (r"'24' hour", "'26' hour"), (r"'24' hour", "'20' hour"),
    (r"'1' hour", "'3' hour"), (r"'1' hour", "'0' hour"), (r", true\)", ", false)"), (r"coalesce\((\w+(?:[.]\w+)?), ''\)", r"\1"),
    (r"LEFT JOIN", "JOIN"), (r"max\(", "min("), (r"hosts DESC", "hosts"), (r"place = 1", "place = 2"),
    (r"'Stopped', 'Terminated'", "'Stopped'"), (r"'Stopped', 'Terminated'", "'Terminated'"), (r" OR ", " AND "), (r"\bOR (?=number|try)", "AND "),
    (r"\* 1000000", "* 1"), (r"\* 1000\n", "* 0\n"), (r"'[.]', 2", "'.', 1"), (r"'[.]', 3", "'.', 1"), (r"\[0-9\]\+\$", "[0-9]$"), (r"WHERE confighash IS NOT NULL\n", ""),
    (r"AND (?:tag|host|item)[.]\w+ (?:= '|IS |NOT ).*\n", "\n"), (r"AND (item|host)[.]region = tag[.]region", ""), (r"(item|host)[.]accountid = tag[.]accountid AND", ""),
    (r"AND ranked[.]region = item[.]region", ""), (r"ranked[.]accountid = item[.]accountid AND", ""), (r"WHERE tag[.]key = .*\n  AND", "WHERE"),
    (r"  AND try.*\n", ""), (r"WHERE coalesce\(ready.*\n  AND", "WHERE"), (r"WHERE try.*\n  AND", "WHERE"), (r"WHERE number IS NULL\n   OR", "WHERE"),
    (r"   OR .*\n", ""), (r"\(lastoutcome <> 'completed' OR ", "("), (r" OR lastproblems <> '0'", ""), (r"    WHEN 'rolled_back'.*\n", ""), (r"    WHEN 'auto_thawed'.*\n", ""),
    (r"NULLS FIRST", "NULLS LAST"), (r"ORDER BY try[^N]*NULLS", "ORDER BY accountid NULLS"), (r"ORDER BY code, ", "ORDER BY "), (r"PARTITION BY accountid, region", "PARTITION BY accountid"), (r"PARTITION BY accountid, region", "PARTITION BY region"),
    (r"ORDER BY (tag[.]|item[.])?accountid", r"ORDER BY \1resourceid"),
]  # fmt: skip

def mutants(text):
    """(what was changed, the changed query), each place of each mutation alone."""
    head = re.match(r"(?:--.*\n)*", text)[0]
    body = text[len(head) :]
    for pattern, replacement in MUTATIONS:
        for found in re.finditer(pattern, body):
            changed = body[: found.start()] + found.expand(replacement) + body[found.end() :]
            if changed != body:
                yield f"{pattern} -> {replacement} at '{found[0].strip()}', {found.start()}", changed


class Queries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = Fleet()
        cls.server = Server()
        cls.addClassCleanup(cls.server.close)
        columns, items, tags, information = cls.fleet.rows()
        key = ["accountid", "region", "resourceid"]
        cls.server.sql(TRINO)
        cls.server.fill("dlm_freeze", columns, items)
        cls.server.fill("instance_tags", [*key, "key", "value"], tags)
        cls.server.fill("instance_information", [*key, "instancestatus"], information)
        cls.server.sql("ANALYZE")

    def found(self, text):
        return self.server.sql(text + ";")

    def test_there_is_a_test_for_each(self):
        self.assertEqual({path.stem for path in DIRECTORY.glob("*.sql")}, set(NAMES) | {"tables"})

    def test_find_exactly_what_was_planted(self):
        self.assertEqual(self.fleet.planted, 300)
        for name, text in QUERIES.items():
            with self.subTest(name):
                begin = time.monotonic()
                lines = self.found(text).splitlines()
                self.assertLess(time.monotonic() - begin, 10)
                ids = [re.search(r"i-[0-9a-f]{17}", line)[0] for line in lines]
                self.assertEqual(sorted(ids), sorted(self.fleet.expected[name]))

    def test_name_the_exit_code_of_what_failed(self):
        codes = collections.Counter(line.split("|")[0] for line in self.found(QUERIES["failed-last-night"]).splitlines())
        self.assertEqual(codes, {"201, 204 or 206": 30, "203": 10, "202": 20})

    def test_put_what_never_was_good_first_and_then_the_oldest(self):
        times = [line.split("|")[3] for line in self.found(QUERIES["last-good"]).splitlines()]
        self.assertEqual(times, sorted(times))
        self.assertEqual(times[0], "")

    def test_need_each_of_their_parts(self):
        changed = [(name, what, mutant) for name, text in QUERIES.items() for what, mutant in mutants(text)]
        good = {name: self.columns_but_age(self.found(text)) for name, text in QUERIES.items()}
        # One that does not run prints nothing, and is seen at once.
        found = self.server.sql("\\set ON_ERROR_STOP 0\n" + "".join(f"{mutant};\n\\echo ====\n" for _, _, mutant in changed)).split("====\n")
        self.assertGreater(len(changed), 75)
        self.assertGreater(sum(bool(one) for one in found), 60)
        for (name, what, _), bad in zip(changed, found):
            self.assertTrue(self.columns_but_age(bad) != good[name], f"{name} finds the same with {what}")

    @staticmethod
    def columns_but_age(text):
        """An age is another one each time."""
        return re.sub(r"\|[^|]*:\d\d[.]\d+\|", "||", text)

    def test_read_columns_that_the_tables_have(self):
        tables = (DIRECTORY / "tables.sql").read_text()
        for table in ("dlm_freeze", "instance_tags", "instance_information"):
            declared = re.search(rf"CREATE EXTERNAL TABLE {table} \((.*?)\)\nPART", tables, re.S)[1]
            names = {column.split()[0].strip("`") for column in declared.split(",")} | {"accountid", "region"}
            used = set(self.server.sql(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'").split())
            self.assertLessEqual(used, names)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
