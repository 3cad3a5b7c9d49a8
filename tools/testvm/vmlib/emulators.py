# SPDX-License-Identifier: GPL-2.0-only
"""QEMU, unpacked in the cache beside whatever is installed: one that is a test machine, one that runs in it.

Layout of the cache:
    emulators/NAME             link to the directory that is in use, for each Release
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

MULTIARCH = "x86_64-linux-gnu"
BINARY = "usr/bin/qemu-system-x86_64"


@dataclass(frozen=True)
class Release:
    """A QEMU: name of the link to it, suite (None: this computer's own, Debian 12) and packages, QEMU first."""

    name: str
    suite: str | None
    packages: tuple[str, ...]


# What emulates a machine.
EMULATOR = Release("qemu", "bookworm-backports",
                   ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"))
# What users of Debian 12 have: carried into a machine, where it uses /dev/kvm.
CARRIED = Release("qemu-debian12", None, ("qemu-system-x86", "qemu-system-data", "seabios"))
# What it looks for when it starts a PC without a screen and without a network.
FIRMWARE = ("usr/share/seabios/bios-256k.bin", "usr/share/qemu/kvmvapic.bin", "usr/share/qemu/linuxboot_dma.bin")


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
                 str(self.root / BINARY)]
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


def _fetch(report: Callable[[str], None], release: Release) -> Path:
    own, debian = Apt(release.suite), Apt()
    fields = own.show(release.packages[0])
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
        for number, (apt, packages) in enumerate(((own, list(release.packages)), (debian, libraries))):
            if packages:
                debs = Path(scratch) / f"debs-{number}"
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


def get_qemu(report: Callable[[str], None], release: Release = EMULATOR) -> Qemu:
    """Return a QEMU from the cache; fetch it when it is not there."""
    link = cache_dir() / "emulators" / release.name
    with locked("emulators"):
        if not (link / "complete").exists():
            root = _fetch(report, release)
            link.unlink(missing_ok=True)
            link.symlink_to(root.name)
        return Qemu(link.resolve())


def libraries_of(listing: str) -> list[Path]:
    """Return the files that ldd lists, the dynamic linker among them."""
    found = []
    for line in listing.splitlines():
        if line.endswith("not found"):
            raise TestvmError(f"a shared library of QEMU is missing: {line.strip()}",
                              hint="remove emulators/ from the cache: it is fetched again then")
        match = re.search(r"(/\S+) \(0x", line)
        if match:
            found.append(Path(match[1]))
    return found


def files_to_carry(report: Callable[[str], None]) -> list[tuple[Path, str]]:
    """Return what Debian 12's QEMU needs in a machine: each file, and where Debian has it."""
    qemu = get_qemu(report, CARRIED)
    listing = subprocess.run(["env", *(f"{name}={value}" for name, value in qemu.environment.items()),
                              "ldd", qemu.root / BINARY], capture_output=True, text=True, check=True).stdout
    pairs = [(qemu.root / name, f"/{name}") for name in (BINARY, *FIRMWARE)]
    for path in libraries_of(listing):
        folder = "/lib64" if path.name.startswith("ld-linux") else f"/lib/{MULTIARCH}"
        pairs.append((path, f"{folder}/{path.name}"))
    return pairs
