# SPDX-License-Identifier: Apache-2.0
"""Namespaces of the demo's own, in which nothing of the host can be frozen."""

import ctypes
import os
import subprocess

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

# What the demo cannot do without: its programs, and the kernel's own filesystems.
KEPT = ("/", "/usr", "/proc", "/sys", "/dev", "/dev/pts")
# Whatever a program of the scene writes there ends with the scene.
HIDDEN = ("/run", "/tmp", "/var/lib", "/dev/shm")


def unshare(flags):
    """As unshare(1). os.unshare came with Python 3.12, after Debian 12."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise SystemExit(f"demo: no namespaces of its own can be made: {os.strerror(error)}")


def mounts():
    """(mount point, type, source) of every mount of this namespace, in the order of mountinfo."""
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            fields, _, rest = line.partition(b" - ")
            kind, source = rest.split()[:2]
            yield unescape(fields.split()[4]), kind.decode(), unescape(source)


def unescape(field):
    """Undoes what the kernel does to blanks and the like: \\040."""
    return os.fsdecode(field.decode("latin-1").encode("latin-1").decode("unicode_escape").encode("latin-1"))


def foreign_mounts():
    """(mount point, whether it is on a block device) of what the demo can do without."""
    with open("/proc/filesystems") as table:
        on_devices = {line.strip() for line in table if not line.startswith("nodev")}
    return [(point, kind in on_devices) for point, kind, _ in mounts() if point not in KEPT]


def leave_the_host():
    """Mount, network and IPC namespaces, in which the root filesystem is the only one that could be frozen; and it never is.
    A process that is killed leaves neither a file nor a mount behind: what it made was in here."""
    unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    os.chdir("/")
    for point, _ in reversed(foreign_mounts()):
        subprocess.run(
            ["umount", "--no-canonicalize", "--internal-only", "--lazy", "--", point], stderr=subprocess.DEVNULL)
    left = [point for point, is_on_device in foreign_mounts() if is_on_device]
    if left:
        raise SystemExit(f"demo: {left[0]} cannot be unmounted in the demo's namespace; nothing was done")
    for directory in filter(os.path.isdir, HIDDEN):
        mode = "1777" if directory in ("/tmp", "/dev/shm") else "755"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"mode={mode}", "demo", directory], check=True)


def own_processes():
    """To be called by process 1 of a PID namespace: /proc shows that one, and mounts made from here on end with it."""
    unshare(CLONE_NEWNS)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
