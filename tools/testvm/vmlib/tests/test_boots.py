# SPDX-License-Identifier: GPL-2.0-only
"""boots.py: .boot files, what the user chooses, and arguments for testvm."""

import importlib.util
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from pathlib import Path
from unittest import mock

from .. import boots
from ..boots import Boot
from ..errors import SuiteError
from ..suite import TESTVM, Program

PROGRAMS = [Program("hello_test", "hello_test"), Program("mem_test", "mem_test", 90)]


def boot(text: str, name: str = "svm/some") -> Boot:
    """Read a file that holds this text."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{name}.boot"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        return Boot.read(path)


def testvm_program():
    """Return the program testvm as a module."""
    loader = SourceFileLoader("testvm_program", str(TESTVM / "testvm"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("testvm_program", loader))
    loader.exec_module(module)
    return module


class Reading(unittest.TestCase):
    """The file."""

    def test_keys(self) -> None:
        got = boot("# A comment.\n\n  cpus=2\nscript=x.sh a=b \"c d\"\nallow_splat=one\nallow_splat=two\n")
        self.assertEqual(("svm", "some", "svm/some"), (got.vendor, got.name, got.full_name))
        self.assertEqual("2", got.one("cpus"))
        self.assertEqual('x.sh a=b "c d"', got.one("script"))
        self.assertEqual(["one", "two"], got.keys["allow_splat"])
        self.assertEqual("6.1-cloud", got.kernel)
        self.assertEqual("none", got.one("cpu", "none"))

    def test_refused(self) -> None:
        for text, why in (("script=x.sh\ncolour=red\n", ":2: not one of"), ("script=x.sh\ncpus 2\n", ":2: not one of"),
                          ("cpus=2\n", "one of script= and tests="), ("script=x.sh\ntests=*\n", "one of script="),
                          ("script=x.sh\ncheck=true\n", "check= goes with tests=")):
            with self.assertRaises(SuiteError, msg=text) as caught:
                boot(text)
            self.assertIn(why, str(caught.exception))

    def test_machine(self) -> None:
        self.assertEqual("svm", boot("tests=*\n").machine)
        other = boot("tests=*\nmachine=vmx\n")
        self.assertEqual(("svm", "vmx", "svm/some"), (other.vendor, other.machine, other.prefix))

    def test_cores(self) -> None:
        self.assertEqual(2, boot("tests=*\ncpus=2\n").cores)
        self.assertEqual(1, boot("tests=*\n").cores)
        self.assertEqual(1, boot("tests=*\ncpus=2\n", "vmx/some").cores)
        self.assertEqual(1, boot("tests=*\ncpus=2\nmachine=vmx\n").cores)


    def test_long(self) -> None:
        for text, patterns, long, due in (("tests=*\n", ["*"], False, True), ("tests=*\nlong=yes\n", ["*"], False, False),
                                          ("tests=*\nlong=yes\n", ["*"], True, True),
                                          ("tests=*\nlong=yes\n", ["svm/*"], False, False),
                                          ("tests=*\nlong=yes\n", ["x", "some"], False, True),
                                          ("tests=*\nlong=yes\n", ["svm/some"], False, True)):
            self.assertEqual(due, boot(text).due(patterns, long), (text, patterns, long))


class Choosing(unittest.TestCase):
    """Which programs run, for names that the user gives."""

    def chosen(self, text: str, name: str, *patterns: str) -> list[str] | None:
        programs = boot(text, name).chosen(list(patterns), PROGRAMS)
        return None if programs is None else [program.name for program in programs]

    def test_script(self) -> None:
        for pattern in ("*", "some", "so*", "svm/some", "svm/*", "*/some"):
            self.assertEqual([], self.chosen("script=x.sh\n", "svm/some", "other", pattern), pattern)
        for pattern in ("vmx/*", "hello_test", "some.sh"):
            self.assertIsNone(self.chosen("script=x.sh\n", "svm/some", pattern), pattern)

    def test_main(self) -> None:
        for pattern in ("*", "svm/*", "tests", "svm/tests"):
            self.assertEqual(["hello_test", "mem_test"], self.chosen("tests=*\n", "svm/tests", pattern), pattern)
        for pattern in ("hello_test", "hello*", "svm/hello*"):
            self.assertEqual(["hello_test"], self.chosen("tests=*\n", "svm/tests", pattern), pattern)
        for pattern in ("vmx/*", "vmx/hello_test", "svm/tests/hello_test", "lifecycle"):
            self.assertIsNone(self.chosen("tests=*\n", "svm/tests", pattern), pattern)

    def test_others(self) -> None:
        text = "tests=hello_test pio_test\n"
        for pattern in ("*", "some", "svm/some", "svm/some/hello*"):
            self.assertEqual(["hello_test"], self.chosen(text, "svm/some", pattern), pattern)
        for pattern in ("hello_test", "svm/hello_test", "mem_test", "svm/some/mem_test"):
            self.assertIsNone(self.chosen(text, "svm/some", pattern), pattern)

    def test_no_such_test(self) -> None:
        with self.assertRaises(SuiteError):
            self.chosen("tests=helo_test\n", "svm/some", "*")


class Options(unittest.TestCase):
    """What testvm is told; testvm itself must understand it."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.parse = staticmethod(testvm_program().parse)

    def setUp(self) -> None:
        # Lists of programs are written: not over those of the run that this test may be part of.
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        patch = mock.patch.object(boots, "BUILD", Path(directory.name))
        patch.start()
        self.addCleanup(patch.stop)

    def arguments(self, job):
        return self.parse(["--quiet", *job.options])

    def test_script(self) -> None:
        args = self.arguments(boot("script=x.sh \"two words\" three\ncpu=max,-npt\nappend=a=1 b\nmitigations=on\n"
                                   "carry_modules=kvm_amd kvm\nfiles=COPYING:/licence\nallow_splat=one two\n").job([]))
        self.assertEqual(("svm", 1, "max,-npt", "6.1-cloud", "a=1 b", "on"),
                         (args.machine, args.cpus, args.cpu, args.kernel, args.append, args.mitigations))
        self.assertEqual(boots.SCRIPT_SECONDS, args.timeout)
        self.assertEqual(["sh", "/boots/x.sh", "two words", "three"], args.command)
        self.assertEqual((["kvm_amd", "kvm"], []), (args.carry_module, args.module))
        self.assertEqual(["one two"], args.allow_splat)
        targets = {name.rpartition(":")[2] for name in args.file}
        self.assertLessEqual({"/minikvm.ko", "/bin/minikvm", "/bin/lifecycle", "/boots", "/licence"}, targets)

    def test_programs(self) -> None:
        job = boot("tests=*\ncpus=2\nkernel=6.12-cloud\nmemory=1024\ncheck=! grep -q 'a b' /file\n").job(PROGRAMS)
        args = self.arguments(job)
        self.assertEqual((3, "6.12-cloud", 1024), (args.cpus, args.kernel, args.memory))
        self.assertEqual(300 + 3 * (60 + 90), args.timeout)
        self.assertEqual("svm/some", job.prefix)
        self.assertEqual(["load", "check", "hello_test", "mem_test", "unload"], job.waiting)
        self.assertTrue(any(name.endswith("build/module-6.12-cloud/minikvm.ko:/minikvm.ko") for name in args.file))
        plan = next(name.partition(":")[0] for name in args.file if name.endswith(":/selftests/list"))
        self.assertEqual(["check 60 sh /selftests/run-list check '! grep -q '\"'\"'a b'\"'\"' /file'",
                          "hello_test 60 hello_test", "mem_test 90 mem_test"],
                         Path(plan).read_text(encoding="utf-8").splitlines())

    def test_spared_cpu(self) -> None:
        """The first of several CPUs that are threads is not the tests'."""
        for file, name, cpus, own in (("tests=*\ncpus=2\n", "svm/some", 3, "1-2"),
                                      ("tests=*\n", "svm/some", 1, None),
                                      ("tests=*\ncpus=2\nturns=yes\n", "svm/some", 2, None),
                                      ("tests=*\ncpus=2\nmachine=vmx\n", "svm/some", 2, None),
                                      ("tests=*\ncpus=2\n", "vmx/some", 2, None),
                                      ("script=x.sh\ncpus=2\n", "svm/some", 2, None)):
            args = self.arguments(boot(file, name).job(PROGRAMS))
            self.assertEqual(cpus, args.cpus, (file, name))
            lists = [name.partition(":")[0] for name in args.file if name.endswith(":/selftests/cpus")]
            self.assertEqual([own] if own else [], [Path(path).read_text(encoding="ascii").strip() for path in lists])

    def test_reference(self) -> None:
        for machine, module in boots.STOCK_KVM.items():
            job = boot("tests=*\n", f"{machine}/tests").reference_job(PROGRAMS)
            args = self.arguments(job)
            self.assertEqual((machine, [module]), (args.machine, args.module))
            self.assertEqual(machine, job.prefix)
            self.assertEqual(["hello_test", "mem_test"], job.waiting)
            self.assertFalse(any("minikvm.ko" in name for name in args.file))

    def test_all_files(self) -> None:
        """Every file of the tree is understood, and names what there is."""
        found = boots.all_boots(list(boots.STOCK_KVM))
        self.assertGreater(len(found), 10)
        self.assertEqual(list(dict.fromkeys(one.vendor for one in found)), list(boots.STOCK_KVM))
        for one in found:
            args = self.arguments(one.job(PROGRAMS))
            self.assertEqual(one.machine, args.machine)
            if "script" in one.keys:
                self.assertTrue((boots.BOOTS / Path(args.command[1]).name).exists(), args.command)
        for machine in boots.STOCK_KVM:
            own = [one for one in found if one.vendor == machine]
            self.assertEqual(boots.MAIN, own[0].name)
            self.assertEqual(sorted(own[1:], key=lambda one: (-one.cores, one.name)), own[1:])
