# SPDX-License-Identifier: GPL-2.0-only
"""tap.py: lines of a program to results."""

import unittest

from ..tap import FAIL, PASS, SKIP, Program


def run(*lines: str, status: int | None = 0, **how) -> Program:
    """Feed a program's lines and end it."""
    program = Program("program")
    for line in lines:
        program.feed(line)
    program.finish(status, **how)
    return program


class Lines(unittest.TestCase):
    """One line."""

    def point(self, line: str) -> tuple[str, str, str] | None:
        point = Program("program").feed(line)
        return (point.verdict, point.name, point.note) if point else None

    def test_results(self) -> None:
        self.assertEqual((PASS, "name", ""), self.point("ok 1 - name"))
        self.assertEqual((PASS, "name", ""), self.point("ok 1 name"))
        self.assertEqual((PASS, "name of words", ""), self.point("ok name of words"))
        self.assertEqual((FAIL, "name", ""), self.point("not ok 7 - name"))
        self.assertEqual((PASS, "test 7", ""), self.point("ok 7"))
        self.assertEqual((PASS, "test 1", ""), self.point("ok"))

    def test_directives(self) -> None:
        self.assertEqual((SKIP, "name", "no CPU 1"), self.point("ok 1 - name # SKIP no CPU 1"))
        self.assertEqual((SKIP, "name", ""), self.point("ok 1 - name #skip"))
        self.assertEqual((SKIP, "no CPU 1", "no CPU 1"), self.point("ok 1 # SKIP no CPU 1"))
        self.assertEqual((PASS, "name", "later"), self.point("not ok 1 - name # TODO later"))
        self.assertEqual((PASS, "name", ""), self.point("not ok 1 - name # XFAIL"))
        self.assertEqual((FAIL, "issue #12", ""), self.point("not ok 1 - issue #12"))

    def test_other_lines(self) -> None:
        for line in ("", "# a comment", "    ok 1 - of a subtest", "okay", "TAP version 13", "1..3", "nok 1"):
            self.assertIsNone(self.point(line), line)


class Ends(unittest.TestCase):
    """What follows from the end of a program."""

    def fails(self, note: str, program: Program) -> None:
        last = program.points[-1]
        self.assertEqual((FAIL, "ends in order"), (last.verdict, last.name))
        self.assertIn(note, last.note)

    def test_in_order(self) -> None:
        self.assertEqual([PASS, FAIL], [point.verdict for point in run("1..2", "ok 1", "not ok 2", status=1).points])
        self.assertEqual([PASS], [point.verdict for point in run("ok 1", "1..1").points])

    def test_plan(self) -> None:
        self.fails("no plan", run("ok 1"))
        self.fails("2 tests planned, 1 reported", run("1..2", "ok 1"))
        self.fails("1 tests planned, 2 reported", run("1..1", "ok 1", "ok 2"))

    def test_status(self) -> None:
        self.fails("exit status 1, though", run("1..1", "ok 1", status=1))
        self.fails("signal 11", run("1..1", "ok 1", status=139))
        self.fails("the machine ended", run("1..1", "ok 1", status=None))

    def test_time_limit(self) -> None:
        self.fails("time limit of 60 s", run("1..2", "ok 1", status=137, limit=60, seconds=60.2))
        # Late, but it ended by itself.
        self.assertEqual([PASS], [point.verdict for point in run("1..1", "ok 1", limit=60, seconds=61).points])

    def test_bail_out(self) -> None:
        self.fails("bailed out: no device", run("1..2", "ok 1", "Bail out! no device", status=1))

    def test_skipped_as_a_whole(self) -> None:
        point = run("1..0 # SKIP no KVM", status=4).points[-1]
        self.assertEqual((SKIP, "no KVM"), (point.verdict, point.note))
        self.assertEqual(SKIP, run("1..0").points[-1].verdict)
        self.assertEqual(SKIP, run(status=4).points[-1].verdict)
