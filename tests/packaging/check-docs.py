#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-docs.py DOCS: each block of commands in the pages about installing and callers says who runs it, in its first line.

    sh          the test does, in the chroot (in-chroot/docs.sh), by `check-docs.py DOCS PAGE`, which prints them
    sh ci       .ci/run does; they are known to it
    sh aws      needs an AWS account; its files have to be there
    sh host     needs another system than the tests have; the page says so

A test that a page names, `Suite.Name`, exists. In every page of the tree each link leads to a file, and to a heading in it; docs/README.md leads to every page in DOCS.
"""

import pathlib
import re
import sys

PAGES = ["install.md", "aws.md", "other-callers.md", "security.md", "verify.md"]
IN_CI = {"scripts/install-deps build package", "scripts/package", "scripts/install-deps build", "cmake --preset release",
         "cmake --build --preset release --target dlm_freeze_cli dlm_freeze_documentation",
         "cmake --install build/release"}  # fmt: skip


def blocks(page):
    """(kind, commands) of each fenced block."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(), re.M | re.S)


def complaints(page, root):
    for kind, text in blocks(page):
        if kind == "sh ci":
            for line in text.splitlines():
                command = line.removeprefix("sudo ")
                if command not in IN_CI or not (command.startswith("cmake") or (root / command.split()[0]).exists()):
                    yield f"is .ci/run known to run this? {line}"
        elif kind == "sh aws":
            for path in re.findall(r"(?:file://|--template-file )(\S+)", text):
                if not path.startswith("build/") and not (root / path).exists():
                    yield f"there is no {path}"
        elif kind not in ("sh", "sh host", "json", "hcl"):
            yield f"a block of the kind '{kind}'"


def without_blocks(page):
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.M | re.S)


def anchors(page):
    """What the forges make of its headings."""
    for heading in re.findall(r"^#+ (.*)", without_blocks(page), re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        yield re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def links(page):
    """The file and the heading, perhaps empty, that each link within the tree leads to."""
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)]*))?\)", without_blocks(page)):
        yield target, (page.parent / target).resolve() if target else page, anchor


def broken_links(page):
    for target, file, anchor in links(page):
        if not file.exists():
            yield f"there is no {target}"
        elif anchor and anchor not in anchors(file):
            yield f"there is no heading #{anchor} in {target or 'it'}"


def tests(root):
    """The names of all tests in C++."""
    for file in (root / "tests").rglob("*_test.cpp"):
        for suite, name in re.findall(r"^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", file.read_text(), re.M):
            yield f"{suite}.{name}"


def missing_tests(page, existing):
    """`Suite.Name`, of which an end may be left out: `Suite.*`, `Suite.Na…`."""
    for name in re.findall(r"`([A-Z]\w+\.(?:[A-Z]\w+…?|\*))`", page.read_text()):
        beginning = name.rstrip("*…")
        if not (name in existing or beginning != name and any(test.startswith(beginning) for test in existing)):
            yield f"there is no test {name}"


def every_page(root):
    return [page for page in root.rglob("*.md") if not {"build", ".git"} & set(page.relative_to(root).parts)]


def main(docs, *pages):
    if pages:
        for page in pages:
            print("\n".join(text for kind, text in blocks(docs / page) if kind == "sh"))
        return
    docs = docs.resolve()
    found = [f"{page}: {what}" for page in PAGES for what in complaints(docs / page, docs.parent)]
    found += [f"{page.relative_to(docs.parent)}: {what}" for page in every_page(docs.parent) for what in broken_links(page)]
    existing = set(tests(docs.parent))
    found += [f"{page.name}: {what}" for page in docs.glob("*.md") for what in missing_tests(page, existing)]
    index = docs / "README.md"
    listed = {file for _, file, _ in links(index)}
    found += [f"{index.name}: {page.name} is not in it" for page in docs.glob("*.md") if page not in listed | {index}]
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
