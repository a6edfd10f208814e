#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check-config-schema.py ROOT: packaging/config.schema.json and the program must agree on every configuration of
tests/data/config (see config_file_test.cpp, which asks the program). Exits with 77 without python3-jsonschema."""

import json
import pathlib
import re
import sys

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)


def read(path):
    """A document with comments. A comment cannot begin within a string."""
    text = path.read_text(encoding="utf-8")
    string_or_comment = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
    return json.loads(string_or_comment.sub(lambda found: found.group(1) or " ", text))


def main():
    root = pathlib.Path(sys.argv[1])
    corpus = root / "tests/data/config"
    schema = read(root / "packaging/config.schema.json")
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator = validator(schema)
    wrong = []
    good = [root / "packaging/config.example.json", *sorted((corpus / "good").iterdir())]
    bad = sorted([*(corpus / "bad").iterdir(), *(corpus / "bad_together").iterdir()])
    for path in good:
        wrong += [f"{path}: {error.message}" for error in validator.iter_errors(read(path))]
    for path in bad:
        if validator.is_valid(read(path)):
            wrong.append(f"{path}: the schema finds nothing wrong with it")
    for line in wrong:
        print(line)
    print(f"{len(good)} good ones and {len(bad)} bad ones, {len(wrong)} disagreements")
    return 1 if wrong or len(good) < 2 or not bad else 0


if __name__ == "__main__":
    sys.exit(main())
