#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-demo.py CASE ENTER: plays the demo (demo/enter.py) with the program in DLM_FREEZE_BINARY, and checks how it ends and
that nothing of it is left: no process, no loop device, and so nothing mounted or frozen. Exits with 77 where it cannot be
played."""

import fcntl
import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import uuid
import xml.dom.minidom

PACE = "0.3"
MOMENTS = 20 if "DLM_FREEZE_TEST_ROUNDS" in os.environ else 5
PATIENCE = 4  # seconds: until what was killed has gone; less than most of it would have gone on
IMAGES = {"ebs.img", "data.img", "binlog.img", "wal.img", "files.img", "ext4.img", "xfs.img", "btrfs.img"}


class Demo:
    """A run of the demo. Its processes are known by a variable of their environment."""

    def __init__(self, enter, *options, sabotage="", pace=PACE, stdin=subprocess.DEVNULL, stdout=None):
        self.mark = f"DLM_FREEZE_DEMO_TEST={uuid.uuid4()}"
        name, _, value = self.mark.partition("=")
        self.loops = loops()
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", enter, os.environ["DLM_FREEZE_BINARY"], *options],
            env={**os.environ, name: value, "DLM_FREEZE_DEMO_SABOTAGE": sabotage, "DLM_FREEZE_DEMO_PACE": pace},
            stdin=stdin, stdout=stdout or self.output, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=take_the_terminal if stdout else None)

    @classmethod
    def on_a_terminal(cls, enter, *options):
        """Gives it, and the descriptor that is the person's side of its terminal; it is the session's leader, as a shell
        would be."""
        ours, its = pty.openpty()
        demo = cls(enter, *options, pace="1", stdin=its, stdout=its)
        os.close(its)
        return demo, ours

    def ends_with(self, code, *texts):
        """Waits for its end; its output has all of these."""
        found = self.process.wait(120)
        text = self.text()
        expect(found == code, f"exit code {found}, not {code}:\n{text}")
        for wanted in texts:
            expect(wanted in text, f"'{wanted}' is not in:\n{text}")
        # An orderly end is one after which nothing has to be waited for.
        self.leaves_nothing(patience=0)
        return text

    def text(self):
        self.output.seek(0)
        return self.output.read()

    def leaves_nothing(self, patience=PATIENCE):
        end = time.monotonic() + patience
        while True:
            left = [*self.processes(), *(loops() - self.loops)]
            if not left or time.monotonic() > end:
                break
            time.sleep(0.05)
        expect(not left, f"it has left {left}; it had printed:\n{self.text()}")

    def processes(self):
        """Those that still live: their environment can be read."""
        for directory in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (directory / "environ").read_bytes().split(b"\0"):
                    yield f"process {directory.name} ({(directory / 'comm').read_text().strip()})"
            except OSError:
                continue


def take_the_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read_until(terminal, text, seconds=30):
    """What is on the terminal until the text comes, or all of it."""
    shown, end = b"", time.monotonic() + seconds
    while text.encode() not in shown and time.monotonic() < end:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # it has been closed by the last process of the demo
            break
    return shown.decode(errors="replace")


def loops():
    """The loop devices on images as the demo's."""
    found = set()
    for file in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            image = file.read_text().split()[0].rpartition("/")[2]
        except (OSError, IndexError):
            continue
        if image in IMAGES:
            found.add(f"{file.parts[3]} on {image}")
    return found


def expect(condition, text):
    if not condition:
        sys.exit(text)


def quick(enter):
    text = Demo(enter, "--quick", pace="1").ends_with(0, "pre-script completed", "thawed 3 filesystems", "waiting in one write")
    expect(all(len(line) <= 80 for line in text.splitlines()), f"not readable at 80 columns:\n{text}")
    expect("\x1b" not in text, "colours without a terminal")


def whole(enter):
    text = Demo(enter).ends_with(0, "B is perfect", "A: without the agent", "CHECK TABLE", "first query after")
    expect(all(len(line) <= 80 for line in text.splitlines()), f"not readable at 80 columns:\n{text}")
    expect("\x1b" not in text, "colours without a terminal")


def picture(enter):
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "time line.svg")
        Demo(enter, "--svg", str(file)).ends_with(0)
        drawn = xml.dom.minidom.parse(str(file)).documentElement
        texts = [node.firstChild.data for node in drawn.getElementsByTagName("text")]
        for wanted in "client 1", "appender", "pre-script", "post-script":
            expect(wanted in texts, f"the picture lacks {wanted}: {texts}")


