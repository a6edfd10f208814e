#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-aws.py PACKAGING: the CloudFormation template and the Terraform module are well-formed, refer to what there is, use
properties that there are, and say the same.

cloudformation-properties.json holds the properties of the types that the template uses, from CloudFormation's resource
specification; a name ends in ! if it is required. What Terraform's provider knows is in TERRAFORM below."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import yaml

import cloudformation
import hcl
from cloudformation import Tag

PACKAGING = pathlib.Path(sys.argv[1])
CODES = ["201", "202", "203", "204", "205", "206"]
PROPERTIES = json.loads((pathlib.Path(__file__).parent / "cloudformation-properties.json").read_text())

# Arguments and blocks of each type of Terraform's AWS provider; a name ends in ! if it is required.
TERRAFORM = {
    "aws_ssm_document": "name! document_type! content! document_format target_type tags version_name permissions",
    "aws_iam_role": "assume_role_policy! name name_prefix description tags path max_session_duration",
    "aws_iam_role_policy": "name name_prefix role! policy!",
    "aws_ssm_association": "name! association_name parameters schedule_expression max_concurrency max_errors apply_only_at_cron_interval "
    "compliance_severity targets dynamic",
    "aws_cloudwatch_dashboard": "dashboard_name! dashboard_body!",
    "dynamic": "for_each! content!",
    "content": "key! values!",
    "aws_iam_role_policy_attachment": "role! policy_arn!",
    "aws_dlm_lifecycle_policy": "description! execution_role_arn! policy_details! state tags",
    "aws_sns_topic": "name name_prefix display_name tags policy kms_master_key_id",
    "aws_sns_topic_policy": "arn! policy!",
    "aws_sns_topic_subscription": "topic_arn! protocol! endpoint!",
    "aws_cloudwatch_event_rule": "name name_prefix description event_pattern tags state",
    "aws_cloudwatch_event_target": "rule! arn! target_id input input_path input_transformer role_arn",
    "aws_cloudwatch_metric_alarm": "alarm_name! comparison_operator! evaluation_periods! alarm_description namespace metric_name "
    "dimensions statistic period threshold treat_missing_data alarm_actions ok_actions tags",
    "data.aws_iam_policy_document": "statement version",
    "data.aws_caller_identity": "",
    "data.aws_partition": "",
    "data.aws_region": "",
    "policy_details": "policy_type resource_types target_tags parameters schedule",
    "parameters": "exclude_boot_volume no_reboot",
    "schedule": "name! create_rule! retain_rule! copy_tags tags_to_add variable_tags",
    "create_rule": "interval interval_unit times cron_expression location scripts",
    "scripts": "execution_handler! execution_handler_service execution_timeout maximum_retry_count "
    "execute_operation_on_script_failure stages",
    "retain_rule": "count interval interval_unit",
    "input_transformer": "input_template! input_paths",
    "statement": "sid effect actions resources principals condition",
    "principals": "type! identifiers!",
    "condition": "test! variable! values!",
    "variable": "description type default validation",
    "validation": "condition! error_message!",
    "output": "description value!",
    "required_providers": "aws!",
}
META = {"count", "for_each", "depends_on", "lifecycle", "provider"}


TEMPLATE_FILE = PACKAGING / "aws/cloudformation.yaml"
TEMPLATE = cloudformation.load(TEMPLATE_FILE)
RESOURCES = TEMPLATE["Resources"]
DOCUMENTS = {"Document": "dlm-freeze.yaml", "OperatorDocument": "dlm-freeze-operator.yaml",
             "GroupDocument": "dlm-freeze-group.yaml", "Runbook": "dlm-freeze-cut.yaml"}  # fmt: skip


def of_type(kind):
    return cloudformation.of_type(TEMPLATE, kind)


