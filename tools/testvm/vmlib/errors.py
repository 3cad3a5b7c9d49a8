# SPDX-License-Identifier: GPL-2.0-only
"""Exit statuses of testvm, the exception that carries one, and that of run-tests."""

# Statuses above 119 are testvm's own; a script keeps 0 to 119 for itself.
STATUS_SPLAT = 120      # the kernel complained (BUG, WARNING, Oops ...)
STATUS_NO_BOOT = 121    # the machine stopped or reset before the script was started
STATUS_DIED = 122       # the machine stopped or reset while the script ran
STATUS_EMULATOR = 123   # the emulator could not be started, or ended with an error
STATUS_TIMEOUT = 124    # the time limit passed (as timeout(1))
STATUS_HOST = 125       # wrong arguments, or something is missing on this computer


class TestvmError(Exception):
    """A failure with the exit status it leads to and the next step for the user."""

    def __init__(self, message: str, status: int = STATUS_HOST, hint: str = ""):
        super().__init__(message)
        self.status = status
        self.hint = hint


class SuiteError(Exception):
    """What the tests need is missing: a part does not build, a file is not understood."""
