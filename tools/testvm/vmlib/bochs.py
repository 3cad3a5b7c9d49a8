# SPDX-License-Identifier: GPL-2.0-only
"""The VMX machine: Bochs, which emulates Intel VMX with EPT on any computer."""

import re
import shutil
import subprocess
from pathlib import Path

from .errors import STATUS_HOST, TestvmError
from .kernels import Kernel
from .machine import Machine

SHARE = Path("/usr/share/bochs")
GRUB = Path("/usr/lib/grub/i386-pc")
SECTOR = 512

# The time stamp counter of Bochs advances once an instruction at ips=100000000,
# while CPUID claims 3.5 GHz: tsc_early_khz makes the kernel's clocks agree with
# the machine. Without it there are 650 timer interrupts a jiffy.
CMDLINE = ("console=ttyS0,115200 loglevel=5 nokaslr random.trust_cpu=on panic=-1 tsc=reliable "
           "lpj=400000 no_timer_check cryptomgr.notests clocksource=tsc tsc_early_khz=100000 "
           "log_buf_len=1M rdinit=/init")

CONFIG = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=1, serial=1, iodebug=0
config_interface: textconfig
display_library: term
cpu: model={model}, count={cpus}, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
romimage: file={share}/BIOS-bochs-latest
vgaromimage: file={share}/VGABIOS-lgpl-latest
boot: disk
ata0-master: type=disk, mode=flat, path={directory}/disk.img, translation=lba
parport1: enabled=1, file={directory}/output
com1: enabled=1, mode={com_mode}, dev={com_device}
clock: sync=none, time0=1700000000
log: {directory}/bochs.log
panic: action=fatal
error: action=ignore
"""


class Bochs(Machine):
    """Bochs as the Debian package has it, without a display."""

    name = "vmx"
    summary = "Bochs: Intel VMX, EPT, unrestricted guest (by CPU model)"
    arch = "x86_64"
    channel = "parport"
    default_cpu = "haswell"
    cpu_models = {
        "penryn": "core2_penryn_t9600",             # VMX, no EPT
        "lynnfield": "corei5_lynnfield_750",        # EPT, no unrestricted guest
        "arrandale": "corei5_arrandale_m520",       # unrestricted guest
        "sandybridge": "corei7_sandy_bridge_2600k",
        "ivybridge": "corei7_ivy_bridge_3770k",
        "haswell": "corei7_haswell_4770",
        "broadwell": "broadwell_ult",
        "skylake": "corei7_skylake_x",              # PML, TSC scaling; a WARNING at boot, no XSAVE
        "zambezi": "zambezi",                       # AMD: no VMX
        "ryzen": "ryzen",                           # AMD: no VMX
        "prescott": "p4_prescott_celeron_336",      # Intel without VMX
    }

    def prepare(self, kernel: Kernel, initrd: bytes, terminal: str | None) -> None:
        for program, package in (("bochs", "bochs bochs-term"), ("grub-mkimage", "grub-common grub-pc-bin")):
            if not shutil.which(program):
                raise TestvmError(f"{program} not found", STATUS_HOST, f"apt-get install {package}")
        self._make_disk(kernel.image.read_bytes(), initrd)
        config = CONFIG.format(model=self.cpu_models.get(self.spec.cpu, self.spec.cpu), cpus=self.spec.cpus,
                               memory=self.spec.memory, share=SHARE, directory=self.directory,
                               com_mode="term" if terminal else "file",
                               com_device=terminal or self.console)
        (self.directory / "bochsrc").write_text(config, encoding="ascii")
        # Debian's Bochs has its debugger built in and waits for a command at the start.
        (self.directory / "debugger").write_text("c\n", encoding="ascii")

    def _cmdline(self) -> str:
        mitigations = "auto" if self.spec.mitigations else "off"
        return f"{CMDLINE} mitigations={mitigations} {self.spec.append}".strip()

    def _make_disk(self, kernel: bytes, initrd: bytes) -> None:
        """Write a disk that boots: GRUB, then kernel and initrd as bare runs of sectors.

        Without a file system neither xorriso nor mtools is needed, and GRUB
        needs two modules only.
        """
        def sectors(data: bytes) -> int:
            return -(-len(data) // SECTOR)

        kernel_start = 2048
        initrd_start = kernel_start + sectors(kernel)
        config = self.directory / "grub.cfg"
        config.write_text(f"linux (hd0){kernel_start}+{sectors(kernel)} {self._cmdline()}\n"
                          f"initrd (hd0){initrd_start}+{sectors(initrd)}\nboot\n", encoding="ascii")
        core = self.directory / "core.img"
        result = subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "/", "-c", config, "-o", core,
                                 "biosdisk", "linux"], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise TestvmError(f"grub-mkimage failed: {result.stderr.strip()}", STATUS_HOST,
                              "apt-get install grub-common grub-pc-bin")
        size = initrd_start + sectors(initrd)
        cylinder = 16 * 63
        with open(self.directory / "disk.img", "wb") as disk:
            disk.write((GRUB / "boot.img").read_bytes())
            disk.seek(SECTOR)
            disk.write(core.read_bytes())
            disk.seek(kernel_start * SECTOR)
            disk.write(kernel)
            disk.seek(initrd_start * SECTOR)
            disk.write(initrd)
            disk.truncate(-(-size // cylinder) * cylinder * SECTOR)

    def command(self) -> list[str]:
        return ["bochs", "-q", "-f", str(self.directory / "bochsrc"), "-rc", str(self.directory / "debugger")]

    def _log(self) -> str:
        path = self.directory / "bochs.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def resets(self) -> int:
        return max(0, len(re.findall(r"^\d+i\[BIOS  \] Booting from", self._log(), re.M)) - 1)

    def clean_end(self, returncode: int) -> bool:
        # Power-off is a panic of Bochs' ACPI device, so that its exit status tells nothing.
        return "ACPI control: soft power off" in self._log()

    def problems(self) -> list[str]:
        found = re.findall(r"^\d+.\[.*(?:VMENTER FAIL|VMFAIL|VMABORT|VMX.*(?:abort|error)|"
                           r"triple fault|3rd \(\d+\) exception).*$", self._log(), re.M)
        return found

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self._log().splitlines()[-lines:])
