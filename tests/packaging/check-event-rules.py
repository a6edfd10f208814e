#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-event-rules.py PACKAGING: whatever Data Lifecycle Manager may say of a script that failed, exactly one rule of the
template and of the module takes it, and that of an exit code only where the text ends in that code."""

import json
import pathlib
import random
import re
import sys
import unittest

import cloudformation
import hcl
from event_pattern import LONGEST, matches

PACKAGING = pathlib.Path(sys.argv[1])
CODES = ["201", "202", "203", "204", "205", "206"]
EVENTS = 1000

# What a text ends in that names a code: what dlm-freeze and AWS's samples print, what the SSM agent adds, and how a sentence
# may put it.
ENDS = [
    "ERROR: /data: Input/output error. Return Error Code: {}",
    "ERROR: /data: Input/output error. Return Error Code: {}\n",
    "Return Error Code: {}\nfailed to run commands: exit status {}",
    "failed to run commands: exit status {}",
    "The pre script failed with exit code {}.",
    "Script failed (exit code: {})",
    "Command failed, status: {}",
    "Failed: ResponseCode={}",
    "Failed (ExitStatus={})",
    "Response Code {}",
]
# Ends of texts without a code, every one full of digits that look like one. Those of the last lines name a code that is another's.
OTHER_ENDS = [
    "The command timed out",
    "",
    "Undeliverable: i-0{d}",
    "Cancelled at {date}",
    "Delivery timed out for account {account}",
    "snapshot snap-0{d} of {date}, {account}",
    "timed out after {code} seconds",
    "{account}",
    "{code}",
    "failed to run commands: exit status 137",
    "Return Error Code: 1",
    "exit code 20",
    "exit code 200",
    "exit code 207.",
    "Error Code: {code}3 Lost connection to MySQL server during query",
    "Error Code: {code}3",
    "status {date}",
    "failed with status code {account}",
    "exit code {code}, see the history of {date}",
]


def rules_of_cloudformation():
    rules = cloudformation.of_type(cloudformation.load(PACKAGING / "aws/cloudformation.yaml"), "AWS::Events::Rule")
    return {name[-3:] if name.startswith("ExitCode") else "other": rule["EventPattern"] for name, rule in rules.items()}


def rules_of_terraform():
    """By the expressions of main.tf, which have to be exactly those that are read here."""
    local = hcl.parse((PACKAGING / "aws/terraform/main.tf").read_text()).one("locals").attributes
    rule = hcl.parse((PACKAGING / "aws/terraform/notifications.tf").read_text()).blocks["resource"]
    (pattern,) = [one.attributes["event_pattern"] for one in rule if one.labels[0] == "aws_cloudwatch_event_rule"]
    assert " ".join(pattern.split()) == (
        'jsonencode({ source = ["aws.dlm"] detail-type = ["DLM Pre Post Script Notification"] detail = each.value.detail })'
    )
    assert " ".join(local["code_at_end"].split()) == (
        "{ for code in keys(local.exit_codes) : code => [ for around in setproduct(local.before_code, local.after_code) : "
        '"${around[0]}${code}${around[1]}" ] }'
    )
    failures = " ".join(local["failures"].split())
    assert "detail = { cause = [for end in local.code_at_end[code] : { suffix = end }] }" in failures
    assert "cause = [{ exists = false }, { anything-but = { suffix = flatten(values(local.code_at_end)) } }]" in failures
    successes = json.loads(re.search(r"result = \[{ anything-but = { equals-ignore-case = (\[.*?\]) } }\]", failures)[1])

    before, after = json.loads(local["before_code"]), json.loads(local["after_code"])
    ends = {
        code: [first + code + last for first in before for last in after]
        for code in re.findall(r'"(\d+)" =', local["exit_codes"])
    }
    details = {code: {"cause": [{"suffix": end} for end in of_code]} for code, of_code in ends.items()}
    details["other"] = {
        "result": [{"anything-but": {"equals-ignore-case": successes}}],
        "cause": [{"exists": False}, {"anything-but": {"suffix": sum(ends.values(), [])}}],
    }
    head = {"source": ["aws.dlm"], "detail-type": ["DLM Pre Post Script Notification"]}
    return {name: {**head, "detail": detail} for name, detail in details.items()}


def event(cause, result="failed", **more):
    detail = {"cause": cause, "result": result, "script_stage": "pre-script", **more}
    return {"source": "aws.dlm", "detail-type": "DLM Pre Post Script Notification", "detail": detail}


class Noise:
    """Text of the same seed is the same."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def digits(self, count):
        """Many of them a code."""
        return "".join(self.random.choice(CODES + ["0", "1", "2", "9"]) for _ in range(count))[:count]

    def fill(self, text):
        date = f"20{self.random.randint(20, 29)}-{self.digits(2)}-{self.digits(2)}T20:{self.digits(2)}:06.{self.digits(3)}Z"
        return text.format(d=self.digits(16), date=date, account=self.digits(12), code=self.random.choice(CODES))

    def beginning(self):
        parts = ["{date} ", "i-0{d}: ", "account {account}: ", "execution {d}, ", "attempt {code} of policy-0{d}: ", ""]
        return "".join(self.fill(part) for part in self.random.sample(parts, 3))


class Rules:
    def told(self, one):
        return [name for name, pattern in self.rules.items() if matches(pattern, one)]

    def test_takes_each_of_1000_failures_once_and_by_its_code(self):
        noise = Noise(0)
        for number in range(EVENTS):
            code = noise.random.choice(CODES + ["other"])
            end = noise.fill(noise.random.choice(OTHER_ENDS)) if code == "other" else noise.random.choice(ENDS).replace("{}", code)
            result = noise.random.choice(["failed", "FAILURE", "error", "Timed out"])
            one = event(noise.beginning() + end, result, source=noise.fill("arn:aws:ec2:eu-west-1:{account}:instance/i-0{d}"))
            self.assertEqual(self.told(one), [code], f"event {number}: {one}")

    def test_takes_every_wording_of_every_code(self):
        for code in CODES:
            for end in ENDS:
                self.assertEqual(self.told(event(end.replace("{}", code))), [code])

    def test_takes_no_success_and_nothing_of_others(self):
        for result in ("success", "SUCCESS", "Completed", "started"):
            self.assertEqual(self.told(event("", result)), [])
        self.assertEqual(self.told({**event("exit status 201"), "source": "aws.ec2"}), [])

    def test_takes_an_event_that_lacks_a_field(self):
        without_result = event("exit status 203")
        del without_result["detail"]["result"]
        self.assertEqual(self.told(without_result), ["203"])
        without_cause = event("")
        del without_cause["detail"]["cause"]
        self.assertEqual(self.told(without_cause), ["other"])

    def test_has_patterns_that_eventbridge_takes(self):
        self.assertEqual(set(self.rules), {*CODES, "other"})
        for name, pattern in self.rules.items():
            self.assertLessEqual(len(json.dumps(pattern, separators=(",", ":"))), LONGEST, name)


class CloudFormation(Rules, unittest.TestCase):
    rules = rules_of_cloudformation()


class Terraform(Rules, unittest.TestCase):
    rules = rules_of_terraform()

    def test_has_the_same_rules_as_the_template(self):
        self.assertEqual(self.rules, CloudFormation.rules)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