def keep(enter):
    demo = Demo(enter, "--keep", stdin=subprocess.PIPE)
    # It has to end even if the shell leaves everything frozen.
    demo.process.stdin.write("dlm-freeze --config demo.json pre-script && touch data/waits &\nsleep 2; ls A; exit 7\n")
    demo.process.stdin.close()
    demo.ends_with(0, "leave this shell", "froze 3 filesystems", "binlog\ndata\nfiles")


def postgresql(enter):
    Demo(enter, "--postgresql").ends_with(0, "B is perfect", "pg_amcheck", "recovery starts at")


def terminal(enter):
    """With colours; Ctrl-C, or that it is closed, ends all at once, also while everything is frozen."""
    for text, interrupt in ("Snapshot A", b"\x03"), ("FROZEN FOR", b"\x03"), ("FROZEN FOR", None), ("side by side", None):
        demo, person = Demo.on_a_terminal(enter)
        shown = read_until(person, text)
        expect(text in shown and "\x1b[1m" in shown, f"'{text}' or colours are not on the terminal:\n{shown}")
        if interrupt is None:
            os.close(person)
        else:
            os.write(person, interrupt)
        expect(demo.process.wait(PATIENCE) == 128 + (signal.SIGHUP if interrupt is None else signal.SIGINT), "exit code")
        demo.leaves_nothing(patience=0)
        if interrupt is not None:
            os.close(person)


def shell(enter):
    """Ctrl-C in the shell of --keep is the shell's; to leave it ends all."""
    demo, person = Demo.on_a_terminal(enter, "--keep")
    shown = read_until(person, "leave this shell") + read_until(person, " # ")
    os.write(person, b"sleep 100\n")
    time.sleep(0.5)
    os.write(person, b"\x03")
    shown += read_until(person, " # ")
    os.write(person, b"dlm-freeze status\n")
    shown += read_until(person, "No session is active")
    expect("No session is active" in shown, f"the shell does not answer after Ctrl-C:\n{shown}")
    os.write(person, b"exit\n")
    shown += read_until(person, "no such text")
    expect(demo.process.wait(PATIENCE) == 0, f"the shell was not left:\n{shown}")
    demo.leaves_nothing(patience=0)
    os.close(person)


def killed(enter):
    """SIGKILL at moments spread evenly over the run: to the process that was started, or to all of its group."""
    began = time.monotonic()
    Demo(enter).ends_with(0)
    length = time.monotonic() - began
    for moment in range(MOMENTS):
        demo = Demo(enter)
        time.sleep(length * moment / MOMENTS)
        if moment % 2 == 0:
            os.kill(demo.process.pid, signal.SIGKILL)
        else:
            os.killpg(demo.process.pid, signal.SIGKILL)
        demo.process.wait(PATIENCE)
        demo.leaves_nothing()


def spoilt(way, reason):
    """It has to fail for that reason, and not by chance."""

    def play(enter):
        text = Demo(enter, sabotage=way).ends_with(1, "SABOTAGED", "B is not perfect", reason)
        expect("Traceback" not in text, f"it did not fail by what it saw:\n{text}")

    return play


CASES = {case.__name__: case for case in (quick, whole, picture, keep, postgresql, terminal, shell, killed)}
SABOTAGE = {
    "quiesce": "journal: 1 client is using or hasn't closed the table properly",
    "thaw": "the journal of files had to be replayed",
    "byte-file": "bytes of the file lost",
    "byte-table": "1 journal rows (MyISAM) that were not acknowledged",
    "byte-log": "is damaged",
}
CASES |= {way: spoilt(way, reason) for way, reason in SABOTAGE.items()}


def can_be_played():
    """Whether there is root, a loop device, and what the demo group of scripts/install-deps installs."""
    if os.geteuid() != 0 or not shutil.which("mariadbd", path="/usr/sbin") or not shutil.which("mkfs.btrfs"):
        return False
    with tempfile.TemporaryDirectory() as directory:
        script = "truncate -s 8M image && mkfs.ext4 -q image && mkdir at && mount -o loop image at"
        return subprocess.run(["unshare", "--mount", "sh", "-c", script], cwd=directory, capture_output=True).returncode == 0


if __name__ == "__main__":
    if not can_be_played():
        print("check-demo: SKIPPED: this needs root, loop devices, and scripts/install-deps demo")
        sys.exit(77)
    CASES[sys.argv[1]](sys.argv[2])
