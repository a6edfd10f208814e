#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-rpm-requires.py PACKAGE...: each .rpm requires what it needs and nothing else, by names that RHEL, SUSE and Amazon Linux all
have; and no feature of rpm that the oldest of these lacks."""

import pathlib
import re
import subprocess
import sys

CHECK_ELF = pathlib.Path(__file__).parent.parent / "structure/check-elf.sh"
GLIBC = tuple(map(int, re.search("^glibc=([0-9.]+)$", CHECK_ELF.read_text(), re.M)[1].split(".")))
ISA = {"x86_64": "x86-64", "aarch64": "aarch-64"}
COMMON = r"""/bin/sh
ld-linux-[a-z0-9-]+\.so\.[12]\(\)\(64bit\)
ld-linux-[a-z0-9-]+\.so\.[12]\(GLIBC_[0-9.]+\)\(64bit\)
lib(c|m|dl|pthread)\.so\.[0-9]\(\)\(64bit\)
lib(c|m|dl|pthread)\.so\.[0-9]\(GLIBC_[0-9.]+\)\(64bit\)
rpmlib\(CompressedFileNames\) <= 3\.0\.4-1
rpmlib\(FileDigests\) <= 4\.6\.0-1
rpmlib\(PayloadFilesHavePrefix\) <= 4\.0-1
rtld\(GNU_HASH\)""".splitlines()
# Patterns of what else there is; every one has to be there.
OWN = {
    "dlm-freeze": [r"config\(dlm-freeze\) = {release}", r"libmount\.so\.1\(\)\(64bit\)", r"libmount\.so\.1\(MOUNT_2\.[12][0-9]\)\(64bit\)"],
    "dlm-freeze-mysql": [r"dlm-freeze\({isa}\) = {release}"],  # Of its client libraries any will do, which rpm 4.11 cannot say.
    "dlm-freeze-postgresql": [r"dlm-freeze\({isa}\) = {release}", r"libpq\.so\.5\(\)\(64bit\)"],
}  # fmt: skip


def query(package, *words):
    return subprocess.run(["rpm", "--query", "--package", *words, package], capture_output=True, text=True, check=True).stdout


def problems(package):
    name, release, architecture = query(package, "--queryformat", "%{name} %{version}-%{release} %{arch}").split()
    own = [one.format(release=re.escape(release), isa=ISA[architecture]) for one in OWN[name]]
    requires = set(query(package, "--requires").splitlines())
    for one in sorted(requires):
        if not any(re.fullmatch(pattern, one) for pattern in COMMON + own):
            yield f"requires {one}"
        version = re.search(r"GLIBC_([0-9.]+)", one)
        if version and tuple(map(int, version[1].split("."))) > GLIBC:
            yield f"requires {one}, which is newer than {GLIBC}"
    for pattern in own:
        if not any(re.fullmatch(pattern, one) for one in requires):
            yield f"does not require {pattern}"


def main(packages):
    failed = [f"{package}: {problem}" for package in packages for problem in problems(package)]
    print("\n".join(failed) or f"check-rpm-requires: {len(packages)} packages are right")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
