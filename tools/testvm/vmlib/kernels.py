# SPDX-License-Identifier: GPL-2.0-only
"""Debian's kernels and the headers that match them, unpacked in the cache, and two built from its sources.

Layout of the cache:
    kernels/NAME               link to the directory that is in use
    kernels/NAME-VERSION/      root of the unpacked packages (boot/, lib/, usr/)
"""

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import debugkernel
from .apt import Apt, unpack
from .cache import cache_dir, locked
from .errors import TestvmError


@dataclass(frozen=True)
class Source:
    """Where a kernel comes from: the meta package and the suite (None: the machine's own)."""

    flavour: str
    suite: str | None


SOURCES = {
    "6.1-cloud": Source("cloud-amd64", None),
    "6.1-generic": Source("amd64", None),
    "6.12-cloud": Source("cloud-amd64", "bookworm-backports"),
}

# Built here with the kernel's checkers on: all of them, and those that do not make Bochs slow.
DEBUG = "6.1-debug"
DEBUG_LIGHT = "6.1-debug-light"
NAMES = sorted([*SOURCES, DEBUG, DEBUG_LIGHT])


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel."""

    name: str
    root: Path
    release: str

    @property
    def image(self) -> Path:
        """The kernel image as Debian ships it."""
        return self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """The directory that is /lib/modules/RELEASE on an installed machine."""
        for lib in ("lib", "usr/lib"):
            path = self.root / lib / "modules" / self.release
            if (path / "kernel").is_dir():
                return path
        raise TestvmError(f"{self.root} holds no modules", hint="remove it and run again")

    @property
    def headers(self) -> Path:
        """The directory to pass as KDIR=."""
        return self.root / "usr" / "src" / f"linux-headers-{self.release}"


def _depends(fields: dict[str, str], pattern: str) -> list[str]:
    return re.findall(rf"(?:^|[ |,])({pattern})(?=[ ,]|$)", fields.get("Depends", ""))


def _fetch(name: str, source: Source, report) -> Path:
    apt = Apt(source.suite)
    meta = apt.show(f"linux-image-{source.flavour}")
    packages = _depends(meta, r"linux-image-\d[^\s,|]*")
    if not packages:
        raise TestvmError(f"linux-image-{source.flavour} names no kernel image")
    release = packages[0].removeprefix("linux-image-").removesuffix("-unsigned")
    version = meta["Version"]
    want = cache_dir() / "kernels" / f"{name}-{version}"
    if (want / "complete").exists():
        return want

    headers = apt.show(f"linux-headers-{release}")
    packages += [f"linux-headers-{release}"]
    packages += _depends(headers, r"linux-headers-[^\s,|]*-common") + _depends(headers, r"linux-kbuild-[^\s,|]*")
    report(f"fetching kernel {release} ({version}) and its headers")
    want.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=want.parent) as scratch:
        debs, root = Path(scratch) / "debs", Path(scratch) / "root"
        debs.mkdir()
        root.mkdir()
        for deb in apt.download(packages, debs):
            unpack(deb, root)
        _relocate_headers(root, release)
        (root / "release").write_text(release + "\n", encoding="ascii")
        (root / "complete").touch()
        shutil.rmtree(want, ignore_errors=True)
        root.rename(want)
    return want


def _relocate_headers(root: Path, release: str) -> None:
    """Make the absolute paths in Debian's header packages relative to themselves.

    The packages expect to be installed; in the cache the makefiles have to find
    each other through their own place instead.
    """
    top = root / "usr" / "src" / f"linux-headers-{release}"
    for makefile in (root / "usr" / "src").glob("linux-headers-*/Makefile"):
        text = makefile.read_text(encoding="utf-8")
        moved = re.sub(r"(?<![\w.)])/usr/src/", "$(dir $(lastword $(MAKEFILE_LIST)))../", text)
        if moved != text:
            makefile.write_text(moved, encoding="utf-8")
    for link in (p for p in (root / "usr" / "src").rglob("*") if p.is_symlink()):
        target = os.readlink(link)
        if target.startswith("/"):
            link.unlink()
            link.symlink_to(os.path.relpath(root / target.lstrip("/"), link.parent))
    # With vmlinux beside the headers kbuild wants pahole for type information, which nothing here reads.
    (top / "vmlinux").unlink(missing_ok=True)
    if not (top / "Makefile").exists():
        raise TestvmError(f"the header packages of {release} hold no {top.name}")


def _build(name: str, report) -> Path:
    """Return a debug kernel; build it when sources or configuration are new."""
    kernels = cache_dir() / "kernels"
    version = debugkernel.source_version()
    if version is None:
        # Without the sources whatever was built last has to do.
        if (kernels / name / "complete").exists():
            return (kernels / name).resolve()
        raise TestvmError(f"the package {debugkernel.PACKAGE} is not installed",
                          hint="as root: tools/testvm/install-packages debug")
    want = kernels / debugkernel.directory_name(name, version)
    if not (want / "complete").exists():
        kernels.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kernels) as scratch:
            root = Path(scratch) / "root"
            debugkernel.build(name, root, report)
            (root / "complete").touch()
            shutil.rmtree(want, ignore_errors=True)
            root.rename(want)
        debugkernel.forget_old(name, kernels)
    return want


def get_kernel(name: str, refresh: bool = False, report=lambda text: None) -> Kernel:
    """Return a kernel from the cache; fetch or build it when it is not there or refresh is set."""
    if name not in NAMES:
        raise TestvmError(f"unknown kernel {name}", hint="known: " + ", ".join(NAMES))
    link = cache_dir() / "kernels" / name
    # A build takes minutes, in which the other kernels can be used.
    with locked("kernels" if name in SOURCES else name):
        if name not in SOURCES or refresh or not (link / "complete").exists():
            root = _fetch(name, SOURCES[name], report) if name in SOURCES else _build(name, report)
            link.unlink(missing_ok=True)
            link.symlink_to(root.name)
        root = link.resolve()
    return Kernel(name, root, (root / "release").read_text(encoding="ascii").strip())
