#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-workflows.py ROOT: what a forge reads is what it understands, and names what there is.

The workflows run each step of .ci/run and no step that it does not have; issue forms have what a form needs; the container for
development is built from files of this tree.
"""

import json
import pathlib
import re
import subprocess
import sys

try:
    import yaml
except ImportError:
    sys.exit(77)


def workflows(root):
    known = set(subprocess.run([root / ".ci/run", "--list"], check=True, capture_output=True, text=True).stdout.split())
    run = set()
    for path in sorted((root / ".github/workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for line in "\n".join(step.get("run", "") for step in job["steps"]).splitlines():
                if line.startswith(".ci/run"):
                    run |= set(line.split()[1:]) or known
    yield from (f"no workflow runs {step}" for step in sorted(known - run))
    yield from (f".ci/run has no step {step}" for step in sorted(run - known))


def issue_forms(root):
    for path in sorted((root / ".github/ISSUE_TEMPLATE").glob("*.yml")):
        form = yaml.safe_load(path.read_text())
        if path.name == "config.yml":
            continue
        if not form.get("name") or not form.get("description") or not form.get("body"):
            yield f"{path.name}: a form has a name, a description and a body"
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        if len(ids) != len(set(ids)):
            yield f"{path.name}: an id is there twice"
        if any("label" not in part["attributes"] for part in form["body"] if part["type"] != "markdown"):
            yield f"{path.name}: a part has no label"


def container(root):
    directory = root / ".devcontainer"
    text = re.sub(r"^ *//.*", "", (directory / "devcontainer.json").read_text(), flags=re.M)
    build = json.loads(text)["build"]
    for source in re.findall(r"^COPY (\S+) ", (directory / build["dockerfile"]).read_text(), re.M):
        if not (directory / build["context"] / source).exists():
            yield f".devcontainer copies {source}, which is not there"


def main(root):
    sys.exit("\n".join([*workflows(root), *issue_forms(root), *container(root)]) or 0)


main(pathlib.Path(sys.argv[1]))
