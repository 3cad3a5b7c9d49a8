# SPDX-License-Identifier: GPL-2.0-only
"""kernels.py, emulators.py: what is asked of apt, and what is done with packages. No network."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import emulators, kernels
from ..errors import TestvmError
from ..kernels import Kernel

RELEASE = "6.1.0-9-cloud-amd64"
META = {"Version": "6.1.9-1", "Depends": f"linux-image-{RELEASE} (= 6.1.9-1), other"}
HEADERS = {"Depends": "linux-headers-6.1.0-9-common (= 6.1.9-1), linux-kbuild-6.1 (>= 6.1.9-1), "
                      "linux-compiler-gcc-12-x86"}


class FakeApt:
    """Packages by name; what is downloaded is an empty file each."""

    def __init__(self, packages: dict[str, dict[str, str]]):
        self.packages = packages
        self.suite = None
        self.downloaded: list[str] = []

    def show(self, package: str) -> dict[str, str]:
        return self.packages[package]

    def download(self, packages: list[str], target: Path) -> list[Path]:
        self.downloaded += packages
        debs = [target / f"{package}.deb" for package in packages]
        for deb in debs:
            deb.touch()
        return debs


class InCache(unittest.TestCase):
    """Tests with a cache of their own."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        patch = mock.patch.dict(os.environ, XDG_CACHE_HOME=directory.name)
        patch.start()
        self.addCleanup(patch.stop)
        self.cache = Path(directory.name) / "minikvm"


class Kernels(InCache):
    """A kernel and its headers."""

    def unpack(self, deb: Path, root: Path) -> None:
        """Stand in for dpkg-deb: the files of header packages that testvm cares about."""
        source = root / "usr/src"
        if "common" in deb.name:
            (source / "linux-headers-6.1.0-9-common").mkdir(parents=True)
            (source / "linux-headers-6.1.0-9-common/Makefile").write_text("include /elsewhere/usr/src/x\n",
                                                                          encoding="ascii")
        elif "headers" in deb.name:
            top = source / f"linux-headers-{RELEASE}"
            top.mkdir(parents=True)
            (top / "Makefile").write_text("include /usr/src/linux-headers-6.1.0-9-common/Makefile\n", encoding="ascii")
            (top / "scripts").symlink_to("/usr/lib/linux-kbuild-6.1/scripts")
            (top / "vmlinux").touch()

    def get(self, apt: FakeApt, **how) -> Kernel:
        with mock.patch.object(kernels, "Apt", lambda suite: apt), mock.patch.object(kernels, "unpack", self.unpack):
            return kernels.get_kernel("6.1-cloud", **how)

    def apt(self, **meta: str) -> FakeApt:
        return FakeApt({"linux-image-cloud-amd64": {**META, **meta}, f"linux-headers-{RELEASE}": HEADERS})

    def test_packages(self) -> None:
        apt = self.apt()
        kernel = self.get(apt)
        self.assertEqual(RELEASE, kernel.release)
        self.assertEqual([f"linux-image-{RELEASE}", f"linux-headers-{RELEASE}", "linux-headers-6.1.0-9-common",
                          "linux-kbuild-6.1"], apt.downloaded)
        self.assertEqual(self.cache.resolve() / "kernels/6.1-cloud-6.1.9-1", kernel.root)

    def test_headers_find_each_other(self) -> None:
        top = self.get(self.apt()).headers
        self.assertEqual("include $(dir $(lastword $(MAKEFILE_LIST)))../linux-headers-6.1.0-9-common/Makefile\n",
                         (top / "Makefile").read_text(encoding="ascii"))
        self.assertIn("/elsewhere/usr/src/",
                      (top.parent / "linux-headers-6.1.0-9-common/Makefile").read_text(encoding="ascii"))
        self.assertEqual("../../lib/linux-kbuild-6.1/scripts", os.readlink(top / "scripts"))
        self.assertFalse((top / "vmlinux").exists())

    def test_from_the_cache(self) -> None:
        self.get(self.apt())
        apt = self.apt(Version="6.1.10-1")
        self.assertEqual("6.1-cloud-6.1.9-1", self.get(apt).root.name)
        self.assertEqual([], apt.downloaded)
        self.assertEqual("6.1-cloud-6.1.10-1", self.get(apt, refresh=True).root.name)
        # The newest one again: nothing to download.
        apt = self.apt(Version="6.1.10-1")
        self.assertEqual("6.1-cloud-6.1.10-1", self.get(apt, refresh=True).root.name)
        self.assertEqual([], apt.downloaded)

    def test_unknown(self) -> None:
        with self.assertRaises(TestvmError):
            kernels.get_kernel("5.10")
        with self.assertRaises(TestvmError):
            self.get(self.apt(Depends="nothing"))

    def test_modules(self) -> None:
        for lib in ("lib", "usr/lib"):
            root = self.cache / lib.replace("/", "-")
            (root / lib / "modules" / RELEASE / "kernel").mkdir(parents=True)
            self.assertEqual(root / lib / "modules" / RELEASE, Kernel("x", root, RELEASE).modules)
        with self.assertRaises(TestvmError):
            _ = Kernel("x", self.cache / "empty", RELEASE).modules


