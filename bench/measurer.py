# SPDX-License-Identifier: Apache-2.0
"""The measurements themselves: see run, which prepares the namespaces and the filesystems they need."""

import datetime
import json
import os
import random
import resource
import signal
import socket
import statistics
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from common import MIB, SCRATCH, STREAM_MIB, BenchError, block_backed, command, mount_table

DIRTY_MIB = 8  # on each filesystem before a freeze
STREAM_RATE = 200  # MiB a second
SAFETY_SECONDS = 100
REST_SECONDS = 0.2
DESCRIPTORS = 1048576  # what many services may have; where that cannot be had, the hard limit
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass
class Freezer:
    """Something that freezes and thaws the filesystems that are mounted. Both calls return their seconds."""

    name: str
    freeze: Callable[[], float]
    thaw: Callable[[], float]
    ends_by_itself: bool = True  # leaves no process behind after the thaw


class SafetyThaw:
    """The safety net; see safety_thaw.c."""

    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)
        self.socket.set_inheritable(False)

    @contextmanager
    def armed(self):
        self._ask(f"arm {SAFETY_SECONDS}")
        yield
        if self._ask("disarm") != "disarmed":
            raise BenchError(f"something stayed frozen for {SAFETY_SECONDS} s, and the safety net thawed it")

    def _ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        answer = self.socket.recv(64).decode().strip()
        if not answer:
            raise BenchError("safety_thaw is gone")
        return answer


