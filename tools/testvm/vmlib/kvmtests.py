# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own KVM selftests: building them, and running them on KVM and on minikvm.

Both in the same boot, one after the other. What a test prints on minikvm has to be what it
prints on stock KVM, numbers left aside; its exit status too. So a test that skips a part of
itself, or ends early, shows. tools/kvm-selftests/ has the table of tests.
"""

import difflib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .cache import cache_dir, locked
from .errors import SuiteError
from .jobs import Job, MachineJob
from .suite import BUILD, RESULTS, TESTVM, TOP, matching, module_of
from .tap import FAIL, KSFT_SKIP, PASS, SKIP, Point

HERE = TOP / "tools" / "kvm-selftests"
TABLE = HERE / "tests"
SHIM = HERE / "irqchip_shim.c"
IN_MACHINE = HERE / "run-in-machine"

NAME = "kvm-selftests"
KERNEL = "6.1-cloud"
MACHINE_OPTIONS = {"svm": ["--cpus", "2", "--memory", "1024"], "vmx": ["--cpus", "1", "--memory", "1024"]}
TEST_SECONDS = 120      # of the machine
BOOT_SECONDS = 1800

PACKAGE = "linux-source-6.1"
TARBALL = Path("/usr/src/linux-source-6.1.tar.xz")
# What "make headers" and the tests themselves read.
PARTS = ["Makefile", "Kbuild", "include", "scripts", "arch/x86", "tools"]
# 6.1.192 has a test that uses a macro by its later name, and one that lacks a header.
CFLAGS = "-DTEST_ASSERT_EQ=ASSERT_EQ -include linux/stddef.h"
LDFLAGS = "-static -Wl,--wrap=ioctl"

WHY = re.compile(r"(out|later|missing)(?:\[(\w+)\])?: (.+)")
USES = ("irqchip", "device", "undecided")
SHIM_SAYS = re.compile(r"^shim: ")
NUMBER = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
# Nobody compares the addresses of a stack trace, and there is no addr2line in the machine.
TRACE = re.compile(r"^\s+\d+\s|^\s*pid=\d+ tid=\d+")

ASSERTION = "==== Test Assertion Failure ===="
SIGNALS = 64

STOCK, MINE = "kvm", "minikvm"


# --- The table ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A test: how it is run, or why it is not. Words with a [machine] count there only."""

    name: str
    arguments: str = ""
    uses: tuple[str, ...] = ()
    why: str = ""           # out, later, missing
    where: str = ""
    reason: str = ""

    @classmethod
    def parse(cls, line: str) -> "Row":
        """Read a line of the table."""
        cells = [cell.strip() for cell in line.split("|", 3)]
        if len(cells) != 4 or not cells[0]:
            raise SuiteError(f"{TABLE}: not four columns: {line}")
        name, arguments, uses, why = cells
        if {word.partition("[")[0] for word in uses.split()} - set(USES):
            raise SuiteError(f"{TABLE}: {name}: it can use: {', '.join(USES)}")
        match = WHY.fullmatch(why)
        if why and not match:
            raise SuiteError(f"{TABLE}: {name}: not understood: {why}")
        return cls(name, arguments, tuple(uses.split()), *(match.group(1, 2, 3) if match else ()))

    def has(self, word: str, machine: str) -> bool:
        """Tell whether it uses something."""
        return word in self.uses or f"{word}[{machine}]" in self.uses

    def why_not(self, machine: str) -> str:
        """Return "", "out", "later" or "missing"."""
        return self.why if self.where in (None, "", machine) else ""

    def plan_line(self, machine: str, phase: str) -> str:
        """Return the line for run-in-machine."""
        shim = "irqchip" if self.has("irqchip", machine) else "-"
        return f"{phase} {self.name} {TEST_SECONDS} {shim} {self.arguments}\n"


