# SPDX-License-Identifier: Apache-2.0
"""The shell of --keep: the scene stands as long as it runs."""

import os
import signal
import subprocess

from screen import heading


def keep():
    heading("The scene stands until you leave this shell: exit")
    environment = {**os.environ, "PS1": "demo \\w # ", "HISTFILE": ""}
    subprocess.run(["bash", "--norc"], env=environment, preexec_fn=take_interrupts)


def take_interrupts():
    """The scene ignores them; who is in the shell wants them."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