class Emulators(InCache):
    """The two QEMUs and their shared libraries."""

    def test_missing_libraries(self) -> None:
        apt = FakeApt({"libone1": {"Depends": "libc6 (>= 2.34), libtwo2 | libother2"}, "libtwo2": {},
                       "zlib1g": {}, "libthree3": {"Depends": "libone1"}})
        with mock.patch.object(emulators, "_installed", lambda package: package == "libc6"):
            found = emulators._missing_libraries(
                apt, {"Depends": "libc6 (>= 2.36), libone1, zlib1g (>= 1), seabios, qemu-system-data (>> 1), "
                                 "libthree3 (>= 3)"})
        self.assertEqual({"libone1", "libtwo2", "zlib1g", "libthree3"}, set(found))
        self.assertEqual(len(found), len(set(found)))

    def test_from_the_cache(self) -> None:
        root = self.cache / "emulators" / "qemu-10"
        root.mkdir(parents=True)
        (root / "complete").touch()
        (root.parent / "qemu").symlink_to("qemu-10")
        with mock.patch.object(emulators, "_fetch", side_effect=AssertionError("fetches")):
            qemu = emulators.get_qemu(lambda text: None)
        self.assertEqual(root.resolve(), qemu.root)
        self.assertIn(str(root.resolve() / "usr/bin/qemu-system-x86_64"), qemu.command())

    def test_releases(self) -> None:
        apts = {None: FakeApt({"qemu-system-x86": {"Version": "1:7.2", "Depends": "libone1"}, "libone1": {}}),
                "bookworm-backports": FakeApt({"qemu-system-x86": {"Version": "1:10.0"}})}
        own, backports = apts[None], apts["bookworm-backports"]
        with mock.patch.object(emulators, "Apt", lambda suite=None: apts[suite]), \
                mock.patch.object(emulators, "unpack"), mock.patch.object(emulators, "_try"), \
                mock.patch.object(emulators, "_installed", lambda package: False):
            carried = emulators.get_qemu(lambda text: None, emulators.CARRIED)
            self.assertEqual([*emulators.CARRIED.packages, "libone1"], own.downloaded)
            self.assertEqual([], backports.downloaded)
            emulator = emulators.get_qemu(lambda text: None)
            self.assertEqual(list(emulators.EMULATOR.packages), backports.downloaded)
        self.assertEqual(("qemu-1_7.2", "qemu-1_10.0"), (carried.root.name, emulator.root.name))

    def test_carried_files(self) -> None:
        listing = ("\tlinux-vdso.so.1 (0x00007ffe4c5e5000)\n"
                   "\tlibone.so.1 => /cache/usr/lib/x86_64-linux-gnu/libone.so.1 (0x00007f1d2e0f7000)\n"
                   "\t/lib64/ld-linux-x86-64.so.2 (0x00007f1d2f6a5000)\n")
        self.assertEqual([Path("/cache/usr/lib/x86_64-linux-gnu/libone.so.1"), Path("/lib64/ld-linux-x86-64.so.2")],
                         emulators.libraries_of(listing))
        with self.assertRaises(TestvmError):
            emulators.libraries_of(listing + "\tlibtwo.so.2 => not found\n")
        with mock.patch.object(emulators, "get_qemu", lambda report, release: emulators.Qemu(Path("/root"))), \
                mock.patch.object(emulators.subprocess, "run", lambda *args, **how: mock.Mock(stdout=listing)):
            pairs = {target: source for source, target in emulators.files_to_carry(lambda text: None)}
        self.assertEqual(Path("/root/usr/bin/qemu-system-x86_64"), pairs["/usr/bin/qemu-system-x86_64"])
        self.assertEqual(Path("/root/usr/share/seabios/bios-256k.bin"), pairs["/usr/share/seabios/bios-256k.bin"])
        self.assertIn("/lib/x86_64-linux-gnu/libone.so.1", pairs)
        self.assertIn("/lib64/ld-linux-x86-64.so.2", pairs)
