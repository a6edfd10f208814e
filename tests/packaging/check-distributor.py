#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-distributor.py DIRECTORY: what manifest.json says of the .zip files beside it is true, and each has what the SSM
agent looks for."""

import hashlib
import json
import pathlib
import sys
import unittest
import zipfile

DIRECTORY = pathlib.Path(sys.argv[1])
MANIFEST = json.loads((DIRECTORY / "manifest.json").read_text())
# What the agent makes of the ID in /etc/os-release, for the platforms that have these packages.
DEB_PLATFORMS = {"debian", "raspbian", "ubuntu"}
RPM_PLATFORMS = {
    "almalinux", "amazon", "centos", "fedora", "opensuse", "opensuseleap", "oracle", "redhat", "rocky", "suse",
}  # fmt: skip


class Distributor(unittest.TestCase):
    def test_lists_every_file_with_its_checksum(self):
        self.assertEqual(set(MANIFEST), {"schemaVersion", "version", "publisher", "packages", "files"})
        self.assertEqual(MANIFEST["schemaVersion"], "2.0")
        self.assertEqual(set(MANIFEST["files"]), {path.name for path in DIRECTORY.glob("*.zip")})
        for name, file in MANIFEST["files"].items():
            self.assertEqual(file["checksums"], {"sha256": hashlib.sha256((DIRECTORY / name).read_bytes()).hexdigest()})

    def test_has_a_file_for_each_platform_and_uses_each_file(self):
        used = set()
        for platform, versions in MANIFEST["packages"].items():
            self.assertEqual(set(versions), {"_any"})
            for architecture, package in versions["_any"].items():
                kind = "deb" if platform in DEB_PLATFORMS else "rpm"
                self.assertTrue(package["file"].endswith(f"-{kind}-{architecture}.zip"), package)
                used.add(package["file"])
        self.assertEqual(used, set(MANIFEST["files"]))
        self.assertEqual(DEB_PLATFORMS | RPM_PLATFORMS, set(MANIFEST["packages"]))

    def test_has_scripts_that_can_be_run_and_three_packages_in_each_file(self):
        for name in MANIFEST["files"]:
            with zipfile.ZipFile(DIRECTORY / name) as archive:
                entries = {entry.filename: entry for entry in archive.infolist()}
                scripts = {"install.sh", "update.sh", "uninstall.sh", "validate.sh"}
                self.assertEqual(len(entries), len(scripts | {"modules.sh"}) + 3, entries)
                for script in scripts:
                    self.assertEqual(entries[script].external_attr >> 16, 0o100755)
                    self.assertTrue(archive.read(script).startswith(b"#!/bin/sh\n"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
