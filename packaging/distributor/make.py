#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make.py VERSION PACKAGES OUTPUT: the files of an SSM Distributor package, from the .deb and .rpm in PACKAGES: a .zip for
each package format and architecture, and manifest.json, which says what is for which platform. Called by scripts/package.

The same packages make the same files: nothing in them tells when they were made."""

import hashlib
import json
import pathlib
import sys
import zipfile

HERE = pathlib.Path(__file__).parent
# The names that the agent gives to the platforms that its package managers for .deb and .rpm are used on.
PLATFORMS = {
    "deb": ["debian", "raspbian", "ubuntu"],
    "rpm": ["almalinux", "amazon", "centos", "fedora", "opensuse", "opensuseleap", "oracle", "redhat", "rocky", "suse"],
}
ARCHITECTURES = {"x86_64": ("amd64", "x86_64"), "arm64": ("arm64", "aarch64")}  # of Distributor, of Debian and of rpm
SCRIPTS = {
    "install.sh": "install.sh",
    "modules.sh": "modules.sh",
    "uninstall.sh": "uninstall.sh",
    "update.sh": "install.sh",
    "validate.sh": "validate.sh",
}


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # 1980, which is as early as it gets
            entry.external_attr = (0o100755 if name.endswith(".sh") else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, source.read_bytes())


def main(version, packages, output):
    output.mkdir(parents=True, exist_ok=True)
    manifest = {"schemaVersion": "2.0", "version": version, "publisher": "dlm-freeze", "packages": {}, "files": {}}
    for architecture, (of_debian, of_rpm) in ARCHITECTURES.items():
        for kind, pattern in ("deb", f"*_{of_debian}.deb"), ("rpm", f"*.{of_rpm}.rpm"):
            found = {path.name: path for path in packages.glob(pattern)}
            if not found:
                continue
            if len(found) != 3:
                sys.exit(f"make.py: three packages were expected in {packages}, there are: {' '.join(sorted(found))}")
            name = f"dlm-freeze-{version}-{kind}-{architecture}.zip"
            write_zip(output / name, found | {script: HERE / file for script, file in SCRIPTS.items()})
            manifest["files"][name] = {"checksums": {"sha256": hashlib.sha256((output / name).read_bytes()).hexdigest()}}
            for platform in PLATFORMS[kind]:
                versions = manifest["packages"].setdefault(platform, {"_any": {}})
                versions["_any"][architecture] = {"file": name}
    if not manifest["files"]:
        sys.exit(f"make.py: there are no packages in {packages}: scripts/package deb rpm")
    (output / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
