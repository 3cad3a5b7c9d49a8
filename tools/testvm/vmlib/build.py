# SPDX-License-Identifier: GPL-2.0-only
"""Compiling the small programs that testvm itself needs, once for each version of their source."""

import hashlib
import os
import subprocess
from pathlib import Path

from .cache import cache_dir, locked
from .errors import TestvmError


def compiled(source: Path, options: list[str]) -> bytes:
    """Return what gcc makes of a source file."""
    digest = hashlib.sha256(source.read_bytes() + repr(options).encode()).hexdigest()[:16]
    binary = cache_dir() / "testvm" / f"{source.stem}-{digest}"
    with locked("testvm"):
        if not binary.exists():
            binary.parent.mkdir(exist_ok=True)
            scratch = binary.with_name(f"{binary.name}.{os.getpid()}")
            try:
                subprocess.run(["gcc", *options, "-o", scratch, source], check=True,
                               capture_output=True, text=True)
            except FileNotFoundError as error:
                raise TestvmError("gcc not found", hint="apt-get install gcc libc6-dev") from error
            except subprocess.CalledProcessError as error:
                raise TestvmError(f"cannot compile {source.name}:\n{error.stderr}",
                                  hint="apt-get install gcc libc6-dev") from error
            scratch.rename(binary)
    return binary.read_bytes()
