# SPDX-License-Identifier: GPL-2.0-only
"""debugkernel.py: configuration and cache of the debug kernels. Nothing is compiled."""

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from .. import debugkernel, kernels
from ..errors import TestvmError

RELEASE = "6.1.9-minikvm-debug"


class Options(unittest.TestCase):
    """What the configuration has to hold."""

    def test_missing(self) -> None:
        wanted = "# Words.\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=17\n"
        for got, missing in (("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=17\n", []),
                             ("CONFIG_A=y\nCONFIG_C=17\n", []),
                             ("CONFIG_A=m\nCONFIG_B=y\nCONFIG_C=16\n",
                              ["CONFIG_A=y", "# CONFIG_B is not set", "CONFIG_C=17"])):
            self.assertEqual(missing, debugkernel.missing_options(wanted, got), got)

    def test_name(self) -> None:
        name = debugkernel.directory_name(kernels.DEBUG, "6.1.9-1")
        self.assertRegex(name, r"^6\.1-debug-6\.1\.9-1-[0-9a-f]{12}$")
        with mock.patch.object(debugkernel, "KEPT", []):
            self.assertNotEqual(name, debugkernel.directory_name(kernels.DEBUG, "6.1.9-1"))

    def test_light(self) -> None:
        full, light = (debugkernel.configuration(name) for name in (kernels.DEBUG, kernels.DEBUG_LIGHT))
        for text, kasan in ((full, True), (light, False)):
            self.assertIn("CONFIG_PROVE_LOCKING=y\n", text)
            self.assertEqual(kasan, "CONFIG_KASAN=y\n" in text)
        self.assertTrue(light.endswith('CONFIG_LOCALVERSION="-minikvm-debug-light"\n'))
        # No option twice: the second would be taken, without a word.
        options = [line.partition("=")[0] for line in full.splitlines() if line.startswith("CONFIG_")]
        self.assertEqual(len(options), len(set(options)))


class Keeping(unittest.TestCase):
    """What stays of a build."""

    def test_layout(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            tree, root = Path(directory) / "tree", Path(directory) / "root"
            for name in ("arch/x86/boot/bzImage", "System.map", "modules.builtin", "vmlinux.symvers", "Makefile",
                         "include/linux/x.h", "scripts/mod/modpost", "kernel/sched/core.c"):
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_text(name, encoding="ascii")
            debugkernel._keep(tree, root, RELEASE)
            kernel = kernels.Kernel(kernels.DEBUG, root, RELEASE)
            self.assertTrue(kernel.image.exists())
            self.assertTrue((kernel.modules / "modules.builtin").exists())
            self.assertEqual("vmlinux.symvers", (kernel.headers / "Module.symvers").read_text(encoding="ascii"))
            self.assertTrue((kernel.headers / "include/linux/x.h").exists())
            self.assertFalse((kernel.headers / "kernel").exists())


class Cache(unittest.TestCase):
    """When it is built."""

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        patch = mock.patch.dict(os.environ, XDG_CACHE_HOME=directory.name)
        patch.start()
        self.addCleanup(patch.stop)
        self.kernels = Path(directory.name) / "minikvm" / "kernels"
        self.built = 0

    def build(self, name: str, root: Path, report) -> None:
        del name, report
        self.built += 1
        root.mkdir()
        (root / "release").write_text(RELEASE + "\n", encoding="ascii")

    def get(self, version: str | None, name: str = kernels.DEBUG) -> kernels.Kernel:
        with mock.patch.object(debugkernel, "source_version", lambda: version), \
                mock.patch.object(debugkernel, "build", self.build):
            return kernels.get_kernel(name)

    def test_once_for_each_version(self) -> None:
        self.assertEqual(RELEASE, self.get("6.1.9-1").release)
        self.get("6.1.9-1")
        self.assertEqual(1, self.built)
        first = self.get("6.1.9-1").root
        self.assertNotEqual(first, self.get("6.1.10-1").root)
        self.assertEqual(first, self.get("6.1.9-1").root)
        self.assertEqual(2, self.built)

    def test_without_sources(self) -> None:
        with self.assertRaises(TestvmError):
            self.get(None)
        root = self.get("6.1.9-1").root
        self.assertEqual(root, self.get(None).root)

    def test_old_ones_go(self) -> None:
        light = self.get("6.1.0-1", kernels.DEBUG_LIGHT).root
        os.utime(light, (0, 0))
        for number in range(5):
            root = self.get(f"6.1.{number}-1").root
            os.utime(root, (number, number))
        self.assertEqual(debugkernel.NEWEST, len(list(self.kernels.glob("6.1-debug-6*"))))
        self.assertTrue(root.exists())
        self.assertTrue(light.exists())
