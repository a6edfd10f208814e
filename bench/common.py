# SPDX-License-Identifier: Apache-2.0
"""What both processes of the benchmark need: see run."""

import subprocess
from pathlib import Path

MIB = 1 << 20
STREAM_MIB = 800  # the data of the one big filesystem
SCRATCH = Path("/run/dlm-freeze-bench")  # on a tmpfs that only the namespace sees


class BenchError(Exception):
    """The measurement could not be made; says why."""


def command(*argv, check=True):
    """Runs a command that is not measured and returns its output."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise BenchError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def mount_table():
    """The lines of mountinfo as (mount point, major, source), mount points as they are written there."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        yield fields.split()[4], fields.split()[2].split(":")[0], tail.split()[1]


def block_backed():
    """The mount points whose filesystem lies on a block device."""
    return [point for point, major, source in mount_table() if major != "0" or source.startswith("/dev/")]


def leave_only_root():
    """Takes every block-backed mount but / out of this namespace: the freezers freeze what they find."""
    for point in reversed(block_backed()):
        if point != "/":
            command("umount", "--lazy", point.encode().decode("unicode_escape"), check=False)
    rest = [point for point in block_backed() if point != "/"]
    if rest:
        raise BenchError(f"block-backed mounts cannot be taken away: {', '.join(rest)}")
