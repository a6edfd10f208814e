#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-runbook.py RUNBOOK: the steps of dlm-freeze-cut.yaml, interpreted from the document against simulated hosts and services
on a clock of the test's own: whatever fails, nothing stays frozen beyond its deadline, everybody who can be told is told to
release, and no set that is not one point in time is tagged as proven.

The hosts keep the rules of dlm-freeze (exit codes, deadline, a post-script by id); the services those of Run Command and EC2.
What Automation itself does with a document is here as its documentation says; it was never run there."""

import datetime
import functools
import os
import pathlib
import random
import re
import sys
import types
import unittest

import yaml

from automation import Interpreter, Killed, ServiceError

RUNBOOK = pathlib.Path(sys.argv[1])
TEXT = RUNBOOK.read_text()
GROUP = "014bd37f-dac5-497f-8521-78803ce6c76f"
SEEDS = 60 * int(os.environ.get("DLM_FREEZE_TEST_ROUNDS", 1))
HOLD = 30


class Host:
    """An instance with dlm-freeze; `faults` says how it misbehaves."""

    def __init__(self, faults):
        self.faults = faults
        self.held_from = self.held_until = self.deadline = None
        self.code = None  # Of the post-script that ended the session.
        self.told = False

    def pre_script(self, now, hold_at):
        """(exit code, when)"""
        late = self.faults.get("late", 0)
        code = self.faults.get("pre", 0)
        if code:
            return code, now + 1
        begin = max(hold_at, now) + late
        if late > 0.5:
            return 201, begin
        self.held_from, self.deadline = begin, hold_at + HOLD
        if "expires" in self.faults:
            self.deadline = begin + self.faults["expires"]
        return 0, begin + 0.05

    def is_held(self, now):
        return self.held_from is not None and self.held_from <= now < self.end()

    def end(self):
        return min(self.deadline, self.held_until if self.held_until is not None else self.deadline)

    def post_script(self, now):
        self.told = True
        if self.held_from is None:
            return 205
        if self.held_until is None:
            self.held_until = now
            # One that comes before the hold has begun ends the session, and pre-script says so.
            self.code = 201 if now < self.held_from else 203 if now >= self.deadline else self.faults.get("post", 0)
            return self.code
        return 0 if self.code == 0 else 205


class World:
    """The hosts, what the services know, and the time."""

    def __init__(self, count, faults=None, failing_call=None, failure=ServiceError):
        self.now = 1_796_004_000.0
        self.hosts = {f"i-{number:017x}": Host((faults or {}).get(number, {})) for number in range(count)}
        self.commands, self.lines, self.snapshots, self.new_state = {}, {}, [], "completed"
        self.calls, self.failing_call, self.failure = 0, failing_call, failure

    def call(self):
        self.now += 0.05
        self.calls += 1
        if self.calls - 1 == self.failing_call:
            raise self.failure("a call fails")

    def send_command(self, DocumentName, InstanceIds, Parameters, **_):
        self.call()
        command = f"command {len(self.commands)}"
        values = {name: value[0] for name, value in Parameters.items()}
        assert values["group"] == GROUP and DocumentName == "dlm-freeze-group"
        self.commands[command] = {instance: self.start(self.hosts[instance], values) for instance in InstanceIds}
        self.lines[command] = f"INFO: {values['command']} starting at"
        return {"Command": {"CommandId": command}}

    def start(self, host, values):
        """(exit code or None, when)"""
        at = self.now + host.faults.get("delay", 0.3)
        if values["command"] in host.faults.get("unreachable", ()):
            return None, at
        if values["command"] == "status" or host.faults.get("skipped"):
            return 0, at
        if values["command"] == "pre-script":
            hold_at = datetime.datetime.strptime(values["holdAt"], "%Y-%m-%dT%H:%M:%S%z").timestamp()
            assert hold_at - self.now + 0.3 < float(values["timeout"]) <= 120
            assert float(values["autoThaw"]) == HOLD
            return host.pre_script(at, hold_at)
        return host.post_script(at), at + 0.1

    def list_command_invocations(self, CommandId, MaxResults, Details, NextToken="0"):
        self.call()
        assert Details and MaxResults <= 50
        begin, size = int(NextToken), 20  # A page may have fewer than were asked for.
        shown = list(self.commands[CommandId].items())
        page = [self.invocation(instance, self.lines[CommandId], *answer) for instance, answer in shown[begin : begin + size]]
        return {"CommandInvocations": page, **({"NextToken": str(begin + size)} if begin + size < len(shown) else {})}

    def invocation(self, instance, line, code, at):
        if code is None or at > self.now:
            return {"InstanceId": instance, "Status": "InProgress", "CommandPlugins": []}
        output = "Step execution skipped" if self.hosts[instance].faults.get("skipped") else line
        plugin = {"ResponseCode": code, "Output": output}
        return {"InstanceId": instance, "Status": "Failed" if code else "Success", "CommandPlugins": [plugin]}

    def create_snapshots(self, InstanceSpecification, TagSpecifications, Description):
        self.call()
        host = self.hosts[InstanceSpecification["InstanceId"]]
        if host.faults.get("snapshot"):
            raise ServiceError("RequestLimitExceeded")
        tags = {tag["Key"]: tag["Value"] for tag in TagSpecifications[0]["Tags"]}
        snapshot = {"SnapshotId": f"snap-{len(self.snapshots)}", "host": host, "time": self.now, "held": host.is_held(self.now), "tags": tags,
                    "state": self.new_state}  # fmt: skip
        self.snapshots.append(snapshot)
        return {"Snapshots": [{"SnapshotId": snapshot["SnapshotId"]}]}

    def create_tags(self, Resources, Tags):
        self.call()
        for snapshot in self.snapshots:
            if snapshot["SnapshotId"] in Resources:
                snapshot["tags"].update({tag["Key"]: tag["Value"] for tag in Tags})

    def get_paginator(self, operation):
        assert operation == "describe_snapshots"
        return types.SimpleNamespace(paginate=self.describe_snapshots)

    def describe_snapshots(self, OwnerIds, Filters):
        self.call()
        ((name, values),) = [(one["Name"], one["Values"]) for one in Filters]
        key = name.removeprefix("tag:")
        found = [one for one in self.snapshots if one["tags"].get(key) in values]
        yield {"Snapshots": [{"SnapshotId": one["SnapshotId"], "StartTime": one["time"], "State": one["state"],
                              "Tags": [{"Key": k, "Value": v} for k, v in one["tags"].items()]} for one in found]}  # fmt: skip

    def delete_snapshot(self, SnapshotId):
        self.call()
        self.snapshots = [one for one in self.snapshots if one["SnapshotId"] != SnapshotId]


parsed = functools.lru_cache(yaml.safe_load)


def run(world, text=TEXT, failing_step=None, **parameters):
    parameters = {"InstanceIds": list(world.hosts), "SetName": "shards", "HoldSeconds": str(HOLD), "Lead": "10", **parameters}
    interpreter = Interpreter(parsed(text), world, parameters, failing_step, GROUP)
    interpreter.good = interpreter.run()
    return interpreter


def proven(world):
    return [one for one in world.snapshots if one["tags"].get("dlm-freeze:cut") == "proven"]


def complaints(world, may_be_untold=False):
    """What must never be, after a run."""
    for host in world.hosts.values():
        if host.held_from is None:
            continue
        if host.end() > host.deadline:
            yield "frozen beyond the deadline"
        reachable = "post-script" not in host.faults.get("unreachable", ())
        if host.held_until is None and reachable and not may_be_untold:
            yield "a host that is held was not told to release"
    last_held = max(1e99 if host.held_from is None else host.held_from for host in world.hosts.values())
    if any(one["host"] is not None and one["time"] < last_held for one in world.snapshots):
        yield "a snapshot was asked for before all were held"
    good = proven(world)
    if not good:
        return
    if len({id(one["host"]) for one in good}) != len(world.hosts):
        yield "a host is not in the proven set"
    if not all(one["held"] for one in good):
        yield "a snapshot of the proven set was taken outside its hold"
    if any(host.code != 0 for host in world.hosts.values()):
        yield "a post-script of the proven set did not answer 0"


FAULTS = [{"skipped": True}, {"pre": 201}, {"pre": 204}, {"pre": 206}, {"late": 0.3}, {"late": 3}, {"expires": 0.5}, {"post": 202}, {"snapshot": True},
          {"unreachable": ("pre-script",)}, {"unreachable": ("post-script",)}, {"unreachable": ("pre-script", "post-script")}, {"delay": 5}, {"delay": 50}]  # fmt: skip
HARMLESS = [{"late": 0.3}, {"delay": 5}]


class TheRunbook(unittest.TestCase):
    def check(self, world, **how):
        self.assertEqual(list(complaints(world, **how)), [])

    def test_proves_a_set_of_up_to_fifty_hosts(self):
        for count in (1, 2, 32, 50):
            world = World(count)
            interpreter = run(world, Lead="40")
            self.assertTrue(interpreter.good)
            self.assertEqual(interpreter.ran, ["cut", "release", "prove", "retain"])
            self.assertEqual(len(proven(world)), count)
            self.check(world)
            self.assertLess(max(host.end() - host.held_from for host in world.hosts.values()), 6, "a hold is short")

    def test_refuses_more_hosts_or_one_twice(self):
        for instances in (list(World(51).hosts), ["i-00000000000000000"] * 2, []):
            world = World(51)
            self.assertFalse(run(world, InstanceIds=instances).good)
            self.assertEqual(proven(world), [])
            self.assertTrue(all(host.held_from is None for host in world.hosts.values()))

    def test_is_all_or_nothing_whatever_is_wrong_with_one_host(self):
        for fault in FAULTS:
            for number in (0, 31):
                with self.subTest(fault=fault, number=number):
                    world = World(32, {number: fault})
                    interpreter = run(world)
                    self.assertEqual(interpreter.good, fault in HARMLESS)
                    self.assertEqual(len(proven(world)), 32 if fault in HARMLESS else 0)
                    self.check(world)

    def test_each_step_may_fail(self):
        for step in ("cut", "release", "prove", "retain"):
            with self.subTest(step):
                world = World(8)
                interpreter = run(world, failing_step=step)
                self.assertEqual(interpreter.good, step == "release")
                self.assertEqual(bool(proven(world)), step in ("release", "retain"))
                self.check(world)

    def test_each_call_may_fail_and_the_step_be_killed_at_it(self):
        whole = World(8)
        run(whole)
        for failure in (ServiceError, Killed):
            for call in range(whole.calls):
                with self.subTest(call=call, failure=failure.__name__):
                    world = World(8, failing_call=call, failure=failure)
                    run(world)
                    self.check(world)

    def test_keeps_its_promise_with_any_faults_together(self):
        for seed in range(SEEDS):
            choice = random.Random(seed)
            faults = {number: choice.choice(FAULTS) for number in choice.sample(range(6), choice.randrange(4))}
            world = World(6, faults, choice.choice([None, choice.randrange(60)]), choice.choice([ServiceError, Killed]))
            run(world)
            with self.subTest(seed=seed):
                self.check(world)

    def test_is_found_out_where_a_part_of_it_is_missing(self):
        broken = {
            'require(answers(ssm, events, "pre-script", pre, lead + 15), "pre-script")': "time.sleep(lead + 1)",
            'require(answers(ssm, events, "post-script", post, 60), "post-script")': "pass",
            " and has_run": "",
            "onFailure: step:release": "onFailure: Abort",
            "command: post-script": "command: status",
            "[one for future in taken for one in future.result()]": "[one for future in taken[1:] for one in future.result()]",
        }  # fmt: skip
        whole = World(4)
        run(whole)
        for part, without in broken.items():
            with self.subTest(part):
                self.assertIn(part, TEXT)
                text = TEXT.replace(part, without)
                worlds = [World(4, {2: fault}) for fault in FAULTS] + [World(4, failing_call=call, failure=kind)
                          for call in range(whole.calls) for kind in (ServiceError, Killed)]  # fmt: skip
                found = []
                for world in worlds:
                    found += [one for one in self.outcome(world, text)]
                self.assertTrue(found)

    def outcome(self, world, text):
        fault = next((host.faults for host in world.hosts.values() if host.faults), None)
        good = run(world, text).good
        yield from complaints(world)
        if fault and good and fault not in HARMLESS:
            yield "it says that it succeeded"

    def test_keeps_as_many_proven_sets_as_it_is_told(self):
        world = World(2)
        for day in range(6):
            for host in world.hosts.values():
                host.__init__({"snapshot": True} if day == 3 else {})
            run(world, Keep="3")
            for one in world.snapshots:
                if one["tags"]["dlm-freeze:group"] == GROUP:
                    one["tags"]["dlm-freeze:group"] = f"day {day}"
            world.now += 86400
        self.assertEqual({one["tags"]["dlm-freeze:group"] for one in world.snapshots}, {"day 2", "day 4", "day 5"})
        world.snapshots.append({"SnapshotId": "snap-other", "time": 0, "tags": {"dlm-freeze:set": "other"}, "held": False, "host": None, "state": "completed"})
        for host in world.hosts.values():
            host.__init__({})
        run(world, Keep="1")
        self.assertIn("snap-other", [one["SnapshotId"] for one in world.snapshots])


    def test_deletes_no_good_set_for_one_that_is_not_completed(self):
        for state in ("pending", "error"):
            with self.subTest(state):
                world = World(2)
                run(world, Keep="1")
                for one in world.snapshots:
                    one["tags"]["dlm-freeze:group"] = "yesterday"
                world.now += 86400
                world.new_state = state
                run(world, Keep="1")
                self.assertEqual({one["tags"]["dlm-freeze:group"] for one in world.snapshots}, {"yesterday", GROUP})


class TheDocument(unittest.TestCase):
    KEYS = {"name", "action", "timeoutSeconds", "onFailure", "isCritical", "nextStep", "isEnd", "inputs", "outputs"}

    def setUp(self):
        self.document = yaml.safe_load(TEXT)

    def test_has_what_automation_knows(self):
        self.assertEqual(self.document["schemaVersion"], "0.3")
        self.assertLessEqual(set(self.document), {"schemaVersion", "description", "assumeRole", "parameters", "mainSteps"})
        names = {step["name"] for step in self.document["mainSteps"]}
        for step in self.document["mainSteps"]:
            self.assertLessEqual(set(step), self.KEYS)
            self.assertIn(step["action"], ("aws:executeScript", "aws:runCommand"))
            self.assertIn(step["onFailure"].removeprefix("step:"), names | {"Abort", "Continue"})
            self.assertTrue(step.get("isEnd") or step["nextStep"] in names)
            self.assertLessEqual(step["timeoutSeconds"], 600)  # of a script, ten minutes

    def test_uses_every_parameter_and_no_other(self):
        used = set(re.findall(r"{{ *([\w:.]+) *}}", TEXT))
        outputs = {f"{step['name']}.{one['Name']}" for step in self.document["mainSteps"] for one in step.get("outputs", [])}
        self.assertLessEqual(used, set(self.document["parameters"]) | outputs | {"automation:EXECUTION_ID"})
        self.assertLessEqual(set(self.document["parameters"]), used)

    def test_is_small_enough(self):
        self.assertLess(len(TEXT), 64 * 1024)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
