# SPDX-License-Identifier: GPL-2.0-only
"""Running a test machine: start it, pass on its output, tell how it ended."""

import ctypes
import os
import pty
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Callable

from .errors import (STATUS_DIED, STATUS_EMULATOR, STATUS_NO_BOOT, STATUS_SPLAT, STATUS_TIMEOUT)
from .machine import Machine
from .splat import find_splats
from .terminal import Relay

POLL_SECONDS = 0.02
PANIC_GRACE_SECONDS = 2.0
PANIC = "Kernel panic - not syncing"


@dataclass
class Result:
    """How a run ended."""

    status: int
    message: str
    script_status: int | None = None
    boot_seconds: float | None = None
    seconds: float = 0.0
    splats: list[str] = field(default_factory=list)
    dmesg: str = ""
    console: str = ""


class Records:
    """Decoder of the stream that tvout writes."""

    def __init__(self) -> None:
        self.buffer = b""

    def feed(self, data: bytes):
        """Yield (tag, data) for each complete record."""
        self.buffer += data
        while len(self.buffer) >= 3:
            length = self.buffer[1] | self.buffer[2] << 8
            if len(self.buffer) < 3 + length:
                return
            yield chr(self.buffer[0]), self.buffer[3:3 + length]
            self.buffer = self.buffer[3 + length:]


class Runner:
    """One run of one machine."""

    def __init__(self, machine: Machine, timeout: float, allowed: list[re.Pattern],
                 output: Callable[[bytes], None], report: Callable[[str], None],
                 console: Callable[[str], None] | None = None, relay: Relay | None = None):
        self.machine = machine
        self.timeout = timeout
        self.allowed = allowed
        self.output = output
        self.report = report
        self.show_console = console
        self.relay = relay
        self.records = Records()
        self.read_so_far = 0
        self.console_so_far = 0
        self.console_text = ""
        self.dmesg = b""
        self.guest_error = ""
        self.script_status: int | None = None
        self.boot_seconds: float | None = None
        self.ups = 0
        self.console_before = 0     # how long the console's text was when the kernel came up
        self.start = 0.0

    def run(self) -> Result:
        """Run the machine to its end, or to the time limit."""
        # Emulators draw on a terminal; give them one that nobody looks at.
        master, slave = pty.openpty()
        env = dict(os.environ, TERM="vt100")
        self.start = time.monotonic()
        process = subprocess.Popen(self.machine.command(), stdin=slave, stdout=slave, stderr=slave,
                                   env=env, start_new_session=True, cwd=self.machine.directory,
                                   preexec_fn=_die_with_parent)
        os.close(slave)
        os.set_blocking(master, False)
        screen = bytearray()
        ended = None
        try:
            while ended is None:
                ended = self._check(process)
                self._drain_screen(master, screen)
                self._pump()
                if self.relay:
                    self.relay.pump(POLL_SECONDS)
                else:
                    time.sleep(POLL_SECONDS)
        finally:
            _kill(process)
            self._drain_screen(master, screen)
            os.close(master)
        self._pump()
        return self._result(ended, process.returncode, bytes(screen))

    def _check(self, process: subprocess.Popen) -> str | None:
        """Return why the run is over, or None."""
        if process.poll() is not None:
            self._pump()
            if self._panicked():
                return "panic"
            return "reset" if self.machine.reset_end(process.returncode) else "exit"
        if time.monotonic() - self.start > self.timeout:
            return "timeout"
        kernels = self.machine.spec.kernels
        if self.ups > kernels or self.machine.resets() >= kernels:
            return "reset"
        if self.ups >= kernels and self._panicked():
            # Let the trace get out before the machine is stopped.
            deadline = time.monotonic() + PANIC_GRACE_SECONDS
            while time.monotonic() < deadline and "end Kernel panic" not in self.console_text:
                time.sleep(POLL_SECONDS)
                self._pump()
            return "panic"
        return None

    def _panicked(self) -> bool:
        """Tell whether the kernel that runs now has; that of the one before may have been wanted."""
        return PANIC in self.console_text[self.console_before:]

    @staticmethod
    def _drain_screen(master: int, screen: bytearray) -> None:
        try:
            while data := os.read(master, 65536):
                screen += data
                del screen[:-4096]
        except OSError:
            pass

    def _pump(self) -> None:
        """Take in what the machine has written since the last time."""
        if self.machine.output.exists():
            with open(self.machine.output, "rb") as stream:
                stream.seek(self.read_so_far)
                data = stream.read()
            self.read_so_far += len(data)
            for tag, payload in self.records.feed(data):
                self._record(tag, payload)
        if self.machine.console.exists():
            with open(self.machine.console, "rb") as stream:
                stream.seek(self.console_so_far)
                data = stream.read()
            self.console_so_far += len(data)
            if data:
                text = data.decode(errors="replace").replace("\r", "")
                self.console_text += text
                if self.show_console:
                    self.show_console(text)

    def _record(self, tag: str, payload: bytes) -> None:
        if tag == "o":
            self.output(payload)
        elif tag == "d":
            self.dmesg += payload
        elif tag == "e":
            self.guest_error += payload.decode(errors="replace").strip()
        elif tag == "s":
            self.script_status = int(payload)
        elif tag == "u":
            self.ups += 1
            if self.ups > 1:
                self.console_before = len(self.console_text)
            if self.boot_seconds is None:
                self.boot_seconds = time.monotonic() - self.start
                self.report(f"up after {self.boot_seconds:.1f} s: {payload.decode(errors='replace').strip()}")

    def _result(self, ended: str, returncode: int, screen: bytes) -> Result:
        dmesg = self.dmesg.decode(errors="replace")
        log = dmesg or self.console_text
        if self.machine.spec.kernels > 1:
            log = self.console_text + dmesg     # of the kernels before there is no other
        splats = find_splats(log, self.allowed)
        status, message = self._verdict(ended, returncode, splats)
        if status == STATUS_EMULATOR:
            text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()=>]\w?|\r", "", screen.decode(errors="replace"))
            message += "\n" + "\n".join(text.strip().splitlines()[-15:]) + "\n" + self.machine.log_tail()
        return Result(status, message, self.script_status, self.boot_seconds,
                      time.monotonic() - self.start, splats, dmesg, self.console_text)

    def _verdict(self, ended: str, returncode: int, splats: list[str]) -> tuple[int, str]:
        where = "while the script ran" if self.boot_seconds is not None else "before the script was started"
        if ended == "timeout":
            return STATUS_TIMEOUT, f"time limit of {self.timeout:.0f} s passed {where}"
        if self.guest_error:
            return STATUS_NO_BOOT, self.guest_error
        if self.script_status is None:
            if ended == "exit" and not self.machine.clean_end(returncode):
                return STATUS_EMULATOR, f"the emulator ended with status {returncode} {where}"
            cause = {"reset": "was reset", "panic": "panicked"}.get(ended, "was powered off")
            return (STATUS_NO_BOOT if self.boot_seconds is None else STATUS_DIED), f"the machine {cause} {where}"
        if splats:
            also = f"; the script ended with status {self.script_status}"
            return STATUS_SPLAT, f"the kernel complained {len(splats)} time(s){also}"
        if self.script_status:
            return self.script_status, f"the script ended with status {self.script_status}"
        return 0, ""


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when testvm itself is killed (it execs, so the wish stays)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _kill(process: subprocess.Popen) -> None:
    """End the emulator and whatever it started (it leads a session of its own)."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    sys.stdout.flush()
