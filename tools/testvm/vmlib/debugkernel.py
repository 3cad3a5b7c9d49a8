# SPDX-License-Identifier: GPL-2.0-only
"""The kernels 6.1-debug and 6.1-debug-light: Debian's linux-source-6.1 with the kernel's own checkers on.

tools/testvm/debug*.config say what is in them. What is kept of a build looks like an
unpacked Debian kernel with its headers: the image, and what external modules are built with.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from .errors import TestvmError

PACKAGE = "linux-source-6.1"
TARBALL = Path("/usr/src") / f"{PACKAGE}.tar.xz"
TESTVM = Path(__file__).resolve().parent.parent
# Each kernel's configuration is the sum of these.
CONFIGS = {
    "6.1-debug": [TESTVM / "debug.config", TESTVM / "debug-heavy.config"],
    "6.1-debug-light": [TESTVM / "debug.config"],
}
# The one that builds the module, too.
COMPILER = "gcc"
PROGRESS_SECONDS = 60
FILES = 960      # for the progress line
NEWEST = 3       # builds of each that stay in the cache

# Sources that no x86 kernel is built from, without which unpacking takes half of the time. Every
# Kconfig file stays, as they include each other.
LEFT_OUT = ["Documentation/*/*", "drivers/gpu/*.[chS]", "drivers/net/*/*.[chS]", "drivers/media/*.[chS]",
            "drivers/staging/*.[chS]", "drivers/scsi/*.[chS]", "sound/*.[chS]", "tools/testing/*", "*.dts", "*.dtsi",
            *(f"arch/{name}/*.[chS]" for name in (
                "alpha", "arc", "arm", "arm64", "csky", "hexagon", "ia64", "loongarch", "m68k", "microblaze", "mips",
                "nios2", "openrisc", "parisc", "powerpc", "riscv", "s390", "sh", "sparc", "um", "xtensa"))]

# What building a module takes, relative to the top of the kernel's tree.
KEPT = ["Makefile", "Kbuild", ".config", "Module.symvers", "include", "scripts", "tools/objtool/objtool",
        "arch/x86/Makefile", "arch/x86/Makefile_32.cpu", "arch/x86/include", "arch/x86/kernel/asm-offsets.s"]


def _run(command: list[str], **how) -> subprocess.CompletedProcess:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **how)


def _must(command: list[str], **how) -> None:
    result = _run(command, **how)
    if result.returncode:
        raise TestvmError(f"{' '.join(command[:4])} failed:\n" + "\n".join(result.stdout.splitlines()[-20:]),
                          hint="as root: tools/testvm/install-packages debug")


def _compile(name: str, command: list[str], tree: Path, report) -> None:
    """Run make; say now and then how far it is."""
    started = said = time.monotonic()
    files = 0
    last: list[str] = []
    with subprocess.Popen(command, cwd=tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        try:
            for line in process.stdout:
                files += line.startswith("  CC ")
                last = [*last[-40:], line]
                if time.monotonic() - said > PROGRESS_SECONDS:
                    said = time.monotonic()
                    report(f"{name}: {files} of about {FILES} files compiled after {said - started:.0f} s")
        except BaseException:
            # Interrupted: make would go on.
            process.terminate()
            raise
    if process.returncode:
        raise TestvmError(f"{name} does not compile:\n" + "".join(last),
                          hint="as root: tools/testvm/install-packages debug")


def source_version() -> str | None:
    """Return the version of the installed package of sources; None: it is not installed."""
    result = _run(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", PACKAGE])
    status, _, version = result.stdout.partition(" ")
    return version if status == "installed" and TARBALL.exists() else None


def configuration(name: str) -> str:
    """Return what is asked for beyond allnoconfig."""
    parts = [path.read_text(encoding="ascii") for path in CONFIGS[name]]
    return "".join([*parts, f'CONFIG_LOCALVERSION="-minikvm-{name.removeprefix("6.1-")}"\n'])


def directory_name(name: str, version: str) -> str:
    """Return the name in the cache: whatever changes the result changes it."""
    recipe = hashlib.sha256((configuration(name) + repr((LEFT_OUT, KEPT, COMPILER))).encode())
    return f"{name}-{version}-{recipe.hexdigest()[:12]}"


def missing_options(wanted: str, got: str) -> list[str]:
    """Return the lines of a configuration fragment that are not in a configuration."""
    lines = set(got.splitlines())
    missing = []
    for line in wanted.splitlines():
        off = re.fullmatch(r"# (CONFIG_\w+) is not set", line)
        # What depends on an option that is off is not mentioned at all.
        if off:
            if any(other.startswith(f"{off[1]}=") for other in lines):
                missing.append(line)
        elif line.startswith("CONFIG_") and line not in lines:
            missing.append(line)
    return missing


def _configure(name: str, tree: Path, make: list[str]) -> None:
    wanted = configuration(name)
    (tree / "wanted.config").write_text(wanted, encoding="ascii")
    _must([*make, "allnoconfig", "KCONFIG_ALLCONFIG=wanted.config"], cwd=tree)
    missing = missing_options(wanted, (tree / ".config").read_text(encoding="ascii"))
    if missing:
        raise TestvmError(f"{name}: the kernel's configuration does not take: " + ", ".join(missing))


def _keep(tree: Path, root: Path, release: str) -> None:
    """Move what is needed later out of the tree."""
    boot, modules = root / "boot", root / "lib" / "modules" / release
    headers = root / "usr" / "src" / f"linux-headers-{release}"
    for directory in (boot, modules / "kernel", headers):
        directory.mkdir(parents=True)
    (tree / "arch/x86/boot/bzImage").rename(boot / f"vmlinuz-{release}")
    (tree / "System.map").rename(boot / f"System.map-{release}")
    (tree / "modules.builtin").rename(modules / "modules.builtin")
    # Of a kernel without modules of its own.
    (tree / "vmlinux.symvers").rename(tree / "Module.symvers")
    for name in KEPT:
        if (tree / name).exists():
            (headers / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).rename(headers / name)


def build(name: str, root: Path, report) -> None:
    """Build a kernel into the new directory root."""
    version = source_version()
    if version is None:
        raise TestvmError(f"the package {PACKAGE} is not installed", hint="as root: tools/testvm/install-packages debug")
    make = ["make", f"-j{os.cpu_count()}", f"CC={COMPILER}", f"HOSTCC={COMPILER}", "ARCH=x86_64",
            "KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=minikvm", "KBUILD_BUILD_HOST=minikvm"]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        report(f"{name}: unpacking {PACKAGE} {version}")
        _must(["tar", "-xJf", str(TARBALL), "-C", scratch, "--strip-components=1",
               *(f"--exclude={PACKAGE}/{pattern}" for pattern in LEFT_OUT)])
        tree = Path(scratch)
        _configure(name, tree, make)
        report(f"{name}: compiling (once; several minutes)")
        _compile(name, [*make, "bzImage"], tree, report)
        _must([*make, "modules_prepare"], cwd=tree)
        release = (tree / "include/config/kernel.release").read_text(encoding="ascii").strip()
        _keep(tree, root, release)
        (root / "release").write_text(release + "\n", encoding="ascii")
    report(f"{name}: {release} built in {time.monotonic() - started:.0f} s")


def forget_old(name: str, kernels: Path) -> None:
    """Remove all but the newest; work trees with other configurations may share the cache."""
    found = sorted(kernels.glob(f"{name}-[0-9]*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[NEWEST:]:
        shutil.rmtree(path, ignore_errors=True)
