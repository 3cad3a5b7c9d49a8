# SPDX-License-Identifier: GPL-2.0-only
"""suite.py: names and lists of tests."""

import unittest

from ..suite import Program, matching


class Programs(unittest.TestCase):
    """Lines of "make list-machine"."""

    def test_parse(self) -> None:
        self.assertEqual(Program("pio_test", "pio_test", 60), Program.parse("pio_test pio_test"))
        self.assertEqual(Program("smp_test", "smp_test --all 3", 120),
                         Program.parse("smp_test timeout=120 smp_test --all 3"))

    def test_row(self) -> None:
        self.assertEqual("smp_test 120 smp_test --all 3", Program.parse("smp_test timeout=120 smp_test --all 3").row)

    def test_binary(self) -> None:
        self.assertEqual("smp_test", Program("smp", "smp_test --all", 1).binary.name)
        self.assertEqual("smp_test", Program("smp", "env A=1 B=2 smp_test --all", 1).binary.name)


class Matching(unittest.TestCase):
    """Patterns of the user."""

    def test_any(self) -> None:
        self.assertTrue(matching(["pio*", "mmio*"], "mmio_test"))
        self.assertTrue(matching(["svm/*"], "lifecycle", "svm/lifecycle"))
        self.assertFalse(matching(["pio"], "pio_test"))
        self.assertFalse(matching([], "pio_test"))