class QemuGuestAgent:
    """The guest agent of QEMU, asked over its socket."""

    def __init__(self, program, mount_points):
        assert mount_points  # without a list it would freeze / as well
        self.mount_points = mount_points
        path = SCRATCH / "qga.sock"
        argv = [program, "--method=unix-listen", f"--path={path}", f"--statedir={SCRATCH}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([*argv, f"--pidfile={SCRATCH}/qga.pid"], **quiet)
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 5
        while True:
            try:
                self.socket.connect(str(path))
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise BenchError(f"{program} does not listen: {error}") from error
                time.sleep(0.05)

    def freeze(self):
        return self._execute("guest-fsfreeze-freeze-list", {"mountpoints": self.mount_points})

    def thaw(self):
        return self._execute("guest-fsfreeze-thaw", {})

    def close(self):
        self.socket.close()
        self.process.kill()  # SIGTERM hangs it now and then
        self.process.wait()

    def _execute(self, name, arguments):
        request = json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n"
        begin = time.monotonic()
        self.socket.sendall(request)
        answer = json.loads(self.socket.makefile().readline())
        seconds = time.monotonic() - begin
        if answer.get("return") != len(self.mount_points):
            raise BenchError(f"qemu-ga: {name}: {answer}")
        return seconds


class Measurer:
    def __init__(self, arguments):
        self.arguments = arguments
        self.safety = SafetyThaw(arguments.safety_fd)
        *self.filesystems, self.stream = arguments.filesystems
        self.random_block = random.randbytes(MIB)
        self.targets_met = []
        self.raw = {"run": self._facts()}
        self.config = SCRATCH / "config.json"
        # In a process namespace it has to be told that these filesystems are meant, and not the host's.
        only_ours = {"include": [f"{SCRATCH}/*", f"{SCRATCH}/mounts/*"]}
        settings = {"timeout_seconds": arguments.timeout, "filesystems": only_ours, "quiescers": []}
        self.config.write_text(json.dumps(settings))
        self.config.chmod(0o600)

    def run(self):
        """Returns the exit code."""
        if os.getpid() != 1:
            raise BenchError("not in a process namespace of its own")
        parts = {
            "freeze": self._freeze_and_thaw,
            "writers": self._writers,
            "idle": self._idle,
            "mounts": self._mounts,
            "descriptors": self._descriptors,
        }
        unknown = set(self.arguments.parts) - set(parts)
        if unknown:
            raise BenchError(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
        for name, part in parts.items():
            if name in self.arguments.parts:
                part()
        if self.arguments.json:
            self.arguments.json.write_text(json.dumps(self.raw, indent=1) + "\n")
        print(f"\n{sum(self.targets_met)} of {len(self.targets_met)} targets met")
        return 0 if all(self.targets_met) else 1

    def _facts(self):
        """What a reader of the figures wants to know of the machine."""
        images = command("stat", "--file-system", "--format=%T", self.arguments.images).strip()
        return {
            "on": datetime.date.today().isoformat(),
            "Linux": os.uname().release.partition("-")[0],
            "processors": os.cpu_count(),
            "images on": images,
            "rounds": self.arguments.rounds,
        }

    # The parts

    def _freeze_and_thaw(self):
        print("freeze and thaw, start to exit of the program: min/median/max, and ratios to the floor of the same round")
        for count in self.arguments.counts:
            filesystems = self.filesystems[:count]
            with self._only_mounted(filesystems):
                results = self._compare_freezers(filesystems)
            self.raw[f"freeze {count}"] = results

            print(f"  {count} ext4, {DIRTY_MIB} MB dirty each")
            floor_freeze, floor_thaw = zip(*results["floor"])
            for name, pairs in results.items():
                freeze, thaw = zip(*pairs)
                print(f"    {name:<10} freeze {summary(freeze, floor_freeze)}    thaw {summary(thaw, floor_thaw)}")
            pre, post = zip(*results["dlm-freeze"])
            if count >= 16:
                self._target("pre-script / floor", median_ratio(pre, floor_freeze), 0.8 if count <= 16 else 1.0)
            else:
                self._target("pre-script - floor", median_excess_ms(pre, floor_freeze), 15, " ms")
            self._target("post-script - floor", median_excess_ms(post, floor_thaw), 10, " ms")

    def _compare_freezers(self, filesystems):
        """The (freeze, thaw) seconds of every round, by freezer."""
        freezers = self._freezers(filesystems)
        agent = None
        if self.arguments.qemu_ga:
            agent = QemuGuestAgent(self.arguments.qemu_ga, [fs["mount_point"] for fs in filesystems])
            freezers.append(Freezer("qemu-ga", agent.freeze, agent.thaw))

        def one_round(freezer):
            time.sleep(REST_SECONDS)
            self._dirty(filesystems)
            with self.safety.armed():
                return freezer.freeze(), freezer.thaw()

        results = self._interleaved(freezers, one_round)
        if agent:
            agent.close()
        return results

    def _writers(self):
        print("\nthe longest a writer was held up before the freezing program ended; ratios to FIFREEZE without syncfs")
        paths = [f"{fs['mount_point']}/writer" for fs in self.filesystems]
        title = f"{len(paths)} ext4, {DIRTY_MIB} MB dirty each, a small writer on each"
        self._target_of_writers(self._held_up(title, self.filesystems, ["small", *paths]))
        path = f"{self.stream['mount_point']}/stream"
        title = f"1 ext4, {STREAM_MIB} MB dirty, {STREAM_RATE} MB/s rewritten all the time"
        self._target_of_writers(self._held_up(title, [self.stream], ["stream", STREAM_MIB, STREAM_RATE, path]))
        title = f"1 ext4, {STREAM_MIB} MB dirty, rewritten as fast as memory goes (no target)"
        self._held_up(title, [self.stream], ["stream", STREAM_MIB, 0, path])

    def _held_up(self, title, filesystems, writers):
        """The (longest stall, duration of the freeze) in seconds of every round, by freezer."""

        def one_round(freezer):
            time.sleep(REST_SECONDS)
            argv = [str(word) for word in [self.arguments.tools / "writers", *writers]]
            process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            if process.stdout.readline() != "go\n":
                raise BenchError("the writers do not start")
            if writers[0] == "small":
                self._dirty(filesystems)
            with self.safety.armed():
                begin = time.monotonic_ns()
                seconds = freezer.freeze()
                end = time.monotonic_ns()
                freezer.thaw()
            process.stdin.close()
            stalls = [tuple(map(int, line.split())) for line in process.stdout]
            if process.wait() != 0:
                raise BenchError("the writers failed")
            command("sync", "--file-system", *(fs["mount_point"] for fs in filesystems))
            held_up = [min(stall_end, end) - max(stall_begin, begin) for _, stall_begin, stall_end in stalls]
            return max([1000, *held_up]) / 1e9, seconds  # never 0: it becomes a divisor

        def without_sync():
            return self._floor("freeze-nosync", filesystems)

        floor, *others = self._freezers(filesystems)
        with self._only_mounted(filesystems):
            results = self._interleaved([Freezer("no syncfs", without_sync, floor.thaw), floor, *others], one_round)
        self.raw[title] = results

        print(f"  {title}")
        base = [stall for stall, _ in results["no syncfs"]]
        for name, pairs in results.items():
            stalls, totals = zip(*pairs)
            print(f"    {name:<10} held up {summary(stalls, base)}    of {milliseconds(totals)}")
        return results

    def _target_of_writers(self, results):
        ours, base = ([stall for stall, _ in results[name]] for name in ("dlm-freeze", "no syncfs"))
        self._target("pre-script / FIFREEZE without syncfs", median_ratio(ours, base), 0.5)

    def _idle(self):
        print("\nwatchdog and sentinel while two filesystems are held")
        with self._only_mounted(self.filesystems[:2]), self.safety.armed():
            known = processes()
            self._ours("pre-script")
            time.sleep(0.2)
            reap()
            pids = sorted(processes() - known)
            if not pids:
                raise BenchError("pre-script left no process to watch over the session")
            resident = {pid: memory(pid) for pid in pids}
            before = {pid: cpu_time(pid) for pid in pids}
            time.sleep(5)
            after = {pid: cpu_time(pid) for pid in pids}
            self._ours("post-script")
            self._wait_for_end_of_others(known)
        self.raw["idle"] = {"memory": resident, "cpu before": before, "cpu after": after}

        for pid, (rss, pss) in resident.items():
            print(f"    process {pid}: {rss / 1024:.2f} MB resident (VmRSS), {pss / 1024:.2f} MB as its share (Pss)")
        self._target("VmRSS of all", sum(rss for rss, _ in resident.values()) / 1024, 10, " MB")
        ticks, nanoseconds = (sum(after[pid][i] - before[pid][i] for pid in pids) for i in (0, 1))
        print(f"    the scheduler counts {nanoseconds / 1e3:.0f} us of run time in 5 s of waiting")
        self._target("utime + stime in 5 s of waiting", ticks, 0, " ticks")

    def _mounts(self):
        print("\ndry-run, start to exit, by the length of the mount table; beside it, cat /proc/self/mountinfo")
        medians = {}
        with self._only_mounted(self.filesystems[:2]):
            self._shorten_mount_table()
            (SCRATCH / "mounts").mkdir()
            for size in (10, 100, 300, 1000):
                self._lengthen_mount_table(size)
                pairs = []
                for _ in range(22):
                    pairs.append((self._ours("dry-run"), self._timed("/bin/cat", "/proc/self/mountinfo")))
                ours, read = zip(*pairs[1:])
                medians[len(list(mount_table()))] = statistics.median(ours)
                self.raw[f"mounts {size}"] = pairs
                print(f"    {size:>5} mounts   dry-run {milliseconds(ours)}   cat {milliseconds(read)}")
        (smallest, first), _, (middle, hundreds), (largest, last) = medians.items()
        self._target(f"dry-run with {smallest} mounts", first * 1e3, 10, " ms")
        early, late = (hundreds - first) / (middle - smallest), (last - hundreds) / (largest - middle)
        print(f"    a mount more: {early * 1e6:.1f} us up to {middle}, {late * 1e6:.1f} us from there to {largest}")
        self._target("growth of the last 700 / of the first 290", late / max(early, 1e-6), 1.5)

    def _descriptors(self):
        allowed = most_descriptors()
        print(f"\nstages of pre-script, {allowed:,} descriptors allowed, with close_range(2) and without it")
        filesystems = self.filesystems[:16]
        limit = ["/usr/bin/prlimit", f"--nofile={allowed}:{allowed}", "--"]
        deny = [self.arguments.tools / "deny_new_syscalls", "--only-close-range"]

        def under(name, *wrapper):
            return Freezer(name, lambda: self._stages(*limit, *wrapper), lambda: self._ours("post-script"))

        def one_round(freezer):
            time.sleep(REST_SECONDS)
            self._dirty(filesystems)
            with self.safety.armed():
                stages = freezer.freeze()
                freezer.thaw()
            return stages

        with self._only_mounted(filesystems):
            results = self._interleaved([under("with"), under("without", *deny)], one_round)
        self.raw["descriptors"] = results
        for stage in ("start", "freeze"):
            known, denied = ([stages[stage] for stages in results[name]] for name in ("with", "without"))
            print(f"    {stage:<8} with {milliseconds(known)}   without {summary(denied, known)}")
            self._target(f"{stage}, without - with", median_excess_ms(denied, known), 2, " ms")

    def _stages(self, *wrapper):
        """The seconds of each stage of a pre-script."""
        self._timed(*wrapper, self.arguments.binary, "--config", self.config, "pre-script")
        return json.loads(Path("/run/dlm-freeze/session.json").read_text())["stage_seconds"]

    def _shorten_mount_table(self):
        """Leaves less than ten mounts: what a program needs to run, and two of our filesystems."""
        images = command("stat", "--format=%m", self.arguments.images).strip()
        kept = {"/", "/proc", "/sys", "/dev", "/run", images, *(fs["mount_point"] for fs in self.filesystems[:2])}
        for point in reversed([point for point, _, _ in mount_table()]):
            if point not in kept:
                command("umount", "--lazy", point)

    def _lengthen_mount_table(self, size):
        """Adds tmpfs and bind mounts by turns."""
        for number in range(len(list(mount_table())), size):
            point = SCRATCH / "mounts" / str(number)
            point.mkdir()
            if number % 2 == 0:
                command("mount", "-t", "tmpfs", "tmpfs", point)
            else:
                command("mount", "--bind", self.filesystems[number // 2 % 2]["mount_point"], point)

    # What the parts are made of

    def _freezers(self, filesystems):
        """The ones to compare, the floor first."""
        arguments = self.arguments

        def floor(verb):
            return lambda: self._floor(verb, filesystems)

        def shell(line):
            return lambda: self._timed("/bin/sh", "-c", line)

        result = [
            Freezer("floor", floor("freeze"), floor("thaw")),
            Freezer("dlm-freeze", lambda: self._ours("pre-script"), lambda: self._ours("post-script")),
        ]
        if arguments.peer_freeze:
            freeze, thaw = shell(arguments.peer_freeze), shell(arguments.peer_thaw)
            result.append(Freezer(arguments.peer_name, freeze, thaw, ends_by_itself=False))
        return result

    def _interleaved(self, freezers, one_round):
        """A B A B …: what one_round returned for each freezer, by its name; the first time only warms up."""
        known = processes()
        results = {freezer.name: [] for freezer in freezers}
        for number in range(self.arguments.rounds + 1):
            for freezer in freezers:
                result = one_round(freezer)
                if number > 0:
                    results[freezer.name].append(result)
                if freezer.ends_by_itself:
                    self._wait_for_end_of_others(known)
                else:
                    self._end_others(known)
        return results

    def _timed(self, *argv):
        """Start to exit of a program, in seconds; it must succeed."""
        argv = [str(word) for word in argv]
        output = SCRATCH / "output"
        to_output = (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        from_null = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        actions = [from_null, to_output, (os.POSIX_SPAWN_DUP2, 1, 2)]
        begin = time.monotonic()
        # A session of its own, as on a host: process 1 of this namespace does not end with it.
        pid = os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=actions, setsid=True)
        _, status = os.waitpid(pid, 0)
        seconds = time.monotonic() - begin
        if status != 0:
            code = os.waitstatus_to_exitcode(status)
            raise BenchError(f"{' '.join(argv)[:200]}: exit {code}\n{output.read_text()}")
        return seconds

    def _ours(self, verb):
        return self._timed(self.arguments.binary, "--config", self.config, verb)

    def _floor(self, verb, filesystems):
        return self._timed(self.arguments.tools / "floor", verb, *(fs["mount_point"] for fs in filesystems))

    @contextmanager
    def _only_mounted(self, filesystems):
        """Leaves just these in the mount table: the freezers find out by themselves what there is."""
        others = [fs for fs in self.arguments.filesystems if fs not in filesystems]
        for fs in others:
            command("umount", fs["mount_point"])
        unexpected = set(block_backed()) - {"/", *(fs["mount_point"] for fs in filesystems)}
        if unexpected:
            raise BenchError(f"unexpected block-backed mounts: {', '.join(unexpected)}")
        yield
        for fs in others:
            command("mount", "-t", "ext4", fs["device"], fs["mount_point"])

    def _dirty(self, filesystems):
        for fs in filesystems:
            fd = os.open(f"{fs['mount_point']}/dirty", os.O_CREAT | os.O_WRONLY, 0o600)
            for block in range(DIRTY_MIB):
                os.pwrite(fd, self.random_block, block * MIB)
            os.close(fd)

    def _wait_for_end_of_others(self, known):
        """A watchdog ends just after post-script; the next round begins when it has."""
        deadline = time.monotonic() + 5
        while processes() - known:
            if time.monotonic() > deadline:
                raise BenchError(f"processes are left over: {processes() - known}")
            reap()
            time.sleep(0.005)

    def _end_others(self, known):
        """Ends what a freezer left running, so that it cannot meddle later: this namespace has nobody else's processes."""
        for pid in processes() - known:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._wait_for_end_of_others(known)

    def _target(self, text, value, limit, unit=""):
        met = value <= limit
        self.targets_met.append(met)
        print(f"    {'met   ' if met else 'MISSED'}  {text}: {value:.2f}{unit}, at most {limit:g}{unit}")


def most_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, max(hard, DESCRIPTORS)))
    except (ValueError, PermissionError):
        return hard  # root without CAP_SYS_RESOURCE
    return DESCRIPTORS


def processes():
    """All process ids of this process namespace."""
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit()}


def reap():
    """The first process of a namespace inherits the orphans."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def memory(pid):
    """VmRSS and Pss in KiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    rollup = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(status["VmRSS"].split()[0]), int(rollup["Pss"].split()[0])


def cpu_time(pid):
    """utime + stime in ticks, and the scheduler's run time in ns."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12]), int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def milliseconds(values):
    least, middle, most = (value * 1e3 for value in (min(values), statistics.median(values), max(values)))
    return f"{least:.1f}/{middle:.1f}/{most:.1f} ms"


def summary(values, base):
    quotients = [value / b for value, b in zip(values, base)]
    least, middle, most = min(quotients), statistics.median(quotients), max(quotients)
    return f"{milliseconds(values):>22} x{f'{least:.2f}/{middle:.2f}/{most:.2f}':<17}"


def median_ratio(values, base):
    return statistics.median(value / b for value, b in zip(values, base))


def median_excess_ms(values, base):
    return statistics.median(value - b for value, b in zip(values, base)) * 1e3
