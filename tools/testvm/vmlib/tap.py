# SPDX-License-Identifier: GPL-2.0-only
"""Reading the TAP output of one test program."""

import re
from dataclasses import dataclass, field

PASS, FAIL, SKIP = "pass", "fail", "skip"

RESULT = re.compile(r"^(not )?ok\b *(\d+)? *(?:- )?(.*)$")
PLAN = re.compile(r"^1\.\.(\d+)(?: *# *SKIP *(.*))?$", re.I)
DIRECTIVE = re.compile(r"(?:^|\s)# *(SKIP|TODO|XFAIL)\b *(.*)$", re.I)

KSFT_SKIP = 4   # exit status of kselftest programs that were skipped


@dataclass
class Point:
    """One result: a line of the final account."""

    verdict: str
    name: str
    note: str = ""


@dataclass
class Program:
    """What one program reported. Feed it lines, then finish() it."""

    name: str
    points: list[Point] = field(default_factory=list)
    plan: int | None = None
    skipped: str | None = None
    bailed: str | None = None

    def feed(self, line: str) -> Point | None:
        """Take one line; return the result it holds, if any.

        Indented lines belong to subtests, whose sum is a line of its own.
        """
        if match := PLAN.match(line):
            self.plan = int(match[1])
            if self.plan == 0:
                self.skipped = match[2] or "no reason given"
            return None
        if line.startswith("Bail out!"):
            self.bailed = line[9:].strip() or "no reason given"
            return None
        match = RESULT.match(line)
        if not match:
            return None
        text = match[3].strip()
        directive = DIRECTIVE.search(text)
        verdict, note = FAIL if match[1] else PASS, ""
        if directive:
            kind = directive[1].upper()
            # kselftest writes "ok N # SKIP text", where the text is all there is of a name.
            text = text[:directive.start()].strip() or directive[2].strip()
            note = directive[2].strip()
            if kind == "SKIP":
                verdict = SKIP
            elif match[1]:
                verdict = PASS      # failed as expected (TODO, XFAIL)
        point = Point(verdict, text or f"test {match[2] or len(self.points) + 1}", note)
        self.points.append(point)
        return point

    def finish(self, status: int | None, limit: float | None = None, seconds: float | None = None) -> list[Point]:
        """Return results that follow from the end of the program rather than from a line.

        status is None when the machine went away under the program.
        """
        extra: list[Point] = []

        def fail(note: str) -> None:
            extra.append(Point(FAIL, "ends in order", note))

        if status is None:
            fail("the machine ended while it ran")
        elif limit is not None and seconds is not None and seconds >= limit and status:
            fail(f"killed after its time limit of {limit:.0f} s")
        elif self.bailed is not None:
            fail(f"bailed out: {self.bailed}")
        elif status == KSFT_SKIP and not self.points:
            extra.append(Point(SKIP, "all of it", self.skipped or "exit status 4"))
        elif status > 128:
            fail(f"died of signal {status - 128}")
        elif self.skipped is not None:
            extra.append(Point(SKIP, "all of it", self.skipped))
        elif self.plan is None:
            fail(f"no plan (1..N); exit status {status}")
        elif self.plan != len(self.points):
            fail(f"{self.plan} tests planned, {len(self.points)} reported; exit status {status}")
        elif status not in (0, KSFT_SKIP) and all(point.verdict != FAIL for point in self.points):
            fail(f"exit status {status}, though no test failed")
        self.points += extra
        return extra