def read_table(text: str | None = None) -> list[Row]:
    """Return the rows of the table."""
    lines = (TABLE.read_text(encoding="utf-8") if text is None else text).splitlines()
    rows = [Row.parse(line) for line in lines if line.strip() and not line.startswith("#")]
    names = [row.name for row in rows]
    if twice := {name for name in names if names.count(name) > 1}:
        raise SuiteError(f"{TABLE}: more than one row: {', '.join(sorted(twice))}")
    return rows


# --- Building -------------------------------------------------------------------------------------


def _run(command: list[str], what: str) -> str:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace", check=False)
    if result.returncode:
        raise SuiteError(f"{what}: {result.stdout[-2000:]}")
    return result.stdout


def _known_to_kernel(tests: Path) -> list[str]:
    """Return the paths of the tests that the kernel's makefile builds for x86."""
    text = (tests / "Makefile").read_text(encoding="utf-8")
    return re.findall(r"^TEST_GEN_PROGS(?:_EXTENDED)?_x86_64 \+?= (\S+)$", text, re.M)


def _build(wanted: set[str], target: Path) -> None:
    """Unpack, build and strip what is wanted; "known" in target lists all that there is."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        tree, out, done = (Path(scratch) / name for name in ("tree", "out", "done"))
        tree.mkdir()
        done.mkdir()
        top = TARBALL.name.removesuffix(".tar.xz")
        _run(["tar", "-xJf", str(TARBALL), "-C", str(tree), "--strip-components=1",
              *(f"{top}/{part}" for part in PARTS)], "unpacking the kernel's source")
        _run(["make", "-C", str(tree), f"-j{os.cpu_count()}", "headers"], "the kernel's headers")
        shim = Path(scratch) / "irqchip_shim.o"
        _run(["gcc", "-O2", "-Wall", "-Werror", "-c", "-o", str(shim), str(SHIM)], SHIM.name)
        tests = tree / "tools/testing/selftests/kvm"
        known = _known_to_kernel(tests)
        paths = [path for path in known if Path(path).name in wanted]
        _run(["make", "-C", str(tests), f"-j{os.cpu_count()}", f"OUTPUT={out}", "ARCH=x86_64",
              f"USERCFLAGS={CFLAGS}", f"USERLDFLAGS={LDFLAGS} {shim}",
              *(str(out / path) for path in paths)], "the kernel's KVM selftests")
        for path in paths:
            _run(["strip", "-o", str(done / Path(path).name), str(out / path)], "strip")
        (done / "known").write_text("".join(f"{Path(path).name}\n" for path in known), encoding="ascii")
        shutil.rmtree(target, ignore_errors=True)
        done.rename(target)


def programs(rows: list[Row], report: Callable[[str], None]) -> Path:
    """Return the directory of the programs, built when they are not in the cache."""
    if not TARBALL.exists():
        _run([str(TESTVM / "install-packages"), NAME], "installing packages")
    version = _run(["dpkg-query", "-W", "-f", "${Version}", PACKAGE], f"the version of {PACKAGE}").strip()
    wanted = {row.name for row in rows if row.where or row.why in ("", "missing")}
    digest = hashlib.sha256(SHIM.read_bytes())
    for part in (CFLAGS, LDFLAGS, *sorted(wanted)):
        digest.update(part.encode() + b"\n")
    target = cache_dir() / f"{NAME}-{version}-{digest.hexdigest()[:12]}"
    with locked(NAME):
        if not target.exists():
            report(f"building the kernel's KVM selftests (once, a minute): {PACKAGE} {version}")
            _build(wanted, target)
    known = set((target / "known").read_text(encoding="ascii").split())
    if differ := known ^ {row.name for row in rows}:
        raise SuiteError(f"{TABLE} and the kernel's makefile differ in: {', '.join(sorted(differ))}")
    return target


# --- Running --------------------------------------------------------------------------------------


def shape(lines: list[str]) -> list[str]:
    """Return what has to be the same on KVM and minikvm: all but numbers and the shim's words."""
    return [NUMBER.sub("N", line.rstrip()) for line in lines
            if line.strip() and not SHIM_SAYS.match(line) and not TRACE.match(line)]


