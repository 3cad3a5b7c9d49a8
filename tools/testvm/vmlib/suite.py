# SPDX-License-Identifier: GPL-2.0-only
"""Which tests there are, and building what they need."""

import fnmatch
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .errors import SuiteError
from .kernels import get_kernel

TESTVM = Path(__file__).resolve().parent.parent
TOP = TESTVM.parent.parent
SELFTESTS = TOP / "selftests"
BUILD = TOP / "build"
RESULTS = BUILD / "test-results"

PROGRAM_SECONDS = 60

# Ways to build the module: arguments for make.
VARIANTS = {"": [], "audit": ["MKVM_AUDIT=1"], "coverage": ["MKVM_COVERAGE=1"]}


@dataclass(frozen=True)
class Program:
    """A program that runs in a test machine: its words are those of a shell."""

    name: str
    words: str
    seconds: float = PROGRAM_SECONDS

    @classmethod
    def parse(cls, line: str) -> "Program":
        """Read a line NAME [timeout=SECONDS] COMMAND... of "make list-machine"."""
        name, *words = line.split()
        seconds = float(PROGRAM_SECONDS)
        if words and words[0].startswith("timeout="):
            seconds = float(words.pop(0).removeprefix("timeout="))
        return cls(name, " ".join(words), seconds)

    @property
    def row(self) -> str:
        """The line for guest/run-list."""
        return f"{self.name} {self.seconds:.0f} {self.words}"

    @property
    def binary(self) -> Path:
        """The file to carry into the machine."""
        command = [word for word in self.words.split() if word != "env" and "=" not in word]
        return SELFTESTS / "build" / command[0]


def matching(patterns: list[str], *names: str) -> bool:
    """Tell whether the user wants the test that has these names."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in names)


def listing(target: str) -> list[str]:
    """Return the lines that a list target of selftests/Makefile prints."""
    result = subprocess.run(["make", "-s", "--no-print-directory", "-C", SELFTESTS, target], text=True,
                            stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if result.returncode:
        raise SuiteError(f"make -C selftests {target}: {result.stderr.strip()}")
    return [line for line in result.stdout.splitlines() if line.strip()]


def machine_programs() -> list[Program]:
    """Return the machine tests."""
    return [Program.parse(line) for line in listing("list-machine")]


def unit_programs() -> list[Path]:
    """Return the unit tests: those of the module, which have to be built, and those of testvm."""
    return [SELFTESTS / line for line in listing("list-unit")] + [TESTVM / "testvm_test"]


def build(title: str, command: list[str]) -> None:
    """Run one step of the build; its output is shown when it fails."""
    print(f"# building {title}", flush=True)
    result = subprocess.run(command, cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.STDOUT, errors="replace", check=False)
    with open(RESULTS / "build.log", "a", encoding="utf-8") as stream:
        stream.write(result.stdout)
    if result.returncode:
        for line in result.stdout.splitlines():
            print(f"# {line}")
        raise SuiteError(f"{title}: failed: {shlex.join(command)}")


def build_module(kernel: str, variant: str = "") -> None:
    """Build minikvm.ko for a kernel, which may have to be fetched or built first."""
    get_kernel(kernel, report=lambda text: print(f"# {text}", flush=True))
    build(f"the module for {kernel}{', variant ' + variant if variant else ''}",
          [str(TESTVM / "build-module"), "--kernel", kernel, "--out", str(module_of(kernel, variant).parent),
           *VARIANTS[variant]])


def build_selftests(target: str) -> None:
    """Build the machine tests (all) or the unit tests (unit)."""
    build("the unit tests" if target == "unit" else "the machine tests",
          ["make", f"-j{os.cpu_count()}", "-C", "selftests", target])


def build_tools() -> None:
    """Build the program minikvm."""
    build("the tools", ["make", "-C", "tools/minikvm"])


def module_of(kernel: str, variant: str = "") -> Path:
    """Return where the module for a kernel is."""
    return BUILD / f"module-{kernel}{'-' + variant if variant else ''}" / "minikvm.ko"


def what_to_carry(kernel: str, variant: str) -> list[str]:
    """Return the arguments for testvm that bring module and tools along."""
    return ["--file", f"{module_of(kernel, variant)}:/minikvm.ko",
            "--file", f"{TOP}/tools/minikvm/minikvm:/bin/minikvm"]
