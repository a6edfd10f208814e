#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-ssm-documents.py DIRECTORY: the SSM documents keep the rules of the SSM agent and of Data Lifecycle Manager.

What their scripts do is tested by running them: tests/integration/ssm_documents_test.cpp."""

import os
import pathlib
import re
import subprocess
import unittest
import sys

import yaml

DIRECTORY = pathlib.Path(sys.argv.pop() if len(sys.argv) > 1 else "packaging/ssm")
PROGRAM = os.environ["DLM_FREEZE_BINARY"]
UUID = "014bd37f-dac5-497f-8521-78803ce6c76f"
# A parameter is pasted into the script without any quoting.
HOSTILE = ["", " ", "'", "None'; reboot; '", "$(reboot)", "`reboot`", "None\nreboot", "pre-script;reboot", "..", UUID + " "]


def documents():
    """Those for Run Command; check-runbook.py looks at the runbook."""
    every = {path.name: yaml.safe_load(path.read_text()) for path in sorted(DIRECTORY.glob("*.yaml"))}
    return {name: document for name, document in every.items() if document["schemaVersion"] != "0.3"}


def script_of(document):
    return "\n".join(document["mainSteps"][0]["inputs"]["runCommand"])


def allows(parameter, value):
    """By its pattern, which alone is enough: a service may check no list of values."""
    return re.search(parameter["allowedPattern"], value) is not None and "\n" not in value


class EveryDocument(unittest.TestCase):
    def each(self):
        self.assertGreaterEqual(len(documents()), 2)
        for name, document in documents().items():
            with self.subTest(name):
                yield document

    def test_is_one_shell_step_of_schema_2_2_for_linux(self):
        for document in self.each():
            self.assertEqual(set(document), {"schemaVersion", "description", "parameters", "mainSteps"})
            self.assertEqual(document["schemaVersion"], "2.2")  # a string: 2.2 alone would be a number
            self.assertEqual(len(document["mainSteps"]), 1)
            step = document["mainSteps"][0]
            self.assertEqual(set(step), {"action", "name", "precondition", "inputs"})
            self.assertEqual(step["action"], "aws:runShellScript")
            self.assertRegex(step["name"], "^[A-Za-z0-9_]+$")
            self.assertEqual(step["precondition"], {"StringEquals": ["platformType", "Linux"]})
            self.assertEqual(set(step["inputs"]), {"timeoutSeconds", "runCommand"})

    def test_has_a_timeout_that_the_agent_takes(self):
        for document in self.each():
            seconds = document["mainSteps"][0]["inputs"]["timeoutSeconds"]
            self.assertIsInstance(seconds, str)
            self.assertRegex(seconds, "^[0-9]+$")
            self.assertGreaterEqual(int(seconds), 5)  # less silently becomes an hour

    def test_says_what_each_parameter_may_be_and_that_is_nothing_a_shell_reads(self):
        for document in self.each():
            for parameter in document["parameters"].values():
                self.assertEqual(parameter["type"], "String")
                self.assertTrue(parameter["description"])
                self.assertTrue(allows(parameter, parameter["default"]))
                if "allowedValues" in parameter:
                    self.assertEqual(parameter["allowedPattern"], f"^({'|'.join(parameter['allowedValues'])})$")
                    for value in parameter["allowedValues"]:
                        self.assertRegex(value, "^[a-z-]+$")
                for value in HOSTILE:
                    self.assertFalse(allows(parameter, value), value)

    def test_quotes_every_parameter_and_uses_each(self):
        for document in self.each():
            script = script_of(document)
            used = re.findall(r"{{ *(\w+) *}}", script)
            self.assertEqual(len(re.findall(r"'{{ \w+ }}'", script)), script.count("{{"))
            self.assertEqual(set(used), set(document["parameters"]))

    def test_is_small_and_has_a_script_that_dash_and_bash_can_parse(self):
        for name in documents():
            self.assertLess((DIRECTORY / name).stat().st_size, 64 * 1024)
        for document in self.each():
            for shell in ("dash", "bash"):
                subprocess.run([shell, "-n"], input=script_of(document), text=True, check=True)


class TheDocumentOfDataLifecycleManager(unittest.TestCase):
    def setUp(self):
        self.document = documents()["dlm-freeze.yaml"]
        self.parameters = self.document["parameters"]

    def test_takes_exactly_what_data_lifecycle_manager_sends(self):
        self.assertEqual(list(self.parameters), ["executionId", "command"])
        self.assertEqual(self.parameters["command"]["allowedValues"], ["pre-script", "post-script", "dry-run"])
        self.assert_execution_ids_are_those_of_the_program()

    def assert_execution_ids_are_those_of_the_program(self):
        """What the pattern lets through, the program takes: whatever else would be a usage error, and the script failed."""
        ids = ["None", UUID, UUID.upper(), UUID[:-1], UUID + "0", UUID.replace("-", ""), "none", "NONE"]
        ids += [UUID[:at] + digit + UUID[at + 1 :] for at in (0, 9, 14, 35) for digit in "gGzZ_:"]
        for one in ids:
            ran = subprocess.run([PROGRAM, "dry-run", "--execution-id", one], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.assertEqual(allows(self.parameters["executionId"], one), ran.returncode != 1, f"{one}: {ran}")

    def test_does_nothing_unless_told(self):
        self.assertEqual(self.parameters["command"]["default"], "dry-run")

    def test_leaves_the_time_to_dlm_freeze(self):
        self.assertGreaterEqual(int(self.document["mainSteps"][0]["inputs"]["timeoutSeconds"]), 120)


if __name__ == "__main__":
    unittest.main(verbosity=2)