@dataclass
class Outcome:
    """What one run of a test has come to."""

    status: int
    lines: list[str]
    vms: int = 0
    exits: int = 0

    @property
    def word(self) -> str:
        """How it ended."""
        if self.status == 0:
            return "passes"
        if self.status == KSFT_SKIP:
            return "skips"
        if self.status in (124, 128 + 9):
            return "does not end in time"
        if self.status in range(129, 129 + SIGNALS):
            return f"died of signal {self.status - 128}"
        return f"fails with status {self.status}"

    @property
    def cause(self) -> str:
        """What it said about its end: the assertion and its message, or the last line."""
        lines = [line.strip() for line in self.lines
                 if line.strip() and not TRACE.match(line) and not SHIM_SAYS.match(line)]
        if ASSERTION in lines:
            return "; ".join(lines[lines.index(ASSERTION) + 1:][:3])
        told = [line for line in lines if re.search(r"SKIP|^not ok|rror", line)]
        return (told or lines or ["no output"])[-1].removeprefix("1..0 # SKIP - ")


def differences(stock: Outcome, mine: Outcome) -> list[str]:
    """Return the lines in which they differ."""
    return [line for line in difflib.unified_diff(shape(stock.lines), shape(mine.lines), "KVM", "minikvm", "", "", 0, "")
            if not line.startswith(("---", "+++", "@@"))]


def compare(row: Row, machine: str, stock: Outcome | None, mine: Outcome) -> str:
    """Return what is not as on stock KVM, or "" when all is."""
    if mine.status != 0:
        return f"{mine.word}: {mine.cause}"
    if not mine.vms and not row.has("device", machine):
        return "minikvm has seen no VM: another device was used"
    if row.has("undecided", machine):
        return ""
    if stock is None:
        return "it did not run on stock KVM"
    if stock.status != 0:
        return f"stock KVM {stock.word}: {stock.cause}"
    return "its output differs from that on stock KVM" if differences(stock, mine) else ""


def judge(row: Row, machine: str, stock: Outcome | None, mine: Outcome) -> Point:
    """Return the result of one test."""
    title = "passes" if row.has("undecided", machine) else "as on stock KVM"
    wrong = compare(row, machine, stock, mine)
    if row.why_not(machine) == "missing":
        if wrong:
            return Point(SKIP, title, f"missing: {row.reason} ({wrong})")
        return Point(FAIL, title, f"nothing is missing any more: take \"{row.reason}\" out of {TABLE.name}")
    return Point(FAIL, title, wrong) if wrong else Point(PASS, title)


class KvmSelftestsJob(MachineJob):
    """A boot in which the tests run on stock KVM, and then on minikvm."""

    def __init__(self, machine: str, cores: int, options: list[str], rows: list[Row], phases: list[str]):
        super().__init__(f"{machine}/{NAME}", RESULTS, cores, options)
        self.machine = machine
        self.rows = {row.name: row for row in rows}
        self.waiting = [row.name for row in rows]
        self.reference = MINE not in phases
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self.current: tuple[str, str] | None = None
        self.printed: list[str] = []
        self.begun = 0.0

    def line(self, line: str) -> None:
        words = line.split()
        if line.startswith("@begin ") and len(words) == 4:
            self.current, self.printed, self.begun = (words[1], words[2]), [], float(words[3])
        elif line.startswith("@end ") and len(words) == 7 and self.current:
            outcome = Outcome(int(words[3]), self.printed, int(words[5]), int(words[6]))
            self.outcomes[self.current] = outcome
            self._ended(*self.current, outcome, float(words[4]) - self.begun)
            self.current = None
        elif line.startswith("@broken "):
            self.result(self.name, Point(FAIL, line.removeprefix("@broken ")))
        elif self.current:
            self.printed.append(line)
        elif line:
            self.say(f"{self.name}: {line}")

    def _ended(self, phase: str, name: str, outcome: Outcome, seconds: float) -> None:
        row = self.rows[name]
        full = f"{self.name}/{name}"
        if phase == STOCK:
            self.say(f"{full}: {outcome.word} on stock KVM, {seconds:.1f} s of machine time")
            if self.reference:
                self.waiting.remove(name)
                verdict = {0: PASS, KSFT_SKIP: SKIP}.get(outcome.status, FAIL)
                if verdict == FAIL and row.has("undecided", self.machine):
                    verdict = SKIP
                self.result(full, Point(verdict, "on stock KVM", "" if verdict == PASS else outcome.cause))
            return
        self.waiting.remove(name)
        stock = self.outcomes.get((STOCK, name))
        point = judge(row, self.machine, stock, outcome)
        self.say(f"{full}: {outcome.word} on minikvm, {seconds:.1f} s of machine time, "
                 f"{outcome.vms} VMs, {outcome.exits} exits")
        shimmed = any(SHIM_SAYS.match(line) for line in outcome.lines)
        if shimmed:
            self.say(f"{full}: KVM_CREATE_IRQCHIP was answered by {SHIM.name}")
        elif row.has("irqchip", self.machine) and outcome.status == 0:
            self.say(f"{full}: does not need {SHIM.name} (any more)")
        if point.verdict == FAIL:
            for text in differences(stock, outcome) if stock else outcome.lines:
                self.say(f"{full}: {text}")
        self.result(full, point)

    def end(self, status: int) -> None:
        del status
        for name in self.waiting:
            note = "the machine ended while it ran" if self.current and self.current[1] == name else \
                "the machine ended before its turn"
            self.result(f"{self.name}/{name}", Point(FAIL, "runs", note))