def walk(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from walk(inner)


class CloudFormation(unittest.TestCase):
    def test_is_small_enough_to_be_given_with_the_command(self):
        self.assertLess(TEMPLATE_FILE.stat().st_size, 51200)

    def test_has_only_properties_that_there_are_and_all_that_are_required(self):
        def check(where, schema, value):
            if isinstance(value, Tag) or schema == "any":
                return
            if isinstance(schema, dict):
                self.assertIsInstance(value, dict, where)
                known = {name.rstrip("!"): inner for name, inner in schema.items()}
                self.assertLessEqual(set(value), set(known), where)
                self.assertLessEqual({name[:-1] for name in schema if name.endswith("!")}, set(value), where)
                for name, inner in value.items():
                    check(f"{where}.{name}", known[name], inner)
            elif isinstance(schema, list):
                self.assertIsInstance(value, list, where)
                for inner in value:
                    check(where, schema[0], inner)
            else:
                self.assertIsInstance(value, (str, int, bool), where)

        self.assertEqual({resource["Type"] for resource in RESOURCES.values()}, set(PROPERTIES))
        for name, resource in RESOURCES.items():
            self.assertLessEqual(set(resource), {"Type", "Properties", "Condition"})
            check(name, PROPERTIES[resource["Type"]], resource["Properties"])

    def test_refers_to_what_there_is_and_uses_what_it_defines(self):
        names = set(TEMPLATE["Parameters"]) | set(RESOURCES)
        used = set()
        for value in walk(TEMPLATE):
            if isinstance(value, Tag):
                ((function, operand),) = value.items()
                if function == "Ref":
                    used.add(operand)
                elif function == "GetAtt":
                    used.add(operand.split(".")[0])
                elif function == "Sub":
                    used.update(re.findall(r"\${([\w:]+)}", operand))
                else:
                    self.assertIn(function, ("Not", "Equals"))
        used = {name for name in used if not name.startswith("AWS::")}
        self.assertLessEqual(used, names)
        self.assertLessEqual(set(TEMPLATE["Parameters"]), used)
        conditions = {resource["Condition"] for resource in RESOURCES.values() if "Condition" in resource}
        self.assertEqual(conditions, set(TEMPLATE["Conditions"]))

    def test_has_parameters_whose_default_is_allowed(self):
        for name, parameter in TEMPLATE["Parameters"].items():
            self.assertLessEqual(
                set(parameter), {"Type", "Default", "Description", "AllowedValues", "AllowedPattern", "MinValue", "MaxValue"}
            )
            if "AllowedValues" in parameter:
                self.assertIn(parameter["Default"], parameter["AllowedValues"], name)
            if "AllowedPattern" in parameter:
                self.assertRegex(parameter["Default"], parameter["AllowedPattern"])
            if "MinValue" in parameter:
                self.assertTrue(parameter["MinValue"] <= parameter["Default"] <= parameter["MaxValue"], name)

    def test_has_the_documents_of_packaging(self):
        for name, file in DOCUMENTS.items():
            document = yaml.safe_load((PACKAGING / "ssm" / file).read_text())
            self.assertEqual(RESOURCES[name]["Properties"]["Content"], document)

    def test_lets_data_lifecycle_manager_call_one_document_only(self):
        self.assertEqual(RESOURCES["Document"]["Properties"]["Tags"], [{"Key": "DLMScriptsAccess", "Value": "true"}])
        for name in set(DOCUMENTS) - {"Document"}:
            self.assertNotIn("Tags", RESOURCES[name]["Properties"])

    def test_runs_both_scripts_around_the_snapshots_of_whole_instances(self):
        ((_, policy),) = of_type("AWS::DLM::LifecyclePolicy").items()
        details = policy["PolicyDetails"]
        self.assertEqual(details["ResourceTypes"], ["INSTANCE"])
        (schedule,) = details["Schedules"]
        (script,) = schedule["CreateRule"]["Scripts"]
        self.assertEqual(script["Stages"], ["PRE", "POST"])
        self.assertEqual(script["ExecutionHandler"], {"Ref": "Document"})
        self.assertEqual(script["ExecuteOperationOnScriptFailure"], {"Ref": "CrashConsistentFallback"})

    def test_has_a_message_for_each_exit_code_that_its_own_rule_sends(self):
        rules = of_type("AWS::Events::Rule")
        self.assertEqual(set(rules), {f"ExitCode{code}" for code in CODES} | {"OtherFailure"})
        for name, rule in rules.items():
            (target,) = rule["Targets"]
            transformer = target["InputTransformer"]
            template = transformer["InputTemplate"]
            self.assertRegex(template, '^"[^"]*"$')  # one JSON string
            self.assertEqual(set(re.findall(r"<(\w+)>", template)), set(transformer["InputPathsMap"]))
            if name.startswith("ExitCode"):
                self.assertIn(f'"dlm-freeze: {name[-3:]}: ', template)

    def test_has_alarms_on_the_metrics_of_its_own_policy(self):
        alarms = of_type("AWS::CloudWatch::Alarm")
        self.assertEqual({alarm["MetricName"] for alarm in alarms.values()}, {"PreScriptFailed", "PostScriptFailed"})
        for alarm in alarms.values():
            self.assertEqual(alarm["Namespace"], "AWS/EBS")
            self.assertEqual(alarm["Dimensions"], [{"Name": "DLMPolicyId", "Value": {"Ref": "Policy"}}])
            self.assertEqual(alarm["TreatMissingData"], "notBreaching")


    def test_probes_what_is_snapshotted_and_uploads_what_that_says(self):
        associations = of_type("AWS::SSM::Association")
        self.assertEqual(associations["ProbeAssociation"]["Parameters"], {"command": ["inventory"]})
        commands = RESOURCES["OperatorDocument"]["Properties"]["Content"]["parameters"]["command"]["allowedValues"]
        self.assertIn("inventory", commands)
        for association in associations.values():
            ((target,),) = [association["Targets"]]
            self.assertEqual(target, {"Key": {"Sub": "tag:${TargetTagKey}"}, "Values": [{"Ref": "TargetTagValue"}]})

    def test_has_a_dashboard_that_is_json(self):
        body = RESOURCES["FailureDashboard"]["Properties"]["DashboardBody"]["Sub"]
        metrics, alarms = json.loads(body)["widgets"]
        self.assertEqual([metric[1] for metric in metrics["properties"]["metrics"]], ["PreScriptFailed", "PostScriptFailed"])
        self.assertEqual(alarms["properties"]["alarms"], ["${PreScriptFailed.Arn}", "${PostScriptFailed.Arn}"])

    def test_lets_the_runbook_do_what_it_does_and_no_more(self):
        (policy,) = RESOURCES["RunbookRole"]["Properties"]["Policies"]
        allowed = {action for one in policy["PolicyDocument"]["Statement"] for action in as_list(one["Action"])}
        script = (PACKAGING / "ssm" / DOCUMENTS["Runbook"]).read_text()
        calls = {f"{client}:{''.join(word.title() for word in call.split('_'))}"
                 for client, call in re.findall(r'(ssm|ec2)(?:"\))?[.]((?:send|list|create|delete)_\w+)', script)}  # fmt: skip
        # Describing is by a paginator; the rest is what the action aws:runCommand does by itself.
        self.assertEqual(allowed, calls | {"ec2:DescribeSnapshots", "ssm:ListCommands", "ssm:DescribeInstanceInformation"})
        for one in policy["PolicyDocument"]["Statement"]:
            if one["Action"] in ("ec2:CreateTags", "ec2:DeleteSnapshot"):
                self.assertIn("Condition", one)
            if one["Resource"] == "*":
                self.assertTrue(all(re.search(":(List|Describe)", action) for action in one["Action"]))


class Waves(unittest.TestCase):
    """A wave is a policy like that of the whole, but for its tag and where document and role come from."""

    def setUp(self):
        self.template = cloudformation.load(PACKAGING / "aws/wave.yaml")
        self.module = hcl.parse((PACKAGING / "aws/terraform/wave/main.tf").read_text())

    def test_have_the_policy_of_the_template(self):
        ((name, resource),) = self.template["Resources"].items()
        whole = RESOURCES["Policy"]["Properties"]
        said = json.loads(json.dumps(resource["Properties"]))
        self.assertEqual(said["PolicyDetails"].pop("TargetTags"), [{"Key": "dlm-freeze-wave", "Value": {"Ref": "Wave"}}])
        expected = json.loads(json.dumps(whole))
        del expected["PolicyDetails"]["TargetTags"]
        expected["ExecutionRoleArn"] = {"Ref": "RoleArn"}
        expected["PolicyDetails"]["Schedules"][0]["CreateRule"]["Scripts"][0]["ExecutionHandler"] = {"Ref": "DocumentName"}
        self.assertEqual((name, resource["Type"], said), ("Policy", "AWS::DLM::LifecyclePolicy", expected))
        for name, parameter in self.template["Parameters"].items():
            if name not in ("Wave", "DocumentName", "RoleArn"):
                self.assertEqual(parameter, TEMPLATE["Parameters"][name])
        self.assertLessEqual({"DocumentName", "RoleArn"}, set(TEMPLATE["Outputs"]))

    def test_have_the_policy_of_the_module(self):
        (policy,) = self.module.blocks["resource"]
        whole = hcl.parse((PACKAGING / "aws/terraform/main.tf").read_text())
        (expected,) = [block for block in whole.blocks["resource"] if block.labels[0] == "aws_dlm_lifecycle_policy"]
        self.assertEqual(self.settings(policy), self.settings(expected))

    def settings(self, policy):
        replaced = {"execution_role_arn", "tags", "target_tags", "times", "execution_handler", "depends_on", "for_each"}

        def flat(block):
            yield from ((name, value) for name, value in block.attributes.items() if name not in replaced)
            for inner in block.blocks.values():
                for one in inner:
                    yield from flat(one)

        return sorted(flat(policy))

    def test_have_the_defaults_of_the_module(self):
        whole = hcl.parse((PACKAGING / "aws/terraform/variables.tf").read_text())
        defaults = {block.labels: block.attributes.get("default") for block in whole.blocks["variable"]}
        for block in self.module.blocks["variable"]:
            if "default" in block.attributes:
                self.assertEqual(block.attributes["default"], defaults[block.labels])

    @unittest.skipUnless(shutil.which("terraform"), "terraform is not installed")
    def test_are_formatted(self):
        words = ["terraform", "fmt", "-check", "-diff", "-no-color", str(PACKAGING / "aws/terraform/wave")]
        ran = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout)


