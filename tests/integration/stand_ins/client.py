#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The clients that packaging/examples talk to, by the name it is called by: mongosh, sqlplus, db2, sqlcmd. It keeps the
documented rules of their servers, whose state is the file `held` in /srv/stand-in: what outlives its connection, what
refuses, what only works on the connection that did it. The file `behaviour` there makes a server refuse or hang.
"""

import os
import pathlib
import re
import sys
import time

SERVER = pathlib.Path("/srv/stand-in")
HELD = SERVER / "held"


def say(*lines):
    for line in lines:
        print(line, flush=True)


def behaviour():
    try:
        return (SERVER / "behaviour").read_text().strip()
    except FileNotFoundError:
        return "well"


def held():
    return HELD.read_text() if HELD.exists() else ""


def hold(what="yes"):
    if behaviour() == "hang":
        time.sleep(1000)
    HELD.write_text(what)


def statements(end):
    """What comes up to a line that ends so, or is it."""
    text = ""
    for line in sys.stdin:
        text += line
        if text.rstrip().endswith(end):
            yield text.rstrip().removesuffix(end).strip()
            text = ""


def mongosh():
    """A lock that is counted and outlives its connection. What is printed comes after the prompt."""
    for line in sys.stdin:
        count = int(held() or "0")
        if ".auth(" in line:
            say("> { ok: 1 }" if "'right'" in line else "> MongoServerError: Authentication failed.")
            continue
        if "fsyncLock" in line:
            if behaviour() == "refuse":
                say("> Uncaught MongoServerError[Unauthorized]: not authorized on admin to execute command { fsync: 1 }")
            else:
                hold(str(count + 1))
                say(">")
        elif "fsyncUnlock" in line:
            if count == 0:
                say("> Uncaught MongoServerError[IllegalOperation]: fsyncUnlock called when not locked")
            elif count == 1:
                HELD.unlink()
            else:
                HELD.write_text(str(count - 1))
        elif found := re.search(r"print\('(.*)' \+ '(.*)'\)", line):
            say("> " + found[1] + found[2])


def sqlplus():
    """Backup mode, which outlives its connection and cannot be begun twice."""
    for line in sys.stdin:
        line = line.strip()
        if line.startswith("PROMPT "):
            say(line.removeprefix("PROMPT "))
        elif line == "ALTER DATABASE BEGIN BACKUP;":
            if behaviour() == "refuse":
                say("ALTER DATABASE BEGIN BACKUP", "*", "ERROR at line 1:",
                    "ORA-01123: cannot start online backup; media recovery not enabled", "")
            elif held():
                say("ERROR at line 1:", "ORA-01146: cannot start online backup - file 1 is already in backup")
            else:
                hold()
                say("", "Database altered.", "")
        elif line == "ALTER DATABASE END BACKUP;":
            if held():
                HELD.unlink()
                say("", "Database altered.", "")
            else:
                say("ERROR at line 1:", "ORA-01142: cannot end online backup - none of the files are in backup")
        elif line == "ALTER SYSTEM ARCHIVE LOG CURRENT;":
            (SERVER / "archived").touch()
            say("", "System altered.", "")
        else:
            say("SP2-0734: unknown command beginning - rest of line ignored.")


def db2():
    """Writes are suspended by a connection, and a new one hangs then."""
    connected = False
    for statement in statements(";"):
        if statement.startswith("ECHO "):
            say(statement.removeprefix("ECHO "))
        elif statement.startswith("CONNECT TO "):
            if held():
                time.sleep(1000)
            connected = True
            say("", "   Database Connection Information", "")
        elif not connected:
            say("SQL1024N  A database connection does not exist.  SQLSTATE=08003")
        elif statement == "SET WRITE SUSPEND FOR DATABASE":
            if behaviour() == "refuse":
                say("SQL1552N  The command failed because the database is in a state in which write operations cannot "
                    "be suspended.")
            else:
                hold()
                say("DB20000I  The SET WRITE command completed successfully.")
        elif statement == "SET WRITE RESUME FOR DATABASE":
            HELD.unlink()
            say("DB20000I  The SET WRITE command completed successfully.")


def sqlcmd():
    """A suspension that ends with its session."""
    for statement in statements("GO"):
        if found := re.match("PRINT '(.*)'", statement):
            say(found[1])
        elif "SUSPEND_FOR_SNAPSHOT_BACKUP = ON" in statement:
            if behaviour() == "refuse":
                say("Msg 15247, Level 16, State 1, Server s, Line 1", "User does not have permission to perform this action.")
            else:
                hold(str(os.getpid()))
                say("Database 'orders' acquired suspend lock in session 52.")
        elif "SUSPEND_FOR_SNAPSHOT_BACKUP = OFF" in statement:
            if held() == str(os.getpid()):
                HELD.unlink()
                say("Database 'orders' released suspend lock in session 52.")
            else:
                say("Msg 3078, Level 16, State 1, Server s, Line 1", "There is no suspended database.")


if "--eval" not in sys.argv:
    (SERVER / "pid").write_text(str(os.getpid()))
    {"mongosh": mongosh, "sqlplus": sqlplus, "db2": db2, "sqlcmd": sqlcmd}[os.path.basename(sys.argv[0])]()
