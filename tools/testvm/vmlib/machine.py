# SPDX-License-Identifier: GPL-2.0-only
"""What every test machine has in common; one subclass a machine, one file each."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, ClassVar

from .kernels import Kernel


@dataclass(frozen=True)
class Spec:
    """What the user asked for."""

    cpus: int
    cpu: str
    memory: int
    mitigations: bool
    append: str
    interactive: bool
    kernels: int = 1    # that are to run one after the other: resets do not end the machine
    turns: bool = False  # CPUs run in turn where they could run at once


class Machine(ABC):
    """An emulated machine in a directory of its own.

    The life of a machine: fetch() gets the emulator, prepare() writes the files, command() is started by
    the runner on a pseudo-terminal of its own, output and console grow while it
    runs, problems() and log_tail() explain a failure afterwards.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    arch: ClassVar[str]
    default_cpu: ClassVar[str]
    cpu_models: ClassVar[dict[str, str]]    # name for users -> name of the emulator
    channel: ClassVar[str]                  # see guest/tvout.c
    known_splats: ClassVar[list[str]] = []  # complaints of stock kernels about the emulator itself
    terminal: ClassVar[str] = "/dev/ttyS0"  # for --shell

    def __init__(self, spec: Spec, directory: Path):
        self.spec = spec
        self.directory = directory
        self.output = directory / "output"      # records of tvout
        self.console = directory / "console"    # kernel console

    def fetch(self, report: Callable[[str], None]) -> None:
        """Get the emulator when it is not there and is not a package to install."""

    @abstractmethod
    def prepare(self, kernel: Kernel, initrd: bytes, terminal: str | None) -> None:
        """Write all files; terminal is the pseudo-terminal to connect the console to."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that starts the emulator."""

    @abstractmethod
    def resets(self) -> int:
        """Return how often the machine was reset (the start does not count)."""

    @abstractmethod
    def clean_end(self, returncode: int) -> bool:
        """Tell whether the emulator ended because the machine was powered off."""

    def reset_end(self, returncode: int) -> bool:
        """Tell whether the emulator ended because the machine was reset; Bochs goes on then."""
        del returncode
        return False

    @abstractmethod
    def problems(self) -> list[str]:
        """Return lines of the emulator's log that explain failures of the guest."""

    @abstractmethod
    def log_tail(self, lines: int = 15) -> str:
        """Return the end of the emulator's log."""
