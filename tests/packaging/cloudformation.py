# SPDX-License-Identifier: Apache-2.0
"""Reads CloudFormation templates."""

import yaml


class Tag(dict):
    """A short intrinsic function of CloudFormation: {name: what it is given}."""


class _Loader(yaml.SafeLoader):
    pass


def _tag(loader, name, node):
    construct = {"scalar": loader.construct_scalar, "sequence": lambda n: loader.construct_sequence(n, True)}
    return Tag({name: construct.get(node.id, lambda n: loader.construct_mapping(n, True))(node)})


_Loader.add_multi_constructor("!", _tag)


def load(path):
    return yaml.load(path.read_text(), _Loader)


def of_type(template, kind):
    """The properties of the template's resources of that type, by name."""
    return {name: one["Properties"] for name, one in template["Resources"].items() if one["Type"] == kind}
