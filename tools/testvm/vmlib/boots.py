# SPDX-License-Identifier: GPL-2.0-only
"""The files selftests/boots/VENDOR/NAME.boot: each describes one run of a test machine.

VENDOR is svm or vmx, and the machine is the one of that name unless machine= says
otherwise.

A file holds lines KEY=VALUE. What runs is one of:
  tests    machine tests by name (GLOBs), between loading and unloading the module
  script   a script of selftests/boots with its arguments; it finds the module as
           /minikvm.ko, not loaded, and the programs minikvm and lifecycle
Where it runs, if not in the machine as it is with 1 CPU:
  machine, cpu, cpus, memory, kernel, append, mitigations, modules (loaded before), timeout,
  allow_splat (may repeat), kernels, turns=yes (testvm --kernels, --turns)
What it finds there:
  carry_modules (of the kernel, for modprobe), carry_kernel (yes: as /vmlinuz),
  carry_qemu (yes: Debian 12's own QEMU, where Debian has it; wants memory=768),
  files (SRC:DEST),
  module (audit: the module's audit build, which is the rule with 6.1-debug and 6.1-debug-light;
  coverage: one that counts lines, which needs one of these)
and, with tests only:
  check    a command that must succeed before the tests (may repeat)
When it runs:
  long     yes: only with --long, or when it is named in full
"""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import SuiteError
from .jobs import ListJob, MachineJob, ScriptJob
from .kernels import DEBUG, DEBUG_LIGHT
from .suite import BUILD, RESULTS, SELFTESTS, TESTVM, TOP, Program, matching, what_to_carry

BOOTS = SELFTESTS / "boots"
MAIN = "tests"                  # the boot in which all machine tests run

DEFAULT_KERNEL = "6.1-cloud"
SCRIPT_SECONDS = 600     # outside the machine, as timeout=

# Where the kernel checks itself; how much longer programs may take there.
CHECKERS = {DEBUG, DEBUG_LIGHT}
DEBUG_SLOWER = 4

# In the order in which they are tested, with the module of stock KVM.
STOCK_KVM = {"svm": "kvm_amd", "vmx": "kvm_intel"}
# QEMU runs each CPU in a thread of its own, Bochs all of them in one.
CPUS_ARE_THREADS = {"svm"}
# These threads write the flags of CPU 0, guest mode among them, whenever they load an FPU state: where tests
# run on more than one CPU they get others (Documentation/testing.rst, "Both vendors").

KEYS = {"tests", "script", "machine", "cpu", "cpus", "memory", "kernel", "append", "mitigations", "modules", "timeout",
        "allow_splat", "carry_modules", "files", "check", "kernels",
        "carry_kernel", "carry_qemu", "turns", "long", "module"}


