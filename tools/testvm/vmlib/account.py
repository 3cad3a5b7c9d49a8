# SPDX-License-Identifier: GPL-2.0-only
"""The results of all jobs as one TAP stream, and their sum."""

from .tap import FAIL, PASS, SKIP, Point


class Account:
    """Prints results and counts them."""

    def __init__(self) -> None:
        self.number = 0
        self.counts = {PASS: 0, FAIL: 0, SKIP: 0}
        self.failures: list[str] = []
        print("TAP version 13", flush=True)

    @staticmethod
    def say(text: str) -> None:
        """Print a diagnostic line."""
        print(f"# {text}", flush=True)

    def add(self, program: str, point: Point) -> None:
        """Print and count one result."""
        self.number += 1
        self.counts[point.verdict] += 1
        line = f"{'not ' if point.verdict == FAIL else ''}ok {self.number} - {program}: {point.name}"
        if point.verdict == SKIP:
            line += f" # SKIP {point.note}"
        print(line, flush=True)
        if point.verdict == FAIL:
            if point.note:
                self.say(f"{program}: {point.note}")
            self.failures.append(f"{program}: {point.name}" + (f" ({point.note})" if point.note else ""))

    def finish(self) -> int:
        """Print plan, failures and sum; return the exit status."""
        print(f"1..{self.number}")
        for failure in self.failures:
            self.say(f"failed: {failure}")
        print("{pass} passed, {fail} failed, {skip} skipped".format(**self.counts), flush=True)
        return 1 if self.counts[FAIL] or not self.counts[PASS] else 0
