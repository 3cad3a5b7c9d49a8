# SPDX-License-Identifier: GPL-2.0-only
"""The VMX machine: Bochs, which emulates Intel VMX with EPT on any computer, and AMD SVM with one CPU model."""

import re
import shutil
from pathlib import Path

from .direct import ROM_ADDRESS, write_boot
from .errors import TestvmError
from .kernels import Kernel
from .machine import Machine

SHARE = Path("/usr/share/bochs")
SCREEN = Path("/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so")

# The time stamp counter of Bochs advances once an instruction at ips=100000000,
# while CPUID claims 3.5 GHz: tsc_early_khz makes the kernel's clocks agree with
# the machine. Without it there are 650 timer interrupts a jiffy.
CMDLINE = ("console=ttyS0,115200 loglevel=5 nokaslr random.trust_cpu=on panic=-1 tsc=reliable "
           "lpj=400000 no_timer_check cryptomgr.notests clocksource=tsc tsc_early_khz=100000 "
           "log_buf_len=1M rdinit=/init")

# Bochs runs its CPUs in turn, "quantum" instructions each; the largest is the fastest.
CONFIG = """\
plugin_ctrl: unmapped=1, biosdev=1, speaker=0, extfpuirq=1, parallel=1, serial=1, iodebug=0
config_interface: textconfig
display_library: term
cpu: model={model}, count={cpus}, quantum=32, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={memory}, host={memory}
romimage: file={bios}
vgaromimage: file={share}/VGABIOS-lgpl-latest
optromimage1: file={directory}/boot.rom, address={rom:#x}
boot: disk
ata0-master: type=disk, mode=flat, path={directory}/disk.img, translation=lba
parport1: enabled=1, file={directory}/output
com1: enabled=1, mode={com_mode}, dev={com_device}
clock: sync=none, time0=1700000000
log: {directory}/bochs.log
panic: action=fatal
error: action=ignore
"""

# The BIOS allows VMX in IA32_FEATURE_CONTROL and locks it: "rdmsr; or $5,%eax; wrmsr" with
# ECX 0x3a, once for the first CPU and once for the others.
BIOS = SHARE / "BIOS-bochs-latest"
ALLOW_VMX = re.compile(rb"(\xb9\x3a\x00\x00\x00\x0f\x32(?:\x66)?\x83\xc8)\x05(\x0f\x30)")
LOCKED = "-locked"


def locked_bios() -> bytes:
    """Return a BIOS that locks the MSR without allowing VMX."""
    bios, count = ALLOW_VMX.subn(lambda match: match[1] + b"\x01" + match[2], BIOS.read_bytes())
    if count != 2:
        raise TestvmError(f"{BIOS}: the code that sets IA32_FEATURE_CONTROL is not as expected")
    return bios


class Bochs(Machine):
    """Bochs as the Debian package has it, without a display."""

    name = "vmx"
    summary = "Bochs: Intel VMX, EPT, unrestricted guest (by CPU model)"
    arch = "x86_64"
    channel = "parport"
    known_splats = [
        r"at arch/x86/kernel/fpu/xstate\.c:\d+ fpu__init_system_xstate",  # skylake: sizes of XSAVE areas
        r"at arch/x86/kernel/cpu/topology_common\.c:\d+ parse_legacy",   # 6.12: CPUID leaf 4 of one CPU
    ]
    default_cpu = "haswell"
    cpu_models = {
        "penryn": "core2_penryn_t9600",             # VMX, no EPT
        "lynnfield": "corei5_lynnfield_750",        # EPT, no unrestricted guest
        "arrandale": "corei5_arrandale_m520",       # unrestricted guest
        "sandybridge": "corei7_sandy_bridge_2600k",
        "ivybridge": "corei7_ivy_bridge_3770k",
        "haswell": "corei7_haswell_4770",
        "haswell-locked": "corei7_haswell_4770",    # the firmware has locked VMX off
        "broadwell": "broadwell_ult",
        "skylake": "corei7_skylake_x",              # PML, TSC scaling; a WARNING at boot, no XSAVE
        "zambezi": "zambezi",                       # AMD: SVM with nested paging instead of VMX
        "prescott": "p4_prescott_celeron_336",      # Intel without VMX
    }

    def prepare(self, kernel: Kernel, initrd: bytes, terminal: str | None) -> None:
        if not shutil.which("bochs") or not SCREEN.exists():
            raise TestvmError("Bochs not found", hint="apt-get install bochs bochs-term")
        write_boot(self.directory, kernel, initrd, self._cmdline(), self.spec.memory)
        bios = BIOS
        if self.spec.cpu.endswith(LOCKED):
            bios = self.directory / "bios.rom"
            bios.write_bytes(locked_bios())
        config = CONFIG.format(bios=bios, model=self.cpu_models.get(self.spec.cpu, self.spec.cpu), cpus=self.spec.cpus,
                               memory=self.spec.memory, share=SHARE, directory=self.directory,
                               com_mode="term" if terminal else "file",
                               com_device=terminal or self.console, rom=ROM_ADDRESS)
        (self.directory / "bochsrc").write_text(config, encoding="ascii")
        # Debian's Bochs has its debugger built in and waits for a command at the start.
        (self.directory / "debugger").write_text("c\n", encoding="ascii")

    def _cmdline(self) -> str:
        words = [CMDLINE, "mitigations=auto" if self.spec.mitigations else "mitigations=off"]
        if self.spec.cpus > 1:
            # With tickless idle one boot in three stands still for 1.5 to 4 s when the clock source changes.
            words.append("nohz=off")
        return " ".join(words + [self.spec.append]).strip()

    def command(self) -> list[str]:
        return ["bochs", "-q", "-f", str(self.directory / "bochsrc"), "-rc", str(self.directory / "debugger")]

    def _log(self) -> str:
        path = self.directory / "bochs.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def resets(self) -> int:
        # fe: it wakes up from S3 and goes on.
        return max(0, len(re.findall(r"^\d+i\[BIOS  \] Shutdown flag (?!fe)", self._log(), re.M)) - 1)

    def clean_end(self, returncode: int) -> bool:
        # Power-off is a panic of Bochs' ACPI device, so that its exit status tells nothing.
        return "ACPI control: soft power off" in self._log()

    def problems(self) -> list[str]:
        found = re.findall(r"^\d+.\[.*(?:VMENTER FAIL|VMFAIL|VMABORT|VMX.*(?:abort|error)|"
                           r"triple fault|3rd \(\d+\) exception).*$", self._log(), re.M)
        return found

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self._log().splitlines()[-lines:])
