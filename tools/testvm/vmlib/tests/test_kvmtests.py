# SPDX-License-Identifier: GPL-2.0-only
"""kvmtests.py: the table of the kernel's KVM selftests, and what is as on stock KVM."""

import unittest

from .. import kvmtests
from ..errors import SuiteError
from ..kvmtests import Outcome, Row, compare, differences, judge
from ..tap import FAIL, PASS, SKIP


def outcome(status: int, *lines: str, vms: int = 1) -> Outcome:
    """Return what a run has come to."""
    return Outcome(status, list(lines), vms, 10)


class Table(unittest.TestCase):
    """Rows of the table."""

    def test_parse(self) -> None:
        row = Row.parse("demand_paging_test | -b 16M | irqchip undecided[svm] | missing[vmx]: KVM_X: or so")
        self.assertEqual(("demand_paging_test", "-b 16M"), (row.name, row.arguments))
        self.assertTrue(row.has("irqchip", "vmx"))
        self.assertTrue(row.has("undecided", "svm"))
        self.assertFalse(row.has("undecided", "vmx"))
        self.assertEqual(("", "missing"), (row.why_not("svm"), row.why_not("vmx")))
        self.assertEqual("KVM_X: or so", row.reason)
        self.assertEqual("kvm demand_paging_test 120 irqchip -b 16M\n", row.plan_line("svm", "kvm"))

    def test_everywhere(self) -> None:
        self.assertEqual("out", Row.parse("smm_test | | | out: SMM").why_not("vmx"))
        self.assertEqual("", Row.parse("cpuid_test | | |").why_not("vmx"))

    def test_refused(self) -> None:
        for line in ("cpuid_test", "a | | magic |", "a | | | because", "| | |"):
            with self.assertRaises(SuiteError):
                Row.parse(line)
        with self.assertRaises(SuiteError):
            kvmtests.read_table("a | | |\na | | |\n")

    def test_table_of_the_tree(self) -> None:
        self.assertIn("cpuid_test", [row.name for row in kvmtests.read_table()])


class Comparing(unittest.TestCase):
    """Stock KVM beside minikvm."""

    def test_numbers_do_not_count(self) -> None:
        self.assertEqual([], differences(outcome(0, "took 1.25 s", "at 0x7f00", ""),
                                         outcome(0, "shim: KVM_CREATE_IRQCHIP ...", "took 3 s", "at 0x1")))

    def test_lines_count(self) -> None:
        self.assertEqual(["-two"], differences(outcome(0, "one", "two"), outcome(0, "one")))

    def judge(self, line: str, stock: Outcome | None, mine: Outcome) -> tuple[str, str]:
        point = judge(Row.parse(line), "svm", stock, mine)
        return point.verdict, point.note

    def test_verdicts(self) -> None:
        good = outcome(0, "x")
        self.assertEqual((PASS, ""), self.judge("a | | |", good, good))
        self.assertEqual(FAIL, self.judge("a | | |", good, outcome(4, "1..0 # SKIP - no KVM_CAP_X"))[0])
        self.assertEqual(FAIL, self.judge("a | | |", good, outcome(0, "y"))[0])
        self.assertEqual(FAIL, self.judge("a | | |", good, outcome(0, "x", vms=0))[0])
        self.assertEqual(PASS, self.judge("a | | device |", good, outcome(0, "x", vms=0))[0])
        self.assertEqual(FAIL, self.judge("a | | |", outcome(254, "x"), good)[0])
        self.assertEqual(FAIL, self.judge("a | | |", None, good)[0])
        self.assertEqual(PASS, self.judge("a | | undecided |", outcome(254, "y"), good)[0])

    def test_missing(self) -> None:
        good, skip = outcome(0, "x"), outcome(4, "1..0 # SKIP - no KVM_CAP_X")
        self.assertEqual((SKIP, "missing: KVM_CAP_X (skips: no KVM_CAP_X)"),
                         self.judge("a | | | missing: KVM_CAP_X", good, skip))
        self.assertEqual(FAIL, self.judge("a | | | missing: KVM_CAP_X", good, good)[0])

    def test_cause(self) -> None:
        mine = outcome(254, "Testing", "==== Test Assertion Failure ====", "  x.c:1: a == b",
                       "  pid=1 tid=1 errno=0 - Success", "     1\t0x401", "  they differ")
        self.assertEqual("fails with status 254: x.c:1: a == b; they differ",
                         compare(Row.parse("a | | |"), "svm", outcome(0), mine))
        self.assertEqual("died of signal 11", outcome(139).word)
        self.assertEqual("does not end in time", outcome(137).word)
