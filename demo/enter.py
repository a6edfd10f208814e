#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""enter.py AGENT [OPTION...]: the demo, with the program AGENT; scripts/demo builds it and calls this. --help has the options.

The processes, from the outside:

    enter.py    in mount, network and IPC namespaces of its own; waits
    +- guard    outside of the scene; thaws and ends it, whatever happens (guard.py)
    +- process 1 of a PID namespace, which only reaps; killing it kills the scene
       +- the scene: story.py, or quick.py
          +- servers, clients, writers, dlm-freeze and its watchdog

The host's filesystems are not in these namespaces, but for the root, which is never frozen; the configuration names the
demo's own alone. All that is written goes to a tmpfs, so that nothing is left, however it ends."""

import argparse
import os
import pathlib
import signal
import sys
import traceback

import guard
import namespaces
import quick
import shell
import story
from stage import STAGE

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Interrupted(Exception):
    """A signal has come that ends the demo."""


def parse(arguments):
    parser = argparse.ArgumentParser(prog="demo", description=__doc__.partition("\n")[0])
    parser.add_argument("agent", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="three filesystems and no database, in five seconds")
    parser.add_argument("--postgresql", action="store_true", help="with PostgreSQL instead of MariaDB")
    parser.add_argument("--keep", action="store_true", help="leave the scene standing, with a shell in it")
    parser.add_argument("--svg", metavar="FILE", type=pathlib.Path, help="write the time line as a picture")
    return parser.parse_args(arguments)


def open_picture(path):
    """A descriptor, since the path means something else in the scene. The file belongs to the caller of sudo."""
    is_new = not path.exists()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise SystemExit(f"demo: the picture cannot be written to {path}: {error.strerror}") from None
    if is_new and "SUDO_UID" in os.environ:
        os.fchown(descriptor, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))
    return descriptor


def programs(agent):
    """What the scene gets: the agent and its modules as installed below /run/demo, and the application that appends."""
    found = {"bin/dlm-freeze": agent.read_bytes()}
    for directory in (agent.parent, agent.parent.parent):  # a build tree, or an installed one
        for module in directory.glob("lib/dlm-freeze/*.so"):
            found[f"lib/dlm-freeze/{module.name}"] = module.read_bytes()
    found["bin/append"] = (pathlib.Path(__file__).parent / "append.py").read_bytes()
    return found


def install(files):
    for name, content in files.items():
        path = STAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)


def be_process_one(go, tell):
    """Waits for `go`, runs the scene in a child, and reaps whatever loses its parent, until the scene has ended."""
    if os.read(go, 1) != b"g":
        os._exit(1)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGQUIT):  # of the terminal: enter.py ends all of it
        signal.signal(number, signal.SIG_IGN)
    namespaces.own_processes()
    scene = os.fork()
    if scene == 0:
        os._exit(run(tell))
    while True:
        process, status = os.wait()
        if process == scene:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def run(tell):
    """The exit code of a scene."""
    code = 1
    try:
        code = tell()
    except SystemExit as error:
        print(error, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def play(tell):
    """Starts the guard and the scene, and waits for its end. Gives the exit code."""
    life_read, life_write = os.pipe()
    guardian, channel = guard.start(life_read, [life_write])
    os.close(life_read)
    code = 1
    try:
        go_read, go_write = os.pipe()
        namespaces.unshare(namespaces.CLONE_NEWPID)
        first = os.fork()
        if first == 0:
            try:
                os.close(life_write)
                os.close(go_write)
                be_process_one(go_read, lambda: tell(guard.Guard(channel)))
            except SystemExit as error:
                print(error, file=sys.stderr, flush=True)
            finally:
                os._exit(1)
        guard.scene(channel, first)
        channel.close()
        os.write(go_write, b"g")
        code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    except Interrupted as interrupted:
        code = 128 + interrupted.args[0]
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        os.close(life_write)
        os.waitpid(guardian, 0)
    return code if code >= 0 else 128 - code


def tell(scene, guardian, options, picture):
    code = scene.tell(guardian, options, picture)
    if options.keep:
        shell.keep()
    return code


def interrupt(number, _frame):
    raise Interrupted(number)


def main():
    os.umask(0o022)
    os.environ.update(LC_ALL="C.UTF-8", PATH=f"{STAGE}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    for number in ENDING:
        signal.signal(number, interrupt)
    options = parse(sys.argv[1:])
    picture = open_picture(options.svg) if options.svg else None
    files = programs(options.agent)
    scene = quick if options.quick else story
    try:
        namespaces.leave_the_host()
        install(files)
        os.chdir(STAGE)
        code = play(lambda guardian: tell(scene, guardian, options, picture))
    except Interrupted as interrupted:
        code = 128 + interrupted.args[0]
    sys.exit(code)


if __name__ == "__main__":
    main()
