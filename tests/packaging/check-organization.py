#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-organization.py PACKAGING: the stacks of an organization, central.yaml and member.yaml, that which checks snapshots, verify.yaml,
and the modules of the same names are well-formed, refer to what there is, say the same, and have the tables and queries of
packaging/queries."""

import functools
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import cloudformation
import hcl
from cloudformation import Tag

PACKAGING = pathlib.Path(sys.argv[1])
STACKS = ["central", "member", "verify"]

# Properties of each type, from CloudFormation's resource specification: those that are used; ! if required.
PROPERTIES = {
    "AWS::Events::EventBus": "Name!",
    "AWS::Events::EventBusPolicy": "EventBusName StatementId! Statement",
    "AWS::Events::Rule": "Description EventBusName EventPattern Targets",
    "AWS::SNS::Topic": "DisplayName",
    "AWS::SNS::TopicPolicy": "Topics! PolicyDocument!",
    "AWS::SNS::Subscription": "TopicArn! Protocol! Endpoint",
    "AWS::S3::Bucket": "BucketEncryption PublicAccessBlockConfiguration LifecycleConfiguration",
    "AWS::S3::BucketPolicy": "Bucket! PolicyDocument!",
    "AWS::Glue::Database": "CatalogId! DatabaseInput!",
    "AWS::Glue::Table": "CatalogId! DatabaseName! TableInput!",
    "AWS::Athena::WorkGroup": "Name! WorkGroupConfiguration",
    "AWS::Athena::NamedQuery": "Name Database! WorkGroup QueryString!",
    "AWS::CloudWatch::Dashboard": "DashboardBody!",
    "AWS::IAM::Role": "Description AssumeRolePolicyDocument! Policies",
    "AWS::SQS::Queue": "MessageRetentionPeriod SqsManagedSseEnabled",
    "AWS::SQS::QueuePolicy": "Queues! PolicyDocument!",
    "AWS::SSM::Document": "DocumentType TargetType UpdateMethod Content!",
    "AWS::SSM::ResourceDataSync": "SyncName! SyncType S3Destination",
}

# What makes the same with Terraform; nothing for what is an argument of another resource there.
TYPES = {
    "AWS::Events::EventBus": ["aws_cloudwatch_event_bus"],
    "AWS::Events::EventBusPolicy": ["aws_cloudwatch_event_bus_policy"],
    "AWS::Events::Rule": ["aws_cloudwatch_event_rule", "aws_cloudwatch_event_target"],
    "AWS::SNS::Topic": ["aws_sns_topic"],
    "AWS::SNS::TopicPolicy": ["aws_sns_topic_policy"],
    "AWS::SNS::Subscription": ["aws_sns_topic_subscription"],
    "AWS::S3::Bucket": ["aws_s3_bucket", "aws_s3_bucket_server_side_encryption_configuration", "aws_s3_bucket_public_access_block",
                        "aws_s3_bucket_lifecycle_configuration"],
    "AWS::S3::BucketPolicy": ["aws_s3_bucket_policy"],
    "AWS::Glue::Database": ["aws_glue_catalog_database"],
    "AWS::Glue::Table": ["aws_glue_catalog_table"],
    "AWS::Athena::WorkGroup": ["aws_athena_workgroup"],
    "AWS::Athena::NamedQuery": ["aws_athena_named_query"],
    "AWS::CloudWatch::Dashboard": ["aws_cloudwatch_dashboard"],
    "AWS::IAM::Role": ["aws_iam_role", "aws_iam_role_policy"],
    "AWS::SQS::Queue": ["aws_sqs_queue"],
    "AWS::SQS::QueuePolicy": ["aws_sqs_queue_policy"],
    "AWS::SSM::Document": ["aws_ssm_document"],
    "AWS::SSM::ResourceDataSync": ["aws_ssm_resource_data_sync"],
}  # fmt: skip


loaded = functools.lru_cache(cloudformation.load)


def walk(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from walk(inner)


def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(template):
    """(action, service that is trusted, condition keys and operators) of every statement of every policy."""
    found = set()
    for value in walk(template["Resources"]):
        if isinstance(value, dict) and "Effect" in value:
            principal = value.get("Principal", {})
            service = principal if isinstance(principal, str) else principal.get("Service", "")
            conditions = frozenset((test, key) for test, keys in value.get("Condition", {}).items() for key in keys)
            found.update((action, service, conditions) for action in as_list(value["Action"]))
    return found


def statements_of_module(top):
    found = set()
    for document in top.blocks["data"]:
        for one in document.blocks.get("statement", []):
            identifiers = [json.loads(p.attributes["identifiers"])[0] for p in one.blocks.get("principals", [])]
            conditions = frozenset((json.loads(c.attributes["test"]), json.loads(c.attributes["variable"])) for c in one.blocks.get("condition", []))
            found.update((action, (identifiers or [""])[0], conditions) for action in json.loads(one.attributes["actions"]))
    return found


class Stacks(unittest.TestCase):
    def each(self):
        for name in STACKS:
            with self.subTest(name):
                directory = PACKAGING / "aws/terraform" / name
                yield loaded(PACKAGING / f"aws/{name}.yaml"), directory / "main.tf", PACKAGING / f"aws/{name}.yaml"

    def test_have_properties_that_there_are(self):
        for template, _, file in self.each():
            self.assertLess(file.stat().st_size, 51200)
            for name, resource in template["Resources"].items():
                known = PROPERTIES[resource["Type"]].split()
                given = set(resource["Properties"])
                self.assertLessEqual(given, {one.rstrip("!") for one in known}, name)
                self.assertLessEqual({one[:-1] for one in known if one.endswith("!")}, given, name)

    def test_refer_to_what_there_is_and_use_what_they_define(self):
        for template, _, _ in self.each():
            names, used = set(template["Parameters"]) | set(template["Resources"]), set()
            for value in walk(template):
                if isinstance(value, Tag):
                    ((function, operand),) = value.items()
                    if function == "Ref":
                        used.add(operand)
                    elif function == "GetAtt":
                        used.add(operand.split(".")[0])
                    elif function == "Sub":
                        used.update(one.split(".")[0] for one in re.findall(r"\${([\w:.]+)}", operand))
            used = {name for name in used if not name.startswith("AWS::")}
            self.assertLessEqual(used, names)
            self.assertLessEqual(set(template["Parameters"]), used)

    def test_make_the_same_as_the_modules(self):
        for template, module, _ in self.each():
            top = hcl.parse(module.read_text())
            made = {block.labels[0] for block in top.blocks["resource"]}
            expected = {kind for resource in template["Resources"].values() for kind in TYPES[resource["Type"]]}
            self.assertEqual(made, expected)
            self.assertEqual(statements(template), statements_of_module(top))
            parameters = {re.sub("(?<!^)([A-Z])", r"_\1", name).lower() for name in template["Parameters"]}
            variables = {block.labels[0] for block in top.blocks["variable"]}
            self.assertEqual(parameters, variables - {"bucket", "name", "tags"})  # Where CloudFormation makes names of its own.
            outputs = {re.sub("(?<!^)([A-Z])", r"_\1", name).lower() for name in template["Outputs"]}
            self.assertEqual(outputs, {block.labels[0] for block in top.blocks["output"]})

    def test_take_the_same_events(self):
        patterns = []
        for template, module, _ in self.each():
            ((_, rule),) = cloudformation.of_type(template, "AWS::Events::Rule").items()
            text = module.read_text()
            patterns.append(rule["EventPattern"])
            for word in (word for value in walk(rule["EventPattern"]) if isinstance(value, list) for word in value if isinstance(word, str)):
                self.assertIn(f'"{word}"', text)
            for target in rule["Targets"]:
                for path in target.get("InputTransformer", {}).get("InputPathsMap", {}).values():
                    self.assertIn(f'"{path}"', text)
                inputs = target.get("InputTransformer", {}).get("InputTemplate", "")
                # What is filled in by name is named otherwise in a module.
                for part in re.split(r"\${[^}]*}", inputs["Sub"]) if isinstance(inputs, Tag) else [inputs.strip('"')]:
                    self.assertIn(part, text.replace(r"\"", '"'))
        # What the central rule takes is what the members forward.
        for key in ("source", "detail-type"):
            self.assertEqual(patterns[0][key], patterns[1][key])

    def test_refer_in_the_modules_to_what_there_is(self):
        for _, module, _ in self.each():
            text = module.read_text()
            top = hcl.parse(text)
            self.assertEqual(set(re.findall(r"\bvar\.(\w+)", text)), {block.labels[0] for block in top.blocks["variable"]})
            self.assertEqual(set(re.findall(r"\bdata\.(aws_\w+)\.(\w+)", text)), {block.labels for block in top.blocks["data"]})
            resources = {block.labels for block in top.blocks["resource"]}
            for kind, name in re.findall(r"(?<![.\w\"])(aws_\w+)\.(\w+)", text):
                self.assertIn((kind, name), resources)

    @unittest.skipUnless(shutil.which("terraform"), "terraform is not installed")
    def test_are_formatted(self):
        for _, module, _ in self.each():
            words = ["terraform", "fmt", "-check", "-diff", "-no-color", str(module)]
            ran = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            self.assertEqual(ran.returncode, 0, ran.stdout)


class Central(unittest.TestCase):
    def setUp(self):
        self.template = loaded(PACKAGING / "aws/central.yaml")
        self.module = (PACKAGING / "aws/terraform/central/main.tf").read_text()

    def test_has_the_queries(self):
        files = {path.stem: path.read_text() for path in (PACKAGING / "queries").glob("*.sql") if path.stem != "tables"}
        queries = cloudformation.of_type(self.template, "AWS::Athena::NamedQuery").values()
        self.assertEqual({query["Name"].removeprefix("dlm-freeze "): query["QueryString"] for query in queries}, files)

    def test_has_the_tables(self):
        declared = {}
        for name, columns, kind in re.findall(r"CREATE EXTERNAL TABLE (\w+) \((.*?)\)\nPART.*?LOCATION 's3://BUCKET/([^/]+)/'",
                                              (PACKAGING / "queries/tables.sql").read_text(), re.S):  # fmt: skip
            declared[name] = ([column.split()[0].strip("`") for column in columns.split(",")], kind)
        made = {}
        for table in cloudformation.of_type(self.template, "AWS::Glue::Table").values():
            given = table["TableInput"]
            columns = [column["Name"] for column in given["StorageDescriptor"]["Columns"]]
            kind = re.search(r"\$\{Bucket\}/([^/]+)/", given["StorageDescriptor"]["Location"]["Sub"])[1]
            self.assertIn(f"/{kind}/accountid=${{!accountid}}", given["Parameters"]["storage.location.template"]["Sub"])
            made[given["Name"]] = (columns, kind)
        self.assertEqual(made, declared)
        for name, (columns, kind) in declared.items():
            self.assertRegex(self.module, rf'(?m)^    {name} += "{" ".join(columns)}"$')
            self.assertRegex(self.module, rf'(?m)^    {name} += "{kind}"$')

    def test_takes_from_the_organization_only(self):
        for value in walk(self.template["Resources"]):
            if isinstance(value, dict) and value.get("Principal") in ("*", {"Service": "ssm.amazonaws.com"}):
                keys = value["Condition"]["StringEquals"]
                self.assertIn({"Ref": "OrganizationId"}, keys.values())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
