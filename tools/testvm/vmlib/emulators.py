# SPDX-License-Identifier: GPL-2.0-only
"""QEMU of bookworm-backports, unpacked in the cache beside whatever is installed.

Layout of the cache:
    emulators/qemu             link to the directory that is in use
    emulators/qemu-VERSION/    root of the unpacked packages (usr/)

The shared libraries that QEMU needs are packages of Debian 12 itself. Those that
are not installed are unpacked into the same directory.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .apt import Apt, unpack
from .cache import cache_dir, locked
from .errors import TestvmError

SUITE = "bookworm-backports"
PACKAGES = ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"]
MULTIARCH = "x86_64-linux-gnu"


@dataclass(frozen=True)
class Qemu:
    """An unpacked QEMU."""

    root: Path

    @property
    def libraries(self) -> list[Path]:
        """Directories of unpacked shared libraries."""
        return [self.root / "usr/lib" / MULTIARCH, self.root / "lib" / MULTIARCH]

    @property
    def environment(self) -> dict[str, str]:
        """What QEMU needs in its environment to find its own parts."""
        return {"LD_LIBRARY_PATH": ":".join(str(path) for path in self.libraries),
                "QEMU_MODULE_DIR": str(self.libraries[0] / "qemu")}

    def command(self) -> list[str]:
        """Return how to start it; env(1) is replaced by QEMU, so the process stays the same."""
        words = ["env", *(f"{name}={value}" for name, value in self.environment.items()),
                 str(self.root / "usr/bin/qemu-system-x86_64")]
        for data in ("usr/share/qemu", "usr/share/seabios"):
            words += ["-L", str(self.root / data)]
        return words


def _installed(package: str) -> bool:
    result = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", package],
                            capture_output=True, text=True, check=False)
    return result.stdout == "installed"


def _missing_libraries(apt: Apt, fields: dict[str, str]) -> list[str]:
    """Return the library packages that a package needs, directly or not, and that are not installed."""
    found: list[str] = []
    waiting = [fields]
    while waiting:
        for name in re.findall(r"(?:^|, )(z?lib[^\s,|:]+)", waiting.pop().get("Depends", "")):
            if name not in found and not _installed(name):
                found.append(name)
                waiting.append(apt.show(name))
    return found


def _fetch(report: Callable[[str], None]) -> Path:
    backports, debian = Apt(SUITE), Apt()
    fields = backports.show(PACKAGES[0])
    version = fields["Version"]
    want = cache_dir() / "emulators" / f"qemu-{version.replace(':', '_')}"
    if (want / "complete").exists():
        return want
    libraries = _missing_libraries(debian, fields)
    report(f"fetching QEMU {version} and {len(libraries)} shared libraries")
    want.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=want.parent) as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        for apt, packages in ((backports, PACKAGES), (debian, libraries)):
            if packages:
                debs = Path(scratch) / f"debs-{apt.suite}"
                debs.mkdir()
                for deb in apt.download(packages, debs):
                    unpack(deb, root)
        _try(Qemu(root))
        (root / "complete").touch()
        shutil.rmtree(want, ignore_errors=True)
        root.rename(want)
    return want


def _try(qemu: Qemu) -> None:
    """Fail when the unpacked QEMU does not even tell its version."""
    result = subprocess.run([*qemu.command(), "--version"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise TestvmError("the unpacked QEMU does not start:\n" + result.stderr.strip(),
                          hint="apt-get install the package of the library that is missing")


def get_qemu(report: Callable[[str], None]) -> Qemu:
    """Return QEMU from the cache; fetch it when it is not there."""
    link = cache_dir() / "emulators" / "qemu"
    with locked("emulators"):
        if not (link / "complete").exists():
            root = _fetch(report)
            link.unlink(missing_ok=True)
            link.symlink_to(root.name)
        return Qemu(link.resolve())
