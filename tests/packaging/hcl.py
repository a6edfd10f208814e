# SPDX-License-Identifier: Apache-2.0
"""Reads as much of HCL, Terraform's language, as packaging/aws/terraform uses: blocks and attributes, whose values stay text.
Anything else raises a SyntaxError that names the line."""

import re

_TOKEN = re.compile(r'\s*(?:#[^\n]*\n\s*)*(?:([A-Za-z_][\w-]*)|"([^"]*)"|([{}=]))')


class Block:
    """A block: its labels, its attributes as {name: text}, and the blocks in it as {kind: [Block]}."""

    def __init__(self, labels=()):
        self.labels, self.attributes, self.blocks = tuple(labels), {}, {}

    def one(self, kind):
        (block,) = self.blocks[kind]
        return block


def parse(text):
    top, end = _body(text, 0, Block())
    if text[end:].strip():
        raise SyntaxError(f"line {text.count(chr(10), 0, end) + 1}: a closing bracket too many")
    return top


def _body(text, at, block):
    while True:
        token = _TOKEN.match(text, at)
        if not token or token[3] == "}":
            rest = re.sub(r"#[^\n]*", "", text[at : token.end() if token else None]).strip()
            if rest not in ("", "}"):
                raise SyntaxError(f"line {text.count(chr(10), 0, at) + 1}: neither a block nor an attribute")
            return block, token.start(3) if token else len(text)
        kind, at, labels = token[1], token.end(), []
        if kind is None:
            raise SyntaxError(f"line {text.count(chr(10), 0, at) + 1}: a name was expected")
        token = _TOKEN.match(text, at)
        while token[2] is not None:
            labels.append(token[2])
            token = _TOKEN.match(text, token.end())
        if token[3] == "=" and not labels:
            end = _expression(text, token.end())
            if kind in block.attributes:
                raise SyntaxError(f"{kind} is given twice")
            block.attributes[kind] = re.sub(r"\s*#[^\n\"]*$", "", text[token.end() : end]).strip()
            at = end
        elif token[3] == "{":
            inner, end = _body(text, token.end(), Block(labels))
            if text[end : end + 1] != "}":
                raise SyntaxError(f"{kind} {labels} is not closed")
            block.blocks.setdefault(kind, []).append(inner)
            at = end + 1
        else:
            raise SyntaxError(f"line {text.count(chr(10), 0, at) + 1}: neither a block nor an attribute")


def _expression(text, at):
    """Where the value that begins at `at` ends: at the end of the line on which all its brackets are closed."""
    depth = []
    while at < len(text):
        character = text[at]
        if character == '"':
            at = re.compile(r'"(?:[^"\\]|\\.|\$\{[^}]*\})*"').match(text, at).end()
            continue
        if character == "#":
            at = text.index("\n", at)
            continue
        if character in "([{":
            depth.append(")]}"["([{".index(character)])
        elif character in ")]}":
            if not depth or depth.pop() != character:
                raise SyntaxError(f"line {text.count(chr(10), 0, at) + 1}: {character} closes nothing")
        elif character == "\n" and not depth:
            return at
        at += 1
    raise SyntaxError("a value does not end")
