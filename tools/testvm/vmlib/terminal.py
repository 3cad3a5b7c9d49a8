# SPDX-License-Identifier: GPL-2.0-only
"""The user's terminal, connected to the console of a machine."""

import os
import pty
import select
import sys
import termios
import tty

ESCAPE = b"\x1d"    # Ctrl-]


class Relay:
    """Copies bytes between the user's terminal and a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.name = os.ttyname(self.slave)
        tty.setraw(self.slave)
        self.saved = None
        self.sources = [self.master, sys.stdin.fileno()]

    def __enter__(self) -> "Relay":
        if sys.stdin.isatty():
            self.saved = termios.tcgetattr(sys.stdin)
            tty.setraw(sys.stdin)
        return self

    def __exit__(self, *exc) -> None:
        if self.saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.saved)

    def pump(self, seconds: float) -> None:
        """Copy what is there, waiting at most that long for something."""
        ready, _, _ = select.select(self.sources, [], [], seconds)
        for source in ready:
            data = os.read(source, 4096)
            if source == self.master:
                os.write(sys.stdout.fileno(), data)
            elif not data:
                self.sources.remove(source)
            elif ESCAPE in data:
                raise KeyboardInterrupt
            else:
                os.write(self.master, data)
