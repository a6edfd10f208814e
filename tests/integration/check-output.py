#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-output.py SCHEMA FILE: whether FILE, the output of `status --json`, `history --json` (a document a line) or
`dry-run --json`, is what the schema of it says, and says nothing that stands not there."""

import json
import sys

import jsonschema


def closed(schema):
    """The schema with unknown members forbidden: what the program prints has to be documented."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(part) for key, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        schema["additionalProperties"] = False
    return schema


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        text = file.read()
    documents = [json.loads(line) for line in text.splitlines()] if "history" in sys.argv[1] else [json.loads(text)]
    jsonschema.Draft7Validator.check_schema(schema)
    schema = closed(schema)
    for document in documents:
        jsonschema.Draft7Validator(schema).validate(document)


if __name__ == "__main__":
    main()
