#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-completions.py PROGRAM DIRECTORY: the completions of bash, fish and zsh offer what `PROGRAM --help` lists, no more
and no less, after each command."""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, DIRECTORY = sys.argv[1], pathlib.Path(sys.argv[2])
EVERYWHERE = {"--config", "--log-level", "--state-dir", "--help"}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def listed(*command):
    """The long options, and the subcommands, that the help of a command lists."""
    text = output(PROGRAM, *command, "--help")
    return set(re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M)), re.findall(r"^  ([a-z][a-z-]+) {2,}", text, re.M)


COMMANDS = listed()[1]


def expected(command):
    return listed(command)[0] | EVERYWHERE


def bash(*words):
    script = 'source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2)); _dlm_freeze; printf "%s\\n" "${COMPREPLY[@]}"'
    return set(output("bash", "-euc", script, "bash", f"{DIRECTORY}/dlm-freeze.bash", "dlm-freeze", *words).split())


def fish(line):
    script = f"source {DIRECTORY}/dlm-freeze.fish; complete --do-complete 'dlm-freeze {line}'"
    return {offer.split("\t")[0] for offer in output("fish", "--no-config", "-c", script).splitlines()}


class Zsh:
    """A zsh on a terminal, since it completes on nothing else."""

    def __init__(self, home):
        shutil.copy(DIRECTORY / "dlm-freeze.zsh", pathlib.Path(home) / "_dlm-freeze")
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            environment = {"PATH": "/usr/bin:/bin", "HOME": home, "TERM": "dumb", "COLUMNS": "200", "PS1": "ready> "}
            os.execve("/usr/bin/zsh", ["zsh", "-f", "-i", "+o", "prompt_sp", "+o", "prompt_cr"], environment)
        self.until("ready> ")
        self.line("stty columns 200; setopt no_beep")
        self.line(f"fpath=({home} $fpath); autoload -Uz compinit; compinit -u -d {home}/dump")

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)

    def until(self, pattern, seconds=20):
        """Reads until what was printed ends like this; what it matched."""
        seen = ""
        end = time.monotonic() + seconds
        while not (found := re.search(f"{pattern}\\Z", seen, re.S)):
            if not select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError(f"zsh did not print '{pattern}' but: {seen}")
            seen = re.sub("\x1b\\[[?0-9;]*[A-Za-z]|\r", "", seen + os.read(self.terminal, 4096).decode())
        return found

    def line(self, text):
        os.write(self.terminal, text.encode() + b"\n")
        self.until("\nready> ")

    def complete(self, words):
        """The candidates, which ^D lists without completing; ^U empties the line."""
        os.write(self.terminal, f"dlm-freeze {words}".encode() + b"\x04")
        listed = self.until(f"dlm-freeze {words}\n(.*)\nready> dlm-freeze {words}")[1]
        os.write(self.terminal, b"\x15")
        self.line("")
        return {word for offer in listed.split("\n") for word in offer.split(" -- ")[0].split()}


class Completions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory()
        cls.zsh = Zsh(cls.home.name)

    @classmethod
    def tearDownClass(cls):
        cls.zsh.close()
        cls.home.cleanup()

    def test_there_is_something_to_complete(self):
        self.assertGreaterEqual(len(COMMANDS), 4)

    def test_commands(self):
        top = listed()[0] | set(COMMANDS)
        self.assertEqual(bash(""), top)
        self.assertEqual(fish(""), set(COMMANDS))
        self.assertEqual(fish("-") - {"-h"}, listed()[0])
        self.assertEqual(self.zsh.complete(""), set(COMMANDS))
        self.assertEqual(self.zsh.complete("-") - {"-h"}, listed()[0])
        self.assertEqual(bash("p"), {"pre-script", "post-script"})

    def test_options_of_each_command(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.assertEqual(bash(command, ""), expected(command))
                self.assertEqual(fish(f"{command} --"), expected(command))
                self.assertEqual(self.zsh.complete(f"{command} --"), expected(command))

    def test_values(self):
        for complete in (lambda: bash("--log-level", ""), lambda: fish("--log-level "), lambda: self.zsh.complete("--log-level ")):
            self.assertEqual(complete(), {"debug", "info", "warn", "error"})
        self.assertEqual(bash("pre-script", "--execution-id", ""), {"None"})
        self.assertEqual(bash("pre-script", "--timeout", ""), set())
        self.assertIn("/etc/passwd", bash("--config", "/etc/passw"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
