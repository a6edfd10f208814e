#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""sbom.py VERSION PACKAGES: writes dlm-freeze-VERSION.spdx.json into PACKAGES: a bill of materials (SPDX 2.3) of the .deb and
.rpm that are there, what is linked into their programs, and what they find on the host. Called by scripts/package, which sets
SOURCE_DATE_EPOCH: the same packages make the same file."""

import datetime
import hashlib
import json
import os
import pathlib
import subprocess
import sys

# Linked statically: the Debian package that it came from, and its licence.
STATIC = {
    "libcli11-dev": ("CLI11", "BSD-3-Clause"),
    "libexpected-dev": ("tl-expected", "CC0-1.0"),
    "nlohmann-json3-dev": ("nlohmann-json", "MIT"),
    "libstdc++-12-dev": ("libstdc++ and libgcc", "GPL-3.0-or-later WITH GCC-exception-3.1"),
}
# Loaded on the host, in whatever version is there; by all, or by one module alone.
DYNAMIC = {
    "glibc": ("LGPL-2.1-or-later", ["dlm-freeze", "dlm-freeze-mysql", "dlm-freeze-postgresql"]),
    "libmount": ("LGPL-2.1-or-later", ["dlm-freeze"]),
    "libsystemd": ("LGPL-2.1-or-later", ["dlm-freeze"]),
    "MariaDB or MySQL client library": ("NOASSERTION", ["dlm-freeze-mysql"]),
    "libpq": ("PostgreSQL", ["dlm-freeze-postgresql"]),
}


def installed_version(package):
    words = ["dpkg-query", "-W", "-f=${Version}", package]
    found = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return found.stdout if found.returncode == 0 else "NOASSERTION"


def identifier(*words):
    return "SPDXRef-" + "-".join("".join(one if one.isalnum() else "-" for one in word) for word in words)


def package(name, version, licence, **more):
    return {
        "SPDXID": identifier(name, version),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": licence,
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        **more,
    }


def relation(one, kind, other):
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}


def main(version, directory):
    made = sorted([*directory.glob("*.deb"), *directory.glob("*.rpm")])
    if not made:
        sys.exit(f"sbom.py: there are no packages in {directory}: scripts/package deb rpm")
    static = [package(name, installed_version(source), licence) for source, (name, licence) in STATIC.items()]
    dynamic = {name: package(name, "NOASSERTION", licence) for name, (licence, _) in DYNAMIC.items()}
    packages, relations, sums = [*static, *dynamic.values()], [], []
    for file in made:
        name = file.name.split("_")[0] if file.suffix == ".deb" else file.name.rsplit("-", 2)[0]
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        sums.append(digest)
        one = package(name, version, "Apache-2.0", packageFileName=file.name, primaryPackagePurpose="INSTALL")
        one |= {"SPDXID": identifier(file.name), "checksums": [{"algorithm": "SHA256", "checksumValue": digest}]}
        packages.append(one)
        relations.append(relation("SPDXRef-DOCUMENT", "DESCRIBES", one["SPDXID"]))
        relations += [relation(one["SPDXID"], "STATIC_LINK", part["SPDXID"]) for part in static]
        relations += [
            relation(one["SPDXID"], "DYNAMIC_LINK", dynamic[part]["SPDXID"])
            for part, (_, users) in DYNAMIC.items()
            if name in users
        ]
    created = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"dlm-freeze-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/dlm-freeze-{version}-{hashlib.sha256(''.join(sums).encode()).hexdigest()}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: dlm-freeze packaging/sbom.py"]},
        "packages": packages,
        "relationships": relations,
    }
    (directory / f"dlm-freeze-{version}.spdx.json").write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
