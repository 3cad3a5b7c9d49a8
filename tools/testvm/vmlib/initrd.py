# SPDX-License-Identifier: GPL-2.0-only
"""The initial RAM disk: busybox, our init, the files and modules to carry.

Written here as a cpio archive (format "newc"), so that neither root nor a
staging directory is needed. It is not compressed: unpacking would cost more
time in the emulated machine than reading a few megabytes.
"""

import lzma
import os
import re
import stat
import subprocess
import tempfile
from pathlib import Path

from .build import compiled
from .errors import TestvmError
from .kernels import Kernel

GUEST = Path(__file__).resolve().parent.parent / "guest"
BUSYBOX = Path("/bin/busybox")


class Cpio:
    """A growing newc archive; parent directories are made as needed."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.names: set[str] = set()
        self.inode = 0

    def _entry(self, name: str, mode: int, data: bytes = b"", rdev: tuple[int, int] = (0, 0)) -> None:
        name = name.strip("/")
        parent = os.path.dirname(name)
        if parent and parent not in self.names:
            self._entry(parent, stat.S_IFDIR | 0o755)
        if name in self.names:
            return
        self.names.add(name)
        self._append(name, mode, data, rdev)

    def _append(self, name: str, mode: int, data: bytes, rdev: tuple[int, int]) -> None:
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        for part in (head, data):
            self.chunks += [part, b"\0" * (-len(part) % 4)]

    def directory(self, name: str) -> None:
        """Add a directory."""
        self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """Add a regular file."""
        self._entry(name, stat.S_IFREG | mode, data)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def device(self, name: str, major: int, minor: int) -> None:
        """Add a character device."""
        self._entry(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def tree(self, source: Path, name: str) -> None:
        """Add a file or a directory with all that is in it; links to files are followed."""
        if source.is_dir():
            self.directory(name)
            for child in sorted(source.iterdir()):
                self.tree(child, f"{name}/{child.name}")
        else:
            mode = 0o755 if os.access(source, os.X_OK) else 0o644
            self.file(name, _without_debug(source), mode)

    def finish(self) -> bytes:
        """Return the whole archive."""
        self._append("TRAILER!!!", 0, b"", (0, 0))
        return b"".join(self.chunks)


def _without_debug(path: Path) -> bytes:
    """Return a file; ELF files without debug information, which nothing in the machine reads.

    It is most of a kernel module, and every megabyte of the initrd costs time.
    """
    data = path.read_bytes()
    if not data.startswith(b"\x7fELF") or b".debug_info" not in data:
        return data
    with tempfile.NamedTemporaryFile() as target:
        result = subprocess.run(["strip", "-g", "-o", target.name, path], capture_output=True, check=False)
        return Path(target.name).read_bytes() if result.returncode == 0 else data


def _busybox(cpio: Cpio) -> None:
    try:
        applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise TestvmError("no busybox on this computer", hint="apt-get install busybox-static") from error
    data = BUSYBOX.read_bytes()
    if b"ld-linux" in data[:4096]:
        raise TestvmError("/bin/busybox is not a static program", hint="apt-get install busybox-static")
    cpio.file("bin/busybox", data, 0o755)
    for applet in applets.split():
        if applet != "busybox":
            cpio.link(f"bin/{applet}", "busybox")


class Modules:
    """The modules of a kernel: where each is and which others it needs."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.paths: dict[str, Path] = {}
        for path in (kernel.modules / "kernel").rglob("*.ko*"):
            self.paths[path.name.split(".ko")[0].replace("-", "_")] = path
        builtin = (kernel.modules / "modules.builtin").read_text(encoding="ascii")
        self.builtin = {Path(line).stem.replace("-", "_") for line in builtin.split()}

    def read(self, name: str) -> bytes:
        """Return a module's file, decompressed."""
        data = self.paths[name].read_bytes()
        return lzma.decompress(data) if self.paths[name].suffix == ".xz" else data

    def closure(self, names: list[str]) -> dict[str, tuple[bytes, list[str]]]:
        """Return name -> (file, all modules it needs, nearest first) for names and their needs."""
        found: dict[str, tuple[bytes, list[str]]] = {}

        def visit(name: str) -> list[str]:
            name = name.replace("-", "_")
            if name in self.builtin:
                return []
            if name not in self.paths:
                raise TestvmError(f"kernel {self.kernel.release} has no module {name}",
                                  hint="look in " + str(self.kernel.modules))
            if name not in found:
                data = self.read(name)
                match = re.search(rb"\0depends=([^\0]*)\0", data)
                needs: list[str] = []
                for need in filter(None, (match[1].decode() if match else "").split(",")):
                    for each in [need.replace("-", "_")] + visit(need):
                        if each not in needs and each not in self.builtin:
                            needs.append(each)
                found[name] = (data, needs)
            return found[name][1]

        for name in names:
            visit(name)
        return found


def _add_modules(cpio: Cpio, kernel: Kernel, names: list[str]) -> None:
    base = f"lib/modules/{kernel.release}"
    cpio.directory(base)
    lines = []
    for name, (data, needs) in Modules(kernel).closure(names).items():
        cpio.file(f"{base}/{name}.ko", data)
        lines.append(f"{name}.ko:" + "".join(f" {need}.ko" for need in needs))
    cpio.file(f"{base}/modules.dep", ("\n".join(lines) + "\n").encode())


def build_initrd(kernel: Kernel, files: list[tuple[Path, str]], modules: list[str],
                 script: bytes, settings: dict[str, str]) -> bytes:
    """Return the archive; settings become shell variables of the guest's init."""
    cpio = Cpio()
    for name in ("dev", "proc", "sys", "tmp", "run", "etc", "root", "testvm"):
        cpio.directory(name)
    cpio.device("dev/console", 5, 1)
    cpio.device("dev/null", 1, 3)
    cpio.link("sbin", "bin")
    cpio.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    cpio.file("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    _busybox(cpio)
    cpio.file("init", (GUEST / "init").read_bytes(), 0o755)
    cpio.file("bin/tvout", compiled(GUEST / "tvout.c", ["-O2", "-Wall", "-static", "-s"]), 0o755)
    cpio.file("testvm/settings", "".join(f"{k}='{v}'\n" for k, v in settings.items()).encode())
    cpio.file("testvm/script", script, 0o755)
    _add_modules(cpio, kernel, modules)
    for source, name in files:
        if not source.exists():
            raise TestvmError(f"--file {source}: no such file")
        cpio.tree(source, name)
    return cpio.finish()
