# SPDX-License-Identifier: GPL-2.0-only
"""jobs.py, schedule.py, account.py: from output to the account of all results."""

import contextlib
import io
import tempfile
import threading
import unittest
from pathlib import Path

from .. import jobs, schedule
from ..account import Account
from ..errors import STATUS_DIED, STATUS_SPLAT, STATUS_TIMEOUT
from ..tap import FAIL, PASS, SKIP, Point


def results(job: jobs.Job) -> list[tuple[str, str, str]]:
    """Return what a job has handed over: program, verdict, name."""
    found = []
    while not job.lines.empty():
        item = job.lines.get()
        if isinstance(item, tuple):
            found.append((item[0], item[1].verdict, item[1].name))
    return found


class InDirectory(unittest.TestCase):
    """Tests with a directory for results."""

    def setUp(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.results = Path(self.directory.name)

    def tearDown(self) -> None:
        self.directory.cleanup()

    def program(self, text: str) -> Path:
        """Make a shell script."""
        path = self.results / "program"
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        path.chmod(0o755)
        return path


class Units(InDirectory):
    """Programs of this computer."""

    def run_unit(self, text: str) -> list[tuple[str, str, str]]:
        job = jobs.UnitJob("unit/x", self.results, self.program(text))
        job.run()
        return results(job)

    def test_results(self) -> None:
        self.assertEqual([("unit/x", PASS, "a"), ("unit/x", FAIL, "b")],
                         self.run_unit("echo 1..2; echo ok 1 a; echo not ok 2 b; exit 1"))
        self.assertEqual("1..2\nok 1 a\nnot ok 2 b\n", (self.results / "unit/x.tap").read_text(encoding="ascii"))

    def test_signal(self) -> None:
        self.assertEqual([("unit/x", FAIL, "ends in order")], self.run_unit("kill -9 $$"))

    def test_missing(self) -> None:
        job = jobs.UnitJob("unit/x", self.results, self.results / "nothing")
        job.run()
        self.assertEqual([("unit/x", FAIL, "runs")], results(job))


class Lists(InDirectory):
    """The marks of guest/run-list."""

    def job(self) -> jobs.ListJob:
        return jobs.ListJob("svm/tests", self.results, 1, [], "svm", ["load", "a_test", "b_test"])

    def test_in_order(self) -> None:
        job = self.job()
        for line in ("@begin load 60 1.0", "1..1", "ok 1 insmod", "@end load 0 1.5", "noise", "",
                     "@begin a_test 60 2.0", "1..1", "ok 1 a", "@end a_test 0 3.0",
                     "@begin b_test 60 3.0", "1..1", "@end b_test 0 4.0"):
            job.line(line)
        job.end(0)
        self.assertEqual([("svm/load", PASS, "insmod"), ("svm/a_test", PASS, "a"), ("svm/b_test", FAIL, "ends in order")],
                         results(job))

    def test_time_limit(self) -> None:
        job = self.job()
        job.waiting = ["a_test"]
        for line in ("@begin a_test 60 2.0", "1..2", "ok 1 a", "@end a_test 137 62.5"):
            job.line(line)
        job.end(0)
        self.assertEqual([("svm/a_test", PASS, "a"), ("svm/a_test", FAIL, "ends in order")], results(job))

    def test_machine_dies(self) -> None:
        job = self.job()
        for line in ("@begin load 60 1.0", "1..1", "ok 1 insmod", "@end load 0 1.5", "@begin a_test 60 2.0", "1..2",
                     "ok 1 a"):
            job.line(line)
        job.end(STATUS_DIED)
        self.assertEqual([("svm/load", PASS, "insmod"), ("svm/a_test", PASS, "a"), ("svm/a_test", FAIL, "ends in order"),
                          ("svm/b_test", FAIL, "runs")], results(job))


class Machines(InDirectory):
    """The end of testvm, for which a shell script stands in."""

    CLEAN = "machine ends in order, kernel log clean"

    def setUp(self) -> None:
        super().setUp()
        self.testvm = jobs.TESTVM

    def tearDown(self) -> None:
        jobs.TESTVM = self.testvm
        super().tearDown()

    def run_script(self, text: str) -> list[tuple[str, str, str]]:
        jobs.TESTVM = self.program(text)
        job = jobs.ScriptJob("svm/x", self.results, 1, [])
        job.run()
        return results(job)

    def test_in_order(self) -> None:
        self.assertEqual([("svm/x", PASS, "a"), ("svm/x", PASS, self.CLEAN)], self.run_script("echo 1..1; echo ok 1 a"))

    def test_script_status(self) -> None:
        """The status of a boot script is that of its last command."""
        self.assertEqual([("svm/x", FAIL, "a"), ("svm/x", PASS, self.CLEAN)],
                         self.run_script("echo 1..1; echo not ok 1 a; exit 1"))
        self.assertEqual([("svm/x", PASS, "a"), ("svm/x", PASS, self.CLEAN)],
                         self.run_script("echo 1..1; echo ok 1 a; exit 1"))

    def test_splat(self) -> None:
        self.assertEqual([("svm/x", PASS, "a"), ("svm/x", FAIL, self.CLEAN)],
                         self.run_script(f"echo 1..1; echo ok 1 a; exit {STATUS_SPLAT}"))

    def test_died(self) -> None:
        self.assertEqual([("svm/x", PASS, "a"), ("svm/x", FAIL, "ends in order"), ("svm/x", FAIL, self.CLEAN)],
                         self.run_script(f"echo 1..2; echo ok 1 a; exit {STATUS_DIED}"))

    def test_timeout(self) -> None:
        self.assertEqual([("svm/x", FAIL, "ends in order"), ("svm/x", FAIL, self.CLEAN)],
                         self.run_script(f"exit {STATUS_TIMEOUT}"))


class Waiting(jobs.Job):
    """A job that notes how many cores are busy."""

    busy = most = 0
    lock = threading.Lock()
    together = threading.Barrier(2)

    def work(self) -> None:
        with self.lock:
            Waiting.busy += self.cores
            Waiting.most = max(Waiting.most, Waiting.busy)
        if self.cores == 1:
            self.together.wait(timeout=30)  # passes only when two run at once
        with self.lock:
            Waiting.busy -= self.cores
        self.result(self.name, Point(PASS, "works"))


class Schedule(InDirectory):
    """Jobs side by side."""

    def test_cores(self) -> None:
        work = [Waiting(str(number), self.results, cores) for number, cores in enumerate((1, 1, 2, 1, 1, 5))]
        here = schedule.cores_here
        schedule.cores_here = lambda: 2
        try:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                account = Account()
                schedule.run_jobs(work, account)
        finally:
            schedule.cores_here = here
        self.assertEqual(6, account.counts[PASS])
        self.assertEqual(5, Waiting.most)   # the one that wants more than there is has all to itself
        self.assertEqual([f"ok {number + 1} - {number}: works" for number in range(6)],
                         [line for line in output.getvalue().splitlines() if line.startswith("ok")])


class Accounts(unittest.TestCase):
    """The sum."""

    def account(self, *points: Point) -> tuple[int, list[str]]:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            account = Account()
            for point in points:
                account.add("svm/x", point)
            status = account.finish()
        return status, output.getvalue().splitlines()

    def test_sum(self) -> None:
        status, lines = self.account(Point(PASS, "a"), Point(SKIP, "b", "no CPU"), Point(FAIL, "c", "why"))
        self.assertEqual(1, status)
        self.assertEqual(["TAP version 13", "ok 1 - svm/x: a", "ok 2 - svm/x: b # SKIP no CPU", "not ok 3 - svm/x: c",
                          "# svm/x: why", "1..3", "# failed: svm/x: c (why)", "1 passed, 1 failed, 1 skipped"], lines)

    def test_status(self) -> None:
        self.assertEqual(0, self.account(Point(PASS, "a"), Point(SKIP, "b"))[0])
        self.assertEqual(1, self.account(Point(SKIP, "b"))[0])
        self.assertEqual(1, self.account()[0])
