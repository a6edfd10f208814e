# SPDX-License-Identifier: Apache-2.0
"""The process that ends the scene, however it ends: told to, by Ctrl-C, by a closed terminal, or by SIGKILL.

It lives outside of the scene's PID namespace, in a session of its own, and holds a descriptor of each filesystem that may
be frozen, opened before the first freeze. When whoever started it has gone, it kills the scene, thaws until the last
process of it has ended (one that waits for a thaw cannot be killed before), and lets go. Then the scene's mount namespace
has no user any more, so that its mounts and loop devices go too. It opens no file of a filesystem that may be frozen."""

import errno
import fcntl
import json
import os
import pathlib
import select
import signal
import socket
import sys
import time

FITHAW = 0xC0045878  # linux/fs.h
PATIENCE = 10  # seconds, for loop devices that the kernel detaches on its own
ROUND = 0.05  # seconds


class Guard:
    """What the scene tells its guard."""

    def __init__(self, channel):
        self.channel = channel

    def protect(self, directories, loops):
        """Has these filesystems thawed in the end, and these loop devices waited for: (device, name of its image)."""
        descriptors = [os.open(directory, os.O_RDONLY | os.O_DIRECTORY) for directory in directories]
        try:
            self._send({"loops": loops}, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def arm(self, seconds):
        """Ends the scene unless disarm() comes in time."""
        self._send({"seconds": seconds})

    def disarm(self):
        self._send({"seconds": None})

    def _send(self, message, descriptors=()):
        data = json.dumps(message).encode()
        if descriptors:
            socket.send_fds(self.channel, [data], descriptors)
        else:
            self.channel.send(data)


class Watch:
    """The guard's side."""

    def __init__(self, channel, life):
        self.channel = channel  # of Guard objects
        self.life = life  # a pipe that only the process to outlive holds open
        self.scene = None  # a pidfd of process 1 of the scene
        self.filesystems = []
        self.loops = []
        self.deadline = None

    def keep(self):
        """Returns when the scene is over and nothing of it is left."""
        scene_lives = True
        while scene_lives:
            left = None if self.deadline is None else max(0, self.deadline - time.monotonic())
            ready, _, _ = select.select([self.life, self.channel], [], [], left)
            if not ready:
                print("demo: the safety thaw had to step in: this host is too slow, or the agent failed", file=sys.stderr)
            # What was said before the end counts, so the channel comes first.
            scene_lives = self._listen() if self.channel in ready else False
        self._end()

    def _listen(self):
        """Takes one message; whether there was one. There is none when all who could send one have gone: process 1 of the
        scene closes its end before it waits for its children, and these may wait for a thaw."""
        message, descriptors, _, _ = socket.recv_fds(self.channel, 65536, 16)
        if not message:
            return False
        told = json.loads(message)
        if "scene" in told:
            self.scene = descriptors[0]
        if "loops" in told:
            self.filesystems += descriptors
            self.loops += told["loops"]
        if "seconds" in told:
            self.deadline = None if told["seconds"] is None else time.monotonic() + told["seconds"]
        return True

    def _end(self):
        if self.scene is not None:
            try:
                signal.pidfd_send_signal(self.scene, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._thaw()
            # Readable when process 1 has ended, which it does as the last of its namespace.
            while not select.select([self.scene], [], [], ROUND)[0]:
                self._thaw()
        self._thaw()
        for filesystem in self.filesystems:
            os.close(filesystem)
        end = time.monotonic() + PATIENCE
        while any(is_attached(*loop) for loop in self.loops) and time.monotonic() < end:
            time.sleep(ROUND)

    def _thaw(self):
        for filesystem in self.filesystems:
            try:
                fcntl.ioctl(filesystem, FITHAW, 0)
            except OSError as error:
                if error.errno != errno.EINVAL:  # EINVAL: it is not frozen
                    print(f"demo: a filesystem cannot be thawed: {error}", file=sys.stderr)


def is_attached(loop, image):
    """Whether /dev/loopN is still on an image of that name. Where it lies cannot be told: its mount namespace may be gone."""
    try:
        words = pathlib.Path("/sys/block", pathlib.Path(loop).name, "loop/backing_file").read_text().split()
    except OSError:
        return False
    return bool(words) and words[0].rpartition("/")[2] == image


def start(life, others):
    """Forks the guard. `life`: its end of the pipe; `others`: descriptors that it must not have. Gives its process id and
    the socket for Guard and for scene()."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = os.fork()
    if process != 0:
        its.close()
        return process, ours
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        ours.close()
        for descriptor in others:
            os.close(descriptor)
        Watch(its, life).keep()
    finally:
        os._exit(0)


def scene(channel, process):
    """Tells the guard which process is the first of the scene's PID namespace."""
    descriptor = os.pidfd_open(process)
    socket.send_fds(channel, [b'{"scene": true}'], [descriptor])
    os.close(descriptor)
