#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-verify-runbook.py RUNBOOK: the steps of dlm-freeze-verify.yaml, interpreted from the document against simulated services:
whatever fails, the volumes that it made are detached and deleted, those of others are left alone, and nobody is told that a set is
good that was not found so."""

import copy
import datetime
import functools
import pathlib
import re
import sys
import types
import unittest

import yaml

import cloudformation
from automation import Interpreter, Killed, ServiceError

RUNBOOK = pathlib.Path(sys.argv[1])
TEXT = RUNBOOK.read_text()
EXECUTION = "014bd37f-dac5-497f-8521-78803ce6c76f"
VERIFIER, SOURCE = "i-0000000000000000a", "i-0000000000000000b"
POLICY = "policy-0123456789abcdef0"
RESTORED = "arn:aws:ec2:us-east-1:123456789012:volume/vol-0000000000000aaaa"
STEPS = ["make", "start", "wait", "clean", "report"]


def moment(minutes):
    return datetime.datetime(2026, 11, 30, 3, 0, tzinfo=datetime.timezone.utc) + datetime.timedelta(minutes=minutes)


class World:
    """Volumes, snapshots, two instances and a command. A volume is attached and detached some seconds after it was asked for; one that
    a check has open is not detached before that ends."""

    def __init__(self, code=0, failing_call=None, failure=ServiceError, takes=900, status=None, output=None):
        self.now, self.calls = 0.0, 0
        self.failing_call, self.failure = failing_call, failure
        self.code, self.takes, self.status, self.output = code, takes, status, output
        self.instances = {
            VERIFIER: {"InstanceId": VERIFIER, "RootDeviceName": "/dev/xvda", "Placement": {"AvailabilityZone": "us-east-1a"},
                       "BlockDeviceMappings": [self.mapping("/dev/xvda", "vol-root"), self.mapping("/dev/sdf", "vol-scratch")]},
            SOURCE: {"InstanceId": SOURCE, "RootDeviceName": "/dev/xvda", "Placement": {"AvailabilityZone": "us-east-1b"},
                     "BlockDeviceMappings": [self.mapping("/dev/xvda", "vol-boot"), self.mapping("/dev/sdf", "vol-data"), self.mapping("/dev/sdg", "vol-logs")]},
        }  # fmt: skip
        self.snapshots = [self.snapshot(volume, minutes) for minutes in (0, 60) for volume in ("vol-data", "vol-logs", "vol-boot")]
        self.volumes = {"vol-scratch": self.volume("us-east-1a", {}, VERIFIER), "vol-other": self.volume("us-east-1a", {"dlm-freeze:verify": "another"}, None),
                        RESTORED.split("/")[-1]: self.volume("us-east-1a", {"awsbackup-restore-test": "x"}, None)}  # fmt: skip
        self.made, self.checked, self.answers, self.told = [], None, [], []
        self.command_begin = self.command_end = None

    @staticmethod
    def mapping(name, volume):
        return {"DeviceName": name, "Ebs": {"VolumeId": volume}}

    @staticmethod
    def snapshot(volume, minutes, **tags):
        tags = {"aws:dlm:lifecycle-policy-id": POLICY, "aws:dlm:pre-script": "SUCCESS", "aws:dlm:post-script": "SUCCESS", **tags}
        return {"SnapshotId": f"snap-{volume}-{minutes}", "VolumeId": volume, "State": "completed", "StartTime": moment(minutes), "tags": tags}

    def volume(self, zone, tags, instance, snapshot=None):
        return {"zone": zone, "tags": tags, "instance": instance, "snapshot": snapshot, "since": -1e9, "device": None, "wanted": instance}

    def call(self):
        self.now += 0.1
        self.calls += 1
        if self.calls - 1 == self.failing_call:
            raise self.failure("a call fails")
        for one in self.volumes.values():
            is_open = self.command_begin is not None and self.now < self.command_end
            if one["wanted"] != one["instance"] and self.now - one["since"] > 2 and not (is_open and one["wanted"] is None):
                one["instance"] = one["wanted"]

    def describe_instances(self, InstanceIds):
        self.call()
        return {"Reservations": [{"Instances": [copy.deepcopy(self.instances[id])]} for id in InstanceIds]}

    def get_paginator(self, operation):
        assert operation == "describe_snapshots"
        return types.SimpleNamespace(paginate=self.describe_snapshots)

    def describe_snapshots(self, OwnerIds, Filters):
        self.call()
        found = self.snapshots
        for one in Filters:
            value = lambda snapshot: snapshot["VolumeId"] if one["Name"] == "volume-id" else snapshot["tags"].get(one["Name"].removeprefix("tag:"))
            found = [snapshot for snapshot in found if value(snapshot) in one["Values"]]
        yield {"Snapshots": found[:1]}
        yield {"Snapshots": found[1:]}

    def create_volume(self, SnapshotId, AvailabilityZone, VolumeType, TagSpecifications):
        ((kind, tags),) = [(one["ResourceType"], one["Tags"]) for one in TagSpecifications]
        assert kind == "volume" and VolumeType == "gp3"
        id = f"vol-{len(self.made):017x}"
        self.volumes[id] = self.volume(AvailabilityZone, {tag["Key"]: tag["Value"] for tag in tags}, None, SnapshotId)
        self.made.append(id)
        self.call()  # It is made, even where nobody is told.
        return {"VolumeId": id}

    def describe_volumes(self, VolumeIds=None, Filters=None):
        self.call()
        if Filters:
            ((key, values),) = [(one["Name"].removeprefix("tag:"), one["Values"]) for one in Filters]
            VolumeIds = [id for id, one in self.volumes.items() if one["tags"].get(key) in values]
        return {"Volumes": [self.described(id) for id in VolumeIds]}

    def described(self, id):
        one = self.volumes[id]
        attachments = [{"InstanceId": one["instance"]}] if one["instance"] else []
        return {"VolumeId": id, "State": "in-use" if attachments else "available", "Attachments": attachments}

    def attach_volume(self, VolumeId, InstanceId, Device):
        self.call()
        one = self.volumes[VolumeId]
        used = [mapping["DeviceName"] for mapping in self.instances[InstanceId]["BlockDeviceMappings"]]
        assert one["instance"] is None and one["zone"] == self.instances[InstanceId]["Placement"]["AvailabilityZone"]
        assert Device not in used + [other["device"] for other in self.volumes.values()]
        one.update(wanted=InstanceId, since=self.now, device=Device)

    def detach_volume(self, VolumeId, InstanceId):
        self.call()
        one = self.volumes[VolumeId]
        assert one["instance"] == InstanceId
        if one["wanted"] is not None:
            one.update(wanted=None, since=self.now, device=None)

    def delete_volume(self, VolumeId):
        self.call()
        if self.volumes[VolumeId]["instance"] or self.volumes[VolumeId]["wanted"]:
            raise ServiceError("VolumeInUse")
        del self.volumes[VolumeId]

    def send_command(self, DocumentName, InstanceIds, TimeoutSeconds, Comment, Parameters):
        assert DocumentName == "dlm-freeze-check" and InstanceIds == [VERIFIER]
        (volumes,) = Parameters["volumes"]
        self.checked, self.comment = volumes.split(","), Comment
        assert all(self.volumes[id]["instance"] == VERIFIER for id in self.checked)
        self.command_begin, self.command_end = self.now, self.now + self.takes
        self.call()
        return {"Command": {"CommandId": "c0mmand"}}

    def list_commands(self, InstanceId, Filters):
        self.call()
        assert InstanceId == VERIFIER and Filters == [{"key": "ExecutionStage", "value": "Executing"}]
        runs = self.command_begin is not None and self.now < self.command_end
        others = [{"CommandId": "another", "Comment": "dlm-freeze other"}]
        return {"Commands": others + ([{"CommandId": "c0mmand", "Comment": self.comment}] if runs else [])}

    def cancel_command(self, CommandId, InstanceIds):
        self.call()
        assert CommandId == "c0mmand"
        self.command_end, self.status = self.now, "Cancelled"

    def list_command_invocations(self, CommandId, Details=False):
        self.call()
        if self.now < self.command_begin + 1:
            return {"CommandInvocations": []}
        has_ended = self.now >= self.command_end
        status = (self.status or ("Failed" if self.code else "Success")) if has_ended else "InProgress"
        output = self.output if self.output is not None else "INFO: check starting: vol\nGOOD or not"
        plugins = [{"ResponseCode": self.code if has_ended else -1, "Output": output}] if Details else []
        return {"CommandInvocations": [{"InstanceId": VERIFIER, "Status": status, "CommandPlugins": plugins}]}

    def put_restore_validation_result(self, RestoreJobId, ValidationStatus, ValidationStatusMessage):
        self.call()
        self.answers.append((RestoreJobId, ValidationStatus))

    def publish(self, TopicArn, Subject, Message):
        self.call()
        assert len(Subject) <= 100
        self.told.append(Subject)


parsed = functools.lru_cache(yaml.safe_load)


def run(world, text=TEXT, failing_step=None, **parameters):
    if "RestoredVolume" not in parameters:
        parameters = {"SourceInstanceId": SOURCE, "PolicyId": POLICY, **parameters}
    parameters = {"InstanceId": VERIFIER, "TopicArn": "arn:aws:sns:us-east-1:123456789012:dlm-freeze", **parameters}
    interpreter = Interpreter(parsed(text), world, parameters, failing_step, EXECUTION)
    interpreter.good = interpreter.run()
    return interpreter


def restore_test(world, **more):
    return run(world, RestoredVolume=RESTORED, RestoreJobId="job-1", **more)


def complaints(world, interpreter, may_be_left=False):
    """What must never be, after a run."""
    left = [id for id in world.made if id in world.volumes]
    if left and not may_be_left:
        yield f"volumes are left: {left}"
    if left and interpreter.good:
        yield "volumes are left, and it succeeded"
    attached = [id for id, one in world.volumes.items() if one["instance"] == VERIFIER and id != "vol-scratch"]
    if attached and not may_be_left:
        yield f"volumes are attached: {attached}"
    if not {"vol-scratch", "vol-other", RESTORED.split("/")[-1]} <= set(world.volumes):
        yield "a volume of others was deleted"
    if world.volumes.get("vol-scratch", {}).get("instance") != VERIFIER:
        yield "a volume of others was detached"
    is_good = world.checked is not None and world.code == 0 and world.status is None and world.output is None
    said_good = interpreter.good or any(": good" in one for one in world.told) or ("job-1", "SUCCESSFUL") in world.answers
    if said_good and not is_good:
        yield "it was said to be good"
    if not interpreter.good and not world.told and "report" in interpreter.ran and world.failing_call is None and interpreter.failing_step != "report":
        yield "nobody was told"


class TheRunbook(unittest.TestCase):
    def check(self, world, interpreter, **how):
        self.assertEqual(list(complaints(world, interpreter, **how)), [])

    def test_checks_the_newest_run_of_all_volumes_but_the_roots(self):
        world = World()
        interpreter = run(world)
        self.assertTrue(interpreter.good)
        self.assertEqual(interpreter.ran, STEPS)
        self.assertEqual(world.checked, world.made)
        self.assertEqual(len(world.made), 2)
        self.assertEqual(world.told, [f"dlm-freeze verify: good: {SOURCE}"])
        self.assertEqual(world.answers, [])
        self.check(world, interpreter)

    def made_of(self, change, **parameters):
        world = World()
        snapshots = []
        create = world.create_volume
        world.create_volume = lambda **arguments: (snapshots.append(arguments["SnapshotId"]), create(**arguments))[1]
        change(world)
        interpreter = run(world, **parameters)
        self.check(world, interpreter)
        return snapshots

    def test_chooses_a_run_of_which_all_is_there(self):
        def unfinished(world):
            next(one for one in world.snapshots if one["SnapshotId"] == "snap-vol-logs-60")["State"] = "pending"

        def failed(world):
            for one in world.snapshots[3:]:
                one["tags"]["aws:dlm:post-script"] = "FAILED"

        def none(world):
            world.snapshots.clear()

        newest, older = ["snap-vol-data-60", "snap-vol-logs-60"], ["snap-vol-data-0", "snap-vol-logs-0"]
        self.assertEqual(self.made_of(lambda _: None), newest)
        self.assertEqual(self.made_of(unfinished), older)
        self.assertEqual(self.made_of(failed), older)
        self.assertEqual(self.made_of(failed, PolicyId=""), newest)
        self.assertEqual(self.made_of(none), [])

    def test_tells_what_was_found(self):
        for code, word in ((1, "BAD"), (2, "not all could be checked"), (137, "not checked")):
            world = World(code)
            interpreter = run(world)
            self.assertFalse(interpreter.good)
            self.assertEqual(world.told, [f"dlm-freeze verify: {word}: {SOURCE}"])
            self.check(world, interpreter)

    def test_takes_no_check_for_good_that_did_not_run(self):
        for world in (World(output=""), World(status="TimedOut"), World(status="Cancelled"), World(takes=1e9)):
            interpreter = run(world)
            self.assertFalse(interpreter.good)
            self.assertEqual(world.told, [f"dlm-freeze verify: not checked: {SOURCE}"])
            self.check(world, interpreter)

    def test_answers_a_restore_test_and_leaves_its_volume_to_aws_backup(self):
        for code, answers in ((0, [("job-1", "SUCCESSFUL")]), (1, [("job-1", "FAILED")]), (2, [])):
            world = World(code)
            interpreter = restore_test(world)
            self.assertEqual((interpreter.good, world.answers, world.made), (code == 0, answers, []))
            self.assertEqual(world.checked, [RESTORED.split("/")[-1]])
            self.check(world, interpreter)

    def test_each_step_may_fail(self):
        for start in (run, restore_test):
            for step in STEPS:
                with self.subTest(step, how=start.__name__):
                    world = World()
                    interpreter = start(world, failing_step=step)
                    self.assertFalse(interpreter.good)
                    self.check(world, interpreter, may_be_left=step == "clean")

    def test_each_call_may_fail_and_the_step_be_killed_at_it(self):
        for start in (run, restore_test):
            whole = World()
            steps = self.step_of_each_call(start, whole)
            for failure in (ServiceError, Killed):
                for call in range(whole.calls):
                    with self.subTest(call=call, step=steps[call], failure=failure.__name__, how=start.__name__):
                        world = World(failing_call=call, failure=failure)
                        interpreter = start(world)
                        # Nobody but its own step cleans up: killed there, it says so.
                        is_lost = failure is Killed and steps[call] == "clean"
                        self.check(world, interpreter, may_be_left=is_lost)
                        if steps[call] != "clean" or is_lost:
                            self.assertFalse(interpreter.good)

    @staticmethod
    def step_of_each_call(start, world):
        steps, call = [], world.call
        ran = []

        def noting():
            steps.append(ran[0].ran[-1])
            call()

        world.call = noting
        original = Interpreter.run
        try:
            Interpreter.run = lambda self: (ran.insert(0, self), original(self))[1]
            start(world)
        finally:
            Interpreter.run = original
        return steps

    def test_is_found_out_where_a_part_of_it_is_missing(self):
        broken = {
            "onFailure: step:clean": "onFailure: Abort",
            "attempt(ec2.delete_volume, VolumeId=volume[\"VolumeId\"])": "pass",
            "attempt(ec2.detach_volume, VolumeId=volume[\"VolumeId\"], InstanceId=events[\"instance\"])": "pass",
            "attempt(ssm.cancel_command, CommandId=one[\"CommandId\"], InstanceIds=[events[\"instance\"]])": "pass",
            "\"Filters\" in look and ": "",
            ' or "INFO: check starting" not in text': "",
            "has_ended = bool(listed) and": "has_ended = True or",
            "if code != 0 or left:": "if False:",
            "events[\"job\"] and code in (0, 1)": "events[\"job\"]",
        }  # fmt: skip
        whole = World()
        run(whole)
        for part, without in broken.items():
            with self.subTest(part):
                self.assertIn(part, TEXT)
                text = TEXT.replace(part, without)
                found = []
                worlds = [World(code) for code in (0, 1, 2)] + [World(output=""), World(status="TimedOut"), World(takes=1e9)]
                worlds += [World(failing_call=call, failure=kind) for call in range(whole.calls) for kind in (ServiceError, Killed)]
                for world in worlds:
                    for start in (run, restore_test):
                        one = copy.deepcopy(world)
                        interpreter = start(one, text=text)
                        may_be_left = one.failure is Killed
                        found += complaints(one, interpreter, may_be_left)
                        if one.code == 2 and one.answers:
                            found.append("what was not checked was answered")
                self.assertTrue(found)


class TheDocument(unittest.TestCase):
    KEYS = {"name", "action", "timeoutSeconds", "onFailure", "onCancel", "nextStep", "isEnd", "inputs", "outputs"}

    def setUp(self):
        self.document = yaml.safe_load(TEXT)

    def test_has_what_automation_knows(self):
        self.assertEqual(self.document["schemaVersion"], "0.3")
        self.assertLessEqual(set(self.document), {"schemaVersion", "description", "assumeRole", "parameters", "mainSteps"})
        self.assertEqual([step["name"] for step in self.document["mainSteps"]], STEPS)
        for step in self.document["mainSteps"]:
            self.assertLessEqual(set(step), self.KEYS)
            self.assertIn(step["action"], ("aws:executeScript", "aws:waitForAwsResourceProperty"))
            self.assertTrue(step.get("isEnd") or step["nextStep"] in STEPS)
            if step["action"] == "aws:executeScript":
                self.assertLessEqual(step["timeoutSeconds"], 600)  # of a script, ten minutes

    def test_cleans_up_after_each_step_before_that_also_when_it_is_cancelled(self):
        for step in self.document["mainSteps"][: STEPS.index("clean")]:
            self.assertEqual((step["onFailure"], step["onCancel"]), ("step:clean", "step:clean"))

    def test_waits_longer_than_the_command_may_take(self):
        command = yaml.safe_load((RUNBOOK.parent / "dlm-freeze-check.yaml").read_text())
        (wait,) = [step for step in self.document["mainSteps"] if step["name"] == "wait"]
        self.assertGreater(wait["timeoutSeconds"], int(command["mainSteps"][0]["inputs"]["timeoutSeconds"]))

    def test_uses_every_parameter_and_no_other(self):
        used = set(re.findall(r"{{ *([\w:.]+) *}}", TEXT))
        outputs = {f"{step['name']}.{one['Name']}" for step in self.document["mainSteps"] for one in step.get("outputs", [])}
        self.assertEqual(used, set(self.document["parameters"]) | outputs | {"automation:EXECUTION_ID"})

    def test_is_small_enough(self):
        self.assertLess(len(TEXT), 64 * 1024)


class TheStack(unittest.TestCase):
    """The rest of verify.yaml: check-organization.py."""

    def setUp(self):
        self.resources = cloudformation.load(RUNBOOK.parent.parent / "aws/verify.yaml")["Resources"]

    def test_has_the_documents(self):
        for name, file in (("Runbook", RUNBOOK.name), ("CheckDocument", "dlm-freeze-check.yaml")):
            document = yaml.safe_load((RUNBOOK.parent / file).read_text())
            self.assertEqual(self.resources[name]["Properties"]["Content"], document)

    def test_lets_the_runbook_do_what_it_does_and_no_more(self):
        (policy,) = self.resources["RunbookRole"]["Properties"]["Policies"]
        statements = policy["PolicyDocument"]["Statement"]
        as_list = lambda value: value if isinstance(value, list) else [value]
        allowed = {action for one in statements for action in as_list(one["Action"])}
        calls = re.findall(r"""(ssm|ec2|"backup"|"sns")\)?[.]((?:send|list|cancel|describe|create|attach|detach|delete|put)_\w+|publish)""", TEXT)
        calls = {f"{client.strip(chr(34))}:{''.join(word.title() for word in call.split('_'))}" for client, call in calls}
        # Describing snapshots is by a paginator; a volume is tagged as it is made.
        self.assertEqual(allowed, calls | {"ec2:DescribeSnapshots", "ec2:CreateTags"})
        for one in statements:
            changes = [action for action in as_list(one["Action"]) if not re.search(":(List|Describe|Put|Cancel)", action)]
            if changes and one["Sid"] not in ("SendTheDocument", "FromSnapshots", "Tell"):
                self.assertIn("Condition", one)
                self.assertNotEqual(one["Resource"], "*")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
