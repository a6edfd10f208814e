# SPDX-License-Identifier: Apache-2.0
"""What a person sees: headings, commands with their output, tables. 80 columns; colours on a terminal only."""

import itertools
import os
import subprocess
import sys
import textwrap

WIDTH = 80


class Failed(SystemExit):
    """The demo cannot go on; the message says why."""


def is_coloured():
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def paint(text, code):
    return f"\x1b[{code}m{text}\x1b[0m" if is_coloured() else text


def bold(text):
    return paint(text, "1")


def good(text):
    return paint(text, "32")


def bad(text):
    return paint(text, "31")


def heading(text):
    print(f"\n{bold(text)}", flush=True)


def say(text):
    """A paragraph."""
    print(textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False), flush=True)


def fold(line, width=WIDTH):
    """The line, in lines that are not longer; its columns stay as they are where they fit."""
    if len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def close_gaps(lines):
    """A table of which grep has taken rows away may be wider than it need be: leaves no more than two blanks that all of
    its lines have."""
    length = max(map(len, lines), default=0)
    padded = [line.ljust(length) for line in lines]
    kept = [at for at in range(length)
            if at < 2 or any(line[at] != " " or line[at - 1] != " " or line[at - 2] != " " for line in padded)]
    return ["".join(line[at] for at in kept).rstrip() for line in padded]


def show(output):
    """What a command printed, by paragraphs."""
    for has_text, lines in itertools.groupby(output.splitlines(), key=bool):
        lines = list(lines)
        if has_text and max(map(len, lines)) > WIDTH:
            lines = [part for line in close_gaps(lines) for part in fold(line)]
        print("\n".join(lines), flush=True)


def run(command, expected=0):
    """Runs a command as a person would type it, in the scene's directory, and shows it and what it prints. It has a session
    of its own, as on a host: the scene's process 1 does not end with it."""
    print(bold(f"$ {command}"), flush=True)
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    show(ran.stdout)
    if ran.returncode != expected:
        raise Failed(f"demo: that command ended with exit code {ran.returncode}, not {expected}")
    return ran.stdout


def quietly(*words):
    """Runs a command of the scenery and gives what it prints; shown only where it fails."""
    ran = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if ran.returncode != 0:
        raise Failed(f"demo: {' '.join(map(str, words))}: exit code {ran.returncode}\n{ran.stdout}")
    return ran.stdout


def table(header, rows, widths):
    """Rows of cells (text, paint or None), each cell folded to the width of its column."""
    print("  ".join(bold(cell.ljust(width)) for cell, width in zip(header, widths)).rstrip())
    for row in rows:
        cells = [(wrap_cell(text, width), colour) for (text, colour), width in zip(row, widths)]
        for number in range(max(len(lines) for lines, _ in cells)):
            parts = []
            for (lines, colour), width in zip(cells, widths):
                text = lines[number] if number < len(lines) else ""
                padded = text.ljust(width)
                parts.append(padded.replace(text, colour(text), 1) if colour and text else padded)
            print("  ".join(parts).rstrip())
    sys.stdout.flush()


def wrap_cell(text, width):
    """Each line with the blanks in front, which say that a row belongs to the one above."""
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(text.strip(), width, initial_indent=indent, subsequent_indent=indent) or [""]