def as_list(value):
    return value if isinstance(value, list) else [value]


class Terraform(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = PACKAGING / "aws/terraform"
        cls.directory = directory
        cls.texts = {path.name: path.read_text() for path in sorted(directory.glob("*.tf"))}
        cls.top = {name: hcl.parse(text) for name, text in cls.texts.items()}
        cls.all = "\n".join(re.sub(r"(^|\s)#[^\n]*", "", text) for text in cls.texts.values())

    def blocks(self, kind):
        return [block for top in self.top.values() for block in top.blocks.get(kind, [])]

    def resource(self, kind, name="this"):
        (found,) = [block for block in self.blocks("resource") if block.labels == (kind, name)]
        return found

    @unittest.skipUnless(shutil.which("terraform"), "terraform is not installed")
    def test_is_parsed_and_formatted_by_terraform_itself(self):
        words = ["terraform", "fmt", "-check", "-diff", "-no-color", str(self.directory)]
        ran = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout)

    def test_has_only_arguments_that_there_are_and_all_that_are_required(self):
        def check(kind, block):
            self.assertIn(kind, TERRAFORM)
            names = TERRAFORM[kind].split()
            given = set(block.attributes) | set(block.blocks)
            self.assertLessEqual(given - META, {name.rstrip("!") for name in names}, kind)
            self.assertLessEqual({name[:-1] for name in names if name.endswith("!")}, given, kind)
            for inner_kind, inner in block.blocks.items():
                for one in inner:
                    check(inner_kind, one)

        for block in self.blocks("resource"):
            check(block.labels[0], block)
        for block in self.blocks("data"):
            check("data." + block.labels[0], block)
        for kind in ("variable", "output"):
            for block in self.blocks(kind):
                self.assertIn("description", block.attributes)
                check(kind, block)
        (terraform,) = self.blocks("terraform")
        check("required_providers", terraform.one("required_providers"))

    def test_refers_to_what_there_is_and_uses_what_it_defines(self):
        variables = {block.labels[0] for block in self.blocks("variable")}
        self.assertEqual(set(re.findall(r"\bvar\.(\w+)", self.all)), variables)
        local_values = {name for block in self.blocks("locals") for name in block.attributes}
        self.assertEqual(set(re.findall(r"\blocal\.(\w+)", self.all)), local_values)
        data = {block.labels for block in self.blocks("data")}
        self.assertEqual(set(re.findall(r"\bdata\.(\w+)\.(\w+)", self.all)), data)
        resources = {block.labels for block in self.blocks("resource")}
        for kind, name in re.findall(r"(?<![.\w])(aws_\w+)\.(\w+)", self.all):
            self.assertIn((kind, name), resources)
        for path in re.findall(r'file\("\${path\.module}/([^"]+)"\)', self.all):
            self.assertTrue((self.directory / path).is_file(), path)

    def test_says_the_same_as_the_template(self):
        (main,) = self.blocks("locals")
        messages = dict(re.findall(r'"(\d+)" = "([^"]*)"', main.attributes["exit_codes"]))
        self.assertEqual(list(messages), CODES)
        other = re.search(r'message = "(a script[^"]*)"', self.all)[1]
        tail = None
        for name, rule in of_type("AWS::Events::Rule").items():
            template = rule["Targets"][0]["InputTransformer"]["InputTemplate"]
            code = name[-3:]
            begin = f'"dlm-freeze: {code}: {messages[code]}' if code in messages else f'"dlm-freeze: {other}'
            self.assertTrue(template.startswith(begin), template)
            tail = template[len(begin) : -1]
        target = self.resource("aws_cloudwatch_event_target", "failure").one("input_transformer").attributes
        self.assertIn("${each.value.message}" + tail, target["input_template"])
        paths = RESOURCES["OtherFailure"]["Properties"]["Targets"][0]["InputTransformer"]["InputPathsMap"]
        self.assertEqual(dict(re.findall(r'(\w+) *= "([^"]*)"', target["input_paths"])), paths)

        self.assertEqual(
            set(re.findall(r"(\w+) *=", main.attributes["alarms"])),
            {alarm["MetricName"] for alarm in of_type("AWS::CloudWatch::Alarm").values()},
        )

    def test_lets_the_runbook_do_the_same_as_the_template(self):
        (policy,) = RESOURCES["RunbookRole"]["Properties"]["Policies"]
        (document,) = [block for block in self.blocks("data") if block.labels == ("aws_iam_policy_document", "cut")]
        said = {}
        for one in document.blocks["statement"]:
            conditions = {(c.attributes["test"], c.attributes["variable"], c.attributes["values"]) for c in one.blocks.get("condition", [])}
            said[json.loads(one.attributes["sid"])] = (json.loads(one.attributes["actions"]), conditions, self.kinds(one.attributes["resources"]))
        for one in policy["PolicyDocument"]["Statement"]:
            conditions = {(json.dumps(test), json.dumps(key), json.dumps(as_list(value)))
                          for test, keys in one.get("Condition", {}).items() for key, value in keys.items()}  # fmt: skip
            resources = json.dumps([r["Sub"] if isinstance(r, Tag) else r for r in as_list(one["Resource"])])
            self.assertEqual(said.pop(one["Sid"]), (as_list(one["Action"]), conditions, self.kinds(resources)))
        self.assertEqual(said, {})

    @staticmethod
    def kinds(resources):
        """Of what each is: document, instance/*, ..."""
        return re.findall(r"(document|\w+/\*)", resources)

    def test_probes_and_uploads_as_the_template(self):
        for name, resource in (("probe", "ProbeAssociation"), ("upload", "UploadAssociation")):
            association, properties = self.resource("aws_ssm_association", name).attributes, RESOURCES[resource]["Properties"]
            ((parameter, values),) = properties["Parameters"].items()
            self.assertEqual(association["parameters"], f'{{ {parameter} = "{values[0]}" }}')
            for ours, theirs in (("max_concurrency", "MaxConcurrency"), ("max_errors", "MaxErrors")):
                self.assertEqual(json.loads(association.get(ours, "null")), properties.get(theirs))
        self.assertEqual(json.loads(self.resource("aws_ssm_association", "upload").attributes["schedule_expression"]), RESOURCES["UploadAssociation"]["Properties"]["ScheduleExpression"])

    def test_has_the_same_defaults_as_the_template(self):
        defaults = {block.labels[0]: json.loads(block.attributes["default"]) for block in self.blocks("variable")
                    if not block.attributes["default"].startswith("{")}  # fmt: skip
        for name, parameter in TEMPLATE["Parameters"].items():
            if not name.startswith("TargetTag"):
                snake = re.sub("(?<!^)([A-Z])", r"_\1", name).lower()
                self.assertEqual(str(defaults[snake]).lower(), str(parameter["Default"]).lower())

    def test_runs_both_scripts_around_the_snapshots_of_whole_instances(self):
        details = self.resource("aws_dlm_lifecycle_policy").one("policy_details")
        self.assertIn('["INSTANCE"]', details.attributes["resource_types"])
        scripts = details.one("schedule").one("create_rule").one("scripts").attributes
        self.assertEqual(scripts["stages"], '["PRE", "POST"]')
        self.assertEqual(scripts["execution_handler"], "aws_ssm_document.general.name")
        self.assertEqual(scripts["execute_operation_on_script_failure"], "var.crash_consistent_fallback")
        self.assertIn('DLMScriptsAccess = "true"', self.resource("aws_ssm_document", "general").attributes["tags"])
        self.assertNotIn("DLMScriptsAccess", self.resource("aws_ssm_document", "operator").attributes["tags"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