class NotRunJob(Job):
    """Says which tests are not run, and why."""

    def __init__(self, machine: str, rows: list[Row]):
        super().__init__(f"{machine}/{NAME}/not-run", RESULTS, 0)
        self.machine = machine
        self.rows = rows

    def work(self) -> None:
        out: dict[str, list[str]] = {}
        for row in self.rows:
            if row.why == "later":
                self.result(f"{self.machine}/{NAME}/{row.name}", Point(SKIP, "later", row.reason))
            else:
                out.setdefault(row.reason, []).append(row.name)
        for reason, names in out.items():
            self.say(f"{self.machine}/{NAME}: not run: {reason}: {' '.join(names)}")


def chosen(machine: str, patterns: list[str], rows: list[Row]) -> list[Row]:
    """Return the rows that the user wants."""
    if matching(patterns, NAME, f"{machine}/{NAME}"):
        return rows
    return [row for row in rows if matching(patterns, f"{NAME}/{row.name}", f"{machine}/{NAME}/{row.name}")]


def jobs(machine: str, stock_module: str, patterns: list[str], reference: bool,
         report: Callable[[str], None]) -> list[Job]:
    """Return the jobs for one machine: the boot, and what is not run."""
    rows = read_table()
    wanted = chosen(machine, patterns, rows)
    if not wanted:
        return []
    runs = [row for row in wanted if row.why_not(machine) in ("", "missing")]
    found: list[Job] = []
    if runs:
        phases = [STOCK] if reference else [STOCK, MINE]
        directory = programs(rows, report)
        plan = BUILD / NAME / f"{machine}-list"
        plan.parent.mkdir(parents=True, exist_ok=True)
        plan.write_text("".join(row.plan_line(machine, phase) for phase in phases for row in runs), encoding="ascii")
        options = ["--machine", machine, "--kernel", KERNEL, *MACHINE_OPTIONS[machine],
                   "--timeout", str(BOOT_SECONDS), "--carry-module", stock_module,
                   "--file", f"{plan}:/kvm-selftests/list", "--script", str(IN_MACHINE)]
        if not reference:
            options += ["--file", f"{module_of(KERNEL)}:/minikvm.ko"]
        for row in runs:
            options += ["--file", f"{directory / row.name}:/kvm-selftests/{row.name}"]
        found.append(KvmSelftestsJob(machine, 2 if machine == "svm" else 1, options, runs, phases))
    others = [row for row in wanted if row not in runs]
    if others and not reference:
        found.append(NotRunJob(machine, others))
    return found

