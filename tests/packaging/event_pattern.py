# SPDX-License-Identifier: Apache-2.0
"""EventBridge's event patterns, as far as the rules here need them. An operator that is not here is an error: wildcards are
left out on purpose, since EventBridge refuses a rule in which more than ten of their beginnings can match at the same time."""

ABSENT = object()
LONGEST = 2048  # characters of a pattern, unless an account's quota was raised


def matches(pattern, value):
    """Whether an event matches: every key of the pattern, each by one of the values in its list."""
    if isinstance(pattern, dict):
        fields = value if isinstance(value, dict) else {}
        return all(matches(inner, fields.get(key, ABSENT)) for key, inner in pattern.items())
    return any(_matches_one(one, value) for one in pattern)


def _matches_one(one, value):
    if not isinstance(one, dict):
        return one == value
    ((operator, operand),) = one.items()
    if operator == "exists":
        return operand == (value is not ABSENT)
    if not isinstance(value, str):
        return False
    if operator == "anything-but":
        return not any(_matches_one({inner: text}, value) for inner, texts in operand.items() for text in texts)
    if operator == "suffix":
        return value.endswith(operand)
    if operator == "equals-ignore-case":
        return value.lower() == operand.lower()
    raise AssertionError(f"no {operator} here")
