#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-completions.py PROGRAM DIRECTORY: the completions of bash, fish and zsh offer what `PROGRAM --help` lists, no more
and no less, after each command. zsh is not asked, since it completes on a terminal only: its file is read."""

import pathlib
import re
import subprocess
import sys
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


def zsh():
    """What follows each command in the file, with its variables put in."""
    output("zsh", "-n", f"{DIRECTORY}/dlm-freeze.zsh")
    text = (DIRECTORY / "dlm-freeze.zsh").read_text()
    variables = dict(re.findall(r"(\w+)=\((.*?)\n?\)\n", text, re.S))
    arms = dict(re.findall(r"^ +([a-z-]+)\) _arguments (.*) ;;$", text, re.M))
    put_in = lambda arm: re.sub(r"\$(\w+)", lambda name: variables[name[1]], arm)
    return {command: set(re.findall(r"--[a-z-]+", put_in(arm))) for command, arm in arms.items()}, variables["commands"]


class Completions(unittest.TestCase):
    def test_there_is_something_to_complete(self):
        self.assertGreaterEqual(len(COMMANDS), 4)

    def test_commands(self):
        top = listed()[0] | set(COMMANDS)
        self.assertEqual(bash(""), top)
        self.assertEqual(fish(""), set(COMMANDS))
        self.assertEqual(fish("-") - {"-h"}, listed()[0])
        self.assertEqual(re.findall(r"'([a-z-]+):", zsh()[1]), COMMANDS)
        self.assertEqual(bash("p"), {"pre-script", "post-script"})

    def test_options_of_each_command(self):
        for command in COMMANDS:
            with self.subTest(command):
                self.assertEqual(bash(command, ""), expected(command))
                self.assertEqual(fish(f"{command} --"), expected(command))
                self.assertEqual(zsh()[0][command], expected(command))

    def test_values(self):
        for complete in (lambda: bash("--log-level", ""), lambda: fish("--log-level ")):
            self.assertEqual(complete(), {"debug", "info", "warn", "error"})
        self.assertEqual(bash("pre-script", "--execution-id", ""), {"None"})
        self.assertEqual(bash("pre-script", "--timeout", ""), set())
        self.assertIn("/etc/passwd", bash("--config", "/etc/passw"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
