#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-workflows.py ROOT: the forge's workflows run each step of .ci/run, and no step that it does not have."""

import pathlib
import subprocess
import sys

try:
    import yaml
except ImportError:
    sys.exit(77)


def main(root):
    known = set(subprocess.run([root / ".ci/run", "--list"], check=True, capture_output=True, text=True).stdout.split())
    run = set()
    for path in sorted((root / ".github").rglob("*.yml")):
        jobs = yaml.safe_load(path.read_text()).get("jobs", {})
        for line in "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"]).splitlines():
            if line.startswith(".ci/run"):
                run |= set(line.split()[1:]) or known
    found = [f"no workflow runs {step}" for step in sorted(known - run)]
    found += [f".ci/run has no step {step}" for step in sorted(run - known)]
    sys.exit("\n".join(found) or 0)


main(pathlib.Path(sys.argv[1]))
