# SPDX-License-Identifier: Apache-2.0
"""The scene's filesystems: volumes in image files, and a btrfs below them that plays EBS.

All images of the host's volumes lie in one btrfs subvolume. A snapshot of that is one point in time across all of them, as
a multi-volume snapshot of EBS is; a writable snapshot of it is what a volume made of an EBS snapshot is."""

import dataclasses
import pathlib

import namespaces
from screen import Failed, quietly, run

STAGE = pathlib.Path("/run/demo")  # the working directory of all commands, on a tmpfs
EBS = STAGE / "ebs"
HOST = "host"  # the subvolume with the images of the host's volumes


@dataclasses.dataclass(frozen=True)
class Volume:
    name: str  # of its image, and of its mount point below the scene's directory
    type: str
    megabytes: int  # xfs wants 300
    holds: str

    @property
    def mount_point(self):
        return STAGE / self.name

    def image(self, subvolume=HOST):
        return EBS / subvolume / f"{self.name}.img"


def make_filesystem(image, kind, megabytes, mount_point):
    quietly("truncate", "--size", f"{megabytes}M", image)
    quietly(f"mkfs.{kind}", "-q", image)
    mount_point.mkdir(parents=True, exist_ok=True)
    try:
        quietly("mount", "-t", kind, "-o", "loop", image, mount_point)
    except Failed as error:
        raise Failed(f"{error}demo: does this host, perhaps a container, allow loop devices and {kind}?") from None


def make_volumes(volumes):
    make_filesystem(STAGE / "ebs.img", "btrfs", 4096, EBS)
    quietly("btrfs", "subvolume", "create", EBS / HOST)
    for volume in volumes:
        make_filesystem(volume.image(), volume.type, volume.megabytes, volume.mount_point)


def write_back(volumes):
    """As if the host had been up for long: what was there before the story begins is on the disks."""
    for volume in volumes:
        quietly("sync", "--file-system", volume.mount_point)


def loops():
    """(device, name of its image) of the loop devices that are mounted here."""
    found = []
    for device in sorted({source for _, _, source in namespaces.mounts() if source.startswith("/dev/loop")}):
        backing = pathlib.Path("/sys/block", pathlib.Path(device).name, "loop/backing_file").read_text().strip()
        found.append((device, pathlib.Path(backing).name))
    return found


def take_snapshot(name):
    run(f"btrfs subvolume snapshot -r ebs/{HOST} ebs/{name}")


def make_copy(name):
    """Volumes of a snapshot: of their own, and writable."""
    run(f"btrfs subvolume snapshot ebs/{name} ebs/{copy_of(name)}")


def mount_copy(name, volumes):
    for volume in volumes:
        (STAGE / name / volume.name).mkdir(parents=True, exist_ok=True)
        options = "loop,nouuid" if volume.type == "xfs" else "loop"
        run(f"mount -o {options} ebs/{copy_of(name)}/{volume.name}.img {name}/{volume.name}")


def copy_of(name):
    return f"{name}-volumes"


def journal(volume, subvolume):
    """What the journal of an image that is not mounted says: (whether it has to be replayed, a text)."""
    image = volume.image(subvolume)
    if volume.type == "ext4":
        header = quietly("dumpe2fs", "-h", image)
        features = next(line for line in header.splitlines() if line.startswith("Filesystem features:"))
        needed = "needs_recovery" in features.split()
        return needed, "replayed" if needed else "empty"
    words = quietly("xfs_logprint", "-t", image).split()
    tail, head, length = (int(words[words.index(word) + 1]) for word in ("tail:", "head:", "length:"))
    needed = "<DIRTY>" in words
    return needed, f"replayed, {(head - tail) % length} blocks" if needed else "empty"
