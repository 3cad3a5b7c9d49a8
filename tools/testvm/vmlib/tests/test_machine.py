# SPDX-License-Identifier: GPL-2.0-only
"""runner.py, initrd.py: the stream out of a machine, how a run ended, what is carried in."""

import stat
import tempfile
import unittest
from pathlib import Path

from .. import errors
from ..errors import TestvmError
from ..initrd import Cpio, Modules
from ..kernels import Kernel
from ..machine import Machine, Spec
from ..runner import Records, Runner


class Stream(unittest.TestCase):
    """Records of tvout."""

    def test_records(self) -> None:
        stream = b"u\x03\x00up!" + b"o\x00\x00" + b"o\x00\x01" + bytes(256) + b"s\x01\x000"
        want = [("u", b"up!"), ("o", b""), ("o", bytes(256)), ("s", b"0")]
        self.assertEqual(want, list(Records().feed(stream)))
        records = Records()
        self.assertEqual(want, [record for byte in stream for record in records.feed(bytes([byte]))])


class FakeMachine:
    """A machine as far as a verdict asks it."""

    def __init__(self, powered_off: bool = True):
        self.powered_off = powered_off

    def clean_end(self, returncode: int) -> bool:
        del returncode
        return self.powered_off


class Verdicts(unittest.TestCase):
    """How a run ended."""

    def status(self, ended: str = "exit", splats: int = 0, powered_off: bool = True, **state) -> int:
        runner = Runner(FakeMachine(powered_off), 10, [], lambda data: None, lambda text: None)
        for name, value in state.items():
            setattr(runner, name, value)
        return runner._verdict(ended, 0, ["BUG: x"] * splats)[0]

    def test_script_status(self) -> None:
        for status in (0, 1, 119):
            self.assertEqual(status, self.status(script_status=status, boot_seconds=1.0))

    def test_order(self) -> None:
        self.assertEqual(errors.STATUS_TIMEOUT, self.status("timeout", splats=1, script_status=0, boot_seconds=1.0))
        self.assertEqual(errors.STATUS_SPLAT, self.status(splats=1, script_status=3, boot_seconds=1.0))

    def test_no_status(self) -> None:
        self.assertEqual(errors.STATUS_NO_BOOT, self.status("panic"))
        self.assertEqual(errors.STATUS_NO_BOOT, self.status(guest_error="cannot load a module"))
        for ended in ("panic", "reset", "exit"):
            self.assertEqual(errors.STATUS_DIED, self.status(ended, boot_seconds=1.0))
        self.assertEqual(errors.STATUS_EMULATOR, self.status(powered_off=False))


class Scripted(Machine):
    """A machine whose emulator is a shell script in its directory."""

    name = summary = arch = default_cpu = channel = "scripted"
    cpu_models: dict[str, str] = {}
    script = ""

    def prepare(self, kernel, initrd, terminal) -> None:
        """Nothing to write."""

    def command(self) -> list[str]:
        return ["sh", "-c", self.script]

    def resets(self) -> int:
        return 0

    def clean_end(self, returncode: int) -> bool:
        return returncode == 0

    def problems(self) -> list[str]:
        return []

    def log_tail(self, lines: int = 15) -> str:
        return ""


class Kernels(unittest.TestCase):
    """Machines that see more than one kernel."""

    FIRST = "printf 'u\\002\\000up' >>output; "
    SECOND = "printf 'u\\002\\000ups\\001\\0000d\\003\\000ok\\n' >>output; sleep 0.2; "

    def status(self, script: str, kernels: int) -> int:
        with tempfile.TemporaryDirectory() as directory:
            machine = Scripted(Spec(1, "", 1, False, "", False, kernels), Path(directory))
            machine.script = script
            return Runner(machine, 10, [], lambda data: None, lambda text: None).run().status

    def test_two(self) -> None:
        self.assertEqual(0, self.status(self.FIRST + "sleep 0.2; " + self.SECOND, 2))
        self.assertEqual(errors.STATUS_DIED, self.status(self.FIRST + "sleep 0.2; printf 'u\\002\\000up' >>output; "
                                                         "sleep 5", 1))

    def test_complaint_of_the_first(self) -> None:
        self.assertEqual(errors.STATUS_SPLAT, self.status(
            self.FIRST + "echo '[    1.000000] watchdog: BUG: soft lockup' >>console; sleep 0.2; " + self.SECOND, 2))

    def test_panic_of_the_first(self) -> None:
        panic = "echo '[    1.000000] Kernel panic - not syncing: x' >>console; sleep 0.3; "
        self.assertEqual(errors.STATUS_SPLAT, self.status(self.FIRST + panic + self.SECOND, 2))
        self.assertEqual(errors.STATUS_DIED, self.status(self.FIRST + panic + "sleep 9", 1))


def entries(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """Read a newc archive: name -> (mode, data)."""
    found, where = {}, 0
    while True:
        fields = [int(archive[where + 6 + 8 * i:where + 14 + 8 * i], 16) for i in range(13)]
        name = archive[where + 110:where + 110 + fields[11] - 1].decode()
        where += -(-(110 + fields[11]) // 4) * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], archive[where:where + fields[6]])
        where += -(-fields[6] // 4) * 4


class Initrd(unittest.TestCase):
    """The archive, and which modules go into it."""

    def test_archive(self) -> None:
        cpio = Cpio()
        cpio.file("a/b/file", b"12345", 0o755)
        cpio.link("/bin/sh", "busybox")
        cpio.file("a/b/file", b"again")
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "plain").write_bytes(b"text")
            cpio.tree(Path(directory), "tree")
        found = entries(cpio.finish())
        self.assertEqual({"a", "a/b", "a/b/file", "bin", "bin/sh", "tree", "tree/plain"}, set(found))
        self.assertEqual((stat.S_IFREG | 0o755, b"12345"), found["a/b/file"])
        self.assertEqual((stat.S_IFLNK | 0o777, b"busybox"), found["bin/sh"])
        self.assertEqual((stat.S_IFREG | 0o644, b"text"), found["tree/plain"])

    def test_modules(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            top = Path(directory) / "lib/modules/6.1.0-9"
            (top / "kernel/virt").mkdir(parents=True)
            for name, needs in (("kvm", "irqbypass"), ("kvm-amd", "kvm,ccp"), ("irqbypass", ""), ("alone", "")):
                (top / f"kernel/virt/{name}.ko").write_bytes(b"x\0depends=" + needs.encode() + b"\0y")
            (top / "modules.builtin").write_text("kernel/drivers/crypto/ccp.ko\n", encoding="ascii")
            modules = Modules(Kernel("x", Path(directory), "6.1.0-9"))
            found = {name: needs for name, (_, needs) in modules.closure(["kvm_amd"]).items()}
            self.assertEqual({"kvm_amd": ["kvm", "irqbypass"], "kvm": ["irqbypass"], "irqbypass": []}, found)
            self.assertEqual({}, modules.closure(["ccp"]))
            with self.assertRaises(TestvmError):
                modules.closure(["nothing"])
