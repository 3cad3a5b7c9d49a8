# SPDX-License-Identifier: GPL-2.0-only
"""What runs at its own pace and hands results over: programs of this computer, test machines."""

import queue
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

from .errors import STATUS_SPLAT, STATUS_TIMEOUT
from .tap import FAIL, PASS, Point, Program

TESTVM = Path(__file__).resolve().parent.parent / "testvm"
UNIT_SECONDS = 300
# What a machine prints for other programs to read in the file of its output.
DATA = "@data "

RUNNING: set[subprocess.Popen] = set()


def terminate_all() -> None:
    """End the machines that run."""
    for process in RUNNING:
        process.terminate()


class Job(ABC):
    """Something that keeps a number of cores busy; its lines are printed when its turn comes.

    What it prints is kept in results/NAME.tap and files beside it.
    """

    def __init__(self, name: str, results: Path, cores: int = 1):
        self.name = name
        self.results = results
        self.cores = cores
        self.lines: queue.Queue = queue.Queue()
        self.seconds = 0.0      # that it took

    @abstractmethod
    def work(self) -> None:
        """Do the job, calling say() and result()."""

    def run(self) -> None:
        """Do the job in a thread; the end of the queue is a None."""
        started = time.monotonic()
        try:
            self.work()
        except Exception as error:  # whatever it is, the account must show it
            self.result(self.name, Point(FAIL, "runs", f"{type(error).__name__}: {error}"))
        finally:
            self.seconds = time.monotonic() - started
            self.lines.put(None)

    def say(self, text: str) -> None:
        """Print a diagnostic line."""
        self.lines.put(text)

    def result(self, program: str, point: Point) -> None:
        """Count and print a result."""
        self.lines.put((program, point))

    def feed(self, program: Program, line: str) -> None:
        """Pass a line of a program to its account, and to the output."""
        point = program.feed(line)
        if point:
            self.result(program.name, point)
        elif line and not line.startswith(("TAP version", "1..")):
            self.say(f"{program.name}: {line.removeprefix('# ')}")

    def file(self, suffix: str) -> Path:
        """Return the name of a file in which something is kept."""
        path = self.results / f"{self.name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class UnitJob(Job):
    """A program of this computer."""

    def __init__(self, name: str, results: Path, path: Path):
        super().__init__(name, results)
        self.path = path

    def work(self) -> None:
        program = Program(self.name)
        started = time.monotonic()
        with open(self.file("tap"), "w", encoding="utf-8") as log, \
                subprocess.Popen([self.path], cwd=self.path.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True, errors="replace") as process:
            killer = threading.Timer(UNIT_SECONDS, process.kill)
            killer.start()
            for line in process.stdout:
                log.write(line)
                self.feed(program, line.rstrip("\n"))
            status = process.wait()
            killer.cancel()
        for point in program.finish(128 - status if status < 0 else status, UNIT_SECONDS,
                                    time.monotonic() - started):
            self.result(program.name, point)


class MachineJob(Job):
    """One boot of a test machine; options are those of testvm."""

    def __init__(self, name: str, results: Path, cores: int, options: list[str]):
        super().__init__(name, results, cores)
        self.options = options

    def work(self) -> None:
        command = [str(TESTVM), "--quiet", "--dmesg", str(self.file("dmesg")),
                   "--emulator-log", str(self.file("emulator")), *self.options]
        messages: list[str] = []
        with open(self.file("tap"), "w", encoding="utf-8") as log, \
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True, errors="replace") as process:
            RUNNING.add(process)
            reader = threading.Thread(target=lambda: messages.extend(process.stderr), daemon=True)
            reader.start()
            for line in process.stdout:
                log.write(line)
                self.line(line.rstrip("\n"))
            status = process.wait()
            RUNNING.discard(process)
            reader.join()
            log.writelines(messages)
        self.end(status)
        verdict = Point(PASS, "machine ends in order, kernel log clean")
        if status in range(1, STATUS_SPLAT) and self.script_may_fail:
            status = 0
        if status:
            for message in messages:
                self.say(f"{self.name}: {message.rstrip()}")
            last = messages[-1].removeprefix("testvm: ").strip() if messages else ""
            verdict = Point(FAIL, verdict.name, last or f"testvm ended with status {status}")
        self.result(self.name, verdict)

    script_may_fail = False     # says nothing that its TAP output has not said

    @abstractmethod
    def line(self, line: str) -> None:
        """Take a line of the machine's output."""

    @abstractmethod
    def end(self, status: int) -> None:
        """Account for what did not end, or not begin."""


class ListJob(MachineJob):
    """A machine in which guest/run-list runs programs one after the other."""

    def __init__(self, name: str, results: Path, cores: int, options: list[str], prefix: str, programs: list[str]):
        super().__init__(name, results, cores, options)
        self.prefix = prefix                # of the programs' names
        self.waiting = list(programs)       # programs that have not begun
        self.current: Program | None = None
        self.limit = self.begun = 0.0

    def line(self, line: str) -> None:
        words = line.split()
        if line.startswith("@begin ") and len(words) == 4:
            self.current = Program(f"{self.prefix}/{words[1]}")
            self.limit, self.begun = float(words[2]), float(words[3])
            if words[1] in self.waiting:
                self.waiting.remove(words[1])
        elif line.startswith("@end ") and len(words) == 4 and self.current:
            seconds = float(words[3]) - self.begun
            for point in self.current.finish(int(words[2]), self.limit, seconds):
                self.result(self.current.name, point)
            self.say(f"{self.current.name}: took {seconds:.1f} s of machine time")
            self.current = None
        elif line.startswith(DATA):
            pass
        elif self.current:
            self.feed(self.current, line)
        elif line:
            self.say(f"{self.name}: {line}")

    def end(self, status: int) -> None:
        del status
        if self.current:
            for point in self.current.finish(None):
                self.result(self.current.name, point)
        for name in self.waiting:
            self.result(f"{self.prefix}/{name}", Point(FAIL, "runs", "the machine ended before its turn"))


class ScriptJob(MachineJob):
    """A machine whose one program is a script of selftests/boots."""

    script_may_fail = True

    def __init__(self, name: str, results: Path, cores: int, options: list[str]):
        super().__init__(name, results, cores, options)
        self.program = Program(name)

    def line(self, line: str) -> None:
        self.feed(self.program, line)

    def end(self, status: int) -> None:
        if status == STATUS_TIMEOUT:
            self.result(self.name, Point(FAIL, "ends in order", "time limit of the boot"))
            return
        # The status of a shell script is that of its last command and tells nothing;
        # a script that ends early misses its plan.
        lost = status > STATUS_SPLAT
        for point in self.program.finish(None if lost else 0):
            self.result(self.name, point)
