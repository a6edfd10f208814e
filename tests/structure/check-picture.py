#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-picture.py ROOT: bench/picture draws a run, every freezer of it, and says who is missing; and one of bench/scale."""

import json
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

RUN = {
    "run": {"Linux": "6.1", "rounds": 2},
    "freeze 1": {"floor": [[0.04, 0.01], [0.05, 0.01]], "dlm-freeze": [[0.009, 0.01]], "A & B": [[0.1, 0.1]]},
    "1 ext4, a writer on each": {"no syncfs": [[0.2, 0.2]], "dlm-freeze": [[0.05, 0.05]], "sample": [[1.5, 2]]},
    "idle": {"memory": {"1": [2, 3]}},
    "mounts 10": [[0.1, 0.1]],
}
SCALE = {"run": {"rounds": 1}, "scale mounts": {"10": [{"pre-script": 0.01, "VmRSS": 9.5}], "10000": [{"pre-script": 1.2, "VmRSS": 55}]}}
WORDS_OF_SCALE = {"A session, by the number of mounts, with two filesystems", "10,000", "1,200 ms", "9.5 MB"}
WORDS = {"1 ext4 filesystem, 8 MB dirty on each", "9.0 ms", "45 ms", "A & B", "1,500 ms", "Linux 6.1, rounds 2", "a busy machine",
         "Not measured for how long it takes: qemu-guest-agent, published sample script.",
         "Not measured for how long writers are blocked: qemu-guest-agent."}  # fmt: skip


def words_drawn(root, measured):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as run:
        json.dump(measured, run)
        run.flush()
        picture = [root / "bench/picture", "--note", "a busy machine", run.name]
        svg = subprocess.run(picture, check=True, capture_output=True, text=True).stdout
    return {element.text for element in xml.etree.ElementTree.fromstring(svg).iter() if element.text}


def main(root):
    missing = (WORDS - words_drawn(root, RUN)) | (WORDS_OF_SCALE - words_drawn(root, SCALE))
    sys.exit("\n".join(f"not in the picture: {word}" for word in sorted(missing)) or 0)


main(pathlib.Path(sys.argv[1]))
