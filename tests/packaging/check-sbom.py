#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-sbom.py DIRECTORY: the bill of materials is SPDX 2.3 as far as its specification says what has to be there, and tells the truth of
the packages beside it."""

import hashlib
import json
import pathlib
import re
import sys
import unittest

DIRECTORY = pathlib.Path(sys.argv[1])
(FILE,) = DIRECTORY.glob("*.spdx.json")
DOCUMENT = json.loads(FILE.read_text())
LICENCES = {
    "Apache-2.0", "BSD-3-Clause", "CC0-1.0", "GPL-3.0-or-later WITH GCC-exception-3.1", "LGPL-2.1-or-later", "MIT", "NOASSERTION", "PostgreSQL",
}  # fmt: skip


class Document(unittest.TestCase):
    def test_has_what_the_specification_wants(self):
        self.assertEqual(DOCUMENT["spdxVersion"], "SPDX-2.3")
        self.assertEqual(DOCUMENT["dataLicense"], "CC0-1.0")
        self.assertEqual(DOCUMENT["SPDXID"], "SPDXRef-DOCUMENT")
        self.assertRegex(DOCUMENT["documentNamespace"], "^https://[^#]+$")
        self.assertRegex(DOCUMENT["creationInfo"]["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(DOCUMENT["creationInfo"]["creators"][0], "^Tool: ")
        identifiers = [one["SPDXID"] for one in DOCUMENT["packages"]]
        self.assertEqual(len(identifiers), len(set(identifiers)))
        for one in DOCUMENT["packages"]:
            self.assertRegex(one["SPDXID"], r"^SPDXRef-[A-Za-z0-9.-]+$")
            self.assertTrue(one["name"] and one["downloadLocation"])
            self.assertIs(one["filesAnalyzed"], False)
            self.assertIn(one["licenseDeclared"], LICENCES)

    def test_relates_what_there_is(self):
        identifiers = {one["SPDXID"] for one in DOCUMENT["packages"]} | {"SPDXRef-DOCUMENT"}
        for one in DOCUMENT["relationships"]:
            self.assertLessEqual({one["spdxElementId"], one["relatedSpdxElement"]}, identifiers)
            self.assertIn(one["relationshipType"], {"DESCRIBES", "STATIC_LINK", "DYNAMIC_LINK"})

    def test_has_every_package_with_its_sum_and_what_is_linked_into_it(self):
        made = {path.name for path in DIRECTORY.iterdir() if path.suffix in (".deb", ".rpm")}
        described = {one["packageFileName"]: one for one in DOCUMENT["packages"] if "packageFileName" in one}
        self.assertEqual(set(described), made)
        for name, one in described.items():
            (checksum,) = one["checksums"]
            self.assertEqual(checksum["checksumValue"], hashlib.sha256((DIRECTORY / name).read_bytes()).hexdigest())
            linked = {
                (kind["relationshipType"], re.sub("^SPDXRef-", "", kind["relatedSpdxElement"]))
                for kind in DOCUMENT["relationships"]
                if kind["spdxElementId"] == one["SPDXID"]
            }
            self.assertEqual(len([kind for kind, _ in linked if kind == "STATIC_LINK"]), 4)
            self.assertEqual("mysql" in name, any("MySQL" in part for _, part in linked))
            self.assertEqual("postgresql" in name, any(part.startswith("libpq") for _, part in linked))

    def test_knows_the_version_of_everything_that_is_linked_statically(self):
        static = {one["relatedSpdxElement"] for one in DOCUMENT["relationships"] if one["relationshipType"] == "STATIC_LINK"}
        for one in DOCUMENT["packages"]:
            if one["SPDXID"] in static:
                self.assertRegex(one["versionInfo"], "^[0-9]")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
