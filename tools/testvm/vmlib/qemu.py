# SPDX-License-Identifier: GPL-2.0-only
"""The SVM machine: QEMU's translator (TCG), which emulates AMD SVM with nested paging on any computer."""

from typing import Callable

from .emulators import Qemu, get_qemu
from .errors import TestvmError
from .kernels import Kernel
from .machine import Machine

# The time stamp counter is that of the computer (unless instructions are counted): constant,
# and the same on all CPUs.
CMDLINE = ("console=ttyS0,115200 loglevel=5 nokaslr random.trust_cpu=on panic=-1 tsc=reliable "
           "no_timer_check cryptomgr.notests log_buf_len=1M rdinit=/init")

# QEMU ends with status 0 on power-off and on reset; only power-off leaves this in the log.
SHUTDOWN_EVENT = "qemu_system_shutdown_request"
POWER_OFF = f"{SHUTDOWN_EVENT} reason=6"
TRIPLE_FAULT = "Triple fault"

MIB = 1 << 20
KERNEL_NEEDS = 128 * MIB


class QemuSvm(Machine):
    """A PC with one serial and one printer port, and nothing else."""

    name = "svm"
    summary = "QEMU: AMD SVM, nested paging"
    arch = "x86_64"
    channel = "parport"
    default_cpu = "max"
    cpu_models = {
        "max": "max",               # SVM, nested paging, 5-level paging
        "max,-la57": "max,-la57",   # 4-level paging
        "max,-npt": "max,-npt",     # no nested paging
        "max,-svm": "max,-svm",     # AMD without SVM
    }

    # Time is the number of executed instructions: a cycle of the TSC is one of them, and the
    # machine does the same in each run. One CPU only.
    icount = False

    qemu: Qemu
    image: str
    serial: str

    def fetch(self, report: Callable[[str], None]) -> None:
        self.qemu = get_qemu(report)

    def prepare(self, kernel: Kernel, initrd: bytes, terminal: str | None) -> None:
        need = KERNEL_NEEDS + 2 * len(initrd)
        if self.spec.memory * MIB < need:
            raise TestvmError(f"the machine needs at least {-(-need // MIB)} MiB of memory for this initrd",
                              hint="raise --memory")
        # Not unpacked (and entered as a PVH kernel): that would save 0.3 s, but the code
        # that unpacks is also the one that turns on 5-level paging.
        self.image = str(kernel.image)
        self.serial = terminal or f"file:{self.console}"
        (self.directory / "initrd").write_bytes(initrd)

    def _cmdline(self) -> str:
        mitigations = "mitigations=auto" if self.spec.mitigations else "mitigations=off"
        return " ".join([CMDLINE, mitigations, self.spec.append]).strip()

    def command(self) -> list[str]:
        clock = ["-icount", "shift=0,sleep=off"] if self.icount else []
        return [*self.qemu.command(), "-no-user-config", "-nodefaults", "-display", "none",
                "-machine", "pc", "-accel", "tcg,thread=single" if self.spec.turns else "tcg", *clock,
                *([] if self.spec.kernels > 1 else ["-no-reboot"]),
                "-cpu", self.cpu_models.get(self.spec.cpu, self.spec.cpu),
                "-smp", str(self.spec.cpus), "-m", str(self.spec.memory),
                "-serial", self.serial, "-parallel", f"file:{self.output}",
                "-kernel", self.image, "-initrd", str(self.directory / "initrd"), "-append", self._cmdline(),
                "-d", f"cpu_reset,trace:{SHUTDOWN_EVENT}", "-D", str(self.directory / "qemu.log")]

    def _log(self) -> str:
        path = self.directory / "qemu.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def resets(self) -> int:
        return 0    # QEMU ends instead (-no-reboot), or each kernel is seen to come up

    def reset_end(self, returncode: int) -> bool:
        return returncode == 0 and SHUTDOWN_EVENT not in self._log()

    def clean_end(self, returncode: int) -> bool:
        return returncode == 0 and POWER_OFF in self._log()

    def problems(self) -> list[str]:
        return [line for line in self._log().splitlines() if TRIPLE_FAULT in line]

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self._log().splitlines()[-lines:])
