#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-parts.py DEMO: the parts of demo/ that decide, on their own: what counts as perfect, and what is shown of it."""

import contextlib
import io
import sys
import types
import unittest
import xml.dom.minidom
import zlib

sys.path.insert(0, sys.argv.pop())
import mariadb  # noqa: E402
import rows  # noqa: E402
import screen  # noqa: E402
import timeline  # noqa: E402


def event(kind, body, flags=0):
    """An event of a binary log with its checksum, for which the flag "in use" does not count."""
    size = mariadb.HEADER + len(body) + mariadb.CHECKSUM
    head = bytes(4) + bytes([kind]) + bytes(4) + size.to_bytes(4, "little") + bytes(4)
    return head + bytes([flags, 0]) + body + zlib.crc32(head + bytes(2) + body).to_bytes(4, "little")


LOG = b"\xfebin" + event(mariadb.FORMAT_DESCRIPTION, b"format", mariadb.IN_USE) + event(2, b"a statement")


class BinaryLog(unittest.TestCase):
    def test_a_whole_one_ends_with_its_last_event(self):
        self.assertEqual(mariadb.end_of_binary_log(LOG), (len(LOG), ""))

    def test_every_byte_that_changes_is_noticed(self):
        for at in set(range(len(LOG))) - {21}:  # that with the flag "in use"
            spoilt = bytearray(LOG)
            spoilt[at] ^= 0x40
            self.assertTrue(mariadb.end_of_binary_log(bytes(spoilt))[1], f"byte {at}")

    def test_one_that_ends_in_the_middle_of_an_event_ends_before_it(self):
        whole = 4 + len(event(mariadb.FORMAT_DESCRIPTION, b"format"))
        for size in range(whole + 1, len(LOG)):
            end, problem = mariadb.end_of_binary_log(LOG[:size])
            self.assertEqual(end, whole)
            self.assertTrue(problem)

    def test_an_empty_one_is_none(self):
        self.assertTrue(mariadb.end_of_binary_log(b"")[1])


class Rows(unittest.TestCase):
    @staticmethod
    def faults(found):
        return [row.fault for row in found if row.fault]

    def test_only_all_of_what_was_acknowledged_is_perfect(self):
        self.assertEqual(self.faults(rows.compare("rows", {1, 2}, {1, 2}, True)), [])
        self.assertEqual(self.faults(rows.compare("rows", {1, 2}, {1}, True)), ["1 of 2 rows lost"])
        self.assertEqual(self.faults(rows.compare("rows", {1}, {1, 2}, True)), ["1 rows that were not acknowledged"])
        self.assertEqual(self.faults(rows.compare("rows", {1}, {1, 2}, False)), [])
        self.assertEqual(self.faults(rows.compare("rows", set(), set(), False)), ["nothing was written"])

    def test_bytes_count_up_to_the_first_wrong_one(self):
        self.assertEqual(self.faults(rows.compare_bytes(b"abcd", b"abcd", True)), [])
        self.assertEqual(self.faults(rows.compare_bytes(b"abcd", b"abXd", False)), ["2 of 4 bytes of the file lost"])
        self.assertEqual(len(self.faults(rows.compare_bytes(b"abcd", b"abcde", True))), 1)
        self.assertEqual(self.faults(rows.compare_bytes(b"abcd", b"abcde", False)), [])

    def test_a_row_that_only_one_side_has_is_shown(self):
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            rows.side_by_side("A", [rows.Row("first", "the server does not start", "x")], "B",
                              [*rows.compare("transfers", {1}, {1}, True), *rows.compare("lines", {1}, set(), True)])
        text = shown.getvalue()
        self.assertEqual(text.count("  lost"), 2)
        self.assertIn("the server does not", text)
        self.assertLessEqual(max(map(len, text.splitlines())), screen.WIDTH)


class Screen(unittest.TestCase):
    def test_columns_that_are_wider_than_their_rows_are_closed_up(self):
        self.assertEqual(screen.close_gaps(["  A       B", "  aa      b  c"]), ["  A   B", "  aa  b  c"])

    def test_no_line_is_longer_than_the_screen(self):
        for part in screen.fold("INFO: " + "word " * 40):
            self.assertLessEqual(len(part), screen.WIDTH)


class Timeline(unittest.TestCase):
    def setUp(self):
        note = types.SimpleNamespace
        writes = [note(began=0.1 * i, ended=0.1 * i + 0.01) for i in range(20)]
        writes += [note(began=2.0, ended=3.0), *(note(began=3.0 + 0.1 * i, ended=3.01 + 0.1 * i) for i in range(1, 9))]
        writers = note(began=0.0, ended=4.0, members=[note(name="client", notes=writes)])
        self.timeline = timeline.Timeline(writers, [(1.0, "A"), (2.0, "pre-script"), (3.0, "post-script")])

    def test_tells_a_write_that_waited_from_the_others(self):
        self.assertAlmostEqual(self.timeline.waits("client", 2.0, 3.0), 1.0)
        self.assertAlmostEqual(self.timeline.waits("client", 0.0, 1.0), 0.01)
        self.assertEqual(self.timeline.writes_between("client", 3.0, 4.0), 8)

    def test_is_drawn_as_text_and_as_a_picture(self):
        row = next(line for line in self.timeline.text().splitlines() if line.startswith("  client"))
        self.assertIn("." * (timeline.COLUMNS // 4), row)
        picture = xml.dom.minidom.parseString(self.timeline._svg("title")).documentElement
        self.assertLess(len(picture.getElementsByTagName("rect")), 35)


if __name__ == "__main__":
    unittest.main()
