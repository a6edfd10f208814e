# SPDX-License-Identifier: Apache-2.0
"""dlm-freeze as the demo runs it: with a configuration that names the demo's own filesystems and nothing else."""

import json

from screen import Failed, quietly, run
from stage import STAGE

AUTO_THAW = 20  # seconds: when the agent thaws by itself
LIMIT = 40  # seconds: when the guard does


def configure(mount_points, quiescers):
    text = {
        "filesystems": {"include": [str(point) for point in mount_points]},
        "quiescers": quiescers,
    }
    (STAGE / "demo.json").write_text(json.dumps(text, indent=2) + "\n")
    run("cat demo.json")


def dry_run(mount_points):
    """Shows it, and makes sure that nothing but these would be frozen."""
    run("dlm-freeze --config demo.json dry-run")
    plan = json.loads(quietly("dlm-freeze", "--config", "demo.json", "dry-run", "--json"))
    chosen = {mount["mount_point"] for mount in plan["mounts"] if mount["verdict"] == "freeze"}
    if chosen != {str(point) for point in mount_points}:
        names = ", ".join(sorted(chosen)) or "nothing"
        raise Failed(f"demo: {names} would be frozen, which is not what the demo made; nothing was done")


def pre_script(guard):
    guard.arm(LIMIT)
    run(f"dlm-freeze --config demo.json pre-script --auto-thaw {AUTO_THAW}")


def post_script(guard):
    run("dlm-freeze post-script")
    guard.disarm()


def facts():
    """What the session that is held has recorded of the database."""
    session = json.loads(quietly("dlm-freeze", "status", "--json"))["session"]
    return {key: value for quiescer in session["quiescers"] for key, value in quiescer["facts"].items()}