@dataclass(frozen=True)
class Boot:
    """A parsed file."""

    vendor: str
    name: str
    keys: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> "Boot":
        """Read a file; unknown keys are errors."""
        keys: dict[str, list[str]] = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            key, separator, value = line.partition("=")
            if not separator or key not in KEYS:
                raise SuiteError(f"{path}:{number}: not one of {', '.join(sorted(KEYS))}: {line}")
            keys.setdefault(key, []).append(value)
        if ("script" in keys) == ("tests" in keys):
            raise SuiteError(f"{path}: give one of script= and tests=")
        if "check" in keys and "script" in keys:
            raise SuiteError(f"{path}: check= goes with tests=")
        return cls(path.parent.name, path.stem, keys)

    def one(self, key: str, default: str = "") -> str:
        """Return the last value of a key."""
        return self.keys.get(key, [default])[-1]

    @property
    def full_name(self) -> str:
        """What the user calls it."""
        return f"{self.vendor}/{self.name}"

    @property
    def prefix(self) -> str:
        """What stands before the names of its tests."""
        return self.vendor if self.name == MAIN else self.full_name

    @property
    def machine(self) -> str:
        """The machine it wants."""
        return self.one("machine", self.vendor)

    @property
    def kernel(self) -> str:
        """The kernel it wants."""
        return self.one("kernel", DEFAULT_KERNEL)

    @property
    def variant(self) -> str:
        """How the module is built."""
        return self.one("module", "audit" if self.kernel in CHECKERS else "")

    @property
    def cpus(self) -> int:
        """How many CPUs the tests, or the script, have."""
        return int(self.one("cpus", "1"))

    @property
    def spares_cpu_0(self) -> bool:
        """Tell whether the machine has one CPU more, the first, on which no test runs."""
        return ("tests" in self.keys and self.cpus > 1 and self.machine in CPUS_ARE_THREADS
                and self.one("turns") != "yes")

    @property
    def cores(self) -> int:
        """How many cores of this computer it keeps busy."""
        return self.cpus if self.machine in CPUS_ARE_THREADS else 1

    def due(self, patterns: list[str], long: bool) -> bool:
        """Tell whether it is time for it."""
        return long or self.one("long") != "yes" or any(name in patterns for name in (self.name, self.full_name))

    def chosen(self, patterns: list[str], programs: list[Program]) -> list[Program] | None:
        """Return which of all programs are to run in it; None: it is not wanted at all."""
        whole = matching(patterns, self.name, self.full_name)
        if "script" in self.keys:
            return [] if whole else None
        own = [program for program in programs if matching(self.one("tests").split(), program.name)]
        if not own:
            raise SuiteError(f"{self.full_name}.boot: no test is named {self.one('tests')}")
        if whole:
            return own

        def names(program: Program) -> list[str]:
            # "hello_test" alone is the one of the main boot.
            return [f"{self.prefix}/{program.name}"] + ([program.name] if self.name == MAIN else [])

        return [program for program in own if matching(patterns, *names(program))] or None

    def options(self) -> list[str]:
        """Return the arguments for testvm that make the machine."""
        options = ["--machine", self.machine, "--kernel", self.kernel, "--cpus", str(self.cpus + self.spares_cpu_0)]
        for key in ("cpu", "memory", "append", "mitigations", "kernels"):
            if key in self.keys:
                options.append(f"--{key}={self.one(key)}")
        for key, option in (("modules", "--module"), ("carry_modules", "--carry-module")):
            for name in self.one(key).split():
                options += [option, name]
        for key, option in (("carry_kernel", "--carry-kernel"), ("carry_qemu", "--carry-qemu"), ("turns", "--turns")):
            if key in self.keys:
                options.append(option)
        for pair in self.one("files").split():
            options += ["--file", f"{TOP / pair}"]
        for pattern in self.keys.get("allow_splat", []):
            options += ["--allow-splat", pattern]
        return options

    def job(self, programs: list[Program]) -> MachineJob:
        """Return the job that runs the script, or these programs, with minikvm."""
        if "tests" in self.keys:
            return self._list_job(programs, what_to_carry(self.kernel, self.variant), ["load"], ["unload"])
        script, *arguments = shlex.split(self.one("script"))
        options = ["--timeout", self.one("timeout", str(SCRIPT_SECONDS)), *self.options(),
                   *what_to_carry(self.kernel, self.variant), "--file", f"{BOOTS}:/boots",
                   "--file", f"{SELFTESTS}/build/lifecycle/lifecycle:/bin/lifecycle",
                   "--", "sh", f"/boots/{script}", *arguments]
        return ScriptJob(self.full_name, RESULTS, self.cores, options)

    def reference_job(self, programs: list[Program]) -> MachineJob:
        """Return the job that runs these programs with stock KVM."""
        device = BUILD / "reference-device"
        device.write_text("/dev/kvm\n", encoding="ascii")
        return self._list_job(programs, ["--module", STOCK_KVM[self.vendor],
                                         "--file", f"{device}:/selftests/device"], [], [])

    def _list_job(self, programs: list[Program], options: list[str], before: list[str],
                  after: list[str]) -> MachineJob:
        if self.kernel in CHECKERS:
            programs = [replace(program, seconds=DEBUG_SLOWER * program.seconds) for program in programs]
            programs.append(Program("locks", "sh /selftests/run-list locks", 60))
        # A module that counts lines points to memory that nobody gives back.
        if self.kernel == DEBUG and self.variant != "coverage":
            programs.append(Program("leaks", "sh /selftests/run-list leaks", 600))
        if self.variant == "coverage":
            programs.append(Program("coverage", "sh /selftests/run-list coverage", 600))
        checks = [Program("check", f"sh /selftests/run-list check {shlex.quote(command)}")
                  for command in self.keys.get("check", [])]
        plan = BUILD / "boots" / f"{self.vendor}-{self.name}"
        plan.parent.mkdir(parents=True, exist_ok=True)
        plan.write_text("".join(program.row + "\n" for program in checks + programs), encoding="utf-8")
        # A second of a machine with two CPUs is up to three of ours, but not every test may use all of its limit.
        limit = max(min(3600.0, 300 + 3 * sum(program.seconds for program in programs)),
                    300 + max(program.seconds for program in programs))
        options = ["--timeout", self.one("timeout", f"{limit:.0f}"), *self.options(), *options]
        for path in sorted({program.binary for program in programs}):
            if path.exists():
                options += ["--file", f"{path}:/selftests/{path.name}"]
        options += ["--file", f"{plan}:/selftests/list", "--file", f"{TESTVM}/guest/run-list:/selftests/run-list",
                    "--script", f"{TESTVM}/guest/run-list"]
        if self.spares_cpu_0:
            cpus = plan.with_suffix(".cpus")
            cpus.write_text(f"1-{self.cpus}\n", encoding="ascii")
            options += ["--file", f"{cpus}:/selftests/cpus"]
        names = [*before, *[program.name for program in checks + programs], *after]
        return ListJob(self.full_name, RESULTS, self.cores, options, self.prefix, names)


def all_boots(vendors: list[str]) -> list[Boot]:
    """Return the boots of some vendors: first the one with all tests, then those that need most cores."""
    boots = [Boot.read(path) for vendor in vendors for path in (BOOTS / vendor).glob("*.boot")]
    return sorted(boots, key=lambda boot: (vendors.index(boot.vendor), boot.name != MAIN, -boot.cores, boot.name))
