# SPDX-License-Identifier: GPL-2.0-only
"""Running jobs side by side, as many as the computer has cores for.

A job that needs two cores gets both: a machine whose CPUs are threads counts the
seconds of this computer, and would run into its time limits beside another one.
"""

import os
import threading

from .account import Account
from .jobs import Job

FEWEST_CORES, MOST_CORES = 2, 4     # a machine takes 1 GiB of memory, too


class Cores:
    """A number of cores to be taken and given back."""

    def __init__(self, count: int):
        self.count = self.free = count
        self.changed = threading.Condition()

    def take(self, wanted: int) -> int:
        """Wait until that many are free, or all when there are no more; return how many were taken."""
        taken = min(wanted, self.count)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= taken)
            self.free -= taken
        return taken

    def give(self, taken: int) -> None:
        """Give them back."""
        with self.changed:
            self.free += taken
            self.changed.notify_all()


def cores_here() -> int:
    """Return how many cores the jobs may use."""
    return min(max(os.cpu_count() or 1, FEWEST_CORES), MOST_CORES)


def run_jobs(jobs: list[Job], account: Account) -> None:
    """Start the jobs in their order as cores are free; print one at a time, as its lines come."""
    cores = Cores(cores_here())

    def start_all() -> None:
        for job in jobs:
            threading.Thread(target=work, args=(job, cores.take(job.cores)), daemon=True).start()

    def work(job: Job, taken: int) -> None:
        try:
            job.run()
        finally:
            cores.give(taken)

    threading.Thread(target=start_all, daemon=True).start()
    for job in jobs:
        account.say(f"running {job.name}")
        while (item := job.lines.get()) is not None:
            if isinstance(item, str):
                account.say(item)
            else:
                account.add(*item)
        account.say(f"{job.name} done, took {job.seconds:.0f} s")
