# SPDX-License-Identifier: Apache-2.0
"""The rows of the table that compares the snapshots."""

import dataclasses
import os.path

from screen import bad, good, table


@dataclasses.dataclass(frozen=True)
class Row:
    label: str
    text: str
    fault: str = ""  # why a copy with this is not perfect


def compare(what, acknowledged, present, exact):
    """Of a kind of entries: what was acknowledged against what is there. `exact`: nothing else may be there."""
    lost, others = len(acknowledged - present), len(present - acknowledged)
    return [
        Row(f"{what} acknowledged", f"{len(acknowledged):,}", "" if acknowledged else "nothing was written"),
        Row("  present", f"{len(acknowledged & present):,}"),
        Row("  lost", f"{lost:,}", f"{lost:,} of {len(acknowledged):,} {what} lost" if lost else ""),
        Row("  present, not acknowledged", f"{others:,}",
            f"{others:,} {what} that were not acknowledged" if others and exact else ""),
    ]


def compare_bytes(acknowledged, present, exact):
    """Of a file that is only appended to; `exact` as above."""
    right = len(os.path.commonprefix([acknowledged, present]))
    fault = ""
    if right < len(acknowledged):
        fault = f"{len(acknowledged) - right:,} of {len(acknowledged):,} bytes of the file lost"
    elif present != acknowledged and exact:
        fault = f"{len(present) - right:,} bytes of the file that were not acknowledged"
    return [
        Row("bytes of the file acknowledged", f"{len(acknowledged):,}", "" if acknowledged else "nothing was written"),
        Row("  present and right", f"{right:,}", fault),
    ]


def side_by_side(name, rows, other_name, other_rows):
    """Prints both in one table; what is not perfect is marked."""
    left, right = by_place(rows), by_place(other_rows)
    longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
    places = [*longer, *(place for place in shorter if place not in longer)]
    cells = [[(place[1], None), cell(left.get(place)), cell(right.get(place))] for place in places]
    table(["", name, other_name], cells, (34, 21, 21))


def by_place(rows):
    """Each row by its own label and that of the row above it that is not indented."""
    places, section = {}, ""
    for row in rows:
        section = section if row.label.startswith(" ") else row.label
        places[section, row.label] = row
    return places


def cell(row):
    if row is None:
        return "-", None
    return (row.text, bad) if row.fault else (row.text, good)
