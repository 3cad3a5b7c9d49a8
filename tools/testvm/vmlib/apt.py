# SPDX-License-Identifier: GPL-2.0-only
"""Package look-up and download through apt, without installing anything.

Packages of the machine's own release come through the machine's own sources.
Packages of bookworm-backports come through a sources file and a lists
directory of our own in the cache, on the mirror that the machine already
uses, so that the machine's APT set-up stays as it is.
"""

import os
import re
import subprocess
from pathlib import Path

from .cache import cache_dir
from .errors import TestvmError

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def _run(argv: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess:
    env = dict(os.environ, LC_ALL="C", DEBIAN_FRONTEND="noninteractive")
    try:
        return subprocess.run(argv, cwd=cwd, env=env, text=True, check=False,
                              stdin=subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError as error:
        raise TestvmError(f"{argv[0]} not found", hint="testvm needs Debian's apt") from error


class Apt:
    """One APT configuration: the machine's own, or a private one for another suite."""

    def __init__(self, suite: str | None = None):
        self.suite = suite
        # _apt may not write into root's cache; the check of signatures is the same.
        self.options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"]
        self.updated = False
        if suite:
            self._make_private()

    def _make_private(self) -> None:
        root = cache_dir() / "apt" / self.suite
        for part in ("lists/partial", "cache/archives/partial"):
            (root / part).mkdir(parents=True, exist_ok=True)
        signed = f" [signed-by={KEYRING}]" if os.path.exists(KEYRING) else ""
        sources = root / "sources.list"
        sources.write_text(f"deb{signed} {debian_mirror()} {self.suite} main\n", encoding="ascii")
        self.options += ["-o", f"Dir::Etc::sourcelist={sources}",
                         "-o", "Dir::Etc::sourceparts=-",
                         "-o", f"Dir::State::lists={root}/lists",
                         "-o", f"Dir::Cache={root}/cache"]

    def update(self) -> None:
        """Fetch the package lists, at most once in this process."""
        if self.updated:
            return
        self.updated = True
        if not self.suite and os.geteuid() != 0:
            raise TestvmError("the package lists of this machine lack a package that is needed",
                              hint="run, as root: apt-get update")
        result = _run(["apt-get", *self.options, "-q", "update"])
        if result.returncode != 0:
            raise TestvmError("apt-get update failed:\n" + result.stderr.strip(),
                              hint="check the network and the Debian mirror")

    def _show(self, package: str) -> str | None:
        result = _run(["apt-cache", *self.options, "show", "--no-all-versions", package])
        return result.stdout if result.returncode == 0 and result.stdout.strip() else None

    def show(self, package: str) -> dict[str, str]:
        """Return the fields of the newest version of a package."""
        text = self._show(package)
        if text is None:
            self.update()
            text = self._show(package)
        if text is None:
            raise TestvmError(f"apt knows no package {package}",
                              hint="testvm is made for Debian 12 (bookworm) with its "
                                   "main, updates and security suites")
        return dict(re.findall(r"^([A-Za-z-]+): (.*)$", text.split("\n\n")[0], re.M))

    def download(self, packages: list[str], target: Path) -> list[Path]:
        """Download packages (NAME or NAME=VERSION) into target."""
        argv = ["apt-get", *self.options, "-q", "download", *packages]
        result = _run(argv, cwd=target)
        if result.returncode != 0:
            # The mirror drops superseded versions: lists that are too old name files that are gone.
            self.update()
            result = _run(argv, cwd=target)
        if result.returncode != 0:
            raise TestvmError(f"cannot download {' '.join(packages)}:\n{result.stderr.strip()}",
                              hint="check the network and the Debian mirror")
        return sorted(target.glob("*.deb"))


def debian_mirror() -> str:
    """Return the URI from which this machine takes Debian 12 itself."""
    result = _run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)",
                   "Created-By: Packages"])
    for line in result.stdout.splitlines():
        release, _, uri = line.partition(" ")
        if release == "bookworm":
            return uri
    raise TestvmError("no APT source for Debian 12 (bookworm) on this machine",
                      hint="add one under /etc/apt/sources.list.d/, then run apt-get update")


def unpack(deb: Path, target: Path) -> None:
    """Unpack the files of a package."""
    result = _run(["dpkg-deb", "-x", str(deb), str(target)])
    if result.returncode != 0:
        raise TestvmError(f"cannot unpack {deb.name}: {result.stderr.strip()}")
